"""The story that ``fingerpost demo`` tells, act by act, for people."""

from __future__ import annotations

import itertools
import textwrap
from typing import TYPE_CHECKING

from fingerpost.cli._answer_view import print_answer
from fingerpost.cli._output import Column, Output
from fingerpost.cli._words import count_text, short_id
from fingerpost.lab.arms import ARM_TITLES
from fingerpost.lab.heart import CITATION, HOSPITALS
from fingerpost.lab.verdicts import results_by_arm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fingerpost.lab.arms import Result
    from fingerpost.lab.crash import Crash, Return
    from fingerpost.lab.demo import Demo, DemoReport, Question
    from fingerpost.lab.exchange import Emission
    from fingerpost.lab.hospital_process import Ended, Joined
    from fingerpost.lab.verdicts import Newcomer

TEXT_WIDTH = 96
NOTHING = "–"
LEGEND = (
    ("AUC", "chance that a diseased patient is ranked above a healthy one; 0.5 is guessing, 1 is perfect"),
    ("log-loss", "mean surprise at what came true; less is better, a coin has 0.69"),
    ("accuracy", "share right when the more probable outcome is taken as the forecast"),
    ("+25", "the same, once the newcomer has confirmed 25 patients of its own (never those it asks about)"),
    ("kB", "what has to arrive at the newcomer, or at the place where all rows go, before it can answer"),
)
CARRIER_TITLES = {
    "zeromq": "ZeroMQ, encrypted with CURVE",
    "grpc": "gRPC, with pinned TLS",
    "flight": "Arrow Flight, with pinned TLS",
    "nats": "a NATS server, sealed from node to node",
}


class Story:
    """Tells the acts in the order in which its methods are called, and nothing at all where JSON is wanted."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._is_silent = out.as_json
        self._numbers = itertools.count(1)

    def opening(self, demonstration: Demo) -> None:
        """Say who takes part."""
        if self._is_silent:
            return
        self._out.title("Four hospitals learn from each other's outcomes")
        self._out.line()
        self._paragraph(
            f"{len(demonstration.patients)} patients came to {', '.join(HOSPITALS[:-1])} and {HOSPITALS[-1]} with"
            " suspected heart disease. Thirteen findings were written down, and later what turned out: diseased, yes or"
            " no. Each hospital is a node of its own. It turns its patients into packets and keeps the patients."
        )
        self._out.line()
        self._paragraph(f"Data: {CITATION}.")
        if demonstration.processes is None:
            self._out.line()
            self._paragraph("All four nodes are in this one process (carrier memory), so that none can be killed.")

    def joined(self, joined: Sequence[Joined], *, carrier: str) -> None:
        """Say who runs where, and who found whom when."""
        if self._is_silent or not joined:
            return
        self._act("Four hospitals join, each in a process of its own")
        columns = [Column(title="hospital"), Column(title="process", align="right"), Column(title="ready")]
        columns.append(Column(title="found"))
        rows = []
        for one in joined:
            others = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in one.found.items())
            rows.append([one.hospital, str(one.process), f"{one.ready_seconds:.1f} s", others])
        self._out.table(columns, rows)
        self._out.line()
        self._paragraph(
            "Each is a `fingerpost node run` with a key and a disk of its own. They find each other through OpenDHT,"
            f" without any server, and admit each other by public key. Packets move over {CARRIER_TITLES[carrier]}."
        )

    def emissions(self, emissions: Sequence[Emission], *, is_sealed: bool) -> None:
        """Say what was emitted."""
        if self._is_silent:
            return
        self._act("Three hospitals tell what happened")
        columns = [Column(title="hospital"), Column(title="node")]
        titles = ("patients", "diseased", "packets", "bytes", "signatures", "kept by")
        columns += [Column(title=title, align="right") for title in titles]
        rows = []
        for emission in emissions:
            share = f"{emission.diseased / emission.patients:.0%}"
            counts = [f"{emission.patients}", share, f"{emission.packets}", f"{emission.bytes:,}"]
            counts += [f"{emission.signatures}", kept_by(emission)]
            rows.append([emission.hospital, short_id(emission.node_id), *counts])
        self._out.table(columns, rows)
        self._out.line()
        self._paragraph(
            "A packet has 512 bytes: a fingerprint and a sketch of the thirteen findings, the outcome, and the"
            " emitter's signature, which up to 256 packets share. Fingerprints of similar patients are similar. Once"
            " two other nodes keep it too, a packet is acknowledged: then any two of the three may be lost for ever."
        )
        self._out.line()
        self._paragraph(
            "Fingerprint, findings and outcome are sealed: only who has the keys that the four share can read them"
            " (fingerpost consortium). In clear are the day, the template, the cell and the emitter."
            if is_sealed
            else "Packets are in clear (--profile open): a guess at a patient can be made from a fingerprint, and a"
            " sketch gives most findings away."
        )

    def question(self, question: Question, emissions: Sequence[Emission]) -> None:
        """Show one question and its whole answer."""
        if self._is_silent:
            return
        self._act(f"{question.newcomer}, with no outcomes of its own, asks about its first patient")
        known = {name: value for name, value in question.situation.items() if value is not None}
        self._paragraph(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in known.items()))
        if len(known) < len(question.situation):
            self._paragraph(f"({len(question.situation) - len(known)} findings were not recorded)")
        self._out.line()
        print_answer(self._out, question.answer)
        self._out.line()
        names = ", ".join(f"{short_id(emission.node_id)} is {emission.hospital}" for emission in emissions)
        self._paragraph(f"Node {names}. What turned out: {question.answer.outcome_name} {question.happened}.")

    def crash(self, crash: Crash, question: Question, last: Emission, back: Return) -> None:
        """Say what it cost that a hospital was killed, and how it came back."""
        if self._is_silent:
            return
        self._act(f"{crash.hospital} is killed, and {question.newcomer} asks again at once")
        answered = f"after {crash.seconds:.2f} s: {_compared(crash, question)}"
        disk = f"{crash.hospital} is started again on its disk, process {back.process}: ready after"
        self._out.facts(
            [
                ("killed", f"{crash.hospital}, process {crash.process}, by SIGKILL: it could tell nobody"),
                ("answered", answered),
                ("copies", _copies(crash)),
                ("meanwhile", f"{last.hospital} emits {count_text(last.packets, 'packet')}, kept by {kept_by(last)}"),
                ("back", f"{disk} {back.ready_seconds:.1f} s,"),
                ("", f"after {back.held_after:.1f} s it has all {back.packets} packets, {back.missed} missed ones too"),
            ]
        )

    def newcomers(self, newcomers: Sequence[Newcomer], demonstration: Demo) -> None:
        """Show every method at every hospital."""
        if self._is_silent:
            return
        self._act("Every hospital in turn is the newcomer, and asks about all its patients")
        drawn = f"{demonstration.repetitions} times: means" if demonstration.repetitions > 1 else "once"
        self._paragraph(f"First with no outcomes of its own, then (+25) with 25 confirmed ones, drawn {drawn}.")
        for newcomer in newcomers:
            self._out.line()
            self._out.title(f"{newcomer.name}: {newcomer.patients} patients, {newcomer.share:.0%} diseased")
            if newcomer.warning:
                self._paragraph(f"Careful: {newcomer.warning}")
            _print_results(self._out, newcomer)
        self._out.line()
        self._out.facts(LEGEND)

    def verdicts(self, report: DemoReport) -> None:
        """Say what the figures say, what was left out, and that nothing is left running."""
        if self._is_silent:
            return
        self._out.line()
        self._out.title(f"{next(self._numbers)}  What the figures say")
        for sentence in report.verdicts:
            self._out.line()
            self._paragraph(sentence)
        for note in report.notes:
            self._out.line()
            self._paragraph(f"Note: {note}.")
        self._out.line()
        self._paragraph(f"Took {report.seconds:.0f} seconds. Differences below 0.01 are noise at these numbers.")
        if report.network.ended is not None:
            self._paragraph(_ended(report.network.ended))

    def _act(self, title: str) -> None:
        self._out.line()
        self._out.title(f"{next(self._numbers)}  {title}")
        self._out.line()

    def _paragraph(self, text: str) -> None:
        indent = "  "
        lines = textwrap.wrap(text, TEXT_WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
        for line in lines:
            self._out.line(line)


def kept_by(emission: Emission) -> str:
    """Return how many other nodes keep what was emitted."""
    enough = "" if emission.acknowledged else " (too few)"
    return f"{count_text(emission.holders, 'other')}{enough}"


def _compared(crash: Crash, question: Question) -> str:
    before, now = short_id(question.answer.evidence_digest), short_id(crash.answer.evidence_digest)
    evidence = f"the same evidence ({now})" if crash.same_evidence else f"other evidence ({now}, before {before})"
    if crash.difference == 0:
        return f"{evidence}, the same probabilities"
    return f"{evidence}, probabilities differ by at most {crash.difference:.2g}"


def _copies(crash: Crash) -> str:
    told = [
        f"{packets} at {count_text(nodes, 'running node')}"
        for nodes, packets in sorted(crash.copies.items(), reverse=True)
    ]
    lost = f"{crash.lost} lost" if crash.lost else "none lost"
    return f"of {crash.acknowledged} acknowledged packets {', '.join([*told, lost])}"


def _ended(ended: Ended) -> str:
    processes = count_text(ended.started, "process", "processes")
    if ended.left:
        return f"Of {processes} {ended.left} still run after {ended.seconds:.1f} s."
    return f"{processes} of nodes, OpenDHT and servers were ended in {ended.seconds:.1f} s; none is left."


def _print_results(out: Output, newcomer: Newcomer) -> None:
    columns = [Column(title="method")]
    columns += [
        Column(title=title, align="right") for title in ("AUC", "+25", "log-loss", "+25", "accuracy", "+25", "kB")
    ]
    rows = []
    for arm, by_own in results_by_arm(newcomer).items():
        alone, with_own = (by_own.get(own_rows) for own_rows in (0, max(by_own)))
        cells = [
            text for name in ("auc", "log_loss", "accuracy") for text in (_cell(alone, name), _cell(with_own, name))
        ]
        size = max(result.bytes for result in by_own.values())
        rows.append([ARM_TITLES[arm], *cells, f"{size / 1000:,.0f}" if size >= 1000 else f"{size / 1000:.2g}"])
    out.table(columns, rows)


def _cell(result: Result | None, name: str) -> str:
    if result is None:
        return NOTHING
    value: float = getattr(result.scores, name)
    return f"{value:.0%}" if name == "accuracy" else f"{value:.2f}"
