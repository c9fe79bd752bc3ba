"""A stranger writes whatever it likes into the region of a real OpenDHT network, and members find each other."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

import pytest

from fingerpost import AsyncNode, Network
from fingerpost.directory.record import HolderRecord, encode_record
from fingerpost.directory.region import Region
from fingerpost.ids import PublicKey
from fingerpost.limits import RECORDS_READ_MAX
from fingerpost.packet import Signer
from fingerpost.template import parse_template
from fingerpost.testing.record_samples import holder_record
from tests.faults.dht_stranger import Stranger
from tests.faults.hostile_members import PATIENCE_SECONDS, TEMPLATE, OwnKey, refused, serves

NETWORK_ID = "flooded"
KEYS = {name: PublicKey(Signer(OwnKey(name).seed).public_key) for name in ("one", "two")}


async def open_member(name: str, *, bootstrap: list[str]) -> AsyncNode:
    network = Network(
        network_id=NETWORK_ID,
        members=frozenset(KEYS.values()),
        directory_settings={"bind": "127.0.0.1", "port": 0, "bootstrap": bootstrap},
    )
    return await AsyncNode.open(parse_template(TEMPLATE), network=network, entropy=OwnKey(name), follow=name == "one")


async def until_found(node: AsyncNode, other: AsyncNode) -> None:
    """Look into the directory until it names the other node where it is."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = {peer.public_key: peer.endpoint for peer in (await node.status(look_up=True)).peers}
            if found.get(other.public_key) == other.address.endpoint:
                assert set(found) <= set(KEYS.values()), "strangers are no holders"
                return
            await asyncio.sleep(0.1)


def test_a_flood_of_minted_forged_and_expired_records_keeps_no_member_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for logger in ("fingerpost.directory", "fingerpost.node"):
        caplog.set_level(logging.WARNING, logger)
    template_id = parse_template(TEMPLATE).template_id
    now = int(time.time())

    def record(number: int, *, network_id: str = NETWORK_ID, issued_at: int = now) -> HolderRecord:
        return holder_record(number, template_id=template_id, network_id=network_id, issued_at=issued_at)

    async def main() -> None:
        async with asyncio.timeout(3 * PATIENCE_SECONDS), await open_member("one", bootstrap=[]) as one:
            endpoint = (await one.status()).directory_endpoint
            stranger = await Stranger.join(endpoint, network_id=NETWORK_ID)
            try:
                minted = [encode_record(record(number)) for number in range(2 * RECORDS_READ_MAX)]
                in_a_members_name = [
                    encode_record(replace(record(number), public_key=KEYS["two"], endpoint="127.0.0.1:6666"))
                    for number in range(50)
                ]
                expired = [encode_record(record(5_000 + number, issued_at=now - 4_000)) for number in range(50)]
                foreign = [encode_record(record(6_000 + number, network_id="another")) for number in range(50)]
                flood = [*in_a_members_name, *expired, *foreign, b"junk", *minted]
                written = await stranger.write(Region(template_id=template_id).key(NETWORK_ID), flood)
                assert written > RECORDS_READ_MAX
                async with await open_member("two", bootstrap=[endpoint]) as two:
                    await until_found(one, two)
                    await until_found(two, one)
                    for node in (one, two):
                        for reason in (
                            "record-invalid",
                            "holder-signature",
                            "record-expired",
                            "record-bound",
                            "holder-not-admitted",
                        ):
                            await refused(node, "directory", reason)
                    await serves(one, two)
            finally:
                await stranger.leave()

    asyncio.run(main())
    for reason in ("record-invalid", "holder-signature", "record-expired", "record-bound", "holder-not-admitted"):
        assert any(f": {reason} (" in each.message for each in caplog.records), reason
