"""Erasure: what was withdrawn is gone at every holder, in whatever order things arrive, and stays gone.

Groups of ten are withdrawn here: the packet that is hardest to take back, since it speaks of others too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.fingerprint import Fingerprinter
from fingerpost.ids import PublicKey
from fingerpost.node.subjects import SubjectIndex
from fingerpost.node.wire import Offer, encode_message
from fingerpost.node.withdrawing import build_withdrawals
from fingerpost.packet import Kind, Profile, packet_ids, sign_bodies
from fingerpost.privacy.groups import Records, group_records, summary_bodies
from fingerpost.privacy.subjects import Contribution, subject_keys
from fingerpost.store._memory import MemoryStore
from fingerpost.template import parse_template
from tests.unit.node.town import TEMPLATE, Counted, Town, signer_of

DAY = 20_000
GROUPS = TEMPLATE.replace("non_personal", "personal").replace('profile = "open"', 'profile = "k-anonymous"')
NAMES = ("a", "b", "c", "d", "e")
EMITTER = signer_of("e")
EMITTER_KEY = PublicKey(EMITTER.public_key)
SALT = bytes(32)
GONE_MINUTES_MAX = 15


def town_of_groups() -> Town:
    town = Town()
    town.template = parse_template(GROUPS)
    for name in NAMES:
        town.add(name)
    town.run(3)
    return town


def group_packet(town: Town) -> Any:
    rng = np.random.default_rng(1)
    records = Records(
        encoded=rng.integers(-900, 900, (10, town.template.encoded_width)).astype(np.int16),
        outcomes=np.array([1, 2] * 5, np.uint16),
        actions=np.zeros(10, np.uint16),
        conditions=np.zeros((10, 0), np.uint16),
    )
    made = summary_bodies(
        town.template,
        Fingerprinter(town.template),
        records,
        group_records(records),
        emitter=EMITTER.public_key,
        day=DAY,
        entropy=Counted("group"),
    )
    return sign_bodies(made.bodies, EMITTER)


def withdrawal_of(town: Town, packet: Any, *, signer: Any = EMITTER) -> Any:
    contribution = Contribution(
        packet_id=packet_ids(packet)[0].tobytes(),
        template_id=town.template.template_id,
        epoch=DAY,
        ttl_days=30,
        profile=Profile.K_ANONYMOUS,
        kind=Kind.SUMMARY,
        subjects=10,
        cell=int(packet["cell"][0]),
    )
    return build_withdrawals(town.template, [contribution], signer=signer, day=DAY, entropy=Counted("gone"))


def offer(packets: Any, number: int) -> bytes:
    return encode_message(Offer(number=number, packets=packets.tobytes()))


def held_at_last(town: Town, packet_id: bytes) -> set[str]:
    """Return who has a packet after some minutes: what a holder has beside its own it compares only now and then."""
    for _ in range(GONE_MINUTES_MAX):
        if not town.holding(packet_id):
            break
        town.run(60, step=5)
    return town.holding(packet_id)


steps = st.one_of(
    st.tuples(st.just("data"), st.sampled_from(NAMES[:4])),
    st.tuples(st.just("withdrawal"), st.sampled_from(NAMES[:4])),
    st.tuples(st.just("cut"), st.sampled_from(NAMES[:4])),
    st.tuples(st.just("heal"), st.just("")),
    st.tuples(st.just("restart"), st.sampled_from(NAMES[:4])),
    st.tuples(st.just("wait"), st.just("")),
)


@settings(max_examples=15, deadline=None)
@given(st.lists(steps, max_size=10))
def test_a_withdrawal_beats_its_packet_in_any_order_after_partition_replay_and_restart(
    happens: list[tuple[str, str]],
) -> None:
    town = town_of_groups()
    packet = group_packet(town)
    gone, packet_id = withdrawal_of(town, packet), packet_ids(packet)[0].tobytes()
    apart: set[str] = set()
    town.drops = lambda sender, receiver, _: (sender in apart) != (receiver in apart)
    for number, (what, name) in enumerate([*happens, ("withdrawal", "a")], start=1):
        match what:
            case "data" | "withdrawal":
                told = packet if what == "data" else gone
                town.engines[name].receive(offer(told, number), peer=EMITTER_KEY, now=town.now)
                town.settle()
            case "cut":
                apart.add(name)
            case "heal":
                apart.clear()
            case "restart":
                town.start(name)
                town.introduce()
            case _:
                town.run(4)
    apart.clear()
    town.introduce()
    assert not held_at_last(town, packet_id)
    for name in NAMES[:4]:  # Everybody still has the old packet on tape, and plays it again, also after a restart.
        town.start(name)
    town.introduce()
    for number, name in enumerate(NAMES[:4], start=100):
        town.engines[name].receive(offer(packet, number), peer=EMITTER_KEY, now=town.now)
    assert not held_at_last(town, packet_id)


def test_a_packet_that_nobody_withdrew_stays() -> None:
    town = town_of_groups()
    packet = group_packet(town)
    town.engines["a"].receive(offer(packet, 1), peer=EMITTER_KEY, now=town.now)
    town.run(30)
    assert len(town.holding(packet_ids(packet)[0].tobytes())) >= 3


def test_only_the_key_of_a_packet_withdraws_it() -> None:
    town = town_of_groups()
    packet = group_packet(town)
    town.engines["a"].receive(offer(packet, 1), peer=EMITTER_KEY, now=town.now)
    town.run(10)
    strangers = withdrawal_of(town, packet, signer=signer_of("b"))
    town.engines["a"].receive(offer(strangers, 2), peer=town.key("b"), now=town.now)
    town.run(30)
    assert len(town.holding(packet_ids(packet)[0].tobytes())) >= 3


def test_a_withdrawal_is_the_same_whatever_the_packet_said() -> None:
    town = town_of_groups()
    first, second = group_packet(town), group_packet(town)
    second["payload"][:, 10:60] = 0
    notes = [withdrawal_of(town, packet) for packet in (first, second)]
    differing = np.flatnonzero((notes[0].view(np.uint8) != notes[1].view(np.uint8)).reshape(-1))
    outcome = 77 + 10  # where the payload has the id of the packet; behind 317 is the proof, which signs it
    assert all(outcome <= place < outcome + 32 or place >= 317 for place in differing)


def test_subjects_hashed_without_their_salt_can_be_tried_out_and_with_it_cannot() -> None:
    """The mutant of a node that forgot its salt: whoever sees the keys tries all names. The salt stops that."""
    names = [f"patient {number}" for number in range(500)]
    index = SubjectIndex(MemoryStore(), salt=SALT)
    contribution = Contribution(
        packet_id=bytes(32), template_id=bytes(16), epoch=DAY, ttl_days=30, profile=Profile.OPEN, kind=Kind.OBSERVATION
    )
    index.note(subject_keys(SALT, names), [contribution] * len(names))
    leaked = set(index.subjects())

    def found(guessed_salt: bytes) -> int:
        return sum(key.tobytes() in leaked for key in subject_keys(guessed_salt, names))

    assert found(SALT) == len(names), "the attack works where the salt is known: an unsalted mutant is caught by it"
    assert found(bytes([1]) * 32) == 0


@pytest.mark.parametrize("day", [DAY, DAY + 29])
def test_a_withdrawal_outlives_whatever_it_names(day: int) -> None:
    town = town_of_groups()
    packet = group_packet(town)
    town.engines["a"].receive(offer(withdrawal_of(town, packet), 1), peer=EMITTER_KEY, now=town.now)
    town.run(10)
    town.now += (day - DAY) * 86_400
    for name in NAMES[:4]:
        town.start(name)
    town.introduce()
    town.engines["a"].receive(offer(packet, 2), peer=EMITTER_KEY, now=town.now)
    town.run(30)
    assert not town.holding(packet_ids(packet)[0].tobytes())
