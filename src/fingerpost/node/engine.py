"""What one node decides, without I/O: it takes frames and the time, and gives frames and events.

The owner calls ``receive`` when a frame arrives, and the verbs (``emit``, ``want``, …) when its user asks for
something; after either it drains ``frames_to_send`` and ``next_event``. Hostile bytes become an event, never an
exception. Time is ``now``, in seconds since 1970; chance is the ``Entropy`` given at the start.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fingerpost.errors import FingerpostError, UsageError
from fingerpost.fingerprint import Fingerprinter
from fingerpost.ids import PublicKey, TemplateId
from fingerpost.limits import FRAME_PACKETS_MAX
from fingerpost.node.admission import Refusal, judge
from fingerpost.node.emission import Observations, build_packets
from fingerpost.node.wire import Have, Message, Offer, Want, decode_message, encode_message
from fingerpost.packet import PACKET_DTYPE, Kind, RootCache, Signer, packet_ids, packets_from_frame
from fingerpost.ports import Entropy, day_of
from fingerpost.store.base import PacketStore, Verdict
from fingerpost.synthesis import Synthesizer
from fingerpost.synthesis.evidence import Evidence
from fingerpost.template import Template, condition_codes

Packets = npt.NDArray[np.void]
Rows = npt.NDArray[np.intp]
SYNTHESIZERS_MAX = 8  # fitted calculators kept: one for each choice of conditions that is asked for
KEPT = (Verdict.STORED, Verdict.DUPLICATE, Verdict.PROOF_IMPROVED, Verdict.TOMBSTONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A frame for the peer ``to``."""

    to: PublicKey
    frame: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketsArrived:
    """A peer handed packets over: how many are new here, and how many were refused for which reason."""

    peer: PublicKey
    stored: int
    refused: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketsKept:
    """A peer says that it keeps ``packets`` packets of offer ``number``, durably."""

    peer: PublicKey
    number: int
    packets: int
    refused: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantAnswered:
    """A peer has sent everything that it had for the want ``number``."""

    peer: PublicKey
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRefused:
    """A frame that is no message of this protocol, or that the store could not take."""

    peer: PublicKey
    code: str
    message: str


Event = PacketsArrived | PacketsKept | WantAnswered | FrameRefused


class Engine:
    """One node's decisions. It does no I/O besides its store's and never asks the time."""

    def __init__(
        self,
        *,
        signer: Signer,
        store: PacketStore,
        entropy: Entropy,
        admits: Callable[[PublicKey], bool] | None = None,
    ) -> None:
        self._signer = signer
        self._store = store
        self._entropy = entropy
        self._admits = admits
        self._roots = RootCache()
        self._templates: dict[bytes, Template] = {}
        self._fingerprinters: dict[bytes, Fingerprinter] = {}
        self._evidence: dict[bytes, tuple[int, Evidence]] = {}
        self._synthesizers: dict[tuple[bytes, int, tuple[int, ...]], tuple[Evidence, Synthesizer]] = {}
        self._outgoing: deque[Outgoing] = deque()
        self._events: deque[Event] = deque()
        self._numbers = 0

    @property
    def public_key(self) -> PublicKey:
        """The key that this node signs with."""
        return PublicKey(self._signer.public_key)

    def serve(self, template: Template) -> None:
        """Keep and answer for packets of this template from now on."""
        self._templates[template.template_id] = template

    def template(self, template_id: TemplateId) -> Template:
        """Return a template that is served. Raises ``UsageError`` (``template-not-served``)."""
        if template_id not in self._templates:
            raise UsageError("template-not-served", f"this node does not serve the template {template_id.hex()}")
        return self._templates[template_id]

    def fingerprinter(self, template_id: TemplateId) -> Fingerprinter:
        """Return the projection of a template, made once."""
        if template_id not in self._fingerprinters:
            self._fingerprinters[template_id] = Fingerprinter(self.template(template_id))
        return self._fingerprinters[template_id]

    def emit(
        self, template_id: TemplateId, observations: Observations, *, now: float
    ) -> tuple[Packets, npt.NDArray[np.intp]]:
        """Turn records into signed packets and store them durably; return them and the row each came from.

        Raises what ``build_packets`` and the store raise; then nothing was stored.
        """
        template, day = self.template(template_id), day_of(now)
        packets, rows = build_packets(
            template,
            self.fingerprinter(template_id),
            observations,
            signer=self._signer,
            day=day,
            entropy=self._entropy,
        )
        verdicts = self._store.add(packets, day=day)
        beyond = int((verdicts == Verdict.OVER_QUOTA).sum())
        if beyond:
            raise UsageError(
                "quota-exceeded",
                f"{beyond} of {len(packets)} packets are beyond the quota of one emitter",
                hint="withdraw or let expire what is old, or open the store with a larger quota",
            )
        return packets, rows

    def offer(self, packets: Packets, *, to: Sequence[PublicKey]) -> list[int]:
        """Queue frames that hand ``packets`` to each peer; return the numbers of the offers."""
        numbers = []
        for peer in to:
            for start in range(0, len(packets), FRAME_PACKETS_MAX):
                chunk = packets[start : start + FRAME_PACKETS_MAX]
                numbers.append(self._send(peer, Offer(number=self._next_number(), packets=chunk.tobytes())))
        return numbers

    def want(self, template_id: TemplateId, *, of: PublicKey) -> int:
        """Queue a request for everything that the peer ``of`` keeps of a template; return its number."""
        return self._send(of, Want(number=self._next_number(), template_id=self.template(template_id).template_id))

    def receive(self, frame: bytes, *, peer: PublicKey, now: float) -> None:
        """Take one frame from ``peer``."""
        try:
            message = decode_message(frame)
            if isinstance(message, Offer):
                self._take_offer(message, peer, day_of(now))
            elif isinstance(message, Want):
                self._answer_want(message, peer)
            else:
                count = len(message.packet_ids) // 32
                self._events.append(
                    PacketsKept(peer=peer, number=message.number, packets=count, refused=message.refused)
                )
        except FingerpostError as error:
            self._events.append(FrameRefused(peer=peer, code=error.code, message=error.message))

    def frames_to_send(self) -> list[Outgoing]:
        """Return the frames that are due, oldest first, and forget them."""
        due = list(self._outgoing)
        self._outgoing.clear()
        return due

    def next_event(self) -> Event | None:
        """Return the oldest event that was not returned yet, or None."""
        return self._events.popleft() if self._events else None

    def evidence(self, template_id: TemplateId, *, now: float) -> Evidence:
        """Return the live packets of a template as columns; built anew only after the store changed."""
        template = self.template(template_id)
        self._store.expire(day_of(now))
        generation = self._store.generation
        known = self._evidence.get(template_id)
        if known is None or known[0] != generation:
            known = generation, Evidence.from_packets(self.packets(template_id, now=now), template)
            self._evidence[template_id] = known
        return known[1]

    def synthesizer(self, template_id: TemplateId, *, conditions: Mapping[str, object], now: float) -> Synthesizer:
        """Return what answers from the live packets of a template; fitted once for as long as they stay the same.

        Raises ``RecordError`` for conditions that the template does not have.
        """
        template, day = self.template(template_id), day_of(now)
        evidence = self.evidence(template_id, now=now)
        key = template_id, day, tuple(condition_codes(template, conditions))
        known = self._synthesizers.get(key)
        if known is None or known[0] is not evidence:
            if len(self._synthesizers) >= SYNTHESIZERS_MAX:
                self._synthesizers.clear()
            known = evidence, Synthesizer(evidence, template, day=day, conditions=conditions)
            self._synthesizers[key] = known
        return known[1]

    def packets(self, template_id: TemplateId, *, now: float) -> Packets:
        """Return the live packets of a template."""
        self._store.expire(day_of(now))
        blocks = list(self._store.scan(template_id))
        return np.concatenate(blocks) if blocks else np.zeros(0, PACKET_DTYPE)

    def _take_offer(self, offer: Offer, peer: PublicKey, day: int) -> None:
        packets = packets_from_frame(offer.packets)
        refusals = judge(packets, templates=self._templates, day=day, roots=self._roots, admits=self._welcomes)
        welcome = packets[refusals == Refusal.WELCOME]
        verdicts = self._store.add(welcome, day=day)
        refused = Counter(Refusal(int(reason)).code for reason in refusals[refusals != Refusal.WELCOME])
        refused.update(
            f"refused-{Verdict(int(verdict)).name.lower().replace('_', '-')}"
            for verdict in verdicts[~np.isin(verdicts, KEPT)]
        )
        kept = packet_ids(welcome)[np.isin(verdicts, KEPT)]
        stored = int((verdicts == Verdict.STORED).sum())
        self._events.append(PacketsArrived(peer=peer, stored=stored, refused=dict(refused)))
        if offer.answers:
            if offer.last:
                self._events.append(WantAnswered(peer=peer, number=offer.answers))
        else:
            self._send(peer, Have(number=offer.number, packet_ids=kept.tobytes(), refused=dict(refused)))

    def _welcomes(self, emitter: PublicKey) -> bool:
        """Say whether packets of an emitter are kept here: members' and this node's own."""
        return self._admits is None or emitter == self.public_key or self._admits(emitter)

    def _answer_want(self, want: Want, peer: PublicKey) -> None:
        self.template(TemplateId(want.template_id))
        blocks = [*self._store.scan(want.template_id), *self._store.withdrawals()]
        packets = np.concatenate(blocks) if blocks else np.zeros(0, PACKET_DTYPE)
        mine = (packets["template_id"] == np.frombuffer(want.template_id, np.uint8)).all(axis=1)
        packets = packets[mine | (packets["kind"] != Kind.WITHDRAWAL)]
        starts = range(0, max(len(packets), 1), FRAME_PACKETS_MAX)
        for start in starts:
            chunk = packets[start : start + FRAME_PACKETS_MAX]
            last = start + FRAME_PACKETS_MAX >= len(packets)
            number = self._next_number()
            self._send(peer, Offer(number=number, packets=chunk.tobytes(), answers=want.number, last=last))

    def _send(self, to: PublicKey, message: Message) -> int:
        self._outgoing.append(Outgoing(to=to, frame=encode_message(message)))
        return message.number

    def _next_number(self) -> int:
        self._numbers += 1
        return self._numbers
