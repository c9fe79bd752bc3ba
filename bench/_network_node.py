"""Nodes in a process of their own, told what to do by lines of JSON; for ``bench.network``.

Started as ``python -m bench._network_node`` with ``{"template": …, "nodes": [{"name", "home", "dht_port"}, …], …}`` as
its argument. Every request names a node and has an id, which its answers repeat; requests run side by side.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from fingerpost import AsyncNode, FingerpostError, Network
from fingerpost.packet import packet_ids


async def main(options: dict[str, Any]) -> None:
    """Open the nodes and obey until standard input ends."""
    nodes = {}
    for node in options["nodes"]:
        nodes[node["name"]] = await open_node(options, node)
        say({"opened": node["name"], "node_id": nodes[node["name"]].node_id.hex()})
    working: set[asyncio.Task[None]] = set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        request = json.loads(line)
        task = asyncio.create_task(answer(nodes, options, request))
        working.add(task)
        task.add_done_callback(working.discard)
    for opened in nodes.values():
        await opened.close()


async def open_node(options: dict[str, Any], node: dict[str, Any]) -> AsyncNode:
    """Open one node of this process."""
    network = Network(
        network_id="bench",
        members=None,
        carrier_name=options["carrier"],
        carrier_settings=options["carrier_settings"],
        directory_name=options["directory"],
        directory_settings={"port": node["dht_port"], "bootstrap": options["bootstrap"]},
    )
    return await AsyncNode.open(options["template"], home=node["home"], network=network, follow=False)


async def answer(nodes: dict[str, AsyncNode], options: dict[str, Any], request: dict[str, Any]) -> None:
    """Do what a request says; its last answer has ``done``."""
    try:
        found = await do(nodes, options, request)
    except FingerpostError as error:
        found = {"error": error.code, "message": error.message}
    say({"id": request["id"], "done": True, **found})


async def do(nodes: dict[str, AsyncNode], options: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """Carry out one request."""
    if request["do"] == "join":
        start = time.perf_counter()
        node = nodes[request["node"]] = await open_node(options, request)
        found = await node.ask({"x": 50.0, "y": 50.0}, mode="cells")
        return {"seconds": time.perf_counter() - start, "packets": found.packets, "abstained": found.abstained}
    node = nodes[request["node"]]
    match request["do"]:
        case "emit":
            return await emit(node, request)
        case "ask":
            return await ask(node, request)
        case "ids":
            ids = packet_ids(await node.packets())
            await asyncio.to_thread(Path(request["path"]).write_bytes, ids.tobytes())
            return {"packets": len(ids)}
        case "groups":
            return {
                "groups": [
                    {
                        "number": group.number,
                        "complete": group.complete,
                        "packets": group.packets,
                        "digest": group.digest.hex(),
                    }
                    for group in node.groups()
                    if group.holds
                ]
            }
        case unknown:
            raise ValueError(f"no request is called {unknown!r}")


async def emit(node: AsyncNode, request: dict[str, Any]) -> dict[str, Any]:
    """Emit tables of random rows one after the other, and say after each whether it is acknowledged."""
    random, seconds = np.random.default_rng(request["seed"]), []
    for _ in range(request["tables"]):
        rows = request["rows"]
        table = {
            "x": random.uniform(0, 100, rows).round(2).tolist(),
            "y": random.uniform(0, 100, rows).round(2).tolist(),
            "result": random.choice(["bad", "good"], rows).tolist(),
        }
        start = time.perf_counter()
        emission = await node.emit_table(table)
        seconds.append(time.perf_counter() - start)
        if emission.acknowledged and request.get("tells"):
            say({"id": request["id"], "acknowledged": "".join(emission.packet_ids)})
        elif not emission.acknowledged:
            say({"id": request["id"], "unacknowledged": rows, "holders": emission.holders})
    return {"seconds": seconds}


async def ask(node: AsyncNode, request: dict[str, Any]) -> dict[str, Any]:
    """Ask some random questions one after the other; say how long each took, and how the last went."""
    random, seconds = np.random.default_rng(request["seed"]), []
    for _ in range(request["times"]):
        situation = {"x": float(random.uniform(0, 100)), "y": float(random.uniform(0, 100))}
        start = time.perf_counter()
        found = await node.ask(situation, mode=request["mode"])
        seconds.append(time.perf_counter() - start)
    gathering = found.gathering
    return {
        "seconds": seconds,
        "packets": found.packets,
        "abstained": found.abstained,
        "attested": gathering is not None and gathering.attested,
    }


def say(value: dict[str, Any]) -> None:
    """Write one answer."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
