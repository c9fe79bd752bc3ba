"""How a node makes sure that others keep what it may lose or let go of: it asks the current holders.

A node audits its own packets wherever it is not itself a holder, and, unless it keeps the whole template, what it once
held for a group that has other holders now. Holders that lack packets get them. Packets of others are let go of only
when every current holder of a full set has said that it has them, in every audit for one record lifetime, and has
promised again to keep them for a while; own packets never.

Why no packet is lost however the views of nodes differ: whoever says ``have`` promises to keep for ``PROMISE_SECONDS``,
and lets go of nothing of the group for as long. Whoever lets go therefore leaves ``REPLICAS`` others behind that still
keep; the last ones have nobody to rely on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fingerpost.ids import PublicKey
from fingerpost.limits import FRAME_PACKETS_MAX, RECORD_LIFETIME_SECONDS_DEFAULT, REPLICAS
from fingerpost.node.groups import Group
from fingerpost.node.inventory import Inventory
from fingerpost.node.requests import Requests
from fingerpost.node.wire import PACKET_ID_SIZE_BYTES, Answer, Check, Have, Offer
from fingerpost.store.base import PacketStore

AUDIT_SECONDS = 600.0  # between two audits of own packets that are settled
AUDIT_UNSETTLED_SECONDS = 30.0  # between two audits while something is missing, or is to be let go of
AUDIT_SETTLE_SECONDS = 10.0  # after the holders of a group changed: new ones fetch by themselves meanwhile
PROMISE_SECONDS = 60.0  # that whoever says "have" keeps what it has
PAGE_PACKETS = 1_024

if PAGE_PACKETS > FRAME_PACKETS_MAX:
    raise AssertionError("what a holder lacks of a page goes in one frame")


class Audit:
    """Walks through the packets that others are to keep, page by page, one page of a group at a time."""

    def __init__(
        self,
        *,
        me: PublicKey,
        store: PacketStore,
        requests: Requests,
        inventory: Callable[[bytes], Inventory],
        have_holds: Callable[[Have, PublicKey], bool],
        let_go: Callable[[bytes, list[bytes], float], None],
        settled: Callable[[bytes], None],
    ) -> None:
        self._me = me
        self._store = store
        self._requests = requests
        self._inventory = inventory
        self._have_holds = have_holds
        self._let_go = let_go
        self._settled = settled

    def holders_changed(self, group: Group, *, now: float) -> None:
        """Take in that a group has other holders: nothing counts as covered, and an audit is due soon."""
        group.covered_since = None
        group.audit_at = min(group.audit_at, now + AUDIT_SETTLE_SECONDS)

    def step(self, group: Group, *, now: float) -> None:
        """Begin the audit of a group, if it is due and none is under way."""
        if group.auditing or group.audit_at > now:
            return
        if not any(peer != self._me for peer in group.current):  # There is nobody to ask.
            group.audit_at = now + AUDIT_UNSETTLED_SECONDS
            return
        group.auditing = True
        self._go_on(group, _Pass(self._due(group), group.current, began=now), now)

    def _due(self, group: Group) -> list[bytes]:
        inventory = self._inventory(group.template_id)
        shelf = inventory.shelf(group.number)
        if group.follows:
            return sorted(each for each in inventory.own if each in shelf)
        return list(shelf)

    def _go_on(self, group: Group, walk: _Pass, now: float) -> None:
        if walk.current != group.current:
            self._end(group, now, covered=False)
            return
        inventory = self._inventory(group.template_id)
        while walk.at < len(walk.ids):
            ids = [each for each in walk.next_page() if each in inventory]
            if ids:
                self._ask(group, walk, ids, now)
                return
        self._end(group, now, covered=walk.covered, began=walk.began)

    def _ask(self, group: Group, walk: _Pass, ids: list[bytes], now: float) -> None:
        others = [peer for peer in walk.current if peer != self._me]
        page = _Page(group, walk, ids, asked_at=now, open=len(others))
        for peer in others:
            self._send(page, peer, lambda number: Check(number=number, packet_ids=b"".join(ids)), now, offers=True)

    def _send(
        self, page: _Page, peer: PublicKey, make: Callable[[int], Check | Offer], now: float, *, offers: bool
    ) -> None:
        def answered(answer: Answer, *, now: float) -> None:
            has: set[bytes] = set()
            if isinstance(answer, Have) and self._have_holds(answer, peer):
                size = PACKET_ID_SIZE_BYTES
                has = {answer.packet_ids[at : at + size] for at in range(0, len(answer.packet_ids), size)}
            lacking = [each for each in page.ids if each not in has]
            if offers and lacking:
                packets = self._packets(lacking)
                page.covered = False  # Until the next audit finds them there.
                self._send(page, peer, lambda number: Offer(number=number, packets=packets), now, offers=False)
            else:
                self._close(page, now)

        def failed(*, now: float) -> None:
            page.covered = False
            self._close(page, now)

        self._requests.ask(peer, make, expects=Have, answered=answered, failed=failed, now=now)

    def _close(self, page: _Page, now: float) -> None:
        page.open -= 1
        if page.open:
            return
        group, walk = page.group, page.walk
        walk.covered &= page.covered
        if page.covered and self._may_let_go(group, walk, asked_at=page.asked_at, now=now):
            own = self._inventory(group.template_id).own
            foreign = [each for each in page.ids if each not in own]
            if foreign:
                self._let_go(group.template_id, foreign, now)
        self._go_on(group, walk, now)

    def _may_let_go(self, group: Group, walk: _Pass, *, asked_at: float, now: float) -> bool:
        return (
            not group.follows
            and len(group.current) == REPLICAS
            and walk.current == group.current
            and group.covered_since is not None
            and now - group.covered_since >= RECORD_LIFETIME_SECONDS_DEFAULT
            and now >= group.promised_until
            and now < asked_at + PROMISE_SECONDS
        )

    def _end(self, group: Group, now: float, *, covered: bool, began: float | None = None) -> None:
        group.auditing = False
        if not covered or began is None:
            group.covered_since = None
        elif group.covered_since is None:
            group.covered_since = began
        inventory = self._inventory(group.template_id)
        foreign = not group.follows and any(each not in inventory.own for each in inventory.shelf(group.number))
        group.audit_at = now + (AUDIT_SECONDS if covered and not foreign else AUDIT_UNSETTLED_SECONDS)
        if covered:
            self._settled(group.template_id)

    def _packets(self, ids: list[bytes]) -> bytes:
        joined = np.frombuffer(b"".join(ids), np.uint8).reshape(-1, PACKET_ID_SIZE_BYTES)
        return self._store.get(joined).tobytes()


@dataclass(slots=True)
class _Pass:
    """One walk through the packets of a group."""

    ids: list[bytes]
    current: tuple[PublicKey, ...]
    began: float
    at: int = 0
    covered: bool = True

    def next_page(self) -> list[bytes]:
        """Return the ids of the next page; none at the end."""
        page = self.ids[self.at : self.at + PAGE_PACKETS]
        self.at += PAGE_PACKETS
        return page


@dataclass(slots=True)
class _Page:
    """One page of a walk, on its way: how many holders have not answered, and whether all of the others have it."""

    group: Group
    walk: _Pass
    ids: list[bytes]
    asked_at: float
    open: int
    covered: bool = True
