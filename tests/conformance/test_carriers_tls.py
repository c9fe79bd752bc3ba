"""The carriers on TLS and on a NATS server keep every promise of the port."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import replace

import pyarrow as pa
import pyarrow.flight as flight
import pytest

from fingerpost.carrier._flight import open_flight_carrier
from fingerpost.carrier._grpc import open_grpc_carrier
from fingerpost.carrier._nats import NatsCarrier, open_nats_carrier
from fingerpost.carrier._zeromq import open_zeromq
from fingerpost.carrier.base import Address, Carrier, CarrierCounts, CarrierOptions, Peer
from fingerpost.carrier.nats_servers import NatsServers
from fingerpost.errors import NetworkError
from fingerpost.testing.carrier_kit import check_carrier
from fingerpost.testing.channel_identities import NumberedIdentity
from tests.conformance.arrow_client import connect, options_for


def test_the_grpc_carrier_keeps_every_promise() -> None:
    asyncio.run(check_carrier(open_grpc_carrier))


def test_the_flight_carrier_keeps_every_promise() -> None:
    asyncio.run(check_carrier(open_flight_carrier))


def test_the_nats_carrier_keeps_every_promise() -> None:
    with NatsServers() as servers:

        async def make(options: CarrierOptions) -> NatsCarrier:
            return await open_nats_carrier(replace(options, settings={"servers": servers.urls}))

        asyncio.run(check_carrier(make))


def test_frames_go_on_when_the_nats_server_in_use_is_killed() -> None:
    async def main(servers: NatsServers) -> None:
        carriers = [await open_on(servers, number) for number in (1, 2)]
        sender, receiver = carriers
        to = Peer(public_key=NumberedIdentity(2).public_key, address=receiver.address)
        arrived: list[int] = []

        async def receive() -> None:
            while True:
                arrived.append(int.from_bytes((await receiver.receive()).frame[:8], "big"))

        receiving = asyncio.ensure_future(receive())
        number = 0
        for killed in range(3):
            before = len(arrived)
            async with asyncio.timeout(30):
                while len(arrived) < before + 20:
                    with suppress(NetworkError):
                        await sender.send(number.to_bytes(8, "big") + bytes(100_000), to=to)
                    number += 1
                    await asyncio.sleep(0.01)
            if killed < 2:
                servers.kill((sender if killed == 0 else receiver).server)
        receiving.cancel()
        assert arrived == sorted(set(arrived)), "in order, and none twice"
        for carrier in carriers:
            await carrier.close()

    async def open_on(servers: NatsServers, number: int) -> NatsCarrier:
        options = CarrierOptions(
            identity=NumberedIdentity(number),
            network_id="cluster",
            listen="yes",
            admits=lambda _public_key: True,
            settings={"servers": servers.urls},
        )
        return await open_nats_carrier(options)

    with NatsServers(3) as servers:
        asyncio.run(main(servers))
        assert len(servers.urls) == 1


def test_any_arrow_client_reads_a_cell_once_it_has_proved_an_admitted_identity() -> None:
    table = pa.table({"packet": pa.array([bytes(512), bytes([1]) * 512], pa.binary(512)), "outcome": ["well", "ill"]})
    node, reader, stranger = NumberedIdentity(1), NumberedIdentity(2), NumberedIdentity(3)

    async def main() -> CarrierCounts:
        carrier = await open_flight_carrier(
            CarrierOptions(
                identity=node,
                network_id="cells",
                listen="127.0.0.1:0",
                admits=lambda public_key: public_key == reader.public_key,
                settings={"read_cell": {b"cell 7": table}.__getitem__, "list_cells": lambda: [b"cell 7"]},
            )
        )
        try:
            await asyncio.to_thread(use_a_bare_client, carrier.address)
        finally:
            await carrier.close()
        return carrier.counts

    def use_a_bare_client(address: Address) -> None:
        with connect(address) as client:
            with pytest.raises(flight.FlightUnauthenticatedError):
                client.do_get(flight.Ticket(b"cell 7"))
            with pytest.raises(flight.FlightUnauthenticatedError):
                options_for(client, stranger, address, network_id="cells", node=node.public_key)
            options = options_for(client, reader, address, network_id="cells", node=node.public_key)
            (listed,) = client.list_flights(options=options)
            info = client.get_flight_info(listed.descriptor, options)
            assert (info.total_records, info.schema) == (2, table.schema)
            assert client.do_get(info.endpoints[0].ticket, options).read_all() == table
            with pytest.raises(flight.FlightServerError, match="no such cell"):
                client.do_get(flight.Ticket(b"cell 8"), options).read_all()

    counts = asyncio.run(main())
    assert counts.refused == {"token": 1, "not-admitted": 1}


@pytest.mark.parametrize("open_carrier", [open_zeromq, open_grpc_carrier, open_flight_carrier])
def test_peers_are_told_the_host_that_is_advertised_and_not_the_one_listened_on(open_carrier) -> None:
    async def main() -> None:
        carrier = await open_carrier(replace(options, settings={"advertised_host": "node.example"}))
        assert re.fullmatch(r"(tls://)?node\.example:[1-9]\d*", carrier.address.endpoint)
        await carrier.close()
        for host in ("", "two words", "a/b", 7, None):
            with pytest.raises(NetworkError, match="advertised_host") as caught:
                await open_carrier(replace(options, settings={"advertised_host": host}))
            assert caught.value.code == "carrier-settings"

    options = CarrierOptions(
        identity=NumberedIdentity(1), network_id="hosts", listen="127.0.0.1:0", admits=lambda _public_key: True
    )
    asyncio.run(main())


@pytest.mark.parametrize("open_carrier", [open_grpc_carrier, open_flight_carrier])
def test_a_peer_that_moved_gets_its_frames_as_soon_as_it_calls(open_carrier) -> None:
    async def main() -> None:
        stays, before = [await open_carrier(options_of(number)) for number in (1, 2)]
        old_address = before.address
        await before.close()
        moved = Peer(public_key=NumberedIdentity(2).public_key, address=old_address)
        sending = asyncio.ensure_future(stays.send(b"where are you?", to=moved))
        after = await open_carrier(options_of(2))
        try:
            async with asyncio.timeout(30):
                await after.send(b"here", to=Peer(public_key=NumberedIdentity(1).public_key, address=stays.address))
                assert (await stays.receive()).frame == b"here"
                await sending  # it was dialling the old address, where nobody listens any more
                assert (await after.receive()).frame == b"where are you?"
        finally:
            await stays.close()
            await after.close()

    def options_of(number: int) -> CarrierOptions:
        return CarrierOptions(
            identity=NumberedIdentity(number), network_id="moves", listen="127.0.0.1:0", admits=lambda _key: True
        )

    asyncio.run(main())


@pytest.mark.parametrize("open_carrier", [open_zeromq, open_grpc_carrier, open_flight_carrier, open_nats_carrier])
def test_frames_of_two_nodes_that_call_each_other_at_once_all_arrive(open_carrier) -> None:
    frames = [f"frame {number}".encode() for number in range(3)]

    async def open_pair(turn: int, servers: list[str]) -> list[Carrier]:
        settings = {"servers": servers} if servers else {}
        return [
            await open_carrier(
                CarrierOptions(
                    identity=NumberedIdentity(number),
                    network_id="at-once",
                    listen="127.0.0.1:0",
                    admits=lambda _key: True,
                    settings=settings,
                )
            )
            for number in (2 * turn + 1, 2 * turn + 2)
        ]

    async def once(turn: int, servers: list[str]) -> None:
        pair = await open_pair(turn, servers)
        peers = [
            Peer(public_key=NumberedIdentity(2 * turn + place + 1).public_key, address=carrier.address)
            for place, carrier in enumerate(pair)
        ]
        try:
            async with asyncio.timeout(30):
                for frame in frames:
                    await asyncio.gather(pair[0].send(frame, to=peers[1]), pair[1].send(frame, to=peers[0]))
                for carrier in pair:
                    assert sorted([(await carrier.receive()).frame for _ in frames]) == frames
        finally:
            await asyncio.gather(*(carrier.close() for carrier in pair))

    async def main(servers: list[str]) -> None:
        for turn in range(12):
            await once(turn, servers)

    if open_carrier is open_nats_carrier:
        with NatsServers() as started:
            asyncio.run(main(list(started.urls)))
    else:
        asyncio.run(main([]))
