"""A node answers the same whether its packets are searched by an index or looked at one by one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fingerpost.store.index import FlatNeighbours
from fingerpost.synthesis import Evidence, Query, Synthesizer, Weighing
from fingerpost.synthesis.distances import Scan
from fingerpost.synthesis.kernel import KernelOptions
from fingerpost.template import infer_template

ASKER = bytes(range(32))


def synthesizer_of(neighbours_of, *, nodes: int, seed: int = 3) -> Synthesizer:
    generator = np.random.default_rng(seed)
    size = 3_000
    prints = np.zeros((size, 32), np.uint8)
    prints[:, :3] = generator.integers(0, 256, (size, 3))  # most ties are at the edge
    emitters = np.zeros((size, 32), np.uint8)
    emitters[:, 0] = generator.integers(0, nodes, size) ** 2 // nodes  # some nodes have many packets, others few
    columns = {"x": generator.normal(size=200).round(3), "outcome": ["yes", "no"] * 100}
    template = infer_template(columns, outcome="outcome", name="search", data_class="non_personal").template
    evidence = Evidence.from_arrays(
        fingerprints=prints,
        codes=(np.bitwise_count(prints[:, 0]) + generator.integers(0, 3, size) > 4).astype(int),
        levels=2,
        emitters=emitters,
        packet_ids=generator.integers(0, 256, (size, 32), dtype=np.uint8),
    )
    template = dataclasses.replace(template, fingerprint_bits=256)
    return Synthesizer(evidence, template, day=0, options=KernelOptions(neighbours=64), neighbours_of=neighbours_of)


@pytest.mark.parametrize("nodes", [1, 2, 40], ids=lambda nodes: f"{nodes} nodes")
def test_answers_and_all_that_is_fitted_are_bit_for_bit_those_of_a_scan(nodes: int) -> None:
    scanned, found = (synthesizer_of(each, nodes=nodes) for each in (Scan, FlatNeighbours))
    generator = np.random.default_rng(0)
    queries = [Query(fingerprint=generator.bytes(3) + bytes(29)) for _ in range(5)]
    weighing = Weighing(asker=ASKER, standings=dict.fromkeys(("pooled", "node-aware", "linear", "usual"), 0.25))
    assert found.ask_many(queries, weighing=weighing) == scanned.ask_many(queries, weighing=weighing)
    assert found.panel(ASKER).trial == scanned.panel(ASKER).trial
    for name in ("predicted", "variance", "nearest", "rows"):
        ours, theirs = (getattr(each.uncertainty.fitted.residuals, name) for each in (found, scanned))
        assert ours.tobytes() == theirs.tobytes()


async def open_node(folder):
    from fingerpost.node.runtime import AsyncNode

    template = synthesizer_of(Scan, nodes=2).template
    return await AsyncNode.open(template, home=folder / "home")


def test_a_node_that_is_opened_searches_with_the_index(tmp_path) -> None:
    import asyncio

    async def opened():
        node = await open_node(tmp_path)
        synthesizer = node._engine.synthesizer(node.template.template_id, conditions={}, now=0.0)
        await node.close()
        return synthesizer

    assert asyncio.run(opened()).neighbours_of is FlatNeighbours
