"""Payloads of one shape, read and written as columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.limits import CONDITIONS_MAX, FINGERPRINT_BITS_MAX, FINGERPRINT_BITS_STEP
from fingerpost.packet._layout import (
    BODY_DTYPE,
    FINGERPRINT_WORD_SIZE_BYTES,
    MAGIC,
    OUTCOME_ITEM_SIZE_BYTES,
    PAYLOAD_FIELDS,
    PAYLOAD_HEADER_DTYPE,
    PAYLOAD_HEADER_SIZE_BYTES,
    PAYLOAD_SIZE_BYTES,
    PLAINTEXT_SIZE_BYTES,
    SEVERAL_ITEMS,
    SKETCH_SIZE_BYTES,
    VERSION,
    Flags,
    Kind,
    OutcomeForm,
    Profile,
    Structured,
    is_sealed,
)
from fingerpost.packet._outcome import OUTCOME_ITEMS_MAX

MOMENTS_DTYPE: Final = np.dtype([("n", "<u4"), ("mean", "<f8"), ("m2", "<f8")])

_OUTCOME_FORMATS: Final[dict[OutcomeForm, Any]] = {
    OutcomeForm.CATEGORY: "<u2",
    OutcomeForm.NUMBER: "<f8",
    OutcomeForm.HISTOGRAM: "<u2",
    OutcomeForm.MOMENTS: MOMENTS_DTYPE,
    OutcomeForm.COUNTS: "<i4",
    OutcomeForm.REPORT_BITS: "u1",
    OutcomeForm.REPORT_VALUE: "<u4",
    OutcomeForm.PACKET_ID: "u1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadLayout:
    """The shape that all payloads of a template and kind share.

    ``fingerprint_bits`` is a multiple of 64 up to 1,024, ``sketch`` 0 or 32 bytes, ``conditions`` a number up to 16,
    ``outcome_items`` 1 for the forms that have one item. A layout may need more room than a packet has: see ``fits``.
    Raises ``UsageError`` for any other value.
    """

    fingerprint_bits: int
    sketch: int
    conditions: int
    outcome_form: OutcomeForm
    outcome_items: int = 1

    def __post_init__(self) -> None:
        if self.fingerprint_bits not in range(0, FINGERPRINT_BITS_MAX + 1, FINGERPRINT_BITS_STEP):
            raise UsageError("layout-fingerprint", f"{self.fingerprint_bits} bits are not whole words up to 1,024 bits")
        if self.sketch not in (0, SKETCH_SIZE_BYTES):
            raise UsageError("layout-sketch", f"a sketch has 0 or {SKETCH_SIZE_BYTES} bytes, not {self.sketch}")
        if self.conditions not in range(CONDITIONS_MAX + 1):
            raise UsageError("layout-conditions", f"{self.conditions} conditions are not 0 to {CONDITIONS_MAX}")
        if self.outcome_form not in _OUTCOME_FORMATS:
            raise UsageError("layout-outcome", f"{self.outcome_form!r} is not a form of outcome")
        most = OUTCOME_ITEMS_MAX if self.outcome_form in SEVERAL_ITEMS else 1
        if self.outcome_items not in range(1, most + 1):
            raise UsageError("layout-outcome", f"{self.outcome_items} items are not 1 to {most}")

    @property
    def fingerprint_bytes(self) -> int:
        """Return the size of the fingerprint."""
        return self.fingerprint_bits // 8

    @property
    def outcome_offset(self) -> int:
        """Return where in the payload the outcome starts, in bytes."""
        return PAYLOAD_HEADER_SIZE_BYTES + self.fingerprint_bytes + self.sketch + 2 * self.conditions

    @property
    def size_bytes(self) -> int:
        """Return the number of bytes in use, of the 240 (208 in a sealed payload) that there are."""
        return self.outcome_offset + self.outcome_items * OUTCOME_ITEM_SIZE_BYTES[self.outcome_form]

    def fits(self, profile: Profile) -> bool:
        """Say whether such a payload fits into a packet under ``profile``."""
        return self.size_bytes <= (PLAINTEXT_SIZE_BYTES if profile == Profile.CONSORTIUM else PAYLOAD_SIZE_BYTES)

    @property
    def dtype(self) -> np.dtype[np.void]:
        """Return the structured type of the 240 payload bytes.

        Its fields are those of the payload header, then ``fingerprint`` (bytes), ``sketch`` (bytes), ``conditions``
        (u2 each) and ``outcome``: a number, an array of ``outcome_items`` numbers, or ``MOMENTS_DTYPE``.
        Raises ``UsageError`` if the layout is larger than a packet's payload.
        """
        if self.size_bytes > PAYLOAD_SIZE_BYTES:
            raise UsageError("layout-size", f"a payload of {self.size_bytes} bytes does not fit into 240")
        sketch_offset = PAYLOAD_HEADER_SIZE_BYTES + self.fingerprint_bytes
        return np.dtype(
            {
                "names": [*(PAYLOAD_HEADER_DTYPE.names or ()), "fingerprint", "sketch", "conditions", "outcome"],
                "formats": [
                    *(PAYLOAD_HEADER_DTYPE[field.name] for field in PAYLOAD_FIELDS),
                    ("u1", (self.fingerprint_bytes,)),
                    ("u1", (self.sketch,)),
                    ("<u2", (self.conditions,)),
                    self._outcome_format,
                ],
                "offsets": [
                    *(field.offset for field in PAYLOAD_FIELDS),
                    PAYLOAD_HEADER_SIZE_BYTES,
                    sketch_offset,
                    sketch_offset + self.sketch,
                    self.outcome_offset,
                ],
                "itemsize": PAYLOAD_SIZE_BYTES,
            }
        )

    @property
    def _outcome_format(self) -> Any:
        item = _OUTCOME_FORMATS[self.outcome_form]
        if self.outcome_form == OutcomeForm.PACKET_ID:
            return ("u1", (OUTCOME_ITEM_SIZE_BYTES[OutcomeForm.PACKET_ID],))
        return (item, (self.outcome_items,)) if self.outcome_form in SEVERAL_ITEMS else item


def payloads(packets: Structured, layout: PayloadLayout) -> Structured:
    """Return the payloads of ``packets`` (``PACKET_DTYPE`` or ``BODY_DTYPE``) as an array of ``layout.dtype``.

    The result is a view: writing to it writes to the packets. Nothing is checked: see ``has_layout``.
    """
    view: Structured = packets["payload"].view(layout.dtype)[:, 0]
    return view


def has_layout(packets: Structured, layout: PayloadLayout) -> Flags:
    """Return for each packet whether its payload is plain and of this layout, shape (n,)."""
    header = packets["payload"][:, :5]
    wanted = (
        layout.fingerprint_bytes // FINGERPRINT_WORD_SIZE_BYTES,
        layout.sketch,
        layout.conditions,
        layout.outcome_form,
        layout.outcome_items,
    )
    same = (header == np.array(wanted, np.uint8)).all(axis=1)
    sealed = (packets["profile"] == Profile.CONSORTIUM) & (packets["kind"] != Kind.WITHDRAWAL)
    matching: Flags = same & ~sealed
    return matching


def blank_bodies(
    count: int,
    *,
    kind: Kind,
    profile: Profile,
    epoch: int,
    ttl_days: int,
    template_id: bytes,
    emitter: bytes,
    layout: PayloadLayout,
) -> Structured:
    """Return ``count`` bodies (``BODY_DTYPE``) with everything filled in but cell, nonce and the payload's content.

    The payload's header states ``layout``; confidence is that of the kind: certain, or 0 for a withdrawal.
    Raises ``UsageError`` for a sealed payload, which has no layout, and for one that does not fit.
    """
    if is_sealed(kind, profile):
        raise UsageError("layout-sealed", "the payload of a consortium packet is ciphertext, not a layout")
    bodies: Structured = np.zeros(count, BODY_DTYPE)
    bodies["magic"] = np.frombuffer(MAGIC, np.uint8)
    bodies["version"] = VERSION
    bodies["kind"] = kind
    bodies["profile"] = profile
    bodies["epoch"] = epoch
    bodies["ttl_days"] = ttl_days
    bodies["template_id"] = np.frombuffer(template_id, np.uint8)
    bodies["emitter"] = np.frombuffer(emitter, np.uint8)
    content = payloads(bodies, layout)
    content["fingerprint_words"] = layout.fingerprint_bytes // FINGERPRINT_WORD_SIZE_BYTES
    content["sketch_bytes"] = layout.sketch
    content["condition_count"] = layout.conditions
    content["outcome_form"] = layout.outcome_form
    content["outcome_items"] = layout.outcome_items
    content["confidence"] = 0 if kind == Kind.WITHDRAWAL else 255
    return bodies
