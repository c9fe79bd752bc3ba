"""What all carriers with one link per pair of nodes share: who is linked, dialling, queues, admission and the end.

A backend opens links and moves bytes; ``LinkCarrier`` keeps every promise of ``Carrier`` that does not depend on how.
"""

from __future__ import annotations

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fingerpost.carrier._frames import BoundedQueue, frame_problem
from fingerpost.carrier._freed_memory import keep_freed_memory
from fingerpost.carrier.base import Address, CarrierCounts, CarrierOptions, Delivery, Peer
from fingerpost.carrier.frame import check_frame_size, closed, unreachable
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey, node_id

DIAL_SECONDS_MAX = 4.0  # what a caller of ``send`` waits for a peer that cannot be reached
PAUSE_SECONDS_MIN = 0.05  # between two attempts to dial one peer; doubles with each failure, with jitter
PAUSE_SECONDS_MAX = 2.0
CLOSE_SECONDS_MAX = 3.0
ADMITTED_SECONDS_MAX = 60.0  # after which ``admits`` is asked again
LINKS_PER_PEER_MAX = 4  # a node that runs twice is served twice; one that opens links for ever loses the oldest
LINKS_MAX = 1_024
ROUTES_MAX = 1_024  # addresses whose last failure is remembered

ReadFrame = Callable[[], Awaitable[bytes | None]]
WriteFrame = Callable[[bytes], Awaitable[None]]


class Link:
    """One open connection with a peer that has proved who it is. ``address`` is where we dialled it, if we did."""

    def __init__(self, peer: PublicKey, *, address: Address | None = None, admitted_at: float = float("-inf")) -> None:
        self.peer = peer
        self.address = address
        self.admitted_at = admitted_at
        self.outgoing: BoundedQueue[bytes] = BoundedQueue(len)
        self._ended = asyncio.Event()

    @property
    def has_ended(self) -> bool:
        """Whether nothing moves here any more."""
        return self._ended.is_set()

    def end(self) -> None:
        """Stop moving frames; what is queued is lost."""
        self.outgoing.close()
        self._ended.set()

    async def wait_ended(self) -> None:
        """Return when the link has ended."""
        await self._ended.wait()


class _Routes:
    """When an address that could not be reached may be tried again."""

    def __init__(self) -> None:
        self._failures: dict[Address, tuple[int, float]] = {}

    def pause_seconds(self, address: Address, now: float) -> float:
        """Return how long to wait before the next attempt."""
        return max(0.0, self._failures.get(address, (0, now))[1] - now)

    def succeeded(self, address: Address) -> None:
        """Forget failures."""
        self._failures.pop(address, None)

    def failed(self, address: Address, now: float) -> None:
        """Double the pause, up to its bound; a random part of it is waited, so that nodes do not dial in step."""
        count = self._failures.pop(address, (0, now))[0] + 1
        pause = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN * 2 ** min(count, 10))
        self._failures[address] = (count, now + pause * (0.25 + 0.75 * secrets.randbelow(1_024) / 1_024))
        while len(self._failures) > ROUTES_MAX:
            del self._failures[next(iter(self._failures))]


class LinkCarrier(ABC):
    """The part of ``fingerpost.carrier.base.Carrier`` above links. It lives on the event loop it was opened on."""

    def __init__(self, options: CarrierOptions) -> None:
        keep_freed_memory()
        self._options = options
        self._counts = CarrierCounts()
        self._address = Address(endpoint="")
        self._inbox: BoundedQueue[Delivery] = BoundedQueue(lambda delivery: len(delivery.frame))
        self._links: dict[PublicKey, list[Link]] = {}
        self._dials: dict[tuple[PublicKey, Address], asyncio.Task[Link | NetworkError]] = {}
        self._calls: dict[PublicKey, set[asyncio.Future[None]]] = {}  # of those who wait for a link to a peer
        self._routes = _Routes()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._watches: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._stopped = asyncio.Event()

    @property
    def address(self) -> Address:
        """Return where peers reach this carrier; the endpoint is empty when it does not listen."""
        return self._address

    @property
    def counts(self) -> CarrierCounts:
        """Return what was refused so far."""
        return self._counts

    async def send(self, frame: bytes, *, to: Peer) -> None:
        """Queue one frame on the link to a peer, dialling it if there is none, and waiting while the queue is full."""
        self._require_open()
        check_frame_size(frame)
        frame = bytes(frame)
        for _attempt in range(3):  # A link can end between being found and taking the frame; then it took nothing.
            link = self._link_to(to) or await self._dialled(to)
            if await link.outgoing.put(frame):
                return
            self._require_open()
        raise unreachable(to, "links to it end at once")

    async def receive(self) -> Delivery:
        """Return the next frame of any peer."""
        self._require_open()
        delivery = await self._inbox.get()
        if delivery is None:
            raise closed(self._address.endpoint)
        return delivery

    async def close(self) -> None:
        """End all links and what listens; returns within about ``CLOSE_SECONDS_MAX``, whatever peers do."""
        if self._closed:
            await self._stopped.wait()
            return
        self._closed = True
        self._inbox.close()
        for links in self._links.values():
            for link in links:
                link.end()
        for dial in self._dials.values():
            dial.cancel()
        for watch in self._watches:
            watch.cancel()
        try:
            await self._stop()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS_MAX)
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS_MAX)
        finally:
            self._stopped.set()

    @abstractmethod
    async def _dial(self, peer: Peer, address: Address) -> Link:
        """Open a link and start it. Raises ``OSError`` when another attempt may help, else ``NetworkError``."""

    @abstractmethod
    async def _stop(self) -> None:
        """Give back what listens and what links hold, within ``CLOSE_SECONDS_MAX``."""

    def _start(self, work: Coroutine[Any, Any, object]) -> None:
        """Run something that ends by itself soon after its link has ended."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _watch(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something until the carrier closes."""
        task = asyncio.get_running_loop().create_task(work)
        self._watches.add(task)
        task.add_done_callback(self._watches.discard)

    def _admits(self, peer: PublicKey) -> bool:
        """Ask about an identity that has just proved itself; a refusal is counted."""
        if self._options.admits(peer):
            return True
        self._counts.refuse("not-admitted", who=node_id(peer).hex())
        return False

    async def _run_link(self, link: Link, read: ReadFrame, write: WriteFrame) -> None:
        """Move frames both ways until either side ends; ``read`` gives None, and both raise ``OSError``, at the end."""
        self._add(link)
        loop = asyncio.get_running_loop()
        parts = [
            loop.create_task(part)
            for part in (self._read_frames(link, read), _write_frames(link, write), link.wait_ended())
        ]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._remove(link)
            for part in parts:
                part.cancel()
            results = await asyncio.gather(*parts, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, OSError):
                raise result

    async def _read_frames(self, link: Link, read: ReadFrame) -> None:
        while (frame := await read()) is not None:
            if not self._accepts(link, frame) or not await self._inbox.put(Delivery(frame=frame, sender=link.peer)):
                return

    def _accepts(self, link: Link, frame: bytes) -> bool:
        problem = frame_problem(frame)
        if problem:
            self._counts.refuse(problem, who=node_id(link.peer).hex())
            return False
        now = asyncio.get_running_loop().time()
        if now - link.admitted_at > ADMITTED_SECONDS_MAX:
            if not self._admits(link.peer):
                return False
            link.admitted_at = now
        return True

    def _add(self, link: Link) -> None:
        links = self._links.setdefault(link.peer, [])
        links.append(link)
        for call in self._calls.get(link.peer, ()):
            if not call.done():
                call.set_result(None)
        if len(links) > LINKS_PER_PEER_MAX:
            self._counts.refuse("connections-max", who=node_id(link.peer).hex())
            links[0].end()
        elif sum(map(len, self._links.values())) > LINKS_MAX:
            self._counts.refuse("links-crowded", who=node_id(link.peer).hex())
            link.end()
        if self._closed:
            link.end()

    def _remove(self, link: Link) -> None:
        link.end()
        links = self._links.get(link.peer, [])
        if link in links:
            links.remove(link)
        if not links:
            self._links.pop(link.peer, None)

    def _link_to(self, peer: Peer) -> Link | None:
        """Return the link that frames to a peer take: the one dialled at that address, else one the peer opened."""
        links = [link for link in self._links.get(peer.public_key, ()) if not link.has_ended]
        dialled = [link for link in links if link.address and peer.address in (None, link.address)]
        opened = [link for link in links if link.address is None]
        return next(iter([*dialled, *reversed(opened)]), None)

    async def _dialled(self, peer: Peer) -> Link:
        if peer.address is None:
            raise unreachable(peer, "it has no address and no connection")
        key = (peer.public_key, peer.address)
        dial = self._dials.get(key)
        if dial is None:
            dial = asyncio.get_running_loop().create_task(self._dial_until_late(peer, peer.address))
            self._dials[key] = dial
            dial.add_done_callback(lambda _done: self._dials.pop(key, None))
        while not dial.done():
            await self._either(dial, peer)
            self._require_open()
            # A peer that was started again calls from where it is now, while its old address is still being dialled.
            link = self._link_to(peer)
            if link is not None:
                return link
        result = dial.result()
        if isinstance(result, NetworkError):
            raise NetworkError(result.code, result.message, hint=result.hint)
        return result

    async def _either(self, dial: asyncio.Task[Link | NetworkError], peer: Peer) -> None:
        """Return when a dial is over or the peer has opened a link; one who gives up waiting does not stop the dial."""
        call: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        calls = self._calls.setdefault(peer.public_key, set())
        calls.add(call)
        try:
            either: set[asyncio.Future[Any]] = {dial, call}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            call.cancel()
            calls.discard(call)
            if not calls:
                self._calls.pop(peer.public_key, None)

    async def _dial_until_late(self, peer: Peer, address: Address) -> Link | NetworkError:
        loop = asyncio.get_running_loop()
        reason = "it takes too long"
        try:
            async with asyncio.timeout(DIAL_SECONDS_MAX):
                while True:
                    await asyncio.sleep(self._routes.pause_seconds(address, loop.time()))
                    try:
                        link = await self._dial(peer, address)
                    except OSError as error:
                        reason = str(error)[:200]
                        self._routes.failed(address, loop.time())
                    else:
                        self._routes.succeeded(address)
                        return link
        except TimeoutError:
            self._routes.failed(address, loop.time())
            return unreachable(peer, reason)
        except NetworkError as error:
            self._routes.failed(address, loop.time())
            return error

    def _require_open(self) -> None:
        if self._closed:
            raise closed(self._address.endpoint)


async def _write_frames(link: Link, write: WriteFrame) -> None:
    while (frame := await link.outgoing.get()) is not None:
        await write(frame)
