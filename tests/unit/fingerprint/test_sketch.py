"""Sketches."""

from __future__ import annotations

import hashlib
from math import isqrt

import numpy as np
import pytest

from fingerpost.errors import UsageError
from fingerpost.fingerprint import Fingerprinter, sketch_values
from fingerpost.fingerprint._sketch import mixing_signs, reach
from fingerpost.template import SCALE, Template, parse_template
from tests.unit.template.texts import small_with


def template_of(width: int, *, sketch: bool = True, weight: str = "1", salt: int = 0) -> Template:
    return parse_template(
        f"""
format = 1
name = "sketched"
[situation.x]
kind = "vector"
size = {width}
range = [-1, 1]
missing = "refuse"
weight = {weight}
[outcome]
kind = "number"
range = [0, 1]
[fingerprint]
sketch = {str(sketch).lower()}
salt = {salt}
"""
    )


def records(template: Template, rows: int, *, seed: int = 0, extreme: bool = False):
    generator = np.random.default_rng(seed)
    if extreme:
        return np.where(generator.random((rows, template.encoded_width)) < 0.5, -SCALE, SCALE).astype(np.int16)
    return generator.integers(-SCALE, SCALE + 1, (rows, template.encoded_width)).astype(np.int16)


def keyed(space_id: bytes, letter: bytes, *numbers: int) -> bytes:
    return hashlib.blake2s(letter + b"".join(n.to_bytes(4, "little") for n in numbers), key=space_id).digest()


def sketch_by_definition(template: Template, record: list[int], energy_twelfths: int) -> list[int]:
    """The definition, one coordinate at a time in whole numbers of Python; the template has no indicators."""
    space = template.space_id
    levels = []
    for row in range(64):
        total = 0
        for column, coordinate in enumerate(record):
            slots = sorted(range(64), key=lambda slot: keyed(space, b"P", column // 64, slot))
            byte = keyed(space, b"S", column // 256)[column % 256 // 8]
            flips = (byte >> (7 - column % 8) & 1) + bin(row & slots[column % 64]).count("1")
            total += -coordinate if flips % 2 else coordinate
        levels.append(min(max(8 * total // isqrt(energy_twelfths * 25 // 48) + 8, 0), 15))
    return levels


@pytest.mark.parametrize("width", [1, 2, 13, 64, 65])
def test_sketches_equal_their_definition(width: int) -> None:
    template = template_of(width)
    encoded = records(template, 3)
    sketches = Fingerprinter(template).sketches(encoded)
    assert sketches.shape == (3, 32)
    assert sketches.dtype == np.uint8
    wanted = [sketch_by_definition(template, record, 4 * width * SCALE**2) for record in encoded.tolist()]
    assert sketch_values(sketches).tolist() == wanted
    assert [[level for byte in row for level in (byte >> 4, byte & 15)] for row in sketches.tolist()] == wanted


@pytest.mark.parametrize("width", [1, 7, 64, 100, 300])
def test_coordinates_of_one_block_are_orthogonal(width: int) -> None:
    signs = mixing_signs(template_of(width)).astype(np.int64)
    assert signs.shape == (64, width)
    assert set(np.unique(signs)) == {-1, 1}
    for start in range(0, width, 64):
        block = signs[:, start : start + 64]
        assert (block.T @ block == 64 * np.eye(block.shape[1])).all()


def test_values_come_before_indicators_and_lose_nothing_to_them() -> None:
    fields = "".join(f'[situation.x{index:02d}]\nkind = "number"\nrange = [0, 1]\n' for index in range(40))
    template = parse_template(f'format = 1\nname = "a"\n{fields}[outcome]\nkind = "number"\nrange = [0, 1]')
    signs = mixing_signs(template).astype(np.int64)
    values = signs[:, 0::2]
    assert (values.T @ values == 64 * np.eye(40)).all()


def test_a_narrow_record_gives_many_different_coordinates() -> None:
    rows = {row.tobytes() for row in mixing_signs(template_of(8))}
    assert len(rows) >= 32, "with the slots 0 to 7 there would be 8"


def test_another_space_mixes_otherwise() -> None:
    plain, salted = template_of(20), template_of(20, salt=1)
    encoded = records(plain, 50)
    assert (Fingerprinter(plain).sketches(encoded) != Fingerprinter(salted).sketches(encoded)).mean() > 0.5


@pytest.mark.parametrize(
    ("field", "energy"),
    [
        ('kind = "number"\nrange = [0, 1]', 4),
        ('kind = "number"\nrange = [0, 1]\nweight = 2', 16),
        ('kind = "ordinal"\nlevels = ["a", "b", "c"]', 4),
        ('kind = "category"\nlevels = ["a", "b"]', 12),
        ('kind = "category"\nlevels = ["a", "b", "c"]', 12),
        ('kind = "set"\nlevels = ["a", "b", "c"]', 9),
        ('kind = "vector"\nsize = 5\nrange = [0, 1]', 20),
        ('kind = "text"', 768),
    ],
)
def test_the_reach_follows_the_energy_of_the_fields(field: str, energy: int) -> None:
    assert reach(parse_template(small_with(field))) == isqrt(energy * SCALE**2 * 25 // 48)


def test_records_spread_over_their_ranges_use_all_of_a_sketch_and_rarely_more() -> None:
    template = template_of(40)
    values = sketch_values(Fingerprinter(template).sketches(records(template, 400)))
    assert 0.01 < ((values == 0) | (values == 15)).mean() < 0.1
    ends = sketch_values(Fingerprinter(template).sketches(records(template, 400, extreme=True)))
    assert 0.1 < ((ends == 0) | (ends == 15)).mean() < 0.3


def test_a_weight_on_everything_leaves_the_sketch_as_it_is() -> None:
    plain, heavy = template_of(30), template_of(30, weight="2.5")
    signs = mixing_signs(plain).astype(np.int64)
    encoded = records(plain, 40)
    levels = np.clip(8 * (encoded.astype(np.int64) @ signs.T) // reach(plain) + 8, 0, 15)
    scaled = np.clip(8 * (encoded.astype(np.int64) * 5 @ signs.T) // (2 * reach(heavy)) + 8, 0, 15)
    assert np.abs(levels - scaled).max() <= 1
    assert (levels != scaled).mean() < 0.01


def test_distances_of_sketches_follow_those_of_records() -> None:
    template = template_of(64)
    encoded = records(template, 60)
    values = sketch_values(Fingerprinter(template).sketches(encoded))
    exact = ((encoded[:, None].astype(float) - encoded[None]) ** 2).sum(axis=2)
    sketched = ((values[:, None] - values[None]) ** 2).sum(axis=2)
    apart = ~np.eye(60, dtype=bool)
    assert np.corrcoef(exact[apart], sketched[apart])[0, 1] > 0.9


def test_many_rows_are_sketched_like_few() -> None:
    template = template_of(5)
    encoded = records(template, 8_200)
    sketcher = Fingerprinter(template)
    assert (sketcher.sketches(encoded)[-10:] == sketcher.sketches(encoded[-10:])).all()


def test_a_template_without_a_sketch_never_gives_one() -> None:
    template = template_of(5, sketch=False)
    with pytest.raises(UsageError, match="no sketch") as caught:
        Fingerprinter(template).sketches(records(template, 1))
    assert caught.value.code == "sketch-absent"


def test_sketches_refuse_what_is_no_encoded_record() -> None:
    template = template_of(5)
    with pytest.raises(UsageError) as caught:
        Fingerprinter(template).sketches(np.zeros((1, 4), np.int16))
    assert caught.value.code == "encoded-shape"
