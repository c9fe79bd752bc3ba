"""What lying nodes do: attacks on the outcomes, situations and identities that a network is told.

An ``Attack`` takes what everybody would honestly claim and returns what is claimed when the rows ``lying`` belong to
liars. Levels are numbers from 0; ``seen`` are the levels that the asker has outcomes of, which a liar may know.
``flood``, ``copy_cats`` and ``replay`` add packets or whole nodes, ``boast`` changes what packets claim for themselves.
Each attack has a control in tests/unit/lab/test_attacks.py: without a
defence it must do harm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARTIAL_SHARE = 0.4
ON_SHARE = 0.5  # of its packets, in the order in which they are told, an on-off liar starts with honestly
FLOOD_BITS_CHANGED = 0.02
BOAST, MODEST = 255, 128  # confidence of a liar's packets, and of others that are as sure as they may be
TARGET, INSTEAD = 3, 8  # modulo the number of levels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """What is true and who lies. ``order`` (n,) says when a row is told; ``bits`` (n, m) are situations as 0 and 1."""

    truth: NDArray[np.int64]
    levels: int
    lying: NDArray[np.bool_]
    seen: NDArray[np.int64]
    order: NDArray[np.int64]
    bits: NDArray[np.uint8]
    chance: np.random.Generator


Attack = Callable[[Scene], "NDArray[np.int64]"]


def flip(scene: Scene) -> NDArray[np.int64]:
    """All liars agree on the same wrong outcome."""
    return np.where(scene.lying, (scene.truth + 1) % scene.levels, scene.truth)


def random_outcomes(scene: Scene) -> NDArray[np.int64]:
    """Liars draw outcomes at random."""
    return np.where(scene.lying, scene.chance.integers(0, scene.levels, len(scene.truth)), scene.truth)


def partial(scene: Scene) -> NDArray[np.int64]:
    """Liars agree on wrong outcomes for a part of their packets and are right on the others."""
    chosen = scene.lying & (scene.chance.random(len(scene.truth)) < PARTIAL_SHARE)
    return np.where(chosen, (scene.truth + 1) % scene.levels, scene.truth)


def target(scene: Scene) -> NDArray[np.int64]:
    """Liars rename one outcome and are right on all others: they lie in one region of situations only."""
    aimed = scene.lying & (scene.truth == TARGET % scene.levels)
    return np.where(aimed, INSTEAD % scene.levels, scene.truth)


def mimic(scene: Scene) -> NDArray[np.int64]:
    """Liars are right about outcomes that the asker has seen, and rename the others among themselves."""
    unknown = np.setdiff1d(np.arange(scene.levels), scene.seen)
    renamed = np.arange(scene.levels)
    renamed[unknown] = np.roll(unknown, -1)
    return np.where(scene.lying, renamed[scene.truth], scene.truth)


def on_off(scene: Scene) -> NDArray[np.int64]:
    """Liars tell the truth first and agree on wrong outcomes later."""
    late = np.zeros(len(scene.truth), bool)
    late[np.argsort(scene.order, kind="stable")[int(ON_SHARE * len(late)) :]] = True
    return np.where(scene.lying & late, (scene.truth + 1) % scene.levels, scene.truth)


def free_ride(scene: Scene) -> NDArray[np.int64]:
    """Liars know nothing and always claim what is most common: zero information, often right."""
    usual = int(np.bincount(scene.truth, minlength=scene.levels).argmax())
    return np.where(scene.lying, usual, scene.truth)


def backdoor(scene: Scene) -> NDArray[np.int64]:
    """Liars claim one outcome wherever a trigger, three bits of the situation, is set, and are right elsewhere."""
    triggered = scene.bits[:, :3].all(axis=1)
    return np.where(scene.lying & triggered, TARGET % scene.levels, scene.truth)


ATTACKS: dict[str, Attack] = {
    "flip": flip,
    "random": random_outcomes,
    "partial": partial,
    "target": target,
    "mimic": mimic,
    "onoff": on_off,
    "freeride": free_ride,
    "backdoor": backdoor,
}


def poison(values: NDArray[np.float64], lying: NDArray[np.bool_], *, low: float, high: float) -> NDArray[np.float64]:
    """Return number outcomes of which the liars' are mirrored in the middle of the range: no value is impossible."""
    return np.where(lying, low + high - values, values)


def extreme(values: NDArray[np.float64], lying: NDArray[np.bool_], *, high: float) -> NDArray[np.float64]:
    """Return number outcomes of which the liars' are all as high as can be: the confident outlier."""
    return np.where(lying, high, values)


def flood(
    bits: NDArray[np.uint8], claims: NDArray[np.int64], *, identities: int, chance: np.random.Generator, **_: Any
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Return (bits, claims, identity) of one node's packets told again by many identities, a few bits changed.

    With claims that are wrong it is a Sybil flood, with true ones of somebody else these are copy-cats.
    """
    copies = np.tile(bits, (identities, 1))
    copies ^= (chance.random(copies.shape) < FLOOD_BITS_CHANGED).astype(np.uint8)
    return copies, np.tile(claims, identities), np.repeat(np.arange(identities), len(bits))


def copy_cats(
    bits: NDArray[np.uint8], claims: NDArray[np.int64], *, identities: int, chance: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Return (bits, claims, identity) of nodes that have seen nothing and tell what one other node told.

    Nothing is false, so they are hired like the one that they copy; but what one node saw then looks like what many
    saw, and its mistakes count as often.
    """
    return flood(bits, claims, identities=identities, chance=chance)


def replay(
    bits: NDArray[np.uint8], claims: NDArray[np.int64], *, times: int, chance: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return (bits, claims) of one node's packets signed again and again with fresh nonces, a few bits changed.

    Stores drop a packet that they have; these are new ones that say the same. Without a defence one claim that is right
    by luck makes a node look like an oracle, and one wrong node outweighs many.
    """
    copies, told, _ = flood(bits, claims, identities=times, chance=chance)
    return copies, told


def boast(lying: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the confidence (n,) of all packets, 255 being certain: liars are always sure, others half."""
    return np.where(lying, BOAST, MODEST).astype(np.uint8)
