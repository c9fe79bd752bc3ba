"""Whether answers know how sure they are: coverage of 90 % intervals, nodes that count once, and silence that pays.

``coverage90_diabetes``             share of numbers inside their intervals (70/30, 20 splits x 5 projections)
``coverage90_probability_SET``      share of known probabilities inside their intervals: outcomes are drawn anew from
                                    two models of the set, so that the truth about every test row is known
``coverage90_bins_SET``             share of bins of test rows whose outcomes are as frequent as their estimates allow
``site_auc_HOSPITAL`` and others    each hospital asks the other three, beside central models trained on these
``interval_one_node_vs_hundred``    width of intervals from 100 packets of one node ÷ the same packets of 100 nodes
``abstention_gain_CASE``            area under the risk-coverage curve, by plain probability minus by confidence: above
                                    zero, confidence tells better when to stay silent

Everything is measured at 1,024 bits, with the training rows spread evenly over 40 nodes unless it says otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.svm import SVC

from bench._accuracy import SALTS, SPLITS, answers, figure, levels_of, load, mean, split
from bench._accuracy_plots import plot_risk
from bench._figures import Figure, write_figures
from fingerpost.lab.classifiers import forecast
from fingerpost.lab.probabilities import (
    accuracy,
    area_under_curve,
    area_under_risk,
    coverage,
    log_loss,
    risk_coverage,
)
from fingerpost.synthesis import Answer

TARGET = "accuracy"
NODES = 40
BINS = 10
LEVEL = 0.90
DRAWS = 4_000
CASES = ("heart", "breast_cancer", "wine")
HUNDRED = 100
UNSEEN = {"digits": 2, "wine": 1}  # levels that the pool has never seen
SITE_ARMS = ("svm", "logistic")


def main() -> None:
    """Measure and write the figures and the plot of risk against coverage."""
    figures = coverage_of_numbers()
    for name in CASES:
        figures += [coverage_of_probabilities(name), coverage_of_bins(name)]
    figures += sites() + one_node()
    gains, curves = abstention()
    figures += gains
    plot_risk(curves)
    write_figures(TARGET, figures, seeds=range(SPLITS))


def coverage_of_numbers() -> list[Figure]:
    """Return the coverage of intervals for diabetes, and how far the means are from those of central ridge."""
    inside, gaps, widths = [], [], []
    found = load("diabetes")
    table = found.tables()["encoded"]
    for seed in range(SPLITS):
        train, test = split("diabetes", seed)
        values = found.outcomes[test]
        model = RidgeCV(np.geomspace(1e-3, 1e3, 13)).fit(table[train], found.outcomes[train])
        theirs = explained(model.predict(table[test]), values)
        covered, gap = [], []
        for salt in range(SALTS * seed, SALTS * (seed + 1)):
            said = answers("diabetes", train=train, test=test, salt=salt, nodes=spread(train, seed), seed=seed)
            numbers = [one.number for one in said if one.number is not None]
            low, high = np.array([one.low for one in numbers]), np.array([one.high for one in numbers])
            covered.append(coverage(low, high, values))
            widths.append(float((high - low).mean()))
            gap.append(explained(np.array([one.mean for one in numbers]), values) - theirs)
        inside.append(covered)
        gaps.append(gap)
    return [
        figure("coverage90_diabetes", inside, detail={"width": mean(widths), "projections": SALTS}),
        figure("r2_gap_ridge_diabetes", gaps, detail={"projections": SALTS}),
    ]


def explained(predicted: np.ndarray, values: np.ndarray) -> float:
    """Return the share of variance that predictions explain."""
    return float(1 - ((values - predicted) ** 2).sum() / ((values - values.mean()) ** 2).sum())


def spread(train: np.ndarray, seed: int) -> np.ndarray:
    """Return the owner of every training row: ``NODES`` even shares by chance."""
    return np.random.default_rng(seed).permutation(len(train)) % NODES


def coverage_of_probabilities(name: str) -> Figure:
    """Return how often the true probability of the likeliest level lies inside its interval, also by bins."""
    shares, estimates, hits, widths = [], [], [], []
    truths = [truth(name, smooth=smooth) for smooth in (True, False)]
    for seed in range(SPLITS):
        train, test = split(name, seed)
        chance, share = np.random.default_rng(seed), []
        for probabilities in truths:
            drawn = draw(probabilities, chance)
            said = answers(
                name, train=train, test=test, salt=seed, outcomes=drawn, nodes=spread(train, seed), seed=seed
            )
            estimate, low, high = levels_of(said)
            named = np.arange(len(test)), estimate.argmax(axis=1)
            inside = (low[named] <= probabilities[test][named]) & (probabilities[test][named] <= high[named])
            share.append(mean(inside))
            estimates.append(estimate[named])
            hits.append(inside)
            widths.append(mean(high[named] - low[named]))
        shares.append(share)
    inside, sure = np.concatenate(hits), np.concatenate(estimates)
    places = np.array_split(np.argsort(sure), BINS)
    bins = [{"estimate": mean(sure[place]), "coverage": mean(inside[place])} for place in places]
    return figure(f"coverage90_probability_{name}", shares, detail={"width": mean(widths), "bins": bins})


def truth(name: str, *, smooth: bool) -> np.ndarray:
    """Return probabilities (rows, L) that are taken for true: a logistic regression, or a calibrated RBF-SVM."""
    found = load(name)
    table = found.encoded().astype(np.float64)
    spread_ = table.std(axis=0)
    table = (table - table.mean(axis=0)) / np.where(spread_ > 0, spread_, 1)
    curved = CalibratedClassifierCV(SVC(C=3.0), ensemble=False)
    model = LogisticRegression(C=0.05, max_iter=3_000) if smooth else curved
    return np.asarray(model.fit(table, found.outcomes).predict_proba(table), np.float64)


def draw(probabilities: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Return one outcome (rows,) for each row of ``probabilities`` (rows, L)."""
    codes = (chance.random((len(probabilities), 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    return np.asarray(np.minimum(codes, probabilities.shape[1] - 1))


def coverage_of_bins(name: str) -> Figure:
    """Return how many bins of ten hold an outcome as often as their estimates say, within 90 % of its distribution."""
    shares = []
    for seed in range(SPLITS):
        train, test = split(name, seed)
        said = answers(name, train=train, test=test, salt=seed, nodes=spread(train, seed), seed=seed)
        estimate = levels_of(said)[0]
        share = bins_inside(estimate[:, 1], load(name).outcomes[test] == 1, np.random.default_rng(seed))
        shares.append(share)
    return figure(f"coverage90_bins_{name}", shares)


def bins_inside(estimates: np.ndarray, happened: np.ndarray, chance: np.random.Generator) -> float:
    """Return the share of bins of ``estimates`` (q,) whose number of cases lies in the middle 90 % of what they allow.

    The number of cases is simulated from the estimates; a tie with the edge counts by chance, so that right estimates
    are inside nine times out of ten whatever the number of rows in a bin.
    """
    inside = []
    for rows in np.array_split(np.argsort(estimates), BINS):
        simulated = (chance.random((DRAWS, len(rows))) < estimates[rows]).sum(axis=1)
        cases = happened[rows].sum()
        rank = (simulated < cases).mean() + chance.random() * (simulated == cases).mean()
        inside.append((1 - LEVEL) / 2 <= rank <= (1 + LEVEL) / 2)
    return mean(inside)


def sites() -> list[Figure]:
    """Return how each hospital fares that asks the three others, and central models of these beside it."""
    found = load("heart")
    if found.sites is None:
        raise AssertionError("heart has hospitals")
    made, shares = [], []
    for site in np.unique(found.sites):
        train, test = np.flatnonzero(found.sites != site), np.flatnonzero(found.sites == site)
        codes = found.outcomes[test]
        nodes = np.unique(found.sites[train], return_inverse=True)[1].reshape(-1)
        estimates = [
            levels_of(answers("heart", train=train, test=test, salt=salt, nodes=nodes, seed=salt))[0]
            for salt in range(2 * SALTS)
        ]
        detail: dict[str, Any] = {"packets": scores(estimates, codes), "patients": len(test)}
        for arm in SITE_ARMS:
            said = forecast(arm, found.tables(), found.outcomes, train=train, test=test)
            detail[arm] = scores([said.probabilities], codes)
        chance = np.random.default_rng(0)
        shares.append([bins_inside(estimate[:, 1], codes == 1, chance) for estimate in estimates])
        word = str(site).lower().replace(" ", "_")
        made.append(Figure(name=f"site_auc_{word}", value=detail["packets"]["auc"], unit="fraction", detail=detail))
    made.append(Figure(name="coverage90_bins_site_heart", value=mean(shares), unit="fraction"))
    return made


def scores(estimates: list[np.ndarray], codes: np.ndarray) -> dict[str, float]:
    """Return mean scores of several forecasts of the same rows."""
    return {
        "accuracy": mean([accuracy(each.argmax(axis=1), codes) for each in estimates]),
        "log_loss": mean([log_loss(each, codes) for each in estimates]),
        "auc": mean([area_under_curve(each, codes) for each in estimates]),
    }


def one_node() -> list[Figure]:
    """Return what a hundred packets are worth from one node and from a hundred."""
    ratios: list[float] = []
    sizes: dict[int, list[float]] = {1: [], HUNDRED: []}
    for seed in range(SPLITS):
        train, test = split("heart", seed)
        few = train[:HUNDRED]
        width = {}
        for nodes in (1, HUNDRED):
            said = answers("heart", train=few, test=test, salt=seed, nodes=np.arange(HUNDRED) % nodes, seed=seed)
            _, low, high = levels_of(said)
            width[nodes] = (high - low)[:, 1]
            sizes[nodes].append(mean([one.effective_sample_size for one in said]))
        ratios.append(mean(width[1] / width[HUNDRED]))
    return [
        figure("interval_one_node_vs_hundred", ratios, unit="ratio"),
        figure("effective_size_one_node", sizes[1], unit="records"),
        figure("effective_size_hundred_nodes", sizes[HUNDRED], unit="records"),
    ]


def abstention() -> tuple[list[Figure], dict[str, Any]]:
    """Return what ranking by confidence gains over ranking by probability, and curves for the plot."""
    made, curves = [], {}
    names = ("digits", *CASES)
    for case in (*names, *(f"unseen_{name}" for name in UNSEEN), "site_heart"):
        gains, keeps, plains, rights = [], [], [], []
        for seed in range(SPLITS):
            name, train, test = case_rows(case, seed)
            said = answers(name, train=train, test=test, salt=seed, nodes=spread(train, seed), seed=seed)
            keep, plain, right = ranked(said, load(name).outcomes[test])
            gains.append(area_under_risk(plain, right) - area_under_risk(keep, right))
            keeps.append(keep)
            plains.append(plain)
            rights.append(right)
        right = np.concatenate(rights)
        curves[case] = [risk_coverage(np.concatenate(each), right) for each in (keeps, plains)]
        detail = {"area_by_probability": area_under_risk(np.concatenate(plains), right), "error": 1 - mean(right)}
        made.append(figure(f"abstention_gain_{case}", gains, detail=detail))
    return made, curves


def case_rows(case: str, seed: int) -> tuple[str, np.ndarray, np.ndarray]:
    """Return (set, train, test): a random split, one whose pool lacks some outcomes, or a hospital left out."""
    if case == "site_heart":
        owners = np.asarray(load("heart").sites)
        site = np.unique(owners)[seed % 4]
        return "heart", np.flatnonzero(owners != site), np.flatnonzero(owners == site)
    name = case.removeprefix("unseen_")
    train, test = split(name, seed)
    if case != name:
        codes = load(name).outcomes
        hidden = np.random.default_rng(seed).permutation(load(name).levels)[: UNSEEN[name]]
        train = train[~np.isin(codes[train], hidden)]
    return name, train, test


def ranked(said: list[Answer], codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (confidence, plain probability of the likeliest level, whether it was right), each (q,)."""
    estimate = levels_of(said)[0]
    confidence = np.array([one.confidence for one in said])
    return confidence, estimate.max(axis=1), estimate.argmax(axis=1) == codes


if __name__ == "__main__":
    main()
