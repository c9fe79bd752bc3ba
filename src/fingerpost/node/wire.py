"""What nodes say to each other: messages in MessagePack, each one frame of a carrier.

Every request has a ``number``; what answers it repeats that number as ``answers``.

=============  ================================================================  ==================
request        says                                                              is answered by
=============  ================================================================  ==================
``Offer``      keep these packets                                                ``Have``
``Check``      which of these packets do you keep?                               ``Have``
``Compare``    here is the digest of my packets of a group; what is yours?       ``Compared``
``List``       which packets do you keep in these leaves of a group?             ``Listed``
``Get``        send me these packets                                             ``Packets``
``Beat``       are you there?                                                    ``Beat``
``WantCells``  what do you keep in these cells? I know these digests             ``CellsHeld``
``Nearest``    which of your packets are nearest to this fingerprint?            ``Packets``
=============  ================================================================  ==================

Packets travel as their 512 bytes, so every receiver checks signatures for itself, and nothing that a carrier or a
holder does can forge one.

What an asker says about cells, and what it is answered, is padded: see ``padded_size``.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from fingerpost.errors import PacketError
from fingerpost.limits import (
    CELLS_ASKED_MAX,
    FINGERPRINT_BITS_MAX,
    FRAME_IDS_MAX,
    FRAME_PACKETS_MAX,
    FRAME_SIZE_BYTES_MAX,
    PACKET_SIZE_BYTES,
)

PACKET_ID_SIZE_BYTES = 32
LEAVES = 4_096  # of the ids of a group: by their first 12 bits
LEAF_RECORD_SIZE_BYTES = 18  # number (2, big-endian) and digest (16)
DIGEST_SIZE_BYTES = 16
PADDED_SIZE_BYTES_MIN = 4_096
PADDED_PACKETS_MIN = 32  # An answer with packets is at least as long as that many.

Number = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Cell = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]  # also a group of them
TemplateIdBytes = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]


class Offer(msgspec.Struct, tag="offer", frozen=True, kw_only=True):
    """Packets for the receiver to keep."""

    number: Number
    packets: bytes


class Check(msgspec.Struct, tag="check", frozen=True, kw_only=True):
    """The question which of these packets the receiver keeps, durably."""

    number: Number
    packet_ids: bytes


class Have(msgspec.Struct, tag="have", frozen=True, kw_only=True):
    """The sender's signed word that it keeps these packets, and why it refused others.

    It has them on disk, and promises to keep them for ``replication.PROMISE_SECONDS`` from ``at`` (its own clock,
    seconds since 1970), whoever else may have them. ``signature`` is that of ``haves.have_statement``.
    """

    answers: Number
    packet_ids: bytes
    at: Number
    signature: bytes
    refused: dict[str, int] = {}


class Compare(msgspec.Struct, tag="compare", frozen=True, kw_only=True):
    """The digest of all packets of a group that the sender keeps."""

    number: Number
    template_id: TemplateIdBytes
    group: Cell
    root: bytes


class Compared(msgspec.Struct, tag="compared", frozen=True, kw_only=True):
    """The digest at the other end and, when it differs, that of each leaf that is not empty."""

    answers: Number
    root: bytes
    leaves: bytes = b""


class List(msgspec.Struct, tag="list", frozen=True, kw_only=True):
    """The question which packets lie in these leaves (2 bytes each, big-endian), those up to ``after`` left out."""

    number: Number
    template_id: TemplateIdBytes
    group: Cell
    leaves: bytes
    after: bytes = b""


class Listed(msgspec.Struct, tag="listed", frozen=True, kw_only=True):
    """The ids in the leaves asked for, ascending; with ``more`` there are others behind the last."""

    answers: Number
    packet_ids: bytes
    more: bool = False


class Get(msgspec.Struct, tag="get", frozen=True, kw_only=True):
    """A request for packets by their ids; it and its answer are ``padded`` where packets are wanted for an answer."""

    number: Number
    packet_ids: bytes
    padded: bool = False


class Packets(msgspec.Struct, tag="packets", frozen=True, kw_only=True):
    """Packets that were asked for: those of them that are here."""

    answers: Number
    packets: bytes
    padded: bool = False


class Beat(msgspec.Struct, tag="beat", frozen=True, kw_only=True):
    """A sign of life: with ``answers`` 0 one that wants another, else the other."""

    number: Number
    answers: Number = 0


class WantCells(msgspec.Struct, tag="want-cells", frozen=True, kw_only=True):
    """The question what lies in some cells; ``known`` has the digest of what the asker has of each, 16 bytes each.

    Ids up to ``after`` are left out of the answer.
    """

    number: Number
    template_id: TemplateIdBytes
    cells: list[Cell]
    known: bytes
    after: bytes = b""


class CellsHeld(msgspec.Struct, tag="cells-held", frozen=True, kw_only=True):
    """The digests (16 bytes each) of some cells, signed, and the ids in those cells whose digest the asker had not.

    Ids ascend; with ``more`` there are others behind the last. ``complete`` says that the holder has compared what it
    has with all other holders within its reach. ``signature`` is that of ``haves.cells_statement``.
    """

    answers: Number
    digests: bytes
    packet_ids: bytes
    more: bool
    complete: bool
    at: Number
    signature: bytes


class Nearest(msgspec.Struct, tag="nearest", frozen=True, kw_only=True):
    """The question which packets are nearest to a fingerprint: it tells the holder the situation."""

    number: Number
    template_id: TemplateIdBytes
    fingerprint: bytes
    count: int


Request = Offer | Check | Compare | List | Get | Beat | WantCells | Nearest
Answer = Have | Compared | Listed | Packets | CellsHeld | Beat
Message = (
    Offer | Check | Have | Compare | Compared | List | Listed | Get | Packets | Beat | WantCells | CellsHeld | Nearest
)

_decoder = msgspec.msgpack.Decoder(Message)
_encoder = msgspec.msgpack.Encoder()
_PADDING_HEAD = b"\xa7padding\xc6" + bytes(4)  # A short key, then "bytes follow, their number in four bytes".


def encode_message(message: Message) -> bytes:
    """Return the frame of a message, padded where its length would tell which cells are asked about."""
    frame = _encoder.encode(message)
    is_padded = isinstance(message, (WantCells, CellsHeld, Nearest)) or (
        isinstance(message, (Get, Packets)) and message.padded
    )
    if not is_padded:
        return frame
    least = PADDED_PACKETS_MIN * PACKET_SIZE_BYTES if isinstance(message, Packets) else PADDED_SIZE_BYTES_MIN
    return _padded(frame, padded_size(len(frame) + len(_PADDING_HEAD), least=least))


def padded_size(size: int, *, least: int) -> int:
    """Return the length of a padded frame: the next power of two from ``least`` on, at most a whole frame."""
    return min(max(least, 1 << (size - 1).bit_length()), FRAME_SIZE_BYTES_MAX)


def decode_message(frame: bytes) -> Message:
    """Read a frame, which may be hostile. Raises ``PacketError`` with code ``frame-invalid``."""
    if len(frame) > FRAME_SIZE_BYTES_MAX:
        raise PacketError("frame-invalid", f"a frame of {len(frame)} bytes; at most {FRAME_SIZE_BYTES_MAX}")
    try:
        message: Message = _decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PacketError("frame-invalid", f"not a message of this protocol: {error}") from None
    problem = _problem(message)
    if problem:
        raise PacketError("frame-invalid", problem)
    return message


def _padded(frame: bytes, size: int) -> bytes:
    """Add one more field to the map that a frame is, so that it has ``size`` bytes; readers skip what they don't know.

    The length of the field stands in four bytes, however short it is, so that any length can be reached.
    """
    room = size - len(frame) - len(_PADDING_HEAD)
    if room < 0:
        raise AssertionError("no message fills a frame so far that its padding has no place")
    return bytes([frame[0] + 1]) + frame[1:] + _PADDING_HEAD[:-4] + room.to_bytes(4, "big") + bytes(room)


def _problem(message: Message) -> str:
    if isinstance(message, (Offer, Packets)):
        return _part(message.packets, PACKET_SIZE_BYTES, FRAME_PACKETS_MAX, "packets")
    if isinstance(message, (Check, Have, Listed, Get, CellsHeld)):
        of = FRAME_PACKETS_MAX if isinstance(message, Get) else FRAME_IDS_MAX
        problem = _part(message.packet_ids, PACKET_ID_SIZE_BYTES, of, "packet ids")
        if not problem and isinstance(message, CellsHeld):
            problem = _part(message.digests, DIGEST_SIZE_BYTES, CELLS_ASKED_MAX, "digests")
        return problem
    if isinstance(message, Compared):
        return _part(message.leaves, LEAF_RECORD_SIZE_BYTES, LEAVES, "leaves")
    if isinstance(message, List):
        return _part(message.leaves, 2, LEAVES, "leaves")
    if isinstance(message, WantCells):
        if len(message.known) != DIGEST_SIZE_BYTES * len(message.cells) or len(message.cells) > CELLS_ASKED_MAX:
            return "cells and digests do not belong together, or are too many"
    elif isinstance(message, Nearest) and (
        len(message.fingerprint) > FINGERPRINT_BITS_MAX // 8 or not 0 < message.count <= FRAME_PACKETS_MAX
    ):
        return "no such fingerprint or count"
    return ""


def _part(value: bytes, size: int, most: int, what: str) -> str:
    if len(value) % size or len(value) // size > most:
        return f"{len(value)} bytes of {what}: no whole number of them, or more than {most}"
    return ""
