"""Federated learning under attack, on the same records as packets and by the same measures.

A client holds one batch of a cohort's members and sends one update of a network with one hidden layer; a passive server
reconstructs the batch. Each attack has a control, the undefended case in which it must succeed: an attack that succeeds
nowhere proves nothing where it fails. Labels of batches of several records are given to the attacker; in practice they
can mostly be read off as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.lab.leakage import gradients
from fingerpost.lab.leakage.gradients import Defence, Parameters, PrivateStep
from fingerpost.lab.leakage.measures import Membership, membership
from fingerpost.lab.leakage.records import Reconstruction, reconstruction
from fingerpost.limits import DP_RELEASE_EPSILON

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.lab.leakage.records import Cohort

DELTA = 1e-5
CLIP = 1.0
TRAINING_STEPS = 300
PRIVATE_ROUNDS = 30
PRIVATE_RATES = (0.3, 1.0, 3.0)  # of which the public records choose
CONTROL_R2_MIN = 0.9
LONG_FROM = 16  # records in a batch from which matching needs more iterations

Attack = Callable[[Parameters, Parameters, "NDArray[np.float64]", np.random.Generator], "NDArray[np.float64]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One attack on one kind of update.

    ``attack`` is ``analytic``, ``dlg``, ``idlg``, ``cosine`` or ``unrolled``; ``defence`` ``none``, ``dp-sgd``,
    ``top-10%``, ``top-1%`` or ``4-bit``. A ``control`` is expected to succeed.
    """

    attack: str
    batch: int
    steps: int = 1
    trained: bool = False
    defence: str = "none"
    control: bool = False

    @property
    def label(self) -> str:
        """Words for a table."""
        parts = [self.attack, f"batch {self.batch}"]
        parts += [f"{self.steps} local steps"] if self.steps > 1 else []
        parts += ["trained network"] if self.trained else []
        parts += [self.defence] if self.defence != "none" else []
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateAttack:
    """What an attack recovered; ``succeeded`` says of a control whether it did, and is ``None`` elsewhere."""

    case: Case
    found: Reconstruction
    succeeded: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """A network trained on the members: how often it is right about strangers, and who is recognised as a member."""

    accuracy: float
    membership: Membership


QUICK = (
    Case(attack="analytic", batch=1, control=True),
    Case(attack="analytic", batch=8),
    Case(attack="dlg", batch=1, control=True),
    Case(attack="idlg", batch=1, control=True),
    Case(attack="idlg", batch=8),
    Case(attack="idlg", batch=8, trained=True),
    Case(attack="cosine", batch=1, control=True),
    Case(attack="cosine", batch=8),
    Case(attack="unrolled", batch=1, steps=5, control=True),
    Case(attack="unrolled", batch=8, steps=5),
    Case(attack="idlg", batch=1, defence="top-10%"),
    Case(attack="analytic", batch=1, defence="dp-sgd"),
    Case(attack="idlg", batch=1, defence="dp-sgd"),
    Case(attack="cosine", batch=1, defence="dp-sgd"),
    Case(attack="idlg", batch=8, defence="dp-sgd"),
)
BRIEF = tuple(case for case in QUICK if case.attack in {"analytic", "idlg"} and case.defence in {"none", "dp-sgd"})
FULL = (
    *QUICK,
    Case(attack="analytic", batch=1, steps=20),
    Case(attack="unrolled", batch=1, steps=20),
    Case(attack="idlg", batch=1, trained=True),
    Case(attack="cosine", batch=1, trained=True),
    Case(attack="cosine", batch=8, trained=True),
    Case(attack="idlg", batch=32),
    Case(attack="idlg", batch=32, trained=True),
    Case(attack="idlg", batch=64),
    Case(attack="cosine", batch=32),
    Case(attack="idlg", batch=1, defence="top-1%"),
    Case(attack="cosine", batch=1, defence="4-bit"),
    Case(attack="idlg", batch=32, defence="dp-sgd"),
)
DEFENCES = {
    "none": Defence(),
    "top-10%": Defence(keep_share=0.1),
    "top-1%": Defence(keep_share=0.01),
    "4-bit": Defence(quantise_bits=4),
}


def attack_updates(
    cohort: Cohort, cases: tuple[Case, ...], *, records: int, progress: Callable[[str], None]
) -> tuple[UpdateAttack, ...]:
    """Return what each case recovers of about ``records`` members: as many batches as they make, at least one."""
    public = cohort.public
    targets = gradients.one_hot(cohort.outcomes, cohort.levels)
    found = []
    trained = _trained(cohort, public, seed=cohort.seed)
    for case in cases:
        progress(f"gradient inversion: {case.label}")
        guesses, rows = [], []
        batches = max(1, min(records // case.batch, len(cohort.members) // case.batch))
        for turn in range(batches):
            chance = np.random.default_rng([cohort.seed, 14, turn])
            batch = cohort.members[turn * case.batch : (turn + 1) * case.batch]
            fresh = gradients.fresh_network(cohort.features.shape[1], cohort.levels, chance=chance)
            network = trained if case.trained else fresh
            guesses.append(_attacked(case, network, cohort, batch, targets[batch], chance))
            rows.append(batch)
        score = reconstruction(cohort, np.concatenate(guesses), np.concatenate(rows))
        succeeded = score.r2 >= CONTROL_R2_MIN if case.control else None
        found.append(UpdateAttack(case=case, found=score, succeeded=succeeded))
    return tuple(found)


def learned(cohort: Cohort) -> dict[str, Learned]:
    """Return what a network gets out of the members without privacy, and with DP-SGD at the epsilon of one release.

    All rounds together cost the epsilon that one release of dp-aggregate costs; each takes in every member once.
    """
    plain = _trained(cohort, cohort.members, seed=cohort.seed)
    return {"federated": _learned(cohort, plain), "federated-dp-sgd": _learned(cohort, _privately_trained(cohort))}


def private_step() -> PrivateStep:
    """Return the step of DP-SGD that costs a record what one release of dp-aggregate does, at ``DELTA``."""
    return PrivateStep(clip=CLIP, multiplier=gradients.noise_multiplier(DP_RELEASE_EPSILON, DELTA))


def _attacked(
    case: Case,
    network: Parameters,
    cohort: Cohort,
    batch: NDArray[np.int64],
    targets: NDArray[np.float64],
    chance: np.random.Generator,
) -> NDArray[np.float64]:
    """Let a client send its update, and return the guesses in the order of its batch."""
    records = cohort.features[batch]
    if case.defence == "dp-sgd":
        update = gradients.private_update(network, records, targets, private_step(), chance=chance)
    else:
        update = gradients.client_update(network, records, targets, steps=case.steps)
        update = gradients.defended(update, DEFENCES[case.defence], chance=chance)
        update = gradients.as_sent(network, update, steps=case.steps) if case.defence == "none" else update
    if case.batch == 1 and case.attack != "dlg":
        targets = gradients.one_hot(np.array([gradients.label_of_one(update)]), cohort.levels)
    guess = _attack_of(case, cohort)(network, update, targets, chance)
    return gradients.matched(guess, records)


def _attack_of(case: Case, cohort: Cohort) -> Attack:
    if case.attack == "analytic":
        return gradients.from_ratio
    if case.attack == "cosine":
        return partial(gradients.match_direction, image_width=cohort.image_width)
    long = case.batch >= LONG_FROM
    if case.defence == "dp-sgd":  # the noise is what limits it: a better fit of it is no better guess
        return partial(gradients.match_gradient, iterations=200, restarts=1)
    return partial(
        gradients.match_gradient,
        joint_labels=case.attack == "dlg",
        unrolled=case.steps if case.attack == "unrolled" else 1,
        sent_only=case.defence.startswith("top"),
        iterations=3_000 if long else 1_000,
        restarts=1 if long else 2,
    )


def _trained(cohort: Cohort, rows: NDArray[np.int64], *, seed: int) -> Parameters:
    chance = np.random.default_rng([seed, 15])
    targets = gradients.one_hot(cohort.outcomes[rows], cohort.levels)
    network = gradients.fresh_network(cohort.features.shape[1], cohort.levels, chance=chance)
    return gradients.trained_network(network, cohort.features[rows], targets, chance=chance, steps=TRAINING_STEPS)


def _privately_trained(cohort: Cohort) -> Parameters:
    """Return the network of the step size that is right most often about public records, which are free to use."""
    multiplier = gradients.rounds_multiplier(DP_RELEASE_EPSILON, DELTA, rounds=PRIVATE_ROUNDS)
    private = PrivateStep(clip=CLIP, multiplier=multiplier)
    members = cohort.members
    targets = gradients.one_hot(cohort.outcomes[members], cohort.levels)
    best: tuple[float, Parameters] | None = None
    for rate in PRIVATE_RATES:
        chance = np.random.default_rng([cohort.seed, 16])
        network = gradients.fresh_network(cohort.features.shape[1], cohort.levels, chance=chance)
        for _ in range(PRIVATE_ROUNDS):
            slopes = gradients.private_update(network, cohort.features[members], targets, private, chance=chance)
            network = [weight - rate * slope for weight, slope in zip(network, slopes, strict=True)]
        right = _accuracy(network, cohort, cohort.public)
        if best is None or right > best[0]:
            best = right, network
    if best is None:
        raise AssertionError("there is a step size")
    return best[1]


def _learned(cohort: Cohort, network: Parameters) -> Learned:
    def surprise(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        said = gradients.class_probabilities(network, cohort.features[rows])
        chance: NDArray[Any] = said[np.arange(len(rows)), cohort.outcomes[rows]]
        return np.asarray(np.log(np.maximum(chance, math.exp(-30)))[:, None], np.float64)

    return Learned(
        accuracy=_accuracy(network, cohort, cohort.strangers),
        membership=membership(surprise(cohort.members), surprise(cohort.strangers), seed=cohort.seed),
    )


def _accuracy(network: Parameters, cohort: Cohort, rows: NDArray[np.int64]) -> float:
    said = gradients.class_probabilities(network, cohort.features[rows]).argmax(axis=1)
    return float((said == cohort.outcomes[rows]).mean())
