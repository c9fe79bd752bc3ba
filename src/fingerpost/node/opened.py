"""What sealed packets say, kept while they live: a change of the store opens what is new, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from fingerpost.node.admission import Refusal, judge_contents
from fingerpost.packet import PACKET_DTYPE, SECRET_SIZE_BYTES, packet_ids, sealed_rows
from fingerpost.privacy.seal import Opened, Seals
from fingerpost.template import Template

OPENED_PACKETS_MAX = 262_144  # kept opened: about 200 MB; of more, the rest is opened each time

Packets = npt.NDArray[np.void]


class OpenedPackets:
    """Opens packets of one template with some keys, and remembers what it found: also that one does not open or fit."""

    def __init__(self, seals: Seals, template: Template) -> None:
        self._seals = seals
        self._template = template
        self._known: dict[bytes, bytes] = {}  # by packet id: the packet, opened, and its secret; or nothing
        self._seen: set[bytes] | None = None

    def __len__(self) -> int:
        return len(self._known)

    def read(self, packets: Packets) -> Opened:
        """Return what packets say that can be read here: sealed ones with a key here, and contents that fit."""
        sealed = sealed_rows(packets)
        places = np.flatnonzero(sealed)
        ids = [each.tobytes() for each in packet_ids(packets[places])]
        if self._seen is not None:
            self._seen.update(ids)
        new = [row for row, packet_id in enumerate(ids) if packet_id not in self._known]
        found = self._open(packets[places[new]])
        opened = {ids[row]: said for row, said in zip(new, found, strict=True)}
        said = [self._known[each] if each in self._known else opened[each] for each in ids]
        self._remember(opened)
        readable = ~sealed
        readable[places] = [bool(each) for each in said]
        every: Packets = packets.copy()
        secrets = np.zeros((len(packets), SECRET_SIZE_BYTES), np.uint8)
        both = np.frombuffer(b"".join(said), np.uint8).reshape(-1, PACKET_DTYPE.itemsize + SECRET_SIZE_BYTES)
        done = places[readable[places]]
        every[done] = np.ascontiguousarray(both[:, : PACKET_DTYPE.itemsize]).view(PACKET_DTYPE)[:, 0]
        secrets[done] = both[:, PACKET_DTYPE.itemsize :]
        rows = np.flatnonzero(readable)
        return Opened(packets=every[rows], rows=rows, secrets=secrets[rows])

    @contextmanager
    def pruning(self) -> Iterator[None]:
        """Forget all that is not read within the block: packets that were withdrawn or have expired."""
        self._seen = seen = set[bytes]()
        try:
            yield
        finally:
            self._seen = None
        self._known = {each: said for each, said in self._known.items() if each in seen}

    def _open(self, packets: Packets) -> list[bytes]:
        """Return each packet as it reads and its secret, nothing for one that does not open or does not fit."""
        opened = self._seals.open(packets)
        fits = judge_contents(opened.packets, self._template) == Refusal.WELCOME
        said = [b""] * len(packets)
        for place in np.flatnonzero(fits).tolist():
            said[int(opened.rows[place])] = opened.packets[place].tobytes() + opened.secrets[place].tobytes()
        return said

    def _remember(self, opened: dict[bytes, bytes]) -> None:
        room = OPENED_PACKETS_MAX - len(self._known)
        for packet_id in list(opened)[:room]:
            self._known[packet_id] = opened[packet_id]
