"""Outcome routing under a profile, through real packets: encoded, sealed or noised, signed, judged, read.

Each profile has one configuration, fixed here before anything is scored. Only sockets are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.elections.calculate import weigh
from fingerpost.elections.hire import Elector
from fingerpost.errors import UsageError
from fingerpost.fingerprint import Fingerprinter, cell_of, sketch_values
from fingerpost.ids import node_id
from fingerpost.lab.exchange import SeededEntropy
from fingerpost.limits import PACKET_SIZE_BYTES
from fingerpost.node.admission import Refusal, judge, judge_contents
from fingerpost.node.emission import Observations, build_packets
from fingerpost.packet import Profile, RootCache, Signer, packet_ids, sign_bodies
from fingerpost.privacy.counts import count_records, counts_bodies, grid_of, noisy_counts
from fingerpost.privacy.seal import KEY_SIZE_BYTES, Seals, passing_ring
from fingerpost.synthesis import CountsEvidence, CountsSynthesizer, Evidence, Query, Synthesizer
from fingerpost.synthesis.calculators import ALONE, Questions
from fingerpost.synthesis.shipped_calculators import shipped_calculators

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fingerpost.lab.assess.setting import Probabilities, Rows, Setting
    from fingerpost.synthesis.calculators import Calculator, FittedCalculator, Pool
    from fingerpost.template import Template

DAY = 20_000  # any day: nothing here grows old


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """How outcomes are routed under one profile."""

    profile: Profile
    bits: int
    sketch: bool = False
    cell_bits: int = 0
    elections: bool = False

    def template(self, base: Template) -> Template:
        """Return the template of nodes that are configured so."""
        return replace(
            base,
            profile=self.profile,
            fingerprint_bits=self.bits,
            sketch=self.sketch,
            cell_bits=self.cell_bits,
            group_bits=0,
            codebook=b"",
        )


CONFIGURATIONS = {
    "consortium": Configuration(profile=Profile.CONSORTIUM, bits=256, sketch=True, elections=True),
    "dp-aggregate": Configuration(profile=Profile.DP_AGGREGATE, bits=256, cell_bits=5),
    "open": Configuration(profile=Profile.OPEN, bits=1_024),
}


class SeededNoise:
    """Discrete Laplace noise from a seed, so that a report can be repeated; a node draws from its system (OpenDP)."""

    def __init__(self, seed: int) -> None:
        self._chance = np.random.default_rng([seed, 40])

    def discrete_laplace(self, counts: NDArray[np.int64], *, scale: float) -> NDArray[np.int64]:
        """Return counts plus the difference of two geometric draws, which is discrete Laplace of this scale."""
        success = 1 - np.exp(-1 / scale)
        drawn = self._chance.geometric(success, (2, *counts.shape))
        return np.asarray(counts + drawn[0] - drawn[1], np.int64)


def signer_of(node: int, seed: int) -> Signer:
    """Return the key of a node."""
    return Signer(SeededEntropy(seed, f"key of node {node}").read(KEY_SIZE_BYTES))


def name_of(node: int, seed: int) -> bytes:
    """Return the id of a node."""
    return node_id(signer_of(node, seed).public_key)


def seals_of(setting: Setting, template: Template) -> Seals:
    """Return what the members of the consortium share."""
    secret = SeededEntropy(setting.seed, "consortium").read(KEY_SIZE_BYTES)
    return Seals(passing_ring(template.template_id, secret, day=DAY))


def packets_of(setting: Setting, profile: str = "consortium") -> NDArray[np.void]:
    """Return what all nodes emit of their training rows under a profile."""
    template = CONFIGURATIONS[profile].template(setting.template)
    told = observations_of(setting, template)
    fingerprinter = Fingerprinter(template)
    seals = seals_of(setting, template)
    parts = []
    for node in np.unique(setting.owners[setting.train]).tolist():
        if setting.heard is not None and profile == "dp-aggregate" and node not in setting.heard:
            continue
        part = told.part(np.flatnonzero(setting.owners[setting.train] == node))
        entropy = SeededEntropy(setting.seed, f"packets of node {node}")
        signer = signer_of(node, setting.seed)
        if template.profile is Profile.DP_AGGREGATE:
            noise = SeededNoise(setting.seed * 1_000 + node)
            parts.append(_release(template, fingerprinter, part, signer=signer, entropy=entropy, noise=noise))
            continue
        packets, _ = build_packets(template, fingerprinter, part, signer=signer, day=DAY, entropy=entropy, seals=seals)
        parts.append(packets)
    return np.concatenate(parts)


def observations_of(setting: Setting, template: Template) -> Observations:
    """Return the training rows as codes of the template."""
    train = setting.train
    actions = np.zeros(len(train), np.int64) if setting.actions is None else setting.actions[train]
    return Observations(
        encoded=setting.encoded[train],
        outcomes=(level_codes(setting, template)[setting.codes[train]] + 1).astype(np.uint16),
        actions=actions.astype(np.uint16),
        conditions=np.zeros((len(train), len(template.conditions)), np.uint16),
        confidences=np.full(len(train), 255, np.uint8),
    )


def level_codes(setting: Setting, template: Template) -> Rows:
    """Return for each of our outcomes its number in the template, from 0."""
    levels: tuple[str, ...] = getattr(template.outcome, "levels", ())
    if not levels:
        raise UsageError("lab-outcome", "the outcome of an assessment is a category")
    return np.array([levels.index(name) for name in setting.names], np.int64)


def _release(
    template: Template,
    fingerprinter: Fingerprinter,
    told: Observations,
    *,
    signer: Signer,
    entropy: SeededEntropy,
    noise: SeededNoise,
) -> NDArray[np.void]:
    cells = cell_of(fingerprinter.fingerprints(told.encoded), template)
    counts = count_records(
        grid_of(template), cells=cells, actions=told.actions, levels=told.outcomes.astype(np.int64) - 1
    )
    noisy = noisy_counts(counts, noise)
    return sign_bodies(counts_bodies(template, noisy, emitter=signer.public_key, day=DAY, entropy=entropy), signer)


def admitted(packets: NDArray[np.void], template: Template) -> tuple[NDArray[np.void], NDArray[np.uint8]]:
    """Return the packets that a holder would keep, and a ``Refusal`` (n,) for each that was offered."""
    known = {bytes(template.template_id): template}
    found = judge(packets, packet_ids(packets), templates=known, day=DAY, roots=RootCache())
    return packets[found == Refusal.WELCOME], found


def evidence_of(packets: NDArray[np.void], setting: Setting, profile: str = "consortium") -> Evidence:
    """Return what an asker can read of packets: those that a holder admits, opened, with contents that fit."""
    template = CONFIGURATIONS[profile].template(setting.template)
    kept, _ = admitted(packets, template)
    opened = seals_of(setting, template).open(kept)
    fits = judge_contents(opened.packets, template) == Refusal.WELCOME
    ids = packet_ids(kept)[opened.rows[fits]]
    return Evidence.from_packets(opened.packets[fits], template, packet_ids=ids)


class _Once:
    """A calculator that is fitted once to each pool: elections and forecasts then share the fit."""

    def __init__(self, calculator: Calculator) -> None:
        self._calculator = calculator
        self._last: tuple[Pool, FittedCalculator | None] | None = None

    @property
    def name(self) -> str:
        """The calculator's own name."""
        return self._calculator.name

    def fit(self, pool: Pool) -> FittedCalculator | None:
        """Fit, or return the last fit of the same pool."""
        if self._last is None or self._last[0] is not pool:
            self._last = pool, self._calculator.fit(pool)
        return self._last[1]

    @property
    def latest(self) -> FittedCalculator | None:
        """What was fitted last."""
        return None if self._last is None else self._last[1]


class Askers:
    """Nodes that ask from the same packets; what is fitted for one serves all that hire the same nodes."""

    def __init__(self, evidence: Evidence, setting: Setting, profile: str = "consortium") -> None:
        self.evidence = evidence
        self._setting = setting
        self._template = CONFIGURATIONS[profile].template(setting.template)
        self._codes = level_codes(setting, self._template)
        self._synthesizers: dict[bytes, Synthesizer] = {}

    def forecast(self, node: int, asked: Rows, *, elections: bool = True) -> Probabilities:
        """Return (q, L): what the shipped default says at this node about rows ``asked``."""
        me = name_of(node, self._setting.seed)
        rows = self._reached(node)
        if elections and rows.any():
            heard = self.evidence.subset(rows)
            rows[np.flatnonzero(rows)] = Elector(asker=me).read(heard).rows(heard)
        if not rows.any():
            return np.full((len(asked), self._setting.levels), 1 / self._setting.levels)
        return self._mixed(self.synthesizer(rows), me, asked)

    def _reached(self, node: int | None) -> NDArray[np.bool_]:
        """Return which packets reached a node: its own, and those of nodes that others could hear."""
        heard = self._setting.heard
        if heard is None:
            return np.ones(len(self.evidence), np.bool_)
        names = {name_of(each, self._setting.seed) for each in {*heard, *([] if node is None else [node])}}
        there = np.array([one.tobytes() in names for one in self.evidence.node_ids], np.bool_)
        return np.asarray(there[self.evidence.node_index], np.bool_)

    def synthesizer(self, rows: NDArray[np.bool_]) -> Synthesizer:
        """Return what answers from these packets, fitted once."""
        key = np.packbits(rows).tobytes()
        if key not in self._synthesizers:
            calculators = [_Once(calculator) for calculator in shipped_calculators()]
            self._synthesizers[key] = Synthesizer(
                self.evidence.subset(rows), self._template, day=DAY, calculators=calculators
            )
        return self._synthesizers[key]

    def pooled(self, asked: Rows) -> Probabilities:
        """Return (q, L): kernel ridge on all packets alike, the same wherever one asks."""
        synthesizer = self.synthesizer(self._reached(None))
        questions = self._questions(asked)
        said = synthesizer.uncertainty.fitted.predict(questions.fingerprints, questions.sketches)
        return self._ours(said)

    def queries(self, asked: Rows) -> list[Query]:
        """Return rows as questions of the public API."""
        fingerprinter = Fingerprinter(self._template)
        encoded = self._setting.encoded[asked]
        prints = fingerprinter.fingerprints(encoded)
        sketches = fingerprinter.sketches(encoded) if self._template.sketch else None
        return [
            Query(fingerprint=one.tobytes(), sketch=None if sketches is None else sketches[row].tobytes())
            for row, one in enumerate(prints)
        ]

    def _questions(self, asked: Rows) -> Questions:
        fingerprinter = Fingerprinter(self._template)
        encoded = self._setting.encoded[asked]
        sketches = sketch_values(fingerprinter.sketches(encoded)) if self._template.sketch else None
        return Questions(fingerprints=fingerprinter.fingerprints(encoded), sketches=sketches)

    def _mixed(self, synthesizer: Synthesizer, me: bytes, asked: Rows) -> Probabilities:
        """Mix as ``Synthesizer.ask_many`` does, for many questions at once (a test compares them)."""
        panel = synthesizer.panel(me)
        standings = dict(weigh(None, panel, asker=me).standings)
        evidence = synthesizer.evidence
        if not panel.alone_speaks:
            standings.pop(ALONE, None)
        questions = self._questions(asked)
        mixed, total = np.zeros((len(asked), evidence.levels)), np.zeros((len(asked), 1))
        for calculator in synthesizer.calculators:
            fitted = calculator.latest if isinstance(calculator, _Once) else None
            if fitted is None or calculator.name not in standings:
                continue
            found = fitted.forecast(questions)
            weight = standings[calculator.name] * found.awake[:, None]
            mixed += weight * found.values
            total += weight
        return self._ours(mixed / total)

    def _ours(self, said: Probabilities) -> Probabilities:
        ours = said[:, self._codes]
        return np.asarray(ours / ours.sum(axis=1, keepdims=True), np.float64)


def by_node(setting: Setting, say: Any) -> Probabilities:
    """Return (q, L) of ``say(node, asked)`` for each node that asks."""
    said = np.zeros((len(setting.asked), setting.levels))
    for node in np.unique(setting.asked_at):
        here = setting.asked_at == node
        said[here] = say(int(node), setting.asked[here])
    return said


def routed(setting: Setting, profile: str) -> tuple[Probabilities, int]:
    """Return what a profile's configuration says about the asked rows, and the bytes that every node's copy takes."""
    configuration = CONFIGURATIONS[profile]
    packets = packets_of(setting, profile)
    moved = packets.nbytes * (setting.nodes - 1)
    if packets.dtype.itemsize != PACKET_SIZE_BYTES:
        raise AssertionError("a packet has its size")
    if configuration.profile is Profile.DP_AGGREGATE:
        return counted(packets, setting), moved
    askers = Askers(evidence_of(packets, setting, profile), setting, profile)
    if configuration.elections:
        return by_node(setting, askers.forecast), moved
    return askers.pooled(setting.asked), moved


def counted(packets: NDArray[np.void], setting: Setting) -> Probabilities:
    """Return what noisy counts say about the asked rows; nobody elects among counts here: they are unvetted."""
    template = CONFIGURATIONS["dp-aggregate"].template(setting.template)
    kept, _ = admitted(packets, template)
    synthesizer = CountsSynthesizer(CountsEvidence.from_packets(kept, template), template, day=DAY)
    prints = Fingerprinter(template).fingerprints(setting.encoded[setting.asked])
    answers = synthesizer.ask_many([Query(fingerprint=one.tobytes(), sketch=None) for one in prints])
    said = np.array([_probabilities(answer.levels, len(level_codes(setting, template))) for answer in answers])
    ours = said[:, level_codes(setting, template)]
    return np.asarray(ours / ours.sum(axis=1, keepdims=True), np.float64)


def _probabilities(levels: Sequence[Any], width: int) -> list[float]:
    return [level.probability for level in levels] or [1 / width] * width
