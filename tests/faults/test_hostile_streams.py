"""A crowd of streams that prove nothing: each makes room in time, and none gets in the way of another or of the end."""

from __future__ import annotations

import asyncio

from fingerpost.carrier.base import Address, Peer
from fingerpost.carrier.hello import PENDING_HELLOS_MAX
from fingerpost.carrier.streams import MessageStream, StreamCarrier
from tests.faults.hostile_peers import OPTIONS

CROWD = 4 * PENDING_HELLOS_MAX


class Silent:
    """A stream whose other end says nothing."""

    is_closed = False

    async def read(self, size_bytes_max: int) -> bytes | None:
        await asyncio.Event().wait()
        return None

    async def write(self, message: bytes) -> None:
        return None

    async def close(self) -> None:
        self.is_closed = True


class ListeningOnly(StreamCarrier):
    async def _open_stream(self, peer: Peer, address: Address) -> MessageStream:
        raise ConnectionError("it only listens")

    async def _stop(self) -> None:
        return None


def test_the_oldest_hellos_make_room_however_fast_new_ones_come_and_all_end_with_the_carrier() -> None:
    async def main() -> None:
        carrier = ListeningOnly(OPTIONS, name="listening-only")
        crowd = [Silent() for _ in range(CROWD)]
        serving = []
        for stream in crowd:
            serving.append(asyncio.create_task(carrier._serve(stream)))
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await asyncio.gather(*serving[:-PENDING_HELLOS_MAX])
        assert [stream.is_closed for stream in crowd] == [True] * (CROWD - PENDING_HELLOS_MAX) + [
            False
        ] * PENDING_HELLOS_MAX
        assert carrier.counts.refused == {"hello-timeout": CROWD - PENDING_HELLOS_MAX}
        async with asyncio.timeout(10):
            await carrier.close()
            assert await asyncio.gather(*serving) == [False] * CROWD
        assert all(stream.is_closed for stream in crowd)

    asyncio.run(main())


def test_a_carrier_closes_in_the_moment_in_which_a_hello_ends_by_itself() -> None:
    async def main() -> None:
        carrier = ListeningOnly(OPTIONS, name="listening-only")
        serving = asyncio.create_task(carrier._serve(Silent()))
        while not carrier._hellos:
            await asyncio.sleep(0)
        (patience,) = carrier._hellos.values()
        patience.reschedule(asyncio.get_running_loop().time())
        while not patience.expired():
            await asyncio.sleep(0)
        assert not serving.done(), "else this was not that moment"
        await carrier.close()
        assert await serving is False

    asyncio.run(main())
