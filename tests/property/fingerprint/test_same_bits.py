"""The same coordinates give the same bits, however they are laid out, ordered, split up or added."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.fingerprint import Fingerprinter
from fingerpost.fingerprint import _simhash as simhash
from fingerpost.fingerprint._weights import offsets, weights
from fingerpost.template import SCALE, parse_template

WIDTH, BITS = 70, 128
TEMPLATE = parse_template(
    f"""
format = 1
name = "wide"
[situation.v]
kind = "vector"
size = {WIDTH}
range = [-1, 1]
missing = "refuse"
weight = 7.999
[outcome]
kind = "number"
range = [0, 1]
[fingerprint]
bits = {BITS}
sketch = true
"""
)
FINGERPRINTER = Fingerprinter(TEMPLATE)
seeds = st.integers(0, 2**32 - 1)


def coordinates(seed: int, rows: int = 37) -> np.ndarray:
    generator = np.random.default_rng(seed)
    largest = int(SCALE * TEMPLATE.situation[0].weight)
    encoded = generator.integers(-largest, largest + 1, (rows, WIDTH))
    encoded[generator.random((rows, WIDTH)) < 0.3] = largest
    return encoded.astype(np.int16)


@given(seed=seeds)
def test_sums_in_64_bit_integers_give_the_same_bits(seed: int) -> None:
    encoded = coordinates(seed)
    table = weights(TEMPLATE.space_id, bits=BITS, width=WIDTH).astype(np.int64)
    sums = encoded.astype(np.int64) @ table.T + offsets(TEMPLATE.space_id, bits=BITS, width=WIDTH)
    assert (FINGERPRINTER.fingerprints(encoded) == np.packbits(sums >= 0, axis=1)).all()


@given(seed=seeds)
def test_the_layout_in_memory_and_the_order_of_rows_change_nothing(seed: int) -> None:
    encoded = coordinates(seed)
    order = np.random.default_rng(seed).permutation(len(encoded))
    for make in (FINGERPRINTER.fingerprints, FINGERPRINTER.sketches):
        expected = make(encoded)
        assert (make(np.asfortranarray(encoded)) == expected).all()
        assert (make(encoded[order]) == expected[order]).all()
        assert (make(encoded[::-2]) == expected[::-2]).all()


@pytest.mark.parametrize("rows", [1, 5, 36, 37])
@given(seed=seeds)
@settings(max_examples=10)
def test_the_size_of_batches_changes_nothing(rows: int, seed: int) -> None:
    encoded = coordinates(seed)
    for make in (FINGERPRINTER.fingerprints, FINGERPRINTER.sketches):
        parts = [make(encoded[start : start + rows]) for start in range(0, len(encoded), rows)]
        assert (np.vstack(parts) == make(encoded)).all()


def test_more_rows_than_a_block_give_what_each_gives_alone() -> None:
    encoded = coordinates(3, rows=simhash._BLOCK_ROWS + 3)
    made = FINGERPRINTER.fingerprints(encoded)
    assert (made[-5:] == FINGERPRINTER.fingerprints(encoded[-5:])).all()
