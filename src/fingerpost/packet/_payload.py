"""The part of a packet that its template gives meaning to, plain or sealed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fingerpost.limits import CONDITIONS_MAX, LEVELS_MAX
from fingerpost.packet._layout import (
    CONFIDENCE_MAX,
    FINGERPRINT_WORD_SIZE_BYTES,
    FINGERPRINT_WORDS_MAX,
    PAYLOAD_HEADER_SIZE_BYTES,
    PAYLOAD_HEADER_STRUCT,
    PAYLOAD_SIZE_BYTES,
    PLAINTEXT_SIZE_BYTES,
    SKETCH_SIZE_BYTES,
    OutcomeForm,
)
from fingerpost.packet._outcome import Outcome, checked_outcome_size, outcome_from_bytes
from fingerpost.packet._reasons import Reason, checked_integer, checked_octets, refusal

_FINGERPRINT_SIZES = range(0, FINGERPRINT_WORDS_MAX * FINGERPRINT_WORD_SIZE_BYTES + 1, FINGERPRINT_WORD_SIZE_BYTES)
_PADDED_SIZES = (PLAINTEXT_SIZE_BYTES, PAYLOAD_SIZE_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What a packet says about a situation.

    ``fingerprint`` holds up to 128 bytes in whole 8-byte words, ``sketch`` 0 or 32 bytes. A condition is a level
    index + 1, or 0 where it is missing; so is ``action``, 0 being no action. ``confidence`` counts 255ths.
    Raises ``PacketError``: ``packet-payload`` or ``packet-outcome``.
    """

    outcome: Outcome
    fingerprint: bytes = b""
    sketch: bytes = b""
    conditions: tuple[int, ...] = ()
    action: int = 0
    confidence: int = CONFIDENCE_MAX

    def __post_init__(self) -> None:
        reason = Reason.PAYLOAD
        if not isinstance(self.outcome, Outcome):
            raise refusal(Reason.OUTCOME, f"{type(self.outcome).__name__} is not an outcome")
        if not isinstance(self.conditions, Sequence) or len(self.conditions) > CONDITIONS_MAX:
            raise refusal(reason, f"conditions are at most {CONDITIONS_MAX} integers")
        conditions = [
            checked_integer("condition", code, low=0, high=LEVELS_MAX, reason=reason) for code in self.conditions
        ]
        settled = {
            "fingerprint": checked_octets("fingerprint", self.fingerprint, sizes=_FINGERPRINT_SIZES, reason=reason),
            "sketch": checked_octets("sketch", self.sketch, sizes=(0, SKETCH_SIZE_BYTES), reason=reason),
            "conditions": tuple(conditions),
            "action": checked_integer("action", self.action, low=0, high=LEVELS_MAX, reason=reason),
            "confidence": checked_integer("confidence", self.confidence, low=0, high=CONFIDENCE_MAX, reason=reason),
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)
        if self.size_bytes > PAYLOAD_SIZE_BYTES:
            raise refusal(reason, f"it needs {self.size_bytes} bytes of {PAYLOAD_SIZE_BYTES}")

    @property
    def size_bytes(self) -> int:
        """Return how many bytes are in use; the rest is zero."""
        return (
            PAYLOAD_HEADER_SIZE_BYTES
            + len(self.fingerprint)
            + len(self.sketch)
            + 2 * len(self.conditions)
            + checked_outcome_size(self.outcome.form, self.outcome.items, self.outcome.first_level)
        )

    def to_bytes(self, *, size: int = PAYLOAD_SIZE_BYTES) -> bytes:
        """Return the payload padded with zeros to ``size`` bytes: 240, or 208 for the plaintext of a sealed one.

        Raises ``PacketError`` (``packet-payload``) if it does not fit.
        """
        header = PAYLOAD_HEADER_STRUCT.pack(
            len(self.fingerprint) // FINGERPRINT_WORD_SIZE_BYTES,
            len(self.sketch),
            len(self.conditions),
            self.outcome.form,
            self.outcome.items,
            self.confidence,
            self.action,
            self.outcome.first_level,
        )
        conditions = b"".join(code.to_bytes(2, "little") for code in self.conditions)
        used = b"".join((header, self.fingerprint, self.sketch, conditions, self.outcome.to_bytes()))
        if len(used) > size:
            raise refusal(Reason.PAYLOAD, f"it needs {len(used)} bytes of {size}")
        return used.ljust(size, b"\0")

    @classmethod
    def from_bytes(cls, data: bytes) -> Payload:
        """Read a payload padded to 240 bytes, or to 208 as the plaintext of a sealed one.

        Raises ``PacketError``: ``packet-payload``, ``packet-outcome`` or ``packet-padding``.
        """
        data = checked_octets("the payload", data, sizes=_PADDED_SIZES, reason=Reason.PAYLOAD)
        words, sketch_bytes, condition_count, form, items, confidence, action, first_level = (
            PAYLOAD_HEADER_STRUCT.unpack_from(data)
        )
        if (
            words > FINGERPRINT_WORDS_MAX
            or sketch_bytes not in (0, SKETCH_SIZE_BYTES)
            or condition_count > CONDITIONS_MAX
        ):
            raise refusal(Reason.PAYLOAD, f"{words} words, {sketch_bytes} sketch bytes, {condition_count} conditions")
        outcome_size = checked_outcome_size(form, items, first_level)
        fingerprint_end = PAYLOAD_HEADER_SIZE_BYTES + words * FINGERPRINT_WORD_SIZE_BYTES
        sketch_end = fingerprint_end + sketch_bytes
        conditions_end = sketch_end + 2 * condition_count
        end = conditions_end + outcome_size
        if end > len(data):
            raise refusal(Reason.PAYLOAD, f"it needs {end} bytes of {len(data)}")
        payload = cls(
            outcome=outcome_from_bytes(OutcomeForm(form), first_level, data[conditions_end:end]),
            fingerprint=data[PAYLOAD_HEADER_SIZE_BYTES:fingerprint_end],
            sketch=data[fingerprint_end:sketch_end],
            conditions=tuple(
                int.from_bytes(data[at : at + 2], "little") for at in range(sketch_end, conditions_end, 2)
            ),
            action=action,
            confidence=confidence,
        )
        if any(data[end:]):
            raise refusal(Reason.PADDING, f"the payload uses {end} bytes, and a byte after them is not zero")
        return payload


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedPayload:
    """A payload under a consortium key: 16 bytes of key commitment, 208 of ciphertext, 16 of tag."""

    data: bytes

    def __post_init__(self) -> None:
        data = checked_octets("a sealed payload", self.data, sizes=(PAYLOAD_SIZE_BYTES,), reason=Reason.PAYLOAD)
        object.__setattr__(self, "data", data)
