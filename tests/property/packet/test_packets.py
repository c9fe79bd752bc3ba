"""What holds for every packet, and for all bytes that are none."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fingerpost.errors import PacketError, SignatureError
from fingerpost.ids import node_id
from fingerpost.packet import (
    Kind,
    Packet,
    Payload,
    Profile,
    Reason,
    RootCache,
    Signer,
    Withdrawn,
    check_structure,
    decode,
    encode,
    packet_ids,
    packets_from_frame,
    sign_batch,
    sign_bodies,
    verify,
    verify_packets,
)
from fingerpost.packet._layout import Structured
from fingerpost.testing.strategies import SIGNERS, any_bytes, encoded_packets, nearly_packets, packets

FIRST = Packet(
    kind=Kind.WITHDRAWAL,
    profile=Profile.OPEN,
    epoch=1,
    ttl_days=1,
    template_id=bytes(16),
    nonce=bytes(16),
    emitter=SIGNERS[0].public_key,
    payload=Payload(outcome=Withdrawn(bytes(32)), confidence=0),
)


def code_of(data: bytes) -> str:
    try:
        decode(data)
    except PacketError as error:
        return error.code
    return Reason.FINE.code


@cache
def batch_of(size: int) -> Structured:
    bodies = np.tile(np.frombuffer(FIRST.body(), np.uint8), (size, 1))
    bodies[:, 29] = np.arange(size)
    return sign_bodies(bodies, SIGNERS[0])


def holds(data: bytes) -> bool:
    try:
        verify(decode(data))
    except PacketError:
        return False
    return True


@given(packets())
def test_a_packet_survives_encoding_and_its_id_is_that_of_its_body(packet: Packet) -> None:
    [signed] = sign_batch([packet], next(signer for signer in SIGNERS if signer.public_key == packet.emitter))
    data = encode(signed)
    assert len(data) == 512
    decoded = decode(data)
    assert decoded == signed
    assert decoded.packet == packet
    assert packet_ids(packets_from_frame(data))[0].tobytes() == packet.packet_id
    verify(decoded)


@given(encoded_packets())
def test_valid_bytes_decode_to_a_value_that_encodes_to_the_same_bytes(data: bytes) -> None:
    assert encode(decode(data)) == data
    assert verify_packets(packets_from_frame(data)).all()


@given(any_bytes())
@example(b"")
@example(bytes(512))
@example(b"\xff" * 512)
def test_any_bytes_are_a_packet_error_or_a_packet_that_encodes_back_to_them(data: bytes) -> None:
    code = code_of(data)
    if code == Reason.FINE.code:
        assert encode(decode(data)) == data
    else:
        assert code in {reason.code for reason in Reason}


@given(st.lists(nearly_packets(), min_size=1, max_size=8))
def test_arrays_name_the_same_broken_rule_as_single_packets(frames: list[bytes]) -> None:
    reasons = check_structure(packets_from_frame(b"".join(frames)))
    assert [Reason(int(reason)).code for reason in reasons] == [code_of(data) for data in frames]


@given(encoded_packets(), st.integers(0, 7), st.integers(0, 511) | st.integers(0, 87), st.integers(1, 255))
def test_arrays_see_what_one_packet_breaks_among_others_that_begin_like_it(
    data: bytes, row: int, at: int, change: int
) -> None:
    altered = bytearray(data)
    altered[at] ^= change
    frames = [bytes(altered) if each == row else data for each in range(8)]
    reasons = check_structure(packets_from_frame(b"".join(frames)))
    assert [Reason(int(reason)).code for reason in reasons] == [code_of(each) for each in frames]


@given(any_bytes())
def test_arrays_name_the_same_broken_rule_for_noise(data: bytes) -> None:
    data = data[:512].ljust(512, b"\0")
    assert Reason(int(check_structure(packets_from_frame(data))[0])).code == code_of(data)


@given(packets(), packets())
def test_packets_have_equal_bytes_exactly_if_they_are_equal(first: Packet, second: Packet) -> None:
    assert (first.body() == second.body()) == (first == second)
    assert (first.packet_id == second.packet_id) == (first == second)
    assert dataclasses.replace(first).body() == first.body()


@given(nearly_packets(), nearly_packets())
def test_no_two_byte_strings_decode_to_one_value(first: bytes, second: bytes) -> None:
    assume(first != second and code_of(first) == code_of(second) == Reason.FINE.code)
    assert decode(first) != decode(second)


@given(encoded_packets(), st.integers(0, 511), st.integers(1, 255))
def test_a_changed_byte_anywhere_is_refused_by_values_and_arrays(data: bytes, at: int, change: int) -> None:
    altered = bytearray(data)
    altered[at] ^= change
    assert not holds(bytes(altered))
    assert not verify_packets(packets_from_frame(altered))[0]


@given(encoded_packets(), st.sampled_from(SIGNERS))
def test_nobody_else_can_claim_a_packet(data: bytes, thief: Signer) -> None:
    signed = decode(data)
    assume(thief.public_key != signed.packet.emitter)
    claimed = dataclasses.replace(signed, packet=dataclasses.replace(signed.packet, emitter=thief.public_key))
    with pytest.raises(SignatureError):
        verify(claimed)


@st.composite
def gatherings(draw: st.DrawFn) -> Structured:
    """Draw packets of a few batches, whole or in part, some twice, some damaged, in any order."""
    parts = []
    for size in draw(st.lists(st.sampled_from([1, 2, 3, 4, 5, 8, 9, 13, 64, 100, 129]), min_size=1, max_size=3)):
        rows = list(range(size))
        if draw(st.booleans()):
            few = st.lists(st.integers(0, size - 1), max_size=4)
            missing, twice = draw(few), draw(few)
            rows = [row for row in rows if row not in missing] + twice or [0]
        parts.append(batch_of(size)[rows])
    together = np.concatenate(parts)
    together = together[np.random.default_rng(draw(st.integers(0, 99))).permutation(len(together))]
    octets = together.view(np.uint8).reshape(len(together), 512)
    places = st.integers(0, 511) | st.integers(317, 448)
    for row, at, change in draw(
        st.lists(st.tuples(st.integers(0, len(together) - 1), places, st.integers(1, 255)), max_size=4)
    ):
        octets[row, at] ^= change
    return together


@given(gatherings(), st.sampled_from([0, 1, 1_000]))
def test_whole_trees_paths_and_single_packets_give_one_verdict(gathered: Structured, size_max: int) -> None:
    alone = [holds(packet.tobytes()) for packet in gathered]
    assert verify_packets(gathered).tolist() == alone
    remembered = RootCache(size_max=size_max)
    assert verify_packets(gathered, cache=remembered).tolist() == alone
    assert verify_packets(gathered, cache=remembered).tolist() == alone
    assert len(remembered) <= 2 * size_max


@given(st.lists(encoded_packets(), max_size=12))
def test_packets_stay_valid_in_any_company(frames: list[bytes]) -> None:
    gathered = packets_from_frame(b"".join(frames))
    assert not check_structure(gathered).any()
    assert verify_packets(gathered).all()


@given(st.lists(st.binary(min_size=32, max_size=32), unique=True, max_size=20))
def test_fresh_keys_have_fresh_ids(seeds: list[bytes]) -> None:
    keys = [Signer(seed).public_key for seed in seeds]
    assert len(set(keys)) == len({node_id(key) for key in keys}) == len(seeds)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 31), st.integers(1, 255))
def test_every_byte_of_a_key_counts_in_its_node_id(key: bytes, at: int, change: int) -> None:
    other = bytearray(key)
    other[at] ^= change
    assert node_id(key) != node_id(bytes(other))
