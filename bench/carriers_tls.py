"""How much of what a bare library moves in 1 MB frames is left by the carriers on gRPC, Arrow Flight and NATS.

Prints ``carrier_efficiency_{grpc,flight,nats}``: throughput of the carrier (proved identities, encryption,
back-pressure) ÷ that of the bare library, sender and receiver in one process, in turn. The bare gRPC and Flight use
TLS with the same kind of key; ``carrier_efficiency_{grpc,flight}_clear`` compares with them in the clear. NATS refuses
1 MB, so its library moves 512 KiB messages, in the clear, while the carrier seals what it moves.
"""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import nats
import pyarrow as pa
import pyarrow.flight as flight

from bench._figures import Figure, is_quick, median_figure, write_figures
from fingerpost.carrier._flight import open_flight_carrier
from fingerpost.carrier._grpc import open_grpc_carrier
from fingerpost.carrier._nats import open_nats_carrier
from fingerpost.carrier._tls import SERVER_NAME, TlsIdentity, make_tls_identity
from fingerpost.carrier.base import Carrier, CarrierOptions, Peer
from fingerpost.limits import FRAME_SIZE_BYTES_MAX
from fingerpost.testing.channel_identities import NumberedIdentity
from fingerpost.testing.nats_servers import NatsServers

TARGET = "network"
FRAME = bytes(FRAME_SIZE_BYTES_MAX)
NATS_MESSAGE = bytes(FRAME_SIZE_BYTES_MAX // 2)
SECONDS_MAX = 120.0
NO_PROXY = [("grpc.enable_http_proxy", 0)]

Open = Callable[[CarrierOptions], Awaitable[Carrier]]
Move = Callable[[int], Awaitable[None]]  # of a number of frames, from one end to the other


def main() -> None:
    """Measure and write the figures."""
    frames, rounds = (60, 3) if is_quick() else (120, 7)
    figures = []
    for measure in (carrier_efficiency_grpc, carrier_efficiency_flight, carrier_efficiency_nats):
        figures += asyncio.run(measure(frames, rounds))
    write_figures(TARGET, figures)


async def carrier_efficiency_grpc(frames: int, rounds: int) -> list[Figure]:
    """Compare the carrier with one bare grpc.aio stream."""
    tls = make_tls_identity(NumberedIdentity(1), b"bench")
    async with _ours(open_grpc_carrier) as ours, _bare_grpc(tls) as bare, _bare_grpc(None) as clear:
        return await _compare("grpc", {"ours": ours, "bare": bare, "clear": clear}, frames, rounds)


async def carrier_efficiency_flight(frames: int, rounds: int) -> list[Figure]:
    """Compare the carrier with one bare DoPut of record batches of 2,048 packets."""
    tls = make_tls_identity(NumberedIdentity(1), b"bench")
    async with _ours(open_flight_carrier) as ours, _bare_flight(tls) as bare, _bare_flight(None) as clear:
        return await _compare("flight", {"ours": ours, "bare": bare, "clear": clear}, frames, rounds)


async def carrier_efficiency_nats(frames: int, rounds: int) -> list[Figure]:
    """Compare the carrier with a bare subscription on the same server."""
    with NatsServers() as servers:
        settings = {"servers": servers.urls}
        async with _ours(open_nats_carrier, settings) as ours, _bare_nats(servers.urls) as bare:
            return await _compare("nats", {"ours": ours, "bare": bare}, frames, rounds)


async def _compare(name: str, moves: dict[str, Move], frames: int, rounds: int) -> list[Figure]:
    rates: dict[str, list[float]] = {arm: [] for arm in moves}
    async with asyncio.timeout(SECONDS_MAX):
        for turn in range(rounds + 1):  # The first is not counted.
            for arm, move in moves.items():
                start = time.perf_counter()
                await move(frames)
                if turn:
                    rates[arm].append(frames * len(FRAME) / 1e6 / (time.perf_counter() - start))
    detail = {f"{arm}_megabytes_per_second": statistics.median(rate) for arm, rate in rates.items()}
    figures = []
    for arm, suffix in (("bare", ""), ("clear", "_clear")):
        if arm in rates:
            ratios = [ours / theirs for ours, theirs in zip(rates["ours"], rates[arm], strict=True)]
            named = f"carrier_efficiency_{name}{suffix}"
            figures.append(median_figure(named, ratios, unit="ratio", detail=detail))
    return figures


@asynccontextmanager
async def _ours(open_carrier: Open, settings: dict[str, Any] | None = None) -> AsyncIterator[Move]:
    def options(number: int) -> CarrierOptions:
        return CarrierOptions(
            identity=NumberedIdentity(number),
            network_id="bench",
            listen="127.0.0.1:0",
            admits=lambda _public_key: True,
            settings=settings or {},
        )

    sender, receiver = await open_carrier(options(1)), await open_carrier(options(2))
    to = Peer(public_key=NumberedIdentity(2).public_key, address=receiver.address)

    async def move(frames: int) -> None:
        async def send() -> None:
            for _ in range(frames):
                await sender.send(FRAME, to=to)

        sending = asyncio.create_task(send())
        for _ in range(frames):
            await receiver.receive()
        await sending

    try:
        yield move
    finally:
        await sender.close()
        await receiver.close()


@asynccontextmanager
async def _bare_grpc(tls: TlsIdentity | None) -> AsyncIterator[Move]:
    async def count(_requests: AsyncIterator[bytes], context: Any) -> None:
        frames = 0
        while isinstance(await context.read(), bytes):
            frames += 1
        await context.write(b"%d" % frames)

    sizes = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    handler = grpc.stream_stream_rpc_method_handler(count)
    server = grpc.aio.server(options=sizes)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("bench", {"count": handler})])
    if tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[*sizes, *NO_PROXY])
    else:
        credentials = grpc.ssl_server_credentials([(tls.key_pem, tls.certificate_pem)])
        port = server.add_secure_port("127.0.0.1:0", credentials)
        named = [*sizes, *NO_PROXY, ("grpc.ssl_target_name_override", SERVER_NAME)]
        trusted = grpc.ssl_channel_credentials(tls.certificate_pem)
        channel = grpc.aio.secure_channel(f"127.0.0.1:{port}", trusted, options=named)
    await server.start()

    async def move(frames: int) -> None:
        call = channel.stream_stream("/bench/count")()
        for _ in range(frames):
            await call.write(FRAME)
        await call.done_writing()
        if int(await call.read()) != frames:
            raise RuntimeError("frames were lost")

    try:
        yield move
    finally:
        await channel.close()
        await server.stop(0)


class _Counter(flight.FlightServerBase):  # type: ignore[misc]
    def do_put(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:  # noqa: ARG002
        batches = 0
        for chunk in reader:
            batches += chunk.data.num_rows > 0
        writer.write(b"%d" % batches)


@asynccontextmanager
async def _bare_flight(tls: TlsIdentity | None) -> AsyncIterator[Move]:
    certificates = [(tls.certificate_pem, tls.key_pem)] if tls else []
    server = _Counter(("127.0.0.1", 0), tls_certificates=certificates)
    trust = {"tls_root_certs": tls.certificate_pem, "override_hostname": SERVER_NAME} if tls else {}
    scheme = "grpc+tls" if tls else "grpc+tcp"
    client = flight.connect(f"{scheme}://127.0.0.1:{server.port}", generic_options=NO_PROXY, **trust)
    packets = pa.Array.from_buffers(pa.binary(512), len(FRAME) // 512, [None, pa.py_buffer(FRAME)])
    batch = pa.record_batch([packets], names=["packet"])

    def put(frames: int) -> None:
        writer, answers = client.do_put(flight.FlightDescriptor.for_path("bench"), batch.schema)
        for _ in range(frames):
            writer.write_batch(batch)
        writer.done_writing()
        if int(answers.read().to_pybytes()) != frames:
            raise RuntimeError("frames were lost")
        writer.close()

    async def move(frames: int) -> None:
        await asyncio.to_thread(put, frames)

    try:
        yield move
    finally:
        client.close()
        stopping = threading.Thread(target=server.shutdown)
        stopping.start()
        await asyncio.to_thread(stopping.join)


@asynccontextmanager
async def _bare_nats(urls: list[str]) -> AsyncIterator[Move]:
    sender, receiver = await nats.connect(urls), await nats.connect(urls)
    subscription = await receiver.subscribe("bench")
    await receiver.flush()

    async def move(frames: int) -> None:
        async def send() -> None:
            for _ in range(2 * frames):
                await sender.publish("bench", NATS_MESSAGE)
                await room.acquire()

        room = asyncio.Semaphore(16)  # A server drops messages for who is further behind.
        sending = asyncio.create_task(send())
        for _ in range(2 * frames):
            await subscription.next_msg(timeout=30)
            room.release()
        await sending

    try:
        yield move
    finally:
        await sender.close()
        await receiver.close()


if __name__ == "__main__":
    main()
