"""Holder records: what a node says about itself in a directory, signed by its own key and gone by itself.

::

    MessagePack of [version, template id, public key, carrier, endpoint, channel key, organisation, capacity,
                    issued at, lifetime, depth] followed by the Ed25519 signature (64 bytes) over "fingerpost holder
    record", a zero byte, the network id, a zero byte and those bytes.

The whole stays below 600 bytes, which OpenDHT carries in one datagram.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec
from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

from fingerpost.errors import NetworkError
from fingerpost.ids import NodeId, PublicKey, TemplateId, node_id
from fingerpost.limits import (
    CLOCK_SKEW_SECONDS_MAX,
    RECORD_LIFETIME_SECONDS_MAX,
    RECORD_SIZE_BYTES_MAX,
    REGION_DEPTH_MAX,
)

RECORD_VERSION = 1
SIGNATURE_SIZE_BYTES = 64
_LABEL = b"fingerpost holder record\0"


class _Wire(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    version: int
    template_id: bytes
    public_key: bytes
    carrier: str
    endpoint: str
    channel_key: bytes
    organisation: str
    capacity_packets: int
    issued_at: int
    lifetime_seconds: int
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderRecord:
    """Where a holder can be reached, for which template it keeps packets, and until when this may be believed.

    ``carrier`` names the backend that understands ``endpoint`` and ``channel_key``. ``organisation`` counts as one
    holder in placement, however many nodes it runs. Times are seconds, since 1970 for ``issued_at``. ``depth`` is that
    of the deepest region in which the holder stands: more than a region's own where the region has been divided.
    """

    template_id: TemplateId
    public_key: PublicKey
    carrier: str
    endpoint: str
    channel_key: bytes
    organisation: str
    capacity_packets: int
    issued_at: int
    lifetime_seconds: int
    depth: int = 0
    signature: bytes = b""

    @property
    def leading(self) -> int:
        """Return the first 32 bits of the holder's id, which say into which regions it falls."""
        return int.from_bytes(self.node_id[:4], "big")

    @property
    def node_id(self) -> NodeId:
        """Return the id of the holder."""
        return node_id(self.public_key)

    def is_live(self, now: float) -> bool:
        """Say whether this may be believed at ``now``."""
        return self.issued_at - CLOCK_SKEW_SECONDS_MAX <= now < self.issued_at + self.lifetime_seconds

    def signed(self, sign: Callable[[bytes], bytes], *, network_id: str) -> HolderRecord:
        """Return the record with the signature that ``sign`` makes of it."""
        return replace(self, signature=sign(_statement(_body(self), network_id)))


def encode_record(record: HolderRecord) -> bytes:
    """Return the bytes of a signed record. Raises ``NetworkError`` (``record-invalid``) when they are too many."""
    encoded = _body(record) + record.signature
    if len(record.signature) != SIGNATURE_SIZE_BYTES or len(encoded) > RECORD_SIZE_BYTES_MAX:
        raise NetworkError(
            "record-invalid",
            f"a signed holder record has at most {RECORD_SIZE_BYTES_MAX} bytes, this one {len(encoded)}",
            hint="shorten the organisation or the endpoint",
        )
    return encoded


def decode_record(encoded: bytes, *, network_id: str, now: float) -> HolderRecord:
    """Read a record, which may be hostile.

    Raises ``NetworkError``: ``record-invalid`` for bytes that are no record, ``holder-signature`` when its signature
    does not hold in this network, ``record-expired`` when its time is over or has not come.
    """
    if not SIGNATURE_SIZE_BYTES < len(encoded) <= RECORD_SIZE_BYTES_MAX:
        raise NetworkError("record-invalid", f"no holder record has {len(encoded)} bytes")
    body, signature = encoded[:-SIGNATURE_SIZE_BYTES], encoded[-SIGNATURE_SIZE_BYTES:]
    try:
        wire = msgspec.msgpack.decode(body, type=_Wire)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NetworkError("record-invalid", f"not a holder record: {error}") from None
    sizes = len(wire.template_id), len(wire.public_key), len(wire.channel_key)
    sound = wire.version == RECORD_VERSION and sizes in ((16, 32, 32), (16, 32, 0)) and wire.capacity_packets >= 0
    if (
        not sound
        or not 0 < wire.lifetime_seconds <= RECORD_LIFETIME_SECONDS_MAX
        or not 0 <= wire.depth <= REGION_DEPTH_MAX
        or msgspec.msgpack.encode(wire) != body
    ):
        raise NetworkError("record-invalid", "a holder record with values that no node would write")
    try:
        VerifyKey(wire.public_key).verify(_statement(body, network_id), signature)
    except CryptoError:
        raise NetworkError("holder-signature", "the signature of a holder record does not hold here") from None
    record = HolderRecord(
        template_id=TemplateId(wire.template_id),
        public_key=PublicKey(wire.public_key),
        carrier=wire.carrier,
        endpoint=wire.endpoint,
        channel_key=wire.channel_key,
        organisation=wire.organisation,
        capacity_packets=wire.capacity_packets,
        issued_at=wire.issued_at,
        lifetime_seconds=wire.lifetime_seconds,
        depth=wire.depth,
        signature=signature,
    )
    if not record.is_live(now):
        raise NetworkError("record-expired", "a holder record whose time is over, or has not come")
    return record


def _body(record: HolderRecord) -> bytes:
    wire = _Wire(
        RECORD_VERSION,
        record.template_id,
        record.public_key,
        record.carrier,
        record.endpoint,
        record.channel_key,
        record.organisation,
        record.capacity_packets,
        record.issued_at,
        record.lifetime_seconds,
        record.depth,
    )
    return msgspec.msgpack.encode(wire)


def _statement(body: bytes, network_id: str) -> bytes:
    return _LABEL + network_id.encode() + b"\0" + body
