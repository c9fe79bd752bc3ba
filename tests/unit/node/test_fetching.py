"""What an asker fetches from holders, and when it says of one that it leaves packets out."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest

from fingerpost.limits import BAD_SIGNATURES_MAX
from fingerpost.node.asking import locate
from fingerpost.node.emission import Emitted
from fingerpost.node.events import Fetched, HolderOmits
from fingerpost.node.inventory import Shelf
from fingerpost.node.wire import CellsHeld, Offer, WantCells, decode_message, encode_message
from fingerpost.packet import Signer, packet_ids
from fingerpost.ports import SECONDS_PER_DAY
from fingerpost.testing.packet_samples import signed, withdrawal
from tests.unit.node.town import START, Town, holders_of, outsider, signer_of


@pytest.fixture
def town() -> Town:
    """Return seven nodes that know each other and keep no more than their share."""
    town = Town()
    for name in "abcdefg":
        town.add(name)
    town.run(3)
    return town


def asker_of(town: Town) -> str:
    """Return a node that holds nothing and has emitted nothing."""
    return [name for name in town.engines if name not in holders_of(town)][-1]


def fetch(town: Town, name: str, cells: list[int]) -> Fetched:
    number = town.engines[name].fetch_cells(town.template.template_id, cells, now=town.now)
    town.settle()
    (fetched,) = [event for event in town.events[name] if isinstance(event, Fetched) and event.number == number]
    return fetched


def all_cells(town: Town) -> list[int]:
    return list(range(1 << town.template.cell_bits))


def evidence_of(town: Town, name: str) -> int:
    cells = all_cells(town)
    engine = town.engines[name]
    return len(engine.synthesizer(town.template.template_id, cells=cells, conditions={}, now=town.now).evidence)


def test_an_asker_fetches_cells_from_two_holders_that_vouch_for_each_other(town: Town) -> None:
    town.emit(outsider(town), *range(0, 100, 10))
    town.run(10)
    asker = asker_of(town)
    fetched = fetch(town, asker, all_cells(town))
    assert (fetched.asked, len(fetched.answered), fetched.attested, fetched.complete) == (2, 2, True, True)
    assert evidence_of(town, asker) == 10
    frames = town.frames
    assert fetch(town, asker, all_cells(town)).attested
    assert town.frames - frames == 4, "what is known already does not travel again"
    assert len(list(town.stores[asker].scan())) == 0, "fetched to answer, not kept for others"


def test_a_holder_that_leaves_packets_out_is_caught(town: Town) -> None:
    emitted = town.emit(outsider(town), *range(0, 100, 10))
    town.run(10)
    liar = holders_of(town)[0]
    hidden = town.id_of(emitted[3])
    honest = town.engines[liar]
    inventory = honest._holdings.inventory(town.template.template_id)
    cell = int(emitted[3].packets["cell"][0])
    true_cell = inventory.cell
    without = Shelf(each for each in true_cell(cell) if each != hidden)
    inventory.cell = lambda asked: without if asked == cell else true_cell(asked)
    asker = asker_of(town)
    fetched = fetch(town, asker, all_cells(town))
    assert not fetched.attested
    assert evidence_of(town, asker) == 10, "the other holder has it"
    caught = [event for event in town.events[asker] if isinstance(event, HolderOmits)]
    assert caught == [HolderOmits(peer=town.key(liar), packet_ids=(hidden,))]
    assert town.engines[asker].peers.holders.record_of(town.key(liar)).omissions == 1
    assert fetch(town, asker, all_cells(town)).attested, "two others are asked from now on"


def test_a_holder_that_lagged_behind_is_given_the_packet_and_not_accused(town: Town) -> None:
    emitted = town.emit(outsider(town), *range(0, 100, 10))
    town.run(10)
    late = holders_of(town)[0]
    missing = np.frombuffer(town.id_of(emitted[3]), np.uint8).reshape(1, -1)
    town.engines[late]._holdings.let_go(town.template.template_id, [town.id_of(emitted[3])], now=town.now)
    assert not town.stores[late].contains(missing)[0]
    asker = asker_of(town)
    fetched = fetch(town, asker, all_cells(town))
    assert not fetched.attested
    assert town.stores[late].contains(missing)[0]
    assert not [event for event in town.events[asker] if isinstance(event, HolderOmits)]


def with_one_holder_behind(town: Town) -> tuple[str, str, Emitted, Emitted]:
    """Return a holder that lacks one packet of ten, an asker, that packet's emission and another."""
    emitted = town.emit(outsider(town), *range(0, 100, 10))
    town.run(10)
    late = holders_of(town)[0]
    town.engines[late]._holdings.let_go(town.template.template_id, [town.id_of(emitted[3])], now=town.now)
    return late, asker_of(town), emitted[3], emitted[7]


def before_the_second_look(town: Town, late: str, asker: str, act: Callable[[], None]) -> None:
    """Let something happen to a holder after it has signed that it keeps a packet, and before it is asked again."""
    looks: list[str] = []

    def drops(sender: str, receiver: str, frame: bytes) -> bool:
        if (sender, receiver) == (asker, late) and isinstance(decode_message(frame), WantCells):
            looks.append(sender)
            if len(looks) == 2:
                act()
        return False

    town.drops = drops
    fetch(town, asker, all_cells(town))
    assert len(looks) == 2


def accusations(town: Town, name: str) -> list[HolderOmits]:
    return [event for event in town.events[name] if isinstance(event, HolderOmits)]


def withdraw_at(town: Town, holder: str, packet: np.void, *, emitter: Signer, epoch: int = 20_000) -> None:
    """Let a holder learn that a packet is withdrawn, and nobody else."""
    packet_id = bytes(packet_ids(packet.reshape(1))[0])
    template_id, cell = town.template.template_id, int(packet["cell"])
    back = signed([withdrawal(emitter, packet_id, template_id=template_id, cell=cell, epoch=epoch)], emitter)
    frame = encode_message(Offer(number=1, packets=back.tobytes()))
    town.engines[holder].receive(frame, peer=town.key(outsider(town)), now=town.now)


def test_a_holder_that_learns_of_a_withdrawal_between_two_looks_is_not_accused(town: Town) -> None:
    late, asker, emitted, _ = with_one_holder_behind(town)
    emitter = signer_of(outsider(town))
    before_the_second_look(town, late, asker, lambda: withdraw_at(town, late, emitted.packets[0], emitter=emitter))
    assert accusations(town, asker) == []
    assert evidence_of(town, asker) == 9, "the asker has read the withdrawal"


def test_a_withdrawal_excuses_one_packet_and_no_other(town: Town) -> None:
    late, asker, emitted, other = with_one_holder_behind(town)
    emitter = signer_of(outsider(town))
    inventory = town.engines[late]._holdings.inventory(town.template.template_id)
    true_cell = inventory.cell

    def hide_and_withdraw_another() -> None:
        hidden = town.id_of(emitted)
        inventory.cell = lambda cell: Shelf(each for each in true_cell(cell) if each != hidden)
        withdraw_at(town, late, other.packets[0], emitter=emitter)

    before_the_second_look(town, late, asker, hide_and_withdraw_another)
    assert accusations(town, asker) == [HolderOmits(peer=town.key(late), packet_ids=(town.id_of(emitted),))]


def test_a_holder_for_which_a_packet_is_over_already_is_not_accused(town: Town) -> None:
    late, asker, emitted, _ = with_one_holder_behind(town)
    town.now = START + town.template.ttl_days * SECONDS_PER_DAY - 61  # Its last minute.
    town.run(60)
    town.engines[late]._holdings.let_go(town.template.template_id, [town.id_of(emitted)], now=town.now)
    before_the_second_look(town, late, asker, lambda: town.engines[late].expire(now=town.now + 2))
    assert not town.has(late, town.id_of(emitted))
    assert accusations(town, asker) == []


def test_a_holder_whose_withdrawal_was_replaced_by_a_later_one_is_not_accused(town: Town) -> None:
    emitted = town.emit(outsider(town), *range(0, 100, 10))
    town.run(10)
    late, asker, emitter = holders_of(town)[0], asker_of(town), signer_of(outsider(town))
    for holder in holders_of(town)[1:]:
        withdraw_at(town, holder, emitted[3].packets[0], emitter=emitter)
    later = functools.partial(withdraw_at, town, late, emitted[3].packets[0], emitter=emitter, epoch=20_001)
    before_the_second_look(town, late, asker, later)
    assert accusations(town, asker) == []


def test_the_nearest_packets_come_from_the_holders_and_are_verified(town: Town) -> None:
    emitted = town.emit(outsider(town), *range(0, 100, 10))
    town.run(10)
    name = asker_of(town)
    asker = town.engines[name]
    where = locate(asker, town.template, {"size": 30})
    number = asker.fetch_nearest(
        town.template.template_id, where.query.fingerprint, cells=where.cells, count=3, now=town.now
    )
    town.settle()
    (fetched,) = [event for event in town.events[name] if isinstance(event, Fetched) and event.number == number]
    assert fetched.attested
    assert len(fetched.packet_ids) == 3
    assert town.id_of(emitted[3]) in fetched.packet_ids
    synthesizer = asker.synthesizer(town.template.template_id, ids=fetched.packet_ids, conditions={}, now=town.now)
    assert len(synthesizer.evidence) == 3


def test_a_packet_withdrawn_elsewhere_leaves_the_answer(town: Town) -> None:
    emitter = outsider(town)
    emitted = town.emit(emitter, *range(0, 100, 10))
    town.run(10)
    asker = asker_of(town)
    fetch(town, asker, all_cells(town))
    assert evidence_of(town, asker) == 10
    signer, cell = signer_of(emitter), int(emitted[0].packets["cell"][0])
    back = signed(
        [withdrawal(signer, town.id_of(emitted[0]), template_id=town.template.template_id, cell=cell)], signer
    )
    for holder in holders_of(town):
        frame = encode_message(Offer(number=1, packets=back.tobytes()))
        town.engines[holder].receive(frame, peer=town.key(emitter), now=town.now)
    town.settle()
    fetch(town, asker, all_cells(town))
    assert evidence_of(town, asker) == 9


def test_nothing_is_called_complete_on_the_word_of_one_holder() -> None:
    town = Town()
    town.add("a")
    town.engines["a"].handle_timer(now=town.now)
    alone = fetch(town, "a", all_cells(town))
    assert (alone.asked, alone.attested, alone.complete) == (0, False, False)
    town.add("b")
    town.run(3)
    both = fetch(town, "a", all_cells(town))
    assert (both.asked, both.attested, both.complete) == (1, False, True), "it counts itself"


def test_a_muted_peer_that_is_asked_for_cells_keeps_nobody_from_the_other_holder(town: Town) -> None:
    town.emit(outsider(town), *range(0, 100, 10))
    town.run(10)
    asker, hostile = asker_of(town), holders_of(town)[0]
    forged = town.emit(asker, 1)[0].packets.repeat(BAD_SIGNATURES_MAX)
    forged["signature"][:, 0] ^= 1
    forged["nonce"][:, :4] = np.arange(len(forged), dtype=">u4")[:, None].view(np.uint8)
    spam = encode_message(Offer(number=5, packets=forged.tobytes()))
    town.engines[asker].receive(spam, peer=town.key(hostile), now=town.now)
    fetched = fetch(town, asker, all_cells(town))
    assert town.key(hostile) in fetched.answered
    assert evidence_of(town, asker) == 11


def asked_by(town: Town, asker: str, seen: list[str]) -> Callable[[str, str, bytes], bool]:
    """Return what notes in ``seen`` whom an asker asks for cells, and drops nothing."""

    def drops(sender: str, receiver: str, frame: bytes) -> bool:
        if sender == asker and isinstance(decode_message(frame), WantCells):
            seen.append(receiver)
        return False

    return drops


def test_a_holder_that_did_not_answer_is_not_asked_again_while_others_are_there(town: Town) -> None:
    town.emit(outsider(town), 10, 50)
    town.run(10)
    asker, (mute, *_) = asker_of(town), holders_of(town)
    town.drops = lambda sender, receiver, frame: (
        (sender, receiver) == (asker, mute) and isinstance(decode_message(frame), WantCells)
    )
    for _ in range(2):  # Of three holders two are asked a time, those first that never were.
        town.engines[asker].fetch_cells(town.template.template_id, all_cells(town), now=town.now)
        town.settle()
        town.run(11)
    assert town.engines[asker].peers.holders.record_of(town.key(mute)).failures >= 1
    seen: list[str] = []
    town.drops = asked_by(town, asker, seen)
    assert fetch(town, asker, all_cells(town)).attested
    assert sorted(seen) == sorted(holders_of(town)[1:])


def test_the_holders_that_answer_sooner_are_asked(town: Town) -> None:
    town.emit(outsider(town), 10, 50)
    town.run(10)
    asker, (slow, *others) = asker_of(town), holders_of(town)
    late: list[bytes] = []

    def drops(sender: str, receiver: str, frame: bytes) -> bool:
        held = (sender, receiver) == (slow, asker) and isinstance(decode_message(frame), CellsHeld)
        if held:
            late.append(frame)
        return held

    town.drops = drops
    for _ in range(2):
        town.engines[asker].fetch_cells(town.template.template_id, all_cells(town), now=town.now)
        town.settle()
        town.now += 2.0
        for frame in late:
            town.engines[asker].receive(frame, peer=town.key(slow), now=town.now)
        late.clear()
        town.settle()
    seen: list[str] = []
    town.drops = asked_by(town, asker, seen)
    fetch(town, asker, all_cells(town))
    assert sorted(seen) == sorted(others)
