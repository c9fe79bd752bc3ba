"""The profile consortium: who holds a consortium's keys reads its packets, everybody else sees headers.

::

    epoch key (32 random bytes, shared by all members)
      └─ HKDF-SHA256, salt template id, info label | emitter ──▸ emitter key
           └─ keyed BLAKE2s of the packet's nonce ──▸ packet secret ──▸ AES-256-GCM key, nonce, commitment

A packet's secret opens that packet and no other, so a receipt can carry it. An epoch key is in use from its first day
until it is replaced, and dies once every packet that it sealed has expired.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import blake2s
from typing import Final

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fingerpost.errors import KeyFileError
from fingerpost.ids import TemplateId
from fingerpost.limits import CLOCK_SKEW_DAYS_MAX, TTL_DAYS_MAX
from fingerpost.packet import SECRET_SIZE_BYTES, open_sealed, seal_bodies, seal_commitment, sealed_rows

KEY_SIZE_BYTES: Final = 32
GRACE_DAYS: Final = 7  # after a key is replaced, for members who have not got the next one yet
EMITTER_KEYS_KEPT_MAX: Final = 65_536
_EMITTER_LABEL: Final = b"fingerpost seal v1 emitter"
_PACKET_LABEL: Final = b"fingerpost seal v1 packet"
_COMMITMENT: Final = slice(0, 16)

Packets = npt.NDArray[np.void]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochKey:
    """One key of a consortium. ``last_day`` is the last day on which it seals, None while nothing replaces it."""

    number: int
    secret: bytes = field(repr=False)
    first_day: int
    last_day: int | None = None

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_SIZE_BYTES or self.number < 1 or self.first_day < 0:
            raise KeyFileError("consortium-malformed", "a key of the consortium is damaged", hint="join it again")

    def seals_on(self, day: int) -> bool:
        """Whether a packet of this day may be sealed with it, clocks being a day apart."""
        return self.first_day - CLOCK_SKEW_DAYS_MAX <= day and (self.last_day is None or day <= self.last_day)

    def dies_on(self, ttl_days: int) -> int | None:
        """Return the day from which no packet is left that it opens, if none lives longer than ``ttl_days``."""
        return None if self.last_day is None else self.last_day + ttl_days


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """The keys of one consortium: of one template, ascending by number. No packet of it outlives ``ttl_days``."""

    template_id: TemplateId
    keys: tuple[EpochKey, ...]
    ttl_days: int

    def __post_init__(self) -> None:
        numbers = [key.number for key in self.keys]
        if len(self.template_id) != 16 or numbers != sorted(set(numbers)) or not 1 <= self.ttl_days <= TTL_DAYS_MAX:
            raise KeyFileError("consortium-malformed", "a key ring is damaged", hint="join the consortium again")

    def current(self, day: int) -> EpochKey:
        """Return the key that seals on ``day``. Raises ``KeyFileError`` (``consortium-key-missing``)."""
        for key in reversed(self.keys):
            if key.first_day <= day and key.seals_on(day):
                return key
        raise KeyFileError(
            "consortium-key-missing",
            "no key of the consortium is in use today",
            hint="ask its keeper for the keys of today, then: fingerpost consortium join FILE",
        )

    def next(self, secret: bytes, *, day: int) -> KeyRing:
        """Return the ring with a new key from ``day`` on; those before it seal for a few days more at most."""
        last_day = day + GRACE_DAYS
        before = [replace(key, last_day=last_day if key.last_day is None else key.last_day) for key in self.keys]
        new = EpochKey(number=max((key.number for key in self.keys), default=0) + 1, secret=secret, first_day=day)
        return replace(self, keys=(*before, new))

    def alive(self, day: int) -> KeyRing:
        """Return the ring without the keys that open nothing any more on ``day``."""
        return replace(self, keys=tuple(key for key in self.keys if not self._is_dead(key, day)))

    def _is_dead(self, key: EpochKey, day: int) -> bool:
        dies = key.dies_on(self.ttl_days)
        return dies is not None and dies < day


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a consortium's packets say. ``packets`` (n,) are for reading: their ids are those of the sealed ones.

    ``rows`` (n,) says where each stood among those that were given, ``secrets`` (n, 32) with what it opened: zeros for
    a packet that was not sealed.
    """

    packets: Packets
    rows: Rows
    secrets: npt.NDArray[np.uint8]


class Seals:
    """Seals packets of one template with its key ring and opens them. A ring of ``None`` opens and seals nothing."""

    def __init__(self, ring: KeyRing | None) -> None:
        self._ring = ring
        self._emitter_keys: dict[tuple[int, bytes], bytes] = {}

    @property
    def ring(self) -> KeyRing | None:
        """The keys, None without any."""
        return self._ring

    def seal(self, bodies: Packets, *, day: int) -> Packets:
        """Return plain bodies of one day, sealed. Raises ``KeyFileError``: ``consortium-key-missing``."""
        if self._ring is None:
            raise no_keys()
        key = self._ring.current(day)
        secrets = [
            packet_secret(self._emitter_key(key, emitter), nonce)
            for emitter, nonce in zip(_column(bodies, "emitter"), _column(bodies, "nonce"), strict=True)
        ]
        return seal_bodies(bodies, secrets)

    def open(self, packets: Packets) -> Opened:
        """Return what packets say: the sealed ones that open under a key of the ring, and those that are plain."""
        sealed = sealed_rows(packets)
        secrets = np.zeros((len(packets), SECRET_SIZE_BYTES), np.uint8)
        if not sealed.any():
            return Opened(packets=packets, rows=np.arange(len(packets)), secrets=secrets)
        places = np.flatnonzero(sealed)
        found = list(self._secrets(packets[places]))
        plain, done = open_sealed(packets[places], found)
        every: Packets = packets.copy()
        every[places[done]] = plain[done]
        for place, secret, opens in zip(places.tolist(), found, done.tolist(), strict=True):
            if secret is not None and opens:
                secrets[place] = np.frombuffer(secret, np.uint8)
        readable = ~sealed
        readable[places[done]] = True
        rows = np.flatnonzero(readable)
        return Opened(packets=every[rows], rows=rows, secrets=secrets[rows])

    def _secrets(self, packets: Packets) -> Iterator[bytes | None]:
        """Yield the secret of each sealed packet: of the keys of its day, the newest to which it is committed."""
        commitments = [each.tobytes() for each in packets["payload"][:, _COMMITMENT]]
        columns = zip(
            packets["epoch"].tolist(),
            _column(packets, "emitter"),
            _column(packets, "nonce"),
            commitments,
            strict=True,
        )
        keys = () if self._ring is None else self._ring.keys[::-1]
        of_day = {day: [key for key in keys if key.seals_on(day)] for day in np.unique(packets["epoch"]).tolist()}
        for epoch, emitter, nonce, commitment in columns:
            for key in of_day[epoch]:
                secret = packet_secret(self._emitter_key(key, emitter), nonce)
                if seal_commitment(secret) == commitment:
                    yield secret
                    break
            else:
                yield None

    def _emitter_key(self, key: EpochKey, emitter: bytes) -> bytes:
        known = self._emitter_keys.get((key.number, emitter))
        if known is None:
            if len(self._emitter_keys) >= EMITTER_KEYS_KEPT_MAX:
                self._emitter_keys.clear()
            known = emitter_key(key.secret, b"" if self._ring is None else self._ring.template_id, emitter)
            self._emitter_keys[key.number, emitter] = known
        return known


def emitter_key(epoch_secret: bytes, template_id: bytes, emitter: bytes) -> bytes:
    """Return the key under which one emitter's packets of a template are sealed (RFC 5869)."""
    derive = HKDF(algorithm=SHA256(), length=KEY_SIZE_BYTES, salt=template_id, info=_EMITTER_LABEL + emitter)
    return derive.derive(epoch_secret)


def passing_ring(template_id: TemplateId, secret: bytes, *, day: int) -> KeyRing:
    """Return a ring of one key that nobody shares: to show what sealed packets look like before there are keys."""
    return KeyRing(template_id=template_id, keys=(), ttl_days=1).next(secret, day=day)


def no_keys() -> KeyFileError:
    """Return the error of a node that is no member of the consortium."""
    return KeyFileError(
        "consortium-keys-absent",
        "packets under the profile consortium are sealed, and this node has no keys of the consortium",
        hint="make one (fingerpost consortium create), or join one (fingerpost consortium join FILE)",
    )


def packet_secret(key: bytes, nonce: bytes) -> bytes:
    """Return what opens the packet with this nonce, given its emitter's key."""
    return blake2s(_PACKET_LABEL + nonce, key=key).digest()


def _column(packets: Packets, name: str) -> list[bytes]:
    """Return a column of bytes, an object each."""
    column = np.ascontiguousarray(packets[name])
    width = column.shape[1]
    data = column.tobytes()
    return [data[at : at + width] for at in range(0, len(data), width)]
