"""One node in a process of its own, told what to do by lines of JSON on its standard input; for ``test_network``."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from fingerpost import AsyncNode, FingerpostError, Network


async def main(options: dict[str, Any]) -> None:
    network = Network(
        network_id="test",
        members=frozenset(bytes.fromhex(key) for key in options["members"]) if "members" in options else None,
        carrier_name=options["carrier"],
        carrier_settings=options.get("carrier_settings", {}),
        directory_settings={"port": options["dht_port"], "bootstrap": options["bootstrap"]},
    )
    async with await AsyncNode.open(options["template"], home=options["home"], network=network) as node:
        say({"ready": node.node_id.hex(), "public_key": node.public_key.hex()})
        while line := await asyncio.to_thread(sys.stdin.readline):
            say(await answer(node, json.loads(line)))


async def answer(node: AsyncNode, request: dict[str, Any]) -> dict[str, Any]:
    try:
        if "emit" in request:
            emission = await node.emit_table(request["emit"])
            return {"packets": len(emission.packet_ids), "holders": emission.holders}
        if "ask" in request:
            found = await node.ask(request["ask"], mode=request.get("mode"))
            receipt = await node.receipt(found)
            return {
                "probabilities": found.probabilities,
                "abstained": found.abstained,
                "receipt": receipt.to_bytes().hex(),
            }
        if "synchronise" in request:
            return {"new": await node.synchronise()}
        return {"packets": len(await node.packets())}
    except FingerpostError as error:
        return {"error": error.code, "message": error.message}


def say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
