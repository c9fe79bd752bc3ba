"""Fingerprints are exact integers, and their distance tells how similar situations are."""

from __future__ import annotations

import hashlib
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.errors import UsageError
from fingerpost.fingerprint import Fingerprinter, cell_of, hamming
from fingerpost.fingerprint._weights import GAUSS, offsets, weights
from fingerpost.template import SCALE, encode_record, parse_template
from tests.unit.template.texts import HOSPITAL, SMALL

HEART = parse_template(HOSPITAL)
FINGERPRINTER = Fingerprinter(HEART)


def bits_by_definition(encoded: list[int]) -> list[int]:
    """Return the fingerprint of one record, bit by bit, in Python's own integers."""
    bits = []
    for bit in range(HEART.fingerprint_bits):
        stream = b""
        block = 0
        while len(stream) < len(encoded):
            message = b"W" + bit.to_bytes(4, "little") + block.to_bytes(4, "little")
            stream += hashlib.blake2s(message, key=HEART.space_id).digest()
            block += 1
        total = sum(GAUSS[byte] * coordinate for byte, coordinate in zip(stream, encoded, strict=False))
        total += int(offsets(HEART.space_id, bits=bit + 1, width=len(encoded))[bit])
        bits.append(int(total >= 0))
    return bits


def test_the_table_holds_the_rounded_quantiles_of_the_normal_distribution() -> None:
    assert list(GAUSS) == [round(40 * NormalDist().inv_cdf((byte + 0.5) / 256)) for byte in range(256)]


@settings(max_examples=15)
@given(st.lists(st.integers(-32_767, 32_767), min_size=HEART.encoded_width, max_size=HEART.encoded_width))
def test_every_bit_is_the_sign_of_an_integer_sum(encoded: list[int]) -> None:
    fingerprint = FINGERPRINTER.fingerprints(np.array([encoded], dtype=np.int16))[0]
    assert np.unpackbits(fingerprint).tolist() == bits_by_definition(encoded)


def test_many_records_give_what_each_gives_alone() -> None:
    random = np.random.default_rng(3)
    encoded = random.integers(-SCALE, SCALE, size=(9_000, HEART.encoded_width)).astype(np.int16)
    together = FINGERPRINTER.fingerprints(encoded)
    assert together.shape == (9_000, 16)
    for row in (0, 8_191, 8_192, 8_999):
        assert together[row].tolist() == FINGERPRINTER.fingerprints(encoded[row : row + 1])[0].tolist()


def test_a_sum_of_zero_counts_as_positive() -> None:
    small = Fingerprinter(parse_template(SMALL))
    small._weights[:] = 0
    small._offsets[:] = 0
    assert small.fingerprints(np.zeros((1, 2), dtype=np.int16)).tolist() == [[255] * 32]


def test_situations_that_are_alike_have_fingerprints_that_are_near() -> None:
    records = [{"age": 40, "sex": "male"}, {"age": 42, "sex": "male"}, {"age": 85, "sex": "female", "stage": "IV"}]
    fingerprints = FINGERPRINTER.fingerprints(np.stack([encode_record(HEART, record) for record in records]))
    near, far = hamming(fingerprints[:1], fingerprints[1:])[0]
    assert near < far


def test_the_weights_depend_on_the_space_and_on_nothing_else() -> None:
    same = parse_template(HOSPITAL.replace("ttl_days = 90", "ttl_days = 91"))
    other = parse_template(HOSPITAL.replace("range = [20, 90]", "range = [20, 91]"))
    zeros = np.zeros((1, HEART.encoded_width), dtype=np.int16)
    assert Fingerprinter(same).fingerprints(zeros).tolist() == FINGERPRINTER.fingerprints(zeros).tolist()
    assert Fingerprinter(other).fingerprints(zeros).tolist() != FINGERPRINTER.fingerprints(zeros).tolist()


def test_weights_and_offsets_are_spread_as_they_should() -> None:
    drawn = weights(bytes(16), bits=256, width=100)
    assert drawn.shape == (256, 100)
    assert drawn.std() == pytest.approx(40, rel=0.02)
    spread = offsets(bytes(16), bits=1_024, width=100).std() / (40 * SCALE)
    assert spread == pytest.approx(0.5 * 10, rel=0.1)


@pytest.mark.parametrize("encoded", [np.zeros((1, 3), np.int16), np.zeros(3, np.int16), np.zeros((1, 18), np.int64)])
def test_coordinates_of_another_template_are_refused(encoded: np.ndarray) -> None:
    with pytest.raises(UsageError) as caught:
        FINGERPRINTER.fingerprints(encoded)
    assert caught.value.code == "encoded-shape"


def test_fingerprints_of_different_lengths_do_not_compare() -> None:
    with pytest.raises(UsageError) as caught:
        hamming(np.zeros((1, 16), np.uint8), np.zeros((1, 32), np.uint8))
    assert caught.value.code == "fingerprint-length"


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=5))
def test_the_distance_is_the_number_of_differing_bits(raw: list[bytes]) -> None:
    fingerprints = np.frombuffer(b"".join(raw), np.uint8).reshape(-1, 16)
    expected = [
        [(int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).bit_count() for right in raw] for left in raw
    ]
    assert hamming(fingerprints, fingerprints).tolist() == expected


def test_a_cell_is_the_first_bits_of_a_fingerprint() -> None:
    fingerprints = np.array([[0b1011_0000, *[255] * 15], [0] * 16, [255] * 16], dtype=np.uint8)
    assert cell_of(fingerprints, HEART).tolist() == [0b1011, 0, 15]
    whole = parse_template(HOSPITAL.replace("[cells]\nbits = 4", "[cells]\nbits = 32"))
    assert cell_of(fingerprints, whole).tolist() == [0xB0FFFFFF, 0, 0xFFFFFFFF]
    none = parse_template(HOSPITAL.replace("[cells]\nbits = 4", "[cells]\nbits = 0"))
    assert cell_of(fingerprints, none).tolist() == [0, 0, 0]
