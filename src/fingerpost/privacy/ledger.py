"""The ledger: what each subject has spent of its privacy, and which releases it was spent on. Rules only, no files.

Every release is one entry: its number, its day, its template, what it costs each subject, which subjects (by key, see
``fingerpost.privacy.subjects``) and which packets. Costs of one subject add up over all its releases, whatever the
template; releases of different subjects do not (sequential and parallel composition, Dwork and Roth 2014, section 3.5).

A release of groups (k-anonymous) costs no epsilon. It is entered as well, so that nobody is in a second group while the
first may still be compared with it.

A ledger refuses rather than degrades. A subject who is counted already on a day, or who would go beyond the cap, is
left out of a release, and so never spends more. A damaged ledger, or a clock before the last release, ends in an error.

As bytes a ledger is a header, then for each entry its length with a short checksum, its content, and a checksum that
covers the one before. Entries are only ever added. An entry that is cut short at the end was never followed by a
release, and is dropped; the checksum of the length tells that from a length that was damaged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from fingerpost.errors import PrivacyError
from fingerpost.privacy.subjects import SUBJECT_SIZE_BYTES, SubjectKeys

HEADER: Final = b"fingerpost ledger 1\n"
LEDGER_ID_SIZE_BYTES: Final = 16
LENGTH_SIZE_BYTES: Final = 4
HEAD_SIZE_BYTES: Final = 2 * LENGTH_SIZE_BYTES
CHECKSUM_SIZE_BYTES: Final = 16
PACKET_ID_SIZE_BYTES: Final = 32
MILLI: Final = 1_000  # epsilon is counted in thousandths, as whole numbers: sums of fractions drift

Mask = npt.NDArray[np.bool_]


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One release. ``subjects`` and ``packet_ids`` are joined keys and ids, ``cost_milli`` thousandths of epsilon."""

    number: int
    day: int
    template_id: bytes
    profile: str
    cost_milli: int
    subjects: bytes
    packet_ids: bytes

    def subject_keys(self) -> Iterator[bytes]:
        """Yield the key of every subject that the release counts."""
        return _parts(self.subjects, SUBJECT_SIZE_BYTES)

    def packet_id_list(self) -> Iterator[bytes]:
        """Yield the id of every packet of the release."""
        return _parts(self.packet_ids, PACKET_ID_SIZE_BYTES)


@dataclass(slots=True)
class Ledger:
    """All entries, and what follows from them. ``Ledger(ledger_id=…)`` is empty."""

    ledger_id: bytes
    entries: list[Entry] = field(default_factory=list)
    _checksum: bytes = b""
    _spent: dict[bytes, int] = field(default_factory=dict)
    _counted: dict[tuple[bytes, bytes], int] = field(default_factory=dict)  # template and subject: the last day
    _released: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._checksum = hashlib.blake2s(self.header(), digest_size=CHECKSUM_SIZE_BYTES).digest()

    def header(self) -> bytes:
        """Return what the bytes of this ledger begin with."""
        return HEADER + self.ledger_id

    @property
    def last_day(self) -> int | None:
        """The day of the last release."""
        return self.entries[-1].day if self.entries else None

    def spent_milli(self, subject: bytes) -> int:
        """Return what a subject has spent, in thousandths of epsilon."""
        return self._spent.get(subject, 0)

    def spent(self) -> dict[bytes, int]:
        """Return what every subject that was ever counted has spent, in thousandths of epsilon."""
        return dict(self._spent)

    def releases_of(self, subject: bytes, *, template_id: bytes) -> list[Entry]:
        """Return the releases of a template that count a subject (16 bytes)."""
        return [
            entry for entry in self.entries if entry.template_id == template_id and subject in set(entry.subject_keys())
        ]

    def knows(self, packet_id: bytes) -> bool:
        """Say whether a packet belongs to a release of this ledger."""
        return packet_id in self._released

    def may_count(
        self,
        subjects: SubjectKeys,
        *,
        day: int,
        template_id: bytes,
        cost_milli: int,
        cap_milli: int,
        rest_days: int = 1,
    ) -> Mask:
        """Say of each subject (n, 16) whether a release on ``day`` may count it. Its first row only, of several.

        A subject rests for ``rest_days`` days from the day on which a release of the template counted it.

        Raises ``PrivacyError`` (``ledger-clock``) where ``day`` lies before the last release.
        """
        if self.last_day is not None and day < self.last_day:
            raise PrivacyError(
                "ledger-clock",
                f"today is day {day}, but the last release was made on day {self.last_day}",
                hint="set the clock right: releases are counted by day, so none is made on a day before the last one",
            )
        seen: set[bytes] = set()
        may = np.zeros(len(subjects), np.bool_)
        for row, key in enumerate(_parts(np.ascontiguousarray(subjects).tobytes(), SUBJECT_SIZE_BYTES)):
            within = not cost_milli or self._spent.get(key, 0) + cost_milli <= cap_milli
            last = self._counted.get((template_id, key))
            may[row] = within and key not in seen and (last is None or day >= last + rest_days)
            seen.add(key)
        return may

    def spend(
        self,
        subjects: SubjectKeys,
        *,
        day: int,
        template_id: bytes,
        profile: str,
        cost_milli: int,
        cap_milli: int,
        packet_ids: bytes,
        rest_days: int = 1,
    ) -> bytes:
        """Enter a release and return the bytes to append. They must be on the disk before anything of it leaves.

        Raises ``PrivacyError`` (``ledger-overspent``) for subjects that ``may_count`` does not allow.
        """
        may = self.may_count(
            subjects,
            day=day,
            template_id=template_id,
            cost_milli=cost_milli,
            cap_milli=cap_milli,
            rest_days=rest_days,
        )
        if not may.all():
            raise PrivacyError(
                "ledger-overspent",
                f"{int((~may).sum())} subjects of the release may not be counted",
                hint="leave out whom Ledger.may_count does not allow",
            )
        ordered = sorted(_parts(np.ascontiguousarray(subjects).tobytes(), SUBJECT_SIZE_BYTES))
        entry = Entry(
            number=len(self.entries) + 1,
            day=day,
            template_id=template_id,
            profile=profile,
            cost_milli=cost_milli,
            subjects=b"".join(ordered),
            packet_ids=packet_ids,
        )
        content = msgspec.msgpack.encode(entry)
        head = _head(self._checksum, len(content))
        self._add(entry)
        self._checksum = _checksum(self._checksum, content)
        return head + content + self._checksum

    def _add(self, entry: Entry) -> None:
        self.entries.append(entry)
        for key in entry.subject_keys():
            self._spent[key] = self._spent.get(key, 0) + entry.cost_milli
            self._counted[entry.template_id, key] = entry.day
        self._released.update(_parts(entry.packet_ids, PACKET_ID_SIZE_BYTES))

    def length_of_next(self, head: bytes) -> int:
        """Return the length of the entry that begins with ``head``. Raises ``PrivacyError`` (``ledger-damaged``)."""
        size = int.from_bytes(head[:LENGTH_SIZE_BYTES], "little")
        if head != _head(self._checksum, size):
            raise damaged(f"the length of entry {len(self.entries) + 1} does not match its checksum")
        return size

    def take(self, content: bytes, checksum: bytes) -> None:
        """Take in one entry as it was read. Raises ``PrivacyError`` (``ledger-damaged``)."""
        self._checksum = _checksum(self._checksum, content)
        if checksum != self._checksum:
            raise damaged(f"entry {len(self.entries) + 1} does not match its checksum")
        try:
            entry = msgspec.msgpack.decode(content, type=Entry)
        except (msgspec.DecodeError, ValueError) as error:
            raise damaged(f"entry {len(self.entries) + 1} cannot be read: {error}") from None
        if entry.number != len(self.entries) + 1 or entry.cost_milli < 0 or entry.day < (self.last_day or 0):
            raise damaged(f"entry {len(self.entries) + 1} does not follow from the one before")
        self._add(entry)


def read_ledger(data: bytes) -> tuple[Ledger, int]:
    """Return the ledger in ``data``, and how many of its bytes are whole: what is behind them was cut short.

    Raises ``PrivacyError`` (``ledger-damaged``) for anything else that differs from what was written.
    """
    start = len(HEADER) + LEDGER_ID_SIZE_BYTES
    if not data.startswith(HEADER) or len(data) < start:
        raise damaged("it does not begin like a ledger")
    ledger = Ledger(ledger_id=data[len(HEADER) : start])
    while len(data) >= start + HEAD_SIZE_BYTES:
        content_at = start + HEAD_SIZE_BYTES
        size = ledger.length_of_next(data[start:content_at])
        end = content_at + size + CHECKSUM_SIZE_BYTES
        if len(data) < end:
            break
        ledger.take(data[content_at : content_at + size], data[content_at + size : end])
        start = end
    return ledger, start


def damaged(what: str) -> PrivacyError:
    """Return the error that says that a ledger is not what was written."""
    return PrivacyError(
        "ledger-damaged",
        f"the privacy ledger is damaged: {what}",
        hint="nothing is released without it; restore it from a backup made after the last release",
    )


def _head(before: bytes, size: int) -> bytes:
    length = size.to_bytes(LENGTH_SIZE_BYTES, "little")
    return length + hashlib.blake2s(before + length, digest_size=LENGTH_SIZE_BYTES).digest()


def _checksum(before: bytes, content: bytes) -> bytes:
    return hashlib.blake2s(before + content, digest_size=CHECKSUM_SIZE_BYTES).digest()


def _parts(joined: bytes, size: int) -> Iterator[bytes]:
    return (joined[at : at + size] for at in range(0, len(joined), size))
