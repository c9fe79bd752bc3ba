"""Who is there: the holders that a directory named, and which of them have shown a sign of life.

A holder counts as live from the moment it is known until it leaves a question unanswered for ``SILENT_SECONDS`` or
cannot be reached; one frame from it, and it is live again. Records of a directory outlive their holder by minutes;
this tells within seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fingerpost.elections.holders import HolderElection
from fingerpost.ids import PublicKey

BEAT_SECONDS = 2.0  # of silence until a holder is asked for a sign of life, and between two such questions
SILENT_SECONDS = 6.0  # that a question may stay unanswered


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A holder that the directory named; "" is nobody's organisation."""

    public_key: PublicKey
    organisation: str = ""


@dataclass(slots=True)
class _Peer:
    organisation: str
    live: bool = True
    heard_at: float = float("-inf")
    asked_at: float | None = None  # since when a question is unanswered
    beaten_at: float = float("-inf")


class Peers:
    """The holders that this node knows.

    ``version`` grows whenever one comes, goes, falls silent or is back; ``members`` only when one comes or goes.
    ``holders`` remembers how they answered, also of those that went.
    """

    def __init__(self) -> None:
        self._peers: dict[PublicKey, _Peer] = {}
        self.holders = HolderElection()
        self.version = 0
        self.members = 0

    def know(self, holders: Iterable[Holder]) -> list[PublicKey]:
        """Take over the holders that the directory names now, in place of those of before; return the new ones."""
        named = {holder.public_key: holder.organisation for holder in holders}
        new = [key for key in named if key not in self._peers]
        gone = [key for key in self._peers if key not in named]
        for key in gone:
            del self._peers[key]
        for key, organisation in named.items():
            peer = self._peers.setdefault(key, _Peer(organisation))
            if peer.organisation != organisation:
                peer.organisation = organisation
                self.version += 1
        self.version += bool(new or gone)
        self.members += bool(new or gone)
        return new

    def live(self) -> list[PublicKey]:
        """Return the holders that count as live."""
        return [key for key, peer in self._peers.items() if peer.live]

    def is_live(self, key: PublicKey) -> bool:
        """Say whether this is a known holder that counts as live."""
        peer = self._peers.get(key)
        return peer is not None and peer.live

    def all(self) -> list[PublicKey]:
        """Return every known holder."""
        return list(self._peers)

    def organisations(self) -> dict[PublicKey, str]:
        """Return the organisation of each known holder."""
        return {key: peer.organisation for key, peer in self._peers.items()}

    def heard_at(self, key: PublicKey) -> float | None:
        """Return when the last frame of a known holder came, in seconds since 1970; None before the first."""
        peer = self._peers.get(key)
        return None if peer is None or peer.heard_at == float("-inf") else peer.heard_at

    def never_heard(self) -> list[PublicKey]:
        """Return the holders that count as live only because a directory names them."""
        return [key for key, peer in self._peers.items() if peer.live and peer.heard_at == float("-inf")]

    def heard(self, key: PublicKey, *, now: float) -> bool:
        """Note a frame of a peer; say whether that brings a silent holder back."""
        peer = self._peers.get(key)
        if peer is None:
            return False
        back, peer.live = not peer.live, True
        peer.heard_at, peer.asked_at = now, None
        self.version += back
        return back

    def unreachable(self, key: PublicKey) -> bool:
        """Note that a holder could not be reached; say whether it counted as live until now."""
        peer = self._peers.get(key)
        if peer is None or not peer.live:
            return False
        peer.live = False
        self.version += 1
        return True

    def due_beats(self, watched: Iterable[PublicKey], *, now: float) -> list[PublicKey]:
        """Return which of these holders to ask for a sign of life now, and note that they were asked."""
        due = []
        for key in watched:
            peer = self._peers.get(key)
            if peer is None or now - max(peer.heard_at, peer.beaten_at) < BEAT_SECONDS:
                continue
            peer.beaten_at = now
            peer.asked_at = now if peer.asked_at is None else peer.asked_at
            due.append(key)
        return due

    def fall_silent(self, *, now: float) -> list[PublicKey]:
        """Return the holders that have left a question unanswered for too long; they no longer count as live."""
        silent = [
            key
            for key, peer in self._peers.items()
            if peer.live and peer.asked_at is not None and now - peer.asked_at >= SILENT_SECONDS
        ]
        for key in silent:
            self._peers[key].live = False
        self.version += bool(silent)
        return silent
