"""The connections that a TLS library has accepted for us, watched from outside: who has not proved anything goes.

gRPC and Arrow Flight show calls, not connections. A peer that never gets as far as a call (garbage, a stalled
handshake, one enormous request) would stay unseen, and a Flight call cannot be cancelled by its server. Both libraries
keep ordinary sockets, so this finds those that belong to one listening port, and shuts them down when it must.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from fingerpost.carrier.base import CarrierCounts
from fingerpost.carrier.hello import HELLO_SECONDS_MAX, PENDING_HELLOS_MAX
from fingerpost.carrier.liveness import notice_dead_peer

SWEEP_SECONDS = 0.5
UNPROVEN_SIZE_BYTES_MAX = 65_536  # what a connection may send before it has proved who it is

_OPEN_FILES = "/proc/self/fd"
_BYTES_RECEIVED = slice(128, 136)  # tcpi_bytes_received in struct tcp_info, linux/tcp.h

Remote = tuple[str, int]  # address and port of the other end


class AcceptedConnections:
    """Watches the connections of one listening port. Used on the event loop; only ``prove`` from any thread."""

    def __init__(self, port: int, counts: CarrierCounts) -> None:
        self._port = port
        self._counts = counts
        self._since: dict[Remote, float] = {}
        self._proven: set[Remote] = set()
        self._refused: set[Remote] = set()

    def prove(self, peer: str) -> None:
        """Keep the connection of a peer, named as gRPC does (``ipv4:127.0.0.1:40000``): it has proved who it is."""
        self._proven.add(_remote_of(peer))

    async def watch(self) -> None:
        """End connections that prove nothing in time, or send too much before they do, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep(asyncio.get_running_loop().time())

    def sweep(self, now: float) -> None:
        """Look once; ``now`` is in seconds of any clock that only goes forward."""
        seen: dict[Remote, float] = {}
        for connection, remote in _connections(self._port):
            seen[remote] = self._since.get(remote, now)
            if remote not in self._since:
                notice_dead_peer(connection)
            if remote in self._proven:
                continue
            if now - seen[remote] > HELLO_SECONDS_MAX:
                self._refuse(connection, remote, "hello-timeout")
            elif _bytes_received(connection) > UNPROVEN_SIZE_BYTES_MAX:
                self._refuse(connection, remote, "hello-too-large")
        self._since = seen
        self._proven.intersection_update(seen)
        self._refused.intersection_update(seen)
        self._thin_out()

    def end(self, peer: str = "") -> None:
        """Shut down the connection of one peer, or all of them."""
        remote = _remote_of(peer) if peer else None
        for connection, other in _connections(self._port):
            if remote in (None, other):
                _shut_down(connection)

    def _thin_out(self) -> None:
        settled = self._proven | self._refused
        unproven = sorted((since, remote) for remote, since in self._since.items() if remote not in settled)
        crowd = {remote for _since, remote in unproven[: max(0, len(unproven) - PENDING_HELLOS_MAX)]}
        if crowd:
            for connection, remote in _connections(self._port):
                if remote in crowd:
                    self._refuse(connection, remote, "hello-crowded")

    def _refuse(self, connection: socket.socket, remote: Remote, reason: str) -> None:
        if _shut_down(connection) and remote not in self._refused:
            self._refused.add(remote)
            self._counts.refuse(reason, who=f"{remote[0]}:{remote[1]}")


def notice_dead_peers(port: int) -> None:
    """Have the kernel end connections to a remote port when the other machine has gone without a word."""
    for connection in _sockets():
        with _ignore_closed():
            if connection.getpeername()[1] == port:
                notice_dead_peer(connection)


def _connections(port: int) -> Iterator[tuple[socket.socket, Remote]]:
    for connection in _sockets():
        with _ignore_closed():
            if connection.getsockname()[1] == port:
                host, remote_port = connection.getpeername()[:2]
                yield connection, (_plain(host), remote_port)


def _sockets() -> Iterator[socket.socket]:
    """Yield each TCP socket of this process as a duplicate, which shares the connection and is closed afterwards."""
    try:
        names = os.listdir(_OPEN_FILES)
    except OSError:
        return
    for name in names:
        try:
            if not os.readlink(f"{_OPEN_FILES}/{name}").startswith("socket:"):
                continue
            duplicate = os.dup(int(name))
        except OSError:
            continue  # closed meanwhile
        with socket.socket(fileno=duplicate) as connection:
            if connection.family in (socket.AF_INET, socket.AF_INET6) and connection.type == socket.SOCK_STREAM:
                yield connection


def _shut_down(connection: socket.socket) -> bool:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True


def _bytes_received(connection: socket.socket) -> int:
    try:
        return int.from_bytes(
            connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)[_BYTES_RECEIVED], "little"
        )
    except OSError:
        return 0


@contextmanager
def _ignore_closed() -> Iterator[None]:
    try:
        yield
    except OSError:
        return  # A connection may end at any moment.


def _remote_of(peer: str) -> Remote:
    host, _, port = unquote(peer).partition(":")[2].rpartition(":")
    return _plain(host.strip("[]")), int(port)


def _plain(host: str) -> str:
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
