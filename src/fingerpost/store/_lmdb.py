"""The durable store: blocks of packets in one LMDB file, laid out as ``_lmdb_blocks`` says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from fingerpost.errors import StoreError
from fingerpost.limits import (
    PACKET_SIZE_BYTES,
    STORE_BLOCK_PACKETS_MAX,
    STORE_QUOTA_PACKETS_DEFAULT,
    STORE_SIZE_BYTES_DEFAULT,
)
from fingerpost.packet import PACKET_DTYPE, RootCache
from fingerpost.packet import packet_ids as ids_of
from fingerpost.store._arguments import (
    checked_changes,
    checked_day,
    checked_ids,
    checked_key,
    checked_limits,
    checked_packets,
    checked_table,
    checked_template_id,
    closed,
    smaller_quota,
)
from fingerpost.store._catalog import Catalog
from fingerpost.store._inspection import inspect_packets, inspect_withdrawals
from fingerpost.store._lmdb_blocks import (
    block_key,
    change_packets,
    mark_gone,
    put_block,
    stored_blocks,
    write_blocks,
    write_items,
)
from fingerpost.store._lmdb_file import (
    CORRUPT_HINT,
    LmdbFile,
    LmdbWriter,
    Transaction,
    get_item,
    items,
    put_item,
)
from fingerpost.store._lmdb_pages import find_damage
from fingerpost.store.base import Ids, Packets, Problem, StoreStats, Verdicts
from fingerpost.store.retention import (
    DERIVED_TABLES_PREFIX,
    ID_SIZE_BYTES,
    KEY_SIZE_BYTES,
    Mask,
    Plan,
    Rows,
    end_days,
    plan_addition,
)

_BLOCK_SIZE_BYTES: Final = STORE_BLOCK_PACKETS_MAX * (PACKET_SIZE_BYTES + ID_SIZE_BYTES)
_PACKET_OCTETS: Final = np.dtype(("V", PACKET_SIZE_BYTES))  # copied whole, four times as fast as field by field
_COPY_BLOCKS: Final = 64  # written in one step of a compaction: 8 MiB of dirty pages


class LmdbStore:
    """A ``PacketStore`` in one directory, which it locks while it is open."""

    def __init__(
        self,
        directory: Path,
        *,
        create: bool = True,
        quota_packets: int = STORE_QUOTA_PACKETS_DEFAULT,
        size_bytes_max: int = STORE_SIZE_BYTES_DEFAULT,
    ) -> None:
        """Open the store in ``directory``, or make one there if ``create`` says so.

        Raises ``StoreError``: ``store-missing``, ``store-path``, ``store-locked``, ``store-corrupt``,
        ``store-foreign``, ``store-version``, ``store-io``, and ``StoreFullError``.
        """
        checked_limits(quota_packets, size_bytes_max)
        self._quota = quota_packets
        self._file = LmdbFile(Path(directory), create=create, size_bytes_max=size_bytes_max)
        self._is_open = True
        try:
            self._load()
        except BaseException:
            self._file.close()
            raise

    @property
    def generation(self) -> int:
        """See ``PacketStore``."""
        self._check_open()
        return self._generation

    def add(
        self, packets: Packets, *, day: int, packet_ids: Ids | None = None, quota_packets: int | None = None
    ) -> Verdicts:
        """See ``PacketStore``."""
        self._check_open()
        packets = checked_packets(packets, packet_ids)
        ids = ids_of(packets) if packet_ids is None else checked_ids(packet_ids)
        quota = smaller_quota(self._quota, quota_packets)
        plan = plan_addition(packets, ids, day=checked_day(day), quota=quota, held=self)
        if not plan.changes_nothing:
            self._carry_out(plan, day=day)
        return plan.verdicts

    def scan(self, template_id: bytes | None = None) -> Iterator[Packets]:
        """See ``PacketStore``."""
        self._check_open()
        return self._blocks(self._catalog, self._catalog.live_rows(checked_template_id(template_id)))

    def withdrawals(self) -> Iterator[Packets]:
        """See ``PacketStore``."""
        self._check_open()
        return self._withdrawal_blocks(list(self._withdrawals))

    def get(self, packet_ids: Ids) -> Packets:
        """See ``PacketStore``."""
        self._check_open()
        ids = checked_ids(packet_ids)
        rows = self._catalog.find(ids)
        found = np.zeros(len(ids), PACKET_DTYPE)
        here = rows >= 0
        found[here] = self._read_rows(rows[here])
        for place in np.flatnonzero(~here) if self._withdrawals else ():
            key = self._withdrawal_keys.get(ids[place].tobytes())
            withdrawal = None if key is None else self.held_withdrawal(key)
            if withdrawal is not None:
                found[place] = np.frombuffer(withdrawal, PACKET_DTYPE)[0]
                here[place] = True
        return found[here]

    def contains(self, packet_ids: Ids) -> npt.NDArray[np.bool_]:
        """See ``PacketStore``."""
        self._check_open()
        ids = checked_ids(packet_ids)
        here = self._catalog.find(ids) >= 0
        for place in np.flatnonzero(~here) if self._withdrawals else ():
            here[place] = ids[place].tobytes() in self._withdrawal_keys
        return here

    def expire(self, day: int) -> int:
        """See ``PacketStore``."""
        self._check_open()
        day = checked_day(day)
        rows = self._catalog.ended_rows(day)
        withdrawals = [key for key, kept in self._withdrawals.items() if kept.end_day <= day]
        self._remove(rows, withdrawals, day=day)
        return len(rows) + len(withdrawals)

    def drop(self, packet_ids: Ids, *, day: int) -> int:
        """See ``PacketStore``."""
        self._check_open()
        rows = np.unique(self._catalog.find(checked_ids(packet_ids)))
        rows = rows[rows >= 0]
        self._remove(rows, [], day=checked_day(day))
        return len(rows)

    def templates(self) -> Ids:
        """See ``PacketStore``."""
        self._check_open()
        return np.frombuffer(b"".join(self._catalog.live_templates()), np.uint8).reshape(-1, 16)

    def stats(self) -> StoreStats:
        """See ``PacketStore``."""
        self._check_open()
        return StoreStats(
            packets=self._catalog.live,
            withdrawals=len(self._withdrawals),
            emitters=self._catalog.live_emitters(),
            templates=len(self._catalog.live_templates()),
            dead_packets=self._catalog.dead,
            dead_since=self._dead_since,
            size_bytes=self._file.size_bytes(),
            generation=self._generation,
        )

    def check(self) -> list[Problem]:
        """See ``PacketStore``."""
        self._check_open()
        damage = find_damage(self._file.path)
        if damage is not None:
            return [Problem(code="file-damaged", message=damage)]
        problems: list[Problem] = []
        try:
            problems.extend(self._problems())
        except StoreError as error:
            if error.code != "store-corrupt":
                raise
            problems.append(Problem(code="file-damaged", message=error.message))
        return problems

    def compact(self, day: int) -> None:
        """See ``PacketStore``."""
        self._check_open()
        day = checked_day(day)
        self._file.replace(lambda writer: self._copy(writer, day=day))
        self._load()

    def put_records(self, table: str, changes: Mapping[bytes, bytes | None]) -> None:
        """See ``PacketStore``."""
        self._check_open()
        prefix = _record_prefix(table)
        checked = {prefix + key: value for key, value in checked_changes(changes).items()}
        if not checked:
            return

        def change(transaction: Transaction) -> None:
            for key, value in checked.items():
                if value is None:
                    transaction.delete(key, db=self._file.tables["records"])
                else:
                    put_item(transaction, self._file.tables, "records", key, value)

        self._file.write(change, size_bytes=sum(len(key) + len(value or b"") for key, value in checked.items()))

    def put_record(self, table: str, key: bytes, value: bytes) -> None:
        """See ``PacketStore``."""
        self.put_records(table, {key: value})

    def get_record(self, table: str, key: bytes) -> bytes | None:
        """See ``PacketStore``."""
        self._check_open()
        wanted = _record_prefix(table) + checked_key(key)
        with self._file.read() as transaction:
            return get_item(transaction, self._file.tables, "records", wanted)

    def records(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        """See ``PacketStore``."""
        self._check_open()
        prefix = _record_prefix(table)
        due: list[bytes] = []
        with self._file.read() as transaction, transaction.cursor(self._file.tables["records"]) as cursor:
            if cursor.set_range(prefix):
                for found in cursor.iternext(keys=True, values=False):
                    key = bytes(found)
                    if not key.startswith(prefix):
                        break
                    due.append(key[len(prefix) :])
        return self._record_items(table, due)

    def close(self) -> None:
        """See ``PacketStore``."""
        self._is_open = False
        self._file.close()

    def held_packets(self, packet_ids: Ids) -> tuple[Mask, Packets]:
        """See ``Holdings``."""
        rows = self._catalog.find(packet_ids)
        is_held = rows >= 0
        return is_held, self._read_rows(rows[is_held])

    def held_withdrawal(self, key: bytes) -> bytes | None:
        """See ``Holdings``."""
        if key not in self._withdrawals:
            return None
        with self._file.read() as transaction:
            return get_item(transaction, self._file.tables, "withdrawals", key)

    def holds_withdrawals(self) -> bool:
        """See ``Holdings``."""
        return bool(self._withdrawals)

    def counts(self, emitter: bytes) -> tuple[int, int]:
        """See ``Holdings``."""
        return self._catalog.live_count(emitter), self._withdrawals_of[emitter]

    def _problems(self) -> Iterator[Problem]:
        """Yield what is wrong with packets, withdrawals and records, and with what memory knows of them."""
        cache = RootCache()
        seen: set[bytes] = set()
        with self._file.read() as transaction:
            for block in stored_blocks(transaction, self._file.tables):
                if not block.is_whole:
                    yield Problem(code="block-damaged", message=f"block {block.number} has changed")
                    rows = self._catalog.live_rows_of_block(block.number)
                    packets, ids = self._read_rows(rows), self._catalog.ids[rows]  # which of them?
                else:
                    packets, ids = block.packets[block.alive], block.ids[block.alive]
                yield from inspect_packets(packets, ids, cache=cache)
                for row in ids:
                    packet_id = row.tobytes()
                    if packet_id in seen:
                        message = f"the packet {packet_id.hex()} is kept twice"
                        yield Problem(code="packet-twice", message=message, packet_id=packet_id)
                    seen.add(packet_id)
        for packet_id in seen ^ {row.tobytes() for row in self._catalog.ids[self._catalog.live_rows()]}:
            message = f"memory and file disagree on the packet {packet_id.hex()}"
            yield Problem(code="index-differs", message=message, packet_id=packet_id)
        keys = [key for key in self._withdrawals if self.held_withdrawal(key) is not None]
        for key in self._withdrawals.keys() - set(keys):
            yield Problem(code="index-differs", message=f"memory and file disagree on the withdrawal of {key.hex()}")
        packets = np.concatenate([np.empty(0, PACKET_DTYPE), *self._withdrawal_blocks(keys)])
        yield from inspect_withdrawals(packets, keys, cache=cache)
        for _ in self._items("records"):  # reading one checks it
            pass

    def _check_open(self) -> None:
        if not self._is_open:
            raise closed()

    def _load(self) -> None:
        """Learn from the file what is in it."""
        self._catalog = Catalog()
        self._withdrawals: dict[bytes, _KeptWithdrawal] = {}
        self._withdrawal_keys: dict[bytes, bytes] = {}
        self._withdrawals_of: Counter[bytes] = Counter()
        self._next_block = 0
        with self._file.read() as transaction:
            for block in stored_blocks(transaction, self._file.tables):
                if not block.is_whole:
                    raise StoreError(
                        "store-corrupt",
                        f"{self._file.path} is damaged: block {block.number} has changed",
                        hint=CORRUPT_HINT,
                    )
                self._catalog.append(block.packets, block.ids, block=block.number, alive=block.alive)
                self._next_block = block.number + 1
            for key, packet in items(transaction, self._file.tables, "withdrawals"):
                self._note_withdrawal(key, packet)
            for _ in items(transaction, self._file.tables, "records"):  # Reading one checks it.
                pass
            self._generation = self._state(transaction, b"generation") or 0
            self._dead_since = self._state(transaction, b"dead-since")

    def _blocks(self, catalog: Catalog, rows: Rows) -> Iterator[Packets]:
        """Yield copies of the packets in these rows of a catalog, those that are still live when they are due."""
        for start in range(0, len(rows), STORE_BLOCK_PACKETS_MAX):
            self._check_open()
            due = rows[start : start + STORE_BLOCK_PACKETS_MAX]
            if self._catalog is catalog:
                due = due[catalog.rows["alive"][due]]
            else:  # compacted since: the rows have other numbers
                due = self._catalog.find(catalog.ids[due])
                due = due[due >= 0]
            if len(due):
                yield self._read_rows(due)

    def _withdrawal_blocks(self, keys: list[bytes]) -> Iterator[Packets]:
        for start in range(0, len(keys), STORE_BLOCK_PACKETS_MAX):
            self._check_open()
            due = [self.held_withdrawal(key) for key in keys[start : start + STORE_BLOCK_PACKETS_MAX]]
            found = b"".join(packet for packet in due if packet is not None)
            if found:
                yield np.frombuffer(bytearray(found), PACKET_DTYPE)

    def _record_items(self, table: str, due: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for key in due:
            value = self.get_record(table, key)
            if value is not None:
                yield key, value

    def _read_rows(self, rows: Rows) -> Packets:
        """Return copies of the packets in these rows, in their order."""
        packets = np.empty(len(rows), PACKET_DTYPE)
        octets = packets.view(_PACKET_OCTETS)
        if len(rows):
            with self._file.read() as transaction:
                for number, places, slots in self._by_block(rows):
                    value = transaction.get(block_key(number), db=self._file.tables["packets"])
                    octets[places] = np.frombuffer(value, _PACKET_OCTETS)[slots]
        return packets

    def _by_block(self, rows: Rows) -> Iterator[tuple[int, Rows, Rows]]:
        """Yield (block number, places in ``rows``, slots in the block) for each block that the rows touch."""
        entries = self._catalog.rows[rows]
        order = np.argsort(entries["block"], kind="stable")
        blocks = entries["block"][order]
        starts = np.flatnonzero(np.diff(blocks, prepend=-1)).tolist()
        for start, end in pairwise([*starts, len(rows)]):
            places = order[start:end]
            yield int(blocks[start]), places, entries["slot"][places]

    def _carry_out(self, plan: Plan, *, day: int) -> None:
        removed = self._catalog.find(plan.removed_ids)
        improved = self._catalog.find(plan.improved_ids)
        generation = self._generation + plan.changes_live_packets
        died_on = day if len(removed) else None
        parts = _parts(len(plan.stored))

        def change(transaction: Transaction) -> None:
            tables = self._file.tables
            for number, places, slots in self._by_block(improved):
                change_packets(transaction, tables, number, slots, plan.improved[places])
            for number, _, slots in self._by_block(removed):
                mark_gone(transaction, tables, number, slots)
            for key, packet in plan.withdrawals.items():
                put_item(transaction, tables, "withdrawals", key, packet)
            for number, part in enumerate(parts, self._next_block):
                put_block(transaction, tables, number, plan.stored[part], plan.stored_ids[part])
            self._write_state(transaction, generation=generation, died_on=died_on)

        blocks = len(parts) + min(len(improved), len(set(self._catalog.rows["block"][improved].tolist())))
        size = blocks * _BLOCK_SIZE_BYTES + PACKET_SIZE_BYTES * (len(plan.withdrawals) + len(removed))
        self._file.write(change, size_bytes=size)
        self._catalog.kill(removed)
        for key, packet in plan.withdrawals.items():
            if key in self._withdrawals:
                self._forget_withdrawal(key)
            self._note_withdrawal(key, packet)
        if parts:
            blocks_of_rows = self._next_block + np.arange(len(plan.stored)) // STORE_BLOCK_PACKETS_MAX
            self._catalog.append(plan.stored, plan.stored_ids, block=blocks_of_rows)
            self._next_block += len(parts)
        self._note_state(generation=generation, died_on=died_on)

    def _remove(self, rows: Rows, withdrawals: list[bytes], *, day: int) -> None:
        """End live packets, given by their rows, and withdrawals, given by their keys."""
        if not len(rows) and not withdrawals:
            return
        generation = self._generation + bool(len(rows))

        def change(transaction: Transaction) -> None:
            for number, _, slots in self._by_block(rows):
                mark_gone(transaction, self._file.tables, number, slots)
            for key in withdrawals:
                transaction.delete(key, db=self._file.tables["withdrawals"])
            self._write_state(transaction, generation=generation, died_on=day)

        self._file.write(change, size_bytes=PACKET_SIZE_BYTES * len(rows))
        self._catalog.kill(rows)
        for key in withdrawals:
            self._forget_withdrawal(key)
        self._note_state(generation=generation, died_on=day)

    def _write_state(self, transaction: Transaction, *, generation: int, died_on: int | None) -> None:
        put_item(transaction, self._file.tables, "meta", b"generation", b"%d" % generation)
        if died_on is not None and self._dead_since is None:
            put_item(transaction, self._file.tables, "meta", b"dead-since", b"%d" % died_on)

    def _note_state(self, *, generation: int, died_on: int | None) -> None:
        self._generation = generation
        if self._dead_since is None:
            self._dead_since = died_on

    def _state(self, transaction: Transaction, name: bytes) -> int | None:
        value = get_item(transaction, self._file.tables, "meta", name)
        return None if value is None else int(value)

    def _note_withdrawal(self, key: bytes, packet: bytes) -> None:
        array = np.frombuffer(packet, PACKET_DTYPE)
        packet_id = ids_of(array).tobytes()
        self._withdrawals[key] = _KeptWithdrawal(packet_id, int(end_days(array)[0]))
        self._withdrawal_keys[packet_id] = key
        self._withdrawals_of[key[:KEY_SIZE_BYTES]] += 1

    def _forget_withdrawal(self, key: bytes) -> None:
        del self._withdrawal_keys[self._withdrawals.pop(key).packet_id]
        self._withdrawals_of[key[:KEY_SIZE_BYTES]] -= 1

    def _copy(self, writer: LmdbWriter, *, day: int) -> None:
        """Write all that is live on ``day`` into a new file, in full blocks."""
        ends = self._catalog.rows["end_day"]
        live = self._catalog.live_rows()
        rows = live[ends[live] > day]
        step = _COPY_BLOCKS * STORE_BLOCK_PACKETS_MAX
        for start in range(0, len(rows), step):
            due = rows[start : start + step]
            packets, ids = self._read_rows(due), self._catalog.ids[due]
            parts = _parts(len(due))
            first = start // STORE_BLOCK_PACKETS_MAX
            write_blocks(writer, [(first + at, packets[part], ids[part]) for at, part in enumerate(parts)])
        lasting = {key for key, kept in self._withdrawals.items() if kept.end_day > day}
        write_items(writer, "withdrawals", ((k, v) for k, v in self._items("withdrawals") if k in lasting))
        derived = _record_prefix(DERIVED_TABLES_PREFIX)[:-1]
        lasting_records = ((k, v) for k, v in self._items("records") if not k.startswith(derived))
        write_items(writer, "records", lasting_records)
        generation = self._generation + (len(rows) < len(live))
        write_items(writer, "meta", [(b"generation", b"%d" % generation)])

    def _items(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield copies of all that a table of the file holds, ascending by key."""
        with self._file.read() as transaction:
            yield from items(transaction, self._file.tables, table)


class _KeptWithdrawal(NamedTuple):
    packet_id: bytes
    end_day: int


def _parts(count: int) -> list[slice]:
    """Return the slices that cut ``count`` packets into blocks."""
    return [slice(start, start + STORE_BLOCK_PACKETS_MAX) for start in range(0, count, STORE_BLOCK_PACKETS_MAX)]


def _record_prefix(table: str) -> bytes:
    return checked_table(table).encode() + b"\0"
