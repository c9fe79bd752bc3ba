"""Telling systemd that a service of ``Type=notify`` is ready, or is being stopped; nothing where no one listens."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

NOTIFY_VARIABLE = "NOTIFY_SOCKET"


def notify(state: str) -> None:
    """Send a state such as ``READY=1`` or ``STOPPING=1`` to the socket that systemd named; see sd_notify(3)."""
    address = os.environ.get(NOTIFY_VARIABLE, "")
    if not address.startswith(("/", "@")):
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(state.encode(), name)
