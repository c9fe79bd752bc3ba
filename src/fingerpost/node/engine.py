"""What one node decides, without I/O: it takes frames and the time, and gives frames and events.

The owner calls ``receive`` when a frame arrives, ``handle_timer`` when ``timer_at`` is due, ``know`` when a directory
was read, ``unreachable`` when a frame could not be sent, and the verbs (``emit``, ``refresh``, …) when its user asks
for something; after each it drains ``frames_to_send`` and ``next_event``. Hostile bytes become an event, never an
exception. Time is ``now``, in seconds since 1970; chance is the ``Entropy`` given at the start.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fingerpost.elections.hiring import Hiring
from fingerpost.errors import FingerpostError, UsageError
from fingerpost.ids import PublicKey, TemplateId
from fingerpost.limits import GROUP_BITS_SERVED_MAX
from fingerpost.node.audit import AUDIT_UNSETTLED_SECONDS, PROMISE_SECONDS, Audit
from fingerpost.node.emission import Emitted, Observations, build_packets
from fingerpost.node.events import Event, FrameRefused, Refreshed, Unacknowledged
from fingerpost.node.fetching import Fetching
from fingerpost.node.groups import Group, GroupStatus, status_of
from fingerpost.node.haves import have_statement
from fingerpost.node.holdings import Holdings, Taken, arrival
from fingerpost.node.knowledge import Knowledge, Panel
from fingerpost.node.outbox import Outbox
from fingerpost.node.peers import Holder, Peers
from fingerpost.node.placement import Candidates, Placement
from fingerpost.node.replication import Replication
from fingerpost.node.requests import REQUEST_SECONDS_MAX, Outgoing, Requests
from fingerpost.node.roster import Roster
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
from fingerpost.packet import Signer, packet_ids, packets_from_frame, signature_holds
from fingerpost.ports import Entropy, day_of
from fingerpost.store.base import PacketStore
from fingerpost.synthesis import Synthesizer
from fingerpost.synthesis.evidence import Evidence
from fingerpost.template import Template

Packets = npt.NDArray[np.void]
Rows = npt.NDArray[np.intp]
TICK_SECONDS = 0.5
REFRESH_PEERS = 2  # holders of a group that are compared with before a question is answered
REFRESH_SECONDS = 1.0  # after which one of them is enough


@dataclass(slots=True)
class _Refresh:
    number: int
    since: float
    waits_for: set[tuple[bytes, int, PublicKey]]
    heard: set[tuple[bytes, int]] = field(default_factory=set)  # groups of which a holder has answered
    peers: int = 0


class Engine:
    """One node's decisions. It does no I/O besides its store's and never asks the time.

    ``roster`` says whose packets are welcome (default: everybody's). ``organisation`` is this node's own: no two nodes
    of one organisation hold the same group.
    """

    def __init__(
        self,
        *,
        signer: Signer,
        store: PacketStore,
        entropy: Entropy,
        roster: Roster | None = None,
        organisation: str = "",
    ) -> None:
        self._signer = signer
        self._entropy = entropy
        self._store = store
        self._holdings = Holdings(store, me=self.public_key, roster=roster or Roster(members=None))
        self._follows: set[bytes] = set()
        self._groups: dict[tuple[bytes, int], Group] = {}
        self._events: deque[Event] = deque()
        self._number = 0
        self._refreshes: list[_Refresh] = []
        self._timer_at = float("-inf")
        self._peers = Peers()
        self._placement = Placement(me=self.public_key, organisation=organisation, peers=self._peers)
        self._requests = Requests(entropy=entropy)
        self._assemble()

    def _assemble(self) -> None:
        me, store, peers = self.public_key, self._store, self._peers
        placement, requests = self._placement, self._requests
        self._outbox = Outbox(
            store=store,
            peers=peers,
            placement=placement,
            requests=requests,
            report=self._events.append,
            have_holds=self._have_holds,
        )
        self._replication = Replication(
            me=me,
            peers=peers,
            placement=placement,
            requests=requests,
            inventory=self._holdings.inventory,
            take=self._take,
            heard=self._heard_out,
        )
        self._audit = Audit(
            me=me,
            store=store,
            requests=requests,
            inventory=self._holdings.inventory,
            have_holds=self._have_holds,
            let_go=self._let_go,
            settled=self._settle,
        )
        self._fetching = Fetching(
            me=me,
            peers=peers,
            placement=placement,
            requests=requests,
            cache=self._holdings.cache,
            take=self._take_for_answers,
            have_holds=self._have_holds,
            is_complete=lambda template_id, number: self._groups[template_id, number].complete,
            report=self._events.append,
        )
        self._serving = Serving(
            signer=self._signer,
            store=store,
            inventory=self._holdings.inventory,
            inventories=lambda: [self._holdings.inventory(each) for each in self._holdings.templates()],
            groups=self._groups,
            evidence=lambda template_id, now: self.evidence(TemplateId(template_id), now=now),
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

        With ``follow`` this node keeps every packet of the template, not only those of the groups that it holds. Raises
        ``UsageError`` (``groups-too-many``).
        """
        if template.group_bits > GROUP_BITS_SERVED_MAX:
            raise UsageError(
                "groups-too-many",
                f"the template {template.name!r} has {template.group_bits} group bits",
                hint=f"a node serves templates of up to {GROUP_BITS_SERVED_MAX}",
            )
        self._holdings.serve(template)
        if follow:
            self._follows.add(template.template_id)
        audit_at = float("-inf") if self._outbox.is_unsettled(template.template_id) else float("inf")
        for number in range(1 << template.group_bits):
            key = template.template_id, number
            self._groups[key] = Group(template_id=template.template_id, number=number, audit_at=audit_at)

    def knowledge(self, template_id: TemplateId) -> Knowledge:
        """Return what a template's packets say here, and what they are sealed and opened with."""
        return self._holdings.knowledge(template_id)

    def template(self, template_id: TemplateId) -> Template:
        """Return a template that is served. Raises ``UsageError`` (``template-not-served``)."""
        return self._holdings.template(template_id)

    def group(self, template_id: TemplateId, number: int = 0) -> Group:
        """Return what this node knows of a group of a template that it serves."""
        return self._groups[template_id, number]

    def groups(self, template_id: TemplateId) -> list[Group]:
        """Return what this node knows of each group of a template."""
        return [group for (owner, _), group in self._groups.items() if owner == template_id]

    def group_status(self, template_id: TemplateId) -> tuple[GroupStatus, ...]:
        """Return each group of a template that this node holds, or of which it has something."""
        return status_of(self.groups(template_id), self._holdings.inventory(template_id))

    def cells(self, template_id: TemplateId) -> list[int]:
        """Return the cells of a template in which this node keeps something, ascending."""
        return self._holdings.inventory(template_id).cells()

    def cell_packets(self, template_id: TemplateId, cell: int) -> Packets:
        """Return the packets and withdrawals that this node keeps in a cell."""
        ids = b"".join(self._holdings.inventory(template_id).cell(cell))
        return self._store.get(np.frombuffer(ids, np.uint8).reshape(-1, 32))

    def unsettled(self) -> int:
        """Return how many emissions, by group, wait for a holder."""
        return len(self._outbox)

    def know(
        self, holders: Iterable[Holder], *, candidates: Mapping[bytes, Candidates] | None = None, now: float
    ) -> None:
        """Take in whom a directory names now, in place of those of before; for ``candidates`` see ``Placement``."""
        self._placement.narrow(candidates)
        others = [holder for holder in holders if holder.public_key != self.public_key]
        self._came(self._peers.know(others), now)

    def unreachable(self, peer: PublicKey, *, now: float) -> None:
        """Take in that a frame could not be sent: the peer counts as silent until it shows a sign of life."""
        if self._peers.unreachable(peer):
            self._look(now)
        self._requests.fail([peer], now=now)

    def emit(self, template_id: TemplateId, observations: Observations, *, now: float) -> Emitted:
        """Turn records into signed packets and put them out; raises what ``build`` and ``put_out`` raise."""
        packets, rows = self.build(template_id, observations, now=now)
        return Emitted(number=self.put_out(template_id, packets, now=now), packets=packets, rows=rows)

    def build(self, template_id: TemplateId, observations: Observations, *, now: float) -> tuple[Packets, Rows]:
        """Return records as signed packets, and the row of each. Raises what ``build_packets`` raises."""
        knowledge = self.knowledge(template_id)
        return build_packets(
            self.template(template_id),
            knowledge.fingerprinter,
            observations,
            signer=self._signer,
            day=day_of(now),
            entropy=self._entropy,
            seals=knowledge.seals,
        )

    def put_out(self, template_id: TemplateId, packets: Packets, *, now: float) -> int:
        """Keep own signed packets or withdrawals durably, and begin to hand them to their holders; return a number.

        ``Acknowledged`` or ``Unacknowledged`` follows with it as an event. Raises what the store raises; then nothing
        was stored.
        """
        ids = packet_ids(packets)
        self._outbox.begin(template_id)
        self._holdings.put(template_id, packets, ids, now=now)
        self._number += 1
        if self._peers.all():
            inventory = self._holdings.inventory(template_id)
            groups: dict[int, list[int]] = {}
            for row, packet_id in enumerate(ids):
                group = inventory.group_of(packet_id.tobytes())
                groups.setdefault(0 if group is None else group, []).append(row)
            parts = {group: (packets[rows], [ids[row].tobytes() for row in rows]) for group, rows in groups.items()}
            self._outbox.put(self._number, template_id, parts, now=now)
        else:
            self._events.append(Unacknowledged(number=self._number, holders=0))
        return self._number

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

    def fetch_cells(self, template_id: TemplateId, cells: Sequence[int], *, now: float) -> int:
        """Begin to fetch what holders keep in some cells; ``Fetched`` follows as an event with this number.

        What comes is known here until it ends or there is too much of it, but not kept for others.
        """
        self.template(template_id)
        self._holdings.expire(now)
        group_of = self._holdings.inventory(template_id).group_of_cell
        groups: dict[int, list[int]] = {}
        for cell in dict.fromkeys(cells):
            groups.setdefault(group_of(cell), []).append(cell)
        self._number += 1
        self._fetching.cells(self._number, template_id, groups, now=now)
        return self._number

    def fetch_nearest(
        self, template_id: TemplateId, fingerprint: bytes, *, cells: Sequence[int], count: int, now: float
    ) -> int:
        """Begin to ask the holders of some cells for the packets nearest to a fingerprint; ``Fetched`` follows."""
        self.template(template_id)
        self._holdings.expire(now)
        groups = list(dict.fromkeys(map(self._holdings.inventory(template_id).group_of_cell, cells)))
        self._number += 1
        self._fetching.nearest(self._number, template_id, fingerprint, groups=groups, count=count, now=now)
        return self._number

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
        self._holdings.expire(now)
        for peer in self._peers.due_beats(self._watched(), now=now):
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
        self._fetching.step(now=now)
        self._report_refreshes(now)

    def _watched(self) -> dict[PublicKey, None]:
        """Return whose signs of life matter now: who decides about a group, and whoever was never heard.

        A directory names the dead for minutes, and each of them would keep a new holder waiting that compares with all.
        """
        watched = dict.fromkeys(self._peers.never_heard())
        for group in self._groups.values():
            watched |= dict.fromkeys(self._placement.watched(group.template_id, group.number))
        return watched

    def expire(self, *, now: float) -> None:
        """Drop what is over."""
        self._holdings.expire(now)

    def frames_to_send(self) -> list[Outgoing]:
        """Return the frames that are due, oldest first, and forget them."""
        return self._requests.due()

    def next_event(self) -> Event | None:
        """Return the oldest event that was not returned yet, or None."""
        return self._events.popleft() if self._events else None

    def evidence(self, template_id: TemplateId, *, now: float) -> Evidence:
        """Return the live packets of a template as columns; built anew only after the store changed."""
        self._holdings.expire(now)
        return self._holdings.knowledge(template_id).evidence(day=day_of(now))

    def synthesizer(
        self,
        template_id: TemplateId,
        *,
        conditions: Mapping[str, object],
        now: float,
        cells: Sequence[int] | None = None,
        ids: Sequence[bytes] | None = None,
    ) -> Synthesizer:
        """Return what answers from all live packets, those known in ``cells``, or those ``ids``, whoever emitted them.

        It is fitted once for as long as they stay the same. Raises ``RecordError`` for conditions that the template
        does not have.
        """
        self._holdings.expire(now)
        knowledge, day = self.knowledge(template_id), day_of(now)
        if cells is None and ids is None:
            return knowledge.synthesizer(conditions=conditions, day=day)
        packets, name = self._holdings.cache(template_id).choice(cells, ids)
        return knowledge.synthesizer_of(packets, name=name, conditions=conditions, day=day)

    def panel(
        self,
        template_id: TemplateId,
        *,
        conditions: Mapping[str, object],
        now: float,
        cells: Sequence[int] | None = None,
        ids: Sequence[bytes] | None = None,
    ) -> Panel:
        """Return what answers from the nodes elected: from all live packets, those in ``cells``, or those ``ids``."""
        self._holdings.expire(now)
        knowledge, day = self.knowledge(template_id), day_of(now)
        if cells is None and ids is None:
            return knowledge.panel(conditions=conditions, day=day)
        packets, name = self._holdings.cache(template_id).choice(cells, ids)
        return knowledge.panel_of(packets, name=name, conditions=conditions, day=day)

    def hiring(self, template_id: TemplateId, *, now: float) -> Hiring:
        """Return whom this node believes, given the live packets of a template."""
        self._holdings.expire(now)
        return self._holdings.knowledge(template_id).hiring(day=day_of(now))

    def known_packets(self, template_id: TemplateId, cells: Sequence[int]) -> Packets:
        """Return the packets known in some cells, kept or fetched."""
        return self._holdings.cache(template_id).in_cells(cells)

    def packets_behind(self, template_id: TemplateId, evidence_digest: str, *, now: float) -> Packets:
        """Return the packets that a recent answer was made from, or all live ones of the template."""
        self._holdings.expire(now)
        return self._holdings.knowledge(template_id).packets_behind(evidence_digest, day=day_of(now))

    def packets(self, template_id: TemplateId, *, now: float) -> Packets:
        """Return the live packets of a template."""
        self._holdings.expire(now)
        return self._holdings.knowledge(template_id).packets()

    def _take_message(self, message: Message, peer: PublicKey, now: float) -> None:
        match message:
            case Beat(answers=0):
                self._requests.send(peer, Beat(number=0, answers=message.number))
            case Offer():
                taken = self._take(message.packets, peer, now)
                have = self._serving.have(message.number, taken.kept, taken.refused, peer=peer, now=now)
                self._requests.send(peer, have)
                if len(taken.withdrawals):
                    self._requests.hand_over(peer, taken.withdrawals.tobytes(), now=now)
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

    def _take(self, frame: bytes, peer: PublicKey, now: float) -> Taken:
        taken = self._holdings.take(packets_from_frame(frame), peer=peer, now=now)
        self._events.append(arrival(taken, peer))
        return taken

    def _take_for_answers(
        self, frame: bytes, template_id: bytes, cells: Collection[int] | None, peer: PublicKey, now: float
    ) -> None:
        taken = self._holdings.take_for_answers(frame, template_id, cells=cells, peer=peer, now=now)
        self._events.append(arrival(taken, peer))

    def _let_go(self, template_id: bytes, ids: list[bytes], now: float) -> None:
        self._holdings.let_go(template_id, ids, now=now)

    def _have_holds(self, have: Have, peer: PublicKey) -> bool:
        statement = have_statement(have.packet_ids, asker=self.public_key, at=have.at)
        if signature_holds(statement, have.signature, peer):
            return True
        self._events.append(FrameRefused(peer=peer, code="have-signature", message="a promise that nobody signed"))
        return False

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
            patience = REFRESH_SECONDS if heard else REQUEST_SECONDS_MAX
            if not refresh.waits_for or now - refresh.since >= patience:
                self._refreshes.remove(refresh)
                self._events.append(Refreshed(number=refresh.number, peers=refresh.peers))

    def _settle(self, template_id: bytes) -> None:
        if all(group.covered_since is not None for group in self.groups(TemplateId(template_id))):
            self._outbox.settle(template_id)
