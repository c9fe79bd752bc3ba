"""The static directory: its list is read precisely, and found by region."""

from __future__ import annotations

import asyncio

import pytest

from fingerpost.directory._static import open_directory
from fingerpost.directory.base import DirectoryOptions
from fingerpost.directory.region import Region
from fingerpost.errors import NetworkError
from fingerpost.ids import TemplateId
from fingerpost.limits import RECORDS_READ_MAX
from fingerpost.testing.record_samples import NOW, SettableClock, holder_key, holder_record

REGION = Region(template_id=TemplateId(bytes(range(16))))


def table(number: int, **details) -> dict:
    key = bytes(holder_key(number).verify_key)
    return {"public_key": key.hex(), "carrier": "zeromq", "endpoint": f"127.0.0.1:{7000 + number}"} | details


def options(peers, clock=None) -> DirectoryOptions:
    return DirectoryOptions(network_id="static", clock=clock or SettableClock(), settings={"peers": peers})


def refusal(settings) -> NetworkError:
    opened = open_directory(DirectoryOptions(network_id="static", clock=SettableClock(), settings=settings))
    with pytest.raises(NetworkError) as caught:
        asyncio.run(opened)
    assert caught.value.code == "directory-settings"
    assert caught.value.hint
    return caught.value


def test_every_listed_peer_is_found_for_any_template_and_never_expires() -> None:
    async def scenario() -> None:
        clock = SettableClock()
        full = table(1, channel_key="ab" * 32, organisation="St. Mary", capacity=7)
        directory = await open_directory(options([full, table(2)], clock))
        for now in (NOW, NOW + 1e8):
            clock.time = now
            found = await directory.find(REGION)
            assert [record.public_key for record in found] == sorted(record.public_key for record in found)
            by_endpoint = {record.endpoint: record for record in found}
            first, second = by_endpoint["127.0.0.1:7001"], by_endpoint["127.0.0.1:7002"]
            assert (first.channel_key, first.organisation, first.capacity_packets) == (b"\xab" * 32, "St. Mary", 7)
            assert (second.channel_key, second.carrier) == (b"", "zeromq")
            assert second.organisation == second.public_key.hex()
            assert all(record.is_live(now) and record.template_id == REGION.template_id for record in found)
        halves = [Region(template_id=TemplateId(bytes(16)), depth=1, prefix=prefix) for prefix in range(2)]
        parts = [record.endpoint for half in halves for record in await directory.find(half)]
        assert sorted(parts) == sorted(by_endpoint), "each peer is in one half"

    asyncio.run(scenario())


def test_an_own_record_is_found_by_its_own_directory_until_it_is_withdrawn() -> None:
    async def scenario() -> None:
        clock = SettableClock()
        directory = await open_directory(options([table(1), table(2)], clock))
        own = holder_record(2, template_id=REGION.template_id, network_id="static", endpoint="own")
        await directory.announce(REGION, own)
        assert {record.endpoint for record in await directory.find(REGION)} == {"127.0.0.1:7001", "own"}
        await directory.withdraw(REGION, own)
        await directory.withdraw(REGION, own)
        assert {record.endpoint for record in await directory.find(REGION)} == {"127.0.0.1:7001", "127.0.0.1:7002"}
        await directory.close()
        await directory.close()
        for call in (directory.find(REGION), directory.announce(REGION, own), directory.withdraw(REGION, own)):
            with pytest.raises(NetworkError) as caught:
                await call
            assert caught.value.code == "directory-closed"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("peers", "message"),
    [
        ("127.0.0.1:7000", "'peers' is no list"),
        (["127.0.0.1:7000"], "peer 1 of the static directory is no table"),
        ([table(1), {"public_key": "00" * 32}], "peer 2 of the static directory has no carrier"),
        ([table(1, public_key="00" * 31)], "public_key of peer 1"),
        ([table(1, public_key="zz" * 32)], "public_key of peer 1"),
        ([table(1, public_key=7)], "public_key of peer 1 of the static directory is '7'"),
        ([table(1, channel_key=" ".join(["00"] * 32))], "channel_key of peer 1"),
        ([table(1, endpoint="")], "endpoint of peer 1"),
        ([table(1, organisation=["a"])], "organisation of peer 1"),
        ([table(1, capacity=-1)], "capacity of peer 1 of the static directory is -1"),
        ([table(1, capacity=True)], "capacity of peer 1"),
        ([table(1, capacity_packets=1)], "unknown field 'capacity_packets'"),
        ([table(1), table(2), table(1)], "peers 1 and 3 have the same public_key"),
        ([{}] * (RECORDS_READ_MAX + 1), "at most 512"),
    ],
)
def test_a_wrong_list_of_peers_is_refused_with_the_place_and_the_field(peers, message) -> None:
    assert message in refusal({"peers": peers}).message


def test_a_setting_that_is_not_known_is_refused_by_name() -> None:
    assert "'bootstrap'" in refusal({"bootstrap": []}).message
