"""Why bytes or values are not a packet, with the error that says so."""

from __future__ import annotations

import operator
from enum import IntEnum
from typing import SupportsIndex

from fingerpost.errors import PacketError, SignatureError


class Reason(IntEnum):
    """Why a packet is refused; 0 means that it is not. ``code`` is the code of the matching error."""

    FINE = 0
    LENGTH = 1
    MAGIC = 2
    VERSION = 3
    KIND = 4
    PROFILE = 5
    EPOCH = 6
    TTL = 7
    FIELD = 8
    PAYLOAD = 9
    OUTCOME = 10
    PADDING = 11
    PROOF = 12
    KEY = 13
    SIGNATURE = 14

    @property
    def code(self) -> str:
        """Return the stable error code, such as ``packet-magic``."""
        return f"packet-{self.name.lower()}"


_MESSAGES = {
    Reason.LENGTH: "a packet has exactly 512 bytes",
    Reason.MAGIC: "the bytes do not start like a packet",
    Reason.VERSION: "the packet has a version that this program cannot read",
    Reason.KIND: "the packet is of an unknown kind",
    Reason.PROFILE: "the privacy profile is unknown, or forbids such a packet",
    Reason.EPOCH: "the epoch is not a day number of two bytes",
    Reason.TTL: "the time to live is not between 1 and 3,650 days",
    Reason.FIELD: "a field has the wrong size",
    Reason.PAYLOAD: "the payload breaks a rule of its layout",
    Reason.OUTCOME: "the outcome is not a valid one for such a packet",
    Reason.PADDING: "bytes that must be zero are not",
    Reason.PROOF: "the place in the batch, its depth and its path contradict each other",
    Reason.KEY: "the emitter is not a usable Ed25519 key",
    Reason.SIGNATURE: "the signature does not cover this packet",
}
_HINTS = {
    Reason.LENGTH: "Split a file or a frame into pieces of 512 bytes; a shorter rest was cut off on its way.",
    Reason.MAGIC: "Check that this is a packet and not, say, a receipt, a template or text.",
    Reason.VERSION: "Upgrade fingerpost, or ask the emitter for version 1.",
    Reason.KIND: "Kinds are 1 observation, 2 summary, 3 counts, 4 report and 5 withdrawal.",
    Reason.PROFILE: "See the table of kinds and profiles in spec/outcome-packet.md.",
    Reason.EPOCH: "Give the day as days since 1970-01-01.",
    Reason.TTL: "Set ttl_days in the template's [retention] table to 1 up to 3650.",
    Reason.FIELD: "See the layout table in spec/outcome-packet.md.",
    Reason.PAYLOAD: "Run `fingerpost template check` to see the byte budget of the template's packets.",
    Reason.OUTCOME: "See the table of outcome forms in spec/outcome-packet.md.",
    Reason.PADDING: "The packet was altered, or its emitter does not follow the format.",
    Reason.PROOF: "The packet was altered, or its emitter does not follow the format.",
    Reason.KEY: "Drop the packet: nobody can hold the private half of such a key.",
    Reason.SIGNATURE: "Drop the packet: it was altered, or it is not from the emitter it names.",
}


def refusal(reason: Reason, detail: str = "") -> PacketError:
    """Return the error for ``reason``; ``detail`` names the field and its value."""
    message = f"{_MESSAGES[reason]}: {detail}" if detail else _MESSAGES[reason]
    kind = SignatureError if reason in (Reason.KEY, Reason.SIGNATURE) else PacketError
    return kind(reason.code, message, hint=_HINTS[reason])


def checked_integer(name: str, value: SupportsIndex, *, low: int, high: int, reason: Reason) -> int:
    """Return ``value`` as a plain integer of ``low`` to ``high``, both included, or raise for ``reason``."""
    try:
        number = operator.index(value)
    except TypeError:
        raise refusal(reason, f"{name} is {value!r}, not an integer") from None
    if not low <= number <= high:
        raise refusal(reason, f"{name} is {number}, not {low} to {high}")
    return number


def checked_octets(name: str, value: bytes, *, sizes: range | tuple[int, ...], reason: Reason) -> bytes:
    """Return ``value`` as ``bytes`` whose length is one of ``sizes``, or raise for ``reason``."""
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise refusal(reason, f"{name} is of type {type(value).__name__}, not bytes")
    octets = bytes(value)
    if len(octets) not in sizes:
        raise refusal(reason, f"{name} has {len(octets)} bytes")
    return octets
