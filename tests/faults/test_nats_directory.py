"""What is left of the NATS directory when servers die, and what strangers on the servers can do to it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import nats
import nats.errors
import pytest
from nats.aio.client import Client

from fingerpost.carrier.nats_servers import NatsServers
from fingerpost.directory import _nats
from fingerpost.directory._nats import NatsDirectory, open_directory
from fingerpost.directory.base import DirectoryOptions
from fingerpost.directory.reading import VALUES_READ_MAX
from fingerpost.directory.record import HolderRecord, encode_record
from fingerpost.directory.region import Region
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey, TemplateId
from fingerpost.limits import DIRECTORY_SECONDS_MAX
from fingerpost.testing.record_samples import NOW, SettableClock, holder_key, holder_record
from tests.faults.nats_stranger import Stranger

NETWORK_ID = "St. Mary and friends"
REGION = Region(template_id=TemplateId(hashlib.blake2s(b"pumps", digest_size=16).digest()))
KEY = REGION.key(NETWORK_ID)
CLOCK = SettableClock()


def record(number: int, *, issued_at: int = NOW) -> HolderRecord:
    return holder_record(number, template_id=REGION.template_id, network_id=NETWORK_ID, issued_at=issued_at)


@contextlib.asynccontextmanager
async def directory(
    servers: list[str], *, members: frozenset[PublicKey] = frozenset(), clock: SettableClock = CLOCK
) -> AsyncIterator[NatsDirectory]:
    options = DirectoryOptions(network_id=NETWORK_ID, clock=clock, members=members, settings={"servers": servers})
    opened = await open_directory(options)
    try:
        yield opened
    finally:
        await opened.close()


async def until(found: Callable[[], Awaitable[object]]) -> None:
    """Look again and again, for as long as a directory may take."""
    async with asyncio.timeout(3 * DIRECTORY_SECONDS_MAX):
        while not await found():
            await asyncio.sleep(0.05)


def finds(where: NatsDirectory, *records: HolderRecord) -> Callable[[], Awaitable[bool]]:
    async def found() -> bool:
        return set(await where.find(REGION)) == set(records)

    return found


def test_a_server_of_three_is_killed_and_everything_is_found_through_the_others() -> None:
    async def scenario(servers: NatsServers) -> None:
        urls = servers.urls
        async with directory(urls) as holder, directory(urls) as asker:
            await holder.announce(REGION, record(1))
            await until(finds(asker, record(1)))
            before = holder.endpoint
            await asyncio.to_thread(servers.kill, f"nats://{before}")
            assert set(await asker.find(REGION)) == {record(1)}
            later = record(1, issued_at=NOW + 1)
            await until(announced(holder, later))
            assert holder.endpoint != before
            async with directory([url for url in urls if before not in url]) as newcomer:
                for one in (newcomer, asker, holder):
                    await until(finds(one, later))
            await holder.withdraw(REGION, later)
            await until(finds(asker))

    with NatsServers(3) as servers:
        asyncio.run(scenario(servers))


def announced(holder: NatsDirectory, what: HolderRecord) -> Callable[[], Awaitable[bool]]:
    async def done() -> bool:
        with contextlib.suppress(NetworkError):  # It may be between two servers.
            await holder.announce(REGION, what)
            return True
        return False

    return done


def test_without_servers_a_directory_returns_what_it_found_last_until_its_time_is_over() -> None:
    async def scenario(servers: NatsServers) -> None:
        clock = SettableClock()
        elsewhere = Region(template_id=TemplateId(bytes(16)))
        async with directory(servers.urls) as holder, directory(servers.urls, clock=clock) as asker:
            await holder.announce(REGION, record(1))
            await until(finds(asker, record(1)))
            await asyncio.to_thread(servers.kill, servers.urls[0])
            async with asyncio.timeout(DIRECTORY_SECONDS_MAX):
                await until(counts(asker, "server-missing"))
                assert await asker.find(REGION) == (record(1),)
                assert await asker.find(elsewhere) == ()
            with pytest.raises(NetworkError) as refused:
                async with asyncio.timeout(DIRECTORY_SECONDS_MAX):
                    await holder.announce(REGION, record(2))
            assert refused.value.code == "directory-unreachable"
            assert asker.endpoint == ""
            clock.time = NOW + 300
            assert await asker.find(REGION) == ()

    with NatsServers() as servers:
        asyncio.run(scenario(servers))


def counts(where: NatsDirectory, reason: str) -> Callable[[], Awaitable[bool]]:
    async def counted() -> bool:
        await where.find(REGION)
        return where.refused.get(reason, 0) > 0

    return counted


def test_a_holder_that_was_killed_is_found_by_who_knows_it_until_its_time_is_over_and_by_nobody_else() -> None:
    async def scenario(servers: NatsServers) -> None:
        clock = SettableClock()
        async with directory(servers.urls, clock=clock) as asker:
            async with directory(servers.urls) as holder:
                await holder.announce(REGION, record(1))
                await until(finds(asker, record(1)))
            async with directory(servers.urls) as newcomer:
                assert await newcomer.find(REGION) == ()
            assert await asker.find(REGION) == (record(1),)
            clock.time = NOW + 300
            assert await asker.find(REGION) == ()

    with NatsServers() as servers:
        asyncio.run(scenario(servers))


def test_who_has_asked_hears_of_a_holder_that_it_never_asks() -> None:
    async def scenario(servers: NatsServers) -> None:
        async with directory(servers.urls) as asker:
            assert await asker.find(REGION) == ()
            async with directory(servers.urls) as holder:
                await holder.announce(REGION, record(1))
            await until(finds(asker, record(1)))

    with NatsServers() as servers:
        asyncio.run(scenario(servers))


def test_looks_at_once_into_one_region_find_the_same_and_too_many_regions_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_nats, "PLACES_MAX", 3)
    strange = [Region(template_id=TemplateId(bytes([number] * 16))) for number in range(1, 9)]

    async def subscriptions(client: Client) -> int:
        """Return of how many regions somebody hears news: the server says so at once where nobody does."""
        heard = 0
        for region in (REGION, *strange):
            subject = f"fingerpost.region.{region.key(NETWORK_ID).hex()}.news"
            try:
                await client.request(subject, b"?", timeout=0.2)
            except nats.errors.NoRespondersError:
                continue
            except nats.errors.TimeoutError:
                heard += 1  # somebody listens, and does not answer news
        return heard

    async def scenario(servers: NatsServers) -> None:
        client = await nats.connect(servers=servers.urls)
        async with directory(servers.urls) as holder, directory(servers.urls) as asker:
            await holder.announce(REGION, record(1))
            found = await asyncio.gather(*(asker.find(REGION) for _ in range(5)))
            assert found == [(record(1),)] * 5
            for region in strange:
                assert await asker.find(region) == ()
            assert await subscriptions(client) == 3
            await until(finds(asker, record(1)))
            assert await subscriptions(client) == 3
        await client.close()

    with NatsServers() as servers:
        asyncio.run(scenario(servers))


def test_who_lies_that_a_holder_has_left_hides_it_until_it_is_asked_next() -> None:
    async def scenario(servers: NatsServers) -> None:
        stranger = await Stranger.join(servers.urls)
        async with directory(servers.urls) as holder, directory(servers.urls) as asker:
            await holder.announce(REGION, record(1))
            await until(finds(asker, record(1)))
            key = record(1).public_key
            for news in (b"-" + key + bytes([255] * 8), b"-" + key + bytes(8), b"-" + key, b"", b"?"):
                await stranger.say(KEY, news)
            await stranger.client.flush()
            await until(counts(asker, "news-invalid"))
            assert await asker.find(REGION) == (record(1),)
        await stranger.leave()

    with NatsServers() as servers:
        asyncio.run(scenario(servers))


@pytest.mark.parametrize("kind", ["junk", "in other names", "in a member's name"])
def test_a_flood_of_values_does_not_hide_a_member(kind: str) -> None:
    member = record(0)
    flood = {
        "junk": [b"%d" % number for number in range(2 * VALUES_READ_MAX)],
        "in other names": [
            tampered(encode_record(member), name=number.to_bytes(32, "big")) for number in range(2 * VALUES_READ_MAX)
        ],
        "in a member's name": [tampered(encode_record(member), number=number) for number in range(1_500)],
    }[kind]

    async def scenario(servers: NatsServers) -> None:
        stranger = await Stranger.join(servers.urls)
        await stranger.write(KEY, *flood)
        async with (
            directory(servers.urls) as holder,
            directory(servers.urls, members=frozenset({member.public_key})) as asker,
        ):
            await holder.announce(REGION, member)
            async with asyncio.timeout(2 * DIRECTORY_SECONDS_MAX):  # a slow machine may need a second look
                while not (found := await asker.find(REGION)):
                    pass
            assert found == (member,)
            assert sum(asker.refused.values()) >= min(1_000, len(flood)), asker.refused
        await stranger.leave()

    with NatsServers() as servers:
        asyncio.run(scenario(servers))


def tampered(encoded: bytes, *, name: bytes = b"", number: int = 0) -> bytes:
    """Return a value that starts like a record and whose signature does not hold."""
    key = bytes(holder_key(0).verify_key)
    return encoded.replace(key, name or key, 1)[:-8] + number.to_bytes(8, "big")


def test_a_question_is_answered_into_the_inbox_of_a_directory_and_nowhere_else() -> None:
    async def scenario(servers: NatsServers) -> None:
        client = await nats.connect(servers=servers.urls)
        received: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

        async def receive(message: object) -> None:
            received.put_nowait((message.subject, message.data))  # type: ignore[attr-defined]

        async with directory(servers.urls) as holder:
            await holder.announce(REGION, record(1))
            right = f"fingerpost.reply.{'0' * 32}.{'1' * 32}"
            wrong = ["pumps.control", f"fingerpost.region.{KEY.hex()}.news", right + ".x", right.upper()]
            for subject in (*wrong, right):
                await client.subscribe(subject, cb=receive)
            find = f"fingerpost.region.{KEY.hex()}.find"
            for subject in wrong:
                await client.publish(find, b"?", reply=subject)
            await client.publish(find, b"!", reply=right)
            await client.publish(find, b"?", reply=right)
            async with asyncio.timeout(DIRECTORY_SECONDS_MAX):
                assert await received.get() == (right, b"+" + encode_record(record(1)))
            assert received.empty()
            assert holder.refused == {"question-invalid": 5}
        await client.close()

    with NatsServers() as servers:
        asyncio.run(scenario(servers))


def test_the_subjects_name_nobody() -> None:
    async def scenario(servers: NatsServers) -> None:
        client = await nats.connect(servers=servers.urls)
        subjects: set[str] = set()

        async def receive(message: object) -> None:
            subjects.add(message.subject)  # type: ignore[attr-defined]

        await client.subscribe("fingerpost.>", cb=receive)
        await client.flush()
        async with directory(servers.urls) as holder, directory(servers.urls) as asker:
            await holder.announce(REGION, record(1))
            await until(finds(asker, record(1)))
            await holder.withdraw(REGION, record(1))
            await until(finds(asker))
        await client.flush()
        hashed = rf"fingerpost\.(region\.{KEY.hex()}\.(find|news)|reply\.[0-9a-f]{{32}}\.[0-9a-f]{{32}})"
        assert {subject.split(".")[-1] for subject in subjects} >= {"find", "news"}
        assert all(re.fullmatch(hashed, subject) for subject in subjects), subjects
        await client.close()

    with NatsServers() as servers:
        asyncio.run(scenario(servers))


@pytest.mark.parametrize(
    "settings", [{}, {"servers": []}, {"servers": "nats://127.0.0.1:1"}, {"servers": [1]}, {"servers": ["a"], "x": 1}]
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(NetworkError) as refused:
        asyncio.run(open_directory(DirectoryOptions(network_id=NETWORK_ID, clock=CLOCK, settings=settings)))
    assert refused.value.code == "directory-settings"
    assert "servers" in refused.value.hint


def test_a_directory_without_any_server_says_so() -> None:
    with NatsServers() as servers:
        url = servers.urls[0]
    with pytest.raises(NetworkError) as refused:
        asyncio.run(open_directory(DirectoryOptions(network_id=NETWORK_ID, clock=CLOCK, settings={"servers": [url]})))
    assert refused.value.code == "directory-unavailable"
