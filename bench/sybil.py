"""What minted identities can do to a network: how many groups of cells come to be held by nobody else.

Fifty honest nodes, each of an organisation of its own, and an attacker who mints keys and joins with all of them. Who
holds each group is worked out as nodes do it, by the rendezvous ranking of those whom the roster admits, one an
organisation. Prints ``sybil_group_capture_{k}`` (the share of groups all of whose holders are the attacker's, k minted
keys under open admission), the same with ``_allow_list``, and ``sybil_target_keys``: how many keys are minted until
three of them outrank every honest node for one group that the attacker has chosen, so that joining with three is
enough. ``detail`` has the share that chance predicts: k ÷ (honest + k), three times over.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from bench._figures import Figure, bootstrap_interval, is_quick, median_figure, write_figures
from fingerpost.ids import PublicKey
from fingerpost.limits import REPLICAS
from fingerpost.node.placement import first_of_each_organisation, group_key, rank, weight
from fingerpost.node.roster import OpenAdmission, Roster
from fingerpost.packet import Signer

TARGET = "network"
HONEST = 50
MINTED = (10, 50, 100, 200, 1_000)
TEMPLATE_ID = hashlib.blake2s(b"a template that somebody attacks", digest_size=16).digest()
DAY = 20_000
GROUPS_AIMED_AT = 16  # of each network


def main() -> None:
    """Measure and write the figures."""
    networks, groups = (3, 64) if is_quick() else (8, 512)
    honest = [list(itertools.islice(keys(f"honest {seed}"), HONEST)) for seed in range(networks)]
    minted = [list(itertools.islice(keys(f"minted {seed}"), max(MINTED))) for seed in range(networks)]
    figures = []
    for count in MINTED:
        expected = np.prod([(count - place) / (HONEST + count - place) for place in range(REPLICAS)])
        detail = {"honest": HONEST, "groups": groups, "networks": networks, "expected": float(expected)}
        for suffix in ("", "_allow_list"):
            shares = []
            for ours, theirs in zip(honest, minted, strict=True):
                roster = Roster(members=frozenset(ours) if suffix else OpenAdmission())
                shares.append(captured(ours, theirs[:count], roster=roster, groups=groups))
            low, high = bootstrap_interval(shares, statistic=np.mean)
            name = f"sybil_group_capture_{count}{suffix}"
            more = {} if suffix else detail
            value = float(np.mean(shares))
            figures.append(Figure(name=name, value=value, unit="fraction", low=low, high=high, detail=more))
    needed = [keys_needed(ours, group=group) for ours in honest for group in range(GROUPS_AIMED_AT)]
    figures.append(median_figure("sybil_target_keys", needed, unit="keys", detail={"honest": HONEST}))
    write_figures(TARGET, figures, seeds=range(networks))


def captured(honest: Sequence[PublicKey], minted: Sequence[PublicKey], *, roster: Roster, groups: int) -> float:
    """Return the share of groups whose holders are all minted, when everybody joins whom the roster admits."""
    admitted = [key for key in (*honest, *minted) if roster.admits(key, day=DAY)]
    organisations = {key: key.hex() for key in admitted}
    attacker = frozenset(minted)
    lost = 0
    for group in range(groups):
        ranked = rank(group_key(TEMPLATE_ID, group), admitted)
        holders = first_of_each_organisation(ranked, count=REPLICAS, organisations=organisations)
        lost += attacker.issuperset(holders)
    return lost / groups


def keys_needed(honest: Sequence[PublicKey], *, group: int) -> int:
    """Return how many keys are minted until as many as a group has holders outrank all honest nodes for one group."""
    chosen = group_key(TEMPLATE_ID, group)
    best = max(weight(chosen, key) for key in honest)
    heavier = 0
    for number, key in enumerate(keys(f"aimed at {group} of {honest[0].hex()}"), start=1):
        heavier += weight(chosen, key) > best
        if heavier == REPLICAS:
            return number
    raise AssertionError("there is always another key")


def keys(name: str) -> Iterator[PublicKey]:
    """Yield public keys without end, the same ones for the same name."""
    for number in itertools.count():
        yield PublicKey(Signer(hashlib.blake2s(f"{name} {number}".encode()).digest()).public_key)


if __name__ == "__main__":
    main()
