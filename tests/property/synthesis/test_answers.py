"""Answers do not depend on who held the packets, in which order they came, or which node emitted them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.errors import ReceiptError
from fingerpost.synthesis import Answer, Evidence, KernelOptions, Receipt, synthesize, verify_receipt
from fingerpost.synthesis.statistics import Statistics
from tests.unit.synthesis import worlds

if TYPE_CHECKING:
    from numpy.typing import NDArray

CATEGORY, NUMBER = worlds.category_template(), worlds.number_template()
QUERY = worlds.queries(CATEGORY, worlds.situations(900, 1))[0]
POOLS = {
    "category": worlds.pool(CATEGORY, rows=60, action=1),
    "number": worlds.pool(NUMBER, rows=60),
}
LOCAL = KernelOptions(whole_packets_max=16, neighbours=16, search_packets_max=40, calibration_packets_max=20)


def ask(packets: NDArray[Any], kind: str, options: KernelOptions | None) -> Answer:
    template = CATEGORY if kind == "category" else NUMBER
    evidence = Evidence.from_packets(packets, template)
    return synthesize(QUERY, evidence, template, day=worlds.DAY, options=options)


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(["category", "number"]), st.sampled_from([None, LOCAL]), st.randoms(use_true_random=False))
def test_the_same_packets_give_the_same_answer_however_they_arrive(kind: str, options: Any, chance: Any) -> None:
    packets = POOLS[kind]
    order = list(range(len(packets)))
    chance.shuffle(order)
    order += chance.choices(order, k=10)  # some arrive twice
    holders = chance.randint(1, 5)
    parts = [packets[order[holder::holders]] for holder in range(holders)]
    assert ask(np.concatenate(parts), kind, options) == ask(packets, kind, options)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=60, max_size=60), st.booleans())
def test_whoever_emits_the_same_observations_the_estimate_and_the_sums_are_the_same(
    nodes: list[int], is_number: bool
) -> None:
    template = NUMBER if is_number else CATEGORY
    points = worlds.situations(7, 60)
    outcomes = worlds.number_of(points) if is_number else worlds.level_of(points)
    owners = np.array(nodes)
    packets = np.concatenate(
        [worlds.observe(template, points[owners == n], outcomes[owners == n], node=int(n)) for n in np.unique(owners)]
    )
    single = worlds.observe(template, points, outcomes)
    kind = "number" if is_number else "category"
    found, expected = ask(packets, kind, None), ask(single, kind, None)
    assert found.settings == expected.settings
    assert found.probabilities == expected.probabilities
    assert found.pair_sums == expected.pair_sums
    assert [(near.distance, near.outcome) for near in found.nearest[:1]] == [
        (near.distance, near.outcome) for near in expected.nearest[:1]
    ]
    assert sorted(near.distance for near in found.nearest) == sorted(near.distance for near in expected.nearest)
    if found.number is not None and expected.number is not None:
        assert found.number.mean == expected.number.mean
    if not is_number:
        same = Statistics.of(Evidence.from_packets(packets, template))
        assert same == Statistics.of(Evidence.from_packets(single, template))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400) | st.binary(max_size=200).map(lambda tail: b"fingerpost receipt 1\n" + tail))
def test_made_up_bytes_are_refused_with_a_receipt_error(data: bytes) -> None:
    with pytest.raises(ReceiptError) as caught:
        verify_receipt(data)
    assert caught.value.code.startswith("receipt-")


@settings(max_examples=150, deadline=None)
@given(
    st.builds(
        Receipt,
        template=st.sampled_from([CATEGORY.canonical, b"", b"{}"]) | st.binary(max_size=50),
        packets=st.sampled_from([POOLS["category"][:1].tobytes(), b""]) | st.binary(max_size=600),
        options=st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=4), max_size=3),
        claims=st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b'{"query":{}}']),
    )
)
def test_any_fields_of_a_receipt_are_refused_with_a_receipt_error(receipt: Receipt) -> None:
    with pytest.raises(ReceiptError) as caught:
        verify_receipt(receipt)
    assert caught.value.code.startswith("receipt-")
