"""What asking costs and gains beside going alone, for a site with 0, 8, 32 or 128 outcomes of its own.

For heart (4 hospitals), default_credit (segments) and Beijing (12 stations), each site in turn is the asker. A part of
its rows is held out (the last ones in time, where there is time); the other sites' rows are packets of other nodes, and
of its own it has told so many. Nothing is confirmed: calculators start from the packets alone.

``own_data_penalty_SET_ROWS``   mean log-loss of the mixture minus that of the better of own-only and pooled
``alone_regret_nats_SET``       largest total loss of the mixture beyond going alone, over sites, when every row of a
                                site is asked about, answered, and confirmed, from its first one on (bound: ln 5)

Intervals are 90 %, bootstrapped over (site, repetition). ``python -m bench.robustness_own_data --data FOLDER``.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench._figures import Figure, bootstrap_interval, is_quick, write_figures
from bench._own_data_sets import read_site_sets
from fingerpost.elections.calculate import Ledger, losses_of, starting_shares, weigh
from fingerpost.ids import node_id
from fingerpost.synthesis import Answer, Evidence, Query, Synthesizer
from fingerpost.synthesis.calculators import OWN_RECORDS_MIN
from fingerpost.template import CategoryOutcomeField

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench._own_data_sets import SiteSet

TARGET = "robustness"
OWN_ROWS = (0, 8, 32, 128)
SEEDS = range(100, 102) if is_quick() else range(100, 104)
ASKED_MAX = 60 if is_quick() else 120  # held-out rows of a site
OTHERS_MAX = 500 if is_quick() else 1_200  # packets of other sites
SITES_MAX = 4
STREAM_ROWS = 25 if is_quick() else 80
HELD_OUT_SHARE = 0.33
LOSS_MAX = 30.0
DAY = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One site as the asker: rows of others, rows of its own in the order in which it tells them, rows to ask about."""

    asker: int
    others: NDArray[np.int64]
    own: NDArray[np.int64]
    asked: NDArray[np.int64]


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=default if default.is_dir() else None, help="folder of the tables")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    for found in read_site_sets(arguments.data):
        started = time.perf_counter()
        draws = [draw for seed in SEEDS for draw in draws_of(found, seed)]
        figures += [
            penalty(found, draws, own_rows) for own_rows in OWN_ROWS if any(len(d.own) >= own_rows for d in draws)
        ]
        figures.append(regret(found, draws_of(found, SEEDS[0])))
        print(f"{found.name}: {time.perf_counter() - started:.0f} s, {len(found.codes):,} rows")
    write_figures(TARGET, figures, seeds=SEEDS)


def draws_of(found: SiteSet, seed: int) -> list[Draw]:
    """Return the sites that ask, each with rows drawn by the seed."""
    chance = np.random.default_rng(seed)
    count = len(found.site_names)
    draws = []
    for asker in np.sort(chance.permutation(count)[:SITES_MAX]):
        mine = np.flatnonzero(found.sites == asker)
        held = int(len(mine) * HELD_OUT_SHARE)
        ordered = mine if found.in_time else chance.permutation(mine)
        own, last = chance.permutation(ordered[:-held]), ordered[-held:]
        asked = chance.permutation(last)[:ASKED_MAX]
        others = np.flatnonzero(found.sites != asker)
        if found.in_time:
            before = np.concatenate([_first_share(np.flatnonzero(found.sites == site)) for site in range(count)])
            others = np.intersect1d(others, before)
        others = chance.permutation(others)[:OTHERS_MAX]
        draws.append(Draw(asker=int(asker), others=others, own=own, asked=asked))
    return draws


def _first_share(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[: int(len(rows) * (1 - HELD_OUT_SHARE))]


def penalty(found: SiteSet, draws: list[Draw], own_rows: int) -> Figure:
    """Return how much more the mixture loses than the better of own-only and pooled."""
    lost = np.array([losses(found, draw, own_rows) for draw in draws if len(draw.own) >= own_rows])
    mixture, own, pooled = lost.mean(axis=0)
    best = min(own, pooled)
    low, high = bootstrap_interval(lost[:, 0] - lost[:, 1 if own < pooled else 2], statistic=np.mean)
    detail = {"mixture": float(mixture), "own": float(own), "pooled": float(pooled), "draws": len(lost)}
    name = {"credit": "default_credit"}.get(found.name, found.name)
    return Figure(
        name=f"own_data_penalty_{name}_{own_rows}",
        value=float(mixture - best),
        unit="nats",
        low=low,
        high=high,
        detail=detail,
    )


def losses(found: SiteSet, draw: Draw, own_rows: int) -> tuple[float, float, float]:
    """Return the mean log-loss of the mixture, of own packets alone, and of all packets alike."""
    own = draw.own[:own_rows]
    queries = queries_of(found, draw.asked)
    asker = node_id(_key(draw.asker).tobytes())
    pool = Synthesizer(evidence_of(found, np.concatenate([draw.others, own])), found.template, day=DAY)
    mixed = pool.ask_many(queries, weighing=weigh(None, pool.panel(asker), asker=asker))
    pooled = pool.ask_many(queries)
    codes = found.codes[draw.asked]
    levels = found.template.outcome
    if not isinstance(levels, CategoryOutcomeField):
        raise AssertionError("these outcomes are levels")
    if own_rows:
        alone = Synthesizer(evidence_of(found, own), found.template, day=DAY).ask_many(queries)
        own_loss = mean_loss(alone, codes)
    else:
        own_loss = math.log(len(levels.levels))  # who knows nothing and asks nobody
    return mean_loss(mixed, codes), own_loss, mean_loss(pooled, codes)


def regret(found: SiteSet, draws: list[Draw]) -> Figure:
    """Let every row of each site be asked about and then confirmed; return the worst total beyond going alone."""
    totals = {}
    for draw in draws:
        rows = np.concatenate([draw.own, draw.asked])[:STREAM_ROWS]
        totals[found.site_names[draw.asker]] = prequential(found, draw, rows)
    worst = max(mixture - alone for mixture, alone in totals.values())
    name = {"credit": "default_credit"}.get(found.name, found.name)
    detail = {site: {"mixture": mixture, "alone": alone} for site, (mixture, alone) in totals.items()}
    bound = math.log(5)
    return Figure(
        name=f"alone_regret_nats_{name}", value=float(worst), unit="nats", detail={"bound": bound, "sites": detail}
    )


def prequential(found: SiteSet, draw: Draw, rows: NDArray[np.int64]) -> tuple[float, float]:
    """Return the total losses of the mixture and of going alone, over all rounds in which going alone has an answer.

    Going alone is kernel ridge on the rows confirmed so far, whether or not the panel's own ``alone`` was awake for the
    question; with fewer than ``OWN_RECORDS_MIN`` it has no answer.
    """
    asker = node_id(_key(draw.asker).tobytes())
    ledger: Ledger | None = None
    mixture = alone = 0.0
    for place in range(len(rows)):
        queries, codes = queries_of(found, rows[place : place + 1]), found.codes[rows[place : place + 1]]
        pool = Synthesizer(evidence_of(found, np.concatenate([draw.others, rows[:place]])), found.template, day=DAY)
        panel = pool.panel(asker)
        (answer,) = pool.ask_many(queries, weighing=weigh(ledger, panel, asker=asker))
        if answer.calculation is None:
            raise AssertionError("the answer was mixed")
        if place >= OWN_RECORDS_MIN:
            mixture += mean_loss([answer], codes)
            by_itself = Synthesizer(evidence_of(found, rows[:place]), found.template, day=DAY)
            alone += mean_loss(by_itself.ask_many(queries), codes)
        if ledger is None:
            ledger = Ledger.open(starting_shares(panel.names, panel.trial))
        ledger = ledger.confirmed(losses_of(answer.calculation, found.template, answer.levels[codes[0]].level))
    return mixture, alone


def evidence_of(found: SiteSet, rows: NDArray[np.int64]) -> Evidence:
    """Return rows as packets of their sites' nodes."""
    keys = np.array([_key(int(site)) for site in found.sites[rows]], np.uint8).reshape(-1, 32)
    ids = np.zeros((len(rows), 32), np.uint8)
    ids[:, :8] = (
        np.random.default_rng(0).permutation(len(found.codes))[rows].astype(">u8").view(np.uint8).reshape(-1, 8)
    )
    levels = found.template.outcome
    count = len(levels.levels) if isinstance(levels, CategoryOutcomeField) else 0
    return Evidence.from_arrays(
        fingerprints=found.fingerprints[rows],
        codes=found.codes[rows],
        counts=np.zeros((0, count), np.int64),
        emitters=keys,
        packet_ids=ids,
        epochs=np.full(len(rows), DAY),
        sketches=None if found.sketches is None else found.sketches[rows],
    )


def queries_of(found: SiteSet, rows: NDArray[np.int64]) -> list[Query]:
    """Return rows as questions."""
    return [
        Query(
            fingerprint=found.fingerprints[row].tobytes(),
            sketch=None if found.sketches is None else found.sketches[row].tobytes(),
        )
        for row in rows
    ]


def mean_loss(answers: list[Answer], codes: NDArray[np.int64]) -> float:
    """Return the mean log-loss of estimates, in nats."""
    lost = [-math.log(answer.levels[code].probability) for answer, code in zip(answers, codes, strict=True)]
    return float(np.minimum(lost, LOSS_MAX).mean())


def _key(site: int) -> NDArray[np.uint8]:
    key = np.zeros(32, np.uint8)
    key[:2] = site % 256, 1 + site // 256
    return key


if __name__ == "__main__":
    main()
