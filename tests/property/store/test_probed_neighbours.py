"""An index that looks into a few lists finds most, all when it looks into all, and nothing that is not there."""

from __future__ import annotations

import numpy as np
import pytest

from bench._packets import clustered_prints
from fingerpost.errors import UsageError
from fingerpost.store.index import FlatNeighbours, ProbedNeighbours


def apart(prints, rows, query):
    return np.bitwise_count(prints[rows] ^ query).sum(axis=1)


@pytest.mark.parametrize(("probes", "recall_min"), [(64, 1.0), (24, 0.9)], ids=["all lists", "some lists"])
def test_the_distances_found_are_those_of_an_exact_search(probes: int, recall_min: float) -> None:
    prints, questions = clustered_prints(20_000, bits=256, seed=0), clustered_prints(40, bits=256, seed=1)
    index = ProbedNeighbours(prints[:15_000], lists=64, probes=probes)
    index.add(prints[15_000:])
    found, expected = index.nearest(questions, 16), FlatNeighbours(prints).nearest(questions, 16)
    shares = []
    for ours, theirs, query in zip(found, expected, questions, strict=True):
        distances, best = apart(prints, ours, query), apart(prints, theirs, query)
        assert (np.diff(distances) >= 0).all()
        assert len(set(ours.tolist())) == 16
        shares.append(float((distances <= best.max()).mean()))
    assert np.mean(shares) >= recall_min


@pytest.mark.parametrize(("lists", "probes"), [(0, 0), (5, 6), (11, 1), (5, 0)])
def test_more_probes_than_lists_or_lists_than_fingerprints_are_refused(lists: int, probes: int) -> None:
    with pytest.raises(UsageError) as refused:
        ProbedNeighbours(np.zeros((10, 32), np.uint8), lists=lists, probes=probes)
    assert refused.value.code == "index-argument"
