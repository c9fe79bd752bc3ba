"""What one node decides, without I/O: it takes frames and the time, and gives frames and events.

The owner calls ``receive`` when a frame arrives, ``handle_timer`` when ``timer_at`` is due, ``know`` when a directory
was read, ``unreachable`` when a frame could not be sent, and the verbs (``emit``, ``refresh``, …) when its user asks
for something; after each it drains ``frames_to_send`` and ``next_event``. Hostile bytes become an event, never an
exception. Time is ``now``, in seconds since 1970; chance is the ``Entropy`` given at the start.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fingerpost.errors import FingerpostError, UsageError
from fingerpost.fingerprint import Fingerprinter
from fingerpost.ids import PublicKey, TemplateId
from fingerpost.node.admission import Refusal, judge
from fingerpost.node.audit import AUDIT_UNSETTLED_SECONDS, PROMISE_SECONDS, Audit
from fingerpost.node.emission import Observations, build_packets
from fingerpost.node.events import Event, FrameRefused, PacketsArrived, Refreshed, Unacknowledged
from fingerpost.node.groups import Group
from fingerpost.node.haves import have_statement
from fingerpost.node.inventory import Inventory
from fingerpost.node.knowledge import Knowledge
from fingerpost.node.outbox import Outbox
from fingerpost.node.peers import Holder, Peers
from fingerpost.node.placement import Placement
from fingerpost.node.replication import Replication
from fingerpost.node.requests import Outgoing, Requests
from fingerpost.node.serving import Serving
from fingerpost.node.wire import (
    Beat,
    Check,
    Compare,
    Get,
    Have,
    List,
    Message,
    Nearest,
    Offer,
    WantCells,
    decode_message,
)
from fingerpost.packet import RootCache, Signer, packet_ids, packets_from_frame, signature_holds
from fingerpost.ports import Entropy, day_of
from fingerpost.store.base import HELD, PacketStore, Verdict
from fingerpost.synthesis import Synthesizer
from fingerpost.synthesis.evidence import Evidence
from fingerpost.template import Template

Packets = npt.NDArray[np.void]
Rows = npt.NDArray[np.intp]
TICK_SECONDS = 0.5
REFRESH_PEERS = 2  # holders of a group that are compared with before a question is answered
REFRESH_SECONDS = 1.0  # after which one of them is enough


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """An emission that is durable here: its number, its packets, and the row that each one came from."""

    number: int
    packets: Packets
    rows: Rows


@dataclass(slots=True)
class _Refresh:
    number: int
    since: float
    waits_for: set[tuple[bytes, int, PublicKey]]
    heard: set[tuple[bytes, int]] = field(default_factory=set)  # groups of which a holder has answered
    peers: int = 0


class Engine:
    """One node's decisions. It does no I/O besides its store's and never asks the time.

    ``admits`` says whose packets are welcome, by the emitter's key (default: everybody's). ``organisation`` is this
    node's own: no two nodes of one organisation hold the same group.
    """

    def __init__(
        self,
        *,
        signer: Signer,
        store: PacketStore,
        entropy: Entropy,
        admits: Callable[[PublicKey], bool] | None = None,
        organisation: str = "",
    ) -> None:
        self._signer = signer
        self._store = store
        self._entropy = entropy
        self._admits = admits
        self._roots = RootCache()
        self._templates: dict[bytes, Template] = {}
        self._follows: set[bytes] = set()
        self._knowledge: dict[bytes, Knowledge] = {}
        self._inventories: dict[bytes, Inventory] = {}
        self._groups: dict[tuple[bytes, int], Group] = {}
        self._events: deque[Event] = deque()
        self._number = 0
        self._refreshes: list[_Refresh] = []
        self._timer_at = float("-inf")
        self._expired_on = -1
        self._peers = Peers()
        self._placement = Placement(me=self.public_key, organisation=organisation, peers=self._peers)
        self._requests = Requests(entropy=entropy)
        self._outbox = Outbox(
            store=store,
            peers=self._peers,
            placement=self._placement,
            requests=self._requests,
            report=self._events.append,
            have_holds=self._have_holds,
        )
        self._replication = Replication(
            me=self.public_key,
            peers=self._peers,
            placement=self._placement,
            requests=self._requests,
            inventory=self._inventory,
            take=self._take,
            heard=self._heard_out,
        )
        self._serving = Serving(
            signer=signer,
            store=store,
            inventory=self._inventory,
            inventories=lambda: [self._inventory(template_id) for template_id in self._templates],
            groups=self._groups,
            evidence=lambda template_id, now: self.evidence(TemplateId(template_id), now=now),
        )
        self._audit = Audit(
            me=self.public_key,
            store=store,
            requests=self._requests,
            inventory=self._inventory,
            have_holds=self._have_holds,
            let_go=self._let_go,
            settled=self._settle,
        )

    @property
    def public_key(self) -> PublicKey:
        """The key that this node signs with."""
        return PublicKey(self._signer.public_key)

    @property
    def timer_at(self) -> float:
        """When ``handle_timer`` is due next, in seconds since 1970."""
        return self._timer_at

    @property
    def peers(self) -> Peers:
        """The holders that this node knows."""
        return self._peers

    def serve(self, template: Template, *, follow: bool = True) -> None:
        """Keep and answer for packets of this template from now on.

        With ``follow`` this node keeps every packet of the template, not only those of the groups that it holds.
        """
        self._templates[template.template_id] = template
        if follow:
            self._follows.add(template.template_id)
        audit_at = float("-inf") if self._outbox.is_unsettled(template.template_id) else float("inf")
        for number in range(1 << _group_bits(template)):
            key = template.template_id, number
            self._groups[key] = Group(template_id=template.template_id, number=number, audit_at=audit_at)

    def template(self, template_id: TemplateId) -> Template:
        """Return a template that is served. Raises ``UsageError`` (``template-not-served``)."""
        if template_id not in self._templates:
            raise UsageError("template-not-served", f"this node does not serve the template {template_id.hex()}")
        return self._templates[template_id]

    def group(self, template_id: TemplateId, number: int = 0) -> Group:
        """Return what this node knows of a group of a template that it serves."""
        return self._groups[template_id, number]

    def groups(self, template_id: TemplateId) -> list[Group]:
        """Return what this node knows of each group of a template."""
        return [group for (owner, _), group in self._groups.items() if owner == template_id]

    def unsettled(self) -> int:
        """Return how many emissions, by group, wait for a holder."""
        return len(self._outbox)

    def know(self, holders: Iterable[Holder], *, now: float) -> None:
        """Take in the holders that a directory names now, in place of those that it named before."""
        others = [holder for holder in holders if holder.public_key != self.public_key]
        self._came(self._peers.know(others), now)

    def unreachable(self, peer: PublicKey, *, now: float) -> None:
        """Take in that a frame could not be sent: the peer counts as silent until it shows a sign of life."""
        if self._peers.unreachable(peer):
            self._look(now)
        self._requests.fail([peer], now=now)

    def emit(self, template_id: TemplateId, observations: Observations, *, now: float) -> Emitted:
        """Turn records into signed packets, store them durably and begin to hand them to their holders.

        ``Acknowledged`` or ``Unacknowledged`` follows as an event. Raises what ``build_packets`` and the store raise;
        then nothing was stored.
        """
        template, day = self.template(template_id), day_of(now)
        fingerprinter = self.fingerprinter(template_id)
        packets, rows = build_packets(
            template, fingerprinter, observations, signer=self._signer, day=day, entropy=self._entropy
        )
        return Emitted(number=self._put_out(template_id, packets, now), packets=packets, rows=rows)

    def refresh(self, template_id: TemplateId, *, now: float) -> int:
        """Begin to fetch what holders have of the groups that this node follows; ``Refreshed`` follows as an event."""
        self._number += 1
        refresh = _Refresh(number=self._number, since=now, waits_for=set())
        self._refreshes.append(refresh)
        for group in (each for each in self.groups(template_id) if each.follows):
            for peer in self._placement.others(template_id, group.number)[:REFRESH_PEERS]:
                refresh.waits_for.add((template_id, group.number, peer))
                self._replication.compare_anew(group, peer, now=now)
        self._report_refreshes(now)
        return refresh.number

    def receive(self, frame: bytes, *, peer: PublicKey, now: float) -> None:
        """Take one frame from ``peer``."""
        if self._peers.heard(peer, now=now):
            self._came([peer], now)
        try:
            self._take_message(decode_message(frame), peer, now)
        except FingerpostError as error:
            self._events.append(FrameRefused(peer=peer, code=error.code, message=error.message))

    def handle_timer(self, *, now: float) -> None:
        """Do what is due: ask for signs of life, give up what was not answered, replicate, audit, offer again."""
        if self._timer_at == float("-inf"):  # What was promised before a restart is unknown.
            for group in self._groups.values():
                group.promised_until = now + PROMISE_SECONDS
        self._timer_at = now + TICK_SECONDS
        self._expire(now)
        watched = dict.fromkeys(
            peer for group in self._groups.values() for peer in self._placement.watched(group.template_id, group.number)
        )
        for peer in self._peers.due_beats(watched, now=now):
            self._requests.ask_for_life(peer, now=now)
        silent = self._peers.fall_silent(now=now)
        self._requests.fail(silent, now=now)
        self._requests.time_out(now=now)
        self._look(now)
        for group in self._groups.values():
            self._replication.step(group, now=now)
            if self._outbox.is_waiting(group.template_id):
                group.audit_at = min(group.audit_at, now + AUDIT_UNSETTLED_SECONDS)
            self._audit.step(group, now=now)
        self._outbox.step(now=now)
        self._report_refreshes(now)

    def frames_to_send(self) -> list[Outgoing]:
        """Return the frames that are due, oldest first, and forget them."""
        return self._requests.due()

    def next_event(self) -> Event | None:
        """Return the oldest event that was not returned yet, or None."""
        return self._events.popleft() if self._events else None

    def fingerprinter(self, template_id: TemplateId) -> Fingerprinter:
        """Return the projection of a template, made once."""
        return self._know(template_id).fingerprinter

    def evidence(self, template_id: TemplateId, *, now: float) -> Evidence:
        """Return the live packets of a template as columns; built anew only after the store changed."""
        self._expire(now)
        return self._know(template_id).evidence()

    def synthesizer(self, template_id: TemplateId, *, conditions: Mapping[str, object], now: float) -> Synthesizer:
        """Return what answers from the live packets of a template; fitted once for as long as they stay the same.

        Raises ``RecordError`` for conditions that the template does not have.
        """
        self._expire(now)
        return self._know(template_id).synthesizer(conditions=conditions, day=day_of(now))

    def packets(self, template_id: TemplateId, *, now: float) -> Packets:
        """Return the live packets of a template."""
        self._expire(now)
        return self._know(template_id).packets()

    def _know(self, template_id: TemplateId) -> Knowledge:
        if template_id not in self._knowledge:
            self._knowledge[template_id] = Knowledge(self._store, self.template(template_id))
        return self._knowledge[template_id]

    def _inventory(self, template_id: bytes) -> Inventory:
        if template_id not in self._inventories:
            template = self.template(TemplateId(template_id))
            shift = template.cell_bits - _group_bits(template)
            self._inventories[template_id] = Inventory(
                self._store, template_id, own=self.public_key, group_of=lambda cell: cell >> shift
            )
        return self._inventories[template_id]

    def _put_out(self, template_id: bytes, packets: Packets, now: float) -> int:
        day, ids = day_of(now), packet_ids(packets)
        self._outbox.begin(template_id)
        verdicts = self._store.add(packets, day=day, packet_ids=ids)
        beyond = int((verdicts == Verdict.OVER_QUOTA).sum())
        if beyond:
            raise UsageError(
                "quota-exceeded",
                f"{beyond} of {len(packets)} packets are beyond the quota of one emitter",
                hint="withdraw or let expire what is old, or open the store with a larger quota",
            )
        self._number += 1
        if self._peers.all():
            inventory = self._inventory(template_id)
            inventory.add(packets, ids)
            groups: dict[int, list[int]] = {}
            for row, packet_id in enumerate(ids):
                group = inventory.group_of(packet_id.tobytes())
                groups.setdefault(0 if group is None else group, []).append(row)
            parts = {group: (packets[rows], [ids[row].tobytes() for row in rows]) for group, rows in groups.items()}
            self._outbox.put(self._number, template_id, parts, now=now)
        else:
            self._inventories.pop(template_id, None)
            self._events.append(Unacknowledged(number=self._number, holders=0))
        return self._number

    def _take_message(self, message: Message, peer: PublicKey, now: float) -> None:
        match message:
            case Beat(answers=0):
                self._requests.send(peer, Beat(number=0, answers=message.number))
            case Offer():
                kept, refused = self._keep(packets_from_frame(message.packets), peer, now)
                self._requests.send(peer, self._serving.have(message.number, kept, refused, peer=peer, now=now))
            case Check() | Compare() | List() | Get() | WantCells() | Nearest():
                self._requests.send(peer, self._serving.answer(message, peer=peer, now=now))
                if isinstance(message, Compare):
                    self._hear_digest(message, peer, now)
            case _:
                if not self._requests.take(message, peer=peer, now=now):
                    raise UsageError("answer-unexpected", "an answer to nothing that this peer was asked")
                self._report_refreshes(now)

    def _hear_digest(self, question: Compare, peer: PublicKey, now: float) -> None:
        group = self._groups.get((question.template_id, question.group))
        if group is not None:
            self._replication.hint(group, peer, question.root, now=now)
            self._replication.step(group, now=now)

    def _take(self, frame: bytes, peer: PublicKey, now: float) -> None:
        self._keep(packets_from_frame(frame), peer, now)

    def _keep(self, packets: Packets, peer: PublicKey, now: float) -> tuple[npt.NDArray[np.uint8], dict[str, int]]:
        """Judge packets and store the welcome ones; return the ids (n, 32) of those kept, and refusals by reason."""
        day = day_of(now)
        ids = packet_ids(packets)
        refusals = judge(packets, ids, templates=self._templates, day=day, roots=self._roots, admits=self._welcomes)
        welcome = refusals == Refusal.WELCOME
        verdicts = self._store.add(packets[welcome], day=day, packet_ids=ids[welcome])
        self._note(packets[welcome], ids[welcome], verdicts)
        refused = Counter(Refusal(int(reason)).code for reason in refusals[~welcome])
        held = np.isin(verdicts, HELD)
        refused.update(f"refused-{Verdict(int(verdict)).name.lower().replace('_', '-')}" for verdict in verdicts[~held])
        stored = int((verdicts == Verdict.STORED).sum())
        self._events.append(PacketsArrived(peer=peer, stored=stored, refused=dict(refused)))
        kept = ids[welcome][held]
        if (verdicts == Verdict.TOMBSTONE).any():  # It may have ended what came with it.
            kept = kept[self._store.contains(kept)]
        return kept, dict(refused)

    def _note(self, packets: Packets, ids: npt.NDArray[np.uint8], verdicts: npt.NDArray[np.uint8]) -> None:
        new = (verdicts == Verdict.STORED) | (verdicts == Verdict.TOMBSTONE)
        for template_id, inventory in self._inventories.items():
            rows = np.flatnonzero(new & (packets["template_id"] == np.frombuffer(template_id, np.uint8)).all(axis=1))
            if len(rows):
                inventory.add(packets[rows], ids[rows])

    def _have_holds(self, have: Have, peer: PublicKey) -> bool:
        statement = have_statement(have.packet_ids, asker=self.public_key, at=have.at)
        return signature_holds(statement, have.signature, peer)

    def _welcomes(self, emitter: PublicKey) -> bool:
        """Say whether packets of an emitter are kept here: members' and this node's own."""
        return self._admits is None or emitter == self.public_key or self._admits(emitter)

    def _came(self, peers: list[PublicKey], now: float) -> None:
        for group in self._groups.values():
            self._replication.returned(group, peers)
        self._look(now)

    def _look(self, now: float) -> None:
        for group in self._groups.values():
            follows = group.template_id in self._follows
            if self._replication.look(group, follows_all=follows, now=now):
                self._audit.holders_changed(group, now=now)

    def _heard_out(self, group: Group, peer: PublicKey) -> None:
        for refresh in self._refreshes:
            key = group.template_id, group.number, peer
            if key in refresh.waits_for:
                refresh.waits_for.discard(key)
                if self._peers.is_live(peer):
                    refresh.heard.add(key[:2])
                    refresh.peers += 1

    def _report_refreshes(self, now: float) -> None:
        for refresh in list(self._refreshes):
            refresh.waits_for = {key for key in refresh.waits_for if self._peers.is_live(key[2])}
            heard = all(key[:2] in refresh.heard for key in refresh.waits_for)
            if not refresh.waits_for or (heard and now - refresh.since >= REFRESH_SECONDS):
                self._refreshes.remove(refresh)
                self._events.append(Refreshed(number=refresh.number, peers=refresh.peers))

    def _let_go(self, template_id: bytes, ids: list[bytes], now: float) -> None:
        self._store.drop(np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 32), day=day_of(now))
        kept = self._store.contains(np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 32))
        self._inventory(template_id).remove(each for each, stays in zip(ids, kept, strict=True) if not stays)

    def _settle(self, template_id: bytes) -> None:
        if all(group.covered_since is not None for group in self.groups(TemplateId(template_id))):
            self._outbox.settle(template_id)

    def _expire(self, now: float) -> None:
        if day_of(now) != self._expired_on:
            self._expired_on = day_of(now)
            if self._store.expire(self._expired_on):
                self._inventories.clear()


def _group_bits(template: Template) -> int:
    return getattr(template, "group_bits", 0)
