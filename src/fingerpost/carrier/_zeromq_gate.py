"""What a peer may do once it has proved its identity: be admitted, and send so many frames."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import zmq.asyncio

from fingerpost.carrier._zeromq_sockets import Security, is_endpoint
from fingerpost.carrier.base import CarrierCounts, CarrierOptions, Delivery
from fingerpost.carrier.inbox import Inbox
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey
from fingerpost.limits import FRAME_SIZE_BYTES_MAX

ADMITTED_SECONDS = 60.0  # after that a peer's admission is asked for again
BURST_SECONDS = 2.0  # how long a peer may send faster than it may in the long run


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What ``CarrierOptions.settings`` may say.

    A peer that sends more than ``frames_per_second_max`` for seconds is cut off; ``unproven_max`` connections may be on
    their way to a proof at once. ``advertised_host`` is what peers are told instead of the host that we listen at, as
    when that is ``0.0.0.0``.
    """

    frames_per_second_max: float = 100_000.0
    unproven_max: float = 256
    advertised_host: str = ""

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> Settings:
        """Raises ``NetworkError`` (``carrier-settings``) for a setting that is unknown or out of bounds."""
        for name, setting in settings.items():
            if name not in cls.__slots__:
                hint = f"it has {', '.join(cls.__slots__)}"
                raise NetworkError("carrier-settings", f"the zeromq carrier has no setting {name!r}", hint=hint)
            if name == "advertised_host":
                if not isinstance(setting, str) or not is_endpoint(f"{setting}:1"):
                    raise NetworkError("carrier-settings", f"{name} is the name or address of a host, not {setting!r}")
            elif isinstance(setting, bool) or not isinstance(setting, int | float) or not setting > 0:
                raise NetworkError("carrier-settings", f"{name} is a number above 0, not {setting!r}")
        return cls(**settings)


@dataclass(slots=True, eq=False)
class Proven:
    """One connection's peer: the identity that it proved, and what it has used of its allowance."""

    public_key: PublicKey
    admitted_at: float = float("-inf")
    frames: float = 0.0
    frames_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What both halves of a carrier share: who we are, and what happens to what arrives."""

    name: str
    options: CarrierOptions
    settings: Settings
    security: Security
    context: zmq.asyncio.Context
    counts: CarrierCounts
    inbox: Inbox

    def admits(self, peer: Proven) -> bool:
        """Whether an identity is admitted, as it was said within the last minute."""
        now = asyncio.get_running_loop().time()
        if now - peer.admitted_at > ADMITTED_SECONDS:
            if not self.options.admits(peer.public_key):
                return False
            peer.admitted_at = now
        return True

    async def take(self, peer: Proven, frame: bytes) -> str:
        """Put a frame into the inbox, waiting for room; return why the peer must go instead, or an empty text."""
        if not frame or len(frame) > FRAME_SIZE_BYTES_MAX:
            return "frame-too-large" if frame else "frame-empty"
        if not self.admits(peer):
            return "not-admitted"
        if not self._allows_one_more(peer):
            return "frames-per-second"
        await self.inbox.put(Delivery(frame=frame, sender=peer.public_key))
        return ""

    def refuse(self, reason: str, who: object) -> None:
        """Count a refusal, and log it."""
        self.counts.refuse(reason, who=str(who))

    def _allows_one_more(self, peer: Proven) -> bool:
        """Whether a leaky bucket has room; it holds what may come within ``BURST_SECONDS``."""
        now, rate = asyncio.get_running_loop().time(), self.settings.frames_per_second_max
        peer.frames = max(0.0, peer.frames - (now - peer.frames_at) * rate) + 1
        peer.frames_at = now
        return peer.frames <= max(1.0, rate * BURST_SECONDS)
