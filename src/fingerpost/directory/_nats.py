"""A directory over NATS servers: who holds packets of a region listens on a subject of its own, and answers there.

::

    fingerpost.region.<key>.find    holders of the region listen: "?" asks, with a reply subject
    fingerpost.region.<key>.news    whoever has asked listens: what was announced and taken back since
    fingerpost.reply.<instance>.<question>

    "+" and a signed record     an answer, or news
    "0"                         an answer: nothing here at the moment
    "-" and key and time        news: a holder has taken back its record of this time

The key of a region is a hash of network id, template and region (``Region.key``), so subjects name nobody. Settings are
those of ``fingerpost.nats_connection``, as the NATS carrier has them.

The servers are trusted for availability, nothing else: they can hide holders and see who asks, but records are signed,
and readers check them. So can whoever may publish there; forging news that a holder has left hides it until it answers
the next question. Nothing is kept on the servers: a holder whose process has ended is remembered by who has found it,
until its record's time is over. News is heard at once; now and then, and after an interruption, the holders are asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import Mapping

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from fingerpost.directory._nats_place import Place, Question
from fingerpost.directory.base import DirectoryOptions
from fingerpost.directory.reading import VALUES_READ_MAX, believable
from fingerpost.directory.record import HolderRecord, encode_record
from fingerpost.directory.refusals import count_refusals
from fingerpost.directory.region import Region
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey
from fingerpost.limits import DIRECTORY_SECONDS_MAX, RECORD_SIZE_BYTES_MAX
from fingerpost.nats_connection import NatsConnection, read_settings

PATIENCE_SECONDS = 2.5  # for a server, while there is nothing else to answer from
FIRST_ANSWER_SECONDS_MAX = 2.0  # when a server says that somebody listens
QUIET_SECONDS = 0.2  # without a further answer, after which there will be none
GATHER_SECONDS_MAX = 3.0  # of answers, however many more come
SETTLE_SECONDS_MAX = 3.0  # until a server has what was announced
ANSWER_SECONDS_MAX = 1.0  # for a server, to answer somebody else's question
PLACES_MAX = 256  # regions of which news is heard
QUESTIONS_REMEMBERED_MAX = 64  # whose late answers still count
QUESTIONS_WAITING_MAX = 1_024  # of others; what comes on top is dropped
WAITING_SIZE_BYTES_MAX = VALUES_READ_MAX * (RECORD_SIZE_BYTES_MAX + 1)

_ASK, _RECORD, _NOTHING, _LEFT = b"?", b"+", b"0", b"-"
_KEY_SIZE_BYTES, _TIME_SIZE_BYTES = 32, 8
_REPLY_SUBJECT = re.compile(r"fingerpost\.reply\.[0-9a-f]{32}\.[0-9a-f]{32}")


class NatsDirectory:
    """Holder records that holders hand out themselves; see ``fingerpost.directory.base.Directory``."""

    def __init__(self, options: DirectoryOptions) -> None:
        self.refused: dict[str, int] = {}
        self._network_id = options.network_id
        self._clock = options.clock
        self._members = options.members
        self._salt = secrets.token_bytes(32)
        self._connection = NatsConnection(self._refuse)
        self._inbox = f"fingerpost.reply.{secrets.token_hex(16)}"
        self._own: dict[bytes, dict[PublicKey, HolderRecord]] = {}
        self._answering: dict[bytes, Subscription] = {}
        self._places: dict[bytes, Place] = {}
        self._listening: dict[bytes, Subscription] = {}
        self._subscribing = asyncio.Lock()  # Two calls at once subscribe once.
        self._questions: dict[str, Question] = {}
        self._closed = False

    @property
    def endpoint(self) -> str:
        """Return the host and port of the server that is used now, or nothing between two."""
        return self._connection.host_and_port

    async def open(self, settings: Mapping[str, object]) -> None:
        """Connect to a server. Raises ``NetworkError`` (``directory-unavailable``)."""
        try:
            await self._connection.connect(settings)
            await self._connection.subscribe(
                f"{self._inbox}.*",
                self._take_answer,
                messages_max=VALUES_READ_MAX,
                size_bytes_max=WAITING_SIZE_BYTES_MAX,
            )
        except OSError as error:
            await self._connection.close()
            raise NetworkError(
                "directory-unavailable",
                f"no NATS server answers: {error or 'not in time'}",
                hint="check the servers and credentials of the directory",
            ) from None

    async def announce(self, region: Region, record: HolderRecord) -> None:
        """Answer questions about the region with the record from now on, and tell those who have asked."""
        self._require_open()
        encoded = believable(record, region, network_id=self._network_id, now=self._clock.now())
        key = region.key(self._network_id)
        own = self._own.setdefault(key, {})
        held = own.get(record.public_key)
        if held is not None and held.issued_at > record.issued_at:
            return
        own[record.public_key] = record
        try:
            # This comes before anything waits for a server, so that it also holds once one is back.
            async with self._subscribing:
                if key not in self._answering:
                    self._answering[key] = await self._connection.subscribe(
                        _subject(key, "find"), self._answer, messages_max=QUESTIONS_WAITING_MAX
                    )
            await self._tell(key, _RECORD + encoded)
        except OSError as error:
            self._require_open()
            raise _unreachable(error) from None

    async def withdraw(self, region: Region, record: HolderRecord) -> None:
        """Hand the holder's record out no more, and tell those who have asked."""
        self._require_open()
        key = region.key(self._network_id)
        own = self._own.get(key, {})
        held = own.pop(record.public_key, None)
        if held is None:
            return
        if key in self._places:
            self._places[key].leave(held.public_key, held.issued_at)
        try:
            if not own:
                self._own.pop(key, None)
                if key in self._answering:
                    await self._connection.unsubscribe(self._answering.pop(key))
            await self._tell(key, _LEFT + held.public_key + held.issued_at.to_bytes(_TIME_SIZE_BYTES, "big"))
        except OSError as error:
            self._require_open()
            raise _unreachable(error) from None

    async def find(self, region: Region) -> tuple[HolderRecord, ...]:
        """Return the valid records of a region, ordered by public key."""
        self._require_open()
        key = region.key(self._network_id)
        place = self._place(region, key)
        question = None
        try:
            question = await self._ask(key, place)
        except OSError:
            self._refuse("server-missing")
        self._require_open()
        now = self._clock.now()
        reading = place.reading(question, network_id=self._network_id, now=now, salt=self._salt)
        for record in self._own.get(key, {}).values():
            if record.is_live(now):
                reading.add_record(record)
        try:
            found = await asyncio.to_thread(reading.records)  # A flood takes a part of a second to judge.
        except BaseException:
            place.give_up()
            raise
        for reason, count in reading.refused.items():
            self._refuse(reason, count)
        self._require_open()
        return place.keep(found, now=now)

    async def close(self) -> None:
        """Leave the servers, within seconds; who has found a record that was not withdrawn finds it until its end."""
        self._closed = True
        await self._connection.close()

    async def _ask(self, key: bytes, place: Place) -> Question | None:
        """Ask the holders of a region, if news alone may lack something, and gather their answers.

        Raises ``OSError`` when there is no server.
        """
        loop = asyncio.get_running_loop()
        await self._make_room()
        await self._connection.wait_for_server(PATIENCE_SECONDS if not place.records else 0.01)
        interruptions = self._connection.interruptions
        if not place.must_ask(time=loop.time(), interruptions=interruptions):
            return None
        async with self._subscribing:
            if key not in self._listening:
                self._listening[key] = await self._connection.subscribe(
                    _subject(key, "news"),
                    self._take_news,
                    messages_max=VALUES_READ_MAX,
                    size_bytes_max=WAITING_SIZE_BYTES_MAX,
                )
        reply = f"{self._inbox}.{secrets.token_hex(16)}"
        question = self._questions[reply] = Question(place)
        place.questions.add(question)
        while len(self._questions) > QUESTIONS_REMEMBERED_MAX:
            del self._questions[next(iter(self._questions))]
        try:
            await self._connection.publish(_subject(key, "find"), _ASK, reply=reply, seconds=PATIENCE_SECONDS)
            await _gather(question)
        except BaseException:
            self._questions.pop(reply, None)
            raise
        finally:
            question.is_over = True
            place.questions.discard(question)
        place.asked(time=loop.time(), interruptions=interruptions)
        return question

    async def _make_room(self) -> None:
        """Forget the regions that were looked at longest ago, where there are too many."""
        while len(self._places) > PLACES_MAX:
            key = next(iter(self._places))
            del self._places[key]
            if key in self._listening:
                await self._connection.unsubscribe(self._listening.pop(key))

    async def _tell(self, key: bytes, news: bytes) -> None:
        await self._connection.publish(_subject(key, "news"), news, seconds=PATIENCE_SECONDS)
        await self._connection.settle(SETTLE_SECONDS_MAX)

    async def _answer(self, message: Msg) -> None:
        """Answer a question of anybody, into an inbox of a directory and nowhere else."""
        if message.data != _ASK or not _REPLY_SUBJECT.fullmatch(message.reply):
            self._refuse("question-invalid")
            return
        now = self._clock.now()
        own = [record for record in self._own.get(_key_in(message.subject), {}).values() if record.is_live(now)]
        with contextlib.suppress(OSError):  # Who asks will ask again.
            for answer in [_RECORD + encode_record(record) for record in own] or [_NOTHING]:
                await self._connection.publish(message.reply, answer, seconds=ANSWER_SECONDS_MAX)

    async def _take_answer(self, message: Msg) -> None:
        question = self._questions.get(message.subject)
        if question is None:
            self._refuse("answer-late")
            return
        if (message.headers or {}).get("Status") == "503":
            question.is_over = True  # A server says that nobody listens.
        elif message.data[:1] == _RECORD:
            self._note(question.place.take(message.data[1:], question))
        elif message.data != _NOTHING:
            self._refuse("answer-invalid")
        question.answered_at = asyncio.get_running_loop().time()
        question.answered.set()

    async def _take_news(self, message: Msg) -> None:
        place = self._places.get(_key_in(message.subject))
        kind, body = message.data[:1], message.data[1:]
        if place is None:
            return
        if kind == _RECORD:
            self._note(place.take(body))
        elif kind == _LEFT and len(body) == _KEY_SIZE_BYTES + _TIME_SIZE_BYTES:
            place.leave(PublicKey(body[:_KEY_SIZE_BYTES]), int.from_bytes(body[_KEY_SIZE_BYTES:], "big"))
        else:
            self._refuse("news-invalid")

    def _place(self, region: Region, key: bytes) -> Place:
        """Return what is known of a region, which is then the one looked at last."""
        place = self._places.pop(key, None) or Place(region, self._members)
        self._places[key] = place
        return place

    def _note(self, reason: str) -> None:
        if reason:
            self._refuse(reason)

    def _refuse(self, reason: str, count: int = 1) -> None:
        count_refusals(self.refused, reason, count)

    def _require_open(self) -> None:
        if self._closed:
            raise NetworkError("directory-closed", "this directory was closed")


async def open_directory(options: DirectoryOptions) -> NatsDirectory:
    """Open the directory; see ``fingerpost.nats_connection`` for its settings."""
    try:
        settings = read_settings(options.settings)
    except ValueError as error:
        raise NetworkError(
            "directory-settings",
            f"the nats directory: {error}",
            hint="settings are servers, tls, tls_hostname and user_credentials",
        ) from None
    directory = NatsDirectory(options)
    await directory.open(settings)
    return directory


async def _gather(question: Question) -> None:
    """Return when no more answers are to be expected."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout(FIRST_ANSWER_SECONDS_MAX):
            await question.answered.wait()
    except TimeoutError:
        return
    while not question.is_over:
        left = min(question.answered_at + QUIET_SECONDS, started + GATHER_SECONDS_MAX) - loop.time()
        if left <= 0:
            return
        await asyncio.sleep(left)


def _subject(key: bytes, purpose: str) -> str:
    return f"fingerpost.region.{key.hex()}.{purpose}"


def _key_in(subject: str) -> bytes:
    return bytes.fromhex(subject.split(".")[2])


def _unreachable(error: OSError) -> NetworkError:
    return NetworkError(
        "directory-unreachable",
        f"no NATS server takes what is announced: {error or 'not in time'}",
        hint="it is tried again; check that one of the servers of the directory runs",
    )


if not PATIENCE_SECONDS * 2 + GATHER_SECONDS_MAX < DIRECTORY_SECONDS_MAX:
    raise AssertionError("every find returns in time")
if not PATIENCE_SECONDS + SETTLE_SECONDS_MAX < DIRECTORY_SECONDS_MAX:
    raise AssertionError("every announcement returns in time")
