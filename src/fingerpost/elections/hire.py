"""The first election: whose packets an asker uses.

The asker's own outcomes are the anchor. A model of them expects what others should claim; a node is hired when its
claims, where the model is familiar, are more than luck (``evalues``, ``threshold``). Its packets then join the model,
and the next round begins: a node is judged by the asker and by nodes hired earlier, never by its own friends, so that
a majority of liars has nothing to vote with.

What is guaranteed, and what is not, stands in docs/explanation/elections.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.elections import agreement, dismissal, evalues
from fingerpost.elections._view import PacketIds, View
from fingerpost.elections.claims import Coding
from fingerpost.elections.hiring import ALPHA, Hiring, Verdict
from fingerpost.elections.numbers import Numbers
from fingerpost.elections.repeats import repeated
from fingerpost.elections.ridge import Expectation, Sums, fit
from fingerpost.elections.threshold import group_share, passing, series_part
from fingerpost.elections.usefulness import misleads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fingerpost.elections.evalues import Null
    from fingerpost.elections.hiring import Finding
    from fingerpost.synthesis.evidence import Evidence

OWN_WEIGHT = 4.0
OWN_OUTCOMES_MIN = 8
ROUNDS_MAX = 12  # each time that packets have arrived
GROWTH = 1.1  # of the packets that the model was made of before it is made anew
COVERAGE_MIN = 0.7  # of the outcome levels, counted by the entropy of the asker's own outcomes, for the truth null
TRIED_FROM = math.log(3)  # nats by the latest model: the claims are three times as likely as luck, if not yet enough
DOUBT_DEVIATIONS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weights:
    """What each packet ``rows`` (k,) of one node did to its e-value: the logarithm of its factor.

    ``expected`` is the probability of the claim by the latest model, ``usual`` what it would be without its situation.
    """

    rows: NDArray[np.int64]
    logs: NDArray[np.float64]
    expected: NDArray[np.float64]
    usual: NDArray[np.float64]
    familiar: NDArray[np.bool_]


@dataclass(slots=True)
class _Node:
    share: float  # of the error budget
    wealth: NDArray[np.float64]  # log e-values (t,), mixed over the rounds so far
    latest: NDArray[np.float64]  # log e-values (t,) by the latest model
    doubted: NDArray[np.float64]  # the same, half of the wealth being bet on each claim
    bets: int = 0  # models that had their part of the wealth
    familiar: int = 0
    round: int = 0  # in which it was hired, 0 if it was not
    dismissed: bool = False
    wrong: float = 0.0  # how far its claims, since it was hired, run up against it
    misleads: bool = False  # as found when it and the asker had ``misleads_of`` packets
    misleads_of: int = 0
    numbers: float = (
        0.0  # how much likelier than by luck its numbers are, as found when there were ``numbers_of`` packets
    )
    numbers_of: int = 0


@dataclass(slots=True)
class _Model:
    """The latest model, the packets in it, and what it expects of all situations read so far, by node."""

    expectation: Expectation
    packets: int
    told: dict[bytes, tuple[NDArray[np.float64], int]]


class Elector:
    """Decides whom to hire, again and again as packets arrive. ``asker`` is the node id of whoever asks.

    ``read`` takes all packets known now. Claims that were read before are read again only by a new model: when somebody
    was hired, or the asker's own packets and those of the hired have become more by a tenth.
    """

    def __init__(self, *, asker: bytes, actions: int = 0, alpha: float = ALPHA) -> None:
        self._asker = asker
        self._actions = actions
        self._alpha = alpha
        self._null: Null | None = None
        self._coding = Coding(levels=0, cuts=None, actions=0)
        self._nodes: dict[bytes, _Node] = {}
        self._read = self._repeats = PacketIds(np.zeros((0, 32), np.uint8))
        self._groups = 0
        self._rounds = 0
        self._unproven: tuple[int, bool] = (0, False)  # packets, when asked, and whether these nodes help
        self._hired = 0  # ever: whom it dismisses later counts
        self._model: _Model | None = None
        self._numbers: tuple[bytes, Numbers | None] | None = None  # own packets, and what these make expected

    def read(self, evidence: Evidence) -> Hiring:
        """Return whom to hire, given the packets known now."""
        view = View.of(evidence, self._asker)
        if self._null is None:
            self._null = rule_for(evidence, view.own, actions=self._actions)
            self._coding = Coding.of(evidence, view.own, actions=self._actions)
        if self._null is None or not len(view.own):
            return agreement.hiring(evidence, asker=self._asker, alpha=self._alpha)
        self._meet(view)
        new = view.new_rows(self._read)
        self._note_repeats(view, new)
        if self._model is not None and len(new):
            self._step(view, self._model, new)
        turned = self._dismiss_turned()
        if self._model is None or turned or self._has_outgrown(view, self._model) or self._passing():
            self._hold_rounds(view)
            while self._dismiss_wrong(view):
                self._hold_rounds(view)
        self._read = self._read.with_(evidence.packet_ids[view.peer_rows[new]])
        return self._hiring(view)

    def weights(self, evidence: Evidence, node: bytes) -> Weights | None:
        """Return what the packets of one node say for and against it by the latest model; None without a model."""
        view = View.of(evidence, self._asker)
        if self._model is None or node not in view.names or node == self._asker:
            return None
        expectation, rows = self._model.expectation, view.peer_rows
        probabilities, familiar = self._look(view, expectation, rows)
        sight = evalues.sight_of(probabilities, familiar, usual=expectation.usual, null=self._kind)
        shares = self._coding.shares(evidence, rows)
        nothing = evalues.Told.nothing(len(view.names), self._coding.levels)
        logs = evalues.log_factors(sight, shares, view.peer_nodes, before=nothing).min(axis=0)
        own = np.flatnonzero(view.peer_nodes == view.places[node])
        expected = (shares * probabilities).sum(axis=1)
        usual = shares @ (probabilities[familiar].mean(axis=0) if familiar.any() else expectation.usual)
        return Weights(rows=rows[own], logs=logs[own], expected=expected[own], usual=usual[own], familiar=familiar[own])

    @property
    def _kind(self) -> Null:
        return self._null or "dependence"

    def _meet(self, view: View) -> None:
        """Give nodes never seen before their shares of the error budget."""
        newcomers = [name for name in view.peers if name not in self._nodes]
        kinds = 2 if self._null == "truth" else 1
        bets = 0 if self._model is None else 1  # The latest model reads its claims as they come.
        start = _log_share(1) if bets else -math.inf
        for name in newcomers:
            self._nodes[name] = _Node(
                share=group_share(self._groups, len(newcomers)),
                wealth=np.full(kinds, start),
                latest=np.zeros(kinds),
                bets=bets,
                doubted=np.zeros(kinds),
            )
        self._groups += bool(newcomers)

    def _note_repeats(self, view: View, new: NDArray[np.int64]) -> None:
        """Remember which new packets tell what their node has told before."""
        fresh = np.zeros(len(view.peer_rows), bool)
        fresh[new] = True
        places = np.flatnonzero(np.isin(view.peer_nodes, view.peer_nodes[new]))
        places = places[np.lexsort((fresh[places], view.peer_nodes[places]))]
        told = repeated(view.evidence, view.peer_rows[places], view.peer_nodes[places])
        again = view.peer_rows[places[told & fresh[places]]]
        self._repeats = self._repeats.with_(view.evidence.packet_ids[again])

    def _look(
        self, view: View, expectation: Expectation, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return what a model expects in situations (k, C), and which of them it may judge by."""
        probabilities, familiar = expectation.look(view.evidence, rows, self._coding)
        return probabilities, familiar & ~view.are_in(self._repeats, rows)

    def _hold_rounds(self, view: View) -> None:
        """Hold rounds until nobody else can be hired."""
        evidence, coding = view.evidence, self._coding
        hired = self._serving(view)
        own = Sums.of(evidence, view.own, coding, weight=OWN_WEIGHT)
        others = Sums.of(evidence, view.rows_of(hired), coding)
        for _ in range(ROUNDS_MAX):
            self._rounds += 1
            expectation = fit(own + others, evidence, view.own, coding, weight=OWN_WEIGHT)
            self._judge(view, expectation, packets=len(view.rows_of(hired)) + len(view.own))
            chosen = self._passing()
            if not chosen:
                return
            self._hired += len(chosen)
            for name in chosen:
                self._nodes[name].round = self._rounds
            others += Sums.of(evidence, view.rows_of(chosen), coding)
            hired += chosen

    def _judge(self, view: View, expectation: Expectation, *, packets: int) -> None:
        """Have a new model read all claims; it bets with its own part of every node's wealth."""
        rows, nodes = view.peer_rows, view.peer_nodes
        nothing = evalues.Told.nothing(len(view.names), self._coding.levels)
        found, doubted, told = self._values(view, expectation, rows, nodes, before=nothing)
        for node, name in enumerate(view.names):
            known = self._nodes.get(name)
            if known is None:
                continue
            known.latest, known.doubted, known.familiar = found[:, node], doubted[:, node], int(told.counts[node])
            if not known.round:
                known.bets += 1
                known.wealth = np.logaddexp(known.wealth, _log_share(known.bets) + found[:, node])
        self._model = _Model(
            expectation=expectation,
            packets=packets,
            told={name: (told.sums[node], int(told.counts[node])) for node, name in enumerate(view.names)},
        )

    def _step(self, view: View, model: _Model, new: NDArray[np.int64]) -> None:
        """Have the latest model read new claims: what was hired before them expects them."""
        rows, nodes = view.peer_rows[new], view.peer_nodes[new]
        before = evalues.Told.nothing(len(view.names), self._coding.levels)
        for node, name in enumerate(view.names):
            if name in model.told:
                before.sums[node], before.counts[node] = model.told[name]
        found, doubted, told = self._values(view, model.expectation, rows, nodes, before=before)
        self._watch(view, model, rows, nodes)
        for node in np.unique(nodes).tolist():
            name = view.names[node]
            known = self._nodes[name]
            known.latest = known.latest + found[:, node]
            known.doubted = known.doubted + doubted[:, node]
            known.familiar += int(told.counts[node])
            if not known.round:
                known.wealth = known.wealth + found[:, node]
            sums, count = model.told.get(name, (np.zeros(self._coding.levels), 0))
            model.told[name] = sums + told.sums[node], count + int(told.counts[node])

    def _watch(self, view: View, model: _Model, rows: NDArray[np.int64], nodes: NDArray[np.int64]) -> None:
        """Have new claims of those who were hired run up against them, as far as they are wrong."""
        for node in np.unique(nodes).tolist():
            known = self._nodes[view.names[node]]
            if known.round and not known.dismissed:
                own = rows[nodes == node]
                probabilities, familiar = self._look(view, model.expectation, own)
                logs = dismissal.wrongness(probabilities, familiar, self._coding.shares(view.evidence, own))
                _, known.wrong = dismissal.run_up(known.wrong, logs)

    def _dismiss_turned(self) -> bool:
        """Dismiss those whose claims since they were hired are wrong; say whether there are any."""
        turned = [known for known in self._nodes.values() if known.round and not known.dismissed]
        turned = [known for known in turned if known.wrong > dismissal.limit(self._needed(known), known.familiar)]
        for known in turned:
            known.dismissed = True
        return bool(turned)

    def _dismiss_wrong(self, view: View) -> bool:
        """Dismiss of the hired that the others contradict the half with most against it; say whether there are any."""
        if self._model is None:
            return False
        against: dict[bytes, float] = {}
        for name in self._serving(view):
            known, rows = self._nodes[name], view.rows_told_by(name)
            probabilities, familiar = dismissal.without(view.evidence, rows, self._model.expectation, self._coding)
            familiar &= ~view.are_in(self._repeats, rows)
            logs = dismissal.wrongness(probabilities, familiar, self._coding.shares(view.evidence, rows))
            known.wrong, highest = dismissal.run_up(0.0, logs)
            surplus = highest - dismissal.limit(self._needed(known), int(familiar.sum()))
            if surplus > 0:
                against[name] = surplus
        worst = sorted(against, key=lambda name: (-against[name], name))[: (len(against) + 1) // 2]
        for name in worst:
            self._nodes[name].dismissed = True
        return bool(worst)

    def _serving(self, view: View) -> list[bytes]:
        """Return the nodes that were hired and not dismissed."""
        return [name for name in view.peers if self._nodes[name].round and not self._nodes[name].dismissed]

    def _values(
        self,
        view: View,
        expectation: Expectation,
        rows: NDArray[np.int64],
        nodes: NDArray[np.int64],
        *,
        before: evalues.Told,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], evalues.Told]:
        """Return (t, V) log e-values of the claims ``rows``: whole bets, half bets; and what is expected."""
        probabilities, familiar = self._look(view, expectation, rows)
        sight = evalues.sight_of(probabilities, familiar, usual=expectation.usual, null=self._kind)
        logs = evalues.log_factors(sight, self._coding.shares(view.evidence, rows), nodes, before=before)
        half = np.logaddexp(logs, 0.0) - math.log(2)
        count = len(view.names)
        told = evalues.told_of(sight, nodes, count)
        return evalues.by_node(logs, nodes, count), evalues.by_node(half, nodes, count), told

    def _has_outgrown(self, view: View, model: _Model) -> bool:
        return len(view.rows_of(self._serving(view))) + len(view.own) > GROWTH * model.packets

    def _passing(self) -> list[bytes]:
        """Return the nodes to hire now, best first; the latest model has to agree that they are more than luck."""
        candidates = [name for name, node in self._nodes.items() if not node.round and node.latest.min() > 0]
        values = np.array([self._nodes[name].wealth.min() for name in candidates])
        shares = np.array([self._nodes[name].share for name in candidates])
        chosen = passing(values, shares, hired=self._hired, alpha=self._alpha)
        return [candidates[place] for place in chosen.tolist()]

    def _hiring(self, view: View) -> Hiring:
        if self._null == "dependence" and not self._serving(view):
            by_agreement = agreement.hiring(view.evidence, asker=self._asker, alpha=self._alpha)
            mine = {name for name, node in self._nodes.items() if node.dismissed or self._is_refused(view, name)}
            return by_agreement.refusing(mine)
        verdicts = tuple(self._verdict(view, name, int(view.packets[node])) for node, name in enumerate(view.names))
        unknown = [verdict.node_id for verdict in verdicts if verdict.finding == "unknown"]
        if unknown and self._coding.cuts is None and self._help(view, verdicts, unknown):
            verdicts = tuple(replace(each, finding="tried") if each.finding == "unknown" else each for each in verdicts)
        unvetted = any(verdict.finding == "tried" for verdict in verdicts)
        return Hiring(rule=self._kind, anchored=True, alpha=self._alpha, unvetted=unvetted, verdicts=verdicts)

    def _help(self, view: View, verdicts: Sequence[Verdict], unknown: list[bytes]) -> bool:
        """Return whether the asker's own outcomes, left out, are not clearly worse foreseen with ``unknown``.

        They are all asked about together: then chance has one way only to make lies look harmless. Worse by more than
        ``DOUBT_DEVIATIONS`` standard errors is clear. Asked anew once there are a tenth more packets.
        """
        rows = view.rows_of(unknown)
        if len(rows) + len(view.own) > GROWTH * self._unproven[0]:
            used = [each.node_id for each in verdicts if each.finding in ("hired", "tried")]
            sums = Sums.of(view.evidence, view.own, self._coding, weight=OWN_WEIGHT)
            sums += Sums.of(view.evidence, view.rows_of(used), self._coding)
            more = sums + Sums.of(view.evidence, rows, self._coding)
            without, with_them = (
                fit(each, view.evidence, view.own, self._coding, weight=OWN_WEIGHT).losses for each in (sums, more)
            )
            worse = with_them - without
            clear = DOUBT_DEVIATIONS * worse.std(ddof=1) / math.sqrt(len(worse))
            self._unproven = len(rows) + len(view.own), bool(worse.mean() <= clear)
        return self._unproven[1]

    def _verdict(self, view: View, name: bytes, packets: int) -> Verdict:
        node = self._nodes.get(name)
        if node is None:
            return Verdict(
                node_id=name, finding="own", log_evidence=0.0, needed=0.0, familiar=0, packets=packets, round=0
            )
        finding: Finding = "unknown"
        if node.dismissed or self._is_refused(view, name):
            finding = "refused"
        elif node.round:
            finding = "hired"
        elif self._likeness(view, name) >= TRIED_FROM:
            finding = "tried"
        return Verdict(
            node_id=name,
            finding=finding,
            log_evidence=float(node.wealth.min()),
            needed=self._needed(node),
            familiar=node.familiar,
            packets=packets,
            round=node.round,
        )

    def _likeness(self, view: View, name: bytes) -> float:
        """Return how much likelier than luck an unproven node's claims are.

        Levels hide how far off numbers are, so the values themselves are read, anew once the node and the asker have a
        tenth more packets.
        """
        node = self._nodes[name]
        if self._coding.cuts is None:
            return float(node.latest.min())
        packets = int(view.packets[view.places[name]]) + len(view.own)
        if packets > GROWTH * node.numbers_of:
            rows = view.rows_told_by(name)
            rows = np.sort(rows[~view.are_in(self._repeats, rows)])
            numbers = self._numbers_of(view)
            node.numbers = -math.inf if numbers is None else numbers.log_ratio(view.evidence, rows, self._coding)
            node.numbers_of = packets
        return node.numbers

    def _numbers_of(self, view: View) -> Numbers | None:
        ids = view.evidence.packet_ids[view.own].tobytes()
        if self._numbers is None or self._numbers[0] != ids:
            self._numbers = ids, Numbers.of(view.evidence, view.own, self._coding)
        return self._numbers[1]

    def _needed(self, node: _Node) -> float:
        return -math.log(self._alpha * node.share * max(self._hired + (not node.round), 1))

    def _is_refused(self, view: View, name: bytes) -> bool:
        node = self._nodes[name]
        return not node.round and bool(node.doubted.min() <= -self._needed(node)) and self._misleads(view, name)

    def _misleads(self, view: View, name: bytes) -> bool:
        """Return whether a suspect misleads; asked anew once it and the asker have a tenth more packets."""
        node = self._nodes[name]
        packets = int(view.packets[view.places[name]]) + len(view.own)
        if packets > GROWTH * node.misleads_of:
            rows = np.sort(view.rows_told_by(name))
            node.misleads = misleads(view.evidence, view.own, rows, self._coding, weight=OWN_WEIGHT)
            node.misleads_of = packets
        return node.misleads


def rule_for(evidence: Evidence, own: NDArray[np.int64], *, actions: int) -> Null | None:
    """Return which null the asker's own outcomes allow, None for neither; no other packet is looked at.

    There must be enough outcomes, of two levels at least. Testing for truth needs calibrated expectations, so outcomes
    of all kinds: the exponential of the entropy of the asker's own outcomes has to be at least ``COVERAGE_MIN`` of the
    number of levels. Few outcomes show less entropy than there is, by (levels seen - 1) / (2 n) nats (Miller 1955).
    """
    if len(own) < OWN_OUTCOMES_MIN:
        return None
    coding = Coding.of(evidence, own, actions=actions)
    counts = coding.shares(evidence, own).sum(axis=0)
    present = counts[counts > 0] / counts.sum()
    if len(present) < 2:
        return None
    covered = math.exp(-float(present @ np.log(present)) + (len(present) - 1) / (2 * len(own)))
    return "truth" if covered >= COVERAGE_MIN * coding.levels else "dependence"


def _log_share(number: int) -> float:
    """Return the logarithm of the part of its wealth that a node bets on the ``number``-th model, from 1.

    The parts of all rounds sum to one, so that the mixture is an e-value however many there are.
    """
    return math.log(series_part(number - 1))
