"""The packets of one reading, ordered as an election reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from fingerpost.synthesis.evidence import Evidence


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """Evidence divided into the asker's own rows and those of its peers, by node, epoch and packet id."""

    evidence: Evidence
    names: list[bytes]  # of all nodes, in the evidence's order
    places: dict[bytes, int]  # of nodes among ``names``
    peers: list[bytes]
    packets: NDArray[np.int64]  # (V,)
    packet_ids: list[bytes]
    own: NDArray[np.int64]
    peer_rows: NDArray[np.int64]
    peer_nodes: NDArray[np.int64]

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
            packet_ids=[one.tobytes() for one in evidence.packet_ids],
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

    def new_rows(self, known: AbstractSet[bytes]) -> NDArray[np.int64]:
        """Return places in ``peer_rows`` of the packets that are not ``known``."""
        fresh = np.array([one not in known for one in self.packet_ids], bool)
        return np.flatnonzero(fresh[self.peer_rows])

    def are_in(self, known: AbstractSet[bytes], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of ``rows`` have packet ids that are ``known``."""
        if not known:
            return np.zeros(len(rows), bool)
        return np.array([self.packet_ids[row] in known for row in rows.tolist()], bool)
