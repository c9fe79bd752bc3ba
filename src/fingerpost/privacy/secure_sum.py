"""A sum of tables that nobody sees but as a sum: what at least three nodes may release together (dp-aggregate).

Each party makes a passing X25519 key for one sum, signs it together with what is to be summed (``Hello``) and sends it
to all others. When it has the keys of all of them, each pair has a secret that nobody else has, and from it a table of
masks: one of the two adds it, the other subtracts it. What a party sends then (``Masked``), again to all, is its table
with all its masks on, modulo 2^64: to everybody else as good as random. Adding up all of them leaves the sum of the
tables, exactly, at every party; there is no leader (pairwise masks: Bonawitz et al. 2017, section 4, without recovery).

- A coalition of all but two parties learns the sum of the two tables, which the result tells it anyway, and no more.
- Where a party does not send, no sum comes out: what was sent stays random to those who have it. Only the one who
  held back can have all parts, so a table is paid for before ``masked`` gives it away.
- Two parties add noise, drawn by a hash over the sum's name that nobody chooses. Each adds all the noise that the
  promise needs, so that the promise holds against either of them; both together could take it off again.

A ``SumParty`` does no I/O: its owner hands in what arrives with ``take``, and sends what ``hello`` and ``masked`` give.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fingerpost.errors import PrivacyError
from fingerpost.packet import Signer
from fingerpost.privacy.noise import CountNoise, Counts

PARTIES_MIN: Final = 3
ADDERS: Final = 2
SECRET_SIZE_BYTES: Final = 32
KEY_SIZE_BYTES: Final = 32
SIGNATURE_SIZE_BYTES: Final = 64
_HELLO_LABEL: Final = b"fingerpost sum v1 hello"
_MASKED_LABEL: Final = b"fingerpost sum v1 masked"
_MASK_LABEL: Final = b"fingerpost sum v1 mask"
_ADDER_LABEL: Final = b"fingerpost sum v1 adder"

Words = npt.NDArray[np.uint64]


class Hello(msgspec.Struct, tag="sum-hello", frozen=True, kw_only=True):
    """A party's passing key for one sum, signed by the party."""

    name: bytes
    key: bytes
    signature: bytes


class Masked(msgspec.Struct, tag="sum-masked", frozen=True, kw_only=True):
    """A party's table with its masks on (little-endian u64), signed by the party."""

    name: bytes
    table: bytes
    signature: bytes


_BEGINNINGS: Final = tuple(
    msgspec.msgpack.encode(kind(name=b"", signature=b"", **more))[:12]
    for kind, more in ((Hello, {"key": b""}), (Masked, {"table": b""}))
)  # a map of four with its type first


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """What is to be summed, by whom: all parties have to agree on all of it.

    ``parties`` are Ed25519 public keys; ``occasion`` says which sum it is (template, day, attempt) and may never be
    used twice; ``shape`` is that of the tables.
    """

    parties: tuple[bytes, ...]
    occasion: bytes
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(set(self.parties)) < max(PARTIES_MIN, len(self.parties)):
            raise PrivacyError(
                "sum-parties",
                f"{len(set(self.parties))} different parties are not {max(PARTIES_MIN, len(self.parties))}",
                hint=f"a sum hides what each of {PARTIES_MIN} or more nodes adds; of two, each knows the other's part",
            )
        object.__setattr__(self, "parties", tuple(sorted(self.parties)))

    @property
    def name(self) -> bytes:
        """The 32 bytes that stand for this sum."""
        content = msgspec.msgpack.encode([list(self.parties), self.occasion, list(self.shape)])
        return hashlib.blake2s(content).digest()

    @property
    def adders(self) -> tuple[bytes, ...]:
        """Who adds noise: the two parties whose hash over the sum's name is lowest."""
        drawn = sorted(self.parties, key=lambda key: hashlib.blake2s(_ADDER_LABEL + self.name + key).digest())
        return tuple(drawn[:ADDERS])

    @property
    def size(self) -> int:
        """The number of entries."""
        return int(np.prod(self.shape))


class SumParty:
    """One party of one sum. Call ``hello``, ``take`` those of all others, ``masked``, ``take`` again, then ``total``.

    ``secret`` are 32 fresh unpredictable bytes. Messages that break a rule raise ``PrivacyError`` (``sum-message``).
    """

    def __init__(self, agreed: Sum, *, signer: Signer, secret: bytes) -> None:
        if bytes(signer.public_key) not in agreed.parties:
            raise PrivacyError("sum-parties", "this node is no party of the sum")
        self._sum = agreed
        self._signer = signer
        self._me = bytes(signer.public_key)
        self._key = X25519PrivateKey.from_private_bytes(secret)
        self._keys: dict[bytes, bytes] = {}
        self._tables: dict[bytes, Words] = {}
        self._sent: bytes | None = None

    @property
    def agreed(self) -> Sum:
        """What is summed."""
        return self._sum

    @property
    def waits_for(self) -> tuple[bytes, ...]:
        """The parties of which something is missing before the next step."""
        have = self._keys.keys() if self._sent is None else self._tables.keys()
        return tuple(party for party in self._sum.parties if party != self._me and party not in have)

    def hello(self) -> bytes:
        """Return what all others have to be sent first."""
        key = self._key.public_key().public_bytes_raw()
        signature = self._signer.sign(_HELLO_LABEL + self._sum.name + key)
        return msgspec.msgpack.encode(Hello(name=self._sum.name, key=key, signature=signature))

    def take(self, message: bytes, *, sender: bytes) -> None:
        """Take in what a party sent; the same message again is harmless. Raises ``PrivacyError`` (``sum-message``)."""
        try:
            said = msgspec.msgpack.decode(message, type=Hello | Masked)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise _bad(f"it cannot be read: {error}") from None
        if sender not in self._sum.parties or sender == self._me or said.name != self._sum.name:
            raise _bad("it belongs to another sum, or to nobody of this one")
        if isinstance(said, Hello):
            _verify(sender, _HELLO_LABEL + said.name + said.key, said.signature)
            self._take_key(sender, said.key)
            return
        _verify(sender, _MASKED_LABEL + said.name + said.table, said.signature)
        if len(said.table) != 8 * self._sum.size:
            raise _bad("its table has another size")
        known = self._tables.get(sender)
        table = np.frombuffer(said.table, "<u8").astype(np.uint64)
        if known is not None and (known != table).any():
            raise _bad("a party sent two different tables")
        self._tables[sender] = table

    def masked(self, counts: Counts, noise: CountNoise, *, epsilon: float) -> bytes:
        """Return this party's table under its masks, for all others: paid for before it is called, and made once.

        An adder's has noise of scale 1 / ``epsilon`` on every entry. Called again it returns the same bytes, whatever
        it is called with. Raises ``PrivacyError`` (``sum-early``) while the key of a party is missing.
        """
        if self._sent is not None:
            return self._sent
        if self.waits_for:
            raise PrivacyError("sum-early", f"{len(self.waits_for)} parties have not said hello")
        if counts.shape != self._sum.shape:
            raise PrivacyError("sum-message", "the table has another shape than was agreed on")
        told = counts.reshape(-1)
        if self._me in self._sum.adders:
            told = noise.discrete_laplace(told, scale=1 / epsilon)
        table = told.astype(np.int64).view(np.uint64).copy()
        for party, key in self._keys.items():
            mask = self._mask(party, key)
            table = table + mask if self._me < party else table - mask
        self._tables[self._me] = table
        content = table.astype("<u8").tobytes()
        signature = self._signer.sign(_MASKED_LABEL + self._sum.name + content)
        self._sent = msgspec.msgpack.encode(Masked(name=self._sum.name, table=content, signature=signature))
        return self._sent

    def total(self) -> Counts:
        """Return the sum of all tables and of the noise of both adders. Raises ``PrivacyError`` (``sum-dropout``)."""
        if self._sent is None or self.waits_for:
            missing = len(self.waits_for) or len(self._sum.parties) - 1
            raise PrivacyError(
                "sum-dropout",
                f"{missing} of {len(self._sum.parties)} parties did not send their part, so there is no sum",
                hint="nothing was released; agree on another sum among those who are there",
            )
        total = np.zeros(self._sum.size, np.uint64)
        for table in self._tables.values():
            total += table
        return total.view(np.int64).reshape(self._sum.shape)

    def _mask(self, party: bytes, key: bytes) -> Words:
        try:
            shared = self._key.exchange(X25519PublicKey.from_public_bytes(key))
        except ValueError as error:  # a point of small order
            raise _bad(f"the key of a party is none: {error}") from None
        pair = b"".join(sorted((self._me, party)))
        stream = hashlib.shake_256(_MASK_LABEL + self._sum.name + pair + shared)
        return np.frombuffer(stream.digest(8 * self._sum.size), "<u8").astype(np.uint64)

    def _take_key(self, sender: bytes, key: bytes) -> None:
        """Take a party's key; one that began again has another, which counts as long as no mask was made from it."""
        if len(key) != KEY_SIZE_BYTES:
            raise _bad("its key has another size")
        if self._sent is not None and self._keys[sender] != key:
            raise _bad("a party sent another key after its first was used")
        self._keys[sender] = key


def is_of_a_sum(frame: bytes) -> bool:
    """Say whether a frame claims to be a message of a sum, without reading it."""
    return frame.startswith(_BEGINNINGS)


def _verify(sender: bytes, statement: bytes, signature: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(sender).verify(signature, statement)
    except (InvalidSignature, ValueError):
        raise _bad("its signature does not hold") from None


def _bad(what: str) -> PrivacyError:
    return PrivacyError("sum-message", f"a message of a sum is refused: {what}", hint="the sum is over; begin another")
