"""Placement: which holders a group of cells belongs to, the same for everybody who knows the same holders.

Highest random weight ("rendezvous") hashing: each holder's weight for a group is a hash of both, and the highest
weights win. A holder that comes or goes moves only the groups that it gains or had. (Thaler and Ravishankar, "Using
name-based mappings to increase hit rates", IEEE/ACM Transactions on Networking 6(1), 1998.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fingerpost.ids import PublicKey
from fingerpost.limits import REPLICAS
from fingerpost.node.peers import Peers


def group_key(template_id: bytes, group: int) -> bytes:
    """Return the 20 bytes that name a group of cells: its template's id and its number, big-endian."""
    return template_id + group.to_bytes(4, "big")


def rank(key: bytes, holders: Iterable[PublicKey]) -> list[PublicKey]:
    """Return the holders by their weight for the group with this key, heaviest first."""
    return sorted(holders, key=lambda holder: weight(key, holder), reverse=True)


def weight(key: bytes, holder: PublicKey) -> bytes:
    """Return a holder's weight for a group, 16 bytes, compared as bytes; no two holders share one in practice."""
    return hashlib.blake2s(key + holder, digest_size=16, person=b"fpplace").digest()


def first_of_each_organisation(
    ranked: Sequence[PublicKey], *, count: int, organisations: Mapping[PublicKey, str]
) -> list[PublicKey]:
    """Return the first ``count`` of ``ranked`` of which no two are of one organisation; "" is nobody's organisation."""
    chosen: list[PublicKey] = []
    taken: set[str] = set()
    for holder in ranked:
        if len(chosen) == count:
            break
        organisation = organisations.get(holder, "")
        if organisation and organisation in taken:
            continue
        taken.add(organisation)
        chosen.append(holder)
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Among whom a group is placed in a large network, and who else was ``seen`` and may have held it before."""

    holders: frozenset[PublicKey]
    seen: frozenset[PublicKey]


class Placement:
    """Which holders each group belongs to, as far as this node knows the others.

    Everybody known is a candidate for every group until ``narrow`` says otherwise.
    """

    def __init__(self, *, me: PublicKey, organisation: str, peers: Peers) -> None:
        self._me = me
        self._organisation = organisation
        self._peers = peers
        self._version = self._members = -1
        self._ranked: dict[bytes, list[PublicKey]] = {}
        self._current: dict[bytes, tuple[PublicKey, ...]] = {}
        self._candidates: Mapping[bytes, Candidates] | None = None

    def narrow(self, candidates: Mapping[bytes, Candidates] | None) -> None:
        """Take in among whom groups are placed, by ``group_key``; nobody is known to hold any other group.

        With None everybody known is a candidate for every group, this node included.
        """
        if candidates != self._candidates:
            self._candidates = candidates
            self._ranked.clear()
            self._current.clear()

    def former(self, template_id: bytes, group: int) -> set[PublicKey]:
        """Return the live holders that have, or may have had, packets of a group, without this node."""
        live = set(self._peers.live())
        if self._candidates is None:
            return live
        candidates = self._candidates.get(group_key(template_id, group))
        return set() if candidates is None else live & candidates.seen

    def current(self, template_id: bytes, group: int) -> tuple[PublicKey, ...]:
        """Return the up to ``REPLICAS`` live holders of a group, this node among them if it is one; heaviest first."""
        self._renew()
        key = group_key(template_id, group)
        if key not in self._current:
            live = {*self._peers.live(), self._me}
            ranked = [holder for holder in self._rank(key) if holder in live]
            chosen = first_of_each_organisation(ranked, count=REPLICAS, organisations=self._organisations())
            self._current[key] = tuple(chosen)
        return self._current[key]

    def others(self, template_id: bytes, group: int) -> list[PublicKey]:
        """Return the live holders of a group without this node."""
        return [holder for holder in self.current(template_id, group) if holder != self._me]

    def watched(self, template_id: bytes, group: int) -> list[PublicKey]:
        """Return whose signs of life decide who holds a group: all holders down to the last of the current ones."""
        current, ranked = self.current(template_id, group), self._rank(group_key(template_id, group))
        last = ranked.index(current[-1]) if len(current) == REPLICAS else len(ranked)
        return [holder for holder in ranked[: last + 1] if holder != self._me]

    def _rank(self, key: bytes) -> list[PublicKey]:
        if key not in self._ranked:
            everybody = [*self._peers.all(), self._me]
            if self._candidates is not None:
                candidates = self._candidates.get(key)
                holders = frozenset() if candidates is None else candidates.holders
                everybody = [each for each in everybody if each in holders]
            self._ranked[key] = rank(key, everybody)
        return self._ranked[key]

    def _organisations(self) -> dict[PublicKey, str]:
        return {**self._peers.organisations(), self._me: self._organisation}

    def _renew(self) -> None:
        if self._version != self._peers.version:
            self._version = self._peers.version
            self._current.clear()
        if self._members != self._peers.members:
            self._members = self._peers.members
            self._ranked.clear()
