"""Every directory that tells others keeps every promise of the port, and the kit sees directories that break one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from nacl.signing import SigningKey

from fingerpost.carrier.nats_servers import NatsServers
from fingerpost.directory import _nats
from fingerpost.directory._memory import MemoryBoard, MemoryDirectory
from fingerpost.directory._opendht import OpendhtDirectory, open_directory
from fingerpost.directory.base import DirectoryOptions
from fingerpost.directory.reading import VALUES_READ_MAX
from fingerpost.directory.record import decode_record
from fingerpost.directory.region import Region
from fingerpost.errors import NetworkError
from fingerpost.limits import RECORDS_READ_MAX
from fingerpost.testing.directory_kit import NETWORK_ID, check_directory
from fingerpost.testing.record_samples import NOW, SettableClock
from tests.faults import nats_stranger
from tests.faults.dht_stranger import Stranger


class Board:
    """Makes memory directories of one kind on one board, and lets strangers write on it."""

    def __init__(self, kind: type[MemoryDirectory] = MemoryDirectory) -> None:
        self.kind = kind
        self.board = MemoryBoard()
        self.strangers = 0

    async def __call__(self, *, network_id: str, clock: Any) -> MemoryDirectory:
        return self.kind(self.board, network_id=network_id, clock=clock)

    async def inject(self, region: Region, value: bytes) -> None:
        self.strangers += 1
        self.board.write(region.key(NETWORK_ID), b"stranger %d" % self.strangers, value)


def test_the_memory_directory_keeps_every_promise() -> None:
    board = Board()
    asyncio.run(check_directory(board, inject=board.inject))


def test_the_kit_asks_less_of_a_medium_that_no_stranger_writes_to() -> None:
    asyncio.run(check_directory(Board()))


class Table:
    """Makes OpenDHT directories that join through the first one, and a stranger that writes into their network."""

    def __init__(self) -> None:
        self.first: dict[str, str] = {}
        self.stranger: Stranger | None = None

    async def __call__(self, *, network_id: str, clock: Any) -> OpendhtDirectory:
        bootstrap = [self.first[network_id]] if network_id in self.first else []
        directory = await open_directory(
            DirectoryOptions(network_id=network_id, clock=clock, settings={"bootstrap": bootstrap})
        )
        self.first.setdefault(network_id, directory.endpoint)
        return directory

    async def inject(self, region: Region, value: bytes) -> None:
        if self.stranger is None:
            self.stranger = await Stranger.join(self.first[NETWORK_ID], network_id=NETWORK_ID)
        await self.stranger.write(region.key(NETWORK_ID), [value])

    async def close(self) -> None:
        if self.stranger is not None:
            await self.stranger.leave()


def test_the_opendht_directory_keeps_every_promise() -> None:
    async def scenario() -> None:
        table = Table()
        try:
            await check_directory(table, inject=table.inject, timeout_seconds=120)
        finally:
            await table.close()

    asyncio.run(scenario())


class Subjects:
    """Makes NATS directories on the same servers, and a stranger that speaks there too."""

    def __init__(self, servers: NatsServers) -> None:
        self.servers = servers.urls
        self.stranger: nats_stranger.Stranger | None = None

    async def __call__(self, *, network_id: str, clock: Any) -> _nats.NatsDirectory:
        settings = {"servers": self.servers}
        return await _nats.open_directory(DirectoryOptions(network_id=network_id, clock=clock, settings=settings))

    async def inject(self, region: Region, value: bytes) -> None:
        if self.stranger is None:
            self.stranger = await nats_stranger.Stranger.join(self.servers)
        await self.stranger.write(region.key(NETWORK_ID), value)

    async def close(self) -> None:
        if self.stranger is not None:
            await self.stranger.leave()


@pytest.mark.parametrize("count", [1, 3])
def test_the_nats_directory_keeps_every_promise(count: int) -> None:
    async def scenario(servers: NatsServers) -> None:
        subjects = Subjects(servers)
        try:
            await check_directory(subjects, inject=subjects.inject, timeout_seconds=120)
        finally:
            await subjects.close()

    with NatsServers(count) as servers:
        asyncio.run(scenario(servers))


class TellsNobody(MemoryDirectory):
    def __init__(self, _board: MemoryBoard, **options: Any) -> None:
        super().__init__(MemoryBoard(), **options)


class MixesRegions(MemoryDirectory):
    async def find(self, region):
        whole = Region(template_id=region.template_id)
        return await super().find(whole if region.depth else region)


class MixesTemplates(MemoryDirectory):
    everything: list = []  # noqa: RUF012

    async def announce(self, region, record):
        await super().announce(region, record)
        self.everything.append(record)

    async def find(self, region):
        found = await super().find(region)
        return found or tuple(sorted(self.everything[:1], key=lambda record: record.public_key))


class NeverExpires(MemoryDirectory):
    def __init__(self, board: MemoryBoard, *, clock: Any, **options: Any) -> None:
        super().__init__(board, clock=SettableClock(NOW), **options)


class LivesASecondTooLong(MemoryDirectory):
    async def find(self, region):
        self._clock, clock = SettableClock(self._clock.now() - 1), self._clock
        try:
            return await super().find(region)
        finally:
            self._clock = clock


class AsksTheWallClock(MemoryDirectory):
    def __init__(self, board: MemoryBoard, *, clock: Any, **options: Any) -> None:
        super().__init__(board, clock=SettableClock(NOW - 400_000), **options)


class KeepsTheFirst(MemoryDirectory):
    async def announce(self, region, record):
        if all(known.public_key != record.public_key for known in await self.find(region)):
            await super().announce(region, record)


class KeepsTheLastWritten(MemoryDirectory):
    async def find(self, region):
        self._require_open()
        last = {}
        for value in self._board.read(region.key(self._network_id)):
            try:
                record = decode_record(value, network_id=self._network_id, now=self._clock.now())
            except NetworkError:
                continue
            if record in await super().find(region) or record.public_key in last:
                last[record.public_key] = record
        return tuple(last[key] for key in sorted(last))


class KeepsAll(MemoryDirectory):
    async def find(self, region):
        self._require_open()
        found = []
        for value in self._board.read(region.key(self._network_id)):
            try:
                found.append(decode_record(value, network_id=self._network_id, now=self._clock.now()))
            except NetworkError:
                continue
        return tuple(sorted(found, key=lambda record: (record.public_key, record.issued_at)))


class Believes(MemoryDirectory):
    """Returns records whatever their signature says."""

    async def find(self, region):
        await super().find(region)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fingerpost.directory.record.VerifyKey", lambda _key: SigningKey(bytes(32)).verify_key)
            patch.setattr("nacl.signing.VerifyKey.verify", lambda *_: b"")
            return await super().find(region)


class NeverWithdraws(MemoryDirectory):
    async def withdraw(self, region, record):
        self._require_open()


class WithdrawsEverywhere(MemoryDirectory):
    async def withdraw(self, region, record):
        await super().withdraw(region, record)
        for depth in (0, 1):
            for prefix in range(1 << depth):
                place = Region(template_id=region.template_id, depth=depth, prefix=prefix)
                await super().withdraw(place, record)


class ComplainsOfNothingToWithdraw(MemoryDirectory):
    async def withdraw(self, region, record):
        if record not in await self.find(region):
            raise NetworkError("record-missing", "there is no such record")
        await super().withdraw(region, record)


class Forgets(MemoryDirectory):
    finds = 0

    async def find(self, region):
        self.finds += 1
        found = await super().find(region)
        return found[:-1] if self.finds > 2 else found


class ReturnsAll(MemoryDirectory):
    async def find(self, region):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fingerpost.directory.reading.RECORDS_READ_MAX", 10 * RECORDS_READ_MAX)
            return await super().find(region)


class LosesAllInAFlood(MemoryDirectory):
    async def find(self, region):
        found = await super().find(region)
        return () if len(self._board.read(region.key(self._network_id))) > RECORDS_READ_MAX else found


class InAnyOrder(MemoryDirectory):
    async def find(self, region):
        return (await super().find(region))[::-1]


class GoesOnAfterClosing(MemoryDirectory):
    async def close(self):
        pass


class ClosesOnce(MemoryDirectory):
    async def close(self):
        self._require_open()
        await super().close()


class Hangs(MemoryDirectory):
    async def find(self, region):
        await asyncio.sleep(3_600)


class MixesNetworks(MemoryDirectory):
    def __init__(self, board: MemoryBoard, *, network_id: str, **options: Any) -> None:
        super().__init__(board, network_id=NETWORK_ID, **options)


PLANTED: list[Any] = [
    (TellsNobody, "found by every connected directory"),
    (MixesRegions, "regions do not mix"),
    (MixesTemplates, "nothing is found where nothing was announced|not expected"),
    (NeverExpires, "whose time is over is not found"),
    (LivesASecondTooLong, "whose time is over is not found"),
    (AsksTheWallClock, "whose time is over, or has not come"),
    (KeepsTheFirst, "a later record of a holder replaces"),
    (KeepsTheLastWritten, "an earlier record never replaces a later one"),
    (KeepsAll, "one record a holder"),
    (Believes, "nothing is found that is forged"),
    (NeverWithdraws, "withdrawn is not found any more"),
    (WithdrawsEverywhere, "withdrawn in one region"),
    (ComplainsOfNothingToWithdraw, "there is no such record"),
    (Forgets, "announcing a record again changes nothing"),
    (ReturnsAll, f"at most {RECORDS_READ_MAX} records"),
    (LosesAllInAFlood, "leaves some to be found"),
    (InAnyOrder, "ordered by public key"),
    (GoesOnAfterClosing, "directory-closed"),
    (ClosesOnce, "was closed"),
    (Hangs, "every call returns within|all this within"),
    (MixesNetworks, "networks do not mix"),
]


@pytest.mark.parametrize(("broken", "promise"), PLANTED)
def test_the_kit_sees_a_directory_that_breaks_a_promise(broken: Any, promise: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("fingerpost.testing.directory_kit.DIRECTORY_SECONDS_MAX", 0.5)  # what is broken stays broken
    board = Board(broken)
    with pytest.raises((AssertionError, NetworkError), match=promise):
        asyncio.run(check_directory(board, inject=board.inject, timeout_seconds=30))


def test_the_memory_board_stays_bounded_whatever_is_written() -> None:
    board = MemoryBoard()
    for number in range(VALUES_READ_MAX + 100):
        board.write(b"region", b"%d" % number, b"value")
    assert len(board.read(b"region")) == VALUES_READ_MAX
