"""The port between a node and whatever moves its frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A frame that arrived, and the endpoint that sent it."""

    frame: bytes
    sender: str


class Carrier(Protocol):
    """Moves opaque frames between endpoints; it never looks inside one.

    What a carrier promises: a frame arrives whole or not at all, at most once; the frames of one sender reach one
    receiver in the order they were sent; ``send`` waits while the receiver's queue is full (back-pressure) instead of
    dropping. What it does not promise: that a frame arrives. A node therefore counts on answers, never on sends.

    Every method raises ``NetworkError``: ``carrier-closed`` after ``close``, ``carrier-unreachable`` when nobody
    listens at the endpoint, ``frame-too-large`` above ``limits.FRAME_SIZE_BYTES_MAX``.
    """

    @property
    def endpoint(self) -> str:
        """Return the address under which peers reach this carrier."""
        ...

    async def send(self, frame: bytes, *, to: str) -> None:
        """Hand one frame over for delivery to the endpoint ``to``."""
        ...

    async def receive(self) -> Delivery:
        """Wait for the next frame."""
        ...

    async def close(self) -> None:
        """Stop. Frames already handed over may be lost; calling it twice is harmless."""
        ...
