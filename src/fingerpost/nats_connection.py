"""One node's connection to NATS servers: what its carrier and its directory have in common.

It goes to another server by itself when one is lost, with all its subscriptions, and never gives up. Settings:

``servers``           list of URLs such as ``nats://127.0.0.1:4222``; required
``tls``               an ssl.SSLContext, ``tls_hostname`` the name it expects
``user_credentials``  path of a NATS credentials file
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

CONNECT_SECONDS_MAX = 8.0
CLOSE_SECONDS_MAX = 2.0
RECONNECT_SECONDS: Any = 0.2  # between two attempts at one server; the library says int and takes what sleep takes
SETTINGS = ("servers", "tls", "tls_hostname", "user_credentials")

_LOST = (nats.errors.Error, OSError)
_POLL_SECONDS = 0.05

Handler = Callable[[Msg], Awaitable[None]]


class NatsConnection:
    """A connection that comes back. ``refuse`` is told what went wrong meanwhile, by reason.

    Every method that waits raises ``OSError``, which ``TimeoutError`` and ``ConnectionError`` are.
    """

    def __init__(self, refuse: Callable[[str], None]) -> None:
        self.interruptions = 0  # after each of which messages may be missing
        self._client = Client()
        self._refuse = refuse

    @property
    def server(self) -> str:
        """Return the URL of the server that is used now, or nothing between two."""
        return self._client.connected_url.geturl() if self._client.connected_url else ""

    @property
    def host_and_port(self) -> str:
        """Return where the server that is used now listens, without who we are there, or nothing between two."""
        url = self._client.connected_url
        return url.netloc.rpartition("@")[2] if url else ""

    async def connect(self, settings: Mapping[str, Any]) -> None:
        """Connect to one of the servers."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                await self._client.connect(
                    error_cb=self._note_error,
                    disconnected_cb=self._note_interruption,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=RECONNECT_SECONDS,
                    ping_interval=5,
                    no_echo=False,
                    **settings,
                )
        except (*_LOST, ValueError) as error:
            await self._client.close()
            raise ConnectionError(str(error) or "not in time") from None

    async def subscribe(
        self, subject: str, handler: Handler, *, messages_max: int = 524_288, size_bytes_max: int = 134_217_728
    ) -> Subscription:
        """Hand what is sent to a subject to ``handler``, one by one; of what waits too much is dropped and counted."""
        try:
            return await self._client.subscribe(
                subject, cb=handler, pending_msgs_limit=messages_max, pending_bytes_limit=size_bytes_max
            )
        except nats.errors.Error as error:
            raise ConnectionError(str(error)) from None

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Take no more of a subject."""
        try:
            await subscription.unsubscribe()
        except nats.errors.Error as error:
            raise ConnectionError(str(error)) from None

    async def wait_for_server(self, seconds: float) -> None:
        """Return as soon as there is a server."""
        async with asyncio.timeout(seconds):
            while not self._client.is_connected and not self._client.is_closed:
                await asyncio.sleep(_POLL_SECONDS)

    async def publish(
        self, subject: str, message: bytes, *, reply: str = "", seconds: float = CONNECT_SECONDS_MAX
    ) -> None:
        """Hand a message to a server, waiting while there is none."""
        try:
            async with asyncio.timeout(seconds):
                await self.wait_for_server(seconds)
                await self._client.publish(subject, message, reply=reply)
        except nats.errors.Error as error:
            raise ConnectionError(str(error)) from None

    async def settle(self, seconds: float = CONNECT_SECONDS_MAX) -> None:
        """Return when the server has all that was subscribed and published so far."""
        try:
            async with asyncio.timeout(seconds):
                # The library's first ping overtakes subscriptions that it has not written yet, its second does not.
                for _ in range(2):
                    await self._client.flush()
        except nats.errors.Error as error:
            raise ConnectionError(str(error)) from None

    async def close(self) -> None:
        """Leave the servers, within seconds; calling it twice is harmless."""
        closing: asyncio.Task[Any] = asyncio.ensure_future(self._leave())
        await asyncio.wait([closing], timeout=CLOSE_SECONDS_MAX)

    async def _leave(self) -> None:
        try:
            await self._client.close()
        except _LOST:
            return  # It was a courtesy.

    async def _note_error(self, error: Exception) -> None:
        """Count what the library reports: each is one attempt that failed, and it makes the next one itself."""
        slow = isinstance(error, nats.errors.SlowConsumerError)
        self.interruptions += slow
        self._refuse("slow-consumer" if slow else "server-lost")

    async def _note_interruption(self) -> None:
        self.interruptions += 1


def read_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``connect`` takes. Raises ``ValueError`` that says what is wrong."""
    unknown = sorted(settings.keys() - set(SETTINGS))
    if unknown:
        raise ValueError(f"there are no settings {', '.join(unknown)}")
    servers = settings.get("servers")
    if not isinstance(servers, list | tuple) or not servers or not all(isinstance(url, str) for url in servers):
        raise ValueError("it needs a list of servers")
    return {**settings, "servers": list(servers)}
