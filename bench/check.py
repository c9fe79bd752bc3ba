"""Instruction counts of hot paths against what they were: ``make bench-check``. Noise-free, unlike time.

Runs ``bench._check_jobs`` under callgrind (of valgrind) once and compares the instructions of each job with those of
``bench/instruction_counts.json``. A count may grow by 2 %; two runs of one build differ by far less. Counts hold for
one build of the interpreter and its libraries, so each environment has its own; ``--accept`` writes those of this one.

The exit status is 0 when nothing grew, 1 when something did, 2 when the counts could not be had (no valgrind, or it
failed) and 3 when this environment has none to compare with.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench._check_jobs import MARK, jobs

REFERENCE = Path(__file__).resolve().parent / "instruction_counts.json"
TOLERANCE = 0.02
RUN_SECONDS_MAX = 600.0
GREW, UNCOUNTED, NO_REFERENCE = 1, 2, 3
ALIKE = {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class CountingError(Exception):
    """The instructions could not be counted; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One job: its instructions now and as accepted (None where there are none)."""

    name: str
    counted: int | None
    accepted: int | None

    @property
    def change(self) -> float | None:
        """Return the relative change, or None where one of the two is missing."""
        if self.counted is None or not self.accepted:
            return None
        return self.counted / self.accepted - 1

    @property
    def verdict(self) -> str:
        """Return ``same``, ``fewer``, ``MORE``, ``new`` or ``GONE``."""
        if self.change is None:
            return "GONE" if self.counted is None else "new"
        if self.change > TOLERANCE:
            return "MORE"
        return "fewer" if self.change < -TOLERANCE else "same"

    def __str__(self) -> str:
        numbers = [f"{each:>15,}" if each is not None else f"{'':>15}" for each in (self.accepted, self.counted)]
        change = f"{self.change:+9.2%}" if self.change is not None else f"{'':>9}"
        return f"{self.name:<26}{''.join(numbers)}{change}  {self.verdict}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, compare, print a table, and return the exit status."""
    parser = argparse.ArgumentParser(prog="bench.check", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--accept", action="store_true", help="write the counts of this environment as the accepted")
    parser.add_argument("--reference", type=Path, default=REFERENCE, help="the file of accepted counts")
    options = parser.parse_args(arguments)
    try:
        counted = count_instructions()
    except CountingError as error:
        print(f"bench-check: {error}", file=sys.stderr)
        return UNCOUNTED
    known = json.loads(options.reference.read_text(encoding="utf-8")) if options.reference.exists() else {}
    here = environment()
    print(f"{'':<26}{'accepted':>15}{'now':>15}{'change':>9}")
    comparisons = compare(known.get(here, {}), counted)
    for comparison in comparisons:
        print(comparison)
    if options.accept:
        text = json.dumps(known | {here: dict(counted)}, indent=1, sort_keys=True)
        options.reference.write_text(text + "\n", encoding="utf-8")
        print(f"accepted for {here}")
        return 0
    if here not in known:
        print(f"bench-check: no counts to compare with for {here}", file=sys.stderr)
        print(f"bench-check: there are some for {'; '.join(sorted(known)) or 'no environment'}", file=sys.stderr)
        print('bench-check: on code that is known to be good: make bench-check ARGS="--accept"', file=sys.stderr)
        return NO_REFERENCE
    return status_of(comparisons)


def compare(accepted: Mapping[str, int], counted: Mapping[str, int]) -> list[Comparison]:
    """Return each job of either, those counted first, in order."""
    names = dict.fromkeys((*counted, *accepted))
    return [Comparison(name=name, counted=counted.get(name), accepted=accepted.get(name)) for name in names]


def status_of(comparisons: Sequence[Comparison]) -> int:
    """Return 1 when a count grew beyond what is tolerated or a job is gone, and 0 otherwise; say what to do."""
    worse = [each.name for each in comparisons if each.verdict in {"MORE", "GONE"}]
    if worse:
        print(f"bench-check: more than {TOLERANCE:.0%} above what was accepted: {', '.join(worse)}", file=sys.stderr)
        return GREW
    if any(each.verdict in {"fewer", "new"} for each in comparisons):
        print('bench-check: keep what was won: make bench-check ARGS="--accept"')
    return 0


def environment() -> str:
    """Return what a count depends on besides this code."""
    libraries = (f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "pynacl"))
    compiler = platform.python_compiler()
    return f"{platform.python_implementation()} {platform.python_version()} ({compiler}), {', '.join(libraries)}"


def count_instructions() -> dict[str, int]:
    """Return the instructions of each job. Raises ``CountingError``."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise CountingError("valgrind is not installed, and nothing else counts instructions: apt-get install valgrind")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "counts"
        tool = [valgrind, "--tool=callgrind", f"--dump-before={MARK}", f"--callgrind-out-file={out}"]
        command = [*tool, sys.executable, "-m", "bench._check_jobs"]
        try:
            subprocess.run(
                command, env=os.environ | ALIKE, capture_output=True, text=True, check=True, timeout=RUN_SECONDS_MAX
            )
        except subprocess.CalledProcessError as error:
            raise CountingError(f"valgrind failed: {error.stderr.strip()[-500:]}") from error
        except subprocess.TimeoutExpired as error:
            raise CountingError(f"valgrind took longer than {RUN_SECONDS_MAX:.0f} seconds") from error
        return counts_of({path.suffix: path.read_text(encoding="utf-8") for path in out.parent.glob("counts.*")})


def counts_of(dumps: Mapping[str, str]) -> dict[str, int]:
    """Return the instructions of each job from what callgrind wrote at each mark, by suffix: ``.1``, ``.2``, …

    Two marks enclose a job, so its own count is in every second dump.
    """
    names = list(jobs())
    if len(dumps) != 2 * len(names):
        raise CountingError(f"callgrind saw {len(dumps)} marks and not {2 * len(names)}: does {MARK} have a symbol?")
    counts = {}
    for place, name in enumerate(names, start=1):
        total = re.search(r"^totals: (\d+)$", dumps[f".{2 * place}"], re.MULTILINE)
        if total is None:
            raise CountingError(f"callgrind wrote no total for {name}")
        counts[name] = int(total.group(1))
    return counts


if __name__ == "__main__":
    sys.exit(main())
