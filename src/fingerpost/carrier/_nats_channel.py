"""A sealed channel between two nodes over a server that neither trusts with more than subjects and sizes. No I/O.

Both ends have a static X25519 key (the listener's stands in its holder record as channel key) and make a fresh one for
each channel. From the two agreements fresh-fresh and fresh-static(listener) follow one key for each direction, so only
the holder of the listener's key can read or answer, and what is recorded stays closed when that key leaks later.
The agreements are NaCl's box; what follows is sealed by AES-256-GCM under a counter, which takes an eighth of the time
of NaCl's own cipher on whole parts of a frame: ::

    counter (8 bytes) | kind (1 byte) | sealed body, tag (16 bytes) over all of it

A receiver takes exactly the next counter. An older one is a replay and is dropped; a later one means that something
was lost, which ends the channel.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl import bindings
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey

from fingerpost.carrier.base import CHANNEL_KEY_SIZE_BYTES as KEY_SIZE_BYTES

COUNTER_SIZE_BYTES = 8
HEADER_SIZE_BYTES = COUNTER_SIZE_BYTES + 1
OVERHEAD_BYTES = HEADER_SIZE_BYTES + 16  # the tag of GCM

_NONCE_PADDING = bytes(12 - COUNTER_SIZE_BYTES)
_FIRST_NONCE = bytes(bindings.crypto_box_NONCEBYTES)
_OPENING = b"fingerpost nats opening\0"


class Kind(IntEnum):
    """What a sealed message is."""

    CHALLENGE = 1
    HELLO = 2
    WELCOME = 3
    PART = 4  # of a frame that goes on
    LAST_PART = 5
    CREDIT = 6  # how much the other end may have sent in all, 8 bytes
    ALIVE = 7
    END = 8


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a message was not opened; ``ends`` when nothing that follows can be opened either."""

    reason: str
    ends: bool = False


class SealedChannel:
    """One end of an open channel."""

    def __init__(self, send_key: bytes, receive_key: bytes) -> None:
        self._sealing = AESGCM(send_key)
        self._opening = AESGCM(receive_key)
        self._sent = 0
        self._received = 0

    def seal(self, kind: Kind, body: bytes | memoryview = b"") -> bytes:
        """Return the next message to send."""
        counter = self._sent.to_bytes(COUNTER_SIZE_BYTES, "big")
        self._sent += 1
        header = counter + bytes([kind])
        return header + self._sealing.encrypt(_NONCE_PADDING + counter, body, header)

    def open(self, message: bytes) -> tuple[Kind, bytes] | Problem:
        """Open a message, which may be hostile, replayed, or not the next one."""
        if len(message) < OVERHEAD_BYTES:
            return Problem("sealed-message")
        header, counter = message[:HEADER_SIZE_BYTES], message[:COUNTER_SIZE_BYTES]
        try:
            body = self._opening.decrypt(_NONCE_PADDING + counter, memoryview(message)[HEADER_SIZE_BYTES:], header)
            kind = Kind(header[-1])
        except (InvalidTag, ValueError):
            return Problem("sealed-message")
        number = int.from_bytes(counter, "big")
        if number < self._received:
            return Problem("replayed")
        if number > self._received:
            return Problem("messages-lost", ends=True)
        self._received += 1
        return kind, body


class OpenerKeys:
    """The fresh key of the end that opens a channel to the holder of ``listener_key``."""

    def __init__(self, network_id: str, listener_key: bytes) -> None:
        self._network_id = network_id
        self._listener_key = listener_key
        self._fresh = PrivateKey.generate()
        self.public = bytes(self._fresh.public_key)

    def opening(self) -> bytes | None:
        """Return the first message, which only the listener can open; None when ``listener_key`` is no key."""
        try:
            shared = bindings.crypto_box_beforenm(self._listener_key, bytes(self._fresh))
        except (CryptoError, ValueError, TypeError):
            return None
        statement = _OPENING + self._network_id.encode()
        return self.public + bindings.crypto_box_afternm(statement, _FIRST_NONCE, shared)

    def channel(self, listener_fresh: bytes) -> SealedChannel | None:
        """Return the channel that the listener's fresh key completes, or None when that is no key."""
        try:
            with_static = bindings.crypto_box_beforenm(self._listener_key, bytes(self._fresh))
            with_fresh = bindings.crypto_box_beforenm(listener_fresh, bytes(self._fresh))
        except (CryptoError, ValueError, TypeError):
            return None
        return _channel(with_static, with_fresh, self.public, listener_fresh, opens=True)


class ListenerKeys:
    """The static key of a node, from 32 secret bytes."""

    def __init__(self, network_id: str, secret: bytes) -> None:
        self._network_id = network_id
        self._static = PrivateKey(secret)
        self.public = bytes(self._static.public_key)

    def answer(self, opening: bytes) -> tuple[SealedChannel, bytes, bytes] | None:
        """Return the channel of an opening, and the fresh keys of the opener and of this end; None if it is forged."""
        opener, sealed = opening[:KEY_SIZE_BYTES], opening[KEY_SIZE_BYTES:]
        fresh = PrivateKey.generate()
        try:
            with_static = bindings.crypto_box_beforenm(opener, bytes(self._static))
            statement = bindings.crypto_box_open_afternm(sealed, _FIRST_NONCE, with_static)
            with_fresh = bindings.crypto_box_beforenm(opener, bytes(fresh))
        except (CryptoError, ValueError, TypeError):
            return None
        if statement != _OPENING + self._network_id.encode():
            return None
        public = bytes(fresh.public_key)
        return _channel(with_static, with_fresh, opener, public, opens=False), opener, public


def _channel(with_static: bytes, with_fresh: bytes, opener: bytes, listener: bytes, *, opens: bool) -> SealedChannel:
    keys = hashlib.blake2b(with_static + with_fresh + opener + listener, person=b"fingerpost nats").digest()
    from_opener, from_listener = keys[:32], keys[32:]
    return SealedChannel(from_opener, from_listener) if opens else SealedChannel(from_listener, from_opener)
