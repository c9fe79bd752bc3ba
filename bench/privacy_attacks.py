"""What attacks get out of packets under every profile, beside federated updates of the same records.

Each set is cut in a public third, a third that six nodes emit, and a third of strangers; fingerprints have 1,024 bits.
Figures are means over seeds; ``low`` and ``high`` are the least and the largest ends of the seeds' 95 % intervals.
Federated updates, which take longest, are attacked under the first seed only.

``PROFILE_SET_attacked_accuracy``  of answers about strangers from what was attacked
``PROFILE_SET_naming``         share of members named among members and strangers
``PROFILE_SET_mia_auc``        membership; ``_mia_auc_high`` is the upper end of its interval
``PROFILE_SET_mia_informed``   the same by one who knows all other records (profiles of counts); the bound is 0.731
``PROFILE_SET_psnr``, ``_r2``  of the best reconstruction
``PROFILE_SET_attribute_gain`` how much more often a field is inferred than by imputation
``federated_SET_ATTACK_batch_N…_{psnr,r2}``  of federated updates; ``federated_SET_accuracy`` and ``_dp_sgd_accuracy``
``control_ATTACK_SET``         what the attack reaches where it has to succeed (``_wrong_planes``: where it must fail)

``--data FOLDER`` is where text is read from (``clinc150.json.xz``); without it that set is left out.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import lzma
import re
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench._figures import Figure, is_quick, write_figures
from fingerpost.lab.data import load
from fingerpost.lab.leakage import report, updates
from fingerpost.template import encode_table, parse_template

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from fingerpost.template import Template

TARGET = "privacy"
SEEDS = range(100, 101) if is_quick() else range(100, 103)
TEXT, TEXT_FILE, TEXTS = "clinc150", "clinc150.json.xz", 1_800
SETS = ("digits", "breast_cancer") if is_quick() else ("digits", "breast_cancer", "heart", TEXT)
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TEXT_TEMPLATE = """
format = 1
name = "questions"
data_class = "non_personal"
[situation.text]
kind = "text"
[outcome]
kind = "category"
levels = [{levels}]
[fingerprint]
bits = {bits}
salt = {salt}
"""
NODES = 6
BITS = 1_024
QUICK_CASES = tuple(case for case in updates.QUICK if case.control or case.attack == "idlg")
LARGE_FROM = 32  # batches of so many records are attacked by ``bench.privacy_updates``
SIZES = (
    replace(report.QUICK, records=2, cases=QUICK_CASES, draws=10)
    if is_quick()
    else replace(
        report.FULL, records=8, draws=20, cases=tuple(case for case in updates.FULL if case.batch < LARGE_FROM)
    )
)


def main() -> None:
    """Attack every set and write its figures when it is done."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sets", nargs="*", metavar="SET")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with clinc150.json.xz")
    given = parser.parse_args()
    for name in given.sets or SETS:
        if name == TEXT and not (given.data / TEXT_FILE).is_file():
            print(f"left out: {TEXT}, for want of {TEXT_FILE} in the folder of --data")
            continue
        started = time.perf_counter()
        write_figures(TARGET, figures_of(name, given.data), seeds=SEEDS)
        print(f"{name}: {time.perf_counter() - started:.0f} s")


def figures_of(name: str, folder: Path) -> list[Figure]:
    """Return the figures of one set over all seeds."""
    found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for seed in SEEDS:
        for figure, value, low, high in measured(attacked(name, seed, folder), name):
            found[figure].append((value, low, high))
    return [_figure(figure, np.array(values)) for figure, values in found.items()]


def attacked(name: str, seed: int, folder: Path) -> report.Audit:
    """Audit one set under one seed, which also draws the planes of its fingerprints."""
    if name == TEXT:
        template, columns, outcomes = texts(folder / TEXT_FILE, seed)
        levels = int(outcomes.max()) + 1
    else:
        data = load(name)
        template, columns, outcomes = data.template(bits=BITS, salt=seed), data.columns, data.outcomes.astype(np.int64)
        levels = data.levels
    encoded, problems = encode_table(template, columns, rows=len(outcomes))
    if problems:
        raise AssertionError(f"{name} does not fit its template: {problems[0]}")
    sizes = SIZES if seed == SEEDS[0] else replace(SIZES, cases=())
    return report.audit(template, encoded, outcomes, levels=levels, seed=seed, nodes=NODES, sizes=sizes)


def texts(path: Path, seed: int) -> tuple[Template, Mapping[str, Any], NDArray[np.int64]]:
    """Return questions to an assistant and which of ten domains each belongs to (Larson et al. 2019).

    An attacked text is its embedding of 256 coordinates: words are not reconstructed here.
    """
    with lzma.open(path, "rt", encoding="utf-8") as file:
        found = json.load(file)
    domains = {intent: number for number, names in enumerate(found["domains"].values()) for intent in names}
    rows = np.random.default_rng(seed).permutation(len(found["train"]))[:TEXTS]
    drawn = [found["train"][row] for row in rows]
    levels = ", ".join(f'"{name}"' for name in found["domains"])
    template = parse_template(TEXT_TEMPLATE.format(levels=levels, bits=BITS, salt=seed), source="text")
    return template, {"text": [text for text, _ in drawn]}, np.array([domains[intent] for _, intent in drawn], np.int64)


def measured(audit: report.Audit, name: str) -> Iterator[tuple[str, float, float, float]]:
    """Yield name, value and interval of every figure; without an interval both ends are the value."""
    for profile, leak in audit.profiles.items():
        start = f"{_slug(profile)}_{name}"
        named, seen = leak.naming, leak.membership
        best = audit.inversion.packets[profile][audit.inversion.best[profile]]
        yield f"{start}_attacked_accuracy", *(leak.accuracy,) * 3
        yield f"{start}_naming", named.value, named.low, named.high
        yield f"{start}_mia_auc", seen.auc, seen.low, seen.high
        yield f"{start}_mia_auc_high", seen.high, seen.high, seen.high
        yield f"{start}_mia_tpr", *(seen.true_positive_rate,) * 3
        if leak.informed is not None:
            yield f"{start}_mia_informed", leak.informed.auc, leak.informed.low, leak.informed.high
        yield f"{start}_psnr", best.psnr, best.psnr, best.psnr
        yield f"{start}_r2", best.r2, best.r2, best.r2
        if leak.attributes is not None:
            yield f"{start}_attribute_gain", *(leak.attributes.accuracy - leak.attributes.prior,) * 3
    for each in audit.inversion.updates:
        start = f"federated_{name}_{_slug(each.case.label)}"
        yield f"{start}_psnr", *(each.found.psnr,) * 3
        yield f"{start}_r2", *(each.found.r2,) * 3
    for network, learned in audit.federated.items():
        start = f"{_slug(network)}_{name}"
        yield f"{start}_accuracy", *(learned.accuracy,) * 3
        yield f"{start}_mia_auc", learned.membership.auc, learned.membership.low, learned.membership.high
    for attack, control in audit.controls.items():
        known = f"alignment_{BITS}" if attack == "alignment" else _slug(attack)  # bench.privacy_alignment has its own
        yield f"control_{known}_{name}", *(control.value,) * 3


def _figure(name: str, values: np.ndarray) -> Figure:
    value, low, high = float(values[:, 0].mean()), float(values[:, 1].min()), float(values[:, 2].max())
    unit = "dB" if name.endswith("psnr") else "R2" if name.endswith("r2") else "share"
    if low == high:
        return Figure(name=name, value=value, unit=unit, detail={"seeds": len(values)})
    return Figure(name=name, value=value, unit=unit, low=low, high=high, detail={"seeds": len(values)})


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


if __name__ == "__main__":
    main()
