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
        listen=options.get("listen", "127.0.0.1:0"),
        directory_name=options.get("directory_name", "opendht"),
        directory_settings=directory_settings(options),
    )
    async with await AsyncNode.open(options["template"], home=options["home"], network=network) as node:
        say({"public_key": node.public_key.hex(), "listed": listed(node, network)})
        while line := await asyncio.to_thread(sys.stdin.readline):
            say(await answer(node, json.loads(line)))


def directory_settings(options: dict[str, Any]) -> dict[str, Any]:
    if "peers" in options:
        return {"peers": options["peers"]}
    if "directory_settings" in options:
        return dict(options["directory_settings"])
    return {"port": options["dht_port"], "bootstrap": options["bootstrap"]}


def listed(node: AsyncNode, network: Network) -> dict[str, str]:
    """Return the table that a static directory of another node has for this one."""
    return {
        "public_key": node.public_key.hex(),
        "carrier": network.carrier_name,
        "endpoint": node.address.endpoint,
        "channel_key": node.address.channel_key.hex(),
    }


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
