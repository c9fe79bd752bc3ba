"""Whoever attacks the port of a gRPC or Flight carrier gets nothing, is counted, and hinders nobody."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from fingerpost.carrier._flight import open_flight_carrier
from fingerpost.carrier._flight_gate import bearer
from fingerpost.carrier._grpc import METHOD, SERVICE, open_grpc_carrier
from fingerpost.carrier._tls import split_endpoint
from fingerpost.carrier.base import Address, Carrier, Peer
from fingerpost.carrier.hello import Greeting
from fingerpost.carrier.links import LINKS_PER_PEER_MAX
from fingerpost.errors import NetworkError
from fingerpost.limits import FRAME_SIZE_BYTES_MAX
from tests.faults.hostile_peers import GOOD, HOSTILE, NODE, OPTIONS, STRANGER, Open, a_node, counted

on_both = pytest.mark.parametrize("open_carrier", [open_grpc_carrier, open_flight_carrier])


@on_both
def test_a_listener_with_another_key_is_not_told_a_word(open_carrier: Open) -> None:
    async def main() -> None:
        async with a_node(open_carrier) as node:
            opener = await open_carrier(replace(OPTIONS, identity=GOOD, listen=""))
            wrong = Address(endpoint=node.address.endpoint, channel_key=bytes(32))
            with pytest.raises(NetworkError, match="another key") as caught:
                await opener.send(b"secret", to=Peer(public_key=NODE.public_key, address=wrong))
            assert caught.value.code == "carrier-unreachable"
            assert opener.counts.refused == {"channel-key": 1}
            assert node.counts.refused == {}, "no hello came that could be refused"
            await opener.close()

    asyncio.run(main())


@on_both
def test_a_listener_that_borrows_a_name_gets_no_frame(open_carrier: Open) -> None:
    async def main() -> None:
        async with a_node(open_carrier) as node:
            opener = await open_carrier(replace(OPTIONS, identity=GOOD, listen=""))
            with pytest.raises(NetworkError, match="another node"):
                await opener.send(b"secret", to=Peer(public_key=HOSTILE.public_key, address=node.address))
            assert opener.counts.refused == {"welcome-signature": 1}
            await opener.close()

    asyncio.run(main())


@on_both
def test_a_peer_that_is_not_admitted_is_counted_and_gets_nothing(open_carrier: Open) -> None:
    async def main() -> None:
        async with a_node(open_carrier) as node:
            stranger = await open_carrier(replace(OPTIONS, identity=STRANGER, listen=""))
            with pytest.raises(NetworkError, match="does not let this node in"):
                await stranger.send(b"let me in", to=Peer(public_key=NODE.public_key, address=node.address))
            assert node.counts.refused == {"not-admitted": 1}
            await stranger.close()

    asyncio.run(main())


@on_both
def test_garbage_on_the_port_hinders_nobody(open_carrier: Open) -> None:
    async def main() -> None:
        async with a_node(open_carrier) as node:
            for tls in (False, True):
                for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 70_000, bytes(range(256)) * 4):
                    heard = await asyncio.to_thread(talk, node.address, garbage, tls=tls)
                    assert len(heard) < 256, "at most what HTTP/2 opens with, and why it ends"

    asyncio.run(main())


@on_both
@pytest.mark.parametrize("tls", [False, True], ids=["before TLS", "after TLS"])
def test_a_connection_that_proves_nothing_gets_nothing_and_is_ended(open_carrier: Open, tls: bool) -> None:
    async def main() -> None:
        async with a_node(open_carrier) as node:
            loris = [asyncio.create_task(asyncio.to_thread(talk, node.address, b"", tls=tls)) for _ in range(3)]
            await counted(node, "hello-timeout", times=3)
            for said in await asyncio.gather(*loris):
                assert len(said) < 256, "at most what HTTP/2 opens with"
                assert OPTIONS.network_id.encode() not in said
                assert bytes(NODE.public_key) not in said

    asyncio.run(main())


@on_both
@pytest.mark.parametrize("said", [b"", b"GET /cells HTTP/1.1\r\nHost: node\r\n\r\n"], ids=["silent", "asking"])
def test_openssl_s_client_gets_nothing_and_the_node_serves_on(open_carrier: Open, said: bytes) -> None:
    async def main() -> None:
        async with a_node(open_carrier) as node:
            where = "{}:{}".format(*split_endpoint(node.address.endpoint))
            client = await asyncio.create_subprocess_exec(
                *("openssl", "s_client", "-quiet", "-alpn", "h2", "-connect", where),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            assert client.stdin is not None
            assert client.stdout is not None
            assert client.stderr is not None
            client.stdin.write(said)
            async with asyncio.timeout(60):
                heard = await client.stdout.read()  # to the end, which the node makes
                about = await client.stderr.read()
                await client.wait()
            assert b"verify" in about, "it spoke TLS, and saw a certificate that nobody vouches for"
            assert len(heard) < 256, "at most what HTTP/2 opens with, and why it ends"
            assert OPTIONS.network_id.encode() not in heard
            assert bytes(NODE.public_key) not in heard
            if not said:
                await counted(node, "hello-timeout")

    asyncio.run(main())


def test_a_crowd_of_silent_connections_makes_room_for_a_good_peer() -> None:
    async def main() -> None:
        async with a_node(open_grpc_carrier) as node:
            where = split_endpoint(node.address.endpoint)
            crowd = [await asyncio.open_connection(*where) for _ in range(80)]
            await counted(node, "hello-crowded", times=16)
            assert set(node.counts.refused) <= {"hello-crowded", "hello-timeout"}
            for _reader, writer in crowd:
                writer.close()

    asyncio.run(main())


@pytest.mark.parametrize("listener_key", ["another listener", "this listener"])
def test_a_proof_of_another_grpc_channel_proves_nothing(listener_key: str) -> None:
    async def main() -> None:
        async with a_node(open_grpc_carrier) as node:
            key = node.address.channel_key if listener_key == "this listener" else bytes(32)
            recorded = greeting_for("grpc", key, bytes(32)).hello(HOSTILE)
            call, channel = await grpc_stream(node.address)
            assert len(await call.read()) == 32
            await call.write(recorded)
            assert await ended(call)
            await channel.close()
            assert node.counts.refused == {"hello-signature": 1}

    asyncio.run(main())


def test_a_grpc_stream_without_a_hello_is_ended() -> None:
    async def main() -> None:
        async with a_node(open_grpc_carrier) as node:
            call, channel = await grpc_stream(node.address)
            assert len(await call.read()) == 32
            assert await ended(call)
            await counted(node, "hello-timeout")
            await channel.close()

    asyncio.run(main())


def test_more_grpc_streams_than_a_peer_may_have_end_its_oldest() -> None:
    async def main() -> None:
        async with a_node(open_grpc_carrier) as node:
            calls = []
            for _ in range(LINKS_PER_PEER_MAX + 1):
                call, channel = await grpc_stream(node.address)
                greeting = greeting_for("grpc", node.address.channel_key, await call.read())
                await call.write(greeting.hello(HOSTILE))
                assert greeting.check_welcome(await call.read()) == NODE.public_key
                calls.append((call, channel))
            assert await ended(calls[0][0])
            assert node.counts.refused == {"connections-max": 1}
            await calls[-1][0].write(b"still here")
            assert (await node.receive()).frame == b"still here"
            for _call, channel in calls:
                await channel.close()

    asyncio.run(main())


@pytest.mark.parametrize(("size", "reason"), [(FRAME_SIZE_BYTES_MAX + 1, "frame-too-large"), (0, "frame-empty")])
def test_a_frame_out_of_bounds_ends_the_grpc_stream(size: int, reason: str) -> None:
    async def main() -> None:
        async with a_node(open_grpc_carrier) as node:
            call, channel = await grpc_stream(node.address)
            greeting = greeting_for("grpc", node.address.channel_key, await call.read())
            await call.write(greeting.hello(HOSTILE))
            assert greeting.check_welcome(await call.read()) == NODE.public_key
            await call.write(bytes(size))
            await counted(node, reason)
            assert await ended(call)
            await channel.close()

    asyncio.run(main())


def test_a_grpc_message_beyond_all_bounds_is_never_held_in_memory() -> None:
    async def main() -> None:
        async with a_node(open_grpc_carrier) as node:
            call, channel = await grpc_stream(node.address)
            await call.read()
            with suppress(grpc.aio.AioRpcError):  # The node may have ended the stream while this still writes.
                await call.write(bytes(64 * FRAME_SIZE_BYTES_MAX))
            assert await ended(call)
            await counted(node, "hello-missing")
            await channel.close()

    asyncio.run(main())


def test_a_flight_call_without_a_token_is_not_read() -> None:
    def attack(address: Address) -> None:
        with flight_client(address) as client:
            for headers in ([], bearer(bytes(32)), [(b"authorization", b"Bearer zz")], [(b"authorization", b"")]):
                options = flight.FlightCallOptions(headers=headers, timeout=20)
                with pytest.raises(flight.FlightUnauthenticatedError):  # At once, or when it is used.
                    client.do_exchange(flight.FlightDescriptor.for_command(b"x"), options)[1].read_chunk()
                with pytest.raises(flight.FlightUnauthenticatedError):
                    list(client.list_flights(options=options))

    async def main() -> None:
        async with a_node(open_flight_carrier) as node:
            await asyncio.to_thread(attack, node.address)
            assert node.counts.refused == {"token": 8}

    asyncio.run(main())


def test_a_proof_of_another_flight_channel_earns_no_token() -> None:
    def attack(address: Address) -> None:
        with flight_client(address) as client:
            for key, challenge in ((bytes(32), b""), (address.channel_key, bytes(32))):
                fresh = act(client, "challenge", b"")
                hello = greeting_for("flight", key, challenge or fresh).hello(HOSTILE)
                with pytest.raises(flight.FlightUnauthenticatedError):
                    act(client, "token", fresh + hello)
            greeting = greeting_for("flight", address.channel_key, act(client, "challenge", b""))
            request = greeting.challenge + greeting.hello(HOSTILE)
            assert act(client, "token", request)
            with pytest.raises(flight.FlightUnauthenticatedError):
                act(client, "token", request)
            with pytest.raises(flight.FlightUnauthenticatedError):
                act(client, "token", b"?")

    async def main() -> None:
        async with a_node(open_flight_carrier) as node:
            await asyncio.to_thread(attack, node.address)
            assert node.counts.refused == {"hello-signature": 2, "hello-timeout": 1, "hello-missing": 1}

    asyncio.run(main())


def test_a_flight_client_that_says_too_much_before_its_proof_is_cut_off() -> None:
    cut_off = threading.Event()

    def attack(address: Address) -> None:
        with flight_client(address) as client:
            while not cut_off.is_set():
                with suppress(flight.FlightUnauthenticatedError, flight.FlightUnavailableError):
                    act(client, "token", bytes(1 << 20))

    async def main() -> None:
        async with a_node(open_flight_carrier) as node:
            attacking = asyncio.create_task(asyncio.to_thread(attack, node.address))
            await counted(node, "hello-too-large", times=2)
            cut_off.set()
            await attacking
            assert "hello-timeout" not in node.counts.refused

    asyncio.run(main())


def test_a_frame_out_of_bounds_ends_the_flight_stream() -> None:
    def attack(address: Address) -> None:
        with flight_client(address) as client:
            writer, reader = flight_stream(client, address)
            writer.write_metadata(bytes(FRAME_SIZE_BYTES_MAX + 1))
            with pytest.raises((flight.FlightError, StopIteration)):
                reader.read_chunk()

    async def main() -> None:
        async with a_node(open_flight_carrier) as node:
            await asyncio.to_thread(attack, node.address)
            await counted(node, "frame-too-large")

    asyncio.run(main())


def test_a_flight_member_that_reads_nothing_cannot_keep_the_node_from_closing() -> None:
    async def main() -> None:
        before = set(threading.enumerate())
        node = await open_flight_carrier(OPTIONS)
        with flight_client(node.address) as client:
            writer, reader = await asyncio.to_thread(flight_stream, client, node.address)
            writer.write_metadata(b"here I am")
            assert (await node.receive()).frame == b"here I am"
            await fill(node)
            async with asyncio.timeout(20):
                await node.close()
            left = set(threading.enumerate()) - before
            assert not [thread.name for thread in left if thread.name.startswith("fingerpost")]
            reader.cancel()

    async def fill(node: Carrier) -> None:
        """Send until one send waits, so that a thread of the node is stuck in a write."""
        try:
            async with asyncio.timeout(2):
                while True:
                    await node.send(bytes(FRAME_SIZE_BYTES_MAX), to=Peer(public_key=HOSTILE.public_key))
        except TimeoutError:
            return

    asyncio.run(main())


def test_a_member_that_stalls_in_a_cell_cannot_keep_the_node_from_closing() -> None:
    cell = pa.table({"packet": pa.array([bytes(FRAME_SIZE_BYTES_MAX)] * 64)})

    async def main() -> None:
        node = await open_flight_carrier(replace(OPTIONS, settings={"read_cell": {b"cell": cell}.__getitem__}))
        with flight_client(node.address) as client:
            reader = await asyncio.to_thread(begin_to_read, client, node.address)
            async with asyncio.timeout(20):
                await node.close()
            with pytest.raises(flight.FlightError):
                await asyncio.to_thread(reader.read_all)

    def begin_to_read(client: flight.FlightClient, address: Address) -> Any:
        options = flight.FlightCallOptions(headers=bearer(flight_token(client, address)))
        reader = client.do_get(flight.Ticket(b"cell"), options)
        assert reader.schema == cell.schema
        return reader

    asyncio.run(main())


def test_a_flight_member_holds_no_more_than_a_few_calls() -> None:
    def attack(address: Address) -> None:
        with flight_client(address) as client:
            streams = []
            for _ in range(12):
                with suppress(flight.FlightUnavailableError):  # Refused at once, or only when it is used.
                    streams.append(flight_stream(client, address))
            for writer, reader in streams:
                reader.cancel()
                with pytest.raises(flight.FlightError):
                    writer.close()

    async def main() -> None:
        async with a_node(open_flight_carrier) as node:
            await asyncio.to_thread(attack, node.address)
            await counted(node, "calls-crowded")

    asyncio.run(main())


def talk(address: Address, said: bytes, *, tls: bool) -> bytes:
    """Say something to a port and return all that comes back until the other end has had enough."""
    with socket.create_connection(split_endpoint(address.endpoint), timeout=25) as connection:
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.set_alpn_protocols(["h2"])
            connection = context.wrap_socket(connection)
        heard = b""
        with connection:
            try:
                connection.sendall(said)
                while part := connection.recv(4_096):
                    heard += part
            except (ConnectionError, ssl.SSLError):
                return heard
        return heard


def greeting_for(carrier: str, listener_key: bytes, challenge: bytes) -> Greeting:
    return Greeting(carrier=carrier, network_id=OPTIONS.network_id, listener_key=listener_key, challenge=challenge)


async def grpc_stream(address: Address) -> tuple[Any, grpc.aio.Channel]:
    host, port = split_endpoint(address.endpoint)
    certificate = await asyncio.to_thread(ssl.get_server_certificate, (host, port))
    channel = grpc.aio.secure_channel(
        f"{host}:{port}",
        grpc.ssl_channel_credentials(certificate.encode()),
        options=[
            ("grpc.ssl_target_name_override", "fingerpost"),
            ("grpc.enable_http_proxy", 0),
            ("grpc.max_send_message_length", -1),
        ],
    )
    return channel.stream_stream(f"/{SERVICE}/{METHOD}")(), channel


async def ended(call: Any) -> bool:
    """Say whether nothing more comes."""
    try:
        return not isinstance(await call.read(), bytes)
    except grpc.aio.AioRpcError:
        return True


def flight_client(address: Address) -> flight.FlightClient:
    return flight.connect(
        address.endpoint.replace("tls://", "grpc+tls://"),
        tls_root_certs=ssl.get_server_certificate(split_endpoint(address.endpoint)).encode(),
        override_hostname="fingerpost",
        generic_options=[("grpc.enable_http_proxy", 0)],
    )


def act(client: flight.FlightClient, kind: str, body: bytes) -> bytes:
    (result,) = client.do_action(flight.Action(kind, body), flight.FlightCallOptions(timeout=20))
    return bytes(result.body.to_pybytes())


def flight_token(client: flight.FlightClient, address: Address) -> bytes:
    greeting = greeting_for("flight", address.channel_key, act(client, "challenge", b""))
    return act(client, "token", greeting.challenge + greeting.hello(HOSTILE))[96:]


def flight_stream(client: flight.FlightClient, address: Address) -> tuple[Any, Any]:
    options = flight.FlightCallOptions(headers=bearer(flight_token(client, address)))
    writer, reader = client.do_exchange(flight.FlightDescriptor.for_command(b"frames"), options)
    writer.begin(pa.schema([]))
    return writer, reader
