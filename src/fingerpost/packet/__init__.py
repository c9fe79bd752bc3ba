"""The outcome packet: 512 signed bytes that say what happened in one situation.

Values (``Packet``, ``Payload`` and the outcomes) are for single packets; arrays of ``PACKET_DTYPE`` are for many.
The format is described in ``spec/outcome-packet.md``.
"""

from fingerpost.packet._arrays import packet_ids, packets_from_frame, sign_bodies
from fingerpost.packet._codec import decode, encode
from fingerpost.packet._layout import (
    BODY_DTYPE,
    BODY_SIZE_BYTES,
    PACKET_DTYPE,
    PAYLOAD_SIZE_BYTES,
    PLAINTEXT_SIZE_BYTES,
    Kind,
    OutcomeForm,
    Profile,
)
from fingerpost.packet._outcome import (
    CategoryOutcome,
    CountsOutcome,
    HistogramOutcome,
    MomentsOutcome,
    NumberOutcome,
    Outcome,
    ReportBits,
    ReportValue,
    Withdrawn,
)
from fingerpost.packet._packet import BatchProof, Packet, SignedPacket
from fingerpost.packet._payload import Payload, SealedPayload
from fingerpost.packet._payload_layout import MOMENTS_DTYPE, PayloadLayout, blank_bodies, has_layout, payloads
from fingerpost.packet._reasons import Reason
from fingerpost.packet._sealing import (
    SECRET_SIZE_BYTES,
    open_sealed,
    seal_bodies,
    seal_commitment,
    sealed_rows,
)
from fingerpost.packet._signing import Signer, sign_batch, signature_holds, verify
from fingerpost.packet._structure import check_structure
from fingerpost.packet._verifying import RootCache, verify_packets

__all__ = [
    "BODY_DTYPE",
    "BODY_SIZE_BYTES",
    "MOMENTS_DTYPE",
    "PACKET_DTYPE",
    "PAYLOAD_SIZE_BYTES",
    "PLAINTEXT_SIZE_BYTES",
    "SECRET_SIZE_BYTES",
    "BatchProof",
    "CategoryOutcome",
    "CountsOutcome",
    "HistogramOutcome",
    "Kind",
    "MomentsOutcome",
    "NumberOutcome",
    "Outcome",
    "OutcomeForm",
    "Packet",
    "Payload",
    "PayloadLayout",
    "Profile",
    "Reason",
    "ReportBits",
    "ReportValue",
    "RootCache",
    "SealedPayload",
    "SignedPacket",
    "Signer",
    "Withdrawn",
    "blank_bodies",
    "check_structure",
    "decode",
    "encode",
    "has_layout",
    "open_sealed",
    "packet_ids",
    "packets_from_frame",
    "payloads",
    "seal_bodies",
    "seal_commitment",
    "sealed_rows",
    "sign_batch",
    "sign_bodies",
    "signature_holds",
    "verify",
    "verify_packets",
]
