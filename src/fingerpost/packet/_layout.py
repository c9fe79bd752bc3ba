"""The layout of a packet: one table that the codec, the specification and the fuzz dictionary are made from.

All integers are little-endian. ``spec/outcome-packet.md`` shows the same tables; a test keeps the two equal.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fingerpost.limits import BATCH_DEPTH_MAX, FINGERPRINT_BITS_MAX, PACKET_SIZE_BYTES

MAGIC: Final = b"FP"
VERSION: Final = 1

PAYLOAD_SIZE_BYTES: Final = 240
SEAL_COMMITMENT_SIZE_BYTES: Final = 16
SEAL_TAG_SIZE_BYTES: Final = 16
PLAINTEXT_SIZE_BYTES: Final = (
    PAYLOAD_SIZE_BYTES - SEAL_COMMITMENT_SIZE_BYTES - SEAL_TAG_SIZE_BYTES
)  # of a sealed payload
NODE_SIZE_BYTES: Final = 16  # of the batch tree
FINGERPRINT_WORD_SIZE_BYTES: Final = 8
FINGERPRINT_WORDS_MAX: Final = FINGERPRINT_BITS_MAX // 64
SKETCH_SIZE_BYTES: Final = 32
CONFIDENCE_MAX: Final = 255
BATCH_CONTEXT: Final = b"fingerpost batch v1"


Structured: TypeAlias = npt.NDArray[np.void]  # an array of packets, bodies or payloads
Octets: TypeAlias = npt.NDArray[np.uint8]
Flags: TypeAlias = npt.NDArray[np.bool_]


class Kind(IntEnum):
    """What a packet says."""

    OBSERVATION = 1
    SUMMARY = 2
    COUNTS = 3
    REPORT = 4
    WITHDRAWAL = 5


class Profile(IntEnum):
    """The privacy profile under which a packet left its node."""

    OPEN = 0
    CONSORTIUM = 1
    K_ANONYMOUS = 2
    DP_AGGREGATE = 3
    LOCAL_DP = 4


class OutcomeForm(IntEnum):
    """How the outcome of a payload is written."""

    NONE = 0
    CATEGORY = 1
    NUMBER = 2
    HISTOGRAM = 3
    MOMENTS = 4
    COUNTS = 5
    REPORT_BITS = 6
    REPORT_VALUE = 7
    PACKET_ID = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One row of a layout table. ``type`` is ``u8``, ``u16``, ``u32`` or ``bytes``."""

    name: str
    offset: int
    size: int
    type: str
    meaning: str


PACKET_FIELDS: Final = (
    Field(name="magic", offset=0, size=2, type="bytes", meaning='`"FP"`, the bytes 46 50'),
    Field(name="version", offset=2, size=1, type="u8", meaning="1"),
    Field(name="kind", offset=3, size=1, type="u8", meaning="what the packet says, 1 to 5"),
    Field(name="profile", offset=4, size=1, type="u8", meaning="privacy profile, 0 to 4"),
    Field(name="epoch", offset=5, size=2, type="u16", meaning="day of emission, in days since 1970-01-01"),
    Field(name="ttl_days", offset=7, size=2, type="u16", meaning="days to live, the epoch included, 1 to 3650"),
    Field(name="cell", offset=9, size=4, type="u32", meaning="cell of fingerprint space, the unit of routing"),
    Field(name="template_id", offset=13, size=16, type="bytes", meaning="the template that gives the payload meaning"),
    Field(name="nonce", offset=29, size=16, type="bytes", meaning="unpredictable bytes, fresh for each packet"),
    Field(name="emitter", offset=45, size=32, type="bytes", meaning="Ed25519 public key of the emitter"),
    Field(name="payload", offset=77, size=240, type="bytes", meaning="plain or sealed payload"),
    Field(name="leaf_index", offset=317, size=1, type="u8", meaning="place of the packet in its batch"),
    Field(name="depth", offset=318, size=1, type="u8", meaning="depth of the batch tree, 0 to 8"),
    Field(name="leaf_last", offset=319, size=1, type="u8", meaning="number of packets in the batch, less one"),
    Field(name="path", offset=320, size=128, type="bytes", meaning="8 siblings of 16 bytes, the lowest level first"),
    Field(name="signature", offset=448, size=64, type="bytes", meaning="Ed25519 signature of the batch"),
)

PAYLOAD_FIELDS: Final = (
    Field(name="fingerprint_words", offset=0, size=1, type="u8", meaning="length of the fingerprint in 8-byte words"),
    Field(name="sketch_bytes", offset=1, size=1, type="u8", meaning="length of the sketch: 0 or 32"),
    Field(name="condition_count", offset=2, size=1, type="u8", meaning="number of conditions, 0 to 16"),
    Field(name="outcome_form", offset=3, size=1, type="u8", meaning="how the outcome is written, 1 to 8"),
    Field(name="outcome_items", offset=4, size=1, type="u8", meaning="number of items of the outcome"),
    Field(name="confidence", offset=5, size=1, type="u8", meaning="what the emitter claims, in 255ths; 255 is certain"),
    Field(name="action", offset=6, size=2, type="u16", meaning="0 for none, else level index + 1"),
    Field(name="first_level", offset=8, size=2, type="u16", meaning="level index of the first item of forms 3 and 5"),
)

BODY_SIZE_BYTES: Final = 317
PAYLOAD_HEADER_SIZE_BYTES: Final = 10

OUTCOME_ITEM_SIZE_BYTES: Final = {
    OutcomeForm.NONE: 0,
    OutcomeForm.CATEGORY: 2,
    OutcomeForm.NUMBER: 8,
    OutcomeForm.HISTOGRAM: 2,
    OutcomeForm.MOMENTS: 20,
    OutcomeForm.COUNTS: 4,
    OutcomeForm.REPORT_BITS: 1,
    OutcomeForm.REPORT_VALUE: 4,
    OutcomeForm.PACKET_ID: 32,
}
SEVERAL_ITEMS: Final = frozenset({OutcomeForm.HISTOGRAM, OutcomeForm.COUNTS, OutcomeForm.REPORT_BITS})
FROM_FIRST_LEVEL: Final = frozenset({OutcomeForm.HISTOGRAM, OutcomeForm.COUNTS})

FORMS_OF_KIND: Final = {
    Kind.OBSERVATION: frozenset({OutcomeForm.CATEGORY, OutcomeForm.NUMBER}),
    Kind.SUMMARY: frozenset({OutcomeForm.HISTOGRAM, OutcomeForm.MOMENTS}),
    Kind.COUNTS: frozenset({OutcomeForm.COUNTS}),
    Kind.REPORT: frozenset({OutcomeForm.REPORT_BITS, OutcomeForm.REPORT_VALUE}),
    Kind.WITHDRAWAL: frozenset({OutcomeForm.PACKET_ID}),
}
PROFILES_OF_KIND: Final = {
    Kind.OBSERVATION: frozenset({Profile.OPEN, Profile.CONSORTIUM}),
    Kind.SUMMARY: frozenset({Profile.OPEN, Profile.CONSORTIUM, Profile.K_ANONYMOUS}),
    Kind.COUNTS: frozenset({Profile.OPEN, Profile.CONSORTIUM, Profile.DP_AGGREGATE}),
    Kind.REPORT: frozenset({Profile.LOCAL_DP}),
    Kind.WITHDRAWAL: frozenset(Profile),
}
KINDS_WITH_FINGERPRINT: Final = frozenset({Kind.OBSERVATION, Kind.SUMMARY})


def is_sealed(kind: int, profile: int) -> bool:
    """Say whether the payload of such a packet is ciphertext, opaque to this format."""
    return profile == Profile.CONSORTIUM and kind != Kind.WITHDRAWAL


_STRUCT_CODES: Final = {"u8": "B", "u16": "H", "u32": "I"}
_DTYPE_CODES: Final = {"u8": "u1", "u16": "<u2", "u32": "<u4"}


def _struct_of(fields: tuple[Field, ...]) -> struct.Struct:
    codes = [f"{field.size}s" if field.type == "bytes" else _STRUCT_CODES[field.type] for field in fields]
    return struct.Struct("<" + "".join(codes))


def _dtype_of(fields: tuple[Field, ...], *, size: int) -> np.dtype[np.void]:
    shapes = {"path": (BATCH_DEPTH_MAX, NODE_SIZE_BYTES)}
    return np.dtype(
        {
            "names": [field.name for field in fields],
            "formats": [
                ("u1", shapes.get(field.name, (field.size,))) if field.type == "bytes" else _DTYPE_CODES[field.type]
                for field in fields
            ],
            "offsets": [field.offset for field in fields],
            "itemsize": size,
        }
    )


BODY_FIELDS: Final = tuple(field for field in PACKET_FIELDS if field.offset < BODY_SIZE_BYTES)
PROOF_FIELDS: Final = tuple(field for field in PACKET_FIELDS if field.offset >= BODY_SIZE_BYTES)

BODY_STRUCT: Final = _struct_of(BODY_FIELDS)
PROOF_STRUCT: Final = _struct_of(PROOF_FIELDS)
PAYLOAD_HEADER_STRUCT: Final = _struct_of(PAYLOAD_FIELDS)

PACKET_DTYPE: Final = _dtype_of(PACKET_FIELDS, size=PACKET_SIZE_BYTES)
BODY_DTYPE: Final = _dtype_of(BODY_FIELDS, size=BODY_SIZE_BYTES)
PAYLOAD_HEADER_DTYPE: Final = _dtype_of(PAYLOAD_FIELDS, size=PAYLOAD_HEADER_SIZE_BYTES)


def check_table(fields: tuple[Field, ...], *, size: int) -> None:
    """Raise ``AssertionError`` unless the fields follow each other without a gap and fill ``size`` bytes from 0."""
    end = 0
    for field in fields:
        if field.offset != end:
            raise AssertionError(f"{field.name} must start at byte {end}, where the field before it ends")
        end += field.size
    if end != size:
        raise AssertionError(f"the fields fill {end} bytes of {size}")


check_table(PACKET_FIELDS, size=PACKET_SIZE_BYTES)
check_table(BODY_FIELDS, size=BODY_SIZE_BYTES)
check_table(PAYLOAD_FIELDS, size=PAYLOAD_HEADER_SIZE_BYTES)
