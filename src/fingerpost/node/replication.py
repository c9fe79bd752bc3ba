"""How the holders of a group come to keep the same packets: whoever lacks some fetches them.

Holders compare the digests of what they keep; where digests differ, the differing leaves are listed and what is missing
is fetched. Nobody pushes, so nothing comes twice. A node that has just become a holder compares with *every* holder
within its reach, not only with the current ones, who may be as new as itself; until then it is not complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fingerpost.ids import PublicKey
from fingerpost.limits import FRAME_PACKETS_MAX
from fingerpost.node.groups import Group
from fingerpost.node.inventory import Inventory
from fingerpost.node.peers import Peers
from fingerpost.node.placement import Placement
from fingerpost.node.requests import Failed, Requests
from fingerpost.node.wire import PACKET_ID_SIZE_BYTES, Answer, Compare, Compared, Get, List, Listed, Packets

COMPARE_SECONDS = 5.0  # between two comparisons of one group with one holder
COMPARE_AGAIN_SECONDS = 1.0  # after one that failed
COMPARED_SECONDS_MAX = 4.0  # that the answer may take, which is small; a carrier may have lost the question
COMPARISONS_MAX = 8  # under way at once
DECLINED_SECONDS = 60.0  # that a packet which did not come, or was refused, is not fetched again from the same holder

Take = Callable[[bytes, PublicKey, float], object]
Heard = Callable[[Group, PublicKey], None]


class Replication:
    """Keeps the groups that this node holds or follows equal to those of their other holders."""

    def __init__(
        self,
        *,
        me: PublicKey,
        peers: Peers,
        placement: Placement,
        requests: Requests,
        inventory: Callable[[bytes], Inventory],
        take: Take,
        heard: Heard,
    ) -> None:
        self._me = me
        self._peers = peers
        self._placement = placement
        self._requests = requests
        self._inventory = inventory
        self._take = take
        self._heard = heard
        self._declined: dict[PublicKey, tuple[float, set[bytes]]] = {}
        self._under_way = 0

    def look(self, group: Group, *, follows_all: bool, now: float) -> bool:
        """Take in who holds a group now; say whether that has changed."""
        current = self._placement.current(group.template_id, group.number)
        changed, group.current = current != group.current, current
        held, group.holds = group.holds, self._me in current
        group.follows = group.holds or follows_all
        former = self._placement.former(group.template_id, group.number)
        group.unheard = former if group.holds and not held else group.unheard & former
        wanted = self._wanted(group)
        group.due = {peer: group.due.get(peer, now) for peer in wanted}
        return changed

    def returned(self, group: Group, peers: Iterable[PublicKey]) -> None:
        """Take in that holders came or are back: they may have what this node lacks."""
        if group.holds:
            group.unheard |= self._placement.former(group.template_id, group.number).intersection(peers)

    def hint(self, group: Group, peer: PublicKey, root: bytes, *, now: float) -> None:
        """Take in what a peer's digest of the group is: when it differs, it may have what this node lacks."""
        if group.follows and self._peers.is_live(peer) and root != self._shelf_root(group):
            group.due[peer] = min(group.due.get(peer, now), now)

    def compare_anew(self, group: Group, peer: PublicKey, *, now: float) -> None:
        """Compare with a holder once more, as it is from now on."""
        group.due[peer] = now
        if group.busy_with == peer:
            group.again_with.add(peer)
        self.step(group, now=now)

    def step(self, group: Group, *, now: float) -> None:
        """Begin the next comparison of a group, if one is due and none is under way."""
        if group.busy_with is not None or not group.follows or self._under_way >= COMPARISONS_MAX:
            return
        due = [peer for peer, at in group.due.items() if at <= now]
        if due:
            self._compare(group, min(due, key=lambda peer: group.due[peer]), now)

    def _wanted(self, group: Group) -> list[PublicKey]:
        if not group.follows:
            return []
        others = [peer for peer in group.current if peer != self._me]
        hinted = [peer for peer in group.due if self._peers.is_live(peer) and peer not in group.current]
        return list(dict.fromkeys([*others, *sorted(group.unheard), *hinted]))

    def _shelf_root(self, group: Group) -> bytes:
        return self._inventory(group.template_id).shelf(group.number).root()

    def _compare(self, group: Group, peer: PublicKey, now: float) -> None:
        group.busy_with = peer
        self._under_way += 1
        root = self._shelf_root(group)

        def answered(answer: Answer, *, now: float) -> None:
            if not isinstance(answer, Compared) or answer.root == self._shelf_root(group):
                self._end(group, peer, now, heard=isinstance(answer, Compared))
                return
            leaves = self._inventory(group.template_id).shelf(group.number).differing(answer.leaves)
            self._list(group, peer, b"".join(leaf.to_bytes(2, "big") for leaf in leaves), b"", now)

        self._requests.ask(
            peer,
            lambda number: Compare(number=number, template_id=group.template_id, group=group.number, root=root),
            expects=Compared,
            answered=answered,
            failed=self._failed(group, peer),
            now=now,
            seconds=COMPARED_SECONDS_MAX,
        )

    def _list(self, group: Group, peer: PublicKey, leaves: bytes, after: bytes, now: float) -> None:
        if not leaves:
            self._end(group, peer, now, heard=True)
            return

        def answered(answer: Answer, *, now: float) -> None:
            if isinstance(answer, Listed):
                size = PACKET_ID_SIZE_BYTES
                ids = [answer.packet_ids[at : at + size] for at in range(0, len(answer.packet_ids), size)]
                last = ids[-1] if ids and ids[-1] > after else b""
                self._fetch(group, peer, ids, (leaves, last) if answer.more and last else None, now)

        self._requests.ask(
            peer,
            lambda number: List(
                number=number, template_id=group.template_id, group=group.number, leaves=leaves, after=after
            ),
            expects=Listed,
            answered=answered,
            failed=self._failed(group, peer),
            now=now,
        )

    def _fetch(
        self, group: Group, peer: PublicKey, ids: list[bytes], then: tuple[bytes, bytes] | None, now: float
    ) -> None:
        inventory = self._inventory(group.template_id)
        declined = self._declined_of(peer, now)
        missing = [each for each in ids if each not in inventory and each not in declined]
        if not missing:
            self._list(group, peer, *(then or (b"", b"")), now)
            return
        wanted, rest = missing[:FRAME_PACKETS_MAX], missing[FRAME_PACKETS_MAX:]

        def answered(answer: Answer, *, now: float) -> None:
            if isinstance(answer, Packets):
                self._take(answer.packets, peer, now)
            lacking = [each for each in wanted if each not in inventory]
            self._declined_of(peer, now).update(lacking)
            if len(lacking) == len(wanted):  # A holder that lists what it does not give must not keep us.
                self._end(group, peer, now, heard=True)
            else:
                self._fetch(group, peer, rest, then, now)

        self._requests.ask(
            peer,
            lambda number: Get(number=number, packet_ids=b"".join(wanted)),
            expects=Packets,
            answered=answered,
            failed=self._failed(group, peer),
            now=now,
        )

    def _declined_of(self, peer: PublicKey, now: float) -> set[bytes]:
        since, ids = self._declined.get(peer, (now, set()))
        if now - since >= DECLINED_SECONDS:
            since, ids = now, set()
        self._declined[peer] = since, ids
        return ids

    def _failed(self, group: Group, peer: PublicKey) -> Failed:
        def failed(*, now: float) -> None:
            group.due[peer] = now + COMPARE_AGAIN_SECONDS
            self._finish(group, peer, now, answered=False)

        return failed

    def _end(self, group: Group, peer: PublicKey, now: float, *, heard: bool) -> None:
        if heard:
            group.unheard.discard(peer)
        if peer in group.current:
            group.due[peer] = now + COMPARE_SECONDS
        else:
            group.due.pop(peer, None)
        self._finish(group, peer, now, answered=True)

    def _finish(self, group: Group, peer: PublicKey, now: float, *, answered: bool) -> None:
        group.busy_with = None
        self._under_way -= 1
        if peer in group.again_with:
            group.again_with.discard(peer)
            group.due[peer] = now
        elif answered:
            self._heard(group, peer)
        self.step(group, now=now)
