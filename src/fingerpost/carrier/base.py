"""The port between a node and whatever moves its frames.

A backend registers a ``CarrierFactory`` under a name in the entry-point group ``fingerpost.carriers``; the public kit
``fingerpost.testing.carrier_kit`` checks its promises.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from fingerpost.ids import PublicKey

CHANNEL_KEY_SIZE_BYTES = 32

_LOG = logging.getLogger("fingerpost.carrier")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a carrier listens, and the key that its channel proves; both stand in the node's signed holder record.

    ``channel_key`` has 32 bytes (a CURVE or X25519 key, the SHA-256 of a TLS public key), or none for a carrier that
    does not encrypt.
    """

    endpoint: str
    channel_key: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Whom a frame is for. Without an ``address`` it can only travel on a connection that the peer itself opened."""

    public_key: PublicKey
    address: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A frame that arrived, and the identity that its sender proved on the channel."""

    frame: bytes
    sender: PublicKey


class ChannelIdentity(Protocol):
    """What a carrier may ask of the node's identity. The secret key itself never reaches a carrier."""

    @property
    def public_key(self) -> PublicKey:
        """The Ed25519 public key, 32 bytes."""
        ...

    def sign(self, statement: bytes) -> bytes:
        """Return the Ed25519 signature (64 bytes) of a statement that starts with a label of its own."""
        ...

    def channel_secret(self, label: bytes) -> bytes:
        """Return 32 secret bytes that are the same whenever this identity is opened, and differ between labels."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierOptions:
    """What a carrier is opened with.

    ``listen`` is a host and port (``127.0.0.1:0`` picks a free port), or empty for a node that only opens connections.
    ``admits`` is asked about an identity when it has proved itself, and again for each frame's sender that was
    admitted more than a minute ago. ``settings`` are the backend's own, by name.
    """

    identity: ChannelIdentity
    network_id: str
    listen: str
    admits: Callable[[PublicKey], bool]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class CarrierCounts:
    """What a carrier has refused or lost, by reason; only ever grows."""

    refused: dict[str, int] = field(default_factory=dict)

    def refuse(self, reason: str, *, who: str = "a peer") -> None:
        """Count one refusal, such as ``hello-signature``, ``not-admitted``, ``frame-too-large``, ``hello-timeout``.

        The 1st, 2nd, 4th, 8th … of each reason are logged, with ``who`` it was as far as that is known.
        """
        times = self.refused[reason] = self.refused.get(reason, 0) + 1
        if times & (times - 1) == 0:  # a flood must not fill the disk
            _LOG.warning("refused %s: %s (%d times so far)", who, reason, times)


class Carrier(Protocol):
    """Moves opaque frames between nodes; it never looks inside one.

    What a carrier promises:

    - **Whole.** A frame of 1 byte to ``limits.FRAME_SIZE_BYTES_MAX`` arrives whole or not at all, at most once.
    - **In order.** The frames of one sender reach one receiver in the order they were sent, while a connection lasts.
    - **Back-pressure.** ``send`` waits while the receiver takes nothing, instead of dropping or growing without bound.
    - **From whom.** ``Delivery.sender`` has proved its Ed25519 key on this channel, and what answers at an ``Address``
      has proved its ``channel_key``. Whoever cannot is counted in ``counts`` and gets nothing.
    - **Both ways.** Once a peer has sent something, frames to it travel back without knowing its address.
    - **It comes back.** After a connection is lost, a later ``send`` opens a new one, with a jittered pause between
      attempts; what was on its way is lost or arrives, never twice.
    - **It ends.** ``close`` returns within seconds, whatever peers do, and wakes ``receive``.

    What it does not promise: that a frame arrives. A node therefore counts on answers, never on sends.

    Every method raises ``NetworkError``: ``carrier-closed`` after ``close``, ``carrier-unreachable`` when the peer
    cannot be reached within a few seconds (or has no address and no connection), ``frame-too-large`` and
    ``frame-empty`` for a frame out of bounds.
    """

    @property
    def address(self) -> Address:
        """Return where peers reach this carrier; the endpoint is empty when it does not listen."""
        ...

    @property
    def counts(self) -> CarrierCounts:
        """Return what was refused so far."""
        ...

    async def send(self, frame: bytes, *, to: Peer) -> None:
        """Hand one frame over for delivery."""
        ...

    async def receive(self) -> Delivery:
        """Wait for the next frame of any peer."""
        ...

    async def close(self) -> None:
        """Stop. Frames already handed over may be lost; calling it twice is harmless."""
        ...


class CarrierFactory(Protocol):
    """Opens a carrier."""

    async def __call__(self, options: CarrierOptions) -> Carrier:
        """Raises ``NetworkError``: ``listen-failed`` when the endpoint cannot be had, ``carrier-settings``."""
        ...
