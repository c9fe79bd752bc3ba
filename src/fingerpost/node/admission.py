"""Which packets from elsewhere a node keeps: every rule that a packet must pass before it is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from fingerpost.fingerprint import cell_of
from fingerpost.ids import PublicKey
from fingerpost.limits import CLOCK_SKEW_DAYS_MAX
from fingerpost.node.roster import Standing
from fingerpost.packet import (
    Kind,
    Profile,
    RootCache,
    check_structure,
    has_layout,
    payloads,
    sealed_rows,
    verify_packets,
)
from fingerpost.privacy.counts import fits_grid
from fingerpost.privacy.groups import fits_groups
from fingerpost.privacy.local import fits_reports
from fingerpost.template import NumberOutcomeField, Template

Packets = npt.NDArray[np.void]
Refusals = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class Refusal(IntEnum):
    """Why a packet is not welcome; ``WELCOME`` is 0."""

    WELCOME = 0
    STRUCTURE = 1  # the bytes break the format
    SIGNATURE = 2  # no valid signature covers them
    TEMPLATE = 3  # this node does not serve the template
    PROFILE = 4  # weaker than the profile that the template demands
    FUTURE = 5  # dated further ahead than clocks may differ
    EXPIRED = 6  # its time to live is over
    LIFETIME = 7  # a longer time to live than the template allows
    LAYOUT = 8  # the payload is not laid out as the template says
    CELL = 9  # the cell is not that of the fingerprint
    CONTENT = 10  # a level, an action, a condition or a number that the template does not have
    EMITTER = 11  # its emitter was no member of the network on its day, whoever passed it on
    REVOKED = 12  # its emitter's key was revoked, as compromised or before its day
    CROWDED = 13  # nobody named its emitter, and as many such emitters are here as this node remembers

    @property
    def code(self) -> str:
        """Return the stable name, such as ``refused-future``."""
        return f"refused-{self.name.lower()}"


def judge(
    packets: Packets,
    ids: npt.NDArray[np.uint8],
    *,
    templates: Mapping[bytes, Template],
    day: int,
    roots: RootCache,
    standing: Callable[[PublicKey], Standing] | None = None,
) -> npt.NDArray[np.uint8]:
    """Return a ``Refusal`` for each packet, shape (n,), uint8.

    ``ids`` (n, 32) are those of the packets; ``templates`` holds what this node serves, by id.

    ``standing`` says between which days an emitter's packets count, by its key; without it everybody's always do.

    A packet is refused for the first reason that applies, in the order of ``Refusal``, but for one: whether its emitter
    counts is asked before its signature is checked, which takes far longer.
    """
    refusals = np.zeros(len(packets), np.uint8)
    _refuse(refusals, check_structure(packets) != 0, Refusal.STRUCTURE)
    if standing is not None:
        rows = np.flatnonzero(refusals == 0)
        refusals[rows] = judge_emitters(packets[rows], standing=standing)
    sound = np.flatnonzero(refusals == 0)
    valid = verify_packets(packets[sound], cache=roots, ids=ids[sound])
    refusals[sound[~valid]] = Refusal.SIGNATURE
    _refuse(refusals, ~np.isin(packets["template_id"].view("V16")[:, 0], _known(templates)), Refusal.TEMPLATE)
    for template_id, template in templates.items():
        mine = (refusals == 0) & (packets["template_id"] == np.frombuffer(template_id, np.uint8)).all(axis=1)
        rows = np.flatnonzero(mine)
        if len(rows):
            refusals[rows] = _judge_by_template(packets[rows], template, day)
    return refusals


def judge_emitters(packets: Packets, *, standing: Callable[[PublicKey], Standing]) -> npt.NDArray[np.uint8]:
    """Return for each packet ``WELCOME``, ``EMITTER`` or ``REVOKED``, shape (n,), uint8: by its emitter and its day.

    Withdrawals have no last day: only the key that signed a packet can withdraw it, also after another key followed.
    """
    refusals = np.zeros(len(packets), np.uint8)
    emitters = np.ascontiguousarray(packets["emitter"]).view("V32").reshape(-1).tolist()
    places = {emitter: place for place, emitter in enumerate(dict.fromkeys(emitters))}
    found = [standing(PublicKey(emitter)) for emitter in places]
    rows = np.fromiter(map(places.__getitem__, emitters), np.intp, len(emitters))
    days = np.array([(each.first_day, each.last_day) for each in found], np.int64).reshape(-1, 2)
    first, last = days[rows].T
    epoch = packets["epoch"].astype(np.int64)
    withdraws = (packets["kind"] == Kind.WITHDRAWAL) & (first <= last)
    outside = (epoch < first) | ((epoch > last) & ~withdraws)
    revoked = np.array([each.revoked for each in found], np.bool_)[rows]
    refusals[outside] = np.where(revoked, Refusal.REVOKED, Refusal.EMITTER)[outside]
    return refusals


def _known(templates: Mapping[bytes, Template]) -> npt.NDArray[np.void]:
    return np.frombuffer(b"".join(templates), "V16") if templates else np.zeros(0, "V16")


def _judge_by_template(packets: Packets, template: Template, day: int) -> npt.NDArray[np.uint8]:
    refusals = np.zeros(len(packets), np.uint8)
    withdrawal = packets["kind"] == Kind.WITHDRAWAL
    epoch, lifetime = packets["epoch"].astype(np.int64), packets["ttl_days"].astype(np.int64)
    _refuse(refusals, ~withdrawal & (packets["profile"] < template.profile), Refusal.PROFILE)
    _refuse(refusals, epoch > day + CLOCK_SKEW_DAYS_MAX, Refusal.FUTURE)
    _refuse(refusals, ~withdrawal & (epoch + lifetime <= day), Refusal.EXPIRED)
    _refuse(refusals, ~withdrawal & (lifetime > template.ttl_days), Refusal.LIFETIME)
    sealed = sealed_rows(packets)
    _refuse(refusals, sealed & (packets["kind"] != Kind.OBSERVATION), Refusal.LAYOUT)
    _refuse(refusals, sealed & (packets["cell"] >> np.uint64(template.cell_bits) != 0), Refusal.CELL)
    rows = np.flatnonzero((refusals == 0) & ~withdrawal & ~sealed)
    refusals[rows] = judge_contents(packets[rows], template)
    return refusals


def judge_contents(packets: Packets, template: Template) -> npt.NDArray[np.uint8]:
    """Return for each packet with a plain payload ``WELCOME``, ``LAYOUT``, ``CELL`` or ``CONTENT``, shape (n,), uint8.

    What holders cannot see of a sealed packet is judged by this once it is opened.
    """
    refusals = np.zeros(len(packets), np.uint8)
    if template.profile is Profile.DP_AGGREGATE:
        _refuse(refusals, ~fits_grid(packets, template), Refusal.LAYOUT)
        return refusals
    if template.profile is Profile.LOCAL_DP:
        _refuse(refusals, ~fits_reports(packets, template), Refusal.LAYOUT)
        return refusals
    grouped = template.profile is Profile.K_ANONYMOUS
    layout = template.summary_layout() if grouped else template.observation_layout()
    right = packets["kind"] == (Kind.SUMMARY if grouped else Kind.OBSERVATION)
    _refuse(refusals, ~(right & has_layout(packets, layout)), Refusal.LAYOUT)
    rows = np.flatnonzero(refusals == 0)
    content = payloads(packets[rows], layout)
    fitting = np.zeros(len(rows), np.uint8)
    _refuse(fitting, cell_of(content["fingerprint"], template) != packets["cell"][rows], Refusal.CELL)
    sound = fits_groups(packets[rows], template) if grouped else _outcome_fits(content, template)
    _refuse(fitting, ~(sound & _statements_fit(content, template)), Refusal.CONTENT)
    refusals[rows] = fitting
    return refusals


def _statements_fit(content: Packets, template: Template) -> Mask:
    actions = len(template.action.levels) if template.action else 0
    fits: Mask = content["action"] <= actions
    for index, condition in enumerate(template.conditions):
        fits &= content["conditions"][:, index] <= len(condition.levels)
    return fits


def _outcome_fits(content: Packets, template: Template) -> Mask:
    fits: Mask = np.ones(len(content), np.bool_)
    if isinstance(template.outcome, NumberOutcomeField):
        low, high = float(template.outcome.low), float(template.outcome.high)
        return fits & (content["outcome"] >= low) & (content["outcome"] <= high)
    return fits & (content["outcome"] >= 1) & (content["outcome"] <= len(template.outcome.levels))


def _refuse(refusals: npt.NDArray[np.uint8], broken: Mask, reason: Refusal) -> None:
    refusals[(refusals == 0) & broken] = reason
