"""A codebook's cells are those of the nearest prototypes, and making one follows from public fingerprints alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.errors import TemplateError, UsageError
from fingerpost.fingerprint import Fingerprinter, cell_of, group_of, hamming, likely_cells, probes
from fingerpost.fingerprint import cells as cells_module
from fingerpost.fingerprint import codebook as codebook_module
from fingerpost.fingerprint.codebook import make_central_codebook, make_codebook
from fingerpost.template import SCALE, Template, parse_template

WIDTH = 10
PLAIN = parse_template(
    f"""
format = 1
name = "wide"
[situation.v]
kind = "vector"
size = {WIDTH}
range = [-1, 1]
missing = "refuse"
[outcome]
kind = "number"
range = [0, 1]
[fingerprint]
bits = 128
"""
)


@cache
def public_fingerprints(seed: int) -> np.ndarray:
    """Return fingerprints of records that crowd in few places, as real ones do."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(0, 0.5 * SCALE, (6, WIDTH))
    records = centres[generator.integers(0, 6, 1_500)] + generator.normal(0, 0.15 * SCALE, (1_500, WIDTH))
    return Fingerprinter(PLAIN).fingerprints(np.clip(records, -SCALE, SCALE).astype(np.int16))


def with_codebook(bits: int, group_bits: int = 0, *, seed: int = 0) -> Template:
    codebook = make_codebook(public_fingerprints(seed), PLAIN, bits=bits)
    return replace(PLAIN, cell_bits=bits, group_bits=group_bits, codebook=codebook)


def prototypes_of(template: Template) -> np.ndarray:
    return np.frombuffer(template.codebook, np.uint8).reshape(1 << template.cell_bits, -1)


@given(
    raw=st.lists(st.binary(min_size=16, max_size=16), min_size=0, max_size=8),
    bits=st.integers(1, 7),
    at_once=st.sampled_from([1, 300, 1 << 20]),
)
def test_a_cell_is_the_nearest_prototype_and_the_lowest_of_equally_near_ones(
    raw: list[bytes], bits: int, at_once: int
) -> None:
    template = with_codebook(bits)
    fingerprints = np.frombuffer(b"".join(raw), np.uint8).reshape(-1, 16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells_module, "_DISTANCES_AT_ONCE", at_once)
        found = cell_of(fingerprints, template)
    distances = hamming(fingerprints, prototypes_of(template))
    assert found.tolist() == [min(range(1 << bits), key=lambda cell: (row[cell], cell)) for row in distances]
    assert found.dtype == np.uint32


@given(raw=st.binary(min_size=16, max_size=16), draw=st.data())
def test_likely_cells_are_those_of_the_nearest_prototypes_in_the_nearest_groups(
    raw: bytes, draw: st.DataObject
) -> None:
    bits = draw.draw(st.integers(1, 7))
    template = with_codebook(bits, draw.draw(st.integers(0, bits)))
    distances = hamming(np.frombuffer(raw, np.uint8)[None, :], prototypes_of(template))[0]
    order = sorted(range(1 << bits), key=lambda cell: (distances[cell], cell))
    count = draw.draw(st.integers(1, 1 << bits))
    assert likely_cells(raw, template, count=count).tolist() == order[:count]
    groups_max = draw.draw(st.integers(1, 1 << template.group_bits))
    groups = list(dict.fromkeys(group_of(np.array(order, np.uint32), template).tolist()))[:groups_max]
    shift = bits - template.group_bits
    within = [cell for cell in order if cell >> shift in groups]
    assert likely_cells(raw, template, count=count, groups_max=groups_max).tolist() == within[:count]


@given(raw=st.binary(min_size=16, max_size=16), bits=st.integers(0, 8))
def test_likely_cells_of_a_template_without_a_codebook_are_its_probes(raw: bytes, bits: int) -> None:
    template = replace(PLAIN, cell_bits=bits, group_bits=bits // 2)
    home = int(cell_of(np.frombuffer(raw, np.uint8)[None, :], template)[0])
    costs = list(range(bits))
    found = likely_cells(raw, template, count=20, flip_costs=costs, groups_max=2)
    assert found.tolist() == probes(home, template, count=20, flip_costs=costs, groups_max=2).tolist()


@given(seed=st.integers(0, 2**16), bits=st.integers(1, 6))
def test_a_codebook_does_not_see_in_which_order_or_how_often_fingerprints_come(seed: int, bits: int) -> None:
    rows = np.random.default_rng(seed).permutation(len(public_fingerprints(0)))
    mixed = public_fingerprints(0)[[*rows, *rows[:100]]]
    assert make_codebook(mixed, PLAIN, bits=bits) == with_codebook(bits).codebook


def test_prototypes_are_different_public_fingerprints_drawn_by_their_space() -> None:
    template = with_codebook(8)
    drawn = {prototype.tobytes() for prototype in prototypes_of(template)}
    assert len(drawn) == 256
    assert drawn <= {row.tobytes() for row in public_fingerprints(0)}
    other = make_codebook(public_fingerprints(0), replace(PLAIN, salt=1), bits=8)
    assert len(drawn & {other[start : start + 16] for start in range(0, len(other), 16)}) < 128


@pytest.mark.parametrize("seed", range(3))
def test_cells_of_one_group_are_near_to_each_other_and_groups_about_equally_full(seed: int) -> None:
    template = with_codebook(8, 4, seed=seed)
    prototypes = prototypes_of(template)
    distances = hamming(prototypes, prototypes)
    same = np.arange(256)[:, None] >> 4 == np.arange(256) >> 4
    inside = distances[same].sum() / (same.sum() - 256)
    assert inside < 0.75 * distances[~same].mean()
    full = np.bincount(group_of(cell_of(public_fingerprints(seed), template), template), minlength=16)
    prefix = replace(PLAIN, cell_bits=8, group_bits=4)
    by_prefix = np.bincount(group_of(cell_of(public_fingerprints(seed), prefix), prefix), minlength=16)
    assert full.max() < 2 * full.mean() < by_prefix.max()


def test_a_template_with_a_codebook_reads_back_from_its_canonical_form() -> None:
    template = with_codebook(5, 2)
    again = parse_template(template.canonical)
    assert again == template
    assert again.template_id != replace(template, codebook=with_codebook(5, seed=1).codebook).template_id
    assert again.space_id == PLAIN.space_id
    assert template.prototypes()[3] == prototypes_of(template)[3].tobytes()
    assert PLAIN.prototypes() == ()


def test_a_codebook_that_cannot_be_is_refused() -> None:
    few = public_fingerprints(0)[:7]
    for fingerprints, bits in ((few, 3), (few, 0), (few, 13)):
        with pytest.raises(UsageError) as caught:
            make_codebook(fingerprints, PLAIN, bits=bits)
        assert caught.value.code == "codebook-size"
    template = with_codebook(3)
    with pytest.raises(TemplateError) as broken:
        replace(template, codebook=template.codebook[:-16] + template.codebook[:16])
    assert broken.value.code == "template-codebook"
    with pytest.raises(UsageError) as refused:
        probes(0, template, count=2)
    assert refused.value.code == "probe-argument"
    with pytest.raises(UsageError) as counted:
        likely_cells(bytes(16), template, count=0)
    assert counted.value.code == "probe-argument"


@pytest.mark.parametrize("bits", [2, 5])
def test_central_prototypes_lie_closer_to_what_is_around_them_than_drawn_ones(bits: int) -> None:
    public = public_fingerprints(0)
    central = make_central_codebook(public, PLAIN, bits=bits)
    assert make_central_codebook(public, PLAIN, bits=bits) == central

    def reach(codebook: bytes) -> float:
        return float(hamming(public, np.frombuffer(codebook, np.uint8).reshape(1 << bits, -1)).min(axis=1).mean())

    assert reach(central) < reach(make_codebook(public, PLAIN, bits=bits))
    assert len(replace(PLAIN, cell_bits=bits, codebook=central).prototypes()) == 1 << bits


def test_fingerprints_without_any_middle_are_given_up_on_after_some_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codebook_module, "CENTRAL_ROUNDS", 2)
    anywhere = np.random.default_rng(0).integers(0, 256, (500, PLAIN.fingerprint_bits // 8), dtype=np.uint8)
    codebook = make_central_codebook(anywhere, PLAIN, bits=3)
    assert len(replace(PLAIN, cell_bits=3, codebook=codebook).prototypes()) == 8
