"""What the tests of hostile peers share: a node that they attack, and a good peer that it must keep serving."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

from fingerpost.carrier.base import Carrier, CarrierOptions, Peer
from fingerpost.testing.channel_identities import NumberedIdentity

NODE, GOOD, HOSTILE, STRANGER = map(NumberedIdentity, (1, 2, 3, 4))
PATIENCE_SECONDS = 30.0

OPTIONS = CarrierOptions(
    identity=NODE,
    network_id="hostile",
    listen="127.0.0.1:0",
    admits=lambda public_key: public_key != STRANGER.public_key,
)
Open = Callable[[CarrierOptions], Awaitable[Carrier]]


@asynccontextmanager
async def a_node(open_carrier: Open, options: CarrierOptions = OPTIONS) -> AsyncIterator[Carrier]:
    """Open a node, and check at the end that it still serves a good peer, has logged what it refused, and closes."""
    with carrier_log() as lines:
        node = await open_carrier(options)
        try:
            async with asyncio.timeout(3 * PATIENCE_SECONDS):
                yield node
                await serves_a_good_peer(open_carrier, node)
                require_logged(node, lines)
        finally:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await node.close()


@contextmanager
def carrier_log() -> Iterator[list[str]]:
    """Collect what carriers log meanwhile."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("fingerpost.carrier")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)


def require_logged(carrier: Carrier, lines: list[str]) -> None:
    """Check that every reason for which a carrier has refused something was logged with its name."""
    for reason in carrier.counts.refused:
        assert any(line.startswith("refused ") and f": {reason} (" in line for line in lines), (reason, lines)


async def serves_a_good_peer(open_carrier: Open, node: Carrier) -> None:
    good = await open_carrier(replace(OPTIONS, identity=GOOD, listen=""))
    try:
        await good.send(b"good morning", to=Peer(public_key=NODE.public_key, address=node.address))
        delivery = await node.receive()
        assert (delivery.frame, delivery.sender) == (b"good morning", GOOD.public_key)
        await node.send(b"good day", to=Peer(public_key=GOOD.public_key))
        assert (await good.receive()).frame == b"good day"
    finally:
        await good.close()


async def counted(carrier: Carrier, reason: str, *, times: int = 1) -> None:
    """Wait until a refusal has been counted."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while carrier.counts.refused.get(reason, 0) < times:
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{reason} was not counted {times} times: {carrier.counts}") from None
