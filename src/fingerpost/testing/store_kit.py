"""Does a store keep the promises of ``fingerpost.store.base.PacketStore``? ``check_store`` asks the store itself.

from fingerpost.testing.store_kit import check_store

def test_our_store_keeps_its_promises(tmp_path):
    check_store(OurStore, tmp_path)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, permutations
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fingerpost.errors import FingerpostError, StoreError, StoreFullError, UsageError
from fingerpost.limits import PACKET_SIZE_BYTES, STORE_QUOTA_PACKETS_DEFAULT, STORE_SIZE_BYTES_DEFAULT, WITHDRAWAL_DAYS
from fingerpost.packet import PACKET_DTYPE, packet_ids
from fingerpost.store.base import Packets, PacketStore, Verdict
from fingerpost.testing._store_views import by_id, joined, kept_withdrawals, live
from fingerpost.testing.packet_samples import id_of, ids_of, observation, signed, signer, withdrawal

DAY = 20_000
TTL_DAYS = 30
SMALL_STORE_BYTES = 1 << 20
OTHER_TEMPLATE = bytes(16)


class StoreFactory(Protocol):
    """Opens the store in a directory, or makes it there; a second call after ``close`` must find what was kept."""

    def __call__(self, directory: Path, *, quota_packets: int, size_bytes_max: int) -> PacketStore:
        """Return the open store. It never takes more than about ``size_bytes_max`` bytes of packets."""
        ...


def check_store(make_store: StoreFactory, directory: Path) -> None:
    """Check every promise of ``PacketStore``, each on a fresh store below ``directory``.

    Raises ``AssertionError`` that names the promise which is broken.
    """
    for number, check in enumerate(CHECKS):
        check(_Bench(make_store=make_store, directory=directory / f"{number:02}-{check.__name__.strip('_')}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """Where one promise is checked."""

    make_store: StoreFactory
    directory: Path
    quota_packets: int = STORE_QUOTA_PACKETS_DEFAULT
    size_bytes_max: int = STORE_SIZE_BYTES_DEFAULT

    @contextmanager
    def store(self) -> Iterator[PacketStore]:
        store = self.make_store(self.directory, quota_packets=self.quota_packets, size_bytes_max=self.size_bytes_max)
        try:
            yield store
        finally:
            store.close()

    def beside(self, name: str) -> _Bench:
        return replace(self, directory=self.directory / name)


def _packets_come_back_whole(bench: _Bench) -> None:
    emitter = signer(1)
    packets = np.concatenate(
        [
            signed([observation(emitter, n, template_id=OTHER_TEMPLATE) for n in range(3)], emitter),
            signed([observation(emitter, n) for n in range(3, 700)], emitter),
        ]
    )
    ids = packet_ids(packets)
    with bench.store() as store:
        _require(live(store) == {}, "a new store is empty")
        generation = store.generation
        _require(_verdicts(store, packets) == {Verdict.STORED}, "a new packet is STORED")
        _require(store.generation > generation, "the generation grows when packets come")
        _require(live(store) == by_id(packets), "scan gives each stored packet once, byte for byte")
        blocks = list(store.scan())
        _require(all(1 <= len(block) <= 256 for block in blocks), "scan gives arrays of 1 to 256 packets")
        _require(all(block.dtype == PACKET_DTYPE for block in blocks), "scan gives arrays of PACKET_DTYPE")
        some = joined(store.scan(OTHER_TEMPLATE))
        _require(ids_of(some) == ids_of(packets[:3]), "scan gives the packets of one template")
        _require(not list(store.scan(b"x" * 16)), "scan gives nothing for a template that is not here")
        wanted = np.concatenate([ids[::-7], np.zeros((1, 32), np.uint8), ids[:1], ids[:1]])
        _require(store.get(wanted).tobytes() == packets[[*range(699, -1, -7), 0, 0]].tobytes(), "get keeps the order")
        _require(store.contains(wanted).tolist() == [True] * 100 + [False, True, True], "contains agrees with get")
        _require(store.templates().tolist() == [list(OTHER_TEMPLATE), list(range(16))], "templates are sorted")
        stats = store.stats()
        counts = (stats.packets, stats.withdrawals, stats.emitters, stats.templates, stats.generation)
        _require(counts == (700, 0, 1, 2, store.generation), "stats counts what is here")
        _require(store.check() == [], "check finds nothing wrong with a sound store")
        _require(len(store.add(packets[:0], day=DAY)) == 0, "adding nothing is fine")


def _ids_may_be_passed_in(bench: _Bench) -> None:
    emitter = signer(1)
    packets = signed([observation(emitter, n) for n in range(5)], emitter)
    with bench.store() as store:
        store.add(packets, day=DAY, packet_ids=packet_ids(packets))
        _require(live(store) == by_id(packets), "ids that are passed in change nothing")


def _nothing_is_forgotten_on_closing(bench: _Bench) -> None:
    emitter = signer(1)
    kept, withdrawn, expired = (observation(emitter, n, ttl_days=TTL_DAYS if n else 60) for n in range(3))
    packets = signed([kept, withdrawn, expired], emitter)
    ending = signed([withdrawal(emitter, withdrawn.packet_id)], emitter)
    with bench.store() as store:
        store.add(packets, day=DAY)
        store.add(ending, day=DAY)
        store.expire(DAY + TTL_DAYS)
        store.put_record("settings", b"key", b"value")
        generation = store.generation
    with bench.store() as store:
        _require(live(store) == by_id(packets[:1]), "packets are here after reopening, and no dead ones")
        _require(kept_withdrawals(store) == by_id(ending), "withdrawals are here after reopening")
        _require(store.get_record("settings", b"key") == b"value", "records are here after reopening")
        _require(store.generation >= generation, "the generation never goes back")
        _require(_verdicts(store, packets[:1]) == {Verdict.DUPLICATE}, "a duplicate is known after reopening")
        _require(_verdicts(store, packets[1:2]) == {Verdict.WITHDRAWN}, "a withdrawal holds after reopening")
        _require(store.check() == [], "check finds nothing wrong after reopening")


def _one_packet_an_id_with_the_smallest_proof(bench: _Bench) -> None:
    emitter = signer(1)
    pair = [observation(emitter, n) for n in range(2)]
    proofs = np.concatenate([signed(pair, emitter)[:1], signed(pair[::-1], emitter)[1:], signed(pair[:1], emitter)])
    proofs = np.sort(proofs.view(f"V{PACKET_SIZE_BYTES}")).view(PACKET_DTYPE)  # one body: ordered by proof
    smallest = by_id(proofs[:1])
    for number, order in enumerate(permutations(range(3))):
        with bench.beside(f"{number}").store() as store:
            expected, best = [], 3
            for which in order:
                expected.append(
                    Verdict.STORED if best == 3 else Verdict.PROOF_IMPROVED if which < best else Verdict.DUPLICATE
                )
                best = min(best, which)
            verdicts = [int(store.add(proofs[which : which + 1], day=DAY)[0]) for which in order]
            _require(verdicts == expected, "a packet that is here is a DUPLICATE, unless its proof is smaller")
            _require(live(store) == smallest, "the smallest proof stays")
        with bench.beside(f"{number}-together").store() as store:
            together = store.add(proofs[list(order)], day=DAY).tolist()
            _require(together == expected, "copies in one array are judged one after the other")
            _require(live(store) == smallest, "the smallest proof of one array stays")
            _require(store.stats().packets == 1, "copies count once")


def _withdrawals_work_in_any_order(bench: _Bench) -> None:
    emitter, stranger = signer(1), signer(2)
    target, other = observation(emitter, 0), observation(emitter, 1)
    packets = signed([target, other], emitter)
    ending = signed([withdrawal(emitter, target.packet_id)], emitter)
    foreign = signed([withdrawal(stranger, other.packet_id)], stranger)
    additions = {
        "before": [ending, foreign, packets],
        "after": [packets, foreign, ending],
        "with": [np.concatenate([packets, ending, foreign])],
        "between": [packets[:1], ending, packets[1:], foreign],
        "twice": [packets, ending, packets, ending, foreign],
    }
    for name, arrays in additions.items():
        with bench.beside(name).store() as store:
            for array in arrays:
                store.add(array, day=DAY)
            _require(
                live(store) == by_id(packets[1:]),
                f"a withdrawal ends the packet it names, by its emitter alone ({name})",
            )
            _require(kept_withdrawals(store) == by_id(joined([ending, foreign])), f"withdrawals are kept ({name})")
            _require(store.contains(id_of(target)).tolist() == [False], "contains denies a withdrawn packet")
            _require(not len(store.get(id_of(target))), "get does not give a withdrawn packet")
            _require(ids_of(store.get(packet_ids(ending))) == ids_of(ending), "get gives withdrawals too")
            _require(_verdicts(store, packets[:1]) == {Verdict.WITHDRAWN}, "a withdrawn packet is refused")
            _require(_verdicts(store, ending) == {Verdict.DUPLICATE}, "a withdrawal that is here is a DUPLICATE")
            _require(store.check() == [], "check finds nothing wrong after withdrawals")
    with bench.beside("verdicts").store() as store:
        store.add(packets, day=DAY)
        generation = store.generation
        _require(_verdicts(store, ending) == {Verdict.TOMBSTONE}, "a new withdrawal is a TOMBSTONE")
        _require(store.generation > generation, "the generation grows when a packet is withdrawn")


def _withdrawals_outlive_what_they_name(bench: _Bench) -> None:
    emitter = signer(1)
    target = observation(emitter, 0, ttl_days=3_650)
    packets = signed([target], emitter)
    ending = signed([withdrawal(emitter, target.packet_id)], emitter)
    later = signed([withdrawal(emitter, target.packet_id, number=1, epoch=DAY + 1)], emitter)
    with bench.store() as store:
        store.add(ending, day=DAY)
        store.expire(DAY + 3_649)
        store.compact(DAY + 3_649)
        _require(_verdicts(store, packets, day=DAY + 3_649) == {Verdict.WITHDRAWN}, "a withdrawal outlives its packet")
        _require(store.expire(DAY + WITHDRAWAL_DAYS) == 1, "a withdrawal is dropped when nothing is left to name")
        _require(kept_withdrawals(store) == {}, "a withdrawal is dropped when nothing is left to name")
    for name, arrays in {"growing": [ending, later], "shrinking": [later, ending]}.items():
        with bench.beside(name).store() as store:
            for array in arrays:
                store.add(array, day=DAY)
            _require(kept_withdrawals(store) == by_id(later), "of two withdrawals of one packet the later stays")
            found = store.contains(np.concatenate([packet_ids(ending), packet_ids(later)]))
            _require(found.tolist() == [False, True], "a replaced withdrawal is gone")


def _nothing_expired_is_kept(bench: _Bench) -> None:
    emitter = signer(1)
    packets = signed([observation(emitter, n, ttl_days=1 + n) for n in range(600)], emitter)
    with bench.store() as store:
        verdicts = store.add(packets, day=DAY + 10)
        _require(set(verdicts[:10].tolist()) == {Verdict.EXPIRED}, "a packet is dead from its epoch plus its days on")
        _require(set(verdicts[10:].tolist()) == {Verdict.STORED}, "a packet lives until its days are over")
        generation = store.generation
        _require(store.expire(DAY + 10) == 0, "expire drops nothing that is alive")
        _require(store.generation == generation, "the generation stands still when nothing changes")
        _require(store.expire(DAY + 300) == 290, "expire says how many it drops")
        _require(store.generation > generation, "the generation grows when packets expire")
        _require(live(store) == by_id(packets[300:]), "expire drops what is dead and nothing else")
        _require(store.stats().packets == 300, "what expired is not counted")
        _require(not store.contains(packet_ids(packets[10:20])).any(), "contains denies what expired")
        _require(not len(store.get(packet_ids(packets[10:20]))), "get does not give what expired")
    with bench.store() as store:
        _require(live(store) == by_id(packets[300:]), "what expired stays away after reopening")
        again = _verdicts(store, packets[200:201], day=DAY)
        _require(again == {Verdict.STORED}, "each call is judged by its own day")
        store.compact(DAY + 400)
        _require(live(store) == by_id(packets[400:]), "compact drops what is dead")


def _what_is_dropped_may_come_back(bench: _Bench) -> None:
    emitter = signer(1)
    packets = signed([observation(emitter, n) for n in range(600)], emitter)
    ids = packet_ids(packets)
    with bench.store() as store:
        store.add(packets, day=DAY)
        generation = store.generation
        _require(store.drop(np.zeros((1, 32), np.uint8), day=DAY) == 0, "dropping what is not here is harmless")
        _require(store.generation == generation, "the generation stands still when nothing changes")
        _require(store.drop(np.concatenate([ids[::2], ids[:1]]), day=DAY) == 300, "drop says how many it let go")
        _require(store.generation > generation, "the generation grows when packets are dropped")
        _require(live(store) == by_id(packets[1::2]), "drop lets go of what it names and nothing else")
        _require(not store.contains(ids[::2]).any(), "contains denies what was dropped")
        _require(_verdicts(store, packets[:1]) == {Verdict.STORED}, "what was dropped is STORED when it comes back")
        store.drop(ids[:1], day=DAY)
    with bench.store() as store:
        _require(live(store) == by_id(packets[1::2]), "what was dropped stays away after reopening")
        _require(_verdicts(store, packets[::2]) == {Verdict.STORED}, "what was dropped is STORED when it comes back")
        _require(live(store) == by_id(packets), "what was dropped and came back is here")
        _require(store.check() == [], "check finds nothing wrong after a drop")


def _an_emitter_has_a_quota(bench: _Bench) -> None:
    bench = replace(bench, quota_packets=4)
    emitter, other = signer(1), signer(2)
    packets = signed([observation(emitter, n) for n in range(6)], emitter)
    others = signed([observation(other, 10 + n) for n in range(3)], other)
    endings = signed([withdrawal(emitter, packet_ids(packets[n : n + 1]).tobytes()) for n in range(5)], emitter)
    with bench.store() as store:
        mixed = np.concatenate([packets[:3], others, packets[3:]])
        verdicts = store.add(mixed, day=DAY).tolist()
        _require(verdicts == [Verdict.STORED] * 7 + [Verdict.OVER_QUOTA] * 2, "an emitter has its quota and no more")
        _require(_verdicts(store, packets[:4]) == {Verdict.DUPLICATE}, "a quota that is full refuses no duplicate")
        store.add(endings[:1], day=DAY)
        _require(_verdicts(store, packets[4:5]) == {Verdict.STORED}, "a packet that went makes room for another")
        both = store.add(np.concatenate([packets[5:6], endings[1:2]]), day=DAY).tolist()
        _require(both == [Verdict.STORED, Verdict.TOMBSTONE], "withdrawals act first, also in making room")
        _require(store.add(endings[2:], day=DAY).tolist() == [Verdict.TOMBSTONE] * 2 + [Verdict.OVER_QUOTA],
                 "an emitter has a quota of withdrawals")  # fmt: skip
    with bench.store() as store:
        _require(_verdicts(store, endings[4:]) == {Verdict.OVER_QUOTA}, "the quota holds after reopening")
        newcomer = signed([observation(signer(3), 20 + n) for n in range(6)], signer(3))
        said = [store.add(newcomer, day=DAY, quota_packets=quota).tolist() for quota in (2, 9)]
        _require(said[0] == [Verdict.STORED] * 2 + [Verdict.OVER_QUOTA] * 4, "the smaller quota of a call holds")
        _require(said[1] == [Verdict.DUPLICATE] * 2 + [Verdict.STORED] * 2 + [Verdict.OVER_QUOTA] * 2,
                 "no call has a larger quota than the store")  # fmt: skip


def _order_has_no_meaning(bench: _Bench) -> None:
    rng = np.random.default_rng(0)
    emitters = [signer(n) for n in range(3)]
    arrays = []
    for number, emitter in enumerate(emitters):
        own = [observation(emitter, 100 * number + n, ttl_days=1 + n % 3) for n in range(30)]
        arrays += [signed(own, emitter), signed(own[::-1], emitter)]
        arrays.append(signed([withdrawal(emitter, packet.packet_id) for packet in own[::4]], emitter))
        arrays.append(
            signed([withdrawal(emitters[number - 1], packet.packet_id) for packet in own[1::4]], emitters[number - 1])
        )
    everything = np.concatenate(arrays)
    outcomes = []
    for number in range(4):
        with bench.beside(f"{number}").store() as store:
            for part in np.array_split(rng.permutation(len(everything)), 1 + 3 * number):
                store.add(everything[part], day=DAY)
            store.expire(DAY + 1)
            outcomes.append((live(store), kept_withdrawals(store)))
    _require(all(outcome == outcomes[0] for outcome in outcomes), "any order and grouping leaves the same")


def _a_full_store_keeps_all_or_nothing(bench: _Bench) -> None:
    bench = replace(bench, size_bytes_max=SMALL_STORE_BYTES)
    emitter = signer(1)
    added: dict[bytes, bytes] = {}
    with bench.store() as store:
        for start in count(0, 300):
            _require(start * PACKET_SIZE_BYTES <= 2 * SMALL_STORE_BYTES, "a store that is full raises StoreFullError")
            packets = signed([observation(emitter, start + n) for n in range(300)], emitter)
            generation = store.generation
            try:
                store.add(packets, day=DAY)
            except StoreFullError:
                break
            added |= by_id(packets)
        _require(live(store) == added, "a write that fails leaves nothing behind and loses nothing")
        _require(store.generation == generation, "a write that fails leaves the generation alone")
        _require(_verdicts(store, packets[:0]) == set(), "a full store goes on answering")
        records = {b"0": b"small", **{b"%d" % n: bytes(SMALL_STORE_BYTES // 4) for n in range(1, 9)}}
        _raises(StoreFullError, "store-full", lambda: store.put_records("table", records))
        _require(list(store.records("table")) == [], "records that find no room are not written in part")
        _require(store.check() == [], "check finds nothing wrong with a full store")
    with bench.store() as store:
        _require(live(store) == added, "a full store is whole after reopening")


def _iterators_are_snapshots(bench: _Bench) -> None:
    emitter = signer(1)
    packets = signed([observation(emitter, n, ttl_days=2 if n % 2 else TTL_DAYS) for n in range(900)], emitter)
    late = signed([observation(emitter, 1_000 + n) for n in range(300)], emitter)
    ending = signed([withdrawal(emitter, row.tobytes()) for row in packet_ids(packets[300:])], emitter)
    with bench.store() as store:
        store.add(packets, day=DAY)
        scan = store.scan()
        seen = [next(scan)]
        store.add(late, day=DAY)
        store.add(ending, day=DAY)
        store.expire(DAY + 2)
        store.compact(DAY + 2)
        seen += list(scan)
        ids = [row.tobytes() for block in seen for row in packet_ids(block)]
        _require(len(set(ids)) == len(ids), "scan gives no packet twice, whatever happens meanwhile")
        _require(set(live(store)) - ids_of(late) <= set(ids), "scan gives all that lived throughout")
        _require(set(ids) <= ids_of(packets), "scan gives nothing that came later")
        _require(kept_withdrawals(store) == by_id(ending), "withdrawals come in arrays of any number")
        _require(store.check() == [], "check finds nothing wrong after many withdrawals")
        dead = ids_of(packets) - set(live(store))
        _require(
            not {row.tobytes() for block in seen[1:] for row in packet_ids(block)} & dead, "scan gives nothing dead"
        )
        before = live(store)
        scan = store.scan()
        next(scan)["nonce"] ^= 1
        joined(scan)
        _require(live(store) == before, "arrays are copies: changing one does not change the store")


def _compacting_loses_nothing_and_erases(bench: _Bench) -> None:
    emitter = signer(1)
    packets = signed([observation(emitter, n) for n in range(300)], emitter)
    secret = observation(emitter, 1_000)
    ending = signed([withdrawal(emitter, secret.packet_id)], emitter)
    with bench.store() as store:
        store.add(packets[:200], day=DAY)
        store.add(signed([secret], emitter), day=DAY)
        store.add(packets[200:], day=DAY)
        store.put_record("table", b"key", b"value")
        store.put_record("derived-table", b"key", secret.nonce)
        store.add(ending, day=DAY + 3)
        dead = store.stats()
        _require(dead.dead_since in {None, DAY + 3}, "dead_since is the day from which bytes wait for compact")
        generation = store.generation
        store.compact(DAY + 4)
        _require(live(store) == by_id(packets), "compact keeps all that lives")
        _require(kept_withdrawals(store) == by_id(ending), "compact keeps withdrawals")
        _require(list(store.records("table")) == [(b"key", b"value")], "compact keeps records")
        _require(store.generation >= generation, "compact keeps the generation")
        stats = store.stats()
        _require((stats.dead_packets, stats.dead_since) == (0, None), "compact leaves nothing dead")
        _require(store.check() == [], "check finds nothing wrong after compact")
        _require(list(store.records("derived-table")) == [], "compact drops records that were derived from packets")
        files = [path for path in bench.directory.rglob("*") if path.is_file()]
        _require(not any(secret.nonce in path.read_bytes() for path in files), "compact erases what was withdrawn")
    with bench.store() as store:
        _require(live(store) == by_id(packets), "what compact wrote is here after reopening")


def _records_are_kept_by_table_and_key(bench: _Bench) -> None:
    with bench.store() as store:
        _require(store.get_record("a", b"key") is None, "a record that is not here is None")
        _require(list(store.records("a")) == [], "a table that is not here is empty")
        store.put_records("a", {b"2": b"two", b"1": b"one", b"3": b""})
        store.put_record("a-b", b"1", b"other")
        _require(list(store.records("a")) == [(b"1", b"one"), (b"2", b"two"), (b"3", b"")], "records come by key")
        _require(list(store.records("a-b")) == [(b"1", b"other")], "tables are apart")
        store.put_records("a", {b"1": None, b"2": b"new", b"9": None})
        _require(list(store.records("a")) == [(b"2", b"new"), (b"3", b"")], "records are replaced and removed")
        for broken in ({b"": b"x"}, {b"4": b"x", bytes(257): b"x"}):
            _raises(UsageError, "store-argument", partial(store.put_records, "a", broken))
        for table in ("", "A", "a/b", "x" * 65):
            _raises(UsageError, "store-argument", partial(store.put_record, table, b"key", b"value"))
        _require(store.get_record("a", b"4") is None, "a refused write leaves nothing behind")
        records = store.records("a")
        next(records)
        store.put_records("a", {b"3": None})
        _require(list(records) == [], "records gives nothing that is gone when it is due")


def _wrong_arguments_are_refused(bench: _Bench) -> None:
    emitter = signer(1)
    packets = signed([observation(emitter, n) for n in range(2)], emitter)
    with bench.store() as store:
        octets: Any = np.frombuffer(packets.tobytes(), np.uint8)
        calls: list[Callable[[], object]] = [
            lambda: store.add(octets, day=DAY),
            lambda: store.add(packets.reshape(1, 2), day=DAY),
            lambda: store.add(packets, day=-1),
            lambda: store.add(packets, day=DAY, packet_ids=packet_ids(packets[:1])),
            lambda: store.get(octets),
            lambda: store.contains(octets.reshape(2, 512)),
            lambda: store.scan(b"short"),
            lambda: store.expire(-1),
        ]
        for call in calls:
            _raises(UsageError, "store-argument", call)
        _require(live(store) == {}, "a refused call changes nothing")


def _a_closed_store_says_so(bench: _Bench) -> None:
    emitter = signer(1)
    packets = signed([observation(emitter, n) for n in range(300)], emitter)
    with bench.store() as store:
        store.add(packets, day=DAY)
        store.put_records("table", {b"1": b"", b"2": b""})
        scan, records = store.scan(), store.records("table")
        next(scan)
        next(records)
    store.close()
    calls: list[Callable[[], object]] = [
        lambda: store.add(packets, day=DAY),
        lambda: store.get(packet_ids(packets)),
        lambda: list(store.scan()),
        lambda: list(store.withdrawals()),
        lambda: store.expire(DAY),
        lambda: store.compact(DAY),
        lambda: store.put_record("table", b"key", b"value"),
        lambda: list(store.records("table")),
        store.stats,
        store.check,
        store.templates,
        lambda: store.generation,
        lambda: next(scan),
        lambda: next(records),
    ]
    for call in calls:
        _raises(StoreError, "store-closed", call)


CHECKS: tuple[Callable[[_Bench], None], ...] = (
    _packets_come_back_whole,
    _ids_may_be_passed_in,
    _nothing_is_forgotten_on_closing,
    _one_packet_an_id_with_the_smallest_proof,
    _withdrawals_work_in_any_order,
    _withdrawals_outlive_what_they_name,
    _nothing_expired_is_kept,
    _what_is_dropped_may_come_back,
    _an_emitter_has_a_quota,
    _order_has_no_meaning,
    _a_full_store_keeps_all_or_nothing,
    _iterators_are_snapshots,
    _compacting_loses_nothing_and_erases,
    _records_are_kept_by_table_and_key,
    _wrong_arguments_are_refused,
    _a_closed_store_says_so,
)


def _require(fact: object, promise: str) -> None:
    if not fact:
        raise AssertionError(f"broken promise: {promise}")


def _raises(error: type[FingerpostError], code: str, call: Callable[[], object]) -> None:
    try:
        call()
    except error as caught:
        _require(caught.code == code, f"the code of the {error.__name__} is {code}, not {caught.code}")
    else:
        raise AssertionError(f"broken promise: {error.__name__} ({code}) is raised where the port says so")


def _verdicts(store: PacketStore, packets: Packets, *, day: int = DAY) -> set[int]:
    return set(store.add(packets, day=day).tolist())
