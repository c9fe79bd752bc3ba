"""The sockets of the ZeroMQ carrier: their options, their events, and the TCP connections below them."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeAlias

import zmq
import zmq.asyncio
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

from fingerpost.carrier.base import ChannelIdentity
from fingerpost.limits import FRAME_SIZE_BYTES_MAX

FRAMES_WAITING_MAX = 8  # of one peer at each end; with frames of 1 MiB that is memory
HELLO_SECONDS_MAX = 5.0  # from the connection to the proof
CONNECT_SECONDS_MAX = 5.0
PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.05, 2.0  # between two attempts to reach a peer, before the jitter
HEARTBEAT_SECONDS = 5.0
SILENCE_SECONDS_MAX = 30.0  # a peer that sends no heartbeat, or takes nothing, for so long is gone
CURVE_MESSAGE_BYTES = 64  # what CURVE adds to a frame, and some more
TCP_INFO_RECEIVED = 128  # the offset of tcpi_bytes_received in Linux' struct tcp_info, 8 bytes

AsyncSocket: TypeAlias = zmq.asyncio.Socket
_ENDPOINT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]*):\d{1,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """How connections are protected: with a CURVE key pair, or by nothing."""

    public: bytes = b""
    secret: bytes = b""

    @classmethod
    def of(cls, identity: ChannelIdentity) -> Security:
        """Return the CURVE keys of an identity; they are the same whenever it is opened."""
        secret = identity.channel_secret(b"zeromq curve")
        return cls(public=z85.decode(zmq.curve_public(z85.encode(secret))), secret=secret)

    def protect_listener(self, listener: AsyncSocket) -> None:
        """Let a socket take encrypted connections only."""
        if self.secret:
            listener.curve_server = True
            listener.curve_secretkey = self.secret

    def protect_opener(self, opener: AsyncSocket, server_key: bytes) -> None:
        """Let a socket connect only to who holds ``server_key``."""
        if self.secret:
            opener.curve_publickey = self.public
            opener.curve_secretkey = self.secret
            opener.curve_serverkey = server_key


def is_endpoint(text: str) -> bool:
    """Whether a text, perhaps of a hostile record, is a host and a port."""
    return _ENDPOINT.fullmatch(text) is not None


def new_socket(context: zmq.asyncio.Context, kind: int, endpoint: str) -> AsyncSocket:
    """Return a socket with the bounds that hold at both ends of a connection."""
    made = context.socket(kind)
    made.linger = 0
    made.sndhwm = made.rcvhwm = FRAMES_WAITING_MAX
    made.maxmsgsize = FRAME_SIZE_BYTES_MAX + CURVE_MESSAGE_BYTES
    made.heartbeat_ivl = int(HEARTBEAT_SECONDS * 1000)
    made.heartbeat_timeout = made.heartbeat_ttl = int(SILENCE_SECONDS_MAX * 1000)
    made.handshake_ivl = int(2 * HELLO_SECONDS_MAX * 1000)  # Should our own timer not get to run.
    made.ipv6 = endpoint.startswith("[")
    return made


def pending_events(monitor: AsyncSocket) -> Iterator[tuple[zmq.Event, int]]:
    """Yield what has happened to a socket up to now, oldest first, each event with its number, a descriptor.

    An event is there before any message that the connection brought.
    """
    while True:
        receiving = asyncio.ensure_future(monitor.recv_multipart(flags=zmq.NOBLOCK))
        if receiving.exception() is not None:
            return
        message = parse_monitor_message(receiving.result())
        yield zmq.Event(message["event"]), message["value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpConnection:
    """A connection that a listening socket has accepted, known by the library's file descriptor.

    ZeroMQ cannot close one connection of a ROUTER. Shutting down the TCP connection below it can: the library then
    sees what it sees when a peer leaves. The descriptor may be somebody else's by then, so the peer is compared first.
    """

    descriptor: int
    peer: object

    @classmethod
    def of(cls, descriptor: int) -> TcpConnection:
        """Return the connection that a descriptor stands for now."""
        try:
            with _duplicate(descriptor) as connection:
                return cls(descriptor=descriptor, peer=connection.getpeername())
        except OSError:  # It has ended already.
            return cls(descriptor=descriptor, peer=None)

    def shut_down(self) -> None:
        """Cut the connection, if it is still the same."""
        with suppress(OSError), _duplicate(self.descriptor) as connection:
            if connection.getpeername() == self.peer:
                connection.shutdown(socket.SHUT_RDWR)

    def bytes_received(self) -> int:
        """Return how many bytes the kernel has received, those too that ZeroMQ has not passed on."""
        with suppress(OSError), _duplicate(self.descriptor) as connection:
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_RECEIVED + 8)
            if connection.getpeername() == self.peer and len(info) == TCP_INFO_RECEIVED + 8:
                return int(struct.unpack_from("=Q", info, TCP_INFO_RECEIVED)[0])
        return 0


@contextmanager
def _duplicate(descriptor: int) -> Iterator[socket.socket]:
    """Borrow a descriptor of the library: closing the duplicate leaves the connection as it is."""
    number = os.dup(descriptor)
    try:
        connection = socket.socket(fileno=number)
    except OSError:
        os.close(number)
        raise
    with connection:
        yield connection
