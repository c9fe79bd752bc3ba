"""A machine that goes without a word leaves its TCP connections open: whoever keeps one asks the kernel to look."""

from __future__ import annotations

import socket
from contextlib import suppress

DEAD_PEER_SECONDS = 15


def notice_dead_peer(connection: socket.socket) -> None:
    """Have the kernel end a TCP connection whose other end answers nothing for ``DEAD_PEER_SECONDS``."""
    with suppress(OSError):  # It may have ended already.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, DEAD_PEER_SECONDS // 3)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, DEAD_PEER_SECONDS // 3)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_SECONDS * 1_000)
