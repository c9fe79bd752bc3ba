"""What a node and its OpenDHT process say to each other: MessagePack behind a length of four bytes, over two pipes."""

from __future__ import annotations

from typing import Protocol

import msgspec

MESSAGE_SIZE_BYTES_MAX = 1 << 20
LENGTH_SIZE_BYTES = 4


class Start(msgspec.Struct, tag="start", frozen=True):
    """The first request: open a node. The reply carries the ``port`` it was opened on."""

    network: int
    bind: str
    port: int
    bootstrap: list[tuple[str, int]]
    lan_discovery: bool


class Announce(msgspec.Struct, tag="announce", frozen=True):
    """Publish a record under a region's key, in place of what this process published for the holder before."""

    region_key: bytes
    holder: bytes
    record: bytes


class Withdraw(msgspec.Struct, tag="withdraw", frozen=True):
    """Stop publishing the holder's record, and overwrite it."""

    region_key: bytes
    holder: bytes


class Find(msgspec.Struct, tag="find", frozen=True):
    """Read a region. The reply carries ``records``, ``refused``, ``complete`` and some ``nodes`` near the key."""

    network_id: str
    template_id: bytes
    depth: int
    prefix: int
    now: float
    known: list[bytes]


class Ping(msgspec.Struct, tag="ping", frozen=True):
    """Answer, to show that the interpreter is not stuck."""


class Stop(msgspec.Struct, tag="stop", frozen=True):
    """Finish what is under way, leave the network, answer and exit."""


class Request(msgspec.Struct, frozen=True, array_like=True):
    """One request; ``number`` comes back in its reply."""

    number: int
    body: Start | Announce | Withdraw | Find | Ping | Stop


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """The reply to one request; ``error`` is empty unless it failed.

    ``complete`` says that every node which should know had answered, so that what is missing is not there.
    """

    number: int
    error: str = ""
    port: int = 0
    complete: bool = False
    records: list[bytes] = []
    refused: dict[str, int] = {}
    nodes: list[str] = []


class ByteReader(Protocol):
    """The reading half of ``asyncio.StreamReader``."""

    async def readexactly(self, n: int, /) -> bytes:
        """Return ``n`` bytes, or raise ``asyncio.IncompleteReadError``."""
        ...


def to_bytes(message: Request | Reply) -> bytes:
    """Return a message with its length in front."""
    encoded = msgspec.msgpack.encode(message)
    if len(encoded) > MESSAGE_SIZE_BYTES_MAX:
        raise ValueError(f"a message of {len(encoded)} bytes; at most {MESSAGE_SIZE_BYTES_MAX}")
    return len(encoded).to_bytes(LENGTH_SIZE_BYTES, "big") + encoded


async def read_bytes(reader: ByteReader) -> bytes:
    """Return the bytes of the next message. Raises ``ValueError`` for a length that nobody here would send."""
    length = int.from_bytes(await reader.readexactly(LENGTH_SIZE_BYTES), "big")
    if length > MESSAGE_SIZE_BYTES_MAX:
        raise ValueError(f"a message of {length} bytes; at most {MESSAGE_SIZE_BYTES_MAX}")
    return await reader.readexactly(length)
