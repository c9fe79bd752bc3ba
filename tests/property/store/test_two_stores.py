"""One state machine drives the memory store and the LMDB store, and they must never differ."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fingerpost.packet import packet_ids
from fingerpost.store._lmdb import LmdbStore
from fingerpost.store._memory import MemoryDisk, MemoryStore
from fingerpost.testing.packet_samples import observation, signed, signer, withdrawal

FIRST_DAY, LAST_DAY = 20_000, 20_012
QUOTA = 12
OTHER_TEMPLATE = bytes(16)


def sample_packets() -> np.ndarray:
    """Return packets of three emitters and two templates, most with several proofs, and withdrawals right and wrong."""
    batches = []
    signers = [signer(number) for number in range(3)]
    withdrawn = []
    for number, emitter in enumerate(signers):
        packets = [
            observation(
                emitter,
                100 * number + n,
                epoch=FIRST_DAY + n % 4,
                ttl_days=1 + n % 7,
                template_id=OTHER_TEMPLATE if n % 3 == 0 else bytes(range(16)),
            )
            for n in range(16)
        ]
        batches += [signed(packets, emitter), signed(packets[::-1], emitter), signed(packets[:1], emitter)]
        withdrawn += [packet.packet_id for packet in packets[:10]]
    for number, emitter in enumerate(signers):
        own = withdrawn[10 * number : 10 * number + 10]
        foreign = withdrawn[(10 * number + 10) % 30 :][:3]
        packets = [withdrawal(emitter, packet_id, epoch=FIRST_DAY) for packet_id in own + foreign]
        again = [withdrawal(emitter, packet_id, number=1, epoch=FIRST_DAY + n % 2) for n, packet_id in enumerate(own)]
        batches += [signed(packets, emitter), signed(packets[::-1], emitter), signed(again, emitter)]
        old = [withdrawal(emitter, own[0], number=2, epoch=FIRST_DAY - 3_645)]  # it dies while the test runs
        batches.append(signed(old, emitter))
    return np.concatenate(batches)


PACKETS = sample_packets()
IDS = np.unique(packet_ids(PACKETS), axis=0)
rows = st.lists(st.integers(0, len(PACKETS) - 1), max_size=60)
runs = st.tuples(st.integers(0, len(PACKETS) - 1), st.integers(1, 80))
days = st.integers(FIRST_DAY, LAST_DAY)
keys = st.binary(min_size=1, max_size=3)


class TwoStores(RuleBasedStateMachine):
    @initialize()
    def open_both(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.disk = MemoryDisk()
        self.started: list = []
        self.open()

    def open(self) -> None:
        self.memory = MemoryStore(self.disk, quota_packets=QUOTA)
        self.lmdb = LmdbStore(self.directory / "store", quota_packets=QUOTA)

    def add(self, chosen: Sequence[int] | slice, day: int) -> None:
        packets = PACKETS[chosen]
        before = self.lmdb.generation
        ids = self.live_ids()
        assert self.lmdb.add(packets, day=day).tolist() == self.memory.add(packets, day=day).tolist()
        assert (self.lmdb.generation > before) == (self.live_ids() != ids)

    @rule(chosen=rows, day=days)
    def add_scattered(self, chosen: list[int], day: int) -> None:
        self.add(chosen, day)

    @rule(run=runs, day=days)
    def add_a_run(self, run: tuple[int, int], day: int) -> None:
        self.add(slice(run[0], run[0] + run[1]), day)

    @rule(day=days)
    def expire(self, day: int) -> None:
        assert self.lmdb.expire(day) == self.memory.expire(day)

    @rule(chosen=rows, day=days)
    def drop(self, chosen: list[int], day: int) -> None:
        ids = IDS[[row % len(IDS) for row in chosen]]
        assert self.lmdb.drop(ids, day=day) == self.memory.drop(ids, day=day)

    @rule(day=days)
    def compact(self, day: int) -> None:
        self.lmdb.compact(day)
        self.memory.compact(day)
        assert self.lmdb.stats().dead_packets == 0
        assert self.lmdb.stats().dead_since is None

    @rule()
    def reopen(self) -> None:
        self.lmdb.close()
        self.memory.close()
        self.started.clear()
        self.open()

    @rule(
        table=st.sampled_from(["outbox", "settings"]), changes=st.dictionaries(keys, st.none() | st.binary(max_size=9))
    )
    def put_records(self, table: str, changes: dict[bytes, bytes | None]) -> None:
        self.lmdb.put_records(table, changes)
        self.memory.put_records(table, changes)

    @rule()
    def start_a_scan(self) -> None:
        self.started.append((self.live_ids(), self.live_ids(), self.lmdb.scan()))

    @rule()
    def finish_the_scans(self) -> None:
        for ids, stayed, scan in self.started:
            scanned = [row.tobytes() for block in scan for row in packet_ids(block)]
            assert len(set(scanned)) == len(scanned)
            assert stayed <= set(scanned) <= ids
        self.started.clear()

    def live_ids(self) -> set[bytes]:
        return set(self.memory_packets())

    def memory_packets(self) -> dict[bytes, bytes]:
        return self.disk.packets

    @invariant()
    def what_was_dropped_and_came_back_is_promised_by_no_scan_from_before(self) -> None:
        self.started = [(ids, stayed & self.live_ids(), scan) for ids, stayed, scan in self.started]

    @invariant()
    def both_hold_the_same(self) -> None:
        for template_id in (None, OTHER_TEMPLATE, b"unknown template"):
            scans = [list(store.scan(template_id)) for store in (self.lmdb, self.memory)]
            assert sorted(packet.tobytes() for block in scans[0] for packet in block) == sorted(
                packet.tobytes() for block in scans[1] for packet in block
            )
        withdrawals = [
            sorted(packet.tobytes() for block in store.withdrawals() for packet in block)
            for store in (self.lmdb, self.memory)
        ]
        assert withdrawals[0] == withdrawals[1]
        assert self.lmdb.get(IDS).tobytes() == self.memory.get(IDS).tobytes()
        assert self.lmdb.contains(IDS).tolist() == self.memory.contains(IDS).tolist()
        assert self.lmdb.templates().tolist() == self.memory.templates().tolist()
        for table in ("outbox", "settings"):
            assert list(self.lmdb.records(table)) == list(self.memory.records(table))

    @invariant()
    def both_count_the_same(self) -> None:
        counted = ("packets", "withdrawals", "emitters", "templates", "generation")
        ours, theirs = self.lmdb.stats(), self.memory.stats()
        assert [getattr(ours, name) for name in counted] == [getattr(theirs, name) for name in counted]
        emitters = [signer(number).public_key for number in range(3)]
        assert [self.lmdb.counts(emitter) for emitter in emitters] == [
            self.memory.counts(emitter) for emitter in emitters
        ]
        assert max(self.lmdb.counts(emitter)[0] for emitter in emitters) <= QUOTA

    def teardown(self) -> None:
        if hasattr(self, "lmdb"):
            assert self.lmdb.check() == []
            assert self.memory.check() == []
            self.lmdb.close()
            shutil.rmtree(self.directory)


TestTwoStores = TwoStores.TestCase
TestTwoStores.settings = settings(max_examples=40, stateful_step_count=25)
