"""What engines decide together: where packets go, when they count as safe, who may let go of them."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pytest

from fingerpost.limits import BAD_SIGNATURES_MAX, BAD_SIGNATURES_PER_SECOND, REPLICAS
from fingerpost.node.audit import PROMISE_SECONDS
from fingerpost.node.events import (
    Acknowledged,
    FrameRefused,
    PacketsArrived,
    Refreshed,
    Unacknowledged,
)
from fingerpost.node.roster import Roster
from fingerpost.node.succession import RevocationReason, sign_revocation
from fingerpost.node.wire import Have, Listed, Offer, Packets, decode_message, encode_message
from fingerpost.packet import packet_ids, packets_from_frame
from fingerpost.ports import day_of
from fingerpost.testing.packet_samples import signed, withdrawal
from tests.unit.node.town import Town, holders_of, outsider, signer_of


@pytest.fixture
def town() -> Town:
    """Return seven nodes that know each other and keep no more than their share."""
    town = Town()
    for name in "abcdefg":
        town.add(name)
    town.run(3)
    return town


def test_a_packet_is_acknowledged_once_two_other_holders_keep_it(town: Town) -> None:
    emitter = outsider(town)
    first, second, third = holders_of(town)
    taken: list[str] = []

    def drops(sender: str, receiver: str, frame: bytes) -> bool:
        if isinstance(decode_message(frame), Offer):
            return receiver not in taken
        return False

    town.drops = drops
    taken.append(first)
    packet_id = town.emit(emitter, 50)[0]
    assert [event for event in town.events[emitter] if isinstance(event, Acknowledged)] == []
    taken.append(second)
    town.run(16)
    (told,) = [event for event in town.events[emitter] if isinstance(event, Acknowledged)]
    assert told.holders == 2
    assert town.holding(town.id_of(packet_id)) == {emitter, first, second, third}, "holders fetch what they lack"


def test_a_holder_that_emits_counts_only_the_others(town: Town) -> None:
    emitter, second, third = holders_of(town)
    town.dead.add(third)
    town.emit(emitter, 50)
    assert not [event for event in town.events[emitter] if isinstance(event, Acknowledged)]
    town.run(20)  # The dead one is found silent, and another takes its place.
    (told,) = [event for event in town.events[emitter] if isinstance(event, Acknowledged)]
    assert told.holders == 2
    assert second in holders_of(town)


def test_the_place_of_a_dead_holder_is_taken_and_filled(town: Town) -> None:
    ids = [town.id_of(emitted) for emitted in town.emit(outsider(town), *range(0, 100, 5))]
    before = holders_of(town)
    town.dead.add(before[0])
    town.run(20)
    after = holders_of(town)
    assert before[0] not in after
    assert all(set(after) <= town.holding(packet_id) for packet_id in ids)


def test_any_two_losses_leave_every_acknowledged_packet_and_three_copies_grow_again(town: Town) -> None:
    emitter = outsider(town)
    packet_id = town.id_of(town.emit(emitter, 50)[0])
    town.dead |= {emitter, holders_of(town)[0]}
    assert town.holding(packet_id)
    town.run(20)
    assert set(holders_of(town)) <= town.holding(packet_id)
    assert len(holders_of(town)) == REPLICAS


def test_a_lonely_node_says_at_once_that_nobody_else_has_its_packets_and_hands_them_over_later() -> None:
    town = Town()
    town.add("a")
    packet_id = town.id_of(town.emit("a", 50)[0])
    assert [type(event) for event in town.events["a"]] == [Unacknowledged]
    for name in "bcd":
        town.add(name)
    town.run(30)
    assert set(holders_of(town)) <= town.holding(packet_id)


def test_two_nodes_of_one_organisation_never_hold_the_same_group() -> None:
    town = Town()
    organisations = {"a": "north", "b": "north", "c": "north", "d": "south", "e": "east", "f": "east"}
    for name in organisations:
        town.add(name, organisation=organisations[name])
    town.introduce(organisations=organisations)
    town.run(3)
    held = [organisations[name] for name in holders_of(town)]
    assert len(held) == len(set(held)) == REPLICAS


def test_newcomers_are_not_complete_by_agreeing_with_each_other(town: Town) -> None:
    packet_id = town.id_of(town.emit(outsider(town), 50)[0])
    old = set(town.engines)
    town.drops = lambda sender, receiver, frame: (sender in old) != (receiver in old)
    for name in "hijklmnopqrstuvwxyz":
        town.add(name)
    town.run(1.5)
    newcomers = [name for name in town.engines if name not in old and not town.has(name, packet_id)]
    holding = [name for name in newcomers if town.engines[name].group(town.template.template_id).holds]
    assert len(holding) >= 2, "the test needs newcomers that take over"
    assert not any(town.engines[name].group(town.template.template_id).complete for name in holding)
    town.drops = lambda sender, receiver, frame: False
    town.run(30)
    for name in set(holding) & set(holders_of(town)):
        assert town.engines[name].group(town.template.template_id).complete
        assert town.has(name, packet_id)


def test_a_new_holder_waits_only_seconds_for_all_the_dead_that_the_directory_still_names(town: Town) -> None:
    packet_id = town.id_of(town.emit(outsider(town), 50)[0])
    buried = [f"buried {number}" for number in range(30)]
    for name in buried:
        town.add(name)
        town.dead.add(name)
    town.run(30)
    before = holders_of(town)
    town.dead.add(before[0])
    newcomers = [f"newcomer {number}" for number in range(12)]
    for name in newcomers:
        town.add(name)
    town.run(20)
    living = holders_of(town)
    assert set(living) & set(newcomers), "the test needs a newcomer that takes over"
    assert not set(living) & town.dead
    for name in living:
        assert town.has(name, packet_id)
        assert town.engines[name].group(town.template.template_id).complete


def test_a_former_holder_lets_go_after_a_record_lifetime_and_the_emitter_never(town: Town) -> None:
    emitter = outsider(town)
    packet_id = town.id_of(town.emit(emitter, 50)[0])
    old = holders_of(town)
    for name in "hijklmnopqrstuvwxyz":
        town.add(name)
    town.run(60)
    former = [name for name in old if name not in holders_of(town)]
    assert former, "the test needs a holder that is replaced"
    assert set(former) <= town.holding(packet_id), "long before a record lifetime is over"
    town.run(500)
    assert town.holding(packet_id) == {emitter, *holders_of(town)}


def test_a_former_holder_keeps_what_a_holder_lacks(town: Town) -> None:
    packet_id = town.id_of(town.emit(outsider(town), 50)[0])
    old = holders_of(town)
    for name in "hijklmnopqrstuvwxyz":
        town.add(name)
    town.run(8)
    without = next(name for name in holders_of(town) if name not in old)
    town.stores[without].drop(np.frombuffer(packet_id, np.uint8).reshape(1, -1), day=20_000)
    town.drops = lambda sender, receiver, frame: (
        receiver == without and isinstance(decode_message(frame), (Offer, Packets))
    )
    town.run(700)
    assert town.holding(packet_id) >= set(old)


def test_whoever_said_have_keeps_for_as_long_as_it_promised(town: Town) -> None:
    packet_id = town.id_of(town.emit(outsider(town), 50)[0])
    holder = holders_of(town)[0]
    group = town.engines[holder].group(town.template.template_id)
    assert group.promised_until >= town.now + PROMISE_SECONDS - 1
    assert town.has(holder, packet_id)


def test_a_forged_have_acknowledges_nothing(town: Town) -> None:
    emitter = outsider(town)

    def drops(sender: str, receiver: str, frame: bytes) -> bool:
        message = decode_message(frame)
        if receiver == emitter and isinstance(message, Have):
            forged = Have(answers=message.answers, packet_ids=message.packet_ids, at=message.at, signature=bytes(64))
            town.engines[emitter].receive(encode_message(forged), peer=town.key(sender), now=town.now)
            return True
        return False

    town.drops = drops
    town.emit(emitter, 50)
    town.run(5)
    assert not [event for event in town.events[emitter] if isinstance(event, Acknowledged)]


def test_a_holder_that_lists_what_it_does_not_give_keeps_nobody_from_the_others(town: Town) -> None:
    packet_id = town.id_of(town.emit(outsider(town), 50)[0])
    liar = holders_of(town)[0]
    names = {town.key(name): name for name in town.engines}

    def drops(sender: str, receiver: str, frame: bytes) -> bool:
        message = decode_message(frame)
        if sender == liar and isinstance(message, Listed):
            lie = Listed(answers=message.answers, packet_ids=bytes(31) + b"\1" + bytes([255]) * 32, more=True)
            town.engines[receiver].receive(encode_message(lie), peer=town.key(liar), now=town.now)
            return True
        return False

    town.drops = drops
    town.dead.add(holders_of(town)[1])
    town.run(30)
    assert names
    assert {name for name in holders_of(town) if name != liar} <= town.holding(packet_id)


def test_what_was_not_settled_before_a_restart_is_handed_over_after_it(town: Town) -> None:
    emitter = outsider(town)
    town.drops = lambda sender, receiver, frame: sender == emitter
    packet_id = town.id_of(town.emit(emitter, 50)[0])
    town.start(emitter)
    town.drops = lambda sender, receiver, frame: False
    town.introduce()
    town.run(5)
    assert set(holders_of(town)) <= town.holding(packet_id)


def test_a_withdrawal_reaches_every_holder_and_nothing_brings_the_packet_back(town: Town) -> None:
    emitter = outsider(town)
    emitted = town.emit(emitter, 50)[0]
    packet_id = town.id_of(emitted)
    signer, cell = signer_of(emitter), int(emitted.packets["cell"][0])
    taken_back = signed([withdrawal(signer, packet_id, template_id=town.template.template_id, cell=cell)], signer)
    (first, *_) = holders_of(town)
    frame = encode_message(Offer(number=1, packets=taken_back.tobytes()))
    town.engines[first].receive(frame, peer=town.key(emitter), now=town.now)
    town.run(30)
    assert town.holding(packet_id) <= {emitter}
    again = encode_message(Offer(number=2, packets=emitted.packets.tobytes()))
    town.engines[first].receive(again, peer=town.key(emitter), now=town.now)
    town.run(30)
    assert not town.has(first, packet_id)


def test_a_refresh_brings_what_was_acknowledged_before_it(town: Town) -> None:
    follower = town.add("z", follow=True)
    town.run(3)
    packet_id = town.id_of(town.emit(outsider(town), 50)[0])
    town.events["z"].clear()
    number = follower.refresh(town.template.template_id, now=town.now)
    town.settle()
    assert [event for event in town.events["z"] if isinstance(event, Refreshed)] == [Refreshed(number=number, peers=2)]
    assert town.has("z", packet_id)


def test_garbage_and_answers_to_nothing_become_events(town: Town) -> None:
    engine = town.engines["a"]
    for frame in (b"", b"\xff" * 100, encode_message(Packets(answers=77, packets=b""))):
        engine.receive(frame, peer=town.key("b"), now=town.now)
    town.settle()
    codes = [event.code for event in town.events["a"] if isinstance(event, FrameRefused)]
    assert codes == ["frame-invalid", "frame-invalid", "answer-unexpected"]


def test_a_tampered_packet_is_refused_and_not_promised(town: Town) -> None:
    emitted = town.emit("a", 50)[0]
    tampered = packets_from_frame(emitted.packets.tobytes()).copy()
    tampered["signature"][0, 0] ^= 1
    answers: list[Have] = []

    def drops(sender: str, receiver: str, frame: bytes) -> bool:
        message = decode_message(frame)
        if receiver == "a" and isinstance(message, Have):
            answers.append(message)
        return False

    town.drops = drops
    stranger = town.add("y")
    stranger.receive(encode_message(Offer(number=5, packets=tampered.tobytes())), peer=town.key("a"), now=town.now)
    town.settle()
    assert [(have.packet_ids, have.refused) for have in answers if have.answers == 5] == [
        (b"", {"refused-signature": 1})
    ]
    assert not town.has("y", packet_ids(tampered)[0].tobytes())


def test_a_former_holder_that_missed_a_withdrawal_learns_it_when_it_hands_the_packet_over(town: Town) -> None:
    emitter = outsider(town)
    emitted = town.emit(emitter, 50)[0]
    packet_id = town.id_of(emitted)
    former = next(name for name in town.engines if name not in {*holders_of(town), emitter})
    town.stores[former].add(emitted.packets, day=20_000)
    town.start(former)  # It held the packet before it went away.
    town.dead.add(former)
    signer, cell = signer_of(emitter), int(emitted.packets["cell"][0])
    back = signed([withdrawal(signer, packet_id, template_id=town.template.template_id, cell=cell)], signer)
    for holder in holders_of(town):
        frame = encode_message(Offer(number=1, packets=back.tobytes()))
        town.engines[holder].receive(frame, peer=town.key(emitter), now=town.now)
    town.settle()
    town.dead.discard(former)
    town.introduce()
    town.run(60)
    assert not town.has(former, packet_id)


def test_a_peer_whose_signatures_keep_failing_is_muted_for_a_while_and_nobody_else(town: Town) -> None:
    good = town.emit("a", 50)[0].packets
    (other,) = town.emit("b", 60)
    bad = np.concatenate([good] * BAD_SIGNATURES_MAX)
    bad["nonce"][:, :4] = np.arange(len(bad), dtype=">u4")[:, None].view(np.uint8)
    engine = town.add("y")
    answered: list[Have] = []

    def offer(packets: npt.NDArray[np.void], sender: str) -> Have:
        engine.receive(encode_message(Offer(number=5, packets=packets.tobytes())), peer=town.key(sender), now=town.now)
        answered[:] = [
            message
            for outgoing in engine.frames_to_send()
            if isinstance(message := decode_message(outgoing.frame), Have)
        ]
        return answered[-1]

    assert offer(bad, "a").refused == {"refused-signature": BAD_SIGNATURES_MAX}
    muted = offer(good, "a")
    assert (muted.packet_ids, muted.refused) == (b"", {"peer-muted": 1}), "a good packet shows that none is checked"
    town.settle()
    assert [event.code for event in town.events["y"] if isinstance(event, FrameRefused)] == ["peer-muted"]
    assert offer(other.packets, "b").packet_ids == town.id_of(other)
    town.now += 1 / BAD_SIGNATURES_PER_SECOND
    assert offer(good, "a").packet_ids == packet_ids(good).tobytes()


def test_what_a_revoked_key_left_here_takes_part_in_no_answer_after_the_next_start(town: Town) -> None:
    town.add("y", follow=True, roster=Roster(members={town.key(name) for name in "abc"}))
    (before,), (other,) = town.emit("a", 50), town.emit("b", 50)
    town.run(10)
    y, template_id = town.engines["y"], town.template.template_id
    assert len(y.evidence(template_id, now=town.now)) == 2
    stolen = sign_revocation(
        hashlib.blake2s(b"a").digest(), day=day_of(town.now), reason=RevocationReason.COMPROMISED
    ).encoded
    y = town.start("y", follow=True, roster=Roster(members={town.key(name) for name in "abc"}, records=[stolen]))
    town.introduce()
    town.run(20)
    assert y.packets(template_id, now=town.now).tobytes() == other.packets.tobytes()
    assert not town.has("y", town.id_of(before))
    assert sum(
        event.refused.get("refused-revoked", 0) for event in town.events["y"] if isinstance(event, PacketsArrived)
    ), "others still hand them over"
    assert len(y.evidence(template_id, now=town.now)) == 1
