"""``fingerpost demo``: four hospitals learn from each other's outcomes, on real patients."""

import errno
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fingerpost.cli._notes import noted
from fingerpost.cli._output import Column, Output
from fingerpost.cli._words import short_id
from fingerpost.errors import FingerpostError

if TYPE_CHECKING:
    from fingerpost.lab.arms import Result
    from fingerpost.lab.demo import Demo, DemoReport, Question
    from fingerpost.lab.exchange import Emission
    from fingerpost.lab.verdicts import Newcomer

TEXT_WIDTH = 96
NOTHING = "–"
STANDARD_OUTPUT = "-"
LEGEND = (
    ("AUC", "chance that a diseased patient is ranked above a healthy one; 0.5 is guessing, 1 is perfect"),
    ("log-loss", "mean surprise at what came true; less is better, a coin has 0.69"),
    ("accuracy", "share right when the more probable outcome is taken as the forecast"),
    ("+25", "the same, once the newcomer has confirmed 25 patients of its own (never those it asks about)"),
    ("kB", "what has to arrive at the newcomer, or at the place where all rows go, before it can answer"),
)

JsonFileOption = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write everything to FILE as JSON as well; with - print JSON instead of text.",
        show_default=False,
    ),
]


@noted(
    json_keys={
        "schema": "fingerpost-demo/1; docs/reference/demo.md describes every key",
        "fingerpost": "version of the program",
        "seed": "seed of every random choice",
        "repetitions": "how often the own patients were drawn",
        "own_rows": "how many own patients were drawn",
        "seconds": "how long it took",
        "data": "source and licence of the patients",
        "template": "name, template_id and fingerprint_bits of the template that all hospitals share",
        "hospitals": "what each hospital emitted",
        "question": "one question with its whole answer and with what came true",
        "newcomers": "the scores of every method at every hospital",
        "verdicts": "what the figures say, in sentences",
        "notes": "what was left out, and why",
    },
    errors=(FingerpostError,),
    examples=("fingerpost demo", "fingerpost demo --quick", "fingerpost demo --json demo.json"),
)
def demo(
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the central models, and draw the 25 own patients once.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of every random choice.")] = 0,
    json: JsonFileOption = None,
) -> None:
    """Let four hospitals learn from each other's outcomes, on 920 real patients.

    Each hospital in turn is the newcomer: the others emit packets, and the newcomer, which has no outcomes of its own
    yet, asks about its patients. The data come with the package; your home is neither read nor written.
    """
    from fingerpost.lab.demo import Demo

    out = Output(as_json=str(json) == STANDARD_OUTPUT)
    if json is not None and not out.as_json:
        _check_target(json)
    with Demo(seed=seed, quick=quick) as demonstration:
        report = _run(demonstration, out)
    if out.as_json:
        out.document(report.to_document())
        return
    _print_verdicts(out, report)
    if json is not None:
        from fingerpost.files import write_atomically

        write_atomically(json, report.to_json().encode())
        out.line()
        out.line(f"The same figures are in {json}.")
    out.next_step("fingerpost template infer TABLE.csv --outcome COLUMN -o template.toml")


def _check_target(file: Path) -> None:
    """Raise ``OSError`` now for a file that could not be written half a minute later."""
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a directory", str(file))
    if not file.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such directory", str(file.parent))


def _run(demonstration: "Demo", out: Output) -> "DemoReport":
    """Run the acts of the demo, and tell them as they happen unless JSON is wanted."""
    aloud = not out.as_json
    if aloud:
        _print_opening(out, demonstration)
    emissions = demonstration.emit()
    if aloud:
        _print_emissions(out, emissions)
    question = demonstration.ask_once()
    if aloud:
        _print_question(out, question, emissions)
    emissions = (*emissions, demonstration.emit_last())
    with out.progress("Asking about all 920 patients", total=demonstration.steps()) as advance:
        newcomers = demonstration.compare(advance)
    if aloud:
        _print_newcomers(out, newcomers, demonstration)
    return demonstration.report(emissions, question, newcomers)


def _print_opening(out: Output, demonstration: "Demo") -> None:
    from fingerpost.lab.heart import CITATION, HOSPITALS

    out.title("Four hospitals learn from each other's outcomes")
    out.line()
    _paragraph(
        out,
        f"{len(demonstration.patients)} patients came to {', '.join(HOSPITALS[:-1])} and {HOSPITALS[-1]} with suspected"
        " heart disease. Thirteen findings were written down, and later what turned out: diseased, yes or no. Each"
        " hospital is a node of its own. It turns its patients into packets and keeps the patients.",
    )
    out.line()
    _paragraph(out, f"Data: {CITATION}.")


def _print_emissions(out: Output, emissions: Sequence["Emission"]) -> None:
    out.line()
    out.title("1  Three hospitals tell what happened")
    out.line()
    columns = [Column(title="hospital"), Column(title="node")]
    columns += [Column(title=title, align="right") for title in ("patients", "diseased", "packets", "bytes")]
    columns.append(Column(title="signatures", align="right"))
    rows = []
    for emission in emissions:
        share = f"{emission.diseased / emission.patients:.0%}"
        counts = [f"{emission.patients}", share, f"{emission.packets}", f"{emission.bytes:,}", f"{emission.signatures}"]
        rows.append([emission.hospital, short_id(emission.node_id), *counts])
    out.table(columns, rows)
    out.line()
    _paragraph(
        out,
        "A packet has 512 bytes: a fingerprint and a sketch of the thirteen findings, the outcome, and the emitter's"
        " signature, which up to 256 packets share. Fingerprints of similar patients are similar.",
    )


def _print_question(out: Output, question: "Question", emissions: Sequence["Emission"]) -> None:
    from fingerpost.cli._answer_view import print_answer

    out.line()
    out.title(f"2  {question.newcomer} joins, with no outcomes of its own, and asks about its first patient")
    out.line()
    known = {name: value for name, value in question.situation.items() if value is not None}
    _paragraph(out, ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in known.items()))
    if len(known) < len(question.situation):
        _paragraph(out, f"({len(question.situation) - len(known)} findings were not recorded)")
    out.line()
    print_answer(out, question.answer)
    out.line()
    names = ", ".join(f"{short_id(emission.node_id)} is {emission.hospital}" for emission in emissions)
    _paragraph(out, f"Node {names}. What turned out: {question.answer.outcome_name} {question.happened}.")


def _print_newcomers(out: Output, newcomers: Sequence["Newcomer"], demonstration: "Demo") -> None:
    out.line()
    out.title("3  Every hospital in turn is the newcomer, and asks about all its patients")
    out.line()
    _paragraph(
        out,
        "First with no outcomes of its own, then (+25) with 25 confirmed ones"
        + (f", drawn {demonstration.repetitions} times: means." if demonstration.repetitions > 1 else ", drawn once."),
    )
    for newcomer in newcomers:
        out.line()
        out.title(f"{newcomer.name}: {newcomer.patients} patients, {newcomer.share:.0%} diseased")
        if newcomer.warning:
            _paragraph(out, f"Careful: {newcomer.warning}")
        _print_results(out, newcomer)
    out.line()
    out.facts(LEGEND)


def _print_results(out: Output, newcomer: "Newcomer") -> None:
    from fingerpost.lab.arms import ARM_TITLES
    from fingerpost.lab.verdicts import results_by_arm

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


def _cell(result: "Result | None", name: str) -> str:
    if result is None:
        return NOTHING
    value: float = getattr(result.scores, name)
    return f"{value:.0%}" if name == "accuracy" else f"{value:.2f}"


def _print_verdicts(out: Output, report: "DemoReport") -> None:
    out.line()
    out.title("4  What the figures say")
    for sentence in report.verdicts:
        out.line()
        _paragraph(out, sentence)
    for note in report.notes:
        out.line()
        _paragraph(out, f"Note: {note}.")
    out.line()
    _paragraph(out, f"Took {report.seconds:.0f} seconds. Differences below 0.01 are noise at these numbers.")


def _paragraph(out: Output, text: str) -> None:
    for line in textwrap.wrap(text, TEXT_WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False):
        out.line(line)
