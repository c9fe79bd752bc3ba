"""The demo: each of four hospitals in turn is a newcomer that learns from the outcomes of the other three.

Each hospital is a node in a process of its own, or for tests in this one; no hospital reads another one's rows. The
central models of the comparison do, which is their point.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np

from fingerpost.lab import central
from fingerpost.lab.arms import (
    BYTES_PER_SHARE,
    Arm,
    Draw,
    Outcomes,
    Probabilities,
    Result,
    Rows,
    best_by_area,
    draws,
    measure,
    others_share,
    own_share,
)
from fingerpost.lab.crash import (
    CARRIER_DEFAULT,
    MEMORY,
    Crash,
    NetworkPart,
    Return,
    count_copies,
    largest_difference,
)
from fingerpost.lab.demo_profiles import ProfileResult, profile_result, profile_verdict
from fingerpost.lab.demo_report import OWN_ROWS, DemoReport, Question
from fingerpost.lab.exchange import Emission, Exchange
from fingerpost.lab.flipped import STEPS as FLIPPED_STEPS
from fingerpost.lab.flipped import Flipped, lied, measure_flipped
from fingerpost.lab.heart import (
    DISEASED,
    HOSPITALS,
    Patient,
    columns_of,
    load_heart_template,
    load_patients,
    row_bytes,
)
from fingerpost.lab.hospital_process import Ended, HospitalProcesses, Joined
from fingerpost.lab.verdicts import Newcomer, mean_area, prior_warning, verdicts
from fingerpost.node.emission import is_release
from fingerpost.node.noise import OpenDpNoise
from fingerpost.packet import Profile
from fingerpost.ports import day_of
from fingerpost.system import SystemClock
from fingerpost.template import SCALE, Template, encode_table

PROFILE_DEFAULT = Profile.CONSORTIUM
REPETITIONS = 4
REPETITIONS_QUICK = 1
FIRST_TO_ASK = "Long Beach"
KILLED = "Cleveland"
STEPS_A_NEWCOMER = 4
NOTE_NO_SKLEARN = (
    "scikit-learn is not installed, so the logistic regressions and the SVM were left out;"
    ' pip install "fingerpost[lab]" brings it'
)
NOTE_QUICK = f"quick: the central models were left out, and {OWN_ROWS} own patients were drawn once"


class Demo:
    """The demo in its acts, in this order; a context manager that ends whatever it started.

    ``join``, ``emit``, ``ask_once``, ``crash``, ``emit_last``, ``come_back``, ``compare``, ``flip``, ``end``,
    ``compare_profiles``, ``report``. With the carrier ``memory`` all nodes are in this process, and nobody can crash.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        quick: bool = False,
        carrier: str = CARRIER_DEFAULT,
        profile: Profile = PROFILE_DEFAULT,
    ) -> None:
        self.seed = seed
        self.carrier = carrier
        self.repetitions = REPETITIONS_QUICK if quick else REPETITIONS
        self.template = load_heart_template(profile)
        self.patients = load_patients()
        self.features = features_of(self.template, self.patients)
        self.profile = profile
        if profile is Profile.DP_AGGREGATE:
            OpenDpNoise()  # Raises now what a node would raise a minute later.
        self.processes = None if carrier == MEMORY else HospitalProcesses(self.template, carrier=carrier, seed=seed)
        self._lying_processes: HospitalProcesses | None = None
        self._lying: Exchange | None = None
        self.notes = [NOTE_QUICK] if quick else [] if central.sklearn_is_installed() else [NOTE_NO_SKLEARN]
        self.has_central = not self.notes
        self._exchange: Exchange | None = None
        self._absent: tuple[str, ...] = ()
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def exchange(self) -> Exchange:
        """What the hospitals do as nodes, once they have joined."""
        if self._exchange is None:
            raise AssertionError("the hospitals have not joined yet")
        return self._exchange

    def join(self, advance: Callable[[int], None]) -> tuple[Joined, ...]:
        """Start every hospital's node and wait until all have found each other; none has a process in memory.

        ``advance`` is told of ``join_steps()`` steps. Raises as ``HospitalProcesses`` does.
        """
        if self.processes is None:
            self._exchange = Exchange.in_memory(self.template, self.patients, seed=self.seed)
            advance(self.join_steps())
            return ()
        self.processes.start()
        joined = self.processes.join(advance)
        self._exchange = self._exchange_of(self.processes, self.patients)
        return joined

    @staticmethod
    def join_steps() -> int:
        """Return how many steps ``join`` takes."""
        return HospitalProcesses.join_steps()

    def emit(self) -> tuple[Emission, ...]:
        """Let every hospital but the first one to ask turn its patients into packets."""
        return tuple(self.exchange.emit(hospital) for hospital in HOSPITALS if hospital != FIRST_TO_ASK)

    def ask_once(self) -> Question:
        """Let the first newcomer ask about its first patient."""
        rows = rows_of(self.patients, FIRST_TO_ASK)
        patient = self.patients[rows[0]]
        return Question(
            newcomer=FIRST_TO_ASK,
            patient=1,
            situation=patient.situation,
            answer=self.exchange.ask(FIRST_TO_ASK, patient.situation),
            happened=patient.outcome,
        )

    def crash(self, question: Question, emissions: Sequence[Emission]) -> Crash | None:
        """Kill a hospital that has emitted, ask the same again at once, and count what the others still have."""
        if self.processes is None:
            return None
        killed = self.processes.nodes[KILLED]
        process = killed.process
        killed.kill()
        self._absent = (KILLED,)
        begun = time.monotonic()
        answer = self.exchange.ask(question.newcomer, question.situation)
        seconds = time.monotonic() - begun
        running = {name: node for name, node in self.processes.nodes.items() if name not in self._absent}
        safe = {emission.hospital for emission in emissions if emission.acknowledged}
        ids = self.exchange.packet_ids(safe)
        return Crash(
            hospital=KILLED,
            process=process,
            answer=answer,
            seconds=seconds,
            same_evidence=answer.evidence_digest == question.answer.evidence_digest,
            difference=largest_difference(answer, question.answer),
            acknowledged=len(ids),
            copies=count_copies(running, ids),
        )

    def emit_last(self) -> Emission:
        """Let the hospital that has asked emit too, whoever is away."""
        return self.exchange.emit(FIRST_TO_ASK, absent=self._absent)

    def come_back(self, emission: Emission) -> Return | None:
        """Start the hospital that was killed again, and wait until it has what it missed, an ``emission``, too."""
        if self.processes is None:
            return None
        packets = self.exchange.packet_ids(HOSPITALS)
        ready_seconds, held_after = self.processes.start_again(KILLED, holds=packets)
        self.exchange.catch_up(KILLED, emission.hospital)
        self._absent = ()
        return Return(
            hospital=KILLED,
            process=self.processes.nodes[KILLED].process,
            ready_seconds=ready_seconds,
            held_after=held_after,
            missed=emission.packets,
            packets=len(packets),
        )

    def compare(self, advance: Callable[[int], None]) -> tuple[Newcomer, ...]:
        """Measure every method at every newcomer, once all have emitted; ``advance`` is told of ``steps()`` steps."""
        return tuple(self._newcomer(hospital, advance) for hospital in HOSPITALS)

    def steps(self) -> int:
        """Return how many steps ``compare`` takes."""
        return STEPS_A_NEWCOMER * len(HOSPITALS)

    @property
    def tells_records(self) -> bool:
        """Whether packets tell of one patient each: others give elections nothing to compare."""
        return not is_release(self.template)

    def flip(self, newcomers: Sequence[Newcomer], advance: Callable[[int], None]) -> Flipped | None:
        """Let all hospitals start over, one of them lying, and the first to ask ask again.

        None unless ``tells_records``. The nodes of the demo end before. ``advance`` is told of ``flip_steps()`` steps;
        raises as ``join``.
        """
        if not self.tells_records:
            return None
        told = lied(self.patients)
        if self.processes is None:
            self._lying = Exchange.in_memory(self.template, told, seed=self.seed)
            advance(self.join_steps())
        else:
            self.processes.close()
            self._lying_processes = HospitalProcesses(self.template, carrier=self.carrier, seed=self.seed)
            self._lying_processes.start()
            self._lying_processes.join(advance)
            self._lying = self._exchange_of(self._lying_processes, told)
        newcomer = next(one for one in newcomers if one.name == FIRST_TO_ASK)
        mine = rows_of(self.patients, FIRST_TO_ASK)
        outcomes = np.array([patient.outcome == DISEASED for patient in self.patients])
        drawn = draws(mine, outcomes, own_rows=OWN_ROWS, repetitions=self.repetitions, seed=self.seed)
        return measure_flipped(self._lying, newcomer, drawn, advance)

    @classmethod
    def flip_steps(cls) -> int:
        """Return how many steps ``flip`` takes."""
        return cls.join_steps() + FLIPPED_STEPS

    def end(self) -> Ended | None:
        """End all nodes; say whether a process is left, where there were any. Calling it twice is harmless."""
        if self.processes is not None:
            ended = self.processes.close()
            if self._lying_processes is not None:
                ended = ended.and_then(self._lying_processes.close())
            return ended
        for exchange in (self._exchange, self._lying):
            if exchange is not None:
                exchange.close()
        self._exchange = self._lying = None
        return None

    def compare_profiles(
        self, newcomers: Sequence[Newcomer], emissions: Sequence[Emission], advance: Callable[[int], None]
    ) -> tuple[ProfileResult, ...]:
        """Measure what newcomers without own outcomes reach under each profile; ``advance`` is told of one step each.

        The profile of this demo is measured in its nodes, the others on the same patients in this process.
        """
        results = []
        for profile in Profile:
            if profile is self.profile:
                results.append(self._own_profile(newcomers, emissions))
            else:
                results.append(profile_result(self.patients, profile, seed=self.seed, draws=self.repetitions))
            advance(1)
        return tuple(results)

    def report(
        self,
        network: NetworkPart,
        emissions: Sequence[Emission],
        question: Question,
        newcomers: Sequence[Newcomer],
        flipped: Flipped | None,
        profiles: Sequence[ProfileResult],
    ) -> DemoReport:
        """Put everything together, and say what it shows."""
        sentences = verdicts(
            newcomers,
            own_rows=OWN_ROWS,
            packet_bytes_a_row=sum(emission.bytes for emission in emissions) / len(self.patients),
            table_bytes_a_row=sum(map(row_bytes, self.patients)) / len(self.patients),
        )
        if flipped is not None:
            sentences.append(f"When {flipped.liar} lies: {flipped.verdict()[0].lower()}{flipped.verdict()[1:]}")
        if profiles:
            sentences.append(profile_verdict(profiles, self.profile, mean_area(newcomers, Arm.CENTRAL_LOGISTIC, 0)))
        return DemoReport(
            seed=self.seed,
            repetitions=self.repetitions,
            template=self.template,
            network=network,
            emissions=tuple(emissions),
            question=question,
            newcomers=tuple(newcomers),
            flipped=flipped,
            profiles=tuple(profiles),
            verdicts=tuple(sentences),
            notes=tuple(self.notes),
            seconds=time.monotonic() - self._started,
        )

    def _exchange_of(self, processes: HospitalProcesses, patients: Sequence[Patient]) -> Exchange:
        day = day_of(SystemClock().now())
        return Exchange(self.template, patients, nodes=processes.nodes, day=day, keys=processes.keys)

    def _own_profile(self, newcomers: Sequence[Newcomer], emissions: Sequence[Emission]) -> ProfileResult:
        scores = {newcomer.name: newcomer.scores(Arm.PACKETS, 0) for newcomer in newcomers}
        return ProfileResult(
            profile=self.profile,
            scores={name: found for name, found in scores.items() if found is not None},
            packets=sum(emission.packets for emission in emissions),
            bytes=sum(emission.bytes for emission in emissions),
            draws=1,
            is_measured_in_nodes=True,
        )

    def _newcomer(self, hospital: str, advance: Callable[[int], None]) -> Newcomer:
        bench = Bench(self, hospital)
        results: list[Result] = []
        for own_rows in (0, OWN_ROWS):
            drawn = draws(bench.mine, bench.outcomes, own_rows=own_rows, repetitions=self.repetitions, seed=self.seed)
            results += bench.packet_arms(drawn)
            advance(1)
            results += bench.share_arms(drawn)
            results += bench.central_arms(drawn) if self.has_central else []
            advance(1)
        share = float(bench.outcomes[bench.mine].mean())
        others = float(bench.outcomes[bench.others].mean())
        return Newcomer(
            name=hospital,
            patients=len(bench.mine),
            share=share,
            others_share=others,
            warning=prior_warning(hospital, share, others),
            results=tuple(results),
        )


class Bench:
    """Every method at one newcomer, on the same draws."""

    def __init__(self, demo: Demo, hospital: str) -> None:
        self.demo = demo
        self.hospital = hospital
        self.mine = rows_of(demo.patients, hospital)
        self.others = np.setdiff1d(np.arange(len(demo.patients)), self.mine)
        self.outcomes: Outcomes = np.array([patient.outcome == DISEASED for patient in demo.patients])
        self.moved_bytes = sum(row_bytes(demo.patients[row]) for row in self.others)
        self._tuned: dict[Arm, central.Tuned] = {}

    def packet_arms(self, drawn: list[Draw]) -> list[Result]:
        """Ask with the packets of all others, of each single one, and of nobody else.

        Where packets tell of many patients, or with noise, a newcomer's own 25 cannot be told from its others.
        """
        if len(drawn[0].own) and not self.demo.tells_records:
            return []
        others = [name for name in HOSPITALS if name != self.hospital]
        results = [self._packets(Arm.PACKETS, others, drawn)]
        results.append(best_by_area(self._packets(Arm.BEST_SINGLE, [name], drawn) for name in others))
        if len(drawn[0].own):
            results.append(self._packets(Arm.OWN_PACKETS, [], drawn))
        return results

    def share_arms(self, drawn: list[Draw]) -> list[Result]:
        """Forecast the same for everyone."""
        others = measure(
            Arm.OTHERS_MAJORITY,
            lambda draw: others_share(draw, self.outcomes, self.others),
            drawn,
            self.outcomes,
            moved_bytes=BYTES_PER_SHARE * (len(HOSPITALS) - 1),
        )
        if not len(drawn[0].own):
            return [others]
        own = measure(
            Arm.OWN_MAJORITY, lambda draw: own_share(draw, self.outcomes), drawn, self.outcomes, moved_bytes=0
        )
        return [others, own]

    def central_arms(self, drawn: list[Draw]) -> list[Result]:
        """Train on all rows in one place, and on the own rows alone."""
        results = [self._central(arm, drawn) for arm in (Arm.CENTRAL_LOGISTIC, Arm.CENTRAL_SVM)]
        if len(drawn[0].own):
            results.append(measure(Arm.OWN_LOGISTIC, self._own_logistic, drawn, self.outcomes, moved_bytes=0))
        return results

    def _packets(self, arm: Arm, sources: list[str], drawn: list[Draw]) -> Result:
        exchange = self.demo.exchange
        return measure(
            arm,
            lambda draw: exchange.forecast(self.hospital, sources, own=draw.own, asked=draw.asked),
            drawn,
            self.outcomes,
            moved_bytes=exchange.bytes_received(self.hospital, sources),
        )

    def _central(self, arm: Arm, drawn: list[Draw]) -> Result:
        """Train on the rows of the others and the own ones; settings are tuned once, on the rows of the others."""
        features = self.demo.features
        if arm not in self._tuned:
            tune = central.tune_logistic if arm is Arm.CENTRAL_LOGISTIC else central.tune_svm
            self._tuned[arm] = tune(features[self.others], self.outcomes[self.others], seed=self.demo.seed)
        train = self._tuned[arm].train

        def forecast(draw: Draw) -> Probabilities:
            rows = np.concatenate([self.others, draw.own])
            return train(features[rows], self.outcomes[rows])(features[draw.asked])

        return measure(arm, forecast, drawn, self.outcomes, moved_bytes=self.moved_bytes)

    def _own_logistic(self, draw: Draw) -> Probabilities:
        features = self.demo.features
        tuned = central.tune_logistic(features[draw.own], self.outcomes[draw.own], seed=self.demo.seed)
        return tuned.train(features[draw.own], self.outcomes[draw.own])(features[draw.asked])


def rows_of(patients: Sequence[Patient], hospital: str) -> Rows:
    """Return the rows of a hospital's patients."""
    return np.flatnonzero([patient.hospital == hospital for patient in patients])


def features_of(template: Template, patients: Sequence[Patient]) -> central.Features:
    """Return what the central models see: the same coordinates that fingerprints are made of, before any is lost."""
    encoded, problems = encode_table(template, columns_of(patients), rows=len(patients))
    if problems:
        raise AssertionError(f"the table of the demo does not fit its template: {problems[0]}")
    return np.asarray(encoded / SCALE, np.float64)
