"""What an engine tells its owner: values, in the order in which they happened."""

from __future__ import annotations

from dataclasses import dataclass, field

from fingerpost.ids import PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketsArrived:
    """A peer handed packets over: how many are new here, and how many were refused for which reason."""

    peer: PublicKey
    stored: int
    refused: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """Every packet of emission ``number`` is durable here and at ``holders`` other holders, enough to outlive two."""

    number: int
    holders: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unacknowledged:
    """All current holders were tried, and too few have every packet of emission ``number``; it is tried again."""

    number: int
    holders: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """Refresh ``number`` is over: ``peers`` comparisons with holders were made, and what they had is here."""

    number: int
    peers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Question ``number`` to the holders is over: of ``asked`` holders these have answered.

    ``complete`` says that so many holders of each group, this node among them if it is one, called themselves complete
    that one of them has whatever was acknowledged before; ``attested`` that two holders of each group
    signed the same digests, so that neither left out what the other has. ``packet_ids`` are the nearest ones to a
    fingerprint, when that was the question.
    """

    number: int
    asked: int
    answered: tuple[PublicKey, ...]
    complete: bool
    attested: bool
    packet_ids: tuple[bytes, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderOmits:
    """A holder signed that it keeps packets, and then signed a digest of their cells without them."""

    peer: PublicKey
    packet_ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRefused:
    """A frame that is no message of this protocol, that nobody waits for, or that the store could not take.

    The code ``peer-muted`` stands for packets that were not checked (``fingerpost.node.budget``).
    """

    peer: PublicKey
    code: str
    message: str


Event = PacketsArrived | Acknowledged | Unacknowledged | Refreshed | Fetched | HolderOmits | FrameRefused
