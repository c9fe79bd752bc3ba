"""Does a directory keep the promises of ``fingerpost.directory.base.Directory``? ``check_directory`` asks it.

from fingerpost.testing.directory_kit import check_directory

def test_our_directory_keeps_its_promises():
    asyncio.run(check_directory(open_ours))
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol, TypeVar

from fingerpost.directory.base import Directory
from fingerpost.directory.record import HolderRecord, encode_record
from fingerpost.directory.region import Region
from fingerpost.errors import FingerpostError, NetworkError
from fingerpost.ids import TemplateId
from fingerpost.limits import (
    CLOCK_SKEW_SECONDS_MAX,
    DIRECTORY_SECONDS_MAX,
    RECORD_SIZE_BYTES_MAX,
    RECORDS_READ_MAX,
)
from fingerpost.ports import Clock
from fingerpost.testing.record_samples import NOW, SettableClock, holder_record, holders_in

NETWORK_ID = "directory kit"
FOREIGN_NETWORK_ID = "another network"
LIFETIME_SECONDS = 300
RECORDS_TOO_MANY = RECORDS_READ_MAX + 20
POLL_SECONDS = 0.1

_Result = TypeVar("_Result")
Inject = Callable[[Region, bytes], Awaitable[None]]


class MakeDirectory(Protocol):
    """Opens one more directory on the medium under test."""

    async def __call__(self, *, network_id: str, clock: Clock) -> Directory:
        """Return a directory that is connected to every other one made so far with this network id.

        Its only time is that of ``clock``, which the kit sets at will.
        """
        ...


async def check_directory(make: MakeDirectory, *, inject: Inject | None = None, timeout_seconds: float = 60.0) -> None:
    """Check every promise of ``Directory`` on directories of one network.

    ``inject`` writes bytes of a stranger into a region of the network ``NETWORK_ID``, past any directory; give it for
    every medium that others can write to. Raises ``AssertionError`` that names the promise which is broken.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            await _check_all(make, inject)
    except TimeoutError:
        raise AssertionError(f"a directory does all this within {timeout_seconds} seconds") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """What one promise is checked with; ``template_id`` is its own, so that no check meets another's records."""

    make: MakeDirectory
    inject: Inject | None
    clock: SettableClock
    one: Directory
    other: Directory
    template_id: TemplateId

    @property
    def region(self) -> Region:
        return Region(template_id=self.template_id)

    def record(self, number: int, **details: object) -> HolderRecord:
        details = {"issued_at": NOW, "lifetime_seconds": LIFETIME_SECONDS, "network_id": NETWORK_ID} | details
        return holder_record(number, template_id=self.template_id, **details)  # type: ignore[arg-type]

    async def write(self, value: bytes) -> None:
        """Write a stranger's bytes, past any directory, or by one as far as it lets itself be used."""
        if self.inject is not None:
            await _bounded(self.inject(self.region, value))


async def _check_all(make: MakeDirectory, inject: Inject | None) -> None:
    clock = SettableClock()
    opened: list[Directory] = []

    async def make_and_remember(*, network_id: str, clock: Clock) -> Directory:
        opened.append(await make(network_id=network_id, clock=clock))
        return opened[-1]

    try:
        one = await make_and_remember(network_id=NETWORK_ID, clock=clock)
        other = await make_and_remember(network_id=NETWORK_ID, clock=clock)
        for check in CHECKS:
            template_id = TemplateId(hashlib.blake2s(check.__name__.encode(), digest_size=16).digest())
            clock.time = NOW
            await check(
                _Bench(
                    make=make_and_remember, inject=inject, clock=clock, one=one, other=other, template_id=template_id
                )
            )
    finally:
        for directory in opened:
            with suppress(FingerpostError, TimeoutError):
                async with asyncio.timeout(DIRECTORY_SECONDS_MAX):
                    await directory.close()


async def _a_record_is_found_everywhere(bench: _Bench) -> None:
    _require(await _found(bench.one, bench.region) == (), "nothing is found where nothing was announced")
    records = [bench.record(number) for number in range(4)]
    for record, directory in zip(records, (bench.one, bench.other, bench.other, bench.one), strict=True):
        await _bounded(directory.announce(bench.region, record))
    newcomer = await bench.make(network_id=NETWORK_ID, clock=bench.clock)
    for directory in (bench.one, bench.other, newcomer):
        await _eventually(directory, bench.region, records, "a record announced is found by every connected directory")
    await _bounded(bench.one.announce(bench.region, records[0]))
    await _settled(bench, records, "announcing a record again changes nothing")


async def _a_later_record_replaces_the_earlier(bench: _Bench) -> None:
    first = bench.record(1)
    renewed = bench.record(1, issued_at=NOW + 60)
    moved = bench.record(1, issued_at=NOW + 120, endpoint="127.0.0.1:7001")
    for record in (first, renewed, moved):
        await _bounded(bench.one.announce(bench.region, record))
        await _settled(bench, [record], "a later record of a holder replaces the earlier one")
    elsewhere = bench.record(1, issued_at=NOW + 180, endpoint="127.0.0.1:7002")
    await _bounded(bench.other.announce(bench.region, elsewhere))
    await _settled(bench, [elsewhere], "a holder has one record, the latest, whichever directory announced it")
    with suppress(FingerpostError):
        await _bounded(bench.one.announce(bench.region, moved))
    await bench.write(encode_record(first))
    await _stays(bench, [elsewhere], "an earlier record never replaces a later one")


async def _a_record_can_be_withdrawn(bench: _Bench) -> None:
    stays, goes = bench.record(1), bench.record(2)
    await _bounded(bench.one.withdraw(bench.region, goes))
    for record in (stays, goes):
        await _bounded(bench.one.announce(bench.region, record))
    await _settled(bench, [stays, goes], "a record announced is found by every connected directory")
    await _bounded(bench.one.withdraw(bench.region, goes))
    await _settled(bench, [stays], "a record withdrawn is not found any more")
    await _bounded(bench.one.withdraw(bench.region, goes))
    await _stays(bench, [stays], "withdrawing a record that is not there is harmless")
    again = bench.record(2, issued_at=NOW + 1)
    await _bounded(bench.one.announce(bench.region, again))
    await _settled(bench, [stays, again], "a holder may come back after it has withdrawn")


async def _a_record_ends_when_its_time_is_over(bench: _Bench) -> None:
    short = bench.record(1, lifetime_seconds=60)
    long = bench.record(2)
    early = bench.record(3, issued_at=NOW + CLOCK_SKEW_SECONDS_MAX + 2 * LIFETIME_SECONDS)
    for record in (short, long, early):
        with suppress(FingerpostError):
            await _bounded(bench.one.announce(bench.region, record))
    await _settled(bench, [short, long], "a record whose time has not come is not found")
    bench.clock.time = NOW + 59.5
    await _stays(bench, [short, long], "a record is found until its time is over")
    bench.clock.time = NOW + 60
    await _stays(bench, [long], "a record whose time is over is not found, by the clock that was given")
    bench.clock.time = NOW + LIFETIME_SECONDS
    await _stays(bench, [], "a record whose time is over is not found, by the clock that was given")


async def _what_others_write_is_not_believed(bench: _Bench) -> None:
    good = bench.record(1)
    whole = encode_record(good)
    elsewhere = Region(template_id=TemplateId(bytes(16)))
    bad = {
        "forged": replace(bench.record(2), endpoint="127.0.0.1:6666"),
        "of another network": bench.record(3, network_id=FOREIGN_NETWORK_ID),
        "expired": bench.record(4, issued_at=NOW - 3 * LIFETIME_SECONDS),
        "of another template": holder_record(5, template_id=elsewhere.template_id, network_id=NETWORK_ID),
        "in another's name": replace(good, endpoint="127.0.0.1:6666", issued_at=NOW + 60),
    }
    garbage = [b"", b"\x00", b"\xff" * 100, whole[:-1], whole + b"\0", b"a" * (RECORD_SIZE_BYTES_MAX + 1)]
    for record in bad.values():
        with suppress(FingerpostError):  # a directory may refuse at once
            await _bounded(bench.one.announce(bench.region, record))
        await bench.write(encode_record(record))
    for value in garbage:
        await bench.write(value)
    await _bounded(bench.one.announce(bench.region, good))
    await _settled(bench, [good], f"nothing is found that is {', '.join(bad)}, or no record at all")
    await _stays(bench, [good], f"nothing is found that is {', '.join(bad)}, or no record at all")


async def _regions_do_not_mix(bench: _Bench) -> None:
    whole = bench.region
    halves = [Region(template_id=bench.template_id, depth=1, prefix=prefix) for prefix in range(2)]
    members = [list(islice(holders_in(half), 2)) for half in halves]
    announced = {whole: [*members[0][:1], *members[1][:1]], halves[0]: members[0], halves[1]: members[1][1:]}
    for region, numbers in announced.items():
        for number in numbers:
            await _bounded(bench.one.announce(region, bench.record(number)))
    for region, numbers in announced.items():
        await _settled(bench, [bench.record(number) for number in numbers], "regions do not mix", region=region)
    with suppress(FingerpostError):
        await _bounded(bench.one.announce(halves[1], bench.record(members[0][0])))
    await bench.write(encode_record(bench.record(members[1][1], issued_at=NOW + 5)))
    await _stays(bench, [bench.record(members[1][1])], "regions do not mix", region=halves[1])
    other = Region(template_id=TemplateId(hashlib.blake2s(b"other", digest_size=16).digest()))
    _require(await _found(bench.other, other) == (), "regions do not mix")
    await _bounded(bench.one.withdraw(whole, bench.record(members[0][0])))
    await _stays(bench, [bench.record(n) for n in members[0]], "a record is withdrawn in one region", region=halves[0])
    foreign = await bench.make(network_id=FOREIGN_NETWORK_ID, clock=bench.clock)
    stranger = bench.record(9, network_id=FOREIGN_NETWORK_ID)
    with suppress(FingerpostError):
        await _bounded(foreign.announce(halves[0], stranger))
    _require(not _mixed(await _found(foreign, halves[0]), stranger), "networks do not mix")
    await _stays(bench, [bench.record(number) for number in members[0]], "networks do not mix", region=halves[0])


async def _a_flood_is_read_in_part(bench: _Bench) -> None:
    early = bench.record(0)
    await _bounded(bench.one.announce(bench.region, early))
    await _settled(bench, [early], "a record announced is found by every connected directory")
    records = [bench.record(number) for number in range(1, RECORDS_TOO_MANY)]
    if bench.inject is not None:
        await asyncio.gather(*(bench.write(encode_record(record)) for record in records))
    else:
        for record in records:
            await _bounded(bench.one.announce(bench.region, record))
    announced = {record.public_key: record for record in [early, *records]}
    for directory in (bench.one, bench.other):
        found = await _found(directory, bench.region)
        _require(len(found) <= RECORDS_READ_MAX, f"find returns at most {RECORDS_READ_MAX} records")
        _require(bool(found), "a flood of records leaves some to be found")
        _require(all(announced[record.public_key] == record for record in found), "find returns what was announced")


async def _after_close_it_says_so(bench: _Bench) -> None:
    directory = await bench.make(network_id=NETWORK_ID, clock=bench.clock)
    record = bench.record(1)
    await _bounded(directory.announce(bench.region, record))
    await _bounded(directory.close())
    await _bounded(directory.close())
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: directory.find(bench.region),
        lambda: directory.announce(bench.region, record),
        lambda: directory.withdraw(bench.region, record),
    ]
    for call in calls:
        try:
            await _bounded(call())
        except NetworkError as error:
            _require(error.code == "directory-closed", "after close every call raises directory-closed")
        else:
            raise AssertionError("after close every call raises directory-closed")
    await _found(bench.one, bench.region)


CHECKS: Sequence[Callable[[_Bench], Awaitable[None]]] = (
    _a_record_is_found_everywhere,
    _a_later_record_replaces_the_earlier,
    _a_record_can_be_withdrawn,
    _a_record_ends_when_its_time_is_over,
    _what_others_write_is_not_believed,
    _regions_do_not_mix,
    _a_flood_is_read_in_part,
    _after_close_it_says_so,
)


async def _bounded(call: Awaitable[_Result]) -> _Result:
    try:
        async with asyncio.timeout(DIRECTORY_SECONDS_MAX):
            return await call
    except TimeoutError:
        raise AssertionError(f"every call returns within {DIRECTORY_SECONDS_MAX} seconds") from None


async def _found(directory: Directory, region: Region) -> tuple[HolderRecord, ...]:
    found = await _bounded(directory.find(region))
    keys = [record.public_key for record in found]
    _require(isinstance(found, tuple) and keys == sorted(keys), "records are ordered by public key")
    _require(len(set(keys)) == len(keys), "there is one record a holder")
    return found


async def _eventually(directory: Directory, region: Region, records: Sequence[HolderRecord], promise: str) -> None:
    """Look again and again, for as long as a directory may take, until exactly these records are found."""
    expected = _ordered(records)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DIRECTORY_SECONDS_MAX
    while (found := await _found(directory, region)) != expected:
        _require(loop.time() < deadline, f"{promise}; {_difference(found, expected)}")
        await asyncio.sleep(POLL_SECONDS)


async def _settled(
    bench: _Bench, records: Sequence[HolderRecord], promise: str, *, region: Region | None = None
) -> None:
    for directory in (bench.one, bench.other):
        await _eventually(directory, region or bench.region, records, promise)


async def _stays(
    bench: _Bench,
    records: Sequence[HolderRecord],
    promise: str,
    *,
    region: Region | None = None,
) -> None:
    """Look twice from each side."""
    expected = _ordered(records)
    for _ in range(2):
        for directory in (bench.one, bench.other):
            found = await _found(directory, region or bench.region)
            _require(found == expected, f"{promise}; {_difference(found, expected)}")


def _mixed(found: Sequence[HolderRecord], own: HolderRecord) -> bool:
    return any(record != own for record in found)


def _ordered(records: Sequence[HolderRecord]) -> tuple[HolderRecord, ...]:
    return tuple(sorted(records, key=lambda record: record.public_key))


def _difference(found: Sequence[HolderRecord], expected: Sequence[HolderRecord]) -> str:
    missing = sorted(record.organisation for record in expected if record not in found)
    extra = sorted(record.organisation for record in found if record not in expected)
    return f"missing {missing}, not expected {extra}"


def _require(kept: object, promise: str) -> None:
    if not kept:
        raise AssertionError(promise)
