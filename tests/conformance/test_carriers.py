"""All carriers keep every promise of the port, and the kit sees carriers that break one."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from fingerpost.carrier._memory import MemoryCarrier, MemorySwitch
from fingerpost.carrier._zeromq import open_zeromq, open_zeromq_unencrypted
from fingerpost.carrier.base import Address, CarrierCounts, CarrierOptions, Delivery, Peer
from fingerpost.errors import NetworkError
from fingerpost.testing.carrier_kit import check_carrier
from fingerpost.testing.channel_identities import NumberedIdentity


def test_the_memory_carrier_keeps_every_promise() -> None:
    asyncio.run(check_carrier(MemorySwitch()))


def test_the_zeromq_carrier_keeps_every_promise() -> None:
    asyncio.run(check_carrier(open_zeromq))


def test_the_unencrypted_zeromq_carrier_keeps_every_promise() -> None:
    asyncio.run(check_carrier(open_zeromq_unencrypted))


class Planted:
    """A carrier that keeps every promise; what inherits from it breaks one."""

    def __init__(self, switch: MemorySwitch, options: CarrierOptions) -> None:
        self.inner: MemoryCarrier = switch.open(options)
        self.switch = switch

    @property
    def address(self) -> Address:
        return self.inner.address

    @property
    def counts(self) -> CarrierCounts:
        return self.inner.counts

    async def send(self, frame: bytes, *, to: Peer) -> None:
        await self.inner.send(frame, to=to)

    async def receive(self) -> Delivery:
        return await self.inner.receive()

    async def close(self) -> None:
        await self.inner.close()

    def receiver(self, to: Peer) -> MemoryCarrier | None:
        """Return where a frame would go."""
        known = self.inner._connected.get(to.public_key)
        return known or (self.switch.find(to.address.endpoint) if to.address is not None else None)


class Truncates(Planted):
    async def receive(self):
        delivery = await super().receive()
        return replace(delivery, frame=delivery.frame[:65_536])


class TakesAnySize(Planted):
    async def send(self, frame, *, to):
        await super().send(frame or b"\0", to=to)


class Reorders(Planted):
    held: Delivery | None = None

    async def receive(self):
        if self.held is not None:
            delivery, self.held = self.held, None
            return delivery
        delivery = await super().receive()
        if not self.inner._queue.empty():
            self.held, delivery = delivery, await super().receive()
        return delivery


class DeliversTwice(Planted):
    again: Delivery | None = None
    count = 0

    async def receive(self):
        if self.again is not None:
            delivery, self.again = self.again, None
            return delivery
        delivery = await super().receive()
        self.count += 1
        self.again = delivery if self.count == 5 else None
        return delivery


class LiesAboutTheSender(Planted):
    async def receive(self):
        return replace(await super().receive(), sender=NumberedIdentity(77).public_key)


class BelievesTheAddress(Planted):
    """Whoever listens at an address gets the frames, and its frames bear the name that was asked for."""

    async def send(self, frame, *, to):
        listener = self.switch.find(to.address.endpoint) if to.address is not None else None
        await super().send(frame, to=replace(to, public_key=listener.public_key) if listener is not None else to)


class TakesAProofForAnother(Planted):
    """Who is dialled under another's name refuses nothing: it has the opener's identity for proved."""

    async def send(self, frame, *, to):
        listener = self.switch.find(to.address.endpoint) if to.address is not None else None
        if listener is not None and listener.public_key != to.public_key:
            listener._connected[self.inner.public_key] = self.inner
            await asyncio.sleep(0)
        await super().send(frame, to=to)


class AdmitsEveryone(Planted):
    def __init__(self, switch, options):
        super().__init__(switch, replace(options, admits=lambda _public_key: True))


class CountsNothing(Planted):
    @property
    def counts(self):
        return CarrierCounts()


class IgnoresTheNetwork(Planted):
    def __init__(self, switch, options):
        super().__init__(switch, replace(options, network_id=""))


class DropsWhenFull(Planted):
    async def send(self, frame, *, to):
        receiver = self.receiver(to)
        if receiver is None or not receiver._queue.full():
            await super().send(frame, to=to)


class GrowsWithoutBound(Planted):
    def __init__(self, switch, options):
        super().__init__(switch, options)
        self.inner._queue = asyncio.Queue()


class HoldsUpEveryone(Planted):
    """One send at a time, whoever it is for."""

    def __init__(self, switch, options):
        super().__init__(switch, options)
        self.turn = asyncio.Lock()

    async def send(self, frame, *, to):
        async with self.turn:
            await super().send(frame, to=to)


class SendsOnlyToAddresses(Planted):
    async def send(self, frame, *, to):
        if to.address is None:
            raise NetworkError("carrier-unreachable", "no address")
        await super().send(frame, to=to)


class LosesOnReconnect(Planted):
    """Once a peer could not be reached, what is for it goes nowhere."""

    def __init__(self, switch, options):
        super().__init__(switch, options)
        self.lost: set[bytes] = set()

    async def send(self, frame, *, to):
        if to.public_key in self.lost:
            return
        try:
            await super().send(frame, to=to)
        except NetworkError as error:
            if error.code == "carrier-unreachable" and to.address is not None:
                self.lost.add(to.public_key)
            raise


class SendsIntoTheVoid(Planted):
    async def send(self, frame, *, to):
        if to.address is None or self.receiver(to) is not None or self.inner._closed.is_set() or len(frame) > 1 << 20:
            await super().send(frame, to=to)


class NeverCloses(Planted):
    async def close(self):
        await super().close()
        await asyncio.Event().wait()


class SleepsOnAfterClosing(Planted):
    async def receive(self):
        try:
            return await super().receive()
        except NetworkError:
            await asyncio.Event().wait()


class MovesWhenItReopens(Planted):
    def __init__(self, switch, options):
        super().__init__(switch, replace(options, listen=options.listen and "127.0.0.1:0"))


BROKEN = [
    (Truncates, "Whole: a frame of 65537 bytes arrives"),
    (DeliversTwice, "Whole: "),
    (TakesAnySize, "Errors: an empty frame raises"),
    (Reorders, "In order: "),
    (LiesAboutTheSender, "From whom: "),
    (BelievesTheAddress, "From whom: what answers at an address has proved"),
    (TakesAProofForAnother, "From whom: a proof meant for one peer"),
    (AdmitsEveryone, "From whom: an identity that is not admitted gets nothing"),
    (CountsNothing, "From whom: an identity that is not admitted is counted"),
    (IgnoresTheNetwork, "From whom: a proof for another network"),
    (DropsWhenFull, "Back-pressure: frames are not dropped"),
    (GrowsWithoutBound, "Back-pressure: send waits"),
    (HoldsUpEveryone, "Back-pressure: a receiver that takes nothing does not hold up another"),
    (SendsOnlyToAddresses, "Whole: a frame of 1 bytes arrives"),
    (LosesOnReconnect, "It comes back: "),
    (MovesWhenItReopens, "It comes back: "),
    (SendsIntoTheVoid, "Errors: a peer that does not listen raises"),
    (NeverCloses, "It ends: close returns"),
    (SleepsOnAfterClosing, "It ends: "),
]


def test_the_kit_finds_nothing_wrong_with_what_is_planted_upon() -> None:
    check_planted(Planted)


@pytest.mark.parametrize(("kind", "promise"), BROKEN, ids=[kind.__name__ for kind, _ in BROKEN])
def test_the_kit_rejects_a_carrier_that_breaks_a_promise(kind: type[Planted], promise: str) -> None:
    with pytest.raises(AssertionError) as rejected:
        check_planted(kind)
    assert str(rejected.value).startswith(promise)


def check_planted(kind: type[Planted]) -> None:
    switch = MemorySwitch()

    async def make(options: CarrierOptions) -> Planted:
        return kind(switch, options)

    asyncio.run(check_carrier(make, timeout_seconds=3.0))
