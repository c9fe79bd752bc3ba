"""A sum over the carrier of a node: what a ``SumParty`` says goes out until everybody has answered, or time is up.

Nothing is paid for before all parties are there, and nothing leaves before it is paid for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from fingerpost.errors import NetworkError, PrivacyError

if TYPE_CHECKING:
    from fingerpost.carrier.base import Delivery, Peer
    from fingerpost.privacy.noise import CountNoise, Counts
    from fingerpost.privacy.secure_sum import SumParty

AGAIN_SECONDS = 0.5  # until something is said again to those who have not answered
LINGER_SECONDS = 2.0  # for others to ask again for what they did not get


class Frames(Protocol):
    """What a sum needs of a ``Carrier``."""

    async def send(self, frame: bytes, *, to: Peer) -> None:
        """Hand one frame over. Raises ``NetworkError``."""
        ...

    async def receive(self) -> Delivery:
        """Wait for the next frame."""
        ...


async def sum_tables(
    carrier: Frames,
    peers: Mapping[bytes, Peer],
    party: SumParty,
    counts: Counts,
    noise: CountNoise,
    *,
    epsilon: float,
    pay: Callable[[], None],
    seconds: float,
) -> Counts:
    """Return the noisy sum of the tables of all parties; ``peers`` are the others, by public key.

    ``pay`` enters the table's subjects in the ledger, durably; it is called once, when all parties have said that they
    are there. Raises ``PrivacyError``: ``sum-dropout`` when a party does not send in time (before that nothing is paid
    for; nothing is released either way), ``sum-message``, and what ``pay`` raises.
    """
    try:
        async with asyncio.timeout(seconds):
            await _exchange(carrier, peers, party, party.hello)
            pay()
            await _exchange(carrier, peers, party, lambda: party.masked(counts, noise, epsilon=epsilon))
    except TimeoutError:
        pass  # ``total`` says what is missing.
    total = party.total()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            await _answer(carrier, peers, party, [party.hello(), party.masked(counts, noise, epsilon=epsilon)])
    return total


async def _exchange(
    carrier: Frames, peers: Mapping[bytes, Peer], party: SumParty, message: Callable[[], bytes]
) -> None:
    """Say one thing to all others, again and again to those who are silent, until all have said theirs."""
    said, everybody = message(), list(peers)
    hello = party.hello()
    while True:
        for key in everybody:
            with contextlib.suppress(NetworkError):  # It may come yet.
                await carrier.send(hello, to=peers[key])
                if said != hello:
                    await carrier.send(said, to=peers[key])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AGAIN_SECONDS):
                while party.waits_for:
                    await _take(carrier, peers, party)
        if not party.waits_for:
            return
        everybody = list(party.waits_for)


async def _answer(carrier: Frames, peers: Mapping[bytes, Peer], party: SumParty, messages: list[bytes]) -> None:
    while True:
        sender = await _take(carrier, peers, party)
        if sender is None:
            continue
        for message in messages:
            with contextlib.suppress(NetworkError):
                await carrier.send(message, to=peers[sender])


async def _take(carrier: Frames, peers: Mapping[bytes, Peer], party: SumParty) -> bytes | None:
    """Take in the next frame of a party; return who sent it. What strangers send is dropped."""
    delivery = await carrier.receive()
    sender = bytes(delivery.sender)
    if sender not in peers:
        return None
    try:
        party.take(delivery.frame, sender=sender)
    except PrivacyError:
        return None  # It cannot become part of the sum; if its sender says nothing better, there is none.
    return sender
