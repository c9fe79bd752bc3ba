"""Mutants of what protects records: each check here fails for a broken node, so that it cannot pass for nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fingerpost.fingerprint import Fingerprinter
from fingerpost.limits import GROUP_SUBJECTS_MIN
from fingerpost.node.emission import Observations
from fingerpost.node.forms import Formed, formed
from fingerpost.packet import BODY_DTYPE, Profile, Signer, payloads, sign_bodies
from fingerpost.ports import day_of
from fingerpost.privacy.counts import counts_layout, fits_grid, grid_of
from fingerpost.privacy.groups import ALONE, Records, fits_groups, group_records, summary_bodies
from fingerpost.privacy.ledger import Ledger
from fingerpost.privacy.local import fits_reports, plan_of, report_layout
from fingerpost.privacy.subjects import subject_keys
from fingerpost.template import Template, parse_template

TEXT = """
format = 1
name = "sizes"
data_class = "personal"
[situation.size]
kind = "number"
range = [0, 100]
[outcome]
{outcome}
[cells]
kind = "prefix"
bits = 3
[retention]
ttl_days = 90
[privacy]
profile = "{profile}"
"""
LEVELS = 'kind = "category"\nlevels = ["failed", "worked"]'
SIGNER = Signer(bytes(range(32)))
DAY = 20_000
SALT = bytes(32)


class Drawn:
    """Entropy that a test can repeat."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def read(self, size: int) -> bytes:
        """Return bytes that depend on the seed."""
        return self._rng.bytes(size)


class Still:
    """Noise that a test can repeat."""

    def discrete_laplace(self, counts: Any, *, scale: float) -> Any:
        """Return ``counts`` with noise that depends on nothing but the scale and the size."""
        return counts + np.random.default_rng(round(scale)).integers(-2, 3, counts.shape)


def template_of(profile: Profile, outcome: str = LEVELS) -> Template:
    return parse_template(TEXT.format(outcome=outcome, profile=profile.name.lower().replace("_", "-")))


def observations(template: Template, *, count: int = 40, seed: int = 0) -> Observations:
    rng = np.random.default_rng(seed)
    return Observations(
        encoded=rng.integers(-900, 900, (count, template.encoded_width)).astype(np.int16),
        outcomes=rng.integers(1, 3, count).astype(np.uint16),
        actions=np.zeros(count, np.uint16),
        conditions=np.zeros((count, 0), np.uint16),
        confidences=rng.integers(0, 256, count).astype(np.uint8),
    )


def released(template: Template, what: Observations, *, now: float = DAY * 86_400.0) -> Formed:
    return formed(
        template,
        Fingerprinter(template),
        what,
        signer=SIGNER,
        day=day_of(now),
        entropy=Drawn(7),
        noise=Still(),
    )


# Timestamps finer than a day.


def tells_the_time(make: Callable[[float], Any]) -> bool:
    """Say whether packets that are made at different times of one day differ, chance being the same."""
    morning, evening = DAY * 86_400.0 + 1, DAY * 86_400.0 + 86_399
    return bool(make(morning).tobytes() != make(evening).tobytes())


@pytest.mark.parametrize("profile", [Profile.K_ANONYMOUS, Profile.DP_AGGREGATE, Profile.LOCAL_DP])
def test_no_packet_tells_the_time_of_day(profile: Profile) -> None:
    template = template_of(profile)
    what = observations(template)
    assert not tells_the_time(lambda now: released(template, what, now=now).packets)

    def mutant(now: float) -> Any:
        packets = released(template, what, now=now).packets.copy()
        packets["nonce"][:, :4] = np.array([now], ">u4").view(np.uint8)  # seconds, where nobody would look for them
        return packets

    assert tells_the_time(mutant), "a node that writes seconds is caught"


# A confidence in clear.


@pytest.mark.parametrize(
    ("profile", "fits"),
    [(Profile.K_ANONYMOUS, fits_groups), (Profile.DP_AGGREGATE, fits_grid), (Profile.LOCAL_DP, fits_reports)],
)
def test_a_confidence_that_varies_is_refused_and_none_is_ever_told(profile: Profile, fits: Any) -> None:
    template = template_of(profile)
    packets = released(template, observations(template)).packets
    surer = released(template, observations(template, seed=1)).packets
    layout = {
        Profile.K_ANONYMOUS: template.summary_layout(),
        Profile.DP_AGGREGATE: counts_layout(grid_of(template).levels),
        Profile.LOCAL_DP: report_layout(plan_of(template)),
    }[profile]
    assert fits(packets, template).all()
    assert set(payloads(packets, layout)["confidence"]) == set(payloads(surer, layout)["confidence"]) == {255}
    bodies = np.zeros(len(packets), BODY_DTYPE)
    for name in BODY_DTYPE.names or ():
        bodies[name] = packets[name]
    payloads(bodies, layout)["confidence"] = 128  # of a node that tells how sure it is of a record
    assert not fits(sign_bodies(bodies, SIGNER), template).any(), "a node that tells its confidence is caught"


# Groups that overlap.


def newcomers_outcome(*, rest_days: int) -> float | None:
    """Release 30 subjects, and next day the same with one more; return their difference as an attacker works it out.

    With numbers as outcomes a group tells its exact sum, so two releases tell the newcomer's value by subtraction.
    """
    template = template_of(Profile.K_ANONYMOUS, 'kind = "number"\nrange = [0, 10]')
    rng = np.random.default_rng(4)
    encoded = rng.integers(-900, 900, (31, template.encoded_width)).astype(np.int16)
    outcomes = rng.uniform(0, 10, 31)
    keys = subject_keys(SALT, [f"p{number}" for number in range(31)])
    ledger, sums = Ledger(ledger_id=bytes(16)), []
    for day, known in ((DAY, 30), (DAY + 1, 31)):
        account: dict[str, Any] = {
            "day": day,
            "template_id": template.template_id,
            "cost_milli": 0,
            "cap_milli": 0,
            "rest_days": rest_days,
        }
        rows = np.flatnonzero(ledger.may_count(keys[:known], **account))
        records = Records(
            encoded=encoded[rows],
            outcomes=outcomes[rows],
            actions=np.zeros(len(rows), np.uint16),
            conditions=np.zeros((len(rows), 0), np.uint16),
        )
        grouping = group_records(records)
        made = summary_bodies(
            template,
            Fingerprinter(template),
            records,
            grouping,
            emitter=SIGNER.public_key,
            day=day,
            entropy=Drawn(day),
        )
        if not len(made.bodies):
            return None
        ledger.spend(keys[rows[grouping.labels != ALONE]], profile="k-anonymous", packet_ids=bytes(32), **account)
        said = payloads(made.bodies, template.summary_layout())["outcome"]
        sums.append(float((said["n"] * said["mean"]).sum()))
    assert sums[1] - sums[0] == pytest.approx(outcomes[30])
    return sums[1] - sums[0]


def test_nobody_is_in_two_live_groups_so_that_a_newcomer_cannot_be_found_by_subtraction() -> None:
    assert newcomers_outcome(rest_days=90) is None
    assert newcomers_outcome(rest_days=1) is not None, "a node whose groups overlap gives the newcomer away exactly"


def overlaps(memberships: list[list[int]]) -> bool:
    """Say whether somebody is in two groups, or a group is too small."""
    everybody = [member for members in memberships for member in members]
    return len(set(everybody)) < len(everybody) or any(len(members) < GROUP_SUBJECTS_MIN for members in memberships)


def test_groups_of_one_release_share_nobody() -> None:
    template = template_of(Profile.K_ANONYMOUS)
    made = released(template, observations(template, count=57))
    assert made.places is not None
    memberships = [made.rows[made.places == place].tolist() for place in range(len(made.packets))]
    assert not overlaps(memberships)
    assert overlaps([*memberships, memberships[0]])
    assert overlaps([memberships[0][:9]])


# Subjects hashed without a salt.


def test_two_nodes_never_know_the_same_person_by_the_same_key() -> None:
    def shared(first: bytes, second: bytes) -> int:
        keys = [{key.tobytes() for key in subject_keys(salt, ["anna", "bert"])} for salt in (first, second)]
        return len(keys[0] & keys[1])

    assert shared(SALT, bytes([1]) * 32) == 0
    assert shared(SALT, SALT) == 2, "nodes that forgot their salt, and hash alike, are caught"


# Taint: what of the bytes depends on a record.


@pytest.mark.parametrize("profile", [Profile.DP_AGGREGATE, Profile.LOCAL_DP])
def test_between_tables_of_records_only_randomised_bytes_differ(profile: Profile) -> None:
    template = template_of(profile)
    first, second = observations(template), observations(template, seed=1)
    layout = counts_layout(2) if profile is Profile.DP_AGGREGATE else report_layout(plan_of(template))
    packets = [released(template, what).packets.copy() for what in (first, second)]
    assert packets[0].tobytes() != packets[1].tobytes()
    for each in packets:
        payloads(each, layout)["outcome"] = 0
        each["path"], each["signature"] = 0, 0
    assert packets[0].tobytes() == packets[1].tobytes()
