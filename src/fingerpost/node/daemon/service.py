"""The life of a running node: it is opened, serves its peers and the control API, and leaves nothing behind.

The first SIGTERM or SIGINT (or ``stop`` of the control API) ends it in order: no more requests, those being answered
finish, the node takes its record out of the directory and closes. A second signal ends the process at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from fingerpost import __version__
from fingerpost.errors import DaemonError, FingerpostError, NetworkError
from fingerpost.node.config import NodeConfig
from fingerpost.node.daemon.api import ControlApi, refusal
from fingerpost.node.daemon.logs import log_event
from fingerpost.node.daemon.presence import TOKEN_SIZE_BYTES, read_presence, remove_presence, write_presence
from fingerpost.node.daemon.server import ControlServer
from fingerpost.node.daemon.systemd import notify
from fingerpost.node.home import Home
from fingerpost.node.runtime import AsyncNode
from fingerpost.node.status import NodeStatus
from fingerpost.system import SystemEntropy

TEND_SECONDS = 3_600.0
LOOK_UP_SECONDS = 30.0  # between two looks into the directory, so that status and metrics know who is there
SIGNALS = (signal.SIGTERM, signal.SIGINT)

_LOG = logging.getLogger("fingerpost.daemon")


async def run_daemon(config: NodeConfig, home: Home, *, ready: Callable[[NodeStatus], None] | None = None) -> None:
    """Run a node on a home until it is told to stop. ``ready`` is called once, when everything listens.

    Raises ``DaemonError`` (``daemon-running``: the home has a running node; ``control-listen``), and what
    ``AsyncNode.open`` raises.
    """
    other = read_presence(home)
    if other is not None:
        raise DaemonError(
            "daemon-running",
            f"a node runs in {home.root} already: process {other.process}",
            hint="stop it first (fingerpost node stop), or give this one another home",
        )
    stopping = asyncio.Event()
    with _Signals(stopping):
        opening = asyncio.create_task(
            AsyncNode.open(config.template, home=home.root, network=config.network(), follow=config.follow)
        )
        node = await _unless(stopping, opening)
        if node is None:
            return
        try:
            async with _control(node, config, home, stopping) as api:
                tending = [asyncio.create_task(_tend(node)), asyncio.create_task(_look_around(node))]
                try:
                    status = await node.status()
                    if ready is not None:
                        ready(status)
                    _tell_start(status, home)
                    await stopping.wait()
                finally:
                    api.is_stopping = True
                    notify("STOPPING=1")
                    log_event(_LOG, "stopping")
                    for task in tending:
                        task.cancel()
                    await asyncio.gather(*tending, return_exceptions=True)
        finally:
            await node.close()
        log_event(_LOG, "stopped")


class _Signals:
    """Turns the first signal into ``stopping`` and the second into the end of the process."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self._stopping = stopping
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> None:
        for number in SIGNALS:
            self._loop.add_signal_handler(number, self._take, number)

    def __exit__(self, *_: object) -> None:
        for number in SIGNALS:
            self._loop.remove_signal_handler(number)

    def _take(self, number: signal.Signals) -> None:
        if self._stopping.is_set():
            os._exit(128 + number)  # The directory's process ends by itself when this one is gone.
        self._stopping.set()


async def _unless(stopping: asyncio.Event, opening: asyncio.Task[AsyncNode]) -> AsyncNode | None:
    """Return the node once it is open; None when the stop came first, and then it is closed again."""
    waiting = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({opening, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            return opening.result()
        opening.cancel()
        with suppress(asyncio.CancelledError):
            await (await opening).close()
        return None
    finally:
        waiting.cancel()


@asynccontextmanager
async def _control(
    node: AsyncNode, config: NodeConfig, home: Home, stopping: asyncio.Event
) -> AsyncIterator[ControlApi]:
    """Serve the control API, and say in the home where it is."""
    token = SystemEntropy().read(TOKEN_SIZE_BYTES).hex()
    api = ControlApi(node, config, token=token, refused=lambda: server.refused, stop=stopping.set)
    server = ControlServer(check=api.check, answer=api.answer, refuse=refusal)
    host, port = config.control_listen
    try:
        host, port = await server.open(host, port)
    except OSError as error:
        raise DaemonError(
            "control-listen",
            f"the control API cannot listen on {host}:{port}: {error.strerror or error}",
            hint="choose another control.listen; port 0 takes a free one",
        ) from None
    try:
        write_presence(home, host=host, port=port, token=token)
        yield api
    finally:
        remove_presence(home)
        await server.close()


def _tell_start(status: NodeStatus, home: Home) -> None:
    log_event(
        _LOG,
        "ready",
        version=__version__,
        home=str(home.root),
        node_id=status.node_id.hex(),
        template=status.template_name,
        network=status.network_id,
        carrier=status.carrier,
        endpoint=status.endpoint,
        directory=status.directory,
        directory_endpoint=status.directory_endpoint,
        packets=status.store.packets,
    )
    notify(f"READY=1\nMAINPID={os.getpid()}")


async def _tend(node: AsyncNode) -> None:
    """Keep the store in order, so that what is withdrawn or expired is gone from the disk in time."""
    while True:
        try:
            await node.tend()
        except FingerpostError as error:
            _LOG.error("the store cannot be tended: %s", error.code)
        await asyncio.sleep(TEND_SECONDS)


async def _look_around(node: AsyncNode) -> None:
    """Ask the directory who is there, now and then."""
    while True:
        await asyncio.sleep(LOOK_UP_SECONDS)
        with suppress(NetworkError):
            await node.status(look_up=True)
