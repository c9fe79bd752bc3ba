"""The election of survivors: old, contradicted and untrusted packets lose weight, when outcomes say so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fingerpost.elections.survive import RULES, TRUST_NATS_MAX, Survival, agreement_with
from fingerpost.errors import UsageError
from fingerpost.synthesis import Evidence, make_receipt, verify_receipt
from fingerpost.synthesis._synthesizer import Synthesizer
from tests.unit.synthesis import worlds
from tests.unit.synthesis.pools import emitters, sign_fingerprints

BITS = 256


def world(rows: int, seed: int = 0) -> tuple[Any, Any]:
    points = np.random.default_rng(seed).uniform(-1, 1, (rows, 3))
    return sign_fingerprints(points, BITS), (points[:, 0] > 0).astype(np.int64)


def evidence_of(prints: Any, codes: Any, *, nodes: Any = None, epochs: Any = None) -> Evidence:
    return Evidence.from_arrays(
        fingerprints=prints,
        codes=codes,
        counts=np.zeros((0, 2), np.int64),
        emitters=emitters(np.zeros(len(codes), np.int64) if nodes is None else nodes),
        epochs=epochs,
    )


def confirmed(survival: Survival, evidence: Evidence, prints: Any, codes: Any, *, day: int = 0) -> Survival:
    for fingerprint, code in zip(prints, codes, strict=True):
        agreement, chance = agreement_with(evidence, float(code), deviation=0.0)
        survival = survival.tested(evidence, fingerprint, agreement, chance=chance, day=day)
    return survival


def test_while_outcomes_agree_with_them_all_packets_count_alike() -> None:
    evidence = evidence_of(*world(100))
    survival = confirmed(Survival(), evidence, *world(60, 1))
    assert survival.trust(evidence, day=0) is None
    assert survival.tests == 60


def test_after_the_world_has_changed_old_packets_count_for_less_than_fresh_ones() -> None:
    prints, codes = world(200)
    epochs = np.arange(200)
    codes = np.where(epochs < 150, 1 - codes, codes)
    evidence = evidence_of(prints, codes, epochs=epochs)
    survival = confirmed(Survival(), evidence, *world(40, 1), day=200)
    trust = survival.trust(evidence, day=200)
    assert trust is not None
    ages = 200 - evidence.epochs
    assert trust[ages < 50].mean() > 3 * trust[ages > 50].mean()


def test_a_node_that_lies_loses_trust_and_an_honest_one_keeps_it() -> None:
    prints, codes = world(200)
    nodes = np.arange(200) % 2
    evidence = evidence_of(prints, np.where(nodes == 1, 1 - codes, codes), nodes=nodes)
    survival = confirmed(Survival(), evidence, *world(80, 1))
    trust = survival.trust(evidence, day=0)
    assert trust is not None
    liar = evidence.node_ids[evidence.node_index] == evidence.node_ids[evidence.node_index[trust.argmin()]]
    lies = liar.all(axis=1)
    assert trust[~lies].mean() > 5 * trust[lies].mean()
    assert max(map(abs, survival.nodes.values())) <= TRUST_NATS_MAX


def test_trust_is_capped_so_that_a_long_good_record_buys_few_lies() -> None:
    prints, codes = world(120)
    nodes = np.arange(120) % 2
    evidence = evidence_of(prints, np.where(nodes == 1, 1 - codes, codes), nodes=nodes)
    long = confirmed(Survival(), evidence, *world(500, 1))
    assert max(long.nodes.values()) == TRUST_NATS_MAX
    turned = evidence_of(prints, np.where(nodes == 0, 1 - codes, codes), nodes=nodes)
    after = confirmed(long, turned, *world(20, 2))
    banked = max(long.nodes, key=lambda node: long.nodes[node])
    assert after.nodes[banked] < 0


def test_contradicted_packets_are_dropped_at_last_but_never_those_of_the_asker() -> None:
    prints, codes = world(200)
    nodes = np.arange(200) % 2
    lies = evidence_of(prints, np.where(nodes == 1, 1 - codes, codes), nodes=nodes)
    survival = confirmed(Survival(), lies, *world(300, 1))
    assert survival.dropped
    rows = lies.rows_of(np.array([list(one) for one in sorted(survival.dropped)], np.uint8))
    assert len(np.unique(lies.node_index[rows])) == 1
    mine = lies.node_ids[lies.node_index[rows[0]]].tobytes()
    trust = survival.trust(lies, day=0)
    assert trust is not None
    assert (trust[rows] == 0).all()
    spared = Survival()
    for fingerprint, code in zip(*world(300, 1), strict=True):
        agreement, chance = agreement_with(lies, float(code), deviation=0.0)
        spared = spared.tested(lies, fingerprint, agreement, chance=chance, day=0, own=mine)
    assert not spared.dropped


def test_numbers_agree_by_their_distance_in_deviations() -> None:
    prints, _ = world(3)
    evidence = Evidence.from_arrays(fingerprints=prints, values=[1.0, 2.0, 9.0])
    agreement, chance = agreement_with(evidence, 1.0, deviation=0.5)
    by_value = dict(zip(evidence.means.tolist(), agreement.tolist(), strict=True))
    assert by_value == {1.0: 1.0, 2.0: pytest.approx(np.exp(-0.5)), 9.0: pytest.approx(0, abs=1e-9)}
    assert chance == pytest.approx(agreement.mean())


def test_what_is_known_survives_being_kept_and_damage_is_noticed() -> None:
    evidence = evidence_of(*world(60))
    survival = confirmed(Survival(), evidence, *world(20, 1))
    assert Survival.from_bytes(survival.to_bytes()) == survival
    assert sum(survival.shares) == pytest.approx(1)
    assert len(survival.shares) == len(RULES)
    with pytest.raises(UsageError) as caught:
        Survival.from_bytes(survival.to_bytes()[:-1])
    assert caught.value.code == "survival-unreadable"


def test_a_receipt_states_how_much_each_packet_counted_and_follows_only_with_that() -> None:
    template = worlds.category_template()
    packets = worlds.pool(template, rows=40)
    evidence = Evidence.from_packets(packets, template)
    trust = np.linspace(0.1, 1, 40)
    (query,) = worlds.queries(template, worlds.situations(70, 1))
    answer = Synthesizer(evidence.trusted(trust), template, day=worlds.DAY).ask(query)
    plain = Synthesizer(evidence, template, day=worlds.DAY).ask(query)
    assert answer.probabilities != plain.probabilities
    receipt = make_receipt(answer, packets, template, trusted=lambda found: found.trusted(trust))
    assert verify_receipt(receipt.to_bytes()).answer == answer
    forged = type(receipt)(
        template=receipt.template, packets=receipt.packets, options=receipt.options, claims=receipt.claims
    )
    with pytest.raises(Exception, match="does not follow"):
        verify_receipt(forged)


@pytest.mark.parametrize("trust", [np.array([0.5]), np.array([2.0, 0.0]), np.array([np.nan, 0.0])])
def test_trust_that_is_no_share_is_refused(trust: Any) -> None:
    prints, codes = world(2)
    with pytest.raises(UsageError, match="between 0 and 1"):
        evidence_of(prints, codes).trusted(trust)
