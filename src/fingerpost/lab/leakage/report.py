"""What leaks from a table under every profile, beside federated learning on the same records.

``inversion`` reconstructs records from packets and from gradients: the section of that name in an assessment. ``audit``
adds naming, membership, attribute inference and utility. Both take encoded records, so any table with a template will
do, and both return frozen values with ``as_json``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.lab.leakage import updates
from fingerpost.lab.leakage.attributes import Inference, infer_attributes
from fingerpost.lab.leakage.fingerprints import Decoder
from fingerpost.lab.leakage.measures import Membership, Share, auc_bound, membership, share
from fingerpost.lab.leakage.records import Cohort, Reconstruction, cohort_of, reconstruction, share_right
from fingerpost.lab.leakage.registry import READ_BY, VIEWS
from fingerpost.lab.leakage.updates import Case, Learned, UpdateAttack, attack_updates, learned
from fingerpost.lab.leakage.views import InformedView, View, aligned, bits_and_outcomes
from fingerpost.packet import Profile
from fingerpost.template import profile_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fingerpost.template import Template

Progress = Callable[[str], None]
CONTROL_SHARE_MIN = 0.9  # of names, in the control of naming and of inversion
CONTROL_AUC_MIN = 0.99
CONTROL_ALIGNMENT_MIN = 0.5
PLANES_SALT = 1_000_003  # of an attacker who takes the wrong planes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is attacked."""

    rows_max: int
    records: int  # behind gradients, for each case
    draws: int  # releases of a profile that draws noise
    attributes: int
    cases: tuple[Case, ...]


QUICK = Sizes(rows_max=1_500, records=8, draws=10, attributes=3, cases=updates.QUICK)
BRIEF = replace(QUICK, rows_max=900, draws=2, attributes=1, cases=updates.BRIEF)
FULL = Sizes(rows_max=3_000, records=32, draws=20, attributes=8, cases=updates.FULL)
NOISELESS_DRAWS = 1
DRAWS_ASKED = 3  # accuracy hardly differs between draws


@dataclass(frozen=True, slots=True, kw_only=True)
class Inversion:
    """Records reconstructed from packets and from gradients.

    ``baselines`` are guesses without either: ``public mean`` and ``outcome alone``. ``packets`` are by profile, then by
    attack; ``best`` names the attack with the highest R2 of each profile, picked with hindsight, for the attacker.
    """

    baselines: Mapping[str, Reconstruction]
    packets: Mapping[str, Mapping[str, Reconstruction]]
    best: Mapping[str, str]
    updates: tuple[UpdateAttack, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain values: ``baselines``, ``packets.<profile>.{best,attacks}``, ``updates`` (a list)."""
        return {
            "baselines": {name: asdict(found) for name, found in self.baselines.items()},
            "packets": {
                profile: {
                    "best": self.best[profile],
                    "attacks": {name: asdict(found) for name, found in attacks.items()},
                }
                for profile, attacks in self.packets.items()
            },
            "updates": [
                {**asdict(each.case), **asdict(each.found), "label": each.case.label, "succeeded": each.succeeded}
                for each in self.updates
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileLeak:
    """Utility and leakage of one profile.

    ``informed`` is the membership attack of one who knows all other records (counts only); ``auc_bound`` what a theorem
    says that no attack exceeds, where one does.
    """

    read_by: str
    packets: int
    accuracy: float
    naming: Share
    membership: Membership
    informed: Membership | None
    auc_bound: float | None
    attributes: Inference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """An undefended case in which an attack has to succeed, or one without information, in which it has to fail."""

    value: float
    bar: float
    at_least: bool
    measures: str

    @property
    def holds(self) -> bool:
        """Whether the attack did what it has to."""
        return self.value >= self.bar if self.at_least else self.value <= self.bar


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Everything that was attacked, on ``rows`` records: a third of them public, a third members, a third strangers."""

    rows: int
    members: int
    candidates: int
    profiles: Mapping[str, ProfileLeak]
    missing: tuple[str, ...]
    inversion: Inversion
    federated: Mapping[str, Learned]
    controls: Mapping[str, Control]

    def as_json(self) -> dict[str, Any]:
        """Return plain values; docs/reference/privacy-audit.md describes them."""
        return {
            "rows": self.rows,
            "members": self.members,
            "candidates": self.candidates,
            "profiles": {name: asdict(found) for name, found in self.profiles.items()},
            "not_measured": list(self.missing),
            "inversion": self.inversion.as_json(),
            "federated": {name: asdict(found) for name, found in self.federated.items()},
            "controls": {name: {**asdict(found), "holds": found.holds} for name, found in self.controls.items()},
        }


def inversion(
    template: Template,
    encoded: NDArray[np.int16],
    outcomes: NDArray[np.int64],
    *,
    levels: int,
    seed: int = 0,
    sizes: Sizes = QUICK,
    progress: Progress = lambda _step: None,
) -> Inversion:
    """Return how well records are reconstructed from packets under every profile, and from federated updates.

    ``encoded`` (n, width) are records as ``encode_table`` of ``template`` gives them, ``outcomes`` (n,) level numbers
    from 0 in the template's order of levels. Needs the extras ``lab`` and ``privacy``; with ``QUICK`` it takes half a
    minute of one core for 64 coordinates, with ``BRIEF`` a third of that. For an assessment, one call makes
    ``failure_modes.inversion``, with ``codes`` numbered as the template orders its levels::

        found = inversion(setting.template, setting.encoded, codes, levels=setting.levels, seed=seed, sizes=BRIEF)
        report["failure_modes"]["inversion"] = found.as_json()

    Raises ``TableError`` (``leakage-few-rows``).
    """
    cohort = cohort_of(template, encoded, outcomes, levels=levels, seed=seed, rows_max=sizes.rows_max)
    views = {}
    for name, make in VIEWS.items():
        progress(f"fingerprint inversion: {name}")
        views[name] = make(cohort, 0)
    return _inversion(cohort, views, sizes, progress)


def audit(
    template: Template,
    encoded: NDArray[np.int16],
    outcomes: NDArray[np.int64],
    *,
    levels: int,
    seed: int = 0,
    nodes: int = 1,
    sizes: Sizes = QUICK,
    progress: Progress = lambda _step: None,
) -> Audit:
    """Return utility and leakage under every profile (see ``inversion`` for the arguments).

    The records lie at ``nodes`` nodes, a like number at each.
    """
    cohort = cohort_of(template, encoded, outcomes, levels=levels, seed=seed, rows_max=sizes.rows_max, nodes=nodes)
    first: dict[str, View] = {}
    profiles = {}
    for name, make in VIEWS.items():
        progress(f"profile {name}")
        first[name] = make(cohort, 0)
        draws = sizes.draws if first[name].epsilon is not None else NOISELESS_DRAWS
        views = [first[name], *(make(cohort, draw) for draw in range(1, draws))]
        profiles[name] = _leak(name, cohort, views, sizes)
    found = _inversion(cohort, first, sizes, progress)
    progress("networks trained on the members")
    return Audit(
        rows=len(cohort.encoded),
        members=len(cohort.members),
        candidates=len(cohort.candidates),
        profiles=profiles,
        missing=tuple(name for name in map(profile_name, Profile) if name not in profiles),
        inversion=found,
        federated=learned(cohort),
        controls=_controls(cohort, profiles, found),
    )


def _inversion(cohort: Cohort, views: Mapping[str, View], sizes: Sizes, progress: Progress) -> Inversion:
    members = cohort.members
    packets = {
        profile: {name: reconstruction(cohort, guess, members) for name, guess in view.guesses().items()}
        for profile, view in views.items()
    }
    return Inversion(
        baselines={
            "public mean": reconstruction(cohort, np.tile(cohort.centre, (len(members), 1)), members),
            "outcome alone": reconstruction(cohort, cohort.means_by_outcome()[cohort.outcomes[members]], members),
        },
        packets=packets,
        best={profile: _best(found) for profile, found in packets.items()},
        updates=attack_updates(cohort, sizes.cases, records=sizes.records, progress=progress),
    )


def _best(found: Mapping[str, Reconstruction]) -> str:
    return max(found, key=lambda name: found[name].r2)


def _leak(name: str, cohort: Cohort, views: list[View], sizes: Sizes) -> ProfileLeak:
    members, strangers, candidates = cohort.members, cohort.strangers, cohort.candidates
    places = np.arange(len(members))
    named = [
        share_right(view.likeness(cohort.encoded[candidates], cohort.outcomes[candidates]), places) for view in views
    ]
    right = [
        (view.forecast(cohort.encoded[strangers]).argmax(1) == cohort.outcomes[strangers]).mean() for view in views
    ]

    def scores(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        parts = (cohort.encoded[rows], cohort.outcomes[rows], cohort.nodes[rows])
        return np.stack([view.presence(*parts) for view in views], axis=1)

    informed = None
    # With and without are two runs, as in the definition: in one run, entries that two persons share have one noise.
    knowing = [view for view in views if isinstance(view, InformedView)]
    if knowing:
        informed = membership(
            np.stack([view.informed_presence(members) for view in knowing], axis=1),
            np.roll(np.stack([view.informed_presence(strangers) for view in knowing], axis=1), 1, axis=1),
            seed=cohort.seed,
        )
    return ProfileLeak(
        read_by=READ_BY.get(name, "everybody"),
        packets=views[0].packets,
        accuracy=float(np.mean(right)),
        naming=share(float(np.mean(named)) * len(members), len(members)),
        membership=membership(scores(members), scores(strangers), seed=cohort.seed),
        informed=informed,
        auc_bound=None if views[0].epsilon is None else auc_bound(views[0].epsilon),
        attributes=infer_attributes(cohort, views[0], attributes=sizes.attributes),
    )


def _controls(cohort: Cohort, profiles: Mapping[str, ProfileLeak], found: Inversion) -> dict[str, Control]:
    """Return for each attack the case that shows that it works here, and for inversion one that must fail."""
    opened = found.packets["open"][found.best["open"]]
    bits, outcomes = bits_and_outcomes(cohort)
    alignment = reconstruction(cohort, aligned(cohort, bits, outcomes), cohort.members)
    wrong = replace(cohort.template, salt=(cohort.template.salt + PLANES_SALT) % 2**32, sketch=False)
    blind = Decoder(cohort, wrong).guesses(bits)
    astray = max(reconstruction(cohort, guess, cohort.members).named for guess in blind.values())
    controls = {
        "inversion": _at_least(opened.named, CONTROL_SHARE_MIN, "open: reconstructions that name the right record"),
        "inversion_wrong_planes": Control(
            value=astray, bar=0.05, at_least=False, measures="the same with wrong planes: it must fail"
        ),
        "naming": _at_least(profiles["open"].naming.value, CONTROL_SHARE_MIN, "open: packets named"),
        "membership": _at_least(profiles["open"].membership.auc, CONTROL_AUC_MIN, "open: AUC"),
        "alignment": _at_least(
            alignment.named, CONTROL_ALIGNMENT_MIN, "bare fingerprints under secret planes: records named"
        ),
    }
    inferred = profiles["open"].attributes
    if inferred is not None:
        controls["attribute"] = _at_least(inferred.accuracy, inferred.prior, "open: right about a field, above prior")
    for each in found.updates:
        if each.case.control:
            controls[each.case.attack] = _at_least(each.found.r2, updates.CONTROL_R2_MIN, f"{each.case.label}: R2")
    return controls


def _at_least(value: float, bar: float, measures: str) -> Control:
    return Control(value=value, bar=bar, at_least=True, measures=measures)
