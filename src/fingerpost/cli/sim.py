"""``fingerpost sim``: whole networks on virtual time, each from one seed, checked against what must always hold."""

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fingerpost.cli._notes import noted
from fingerpost.cli._options import JsonOption
from fingerpost.cli._output import Output
from fingerpost.cli._words import count_text
from fingerpost.errors import FingerpostError, UsageError

if TYPE_CHECKING:
    from fingerpost.sim.run import SimulationReport

SEED_MAX = 2**63 - 1
SEEDS_MAX = 1_000_000
_RANGE = re.compile(r"(\d{1,19})-(\d{1,19})")


@noted(
    json_keys={
        "commit": "commit of the running code, marked -dirty when files differ; null outside a checkout",
        "seeds_run": "how many seeds were run",
        "violations": "how many of them broke an invariant",
        "runs": "reports of the seeds that broke an invariant, or of the only seed: seed, nodes, steps, digest (of all"
        " events), events, virtual_seconds, counts, violation (null, or invariant, seen, at_seconds and last_events)",
    },
    errors=(FingerpostError, UsageError),
    examples=("fingerpost sim run --seed 7", "fingerpost sim run --seeds 0-999 --nodes 9"),
)
def run(
    *,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", min=0, max=SEED_MAX, help="Run this seed.", show_default=False)
    ] = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", metavar="A-B", help="Run the seeds from A to B.", show_default=False)
    ] = None,
    nodes: Annotated[
        int | None,
        typer.Option(
            "--nodes", metavar="N", help="How many nodes there are at first; else the seed says.", show_default=False
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", metavar="N", help="How many things users do; 16 if not given.", show_default=False),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Simulate whole networks: nodes, links, disks, liars and faults, all drawn from one seed.

    The same seed and options repeat the same run, event by event. The command fails when an invariant does not hold,
    and says with which seed, options and commit, and what happened last.
    """
    from fingerpost.sim.checkout import commit_of_this_code
    from fingerpost.sim.options import STEPS_DEFAULT, SimulationOptions
    from fingerpost.sim.run import run_seed

    out = Output(as_json=json)
    chosen = _seeds(seed, seeds)
    options = SimulationOptions(nodes=nodes, steps=STEPS_DEFAULT if steps is None else steps)
    reports = []
    with out.progress("Simulating", total=len(chosen)) as advance:
        for each in chosen:
            report = run_seed(each, options)
            if report.violation is not None or len(chosen) == 1:
                reports.append(report)
            advance(1)
    broken = [report for report in reports if report.violation is not None]
    commit = commit_of_this_code()
    document = {
        "commit": commit,
        "seeds_run": len(chosen),
        "violations": len(broken),
        "runs": [report.to_document() for report in reports],
    }
    if not json:
        _print_reports(out, reports, commit)
        held = len(chosen) - len(broken)
        out.line(f"{count_text(held, 'seed')} of {len(chosen):,} kept every invariant.")
    if broken:
        out.finding(document, _violated(broken[0], commit))
    if json:
        out.document(document)


def _seeds(seed: int | None, seeds: str | None) -> range:
    if (seed is None) == (seeds is None):
        raise UsageError("bad-usage", "give either --seed or --seeds", hint="for example --seed 7, or --seeds 0-199")
    if seed is not None:
        return range(seed, seed + 1)
    found = _RANGE.fullmatch(seeds or "")
    first, last = (int(found[1]), int(found[2])) if found else (1, 0)
    if not first <= last <= SEED_MAX or last - first >= SEEDS_MAX:
        raise UsageError(
            "bad-usage",
            f"--seeds takes A-B, not {str(seeds)[:80]!r}",
            hint="for example --seeds 0-199; at most a million",
        )
    return range(first, last + 1)


def _violated(report: "SimulationReport", commit: str | None) -> FingerpostError:
    violation = report.violation
    invariant, seen = (violation.invariant, violation.seen) if violation is not None else ("", "")
    at = f" at commit {commit}" if commit else ""
    return FingerpostError(
        "invariant-violated",
        f"seed {report.seed} broke an invariant: {invariant}: {seen}",
        hint=f"repeat it{at} with: {report.command}",
    )


def _print_reports(out: Output, reports: "list[SimulationReport]", commit: str | None) -> None:
    for report in reports:
        out.title(f"Seed {report.seed}")
        facts: list[tuple[str, Any]] = [
            ("repeat with", report.command),
            ("commit", commit or "not in a checkout"),
            ("virtual time", f"{report.seconds:.1f} s"),
            ("events", f"{report.events:,}"),
            ("digest", report.digest),
            *((name.replace("_", " "), f"{count:,}") for name, count in report.counts.items()),
        ]
        out.facts(facts)
        if report.violation is not None:
            out.line()
            out.line(f"Broken after {report.violation.at:.6f} s: {report.violation.invariant}")
            out.line(report.violation.seen)
            out.line("The last events: seconds, node, what")
            for line in report.violation.last_events:
                out.line(line)
        out.line()
