"""The first election for tables of counts with noise: whose counts an asker uses.

The asker's own table, noise and all, expects shares q of outcomes in every cell (``synthesis.counts`` shrinks them by
what noise leaves). With a node's counts c in cell k at level l, two models of the same form are compared:

    c = t + z,   t a Poisson count whose mean is drawn from a gamma distribution of shape A p and scale theta,

z being the noise of the release, whose distribution is known exactly. Independent gammas of one scale make a volume
and, independent of it, Dirichlet shares of concentration A around p: cells may differ in volume, and their shares
spread, as those of honest nodes do. The likelihood of c is the convolution of both.

* The *alternative* has p = q(cell), or half way from there to the asker's shares over all cells, and theta, mixed
  evenly over ``SCALES``. It was fixed before c was read.
* The *null*, "the node's outcomes do not depend on the cell", has the same p in all cells, whatever it is, and any
  theta.

The likelihood of the alternative over the largest that the null can reach is an e-value (universal inference:
Wasserman, Ramdas and Balakrishnan 2020): the largest is at least that of the true null, whose expectation of the ratio
is 1. The largest is looked for on a grid of shapes, level by level, shares that do not sum to one being priced: this
bounds it.

Nodes are hired as in ``hire``: the better half, whose tables join the asker's, and so on. A count beyond what the grid
of counts reaches is read as "that or more" by both models.

A node that is not hired is *refused* when luck (the asker's shares over all cells) makes its counts as much likelier
than what the asker expects as they would have to be the other way round, and likelier than half of it; else it is
*tried* when they are three times likelier than by luck, whether somebody is hired or not: noise hides most of what few
counts say, and a table that nothing speaks against may still be a liar's. An asker whose own table is too small to
answer from has nothing to measure by. It vets nobody, uses everybody and says so; its own table decides that alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.elections.hiring import ALPHA, Hiring, Verdict
from fingerpost.elections.threshold import passing, series_part
from fingerpost.limits import DP_RELEASE_EPSILON
from fingerpost.synthesis import CountsEvidence, CountsSynthesizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fingerpost.elections.hiring import Finding
    from fingerpost.synthesis import NoisyEvidence
    from fingerpost.template import Template

CONCENTRATION = 8.0  # A: how closely the shares of a cell keep to what is expected there
SHAPES = CONCENTRATION * np.geomspace(0.004, 1.0, 48)
SCALES = np.geomspace(0.03, 120.0, 10)
COUNT_MAX = 2_000
PRICE_MAX, PRICE_STEPS = 1e4, 40
TAIL = 1e-9  # of the noise, beyond which counts below zero are read as one
ROUNDS_MAX = 6
TRIED_FROM = math.log(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Likelihood:
    """Log likelihoods (scales, shapes, counts) of counts from ``least`` to ``least`` + the number of them - 1."""

    logs: NDArray[np.float64]
    least: int

    @classmethod
    def of(cls, *, noises: int, largest: int) -> _Likelihood:
        """Tabulate for counts that had noise added ``noises`` times."""
        kernel = _noise(noises)
        reach = len(kernel) // 2
        most = min(max(largest, 1), COUNT_MAX)
        true = np.arange(most + reach + 1, dtype=np.float64)
        shape, scale = SHAPES[None, :, None], SCALES[:, None, None]
        drawn = _log_gamma(true + shape) - _log_gamma(shape) - _log_gamma(true + 1)
        logs = drawn + true * np.log(scale / (1 + scale)) - shape * np.log1p(scale)
        exact = np.exp(logs)
        places = np.arange(-reach, most + 1)
        away = places[None, :] - true[:, None].astype(np.int64) + reach
        moved = np.where((away >= 0) & (away < len(kernel)), kernel[np.clip(away, 0, len(kernel) - 1)], 0.0)
        mass = exact @ moved
        mass[..., -1] = np.maximum(1 - mass[..., :-1].sum(axis=-1), 0)  # the largest count or more
        return cls(logs=np.log(np.maximum(mass, 1e-300)), least=-reach)

    def places(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where counts stand in the table."""
        return np.clip(counts - self.least, 0, self.logs.shape[2] - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What one node counted in all (cells, levels), and how often noise was added to each count."""

    counts: NDArray[np.int64]
    noises: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CountsWeights:
    """What a node's table says for and against it, cell by cell: ``logs`` (cells,), above zero for it.

    ``counts`` (cells, levels) is what it counted, ``expected`` which shares the asker and those hired, the node left
    out, make expected, ``usual`` (levels,) their shares over all cells.
    """

    logs: NDArray[np.float64]
    counts: NDArray[np.int64]
    expected: NDArray[np.float64]
    usual: NDArray[np.float64]


class CountsElector:
    """Decides whose counts ``asker`` uses; what was found last is remembered until packets come or go."""

    def __init__(self, *, asker: bytes, template: Template, alpha: float = ALPHA) -> None:
        self._asker = asker
        self._template = template
        self._alpha = alpha
        self._last: tuple[bytes, int, Hiring] | None = None

    def read(self, evidence: NoisyEvidence, *, day: int) -> Hiring:
        """Return whose packets to use. Reports, and counts where the asker has none of its own, are not vetted.

        The false discovery rate is at most alpha for one look at the nodes known now, under the null above.
        """
        packets = evidence.packet_ids.tobytes()
        if self._last is None or self._last[:2] != (packets, day):
            self._last = packets, day, self._hiring(evidence, day)
        return self._last[2]

    def weights(self, evidence: NoisyEvidence, node: bytes, *, day: int) -> CountsWeights | None:
        """Return what the counts of one node say for and against it; None where they can't be compared."""
        hiring = self.read(evidence, day=day)
        if not hiring.anchored or not isinstance(evidence, CountsEvidence) or node == self._asker:
            return None
        names = [one.tobytes() for one in evidence.node_ids]
        others = {verdict.node_id for verdict in hiring.verdicts if verdict.finding in ("own", "hired")} - {node}
        if node not in names:
            return None
        used = np.isin(evidence.node_index, [names.index(name) for name in others])
        shares, luck = _shares(evidence, used, self._template, me=names.index(self._asker), day=day)
        told = _told(evidence, names.index(node), self._template)
        tables = _tables([told])
        by_situation, by_luck = (_by_cell(told, tables, each) for each in (shares, luck))
        scale = int(np.logaddexp(by_situation.sum(axis=1), by_luck.sum(axis=1)).argmax())
        logs = by_situation[scale] - by_luck[scale]
        return CountsWeights(logs=logs, counts=told.counts, expected=shares, usual=luck[0])

    def _hiring(self, evidence: NoisyEvidence, day: int) -> Hiring:
        names = [one.tobytes() for one in evidence.node_ids]
        packets = np.bincount(evidence.node_index, minlength=len(names)).tolist()
        if not isinstance(evidence, CountsEvidence) or not self._can_measure(evidence, names, day):
            verdicts = tuple(
                _verdict(name, "own" if name == self._asker else "unknown", packets=count)
                for name, count in zip(names, packets, strict=True)
            )
            unvetted = any(verdict.finding == "unknown" for verdict in verdicts)
            return Hiring(rule="counts", anchored=False, alpha=self._alpha, unvetted=unvetted, verdicts=verdicts)
        me = names.index(self._asker)
        found = _elect(evidence, self._template, me=me, day=day, alpha=self._alpha)
        needed = -math.log(self._alpha / (len(names) - 1)) - math.log(max(len(found.rounds), 1))
        verdicts = tuple(
            _verdict(
                name,
                "own" if node == me else found.finding(node, needed=needed),
                packets=packets[node],
                log_evidence=0.0 if node == me else float(found.wealth[node]),
                needed=needed,
                round_=found.rounds.get(node, 0),
            )
            for node, name in enumerate(names)
        )
        unvetted = any(verdict.finding == "tried" for verdict in verdicts)
        return Hiring(rule="counts", anchored=True, alpha=self._alpha, unvetted=unvetted, verdicts=verdicts)

    def _can_measure(self, evidence: CountsEvidence, names: list[bytes], day: int) -> bool:
        """Return whether there are others, and the asker's own table could be answered from; only that one is read."""
        if self._asker not in names or len(names) == 1:
            return False
        own = evidence.subset(evidence.node_index == names.index(self._asker))
        return not CountsSynthesizer(own, self._template, day=day).has_too_few


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What an election found: log e-values ``wealth`` (V,) mixed over rounds, and the ``rounds`` of those hired.

    ``latest`` (V,) is how much likelier than by luck the counts are by the latest table, a logarithm; ``doubted`` the
    same of all that it expects, where half of it is less likely than luck.
    """

    wealth: NDArray[np.float64]
    latest: NDArray[np.float64]
    doubted: NDArray[np.float64]
    rounds: dict[int, int]

    def finding(self, node: int, *, needed: float) -> Finding:
        """Return what was found about a node."""
        if node in self.rounds:
            return "hired"
        if self.doubted[node] <= -needed:
            return "refused"
        return "tried" if self.latest[node] >= TRIED_FROM else "unknown"


def _elect(evidence: CountsEvidence, template: Template, *, me: int, day: int, alpha: float) -> _Found:
    count = len(evidence.node_ids)
    told = [_told(evidence, node, template) for node in range(count)]
    tables = _tables(told)
    most = np.array([_null(each, tables) for each in told])
    others = np.array([node for node in range(count) if node != me])
    wealth, latest, rounds = np.full(count, -np.inf), np.zeros(count), dict[int, int]()
    values, doubted = np.zeros(count), np.zeros(count)
    for number in range(1, ROUNDS_MAX + 1):
        used = np.isin(evidence.node_index, [me, *rounds])
        shares, luck = _shares(evidence, used, template, me=me, day=day)
        left = np.array([node for node in others.tolist() if node not in rounds], np.int64)
        for node in left.tolist():
            by_luck = _expected(told[node], tables, luck)
            whole, half = (_expected(told[node], tables, each) for each in (shares, (shares + luck) / 2))
            expected = float(np.logaddexp(whole, half)) - math.log(2)
            latest[node], doubted[node] = expected - by_luck, (whole - by_luck if half < by_luck else 0.0)
            values[node] = expected - most[node]
            wealth[node] = np.logaddexp(wealth[node], math.log(series_part(number - 1)) + values[node])
        ready = left[values[left] > 0]
        budget = np.full(len(ready), 1 / len(others))
        chosen = ready[passing(wealth[ready], budget, hired=len(rounds), alpha=alpha)]
        if not len(chosen):
            break
        rounds |= dict.fromkeys(chosen.tolist(), number)
    return _Found(wealth=wealth, latest=latest, doubted=doubted, rounds=rounds)


def _tables(told: Sequence[_Told]) -> dict[int, _Likelihood]:
    """Return the likelihoods that these counts need, by how often noise was added."""
    kinds = {int(noises) for each in told for noises in np.unique(each.noises) if noises}
    largest = max(int(each.counts.max(initial=0)) for each in told)
    return {noises: _Likelihood.of(noises=noises, largest=largest) for noises in kinds}


def _shares(
    evidence: CountsEvidence, used: NDArray[np.bool_], template: Template, *, me: int, day: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the shares (cells, levels) that the packets ``used`` make expected in each cell, and over all of them."""
    shares = CountsSynthesizer(evidence.subset(used), template, day=day).shares_by_cell()
    usual = np.average(shares, axis=0, weights=_volumes(_told(evidence, me, template)))
    return shares, np.repeat(usual[None], len(shares), axis=0)


def _told(evidence: CountsEvidence, node: int, template: Template) -> _Told:
    rows = evidence.node_index == node
    counts = np.zeros((1 << template.cell_bits, evidence.counts.shape[1]), np.int64)
    noises = np.zeros_like(counts)
    np.add.at(counts, evidence.cells[rows], evidence.counts[rows])
    np.add.at(noises, evidence.cells[rows], evidence.noises[rows][:, None] * evidence.counted[rows])
    return _Told(counts=counts, noises=noises)


def _volumes(told: _Told) -> NDArray[np.float64]:
    """Return about how many records there are in each cell, at least one."""
    volumes: NDArray[np.float64] = np.maximum(told.counts.sum(axis=1), 1).astype(np.float64)
    return volumes


def _expected(told: _Told, tables: dict[int, _Likelihood], shares: NDArray[np.float64]) -> float:
    logs = _by_cell(told, tables, shares).sum(axis=1)
    return float(np.logaddexp.reduce(logs)) - math.log(len(SCALES))


def _by_cell(told: _Told, tables: dict[int, _Likelihood], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log likelihoods (scales, cells) of what was counted in each cell, these shares being expected."""
    shapes = np.abs(np.log(SHAPES) - np.log(CONCENTRATION * shares)[..., None]).argmin(axis=-1)
    logs = np.zeros((len(SCALES), *told.counts.shape))
    for noises, table in tables.items():
        here = told.noises == noises
        logs[:, here] = table.logs[:, shapes[here], table.places(told.counts[here])]
    by_cell: NDArray[np.float64] = logs.sum(axis=2)
    return by_cell


def _null(told: _Told, tables: dict[int, _Likelihood]) -> float:
    """Return a bound on the log likelihood that the null reaches, close to it: the dual of shares that sum to one."""
    logs = np.zeros((len(SCALES), told.counts.shape[1], len(SHAPES)))
    for level in range(told.counts.shape[1]):
        for noises, table in tables.items():
            here = told.noises[:, level] == noises
            logs[:, level] += table.logs[:, :, table.places(told.counts[here, level])].sum(axis=2)
    low, high = (np.full((len(SCALES), 1, 1), end) for end in (-PRICE_MAX, PRICE_MAX))
    best = np.full(len(SCALES), np.inf)
    for _ in range(PRICE_STEPS):  # Any price of a shape gives a bound; the dual is convex in it.
        price = (low + high) / 2
        paid = logs - price * SHAPES
        best = np.minimum(best, paid.max(axis=2).sum(axis=1) + price[:, 0, 0] * CONCENTRATION)
        taken = SHAPES[paid.argmax(axis=2)].sum(axis=1)[:, None, None]
        low, high = np.where(taken > CONCENTRATION, price, low), np.where(taken > CONCENTRATION, high, price)
    return float(best.max())


def _noise(times: int) -> NDArray[np.float64]:
    """Return the probabilities of a sum of ``times`` draws of the noise of a release, symmetric about the middle."""
    ratio = math.exp(-DP_RELEASE_EPSILON)
    reach = math.ceil(math.log(1 / TAIL) / DP_RELEASE_EPSILON)
    one = (1 - ratio) / (1 + ratio) * ratio ** np.abs(np.arange(-reach, reach + 1))
    kernel = one
    for _ in range(times - 1):
        kernel = np.convolve(kernel, one)
        kept = np.flatnonzero(kernel > TAIL * 1e-3)
        kernel = kernel[kept[0] : kept[-1] + 1]
    noise: NDArray[np.float64] = kernel / kernel.sum()
    return noise


def _log_gamma(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the logarithm of the gamma function of positive numbers: Stirling's series, ten steps up."""
    steps = np.zeros_like(values)
    for step in range(10):
        steps += np.log(values + step)
    high = values + 10
    series = 1 / (12 * high) - 1 / (360 * high**3) + 1 / (1260 * high**5)
    found: NDArray[np.float64] = (high - 0.5) * np.log(high) - high + 0.5 * math.log(2 * math.pi) + series - steps
    return found


def _verdict(
    name: bytes, finding: Finding, *, packets: int, log_evidence: float = 0.0, needed: float = 0.0, round_: int = 0
) -> Verdict:
    return Verdict(
        node_id=name,
        finding=finding,
        log_evidence=log_evidence,
        needed=needed,
        familiar=packets if finding != "own" else 0,
        packets=packets,
        round=round_,
    )
