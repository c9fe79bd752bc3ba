"""The packets of one reading, ordered as an election reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from fingerpost.synthesis.evidence import Evidence


class PacketIds:
    """A set of packet ids. A value: ``with_`` returns a new one."""

    __slots__ = ("_ordered",)

    def __init__(self, ids: NDArray[np.uint8]) -> None:
        ordered = np.sort(_as_octets(ids))
        self._ordered: NDArray[Any] = ordered[np.append(ordered[:1] == ordered[:1], ordered[1:] != ordered[:-1])]

    def __len__(self) -> int:
        return len(self._ordered)

    def with_(self, ids: NDArray[np.uint8]) -> PacketIds:
        """Return these and ``ids`` (k, 32)."""
        known = self._ordered.view(np.uint8).reshape(-1, 32)
        return PacketIds(np.concatenate([known, ids])) if len(ids) else self

    def has(self, ids: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return which of ``ids`` (k, 32) are among them; soonest where these are ordered."""
        if not len(self):
            return np.zeros(len(ids), bool)
        octets = _as_octets(ids)
        place = np.minimum(np.searchsorted(self._ordered, octets), len(self) - 1)
        return np.asarray(self._ordered[place] == octets, bool)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """Evidence divided into the asker's own rows and those of its peers, by node, epoch and packet id."""

    evidence: Evidence
    names: list[bytes]  # of all nodes, in the evidence's order
    places: dict[bytes, int]  # of nodes among ``names``
    peers: list[bytes]
    packets: NDArray[np.int64]  # (V,)
    own: NDArray[np.int64]
    peer_rows: NDArray[np.int64]
    peer_nodes: NDArray[np.int64]
    _known: dict[PacketIds, NDArray[np.bool_]] = field(default_factory=dict)

    @classmethod
    def of(cls, evidence: Evidence, asker: bytes) -> View:
        """Divide the packets of ``evidence``."""
        names = [one.tobytes() for one in evidence.node_ids]
        place = names.index(asker) if asker in names else -1
        peers = np.flatnonzero(evidence.node_index != place)
        order = np.lexsort((peers, evidence.epochs[peers], evidence.node_index[peers]))
        return cls(
            evidence=evidence,
            names=names,
            places={name: number for number, name in enumerate(names)},
            peers=[name for name in names if name != asker],
            packets=np.bincount(evidence.node_index, minlength=len(names)),
            own=np.flatnonzero(evidence.node_index == place),
            peer_rows=peers[order],
            peer_nodes=evidence.node_index[peers[order]],
        )

    def rows_of(self, names: Iterable[bytes]) -> NDArray[np.int64]:
        """Return the rows of these nodes, ascending."""
        wanted = set(names)
        chosen = np.array([name in wanted for name in self.names], bool)
        return np.flatnonzero(chosen[self.evidence.node_index]) if len(chosen) else np.zeros(0, np.int64)

    def rows_told_by(self, name: bytes) -> NDArray[np.int64]:
        """Return the rows of one peer, in the order in which they are read."""
        node = self.places[name]
        first, end = np.searchsorted(self.peer_nodes, [node, node + 1])
        return self.peer_rows[first:end]

    def new_rows(self, known: PacketIds) -> NDArray[np.int64]:
        """Return places in ``peer_rows`` of the packets that are not ``known``."""
        return np.flatnonzero(~self.are_in(known, self.peer_rows))

    def are_in(self, known: PacketIds, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of ``rows`` have packet ids that are ``known``."""
        if known not in self._known:
            self._known[known] = known.has(self.evidence.packet_ids)
        return self._known[known][rows]


def _as_octets(ids: NDArray[np.uint8]) -> NDArray[Any]:
    """Return ids (k, 32) as (k,) strings of bytes, all of one length, so that zeros at their ends tell none apart."""
    return np.ascontiguousarray(ids).view("S32").reshape(-1)
