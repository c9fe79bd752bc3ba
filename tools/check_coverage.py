"""Fail unless every line and branch below the named source folders was run by the test suite.

``python tools/check_coverage.py fingerpost/packet …`` reads ``.coverage`` of the last run. It is silent when all is
covered, so that the test runner's closing line stays the last one.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import coverage


def gaps(report: Mapping[str, Any], folders: Sequence[str]) -> list[str]:
    """Return a line for each gap below ``folders`` in coverage's JSON ``report``; a folder never run is one."""
    found = []
    for folder in folders:
        files = {path: facts for path, facts in report["files"].items() if f"/{folder}/" in f"/{path}"}
        if not files:
            found.append(f"{folder}: no file of it was measured")
        for path, facts in sorted(files.items()):
            lines = ", ".join(str(line) for line in facts["missing_lines"])
            branches = ", ".join(f"{start}->{end}" for start, end in facts.get("missing_branches", []))
            if lines:
                found.append(f"{path}: lines never run: {lines}")
            if branches:
                found.append(f"{path}: branches never taken: {branches}")
    return found


def main(folders: Sequence[str]) -> int:
    """Print the gaps and return the exit status."""
    measured = coverage.Coverage()
    measured.load()
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "coverage.json"
        measured.json_report(outfile=str(target))
        report = json.loads(target.read_text())
    found = gaps(report, folders)
    for line in found:
        print(line, file=sys.stderr)
    if found:
        print("These folders must be covered whole: " + ", ".join(folders), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
