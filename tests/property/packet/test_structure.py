"""The check of whole arrays and the decoder of single packets never disagree."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.errors import PacketError
from fingerpost.packet import Reason, check_structure, decode, encode, packets_from_frame, sign_batch, verify_packets
from tests.unit.packet.samples import SIGNER, one_of_each_kind

VALID = [encode(signed) for signed in sign_batch(one_of_each_kind(), SIGNER)]

changes = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 511), st.integers(0, 9), st.integers(77, 130), st.integers(317, 340)),
        st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 255])),
    ),
    max_size=4,
)


def code_of(data: bytes) -> str | None:
    try:
        decode(data)
    except PacketError as error:
        return error.code
    return None


@given(st.lists(st.tuples(st.sampled_from(VALID), changes), min_size=1, max_size=12))
def test_arrays_and_single_packets_are_refused_alike(chosen: list[tuple[bytes, list[tuple[int, int]]]]) -> None:
    altered = []
    for data, edits in chosen:
        octets = bytearray(data)
        for at, value in edits:
            octets[at] = value
        altered.append(bytes(octets))
    reasons = check_structure(packets_from_frame(b"".join(altered)))
    singly = [code_of(data) for data in altered]
    assert [reason == Reason.FINE for reason in reasons] == [code is None for code in singly]


@given(st.lists(st.sampled_from(range(len(VALID))), max_size=12))
def test_packets_stay_valid_in_any_company(rows: list[int]) -> None:
    packets = packets_from_frame(b"".join(VALID[row] for row in rows))
    assert verify_packets(packets).all()


@given(st.lists(st.sampled_from(VALID), min_size=1, max_size=9), st.integers(0, 511), st.integers(1, 255))
def test_a_changed_byte_anywhere_makes_a_packet_invalid(frames: list[bytes], at: int, change: int) -> None:
    packets = packets_from_frame(b"".join(frames)).copy()
    packets.view(np.uint8).reshape(len(packets), 512)[0, at] ^= change
    assert not verify_packets(packets)[0]
