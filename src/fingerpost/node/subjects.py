"""Which packets of this node tell something about which subject: a durable index in its own store, never sent.

It is written before the packets that it names, so that a crash can leave an entry without a packet, but no packet
without its entry. Beside the entries it keeps a check of the salt: under another salt every subject would look new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

from fingerpost.errors import KeyFileError
from fingerpost.privacy.subjects import Contribution, SubjectKeys, read_contributions, write_contributions
from fingerpost.store.base import PacketStore

SUBJECTS_TABLE = "subjects"
CHECK_TABLE = "subject-salt"
CHECK_KEY = b"check"
_CHECK_LABEL = b"fpsaltck"


class SubjectIndex:
    """The contributions of every subject, by its key. Raises ``KeyFileError`` (``subject-salt-changed``)."""

    def __init__(self, store: PacketStore, *, salt: bytes) -> None:
        self._store = store
        check = hashlib.blake2s(b"", key=salt, person=_CHECK_LABEL).digest()
        known = store.get_record(CHECK_TABLE, CHECK_KEY)
        if known is None:
            store.put_record(CHECK_TABLE, CHECK_KEY, check)
        elif known != check:
            raise KeyFileError(
                "subject-salt-changed",
                "the subjects of this home were hashed with another salt",
                hint="restore keys/subjects.salt from a backup: without it nobody's packets can be found again",
            )

    def note(self, subjects: SubjectKeys, contributions: Sequence[Contribution]) -> None:
        """Write, durably, that the subject of each row (n, 16) has the contribution at the same place.

        A subject may stand in several rows, and a contribution at several places.
        """
        added: dict[bytes, list[Contribution]] = {}
        for subject, contribution in zip(subjects, contributions, strict=True):
            added.setdefault(subject.tobytes(), []).append(contribution)
        self._store.put_records(
            SUBJECTS_TABLE,
            {subject: write_contributions([*self.contributions(subject), *new]) for subject, new in added.items()},
        )

    def contributions(self, subject: bytes) -> tuple[Contribution, ...]:
        """Return what a subject (16 bytes) has contributed; nothing of an unknown one."""
        found = self._store.get_record(SUBJECTS_TABLE, subject)
        return () if found is None else read_contributions(found)

    def epochs(self, subjects: SubjectKeys, *, template_id: bytes) -> list[frozenset[int]]:
        """Return the days on which the subject of each row (n, 16) has contributed under a template."""
        days: dict[bytes, frozenset[int]] = {}
        for subject in {row.tobytes() for row in subjects}:
            days[subject] = frozenset(
                each.epoch for each in self.contributions(subject) if each.template_id == template_id
            )
        return [days[row.tobytes()] for row in subjects]

    def remove(self, subject: bytes, contributions: Iterable[Contribution]) -> None:
        """Forget contributions of a subject, durably; a subject without any is unknown again."""
        gone = set(contributions)
        left = [each for each in self.contributions(subject) if each not in gone]
        self._store.put_records(SUBJECTS_TABLE, {subject: write_contributions(left) if left else None})

    def subjects(self) -> Iterator[bytes]:
        """Yield the key of every subject that has contributed, ascending."""
        for subject, _ in self._store.records(SUBJECTS_TABLE):
            yield subject

    def prune(self, *, day: int) -> int:
        """Forget contributions whose packets have expired on ``day``; return how many."""
        gone, changes = 0, {}
        for subject, data in self._store.records(SUBJECTS_TABLE):
            every = read_contributions(data)
            left = [each for each in every if not each.is_over(day)]
            if len(left) < len(every):
                gone += len(every) - len(left)
                changes[subject] = write_contributions(left) if left else None
        if changes:
            self._store.put_records(SUBJECTS_TABLE, changes)
        return gone
