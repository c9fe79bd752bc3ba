"""How soon answers are right again after the world has changed, and how they do on a stream that drifts.

``drift_recovery_observations``     constructed streams of real rows: the outcomes are renamed at once; observations
                                    until the accuracy over the trailing 50 is within 5 points of a model that is fitted
                                    anew to what was seen since. The larger median of 100 % and 30 % confirmed
``drift_recovery_observations_100`` ``…_30``   the same for either, with the share of streams that made it in 200
``elec2_accuracy_{packets,nochange,logistic,forest}``   prequential accuracy on the first rows of Elec2

A stream is one asker: it asks about a row, and with the share that is confirmed it is told the outcome, which becomes a
packet. An epoch is one observation. Answers are kernel ridge on the surviving packets, as a node gives them; settings
are searched for every 25 observations. On Elec2 every arm knows the previous outcome, and river's adaptive random
forest, logistic regression on a window of 1,000 and "as before" see the same rows in the same order.
``python -m bench.robustness_drift --data FOLDER``.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench._figures import Figure, bootstrap_interval, is_quick, write_figures
from fingerpost.elections.survive import Survival, agreement_with
from fingerpost.files import read_table
from fingerpost.fingerprint import Fingerprinter
from fingerpost.lab.data import load
from fingerpost.synthesis import Evidence, FittedKernel, KernelSettings, fit
from fingerpost.template import encode_table, infer_template

if TYPE_CHECKING:
    from numpy.typing import NDArray

TARGET = "robustness"
STREAMS = (("digits", 10), ("breast_cancer", 5), ("heart", 5))
QUICK_STREAMS = (("digits", 2), ("breast_cancer", 1), ("heart", 1))
SEED_FIRST = 100
BEFORE, AFTER = 250, 300  # observations before and after the change
SETTINGS_EVERY = 25
TRAILING = 50
POINTS = 0.05
RECOVERY_MAX = 200
SHARES = (1.0, 0.3)
BITS = 512
ELEC2_ROWS = 1_500 if is_quick() else 6_000
ELEC2_WINDOW, ELEC2_EVERY = 1_000, 48
ELEC2_PACKETS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Rows in order: fingerprints (n, B), outcomes (n,), and which of them are told."""

    fingerprints: NDArray[np.uint8]
    codes: NDArray[np.int64]
    told: NDArray[np.bool_]
    levels: int


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument(
        "--data", type=Path, default=default if default.is_dir() else None, help="folder of elec2.csv.xz"
    )
    arguments = parser.parse_args()
    figures = recovery_figures()
    path = None if arguments.data is None else arguments.data / "elec2.csv.xz"
    if path is None or not path.is_file():
        print("left out: Elec2, for want of elec2.csv.xz in the folder of --data")
    else:
        figures += elec2_figures(path)
    write_figures(TARGET, figures, seeds=range(SEED_FIRST, SEED_FIRST + max(count for _, count in STREAMS)))


def recovery_figures() -> list[Figure]:
    """Return how many observations recovery takes, over all streams."""
    figures = []
    for share in SHARES:
        found, detail = [], {}
        for name, count in QUICK_STREAMS if is_quick() else STREAMS:
            started = time.perf_counter()
            taken = [recovery(stream_of(name, SEED_FIRST + turn, share)) for turn in range(count)]
            detail[name] = taken
            found += taken
            print(f"{name}, {share:.0%} told: {taken}, {time.perf_counter() - started:.0f} s")
        low, high = bootstrap_interval(found)
        made = float(np.mean(np.array(found) <= RECOVERY_MAX))
        figures.append(
            Figure(
                name=f"drift_recovery_observations_{share * 100:.0f}",
                value=float(np.median(found)),
                unit="observations",
                low=low,
                high=high,
                detail={"streams": detail, "worst": max(found), "share_within_200": made},
            )
        )
    worst = max(figures, key=lambda figure: figure.value)
    figures.append(
        Figure(
            name="drift_recovery_observations",
            value=worst.value,
            unit="observations",
            low=worst.low,
            high=worst.high,
            detail={figure.name: figure.value for figure in figures},
        )
    )
    return figures


def stream_of(name: str, seed: int, share: float) -> Stream:
    """Return real rows in random order whose outcomes are renamed after ``BEFORE`` of them: y becomes y + 1."""
    chance = np.random.default_rng(seed)
    found = load(name)
    rows = chance.permutation(len(found))[: BEFORE + AFTER]
    codes = found.outcomes[rows].astype(np.int64)
    levels = found.levels
    codes[BEFORE:] = (codes[BEFORE:] + 1) % levels
    told = chance.random(len(rows)) < share
    template = found.template(bits=BITS)
    prints = Fingerprinter(template).fingerprints(found.encoded()[rows])
    return Stream(fingerprints=prints, codes=codes, told=told, levels=levels)


def recovery(stream: Stream) -> int:
    """Return after how many observations since the change the trailing accuracy is near that of a fresh model.

    Both are scored on the same observations; a stream that never gets there counts as all of them.
    """
    ours = right_of(stream, learns=True)[BEFORE:]
    since = Stream(
        fingerprints=stream.fingerprints[BEFORE:],
        codes=stream.codes[BEFORE:],
        told=stream.told[BEFORE:],
        levels=stream.levels,
    )
    fresh = right_of(since, learns=False)
    for seen in range(TRAILING, len(ours) + 1):
        part = slice(seen - TRAILING, seen)
        if ours[part].mean() >= fresh[part].mean() - POINTS:
            return seen
    return len(ours)


def right_of(stream: Stream, *, learns: bool) -> NDArray[np.float64]:
    """Return, for each observation, whether the answer given before its outcome was told was right."""
    known: list[int] = []
    right: list[float] = []
    settings: KernelSettings | None = None
    survival = Survival()
    for place, code in enumerate(stream.codes):
        fitted, evidence = fit_known(stream, known, survival if learns else None, settings, day=place)
        if fitted is not None:
            settings = None if place % SETTINGS_EVERY == 0 else fitted.settings
            said = fitted.predict(stream.fingerprints[place : place + 1])[0]
            right.append(float(said.argmax() == code))
        else:
            right.append(0.0)
        if stream.told[place]:
            if learns and evidence is not None:
                agreement, odds = agreement_with(evidence, float(code), deviation=0.0)
                survival = survival.tested(evidence, stream.fingerprints[place], agreement, chance=odds, day=place)
            known.append(place)
    return np.array(right)


def fit_known(
    stream: Stream, known: list[int], survival: Survival | None, settings: KernelSettings | None, *, day: int
) -> tuple[FittedKernel | None, Evidence | None]:
    """Return the calculator on what is known, and that as evidence of which all counts alike."""
    if len(known) < 2:
        return None, None
    rows = np.array(known)
    ids = np.zeros((len(rows), 32), np.uint8)
    ids[:, :8] = rows.astype(">u8").view(np.uint8).reshape(-1, 8)
    evidence = Evidence.from_arrays(
        fingerprints=stream.fingerprints[rows],
        codes=stream.codes[rows],
        counts=np.zeros((0, stream.levels), np.int64),
        packet_ids=ids,
        epochs=rows,
    )
    trust = None if survival is None else survival.trust(evidence, day=day)
    used = evidence if trust is None else evidence.trusted(trust).subset(trust > 0)
    return fit(used, day=day, settings=settings), evidence


def elec2_figures(path: Path) -> list[Figure]:
    """Return the prequential accuracy of each arm on the first rows."""
    table = read_table(path)
    outcomes = np.array([int(float(value)) for value in table.columns["price_up"].to_pylist()])[:ELEC2_ROWS]
    names = [name for name in table.columns if name != "price_up"]
    columns: dict[str, Any] = {name: table.columns[name].to_pylist()[:ELEC2_ROWS] for name in names}
    columns["before"] = [str(value) for value in [0, *outcomes[:-1]]]
    started = time.perf_counter()
    right = {
        "packets": elec2_packets(columns, outcomes),
        "nochange": (np.array([0, *outcomes[:-1]]) == outcomes).astype(float),
        "logistic": elec2_logistic(columns, outcomes),
        "forest": elec2_forest(columns, outcomes),
    }
    print(f"Elec2, {ELEC2_ROWS} rows: {time.perf_counter() - started:.0f} s")
    return [
        Figure(name=f"elec2_accuracy_{arm}", value=float(hits.mean()), unit="fraction", detail={"rows": len(hits)})
        for arm, hits in right.items()
    ]


def elec2_packets(columns: dict[str, Any], outcomes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Answer from the surviving packets of the stream, the last ``ELEC2_PACKETS`` of them."""
    texts = columns | {"price_up": [str(value) for value in outcomes]}
    draft = infer_template(texts, outcome="price_up", name="elec2", data_class="non_personal")
    fields = {field.name for field in draft.template.situation}
    situations = {name: column for name, column in texts.items() if name in fields}
    encoded, problems = encode_table(draft.template, situations, rows=len(outcomes))
    if problems:
        raise AssertionError(f"Elec2 does not fit its template: {problems[0]}")
    prints = Fingerprinter(draft.template).fingerprints(encoded)
    stream = Stream(fingerprints=prints, codes=outcomes, told=np.ones(len(outcomes), bool), levels=2)
    survival, right = Survival(), np.zeros(len(outcomes))
    for start in range(0, len(outcomes), ELEC2_EVERY):
        known = list(range(max(0, start - ELEC2_PACKETS), start))
        fitted, evidence = fit_known(stream, known, survival, None, day=start)
        part = slice(start, start + ELEC2_EVERY)
        if fitted is None or evidence is None:
            continue
        right[part] = fitted.predict(prints[part]).argmax(axis=1) == outcomes[part]
        for place in range(start, min(start + ELEC2_EVERY, len(outcomes))):
            agreement, odds = agreement_with(evidence, float(outcomes[place]), deviation=0.0)
            survival = survival.tested(evidence, prints[place], agreement, chance=odds, day=place)
    return right


def elec2_logistic(columns: dict[str, Any], outcomes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Fit logistic regression to a window, as often as the packets are fitted."""
    from sklearn.linear_model import LogisticRegression

    table = np.array([[float(value) for value in column] for column in columns.values()]).T
    right = np.zeros(len(outcomes))
    for start in range(ELEC2_EVERY, len(outcomes), ELEC2_EVERY):
        window, part = slice(max(0, start - ELEC2_WINDOW), start), slice(start, start + ELEC2_EVERY)
        if len(np.unique(outcomes[window])) == 2:
            model = LogisticRegression(max_iter=1_000).fit(table[window], outcomes[window])
            right[part] = model.predict(table[part]) == outcomes[part]
    return right


def elec2_forest(columns: dict[str, Any], outcomes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Let river's adaptive random forest learn from every row at once, which favours it over arms fitted in turns."""
    from river.forest import ARFClassifier

    model, right = ARFClassifier(seed=SEED_FIRST), np.zeros(len(outcomes))
    for place, outcome in enumerate(outcomes):
        row: dict[Any, float] = {name: float(column[place]) for name, column in columns.items()}
        right[place] = model.predict_one(row) == outcome
        model.learn_one(row, int(outcome))
    return right


if __name__ == "__main__":
    main()
