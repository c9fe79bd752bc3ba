"""What all measurements share: how a figure is written down, timed and given an interval.

``bench/results/<target>.json`` holds the figures of one make target, whichever script measured them::

    {"target": "bench", "commit": "…", "quick": false, "machine": {"cpu": "…", "cores": 2, "python": "…", "numpy": "…"},
     "seeds": [0, 1], "figures": [{"name": "import_cost", "value": 1.9, "unit": "ratio", "low": 1.8, "high": 2.0,
                                   "detail": {…}}]}

A percentage is a fraction. A ratio says ours ÷ theirs, so more is better unless the name ends in ``_cost``. A figure
that could not be measured is left out. A script says ``TARGET = "bench"`` and is run as ``python -m bench.NAME``.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).resolve().parent / "results"
FIGURE_NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
RESAMPLES = 2_000
LEVEL_DEFAULT = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number: a median or a mean, its interval where it has one, and what it was made of."""

    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a name that is none and a number that was not measured."""
        if not FIGURE_NAME.fullmatch(self.name):
            raise ValueError(f"a figure's name is lower_case_words: {self.name!r}")
        if not all(math.isfinite(number) for number in (self.value, self.low, self.high) if number is not None):
            raise ValueError(f"{self.name}: a figure that could not be measured is left out")
        if (self.low is None) != (self.high is None):
            raise ValueError(f"{self.name}: an interval has two ends")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"{self.name}: the interval ends before it begins")

    def __str__(self) -> str:
        interval = "" if self.low is None or self.high is None else f"  [{self.low:.4g}, {self.high:.4g}]"
        return f"{self.name:<44} {self.value:>12.4g} {self.unit}{interval}"

    def as_json(self) -> dict[str, Any]:
        """Return the entry of the results file; what is unknown is absent, never null."""
        entry = {"name": self.name, "value": self.value, "unit": self.unit, "low": self.low, "high": self.high}
        present = {key: value for key, value in entry.items() if value is not None}
        return present | {"detail": dict(self.detail)} if self.detail else present


def write_figures(target: str, figures: Sequence[Figure], *, seeds: Sequence[int] = (), folder: Path = RESULTS) -> Path:
    """Print ``figures``, write them to ``folder/<target>.json`` and return that path.

    Figures that other scripts of the same target wrote at the same commit and in the same form stay beside them; a
    file of another commit or form is started afresh, since its head could not be true for both.
    """
    for figure in figures:
        print(figure)
    path = folder / f"{target}.json"
    head = {"target": target, "commit": commit(), "quick": is_quick(), "machine": machine()}
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if {key: earlier.get(key) for key in head} != head:
        earlier = {}
    by_name = {entry["name"]: entry for entry in earlier.get("figures", [])}
    by_name |= {figure.name: figure.as_json() for figure in figures}
    result = head | {"seeds": sorted({*earlier.get("seeds", []), *seeds}), "figures": list(by_name.values())}
    folder.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".fresh")
    fresh.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(path)
    return path


def is_quick() -> bool:
    """Whether the short form was asked for (``make TARGET QUICK=1``); it has the same names and less behind them."""
    return os.environ.get("QUICK", "") not in {"", "0"}


def commit() -> str:
    """Return the commit that is measured, marked ``-dirty`` when files differ from it, or ``unknown`` without git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        run = subprocess.run(command, cwd=RESULTS.parent, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return run.stdout.strip()


def machine() -> dict[str, str | int]:
    """Return what the figures depend on besides the code."""
    model = re.search(r"^model name\s*:\s*(.+)$", _read("/proc/cpuinfo"), re.MULTILINE)
    return {
        "cpu": model.group(1) if model else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "numpy": importlib.metadata.version("numpy"),
    }


def interleaved_seconds(actions: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, list[float]]:
    """Time each action once a round, in turn, so that what slows the machine down meets all of them alike.

    One round before the first is not counted. Returns ``rounds`` wall-clock times in seconds for each name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(rounds + 1):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            elapsed = time.perf_counter() - start
            if turn:
                seconds[name].append(elapsed)
    return seconds


def bootstrap_interval(
    values: Sequence[float] | np.ndarray,
    *,
    statistic: Callable[..., Any] = np.median,
    level: float = LEVEL_DEFAULT,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of ``statistic`` over independent ``values`` (Efron 1979).

    ``statistic`` takes an array and ``axis``. For a paired comparison pass the differences or ratios of the pairs.
    """
    measured = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(seed).integers(0, len(measured), size=(RESAMPLES, len(measured)))
    tail = (1 - level) / 2
    low, high = np.quantile(statistic(measured[draws], axis=1), [tail, 1 - tail])
    return float(low), float(high)


def median_figure(name: str, values: Sequence[float], *, unit: str, detail: Mapping[str, Any] | None = None) -> Figure:
    """Return the median of repeated measurements as a figure with its bootstrap interval."""
    low, high = bootstrap_interval(values)
    return Figure(name=name, value=float(np.median(values)), unit=unit, low=low, high=high, detail=detail or {})


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
