"""The story that ``fingerpost demo`` tells, act by act, for people."""

from __future__ import annotations

import itertools
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.cli._answer_view import headline, print_answer
from fingerpost.cli._output import Column, Output
from fingerpost.cli._words import count_text, short_id
from fingerpost.lab.arms import ARM_TITLES, Arm
from fingerpost.lab.demo_profiles import EXPLAINED, PROMISES
from fingerpost.lab.demo_report import OWN_ROWS
from fingerpost.lab.heart import CITATION, HOSPITALS
from fingerpost.lab.scores import mean_scores
from fingerpost.lab.verdicts import results_by_arm
from fingerpost.packet import Profile
from fingerpost.template import profile_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fingerpost.lab.arms import Result
    from fingerpost.lab.crash import Crash, Return
    from fingerpost.lab.demo import Demo
    from fingerpost.lab.demo_profiles import ProfileResult
    from fingerpost.lab.demo_report import DemoReport, Question
    from fingerpost.lab.exchange import Emission
    from fingerpost.lab.flipped import Flipped
    from fingerpost.lab.hospital_process import Ended, Joined
    from fingerpost.lab.scores import Scores
    from fingerpost.lab.verdicts import Newcomer

TEXT_WIDTH = 96
NOTHING = "–"
SCORES = ("auc", "log_loss", "accuracy")
LEGEND = (
    ("AUC", "chance that a diseased patient is ranked above a healthy one; 0.5 is guessing, 1 is perfect"),
    ("log-loss", "mean surprise at what came true; less is better, a coin has 0.69"),
    ("accuracy", "share right when the more probable outcome is taken as the forecast"),
    ("kB", "what has to arrive at the newcomer, or where all rows go, before it can answer"),
)
ALONE_ARMS = (Arm.PACKETS, Arm.BEST_SINGLE, Arm.CENTRAL_LOGISTIC, Arm.CENTRAL_SVM, Arm.OTHERS_MAJORITY)
WITH_OWN_ARMS = (Arm.PACKETS, Arm.OWN_PACKETS, Arm.OWN_LOGISTIC, Arm.CENTRAL_LOGISTIC, Arm.CENTRAL_SVM)
PACKETS_SHOWN = 3
NOISY = (Profile.DP_AGGREGATE, Profile.LOCAL_DP)
RECORD_TOLD = "It has a fingerprint and a sketch of one patient's findings, and the outcome."
TOLD = {
    Profile.OPEN: RECORD_TOLD,
    Profile.CONSORTIUM: RECORD_TOLD,
    Profile.K_ANONYMOUS: "It has the fingerprint of a group, and counts its outcomes.",
    Profile.DP_AGGREGATE: "It counts the outcomes in one of 32 cells, by which fingerprints are told apart.",
    Profile.LOCAL_DP: "It has one patient's cell and outcome, randomised.",
}
CARRIER_TITLES = {
    "zeromq": "ZeroMQ, encrypted with CURVE",
    "grpc": "gRPC, with pinned TLS",
    "flight": "Arrow Flight, with pinned TLS",
    "nats": "a NATS server, sealed from node to node",
}


class Story:
    """Tells the acts in the order in which its methods are called, and nothing at all where JSON is wanted.

    ``full`` shows the whole answer, and every method at every hospital.
    """

    def __init__(self, out: Output, *, full: bool) -> None:
        self._out = out
        self._full = full
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
        columns = [Column(title="hospital")]
        columns += [Column(title=title, align="right") for title in ("process", "ready", "found all others")]
        rows = [
            [one.hospital, str(one.process), f"{one.ready_seconds:.1f} s", f"{max(one.found.values()):.1f} s"]
            for one in joined
        ]
        self._out.table(columns, rows)
        self._out.line()
        self._paragraph(
            "Each is a `fingerpost node run` with a key and a disk of its own. They find each other through OpenDHT,"
            f" without any server, and admit each other by public key. Packets move over {CARRIER_TITLES[carrier]}."
        )

    def emissions(self, emissions: Sequence[Emission], *, profile: Profile) -> None:
        """Say what was emitted, and what the profile promises."""
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
            f"A packet has 512 bytes and is signed. {TOLD[profile]} Once two other nodes keep it too, it is"
            " acknowledged: then any two of the three may be lost for ever."
        )
        self._out.line()
        self._paragraph(f"Profile {profile_name(profile)}. {EXPLAINED[profile]}")

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
        if self._full:
            print_answer(self._out, question.answer)
        else:
            self._out.line(f"  {headline(question.answer)}")
            for sentence in question.answer.explanation[1:]:
                self._paragraph(_named(sentence, emissions))
        self._paragraph(f"What turned out: {question.answer.outcome_name} {question.happened}.")

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
        self._print_summary(newcomers)
        if self._full:
            for newcomer in newcomers:
                self._out.line()
                self._out.title(f"{newcomer.name}: {newcomer.patients} patients, {newcomer.share:.0%} diseased")
                if newcomer.warning:
                    self._paragraph(f"Careful: {newcomer.warning}")
                _print_results(self._out, newcomer)
        self._out.line()
        self._out.facts(LEGEND)
        self._out.line()
        drawn = f"{demonstration.repetitions} times, and figures are means" if demonstration.repetitions > 1 else "once"
        if demonstration.tells_records or demonstration.has_central:
            told = f"The {OWN_ROWS} confirmed patients are drawn {drawn}; none of them is asked about."
        else:
            told = ""
        careful = (
            "Where the disease is much more or less common than elsewhere, who is at more risk than whom carries over,"
            " and how many are diseased does not."
        )
        self._paragraph(f"{told} {careful}".strip())

    def flipped(self, flipped: Flipped | None, *, profile: Profile) -> None:
        """Show what a hospital that lies does to answers, and what elections do about it."""
        if self._is_silent:
            return
        if flipped is None:
            self._act("A hospital that lies")
            self._paragraph(
                f"Not shown under {profile_name(profile)}: elections measure others by what single patients' packets"
                " claim, and here no packet tells of one patient and its outcome as they are."
            )
            return
        self._act(f"{flipped.liar} tells the opposite of what it saw")
        self._paragraph(
            f"All four start over, and {flipped.liar} turns every outcome round. {flipped.asker} asks about its"
            f" patients with no outcomes of its own, then with {flipped.own_rows} confirmed ones (+{flipped.own_rows})."
        )
        self._out.line()
        columns = [Column(title="")]
        for title in ("AUC", "log-loss", "accuracy"):
            columns += [Column(title=name, align="right") for name in (title, f"+{flipped.own_rows}")]
        ways = (
            ("nobody lies", flipped.honest),
            (f"{flipped.liar} lies, undefended: everybody is believed", flipped.undefended),
            (f"{flipped.liar} lies, defended: elections, as always", flipped.defended),
            ("nobody else's packets", flipped.own),
        )
        rows = [
            [title, *(_score(scores, name) for name in SCORES for scores in (way.alone, way.with_own))]
            for title, way in ways
        ]
        self._out.table(columns, rows)
        self._out.line()
        self._explained(flipped)

    def profiles(self, results: Sequence[ProfileResult], newcomers: Sequence[Newcomer], *, chosen: Profile) -> None:
        """Show what each profile promises, and what it costs."""
        if self._is_silent:
            return
        self._act("What each privacy profile promises, and what it costs")
        columns = [Column(title="profile"), Column(title="who sees what")]
        columns += [Column(title=title, align="right") for title in ("AUC", "log-loss", "accuracy", "packets")]
        rows = []
        for result in results:
            mark = " *" if result.profile is chosen else ""
            scores = [_score(result.mean, name) for name in SCORES]
            name = profile_name(result.profile)
            rows.append([f"{name}{mark}", PROMISES[result.profile], *scores, f"{result.packets}"])
        central = _mean_of(newcomers, Arm.CENTRAL_LOGISTIC, 0)
        own = _mean_of(newcomers, Arm.OWN_LOGISTIC, OWN_ROWS) or _mean_of(newcomers, Arm.OWN_PACKETS, OWN_ROWS)
        if central is not None:
            rows.append(["none", "one place sees all rows", *(_score(central, name) for name in SCORES), "0"])
        if own is not None:
            told = f"nobody sees anything: own {OWN_ROWS} alone"
            rows.append(["none", told, *(_score(own, name) for name in SCORES), "0"])
        self._out.table(columns, rows)
        self._out.line()
        most = max(result.draws for result in results)
        drawn = f"{most} draws" if most > 1 else "one draw"
        self._paragraph(
            "Means over the four newcomers, each with no outcomes of its own. * ran in the nodes above; the others take"
            f" the same path without processes, noise as the mean of {drawn}. A few hundred patients a hospital are few"
            " for counts with noise: the more there are, the less it costs."
        )

    def verdicts(self, report: DemoReport) -> None:
        """Say what the figures say, what was left out, and that nothing is left running."""
        if self._is_silent:
            return
        self._out.line()
        self._out.title(f"{next(self._numbers)}  What the figures say")
        self._out.line()
        for sentence in report.verdicts:
            self._paragraph(sentence, bullet="- ")
        for note in report.notes:
            self._paragraph(f"Note: {note}.", bullet="- ")
        self._out.line()
        noise = (
            "Noise is drawn anew each time, so figures differ from run to run."
            if report.template.profile in NOISY
            else "Differences below 0.01 are noise at these numbers."
        )
        self._paragraph(f"Took {report.seconds:.0f} seconds. {noise}")
        if report.network.ended is not None:
            self._paragraph(_ended(report.network.ended))

    def _act(self, title: str) -> None:
        self._out.line()
        self._out.title(f"{next(self._numbers)}  {title}")
        self._out.line()

    def _print_summary(self, newcomers: Sequence[Newcomer]) -> None:
        """Show every method's AUC at every newcomer, and its mean scores."""
        columns = [Column(title="AUC at the newcomer")]
        titles = (*(newcomer.name for newcomer in newcomers), "mean", "log-loss", "accuracy", "kB")
        columns += [Column(title=title, align="right") for title in titles]
        rows = [["(share diseased)", *(f"{newcomer.share:.0%}" for newcomer in newcomers), "", "", "", ""]]
        for own_rows, arms, title in (
            (0, ALONE_ARMS, "no outcomes of its own:"),
            (OWN_ROWS, WITH_OWN_ARMS, f"{OWN_ROWS} patients confirmed:"),
        ):
            found = []
            for arm in arms:
                mean = _mean_of(newcomers, arm, own_rows)
                if mean is None:
                    continue
                each = [_score(newcomer.scores(arm, own_rows), "auc") for newcomer in newcomers]
                means = [_score(mean, name) for name in SCORES]
                size = np.mean([results_by_arm(newcomer)[arm][own_rows].bytes for newcomer in newcomers])
                found.append([f"  {ARM_TITLES[arm]}", *each, *means, _kilo(float(size))])
            if found:
                rows += [[title, *([""] * (len(newcomers) + 4))], *found]
        self._out.table(columns, rows)

    def _explained(self, flipped: Flipped) -> None:
        """Say what the asker found out about the liar, and from what."""
        found, liar = flipped.explained, short_id(flipped.explained["node_id"])
        told = [f"{finding} with {confirmed or 'none'}" for confirmed, finding in flipped.findings.items()]
        self._paragraph(
            f"{flipped.asker} finds: {flipped.liar} is {', '.join(told)} of its own patients confirmed. Before any is,"
            f" it compares the others with each other. With {flipped.own_rows}, `fingerpost peers explain {liar[:8]}`"
            f" says: {found['finding']}, evidence {found['log_evidence']:+.1f} nats where {found['needed']:+.1f} would"
            f" get it hired, from the {found['familiar']} of its {found['packets']} packets in familiar places."
        )
        against = found["against"][:PACKETS_SHOWN]
        if not against:
            self._paragraph("None of them spoke against it.")
            return
        columns = [Column(title="packets that spoke most against it"), Column(title="claimed")]
        columns.append(Column(title="expected there", align="right"))
        rows = [[short_id(one["packet_id"]), one["claimed"], f"{one['expected']:.0%}"] for one in against]
        self._out.table(columns, rows)

    def _paragraph(self, text: str, *, bullet: str = "") -> None:
        first, others = f"  {bullet}", " " * (2 + len(bullet))
        lines = textwrap.wrap(text, TEXT_WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False)
        for line in lines:
            self._out.line(line)


def _named(sentence: str, emissions: Sequence[Emission]) -> str:
    """Return a sentence with hospitals where it has their nodes' ids."""
    for emission in emissions:
        start = emission.node_id[:8]
        sentence = sentence.replace(f"node {start}", emission.hospital).replace(start, emission.hospital)
    return sentence


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
        cells = [text for name in SCORES for text in (_cell(alone, name), _cell(with_own, name))]
        size = max(result.bytes for result in by_own.values())
        rows.append([ARM_TITLES[arm], *cells, _kilo(size)])
    out.table(columns, rows)


def _cell(result: Result | None, name: str) -> str:
    return _score(None if result is None else result.scores, name)


def _score(scores: Scores | None, name: str) -> str:
    if scores is None:
        return NOTHING
    value: float = getattr(scores, name)
    return f"{value:.0%}" if name == "accuracy" else f"{value:.2f}"


def _mean_of(newcomers: Sequence[Newcomer], arm: Arm, own_rows: int) -> Scores | None:
    """Return the mean scores of an arm over all newcomers; None where one of them lacks it."""
    found = [newcomer.scores(arm, own_rows) for newcomer in newcomers]
    known = [scores for scores in found if scores is not None]
    return mean_scores(known) if len(known) == len(found) and known else None


def _kilo(size: float) -> str:
    """Return bytes in thousands."""
    return f"{size / 1000:,.0f}" if size >= 1000 else f"{size / 1000:.2g}"
