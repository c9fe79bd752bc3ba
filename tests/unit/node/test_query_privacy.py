"""What a question tells: by the lengths of its frames nearly nothing, and of a person no more than one cell a day."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.errors import RecordError
from fingerpost.fingerprint.cells import probes
from fingerpost.limits import FRAME_IDS_MAX, FRAME_PACKETS_MAX, FRAME_SIZE_BYTES_MAX, PACKET_SIZE_BYTES
from fingerpost.node.asking import locate
from fingerpost.node.home import Home
from fingerpost.node.subject_book import ASKED_TABLE, SubjectBook
from fingerpost.node.wire import CellsHeld, Get, Message, Nearest, Packets, WantCells, decode_message, encode_message
from fingerpost.store._lmdb import LmdbStore
from fingerpost.store._memory import MemoryStore
from fingerpost.template import parse_template
from tests.unit.node.town import TEMPLATE, Counted, Town, holders_of, outsider, signer_of

SIZES = {1 << exponent for exponent in range(12, 21)}
PLAIN = msgspec.msgpack.Encoder()


@pytest.fixture
def town() -> Town:
    """Return seven nodes; one that holds nothing has told a few outcomes of one cell and many of another."""
    town = Town()
    for name in "abcdefg":
        town.add(name)
    town.run(3)
    return town


def frames_of_a_question(town: Town, asker: str, cells: list[int]) -> list[tuple[str, str, bytes]]:
    """Return the frames (sender, receiver, bytes) that pass while cells are fetched."""
    seen: list[tuple[str, str, bytes]] = []

    def tap(sender: str, receiver: str, frame: bytes) -> bool:
        if asker in (sender, receiver):
            seen.append((sender, receiver, frame))
        return False

    town.drops = tap
    town.engines[asker].fetch_cells(town.template.template_id, cells, now=town.now)
    town.settle()
    town.drops = lambda sender, receiver, frame: False
    return seen


def asker_of(town: Town) -> str:
    return [name for name in town.engines if name not in holders_of(town)][-1]


def cells_of(town: Town, sizes: list[float]) -> list[int]:
    engine = town.engines["a"]
    return [locate(engine, town.template, {"size": size}, cells=1).cells[0] for size in sizes]


def test_cells_of_one_and_of_twenty_packets_look_the_same_to_who_sees_lengths(town: Town) -> None:
    sizes = [float(size) for size in range(101)]
    cells = cells_of(town, sizes)
    few, many = cells[0], next(cell for cell in cells if cell != cells[0])
    town.emit(outsider(town), 0.0)
    town.emit(outsider(town), *[sizes[cells.index(many)]] * 20)
    town.run(10)
    asker = asker_of(town)
    shapes, bare = [], []
    for cell in (few, many):
        frames = frames_of_a_question(town, asker, [cell])
        shapes.append([(sender, receiver, len(frame)) for sender, receiver, frame in frames])
        bare.append([len(PLAIN.encode(decode_message(frame))) for _, _, frame in frames])
    assert len(shapes[0]) >= 6, "two holders were asked, and packets came"
    assert shapes[0] == shapes[1]
    assert {length for _, _, length in shapes[0]} <= SIZES
    assert bare[0] != bare[1], "without padding the lengths tell the cells apart"
    assert sum(bare[1]) - sum(bare[0]) > 19 * PACKET_SIZE_BYTES - 1


def test_every_frame_of_a_question_is_padded_and_no_frame_of_replication_is(town: Town) -> None:
    kinds: dict[type[Message], set[int]] = {}

    def tap(_sender: str, _receiver: str, frame: bytes) -> bool:
        kinds.setdefault(type(decode_message(frame)), set()).add(len(frame))
        return False

    town.drops = tap
    town.emit(outsider(town), *range(0, 100, 10))
    town.run(10)
    assert all(length < PACKET_SIZE_BYTES * 12 for lengths in kinds.values() for length in lengths)
    kinds.clear()
    asker = town.engines[asker_of(town)]
    asker.fetch_cells(town.template.template_id, list(range(16)), now=town.now)
    where = locate(asker, town.template, {"size": 30})
    query = where.query.fingerprint
    asker.fetch_nearest(town.template.template_id, query, cells=where.cells, count=5, now=town.now)
    town.settle()
    assert {WantCells, CellsHeld, Get, Packets, Nearest} <= set(kinds)
    for kind in (WantCells, CellsHeld, Get, Packets, Nearest):
        assert kinds[kind] <= SIZES, kind
    assert min(kinds[Packets]) >= 32 * PACKET_SIZE_BYTES


@given(count=st.integers(0, FRAME_PACKETS_MAX), number=st.integers(0, (1 << 63) - 1))
def test_padded_packets_of_any_number_come_back_whole_in_a_frame_of_few_lengths(count: int, number: int) -> None:
    said = Packets(answers=number, packets=bytes([7]) * (count * PACKET_SIZE_BYTES), padded=True)
    frame = encode_message(said)
    assert decode_message(frame) == said
    assert len(frame) in SIZES
    assert len(frame) >= 32 * PACKET_SIZE_BYTES


@given(count=st.integers(0, 600))
def test_any_number_of_ids_is_padded_to_a_power_of_two(count: int) -> None:
    said = Get(number=1 << 62, packet_ids=bytes([7]) * (32 * count), padded=True)
    frame = encode_message(said)
    assert decode_message(frame) == said
    assert len(frame) in SIZES


def test_the_fullest_list_of_cells_still_fits_a_frame() -> None:
    cells = 4_096
    ids = (FRAME_IDS_MAX - cells // 2) * 32
    frame = encode_message(
        CellsHeld(
            answers=1,
            digests=bytes(16 * cells),
            packet_ids=bytes(ids),
            more=True,
            complete=True,
            at=1 << 40,
            signature=bytes(64),
        )
    )
    assert len(frame) == FRAME_SIZE_BYTES_MAX
    decode_message(frame)


def test_cells_asked_about_a_person_follow_from_one_cell_and_others_from_the_situation() -> None:
    town = Town()
    open_engine = town.add("a")
    personal = parse_template(TEMPLATE.replace("non_personal", "personal").replace('"open"', '"consortium"'))
    engine = town.engines["a"]
    engine.serve(personal, follow=False)
    by_cell: dict[int, set[tuple[int, ...]]] = {}
    differing = 0
    for size in np.linspace(0, 100, 60):
        told = locate(engine, personal, {"size": float(size)}, cells=6).cells
        assert told == tuple(probes(told[0], personal, count=6).tolist())
        by_cell.setdefault(told[0], set()).add(told)
        other = locate(open_engine, town.template, {"size": float(size)}, cells=6).cells
        differing += other != tuple(probes(other[0], town.template, count=6).tolist())
    assert len(by_cell) > 2
    assert all(len(told) == 1 for told in by_cell.values())
    assert differing, "where nobody is to be protected, the probes follow the situation"


def book_on(store: MemoryStore | LmdbStore, home: Home | None = None) -> SubjectBook:
    return SubjectBook(home, store, signer=signer_of("a"), entropy=Counted("salt"))


def test_all_that_is_asked_about_a_subject_on_one_day_looks_into_the_same_cells() -> None:
    store = MemoryStore()
    book, template = book_on(store), parse_template(TEMPLATE)
    assert book.cells_told("Ada", template, [3, 7, 1], day=5) == (3, 7, 1)
    assert book.cells_told(" Ada ", template, [4, 5], day=5) == (3, 7, 1)
    assert book.cells_told("Bob", template, [4, 5], day=5) == (4, 5)
    assert book.cells_told("Ada", template, [9], day=6) == (9,)
    assert len(list(store.records(ASKED_TABLE))) == 1, "what was asked on other days is forgotten"
    with pytest.raises(RecordError) as raised:
        book.cells_told(" ", template, [1], day=6)
    assert raised.value.code == "subject-missing"


def test_what_holders_were_told_of_a_subject_outlives_the_process(tmp_path: Path) -> None:
    template, home = parse_template(TEMPLATE), Home(tmp_path)
    for cells in ([3, 7], [1, 2]):
        store = LmdbStore(home.store)
        assert book_on(store, home).cells_told("Ada", template, cells, day=5) == (3, 7)
        assert not any(b"Ada" in key + told for key, told in store.records(ASKED_TABLE))
        store.close()
