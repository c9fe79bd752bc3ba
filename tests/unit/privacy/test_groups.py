"""Groups: disjoint, large enough, alike whichever member is which, and no small cell in what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.fingerprint import Fingerprinter
from fingerpost.limits import GROUP_CELL_MIN, GROUP_SUBJECTS_MIN
from fingerpost.packet import OutcomeForm, Profile, has_layout, payloads
from fingerpost.privacy.groups import (
    ALONE,
    Records,
    alike,
    fits_groups,
    group_records,
    merge_small,
    summary_bodies,
)
from fingerpost.template import parse_template

TEXT = """
format = 1
name = "sizes"
data_class = "personal"
[situation.size]
kind = "number"
range = [0, 100]
[situation.weight]
kind = "number"
range = [0, 100]
[conditions.region]
levels = ["north", "south"]
[action]
levels = ["wait", "cut"]
[outcome]
{outcome}
[privacy]
profile = "k-anonymous"
"""
LEVELS = parse_template(TEXT.format(outcome='kind = "category"\nlevels = ["failed", "half", "worked"]'))
NUMBER = parse_template(TEXT.format(outcome='kind = "number"\nrange = [0, 10]'))
EMITTER = bytes(32)


class Drawn:
    """Entropy that a test can repeat."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def read(self, size: int) -> bytes:
        """Return bytes that depend on the seed."""
        return self._rng.bytes(size)


def records(count: int, *, seed: int = 0, template=LEVELS) -> Records:
    rng = np.random.default_rng(seed)
    width = template.encoded_width
    number = template is NUMBER
    return Records(
        encoded=rng.integers(-1_000, 1_000, (count, width)).astype(np.int16),
        outcomes=rng.uniform(0, 10, count) if number else rng.integers(1, 4, count).astype(np.uint16),
        actions=rng.integers(0, 3, count).astype(np.uint16),
        conditions=rng.integers(0, 3, (count, 1)).astype(np.uint16),
    )


def shuffled(of: Records, order: np.ndarray) -> Records:
    return Records(
        encoded=of.encoded[order],
        outcomes=of.outcomes[order],
        actions=of.actions[order],
        conditions=of.conditions[order],
    )


@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, 400), seed=st.integers(0, 2**32))
def test_every_group_has_at_least_k_records_of_one_action_and_condition_and_no_record_is_in_two(count, seed) -> None:
    given_records = records(count, seed=seed)
    grouping = group_records(given_records)
    labels = grouping.labels
    assert len(labels) == count
    sizes = np.bincount(labels[labels != ALONE], minlength=len(grouping))
    assert ((sizes >= GROUP_SUBJECTS_MIN) & (sizes < 2 * GROUP_SUBJECTS_MIN)).all()
    assert (labels == ALONE).sum() < GROUP_SUBJECTS_MIN
    for group in range(len(grouping)):
        inside = labels == group
        if grouping.actions[group]:
            assert (given_records.actions[inside] == grouping.actions[group]).all()
        if grouping.conditions[group, 0]:
            assert (given_records.conditions[inside] == grouping.conditions[group]).all()


def test_neighbours_are_grouped_and_far_records_are_not() -> None:
    points = np.repeat(np.array([[0, 0], [1_000, 0], [0, 1_000]]), 10, axis=0)
    labels = alike(points, size=10)
    assert all(len(set(labels[start : start + 10])) == 1 for start in (0, 10, 20))


def test_more_rows_than_a_block_holds_are_grouped_too() -> None:
    labels = alike(np.random.default_rng(1).integers(0, 500, (9_001, 3)), size=10)
    sizes = np.bincount(labels)
    assert sizes.min() >= 10
    assert sizes.max() < 20


@pytest.mark.parametrize("template", [LEVELS, NUMBER])
def test_a_summary_is_the_same_whichever_member_is_which(template) -> None:
    given_records = records(20, template=template)
    within = Records(
        encoded=given_records.encoded,
        outcomes=given_records.outcomes,
        actions=np.zeros(20, np.uint16),
        conditions=np.zeros((20, 1), np.uint16),
    )
    grouping = group_records(within)
    labels = grouping.labels
    order = np.concatenate([np.flatnonzero(labels == group)[::-1] for group in range(len(grouping))])
    same = type(grouping)(labels=labels[order], actions=grouping.actions, conditions=grouping.conditions)
    fingerprinter = Fingerprinter(template)
    first, second = (
        summary_bodies(template, fingerprinter, part, how, emitter=EMITTER, day=20_000, entropy=Drawn(3))
        for part, how in ((within, grouping), (shuffled(within, order), same))
    )
    np.testing.assert_array_equal(first.bodies["cell"], second.bodies["cell"])
    layout = template.summary_layout()
    for name in ("fingerprint", "action", "conditions", "confidence"):
        np.testing.assert_array_equal(payloads(first.bodies, layout)[name], payloads(second.bodies, layout)[name])
    said = [payloads(made.bodies, layout)["outcome"] for made in (first, second)]
    for name in ("n", "mean", "m2") if template is NUMBER else (None,):
        columns = [part if name is None else part[name] for part in said]
        np.testing.assert_allclose(columns[0].astype(float), columns[1].astype(float), rtol=1e-12)


histograms = st.lists(st.integers(0, 12), min_size=1, max_size=9).filter(lambda counts: sum(counts) >= 10)


@settings(max_examples=300, deadline=None)
@given(counts=histograms, seed=st.integers(0, 2**32))
def test_no_small_cell_is_told_and_the_size_of_a_group_stays(counts, seed) -> None:
    (merged,) = merge_small(np.array([counts], np.int64), Drawn(seed))
    assert merged.sum() == sum(counts)
    assert ((merged == 0) | (merged >= GROUP_CELL_MIN)).all()
    assert not merged[np.array(counts) == 0].any()


@pytest.mark.parametrize("counts", [[8, 2], [4, 3, 2, 1], [5, 5, 2], [6, 4], [1] * 10, [0, 9, 4, 3], [11, 0, 0]])
def test_every_level_is_expected_to_get_what_it_had(counts) -> None:
    draws = 40_000
    merged = merge_small(np.tile(np.array(counts, np.int64), (draws, 1)), Drawn(5))
    error = merged.std(axis=0) / np.sqrt(draws)
    assert (np.abs(merged.mean(axis=0) - counts) <= 5 * error).all()


@pytest.mark.parametrize("template", [LEVELS, NUMBER])
def test_summaries_fit_and_what_tells_of_fewer_does_not(template) -> None:
    given_records = records(200, template=template)
    made = summary_bodies(
        template,
        Fingerprinter(template),
        given_records,
        group_records(given_records),
        emitter=EMITTER,
        day=20_000,
        entropy=Drawn(1),
    )
    layout = template.summary_layout()
    assert has_layout(made.bodies, layout).all()
    assert fits_groups(made.bodies, template).all()
    changed = made.bodies.copy()
    if template is NUMBER:
        payloads(changed, layout)["outcome"]["n"] = GROUP_SUBJECTS_MIN - 1
    else:
        payloads(changed, layout)["outcome"] = [0, GROUP_CELL_MIN - 1, 10]
    assert not fits_groups(changed, template).any()
    weaker = made.bodies.copy()
    weaker["profile"] = Profile.OPEN
    assert not fits_groups(weaker, template).any()
    surer = made.bodies.copy()
    payloads(surer, layout)["confidence"] = 254
    assert not fits_groups(surer, template).any()


def test_the_layout_of_a_category_counts_every_level() -> None:
    layout = LEVELS.summary_layout()
    assert (layout.outcome_form, layout.outcome_items) == (OutcomeForm.HISTOGRAM, 3)


def test_groups_of_a_single_outcome_are_counted() -> None:
    given_records = records(20)
    one = Records(
        encoded=given_records.encoded,
        outcomes=np.full(20, 2, np.uint16),
        actions=np.zeros(20, np.uint16),
        conditions=np.zeros((20, 1), np.uint16),
    )
    made = summary_bodies(
        LEVELS, Fingerprinter(LEVELS), one, group_records(one), emitter=EMITTER, day=20_000, entropy=Drawn(1)
    )
    assert made.unanimous == len(made.bodies) == 2


def test_an_attacker_who_knows_every_situation_names_the_right_member_no_more_often_than_one_in_k() -> None:
    rng = np.random.default_rng(2)
    given_records = records(600, seed=2)
    alone = Records(
        encoded=given_records.encoded,
        outcomes=given_records.outcomes,
        actions=np.zeros(600, np.uint16),
        conditions=np.zeros((600, 1), np.uint16),
    )
    grouping = group_records(alone)
    made = summary_bodies(LEVELS, Fingerprinter(LEVELS), alone, grouping, emitter=EMITTER, day=20_000, entropy=Drawn(1))
    fingerprints = Fingerprinter(LEVELS).fingerprints(alone.encoded)
    summaries = payloads(made.bodies, LEVELS.summary_layout())["fingerprint"]
    distances = np.bitwise_count(summaries[:, None] ^ fingerprints[None]).sum(axis=2)
    named = distances.argmin(axis=1)
    # The record drawn as "the" member of a packet is any of its members: the attacker's best guess is one of them.
    hits = [
        named[place] == rng.choice(np.flatnonzero(grouping.labels == group)) for place, group in enumerate(made.groups)
    ]
    share = float(np.mean(hits))
    error = np.sqrt(0.1 * 0.9 / len(hits))
    assert share <= 1 / GROUP_SUBJECTS_MIN + 3 * error
