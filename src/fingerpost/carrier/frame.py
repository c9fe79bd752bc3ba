"""What every carrier says about a frame or a peer that it cannot serve, in the same words."""

from __future__ import annotations

import logging

from fingerpost.carrier.base import CarrierCounts, Peer
from fingerpost.errors import NetworkError
from fingerpost.limits import FRAME_SIZE_BYTES_MAX

_LOG = logging.getLogger("fingerpost.carrier")


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


def count_refusal(counts: CarrierCounts, reason: str, *, who: str) -> None:
    """Count a refusal, and log the 1st, 2nd, 4th, 8th … of each reason: a flood must not fill the disk."""
    counts.refuse(reason)
    times = counts.refused[reason]
    if times & (times - 1) == 0:
        _LOG.warning("refused %s: %s (%d times so far)", who, reason, times)
