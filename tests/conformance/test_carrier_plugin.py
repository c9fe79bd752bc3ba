"""The carrier of ``examples/carrier_plugin``, packaged and found as a third party's, keeps each promise of the port."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from fingerpost import AsyncNode, Network
from fingerpost.carrier.base import Address, CarrierFactory, Peer
from fingerpost.carrier.hello import PENDING_HELLOS_MAX
from fingerpost.errors import FingerpostError, NetworkError, UsageError
from fingerpost.ids import PublicKey
from fingerpost.limits import FRAME_SIZE_BYTES_MAX
from fingerpost.node.network import CARRIERS_GROUP
from fingerpost.packet import packet_ids
from fingerpost.testing.carrier_kit import check_carrier
from tests.faults.hostile_peers import GOOD, NODE, OPTIONS, a_node, counted

ROOT = Path(__file__).resolve().parents[2]
PUMPS = ROOT / "examples/pumps.toml"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package of the example, as its author would."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT / "examples/carrier_plugin", check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture
def open_plain_tcp(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CarrierFactory]:
    """Put the wheel on the path, for entry points are found there, and give what it registers."""
    monkeypatch.syspath_prepend(str(wheel))
    (point,) = entry_points(group=CARRIERS_GROUP, name="plain-tcp")
    yield point.load()
    del sys.modules["plain_tcp"]


def test_the_carrier_of_a_third_party_keeps_every_promise(open_plain_tcp: CarrierFactory) -> None:
    asyncio.run(check_carrier(open_plain_tcp))


@pytest.mark.usefixtures("open_plain_tcp")
def test_two_nodes_exchange_packets_over_a_carrier_that_is_found_by_its_entry_point() -> None:
    async def main() -> None:
        async with await AsyncNode.open(PUMPS, network=network()) as first:
            listed = {"public_key": first.public_key.hex(), "carrier": "plain-tcp", "endpoint": first.address.endpoint}
            assert first.address.channel_key == b""
            async with await AsyncNode.open(PUMPS, network=network(listed)) as second:
                told = {"hours": 100, "noise": "none"}
                emitted = await second.emit(situation=told, action="grease", outcome="yes")
                assert [packet.hex() for packet in await ids_of(first)] == [emitted]
                assert (await first.ask({"hours": 100})).packets == 1
            async with await AsyncNode.open(PUMPS, network=network(listed)) as newcomer:
                assert (await newcomer.ask({"hours": 100})).packets == 1

    asyncio.run(main())


def test_a_carrier_that_nobody_registers_is_refused_by_name() -> None:
    async def main() -> None:
        with pytest.raises(UsageError, match="plain-tcp") as caught:
            await AsyncNode.open(PUMPS, network=network())
        assert caught.value.code == "backend-unknown"
        assert "zeromq" in caught.value.hint

    asyncio.run(main())


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "hello-too-large"),
        (b"\xff\xff\xff\xff", "hello-too-large"),
        (b"\x00\x00\x00\x05hello", "hello-signature"),
        (b"\x00\x00\x00\x00", "hello-missing"),
        (b"", "hello-timeout"),
    ],
)
def test_a_connection_that_proves_nothing_gets_a_challenge_and_no_more(
    open_plain_tcp: CarrierFactory, said: bytes, reason: str
) -> None:
    async def main() -> None:
        async with a_node(open_plain_tcp) as node:
            reader, writer = await connect(node.address)
            writer.write(said)
            heard = await reader.read()
            assert len(heard) == 36, "the length of the challenge, and the challenge"
            await counted(node, reason)
            writer.close()

    asyncio.run(main())


def test_a_crowd_of_silent_connections_makes_room_for_a_good_peer_of_a_third_party_carrier(
    open_plain_tcp: CarrierFactory,
) -> None:
    async def main() -> None:
        async with a_node(open_plain_tcp) as node:
            crowd = [await connect(node.address) for _ in range(PENDING_HELLOS_MAX + 16)]
            await counted(node, "hello-timeout", times=16)
            good = await open_plain_tcp(replace(OPTIONS, identity=GOOD, listen=""))
            await good.send(b"let me through", to=Peer(public_key=NODE.public_key, address=node.address))
            assert (await node.receive()).frame == b"let me through"
            await good.close()
            for _reader, writer in crowd:
                writer.close()

    asyncio.run(main())


def test_a_frame_with_an_endless_length_ends_the_connection_before_memory_is_taken(
    open_plain_tcp: CarrierFactory,
) -> None:
    async def main() -> None:
        async with a_node(open_plain_tcp) as node:
            good: Any = await open_plain_tcp(replace(OPTIONS, identity=GOOD, listen=""))
            stream = await good._open_stream(Peer(public_key=NODE.public_key), node.address)
            await good._introduce(stream, Peer(public_key=NODE.public_key), node.address)
            stream._writer.write((FRAME_SIZE_BYTES_MAX + 1).to_bytes(4, "big"))
            assert await stream.read(1) is None
            assert node.counts.refused == {"frame-too-large": 1}
            await stream.close()
            await good.close()

    asyncio.run(main())


@pytest.mark.parametrize("endpoint", ["", "nowhere", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", ":1"])
def test_an_endpoint_that_is_none_is_an_unreachable_peer(open_plain_tcp: CarrierFactory, endpoint: str) -> None:
    async def main() -> None:
        carrier = await open_plain_tcp(replace(OPTIONS, listen=""))
        with pytest.raises(NetworkError) as caught:
            await carrier.send(b"?", to=Peer(public_key=GOOD.public_key, address=Address(endpoint=endpoint)))
        assert caught.value.code == "carrier-unreachable"
        await carrier.close()

    asyncio.run(main())


def test_an_address_with_a_channel_key_is_not_dialled_by_a_carrier_that_has_none(
    open_plain_tcp: CarrierFactory,
) -> None:
    """Its key would stand in the proof for the listener's identity, and could be that of a third node."""

    async def main() -> None:
        async with a_node(open_plain_tcp) as node:
            opener = await open_plain_tcp(replace(OPTIONS, identity=GOOD, listen=""))
            claimed = Address(endpoint=node.address.endpoint, channel_key=bytes(NODE.public_key))
            with pytest.raises(NetworkError, match="channel key"):
                await opener.send(b"?", to=Peer(public_key=PublicKey(bytes(32)), address=claimed))
            assert node.counts.refused == {}
            await opener.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("change", "code"),
    [({"listen": "127.0.0.1"}, "listen-failed"), ({"settings": {"speed": 9}}, "carrier-settings")],
)
def test_options_that_a_third_party_carrier_cannot_use_are_refused(
    open_plain_tcp: CarrierFactory, change: dict[str, Any], code: str
) -> None:
    async def main() -> None:
        with pytest.raises(FingerpostError) as caught:
            await open_plain_tcp(replace(OPTIONS, **change))
        assert caught.value.code == code

    asyncio.run(main())


def network(*peers: dict[str, str]) -> Network:
    return Network(
        network_id="pumps",
        members=None,
        carrier_name="plain-tcp",
        directory_name="static",
        directory_settings={"peers": peers},
    )


async def ids_of(node: AsyncNode) -> list[bytes]:
    return [packet_id.tobytes() for packet_id in packet_ids(await node.packets())]


async def connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.endpoint.rpartition(":")
    return await asyncio.open_connection(host, int(port))
