"""A packet as values: what was said, its place in a batch, and the signature."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from fingerpost.ids import NodeId, PacketId, node_id
from fingerpost.limits import BATCH_PACKETS_MAX, EPOCH_DAY_MAX, TTL_DAYS_MAX
from fingerpost.packet._layout import (
    BODY_STRUCT,
    FORMS_OF_KIND,
    KINDS_WITH_FINGERPRINT,
    MAGIC,
    NODE_SIZE_BYTES,
    PROFILES_OF_KIND,
    VERSION,
    Kind,
    Profile,
    is_sealed,
)
from fingerpost.packet._payload import Payload, SealedPayload
from fingerpost.packet._reasons import Reason, checked_integer, checked_octets, refusal

_EMPTY_NODE = bytes(NODE_SIZE_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One outcome packet before it is signed; its body and therefore its id never depend on the signature.

    ``epoch`` is the day of emission in days since 1970-01-01, ``cell`` a 32-bit number, ``template_id`` and ``nonce``
    16 bytes each, ``emitter`` a raw Ed25519 public key. Raises ``PacketError`` with the code of the broken rule.
    """

    kind: Kind
    profile: Profile
    epoch: int
    ttl_days: int
    cell: int = 0
    template_id: bytes
    nonce: bytes
    emitter: bytes
    payload: Payload | SealedPayload

    def __post_init__(self) -> None:
        kind, profile = checked_kind_and_profile(self.kind, self.profile)
        settled = {
            "kind": kind,
            "profile": profile,
            "epoch": checked_integer("epoch", self.epoch, low=0, high=EPOCH_DAY_MAX, reason=Reason.EPOCH),
            "ttl_days": checked_integer("ttl_days", self.ttl_days, low=1, high=TTL_DAYS_MAX, reason=Reason.TTL),
            "cell": checked_integer("cell", self.cell, low=0, high=0xFFFF_FFFF, reason=Reason.FIELD),
            "template_id": checked_octets("template_id", self.template_id, sizes=(16,), reason=Reason.FIELD),
            "nonce": checked_octets("nonce", self.nonce, sizes=(16,), reason=Reason.FIELD),
            "emitter": checked_octets("emitter", self.emitter, sizes=(32,), reason=Reason.FIELD),
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)
        if is_sealed(kind, profile):
            if not isinstance(self.payload, SealedPayload):
                raise refusal(Reason.PAYLOAD, "under the consortium profile it is sealed")
        elif isinstance(self.payload, Payload):
            _check_payload_of_kind(kind, profile, self.payload)
        else:
            raise refusal(Reason.PAYLOAD, "only the consortium profile seals it")

    def body(self) -> bytes:
        """Return the 317 bytes that the packet id covers."""
        payload = self.payload
        return BODY_STRUCT.pack(
            MAGIC,
            VERSION,
            self.kind,
            self.profile,
            self.epoch,
            self.ttl_days,
            self.cell,
            self.template_id,
            self.nonce,
            self.emitter,
            payload.data if isinstance(payload, SealedPayload) else payload.to_bytes(),
        )

    @property
    def packet_id(self) -> PacketId:
        """Return BLAKE2s-256 of the body."""
        return PacketId(hashlib.blake2s(self.body()).digest())

    @property
    def node_id(self) -> NodeId:
        """Return the id of the node that emits the packet."""
        return node_id(self.emitter)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchProof:
    """The place of a packet in its batch, and the siblings that lead from its leaf to the signed root.

    ``leaf_last`` is the number of packets in the batch, less one; ``path`` holds one 16-byte sibling for each level
    of the tree, the lowest first, and is empty for a batch of one. A sibling beyond the last leaf is zero.
    Raises ``PacketError`` (``packet-proof``).
    """

    leaf_index: int = 0
    leaf_last: int = 0
    path: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        reason = Reason.PROOF
        last = checked_integer("leaf_last", self.leaf_last, low=0, high=BATCH_PACKETS_MAX - 1, reason=reason)
        index = checked_integer("leaf_index", self.leaf_index, low=0, high=last, reason=reason)
        if not isinstance(self.path, Sequence) or len(self.path) != last.bit_length():
            raise refusal(reason, f"a batch of {last + 1} needs a path of {last.bit_length()} siblings")
        path = tuple(checked_octets("a sibling", node, sizes=(NODE_SIZE_BYTES,), reason=reason) for node in self.path)
        for level, node in enumerate(path):
            if node != _EMPTY_NODE and (index >> level) ^ 1 > last >> level:
                raise refusal(reason, f"the sibling at level {level} lies beyond the last leaf and is not zero")
        object.__setattr__(self, "leaf_last", last)
        object.__setattr__(self, "leaf_index", index)
        object.__setattr__(self, "path", path)

    @property
    def depth(self) -> int:
        """Return the number of levels above the leaves, 0 to 8."""
        return len(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPacket:
    """A packet with the proof that its emitter signed it; ``verify`` checks that proof."""

    packet: Packet
    proof: BatchProof
    signature: bytes

    def __post_init__(self) -> None:
        signature = checked_octets("signature", self.signature, sizes=(64,), reason=Reason.FIELD)
        object.__setattr__(self, "signature", signature)

    @property
    def packet_id(self) -> PacketId:
        """Return the id of the packet inside."""
        return self.packet.packet_id


def checked_kind_and_profile(kind: int, profile: int) -> tuple[Kind, Profile]:
    """Return the enumeration members, or raise ``PacketError`` if one is unknown or the profile forbids the kind."""
    if kind not in PROFILES_OF_KIND:
        raise refusal(Reason.KIND, f"kind is {kind!r}")
    kind = Kind(kind)
    if profile not in PROFILES_OF_KIND[Kind.WITHDRAWAL]:
        raise refusal(Reason.PROFILE, f"profile is {profile!r}")
    profile = Profile(profile)
    if profile not in PROFILES_OF_KIND[kind]:
        raise refusal(Reason.PROFILE, f"no {kind.name.lower()} under profile {profile.name.lower()}")
    return kind, profile


def _check_payload_of_kind(kind: Kind, profile: Profile, payload: Payload) -> None:
    if payload.outcome.form not in FORMS_OF_KIND[kind]:
        raise refusal(Reason.OUTCOME, f"outcome_form {payload.outcome.form} in a packet of kind {kind}")
    if kind in KINDS_WITH_FINGERPRINT and not payload.fingerprint:
        raise refusal(Reason.PAYLOAD, f"kind {kind} needs a fingerprint")
    if kind == Kind.WITHDRAWAL and payload != Payload(outcome=payload.outcome, confidence=0):
        raise refusal(Reason.PAYLOAD, "a withdrawal holds nothing but the id of the packet it withdraws")
    if payload.sketch and profile != Profile.OPEN:
        raise refusal(Reason.PROFILE, "a sketch reveals most of a record, so only open payloads carry one in clear")
