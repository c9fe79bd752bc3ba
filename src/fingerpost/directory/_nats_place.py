"""What one node has heard of one region, from whoever speaks on its subjects.

Values are kept as they come and judged when somebody looks, so that a flood costs memory and time within bounds. Half
of the room is for values in the names of holders that count, shared among them, so that others cannot fill it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from fingerpost.directory.reading import VALUES_READ_MAX, RegionReading, claimed_holder, is_later
from fingerpost.directory.record import HolderRecord, encode_record
from fingerpost.directory.region import Region
from fingerpost.ids import PublicKey
from fingerpost.limits import ANNOUNCE_SECONDS, RECORDS_READ_MAX

ASK_SECONDS_MIN = 1.0  # from one question about a region to the next, twice as many after each
ASK_SECONDS_MAX = ANNOUNCE_SECONDS / 2


class Heard:
    """Values that wait to be judged, each once and within the room there is."""

    def __init__(self, region: Region, known: frozenset[PublicKey], *, room: int = VALUES_READ_MAX) -> None:
        self.values: dict[bytes, PublicKey] = {}
        self._region = region
        self._room = room // 2
        self._rooms = dict.fromkeys(known, max(1, room // 2 // max(1, len(known))))

    def add(self, value: bytes) -> str:
        """Take a value, which may be hostile; return why not, or the empty string."""
        holder = claimed_holder(value, self._region)
        if holder is None:
            return "record-invalid"
        if value in self.values:
            return ""
        if self._rooms.get(holder, self._room) <= 0:
            return "value-bound"
        if holder in self._rooms:
            self._rooms[holder] -= 1
        else:
            self._room -= 1
        self.values[value] = holder
        return ""

    def drop(self, holder: PublicKey) -> None:
        """Forget what came in the name of a holder."""
        self.values = {value: name for value, name in self.values.items() if name != holder}


class Question:
    """One question to the holders of a region, and what came back."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.heard = Heard(place.region, place.known)
        self.answered = asyncio.Event()
        self.answered_at = 0.0  # by the event loop's clock
        self.is_over = False


class Place:
    """One region: the records found, what was heard since, and when to ask again."""

    def __init__(self, region: Region, members: frozenset[PublicKey]) -> None:
        self.region = region
        self.records: dict[PublicKey, HolderRecord] = {}
        self.questions: set[Question] = set()
        self.ask_at = 0.0
        self._members = members
        self._news = self._fresh()
        self._left: set[PublicKey] = set()
        self._judging = 0
        self._pause = 0.0
        self._interruptions = 0

    @property
    def known(self) -> frozenset[PublicKey]:
        """Return the holders that count: members of the network and those found here before."""
        return self._members.union(self.records)

    def must_ask(self, *, time: float, interruptions: int) -> bool:
        """Say whether news alone may lack something: after an interruption, and now and then anyway."""
        return interruptions != self._interruptions or time >= self.ask_at

    def asked(self, *, time: float, interruptions: int) -> None:
        """A question is over: soon another one, in case that news was still finding its way, then rarely."""
        if interruptions != self._interruptions:
            self._interruptions, self._pause = interruptions, 0.0
        self._pause = min(ASK_SECONDS_MAX, max(ASK_SECONDS_MIN, 2 * self._pause))
        self.ask_at = time + self._pause

    def take(self, value: bytes, question: Question | None = None) -> str:
        """Take a value, an answer or news; return why not, or the empty string."""
        if question is not None and not question.is_over:
            return question.heard.add(value)
        reason = self._news.add(value)
        if reason == "value-bound":
            self.ask_at = 0.0
        return reason

    def leave(self, holder: PublicKey, issued_at: int) -> None:
        """A holder has taken back its record of this time, somebody says: forget it until it is heard again."""
        known = self.records.get(holder)
        if known is not None and known.issued_at > issued_at:
            return
        if known is not None:
            del self.records[holder]
            self.ask_at = 0.0  # It answers if that was not true.
        for heard in (self._news, *(question.heard for question in self.questions)):
            heard.drop(holder)
        if self._judging:
            self._left.add(holder)

    def reading(self, question: Question | None, *, network_id: str, now: float, salt: bytes) -> RegionReading:
        """Return a reading that has taken what was heard; ``keep`` what it finds, or ``give_up``."""
        verified = {encode_record(record): record for record in self.records.values()}
        reading = RegionReading(
            self.region, network_id=network_id, now=now, salt=salt, known=self.known, verified=verified
        )
        taken = [*self._news.values]
        self._news = self._fresh()
        if question is not None:
            taken += question.heard.values
            question.heard.values = {}  # Late answers are news, and a question is remembered for their sake.
        for value in taken:
            reading.add(value)
        for record in self.records.values():
            if record.is_live(now):
                reading.add_record(record)
        self._judging += 1
        return reading

    def keep(self, found: Iterable[HolderRecord], *, now: float) -> tuple[HolderRecord, ...]:
        """Remember what a reading found; return it without those who have left in the meantime."""
        kept = {record.public_key: record for record in found if record.public_key not in self._left}
        for key, record in self.records.items():  # another reading may have found more, or later
            room = len(kept) < RECORDS_READ_MAX or key in kept
            if room and record.is_live(now) and is_later(record, than=kept.get(key)):
                kept[key] = record
        self.records = kept
        self.give_up()
        return tuple(kept[key] for key in sorted(kept))

    def give_up(self) -> None:
        """A reading has ended."""
        self._judging -= 1
        if not self._judging:
            self._left.clear()

    def _fresh(self) -> Heard:
        return Heard(self.region, self.known, room=2 * RECORDS_READ_MAX)
