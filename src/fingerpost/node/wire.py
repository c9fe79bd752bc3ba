"""What nodes say to each other: three messages in MessagePack, each one frame of a carrier.

``Offer`` hands packets over, ``Have`` says which of them are durable at the receiver, ``Want`` asks for everything a
holder keeps of a template and is answered by offers, the last of them marked. Packets travel as their 512 bytes, so
every receiver checks signatures for itself and nothing a carrier or a holder does can forge one.
"""

from __future__ import annotations

import msgspec

from fingerpost.errors import PacketError
from fingerpost.limits import FRAME_PACKETS_MAX, FRAME_SIZE_BYTES_MAX, PACKET_SIZE_BYTES

PACKET_ID_SIZE_BYTES = 32


class Offer(msgspec.Struct, tag="offer", frozen=True, kw_only=True):
    """Packets for the receiver to keep; ``answers`` is the number of the ``Want`` they answer, or 0."""

    number: int
    packets: bytes
    answers: int = 0
    last: bool = True


class Have(msgspec.Struct, tag="have", frozen=True, kw_only=True):
    """The receiver's word that these packets of offer ``number`` are durable, and why it refused others."""

    number: int
    packet_ids: bytes
    refused: dict[str, int]


class Want(msgspec.Struct, tag="want", frozen=True, kw_only=True):
    """A request for every live packet of a template."""

    number: int
    template_id: bytes


Message = Offer | Have | Want

_decoder = msgspec.msgpack.Decoder(Message)
_encoder = msgspec.msgpack.Encoder()


def encode_message(message: Message) -> bytes:
    """Return the frame of a message."""
    return _encoder.encode(message)


def decode_message(frame: bytes) -> Message:
    """Read a frame, which may be hostile. Raises ``PacketError`` with code ``frame-invalid``."""
    if len(frame) > FRAME_SIZE_BYTES_MAX:
        raise PacketError("frame-invalid", f"a frame of {len(frame)} bytes; at most {FRAME_SIZE_BYTES_MAX}")
    try:
        message: Message = _decoder.decode(frame)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PacketError("frame-invalid", f"not a message of this protocol: {error}") from None
    if isinstance(message, Offer) and (
        len(message.packets) % PACKET_SIZE_BYTES or len(message.packets) > FRAME_PACKETS_MAX * PACKET_SIZE_BYTES
    ):
        raise PacketError("frame-invalid", f"an offer of {len(message.packets)} bytes is no whole number of packets")
    if isinstance(message, Have) and len(message.packet_ids) % PACKET_ID_SIZE_BYTES:
        raise PacketError("frame-invalid", "a list of packet ids with half an id")
    return message
