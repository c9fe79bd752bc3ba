"""What every carrier says about a frame or a peer that it cannot serve, in the same words."""

from __future__ import annotations

from fingerpost.carrier.base import Peer
from fingerpost.errors import NetworkError
from fingerpost.limits import FRAME_SIZE_BYTES_MAX


def check_frame_size(frame: bytes) -> None:
    """Raise ``NetworkError`` (``frame-empty``, ``frame-too-large``) for a frame that no carrier takes."""
    if not frame:
        raise NetworkError("frame-empty", "a frame has at least one byte")
    if len(frame) > FRAME_SIZE_BYTES_MAX:
        raise NetworkError("frame-too-large", f"a frame of {len(frame)} bytes; at most {FRAME_SIZE_BYTES_MAX}")


def unreachable(to: Peer, reason: str) -> NetworkError:
    """Return the error of a send to a peer that cannot be reached."""
    where = to.address.endpoint if to.address is not None else "no address"
    message = f"{to.public_key.hex()[:16]} ({where}) cannot be reached: {reason}"
    return NetworkError("carrier-unreachable", message, hint="is the peer running, and does its firewall let us in?")


def closed(endpoint: str) -> NetworkError:
    """Return the error of a call after ``close``, or of one that ``close`` ended."""
    return NetworkError("carrier-closed", f"{endpoint or 'the carrier'} was closed")
