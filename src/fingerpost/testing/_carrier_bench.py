"""Where the carrier kit checks one promise: carriers by the number of their identity, and waits that end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fingerpost.carrier.base import Carrier, CarrierOptions, Delivery, Peer
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey
from fingerpost.testing.channel_identities import NumberedIdentity

MakeCarrier = Callable[[CarrierOptions], Awaitable[Carrier]]

ANYWHERE = "127.0.0.1:0"
NETWORK_ID = "carrier-kit"
QUIET_SECONDS = 0.3  # for what must not arrive; a slow carrier that breaks a promise may slip through, no other fails
CLOSE_SECONDS_MAX = 10.0

_Result = TypeVar("_Result")


@dataclass(slots=True)
class CarrierBench:
    """Where one promise is checked: it opens carriers by the number of their identity, and closes them all."""

    make: MakeCarrier
    timeout_seconds: float
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    tasks: list[asyncio.Future[Any]] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def open_for(cls, make: MakeCarrier, timeout_seconds: float) -> AsyncIterator[CarrierBench]:
        """Give a bench, and end what is left on it."""
        bench = cls(make, timeout_seconds)
        try:
            yield bench
        except BaseException as error:
            await bench.stack.__aexit__(type(error), None, None)
            raise
        else:
            await bench.stack.aclose()
        finally:
            for task in bench.tasks:
                task.cancel()
            await asyncio.gather(*bench.tasks, return_exceptions=True)

    def start(self, step: Coroutine[Any, Any, _Result]) -> asyncio.Task[_Result]:
        """Run a step beside the check, until the check is over at the latest."""
        task = asyncio.create_task(step)
        self.tasks.append(task)
        return task

    async def open(
        self,
        number: int,
        *,
        listen: str = ANYWHERE,
        strangers: Iterable[int] = (),
        network_id: str = NETWORK_ID,
    ) -> Carrier:
        """Return an open carrier of an identity that admits everyone but the ``strangers``."""
        refused = {identity_key(stranger) for stranger in strangers}
        options = CarrierOptions(
            identity=NumberedIdentity(number),
            network_id=network_id,
            listen=listen,
            admits=lambda public_key: public_key not in refused,
        )
        carrier = await self.within(self.make(options), "It ends: opening a carrier takes seconds at most")

        async def close(kind: Any, _error: Any, _trace: Any) -> None:
            closing = self.start(carrier.close())
            done, _ = await asyncio.wait({closing}, timeout=min(CLOSE_SECONDS_MAX, self.timeout_seconds))
            if not done:
                closing.cancel()
            if kind is None:
                require(done, "It ends: close returns within seconds")
                closing.result()

        self.stack.push_async_exit(close)
        return carrier

    async def within(self, step: Awaitable[_Result], promise: str) -> _Result:
        """Return what ``step`` gives; taking too long or a ``NetworkError`` breaks ``promise``."""
        try:
            async with asyncio.timeout(self.timeout_seconds):
                return await step
        except TimeoutError:
            raise AssertionError(f"{promise} (nothing within {self.timeout_seconds:g} s)") from None
        except NetworkError as error:
            raise AssertionError(f"{promise} ({error.code}: {error.message})") from error

    async def send(self, carrier: Carrier, frame: bytes, to: Peer, promise: str) -> None:
        """Send a frame that must be taken."""
        await self.within(carrier.send(frame, to=to), promise)

    async def receive(self, carrier: Carrier, promise: str) -> Delivery:
        """Return the next frame, which must come."""
        return await self.within(carrier.receive(), promise)

    async def refused(self, step: Awaitable[object], promise: str, *codes: str) -> None:
        """Require that ``step`` raises a ``NetworkError`` with one of ``codes``."""
        try:
            async with asyncio.timeout(self.timeout_seconds):
                await step
        except TimeoutError:
            raise AssertionError(f"{promise} (nothing within {self.timeout_seconds:g} s)") from None
        except NetworkError as error:
            require(error.code in codes, f"{promise} (the code was {error.code})")
        else:
            raise AssertionError(promise)

    async def attempt(self, carrier: Carrier, frame: bytes, to: Peer) -> bool:
        """Send a frame that need not arrive and return whether it was taken; what the carrier raises is an error."""
        try:
            async with asyncio.timeout(self.timeout_seconds):
                await carrier.send(frame, to=to)
        except NetworkError as error:
            require(error.code == "carrier-unreachable", f"Errors: send raises carrier-unreachable, not {error.code}")
        except TimeoutError:
            raise AssertionError("Errors: send to a peer that cannot be reached ends within seconds") from None
        else:
            return True
        return False

    async def silence(self, carrier: Carrier, promise: str) -> None:
        """Require that nothing more arrives."""
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                extra = await carrier.receive()
        except TimeoutError:
            return
        raise AssertionError(f"{promise} ({len(extra.frame)} bytes from {extra.sender.hex()[:8]})")


def identity_key(number: int) -> PublicKey:
    """Return the public key of the identity with a number."""
    return NumberedIdentity(number).public_key


def peer_of(carrier: Carrier, number: int) -> Peer:
    """Return an open carrier as a peer with its address."""
    return Peer(public_key=identity_key(number), address=carrier.address)


def require(fact: object, promise: str) -> None:
    """Raise ``AssertionError`` that names the promise unless ``fact`` holds."""
    if not fact:
        raise AssertionError(promise)
