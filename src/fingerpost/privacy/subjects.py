"""Subjects: the persons (or machines) that records are about, known by a keyed hash and never by name.

A subject's key is BLAKE2s-128 of its identifier under a salt that never leaves the node: whoever has the keys but not
the salt cannot try identifiers out, and two nodes cannot tell that they know the same person. Keys are not sent either.

How the parts fit, for whoever counts, groups or forgets by subject::

    keys = subject_keys(salt, column)             # (n, 16): one row of a table each
    Contribution(packet_id=…, epoch=…, …)         # that a packet tells something about a subject
    write_contributions / read_contributions      # all of one subject's, as the value of one record

``fingerpost.node.subjects.SubjectIndex`` keeps contributions durably: ``note`` before a packet is stored,
``contributions`` to look them up, ``epochs`` for the days on which a subject has contributed. The salt is made and read
by ``fingerpost.node.salt.open_salt``.
"""

from __future__ import annotations

import hashlib
import struct
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fingerpost.errors import RecordError, StoreError, UsageError
from fingerpost.packet import Kind, Profile
from fingerpost.template import is_missing_text

SALT_SIZE_BYTES: Final = 32
SUBJECT_SIZE_BYTES: Final = 16
_LABEL: Final = b"fpsubjct"  # tells this use of the salt from any other
_ENTRY: Final = struct.Struct("<32s16sHHBBHI")  # packet, template, epoch, days to live, profile, kind, subjects, cell

SubjectKeys = npt.NDArray[np.uint8]  # (n, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """One packet that tells something about a subject, alone or (``subjects`` > 1) together with others."""

    packet_id: bytes
    template_id: bytes
    epoch: int
    ttl_days: int
    profile: Profile
    kind: Kind
    subjects: int = 1
    cell: int = 0

    @property
    def can_be_withdrawn(self) -> bool:
        """Whether taking the packet back takes the subject's part back; what was counted with noise stays added up."""
        return self.kind in (Kind.OBSERVATION, Kind.SUMMARY, Kind.REPORT)

    def is_over(self, day: int) -> bool:
        """Whether the packet has expired on ``day``."""
        return self.epoch + self.ttl_days <= day


def subject_key(salt: bytes, subject: object) -> bytes:
    """Return the 16 bytes that stand for one subject. Raises ``RecordError`` (``subject-missing``) for no subject."""
    text = subject_text(subject)
    if text is None:
        raise RecordError(
            "subject-missing",
            "a row names no subject",
            hint="fill in the subject column: a row that nobody owns can neither be counted nor forgotten",
        )
    if len(salt) != SALT_SIZE_BYTES:
        raise UsageError("subject-salt", f"a salt has {SALT_SIZE_BYTES} bytes, not {len(salt)}")
    return hashlib.blake2s(text.encode(), key=salt, digest_size=SUBJECT_SIZE_BYTES, person=_LABEL).digest()


def subject_keys(salt: bytes, column: Any) -> SubjectKeys:
    """Return the keys (n, 16) of a column of subjects, in order. Raises ``RecordError``, naming the row."""
    values = column.to_pylist() if hasattr(column, "to_pylist") else list(column)
    known: dict[object, bytes] = {}
    keys = bytearray()
    for row, value in enumerate(values, start=1):
        try:
            if value not in known:
                known[value] = subject_key(salt, value)
        except RecordError as error:
            raise RecordError(error.code, f"row {row}: {error.message}", hint=error.hint, row=row) from None
        keys += known[value]
    return np.frombuffer(bytes(keys), np.uint8).reshape(-1, SUBJECT_SIZE_BYTES)


def subject_text(subject: object) -> str | None:
    """Return a subject's identifier in the one form that is hashed (12, 12.0 and " 12 " are one), or None for none."""
    if isinstance(subject, float) and subject.is_integer():
        subject = int(subject)
    text = "" if subject is None else unicodedata.normalize("NFC", str(subject)).strip()
    return None if not text or is_missing_text(text) else text


def write_contributions(contributions: Iterable[Contribution]) -> bytes:
    """Return contributions as bytes, in a settled order and each once."""
    entries = {
        _ENTRY.pack(
            each.packet_id,
            each.template_id,
            each.epoch,
            each.ttl_days,
            each.profile,
            each.kind,
            each.subjects,
            each.cell,
        )
        for each in contributions
    }
    return b"".join(sorted(entries))


def read_contributions(data: bytes) -> tuple[Contribution, ...]:
    """Return what ``write_contributions`` wrote. Raises ``StoreError`` (``store-corrupt``)."""
    try:
        return tuple(
            Contribution(
                packet_id=packet_id,
                template_id=template_id,
                epoch=epoch,
                ttl_days=ttl_days,
                profile=Profile(profile),
                kind=Kind(kind),
                subjects=subjects,
                cell=cell,
            )
            for packet_id, template_id, epoch, ttl_days, profile, kind, subjects, cell in _ENTRY.iter_unpack(data)
        )
    except (struct.error, ValueError):
        raise StoreError(
            "store-corrupt", "a record of the subject index is damaged", hint="restore the home from a backup"
        ) from None
