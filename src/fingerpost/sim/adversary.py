"""Those who do not keep to the protocol: holders that lie about packets, and emitters whose packets are not sound.

Both are members of the network, so that nothing but the engine stands between them and the others. A liar is a whole
node whose frames are changed on the way out, or answered before they reach its engine.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from fingerpost.errors import PacketError
from fingerpost.ids import PublicKey
from fingerpost.limits import CLOCK_SKEW_DAYS_MAX, FRAME_SIZE_BYTES_MAX, PACKET_SIZE_BYTES
from fingerpost.node.haves import have_statement
from fingerpost.node.requests import Outgoing
from fingerpost.node.wire import (
    PACKET_ID_SIZE_BYTES,
    Beat,
    CellsHeld,
    Check,
    Compare,
    Compared,
    Get,
    Have,
    Listed,
    Message,
    Offer,
    Packets,
    WantCells,
    decode_message,
    encode_message,
)
from fingerpost.packet import BODY_SIZE_BYTES, PACKET_DTYPE, Signer, sign_bodies
from fingerpost.sim.chance import Chance
from fingerpost.sim.disk import SimulatedDisk, SimulatedStore
from fingerpost.sim.ledger import packet_id_of
from fingerpost.sim.options import Lie
from fingerpost.store.base import Ids, Verdicts

FRAMES_REMEMBERED = 40
FRAMES_SPOILT = 0.3  # of what a sender of garbage and a replayer send
FLOOD_FRAMES = 12  # for each burst of questions
FLOODS_MAX = 20  # bursts in one run: enough to fill any table without a bound

Packed = npt.NDArray[np.void]


class Liar:
    """What a holder that cannot be trusted makes of the frames that it gets and sends."""

    def __init__(self, lie: Lie, signer: Signer, chance: Chance, *, template_id: bytes) -> None:
        self.lie = lie
        self._signer = signer
        self._chance = chance
        self._template_id = template_id
        self._frames: deque[bytes] = deque(maxlen=FRAMES_REMEMBERED)
        self._peers: dict[PublicKey, None] = {}
        self._packets: deque[bytes] = deque(maxlen=FRAMES_REMEMBERED)
        self._floods = 0

    def overhear(self, frame: bytes, sender: PublicKey) -> None:
        """Remember what came in, for later use."""
        self._peers[sender] = None
        self._frames.append(frame)
        message = _decoded(frame)
        if isinstance(message, (Offer, Packets)) and message.packets:
            self._packets.append(message.packets)

    def answers_instead(self, frame: bytes, sender: PublicKey, *, now: float) -> list[Outgoing] | None:
        """Return the answers to a frame that never reaches the engine, or None to let it through."""
        if self.lie is not Lie.FORGE:
            return None
        message = _decoded(frame)
        if isinstance(message, Offer):
            ids = b"".join(packet_id_of(packet) for packet in _split(message.packets))
            return [self._forged_have(ids, message.number, sender, now)]
        if isinstance(message, Check):
            return [self._forged_have(message.packet_ids, message.number, sender, now)]
        if isinstance(message, Compare):
            return [Outgoing(to=sender, frame=encode_message(Compared(answers=message.number, root=message.root)))]
        return None

    def instead(self, outgoing: Sequence[Outgoing]) -> list[Outgoing]:
        """Return what is sent in place of what the engine wants to send."""
        change = {
            Lie.OMIT: self._omit,
            Lie.SWAP: self._swap,
            Lie.GARBAGE: self._spoil,
            Lie.REPLAY: self._replay,
            Lie.FORGE: self._accuse,
            Lie.FLOOD: self._flood,
        }.get(self.lie)
        if change is None:
            return list(outgoing)
        return [changed for each in outgoing for changed in change(each)]

    def _forged_have(self, packet_ids: bytes, number: int, asker: PublicKey, now: float) -> Outgoing:
        statement = have_statement(packet_ids, asker=asker, at=int(now))
        have = Have(answers=number, packet_ids=packet_ids, at=int(now), signature=self._signer.sign(statement))
        return Outgoing(to=asker, frame=encode_message(have))

    def _omit(self, each: Outgoing) -> list[Outgoing]:
        message = _decoded(each.frame)
        if isinstance(message, (Offer, Packets)):
            kept = b"".join(packet for packet in _split(message.packets) if packet_id_of(packet)[0] % 2)
            return [_outgoing(each.to, msgspec.structs.replace(message, packets=kept))]
        if isinstance(message, (Listed, CellsHeld)):
            kept = b"".join(each for each in _split(message.packet_ids, PACKET_ID_SIZE_BYTES) if each[0] % 2)
            return [_outgoing(each.to, msgspec.structs.replace(message, packet_ids=kept))]
        return [each]

    def _swap(self, each: Outgoing) -> list[Outgoing]:
        message, chance = _decoded(each.frame), self._chance
        if isinstance(message, Packets):
            other = chance.one_of(self._packets) if self._packets else b""
            return [_outgoing(each.to, msgspec.structs.replace(message, packets=other))]
        if isinstance(message, (Listed, CellsHeld)):
            ids = chance.octets(PACKET_ID_SIZE_BYTES * chance.integer(0, 3))
            return [_outgoing(each.to, msgspec.structs.replace(message, packet_ids=ids))]
        if isinstance(message, Compared):
            leaves = b"".join(number.to_bytes(2, "big") + chance.octets(16) for number in range(chance.integer(0, 3)))
            return [_outgoing(each.to, msgspec.structs.replace(message, root=chance.octets(16), leaves=leaves))]
        return [each]

    def _spoil(self, each: Outgoing) -> list[Outgoing]:
        chance, frame = self._chance, each.frame
        if not chance.happens(FRAMES_SPOILT):
            return [each]
        place = chance.integer(0, len(frame) - 1)
        spoilt: list[Callable[[], bytes]] = [
            lambda: chance.octets(chance.integer(1, 200)),
            lambda: frame[:place] or b"\0",
            lambda: frame[:place] + bytes([frame[place] ^ 1 << chance.integer(0, 7)]) + frame[place + 1 :],
            lambda: frame + chance.octets(20),
            lambda: frame + bytes(FRAME_SIZE_BYTES_MAX),
            lambda: b"\x81" * chance.integer(1, 2_000),
        ]
        return [Outgoing(to=each.to, frame=chance.one_of(spoilt)()), *([each] if chance.happens(0.5) else [])]

    def _replay(self, each: Outgoing) -> list[Outgoing]:
        self._frames.append(each.frame)
        if not self._chance.happens(FRAMES_SPOILT):
            return [each]
        to = self._chance.one_of([each.to, *self._peers])
        return [each, Outgoing(to=to, frame=self._chance.one_of(self._frames))]

    def _accuse(self, each: Outgoing) -> list[Outgoing]:
        """Pass off what others signed as said by this node, beside what it sends itself."""
        haves = [frame for frame in self._frames if isinstance(_decoded(frame), Have)]
        if haves and self._chance.happens(FRAMES_SPOILT):
            return [each, Outgoing(to=each.to, frame=self._chance.one_of(haves))]
        return [each]

    def _flood(self, each: Outgoing) -> list[Outgoing]:
        if self._floods >= FLOODS_MAX or not self._chance.happens(0.1):
            return [each]
        self._floods += 1
        return [each, *(_outgoing(each.to, self._question()) for _ in range(FLOOD_FRAMES))]

    def _question(self) -> Message:
        chance = self._chance
        number, group = chance.integer(1, 2**40), chance.integer(0, 2**31)
        ids = chance.octets(PACKET_ID_SIZE_BYTES * chance.integer(0, 8))
        questions: list[Callable[[], Message]] = [
            lambda: Beat(number=number),
            lambda: Check(number=number, packet_ids=ids),
            lambda: Get(number=number, packet_ids=ids),
            lambda: Compare(number=number, template_id=self._template_id, group=group, root=chance.octets(16)),
            lambda: WantCells(
                number=number, template_id=self._template_id, cells=[group, group + 1], known=chance.octets(32)
            ),
            lambda: Beat(number=number, answers=chance.integer(1, 2**40)),
            lambda: Packets(answers=number, packets=b""),
        ]
        return chance.one_of(questions)()


class ForgetfulStore(SimulatedStore):
    """The store of a holder that promises to keep packets and drops every other one, by its id, at once."""

    def __init__(self, disk: SimulatedDisk) -> None:
        super().__init__(disk)
        self._forgetful_disk = disk

    def add(
        self, packets: Packed, *, day: int, packet_ids: Ids | None = None, quota_packets: int | None = None
    ) -> Verdicts:
        """Keep packets, say so, and drop half of them."""
        verdicts = super().add(packets, day=day, packet_ids=packet_ids, quota_packets=quota_packets)
        forgotten = [each for each in self._forgetful_disk.packets if _forgets(each)]
        if forgotten:
            self.drop(np.frombuffer(b"".join(forgotten), np.uint8).reshape(-1, PACKET_ID_SIZE_BYTES), day=day)
        return verdicts

    def contains(self, packet_ids: Ids) -> npt.NDArray[np.bool_]:
        """Say of everything that was dropped that it is here."""
        dropped = np.array([_forgets(row.tobytes()) for row in packet_ids], np.bool_)
        return super().contains(packet_ids) | dropped


def unsound_packets(
    sound: Packed, *, emitter: Signer, stranger: Signer, chance: Chance, day: int
) -> list[tuple[str, Packed]]:
    """Return what an emitter that cannot be trusted makes of its own ``sound`` packets, each kind with its name.

    Those named ``twice`` are sound: the same packets once more, under the proof of another batch.
    """
    body = sound.view(np.uint8).reshape(len(sound), PACKET_SIZE_BYTES)[:, :BODY_SIZE_BYTES]
    bodies = np.zeros(len(sound), PACKET_DTYPE)
    bodies.view(np.uint8).reshape(len(sound), PACKET_SIZE_BYTES)[:, :BODY_SIZE_BYTES] = body

    def signed_anew(by: Signer, **changes: object) -> Packed:
        changed = bodies.copy()
        for name, value in changes.items():
            changed[name] = value
        return _signed(changed, by)

    tampered = sound.copy()
    octets = tampered.view(np.uint8).reshape(len(sound), PACKET_SIZE_BYTES)
    octets[:, chance.integer(0, PACKET_SIZE_BYTES - 1)] ^= np.uint8(1 << chance.integer(0, 7))
    return [
        ("tampered", tampered),
        ("future", signed_anew(emitter, epoch=day + CLOCK_SKEW_DAYS_MAX + chance.integer(2, 400))),
        ("past", signed_anew(emitter, epoch=day - 400)),
        ("stranger", signed_anew(stranger, emitter=np.frombuffer(stranger.public_key, np.uint8))),
        ("cell", signed_anew(emitter, cell=bodies["cell"] ^ 1)),
        ("template", signed_anew(emitter, template_id=np.frombuffer(chance.octets(16), np.uint8))),
        ("twice", np.concatenate([_signed(bodies[:1], emitter), _signed(bodies[::-1].copy(), emitter)])),
    ]


def _forgets(packet_id: bytes) -> bool:
    return hashlib.blake2s(packet_id, person=b"forget").digest()[0] % 2 == 0


def _signed(packets: Packed, signer: Signer) -> Packed:
    octets = packets.view(np.uint8).reshape(len(packets), PACKET_SIZE_BYTES)[:, :BODY_SIZE_BYTES]
    signed: Packed = sign_bodies(np.ascontiguousarray(octets), signer)
    return signed


def _decoded(frame: bytes) -> Message | None:
    try:
        return decode_message(frame)
    except PacketError:
        return None


def _outgoing(to: PublicKey, message: Message) -> Outgoing:
    return Outgoing(to=to, frame=encode_message(message))


def _split(octets: bytes, size: int = PACKET_SIZE_BYTES) -> Iterable[bytes]:
    return (octets[at : at + size] for at in range(0, len(octets), size))
