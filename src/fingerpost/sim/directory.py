"""A simulated directory: every node learns of the others, late, now and then not at all, and for minutes too long.

It keeps what the port ``Directory`` promises and no more: a record is found within seconds and until it expires or is
withdrawn, also that of a holder that is long dead; a reader that is cut off goes on with what it found last.
"""

from __future__ import annotations

from collections.abc import Callable

from fingerpost.directory.record import HolderRecord
from fingerpost.ids import PublicKey
from fingerpost.sim.chance import Chance
from fingerpost.sim.schedule import Schedule

FOUND_SECONDS_MAX = 4.0  # until a record is found by everybody
MISSED_RECORDS = 0.03  # of those that a look-up should have found


class SimulatedDirectory:
    """The records of all holders of a run."""

    def __init__(self, schedule: Schedule, chance: Chance) -> None:
        self._schedule = schedule
        self._chance = chance
        self._records: dict[PublicKey, HolderRecord] = {}
        self.is_faulty = True

    def announce(self, record: HolderRecord) -> None:
        """Publish a record, in place of the holder's earlier one."""

        def appear() -> None:
            held = self._records.get(record.public_key)
            if held is None or held.issued_at <= record.issued_at:
                self._records[record.public_key] = record

        delay = self._chance.between(0, FOUND_SECONDS_MAX) if self.is_faulty else FOUND_SECONDS_MAX / 4
        self._schedule.after(delay, appear)

    def withdraw(self, public_key: PublicKey) -> None:
        """Take a holder's record back."""
        self._records.pop(public_key, None)

    def find(self, *, now: float, reaches: Callable[[PublicKey], bool]) -> list[HolderRecord]:
        """Return the records that a reader finds whose clock shows ``now``, by ascending key.

        ``reaches`` says whose announcements get through to the reader.
        """
        found = []
        for key in sorted(self._records):
            record = self._records[key]
            if not record.is_live(now) or not reaches(key):
                continue
            if self.is_faulty and self._chance.happens(MISSED_RECORDS):
                continue
            found.append(record)
        return found
