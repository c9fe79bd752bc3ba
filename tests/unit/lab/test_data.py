"""Public data sets and their templates."""

from __future__ import annotations

import numpy as np
import pytest

from fingerpost.lab import data
from fingerpost.lab.data import NAMES, load

SHAPES = {
    "digits": (1_797, 64, 10),
    "breast_cancer": (569, 30, 2),
    "wine": (178, 13, 3),
    "heart": (920, 35, 2),
    "diabetes": (442, 10, 0),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_row_of_a_set_fits_its_template(name: str) -> None:
    found = load(name)
    rows, width, levels = SHAPES[name]
    assert found.encoded().shape == (rows, width)
    assert (len(found), found.levels) == (rows, levels)
    if levels:
        assert set(found.outcomes.tolist()) == set(range(levels))


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "diabetes"])
def test_few_values_lie_at_or_beyond_the_ends_of_their_ranges(name: str) -> None:
    encoded = load(name).encoded()
    numbers = [column for column in encoded.T if len(np.unique(column)) > 3]
    assert max((np.abs(column) == 4_096).mean() for column in numbers) < 0.03


def test_a_template_can_have_another_fingerprint_and_another_projection() -> None:
    found = load("wine")
    wide, narrow = found.template(bits=1_024), found.template(bits=256, sketch=True, salt=7)
    assert (wide.fingerprint_bits, wide.sketch, wide.salt) == (1_024, False, 0)
    assert (narrow.fingerprint_bits, narrow.sketch, narrow.salt) == (256, True, 7)
    assert narrow.situation == wide.situation
    assert narrow.space_id != wide.space_id


def test_an_encoded_row_of_wine_is_what_its_numbers_say() -> None:
    found = load("wine")
    names = [part.name for part in found.template().situation]
    row = dict(zip(names, found.encoded()[0].tolist(), strict=True))
    assert row["alcohol"] == round(8_192 * (14.23 - 10) / 6) - 4_096
    assert row["proline"] == pytest.approx(8_192 * np.log(1_065 / 200) / np.log(10) - 4_096, abs=12)


def test_heart_has_four_hospitals_and_missing_values() -> None:
    found = load("heart")
    assert found.sites is not None
    assert sorted(np.unique(found.sites, return_counts=True)[1].tolist()) == [123, 200, 294, 303]
    assert None in found.columns["cholesterol"]
    assert found.raw is None
    assert set(found.tables()) == {"encoded"}


def test_a_central_model_may_also_look_at_the_raw_numbers() -> None:
    tables = load("wine").tables()
    assert set(tables) == {"encoded", "raw"}
    assert tables["raw"][0, 0] == 14.23
    assert np.abs(tables["encoded"]).max() <= 1


def test_a_part_of_a_set_keeps_rows_together() -> None:
    found = load("heart")
    rows = np.array([5, 700, 3])
    part = found.part(rows)
    assert (part.encoded() == found.encoded()[rows]).all()
    assert part.outcomes.tolist() == found.outcomes[rows].tolist()
    assert part.sites is not None
    assert found.sites is not None
    assert part.sites.tolist() == found.sites[rows].tolist()
    numbers = load("wine").part(rows % 178)
    assert numbers.raw is not None
    assert numbers.sites is None


def test_a_row_that_does_not_fit_stops_the_measurement() -> None:
    broken = data.DataSet(name="wine", columns={**load("wine").columns, "alcohol": ["x"] * 178}, outcomes=np.zeros(178))
    with pytest.raises(AssertionError, match="178 rows do not fit"):
        broken.encoded()
