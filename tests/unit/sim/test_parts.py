"""The simulated parts keep the promises of the ports that they stand for, and break nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from fingerpost.errors import UsageError
from fingerpost.ids import PublicKey
from fingerpost.sim.chance import Chance
from fingerpost.sim.disk import PowerCut, SimulatedDisk, SimulatedStore
from fingerpost.sim.network import Endpoint, SimulatedNetwork
from fingerpost.sim.options import Plan, SimulationOptions
from fingerpost.sim.schedule import DriftingClock, Schedule
from fingerpost.sim.sizes import items_held
from fingerpost.testing.packet_samples import observation, signed, signer
from fingerpost.testing.store_kit import check_store

A, B = PublicKey(b"a" * 32), PublicKey(b"b" * 32)
DAY = 20_000


def packets(*numbers: int) -> np.ndarray:
    return signed([observation(signer(0), number) for number in numbers], signer(0))


def plan_without_faults(*, broken_links: float = 0, mangled_frames: float = 0) -> Plan:
    plan = next(
        plan
        for seed in range(1_000)
        if (plan := Plan.drawn_for(seed, SimulationOptions())).asks_after_joins > 1  # nothing breaks in these
    )
    return dataclasses.replace(
        plan, slow_frames=0.3, latency_seconds=0.05, broken_links=broken_links, mangled_frames=mangled_frames
    )


class Post:
    """Two processes on a simulated network, and what they got."""

    def __init__(self, plan: Plan) -> None:
        self.schedule = Schedule(start=0)
        self.network = SimulatedNetwork(self.schedule, Chance("post"), plan)
        self.arrived: list[bytes] = []
        self.given_up: list[PublicKey] = []
        self.a, self.b = self.process(A), self.process(B)

    def process(self, key: PublicKey) -> Endpoint:
        endpoint = Endpoint(
            public_key=key,
            name=key[:1].decode(),
            deliver=lambda frame, _: self.arrived.append(frame),
            give_up=self.given_up.append,
        )
        self.network.open(endpoint)
        return endpoint

    def send(self, *numbers: int) -> list[bytes]:
        frames = [bytes([number]) for number in numbers]
        for frame in frames:
            self.network.send(frame, sender=self.a, to=B)
        return frames

    def run(self) -> None:
        while (action := self.schedule.next_before(self.schedule.now + 100)) is not None:
            action()


def test_the_simulated_store_keeps_the_promises_of_a_store(tmp_path: Path) -> None:
    disks: dict[Path, SimulatedDisk] = {}

    def open_store(directory: Path, **options: int) -> SimulatedStore:
        return SimulatedStore(disks.setdefault(directory, SimulatedDisk()), **options)

    check_store(open_store, tmp_path)


@pytest.mark.parametrize(("before", "kept"), [(True, 1), (False, 2)])
def test_a_power_cut_leaves_a_call_undone_or_done_and_nothing_between(before: bool, kept: int) -> None:
    disk = SimulatedDisk()
    store = SimulatedStore(disk)
    store.add(packets(1), day=DAY)
    disk.cut_power_at(call=0, before=before)
    with pytest.raises(PowerCut):
        store.add(packets(2), day=DAY)
    assert len(disk.packets) == kept
    assert SimulatedStore(disk).stats().packets == kept


def test_a_lost_disk_is_empty_for_whoever_opens_it_next() -> None:
    disk = SimulatedDisk()
    store = SimulatedStore(disk)
    store.add(packets(1), day=DAY)
    disk.lose()
    store.add(packets(2), day=DAY)
    assert not disk.packets


def test_frames_of_one_connection_arrive_in_order_however_slow_some_are() -> None:
    post = Post(plan_without_faults())
    sent = post.send(*range(50))
    post.run()
    assert post.arrived == sent


def test_a_broken_connection_loses_frames_but_repeats_and_swaps_none() -> None:
    post = Post(plan_without_faults(broken_links=0.1))
    sent = post.send(*range(100))
    post.run()
    assert 0 < len(post.arrived) < len(sent)
    assert post.arrived == sorted(set(post.arrived))


def test_mangled_frames_come_twice_late_or_never() -> None:
    post = Post(plan_without_faults(mangled_frames=1.0))
    sent = post.send(*range(100))
    post.run()
    assert set(post.arrived) < set(sent)
    assert len(post.arrived) > len(set(post.arrived))
    assert post.arrived != sorted(post.arrived)


def test_a_partition_cuts_what_is_on_its_way_and_heals() -> None:
    post = Post(plan_without_faults())
    post.send(1)
    post.network.split([[A], [B]], one_way=False)
    post.send(2)
    post.run()
    assert post.arrived == []
    post.network.heal()
    sent = post.send(3)
    post.run()
    assert post.arrived == sent


def test_a_partition_in_one_direction_lets_the_other_pass() -> None:
    post = Post(plan_without_faults())
    post.network.split([[B], [A]], one_way=True)
    sent = post.send(1)
    assert not post.network.reaches(B, A)
    post.run()
    assert post.arrived == sent


def test_a_process_that_starts_anew_gets_nothing_that_was_meant_for_the_one_before() -> None:
    post = Post(plan_without_faults())
    post.send(1)
    post.network.close(post.b)
    post.process(B)
    post.run()
    assert post.arrived == []


def test_whoever_sends_to_nobody_hears_of_it_sooner_or_later() -> None:
    post = Post(plan_without_faults())
    post.network.close(post.b)
    post.send(*range(20))
    post.run()
    assert post.given_up
    assert set(post.given_up) == {B}


def test_a_clock_knows_when_it_will_show_a_time() -> None:
    schedule = Schedule(start=1_000)
    clock = DriftingClock(schedule, ahead_seconds=30, drift=1e-3)
    due = clock.true_time(1_200)
    schedule.at(due, lambda: None)
    assert schedule.next_before(5_000) is not None
    assert clock.now() == pytest.approx(1_200)
    clock.turn(-10)
    assert clock.now() == pytest.approx(1_190)


def test_items_are_counted_in_every_table_that_an_object_reaches() -> None:
    class Root:
        def __init__(self) -> None:
            self.table = {1: [2, 3], 4: {5}}
            self.again = self.table
            held = [6, 7, 8]
            self.later = lambda: held

    assert items_held(Root()) == 2 + 2 + 1 + 3


@pytest.mark.parametrize("options", [{"nodes": 3}, {"nodes": 51}, {"steps": 0}, {"steps": 10**6}])
def test_options_that_make_no_network_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(UsageError) as raised:
        SimulationOptions(**options)
    assert raised.value.code == "simulation-options"
