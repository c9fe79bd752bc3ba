"""In a network of several regions groups are placed and found by region, and every invariant holds as elsewhere."""

from __future__ import annotations

import pytest

from fingerpost.sim.options import SimulationOptions
from fingerpost.sim.world import World
from tests.small_regions import NODES, small_regions


@pytest.mark.parametrize("seed", [5, 8, 14])
def test_a_network_of_several_regions_keeps_every_invariant_and_nobody_knows_everybody(seed: int) -> None:
    with small_regions():
        world = World(seed, SimulationOptions(nodes=NODES, steps=30))
        world.run()
        now, template = world.schedule.now, world.template
        running = [each for each in world.stations if each.engine is not None and each.is_honest]
        everybody = {each.public_key for each in running}
        for number in range(1 << template.group_bits):
            candidates = world.directory.candidates(number, now=now)
            assert candidates is not None, "the network has been divided"
            assert len(everybody & candidates) < len(everybody)
            for station in running:
                assert station.engine is not None
                holds = station.engine.group(template.template_id, number).holds
                assert not holds or station.public_key in candidates
        assert world.counts()["packets_acknowledged"] > 0
        assert world.counts()["complete_answers"] > 0
