"""Asking holders, for a node that does not keep the whole template: whole cells, or what is nearest to a fingerprint.

Two holders of each group are asked, chosen by how they have answered (``elections.holders``). Every packet is
verified here, so a holder can leave packets out but not make any up. What one holder has and the other did not list
is handed to the other; if it then signs that it keeps them, and signs a digest of its cells without them all the
same, it has been caught leaving them out. Packets may end between its two words: what the second lists is read first,
since it may withdraw them, and a packet in its last day accuses nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from fingerpost.ids import PublicKey
from fingerpost.limits import ACKNOWLEDGEMENTS, CLOCK_SKEW_DAYS_MAX, FRAME_PACKETS_MAX, REPLICAS
from fingerpost.node.cache import CellCache
from fingerpost.node.events import Fetched, FrameRefused, HolderOmits
from fingerpost.node.haves import cells_statement
from fingerpost.node.inventory import Shelf
from fingerpost.node.peers import Peers
from fingerpost.node.placement import Placement
from fingerpost.node.requests import REQUEST_SECONDS_MAX, Failed, Requests
from fingerpost.node.wire import (
    DIGEST_SIZE_BYTES,
    PACKET_ID_SIZE_BYTES,
    Answer,
    CellsHeld,
    Get,
    Have,
    Nearest,
    Offer,
    Packets,
    WantCells,
)
from fingerpost.packet import signature_holds
from fingerpost.ports import day_of

HOLDERS_ASKED = 2  # of each group
HOLDERS_FOR_ALL = REPLICAS - ACKNOWLEDGEMENTS + 1  # among as many there is one that has what was acknowledged
LATE_SECONDS = 1.0  # after which one holder of each group is enough

Report = Callable[[Fetched | FrameRefused | HolderOmits], None]


@dataclass(slots=True)
class _Visit:
    """One holder and the cells of its group that it is asked for."""

    peer: PublicKey
    group: int
    cells: list[int]
    known: list[bytes] = field(default_factory=list)  # digests when it was asked
    digests: bytes = b""
    listed: list[bytes] = field(default_factory=list)
    tried: set[bytes] = field(default_factory=set)  # ids whose packets this holder was asked for
    complete: bool = False
    done: bool = False
    answered: bool = False

    def keeps(self, cache: CellCache) -> set[bytes]:
        """Return the ids that the holder says it keeps in these cells."""
        keeps = set(self.listed)
        size = DIGEST_SIZE_BYTES
        for row, cell in enumerate(self.cells):
            if self.digests[row * size : (row + 1) * size] == self.known[row]:
                keeps.update(cache.shelf(cell))
        return keeps


@dataclass(slots=True)
class _Question:
    number: int
    template_id: bytes
    since: float
    groups: list[int]
    visits: list[_Visit]
    packet_ids: dict[bytes, None] = field(default_factory=dict)  # of a question for what is nearest
    answers: list[frozenset[bytes]] = field(default_factory=list)
    under_way: set[bytes] = field(default_factory=set)  # ids whose packets a holder is being asked for

    def has_answered(self, visit: _Visit) -> bool:
        """Say whether a holder has answered, and nothing that it listed is still under way from another."""
        return visit.answered and self.under_way.isdisjoint(visit.listed)


class Fetching:
    """Questions to holders, and what they brought."""

    def __init__(
        self,
        *,
        me: PublicKey,
        peers: Peers,
        placement: Placement,
        requests: Requests,
        cache: Callable[[bytes], CellCache],
        take: Callable[[bytes, bytes, Collection[int] | None, PublicKey, float], None],
        have_holds: Callable[[Have, PublicKey], bool],
        is_complete: Callable[[bytes, int], bool],
        report: Report,
    ) -> None:
        self._me = me
        self._is_complete = is_complete
        self._holders = peers.holders
        self._placement = placement
        self._requests = requests
        self._cache = cache
        self._take = take
        self._have_holds = have_holds
        self._report = report
        self._questions: dict[int, _Question] = {}

    def cells(self, number: int, template_id: bytes, cells: dict[int, list[int]], *, now: float) -> None:
        """Begin to fetch some cells, given by group; ``Fetched`` follows."""
        cache = self._cache(template_id)
        visits = [
            _Visit(peer=peer, group=group, cells=wanted)
            for group, wanted in cells.items()
            for peer in self._chosen(template_id, group, now)
        ]
        question = _Question(number, template_id, now, list(cells), visits)
        self._questions[number] = question
        for visit in visits:
            visit.known = [cache.shelf(cell).root() for cell in visit.cells]
            self._ask_cells(question, visit, b"", now)
        self._settle(question, now)

    def nearest(
        self, number: int, template_id: bytes, fingerprint: bytes, *, groups: Sequence[int], count: int, now: float
    ) -> None:
        """Begin to ask for the packets nearest to a fingerprint; ``Fetched`` follows, with their ids."""
        visits = [
            _Visit(peer=peer, group=group, cells=[])
            for group in groups
            for peer in self._chosen(template_id, group, now)
        ]
        question = _Question(number, template_id, now, list(groups), visits)
        self._questions[number] = question
        for visit in visits:
            self._ask_nearest(question, visit, fingerprint, count, now)
        self._settle(question, now)

    def step(self, *, now: float) -> None:
        """Report questions of which one holder of each group has answered, when the others are late."""
        for question in list(self._questions.values()):
            heard = {visit.group for visit in question.visits if question.has_answered(visit)}
            everywhere = all(visit.group in heard for visit in question.visits)
            if everywhere and now - question.since >= LATE_SECONDS:
                self._close(question)

    def _chosen(self, template_id: bytes, group: int, now: float) -> list[PublicKey]:
        return self._holders.choose(self._placement.others(template_id, group), count=HOLDERS_ASKED, now=now)

    def _ask_cells(self, question: _Question, visit: _Visit, after: bytes, now: float) -> None:
        asked_at, failed = now, self._failed(question, visit)

        def answered(answer: Answer, *, now: float) -> None:
            if not isinstance(answer, CellsHeld) or not self._signed(answer, question.template_id, visit):
                message = "digests of cells that the holder did not sign, or not for this question"
                self._report(FrameRefused(peer=visit.peer, code="cells-signature", message=message))
                failed(now=now)
                return
            self._holders.answered(visit.peer, seconds=now - asked_at, now=now)
            visit.digests, visit.complete = answer.digests, answer.complete
            ids = _split(answer.packet_ids)
            visit.listed += ids
            if answer.more and ids and ids[-1] > after:
                self._ask_cells(question, visit, ids[-1], now)
            else:
                self._get(question, visit, now)

        self._requests.ask(
            visit.peer,
            lambda number: WantCells(
                number=number,
                template_id=question.template_id,
                cells=visit.cells,
                known=b"".join(visit.known),
                after=after,
            ),
            expects=CellsHeld,
            answered=answered,
            failed=failed,
            now=now,
        )

    def _get(self, question: _Question, visit: _Visit, now: float) -> None:
        wanted = [each for each in self._missing(question, visit) if each not in question.under_way]
        if not wanted:
            self._end(question, visit, now, answered=True)
            return
        del wanted[FRAME_PACKETS_MAX:]
        visit.tried.update(wanted)
        question.under_way.update(wanted)

        def answered(answer: Answer, *, now: float) -> None:
            question.under_way.difference_update(wanted)
            if isinstance(answer, Packets):
                self._take(answer.packets, question.template_id, visit.cells, visit.peer, now)
            self._get(question, visit, now)

        def failed(*, now: float) -> None:
            question.under_way.difference_update(wanted)
            self._end(question, visit, now, answered=False)

        self._requests.ask(
            visit.peer,
            lambda number: Get(number=number, packet_ids=b"".join(wanted), padded=True),
            expects=Packets,
            answered=answered,
            failed=failed,
            now=now,
        )

    def _missing(self, question: _Question, visit: _Visit) -> list[bytes]:
        """Return what a holder listed, is not known here, and was not asked of it."""
        cache = self._cache(question.template_id)
        return [each for each in visit.listed if each not in cache and each not in visit.tried]

    def _ask_nearest(self, question: _Question, visit: _Visit, fingerprint: bytes, count: int, now: float) -> None:
        asked_at = now

        def answered(answer: Answer, *, now: float) -> None:
            self._holders.answered(visit.peer, seconds=now - asked_at, now=now)
            if isinstance(answer, Packets):
                ids = self._take_all(answer.packets, question.template_id, visit.peer, now)
                question.packet_ids |= dict.fromkeys(ids)
                question.answers.append(frozenset(ids))
            self._end(question, visit, now, answered=True)

        self._requests.ask(
            visit.peer,
            lambda number: Nearest(
                number=number, template_id=question.template_id, fingerprint=fingerprint, count=count
            ),
            expects=Packets,
            answered=answered,
            failed=self._failed(question, visit),
            now=now,
        )

    def _take_all(self, packets: bytes, template_id: bytes, peer: PublicKey, now: float) -> list[bytes]:
        self._take(packets, template_id, None, peer, now)
        cache = self._cache(template_id)
        return [each for each in cache.ids_of(packets) if each in cache]

    def _failed(self, question: _Question, visit: _Visit) -> Failed:
        def failed(*, now: float) -> None:
            self._holders.failed(visit.peer, seconds=REQUEST_SECONDS_MAX, now=now)
            self._end(question, visit, now, answered=False)

        return failed

    def _end(self, question: _Question, visit: _Visit, now: float, *, answered: bool) -> None:
        visit.done, visit.answered = True, answered
        self._settle(question, now)

    def _settle(self, question: _Question, now: float) -> None:
        if not all(visit.done for visit in question.visits):
            return
        for visit in question.visits:  # What one holder did not give after all, the other may.
            if visit.answered and self._missing(question, visit):
                visit.done = False
                self._get(question, visit, now)
                return
        if self._close(question):
            self._look_for_omissions(question, now)

    def _close(self, question: _Question) -> bool:
        if self._questions.pop(question.number, None) is None:
            return False
        answered = [visit for visit in question.visits if question.has_answered(visit)]
        complete = Counter(visit.group for visit in answered if visit.complete)
        complete.update(group for group in question.groups if self._is_complete(question.template_id, group))
        self._report(
            Fetched(
                number=question.number,
                asked=len(question.visits),
                answered=tuple(visit.peer for visit in answered),
                complete=all(complete[group] >= HOLDERS_FOR_ALL for group in question.groups),
                attested=all(self._agree(question, answered, group) for group in question.groups),
                packet_ids=tuple(question.packet_ids),
            )
        )
        return True

    def _agree(self, question: _Question, answered: list[_Visit], group: int) -> bool:
        said = [visit.digests for visit in answered if visit.group == group]
        if question.answers:
            return len(question.answers) > 1 and len(set(question.answers)) == 1
        return len(said) > 1 and len(set(said)) == 1

    def _look_for_omissions(self, question: _Question, now: float) -> None:
        cache = self._cache(question.template_id)
        for visit in question.visits:
            others = [other for other in question.visits if other.group == visit.group and other is not visit]
            if not visit.answered or not visit.cells or all(other.digests == visit.digests for other in others):
                continue
            theirs = {each for other in others if other.answered for each in other.keeps(cache) if each in cache}
            left_out = sorted(theirs - visit.keeps(cache))[:FRAME_PACKETS_MAX]
            if left_out:
                self._confront(question, visit, left_out, now)

    def _confront(self, question: _Question, visit: _Visit, left_out: list[bytes], now: float) -> None:
        """Hand a holder what it did not list; ask it again once it has signed that it keeps it."""
        packets = self._cache(question.template_id).packets(left_out).tobytes()

        def kept(answer: Answer, *, now: float) -> None:
            if isinstance(answer, Have) and self._have_holds(answer, visit.peer):
                promised = set(_split(answer.packet_ids)) & set(left_out)
                if promised:
                    again = _Visit(peer=visit.peer, group=visit.group, cells=visit.cells, known=visit.known)
                    self._ask_again(question.template_id, again, promised, b"", now)

        self._requests.ask(
            visit.peer,
            lambda number: Offer(number=number, packets=packets),
            expects=Have,
            answered=kept,
            failed=_nothing,
            now=now,
        )

    def _ask_again(self, template_id: bytes, visit: _Visit, promised: set[bytes], after: bytes, now: float) -> None:
        visit.known = [Shelf().root()] * len(visit.cells)  # Every id is to be listed.

        def answered(answer: Answer, *, now: float) -> None:
            if not isinstance(answer, CellsHeld) or not self._signed(answer, template_id, visit):
                return
            ids = _split(answer.packet_ids)
            visit.listed += ids
            if answer.more and ids and ids[-1] > after:
                self._ask_again(template_id, visit, promised, ids[-1], now)
            else:
                self._accuse(template_id, visit, promised - set(visit.listed), now)

        self._requests.ask(
            visit.peer,
            lambda number: WantCells(
                number=number, template_id=template_id, cells=visit.cells, known=b"".join(visit.known), after=after
            ),
            expects=CellsHeld,
            answered=answered,
            failed=_nothing,
            now=now,
        )

    def _accuse(self, template_id: bytes, visit: _Visit, omitted: set[bytes], now: float) -> None:
        """Accuse a holder of leaving packets out, unless what it lists withdraws them or their time is up."""
        cache = self._cache(template_id)
        if not omitted:
            return
        omitted = cache.lasting(omitted, beside=visit.listed, day=day_of(now) + CLOCK_SKEW_DAYS_MAX)
        unread = [each for each in visit.listed if each not in cache and each not in visit.tried][:FRAME_PACKETS_MAX]
        if omitted and not unread:
            self._holders.omits(visit.peer)
            self._report(HolderOmits(peer=visit.peer, packet_ids=tuple(sorted(omitted))))
        if not omitted or not unread:
            return
        visit.tried.update(unread)

        def answered(answer: Answer, *, now: float) -> None:
            if isinstance(answer, Packets):
                self._take(answer.packets, template_id, visit.cells, visit.peer, now)
            self._accuse(template_id, visit, omitted, now)

        self._requests.ask(
            visit.peer,
            lambda number: Get(number=number, packet_ids=b"".join(unread), padded=True),
            expects=Packets,
            answered=answered,
            failed=_nothing,
            now=now,
        )

    def _signed(self, answer: CellsHeld, template_id: bytes, visit: _Visit) -> bool:
        statement = cells_statement(
            visit.cells,
            answer.digests,
            template_id=template_id,
            asker=self._me,
            at=answer.at,
            complete=answer.complete,
        )
        right_size = len(answer.digests) == DIGEST_SIZE_BYTES * len(visit.cells)
        return right_size and signature_holds(statement, answer.signature, visit.peer)


def _nothing(*, now: float) -> None:
    del now


def _split(packet_ids: bytes) -> list[bytes]:
    size = PACKET_ID_SIZE_BYTES
    return [packet_ids[at : at + size] for at in range(0, len(packet_ids), size)]
