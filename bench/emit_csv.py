"""From a CSV file to signed packets, against reading, encoding and projecting the same rows with pandas and sklearn.

Prints ``emit_csv_cost``: the time of reading a table of 10^5 rows (eight numbers, four categories, an outcome),
encoding it by its template, projecting it to 256-bit fingerprints and signing it in batches ÷ that of ``read_csv``,
``StandardScaler`` and ``OneHotEncoder`` in a ``ColumnTransformer`` and a float64 sign projection to as many bits.
Processor time, in turn, in one process; the template is drafted before, as it is once for all emissions.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core is what the figure says; read when numpy is loaded

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bench._figures import is_quick, median_figure, write_figures
from fingerpost.files import read_table
from fingerpost.fingerprint import Fingerprinter
from fingerpost.node.emission import build_packets, observations_of_table
from fingerpost.packet import Signer
from fingerpost.system import SystemEntropy
from fingerpost.template import Template, infer_template

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET = "bench"
SEED = 0
ROWS, BITS = 100_000, 256
NUMBERS, CATEGORIES = 8, 4
DAY = 20_000


def main() -> None:
    """Measure and write the figure."""
    rounds = 5 if is_quick() else 9
    rows = ROWS // 5 if is_quick() else ROWS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        write_table(path, rows)
        draft = infer_template(read_table(path).columns, outcome="outcome", name="bench", data_class="non_personal")
        template = draft.template
        actions: dict[str, Callable[[], object]] = {
            "ours": partial(to_packets, path, template, Fingerprinter(template), Signer(bytes(32))),
            "theirs": partial(to_bits, path),
        }
        seconds: dict[str, list[float]] = {name: [] for name in actions}
        for turn in range(rounds + 1):
            for name, action in actions.items():
                start = time.process_time()
                action()
                if turn:
                    seconds[name].append(time.process_time() - start)
    detail = {f"{name}_seconds": float(np.median(found)) for name, found in seconds.items()} | {"rows": rows}
    costs = [ours / theirs for ours, theirs in zip(seconds["ours"], seconds["theirs"], strict=True)]
    write_figures(TARGET, [median_figure("emit_csv_cost", costs, unit="ratio", detail=detail)], seeds=[SEED])


def write_table(path: Path, rows: int) -> None:
    """Write the table; what the rows say does not matter to the time."""
    generator = np.random.default_rng(SEED)
    columns = {f"number{each}": generator.normal(50, 15, rows).round(3) for each in range(NUMBERS)}
    for each in range(CATEGORIES):
        columns[f"category{each}"] = generator.choice([f"level{level}" for level in range(5 + each)], rows)
    columns["outcome"] = generator.choice(["yes", "no"], rows)
    pd.DataFrame(columns).to_csv(path, index=False)


def to_packets(path: Path, template: Template, fingerprinter: Fingerprinter, signer: Signer) -> int:
    """Read, encode, project and sign."""
    table = read_table(path)
    observations, problems = observations_of_table(template, table.columns, rows=table.rows)
    bad = np.array(sorted({problem.row - 1 for problem in problems}), np.intp)
    packets, _ = build_packets(
        template, fingerprinter, observations.without(bad), signer=signer, day=DAY, entropy=SystemEntropy()
    )
    if len(packets) < 0.99 * table.rows:
        raise AssertionError("rows were left out")
    return len(packets)


def to_bits(path: Path) -> int:
    """Read, encode and project."""
    frame = pd.read_csv(path)
    numbers = [name for name in frame if name.startswith("number")]
    categories = [name for name in frame if name.startswith("category")]
    encoder = ColumnTransformer(
        [("numbers", StandardScaler(), numbers), ("categories", OneHotEncoder(sparse_output=False), categories)]
    )
    encoded = encoder.fit_transform(frame)
    planes = np.random.default_rng(SEED).normal(size=(encoded.shape[1], BITS))
    return len(np.packbits(encoded @ planes >= 0, axis=1))


if __name__ == "__main__":
    main()
