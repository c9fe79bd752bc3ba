"""Routing in networks of a thousand to a million nodes, on fingerprints of real situations, a thousand packets a node.

For cells of some bits and questions that look into some cells: ``recall64_{nodes}_{cell bits}_{probes}``, the share of
the 64 nearest packets that lie in these cells; ``holders_asked_…``, one for each of 256 groups; ``messages_…`` and
``bytes_…``, to ask each of them for its 1,024 nearest packets (mode "direct"); ``messages_cells_…`` and
``bytes_cells_…``, to fetch all packets of the cells for the first time (mode "cells"). And
``load_skew_{nodes}_{cell bits}``: packets of the fullest holder ÷ mean of those that have any. Each figure is that of
the set for which it is worst; ``detail`` has all sets. Cell bits such as ``codebook12`` are those of a codebook, made
from rows that are neither kept nor ask; of a set with too few of them there is no figure.

Sampling: no set has 10^9 rows, and none is made up. Of N packets of which n were drawn at random, about 64 n / N of the
64 nearest are among the n: so recall is measured on the nearest 64 n / N of the sample, found by comparing with every
row. Where that is less than one, it is measured on the nearest one. That lies further away than the 64 nearest of N do,
so the figure is then a lower bound (``bound`` in ``detail``). Rows at equal distance count alike.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import faiss
import numpy as np

from bench._figures import (
    Figure,
    bootstrap_interval,
    interleaved_seconds,
    is_quick,
    median_figure,
    write_figures,
)
from bench._routing_places import Town
from bench._routing_plots import plot_routing
from bench._routing_sets import RealSet, read_sets
from fingerpost.fingerprint import Fingerprinter, cell_of, group_of, likely_cells
from fingerpost.fingerprint.codebook import make_codebook
from fingerpost.ids import TemplateId
from fingerpost.limits import FRAME_IDS_MAX, FRAME_PACKETS_MAX, GROUP_BITS_SERVED_MAX, PACKET_SIZE_BYTES
from fingerpost.node.runtime import NEAREST_PACKETS
from fingerpost.node.wire import Nearest, WantCells, encode_message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fingerpost.template import Template

TARGET = "routing-scale"
NODES = {"1e3": 1_000, "1e4": 10_000, "1e5": 100_000, "1e6": 1_000_000}
PACKETS_A_NODE = 1_000
SCHEMES = ("8", "12", "16", "20", "codebook8", "codebook10", "codebook12")
GROUP_BITS, GROUP_BITS_TRIED = 8, (0, 4, 8, GROUP_BITS_SERVED_MAX)
PROBES = (1, 8, 16, 64, 256)
NEAREST = 64
TIES_READ = 512  # of the ranking by brute force, so that equal distances at its end count alike
PACKET_ID_SIZE_BYTES = 32
SEED = 0
TIMED_ROWS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """By brute force: the nearest rows of the population for m questions and their distances in bits, (m, 512) each."""

    rows: NDArray[np.int64]
    distances: NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What m questions saw of one set with cells of some bits.

    ``rank`` (m, 512) is how many cells were looked into before that of the nearest row, second nearest, …; ``cells``
    (m, probes) are the cells in the order asked, ``shares`` (m, probes) what part of all packets lies in each, and
    ``all_shares`` (2^bits,) in every cell.
    """

    template: Template
    ranking: Ranking
    rows: int
    rank: NDArray[np.int64]
    cells: NDArray[np.uint32]
    shares: NDArray[np.float64]
    all_shares: NDArray[np.float64]

    def with_group_bits(self, group_bits: int) -> Template:
        """Return the template with other groups; cells and probes stay what they are."""
        return replace(self.template, group_bits=group_bits)


def main() -> None:
    """Measure, write the figures and draw them."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, default=os.environ.get("FINGERPOST_DATA"), help="folder of the tables")
    folder = options.parse_args().data
    sets = read_sets(folder and Path(folder), questions=60 if is_quick() else 300, seed=SEED)
    nodes = dict(list(NODES.items())[-1:]) if is_quick() else NODES
    towns = {name: Town(count, seed=SEED) for name, count in nodes.items()}
    rankings = {one.name: by_brute_force(one) for one in sets}
    figures: list[Figure] = []
    for scheme in SCHEMES:
        templates = {one.name: template_of(one, scheme) for one in sets}
        seen = {
            one.name: look(one, rankings[one.name], template)
            for one in sets
            if (template := templates[one.name]) is not None
        }
        if scheme.startswith("codebook"):
            figures.append(cells_a_second(scheme, next(iter(seen.values())).template))
        for name, count in nodes.items():
            packets = count * PACKETS_A_NODE
            for looked_into in PROBES:
                figures += figures_of(f"{name}_{scheme}_{looked_into}", seen, packets, looked_into)
            figures.append(load_skew(f"load_skew_{name}_{scheme}", seen, packets, towns[name]))
    figures += [lookups(name, town) for name, town in towns.items()]
    write_figures(TARGET, figures, seeds=[SEED])
    by_name = {figure.name: figure for figure in figures}
    plot_routing(by_name, sets=[one.name for one in sets], schemes=SCHEMES, probes=PROBES)


def by_brute_force(one: RealSet) -> Ranking:
    """Compare every question with every row."""
    index = faiss.IndexBinaryFlat(8 * one.population.shape[1])
    index.add(one.population)
    fingerprints = Fingerprinter(one.template).fingerprints(one.asking)
    distances, rows = index.search(fingerprints, min(TIES_READ, len(one.population)))
    return Ranking(rows=rows, distances=distances)


def template_of(one: RealSet, scheme: str) -> Template | None:
    """Return the template of a set with other cells, or None where it has too few public rows for a codebook."""
    if not scheme.startswith("codebook"):
        return replace(one.template, cell_bits=int(scheme))
    bits = int(scheme.removeprefix("codebook"))
    if len(np.unique(one.public, axis=0)) < 1 << bits:
        return None
    return replace(one.template, cell_bits=bits, codebook=make_codebook(one.public, one.template, bits=bits))


def look(one: RealSet, ranking: Ranking, template: Template) -> Seen:
    """Look into cells, best first, for each question."""
    bits = template.cell_bits
    fingerprinter = Fingerprinter(template)
    fingerprints = fingerprinter.fingerprints(one.asking)
    costs = fingerprinter.flip_costs(one.asking)
    cells = cell_of(one.population, template)
    all_shares = np.bincount(cells, minlength=1 << bits) / len(cells)
    count = min(max(PROBES), 1 << bits)
    order = np.array(
        [
            likely_cells(fingerprint.tobytes(), template, count=count, flip_costs=cost)
            for fingerprint, cost in zip(fingerprints, costs, strict=True)
        ]
    )
    rank = np.full(ranking.rows.shape, count, np.int64)
    for question, looked_into in enumerate(order):
        by_number = np.argsort(looked_into)
        wanted = cells[ranking.rows[question]]
        place = np.searchsorted(looked_into, wanted, sorter=by_number).clip(max=count - 1)
        found = by_number[place]
        rank[question] = np.where(looked_into[found] == wanted, found, count)
    return Seen(
        template=template,
        ranking=ranking,
        rows=len(cells),
        rank=rank,
        cells=order,
        shares=all_shares[order],
        all_shares=all_shares,
    )


def figures_of(suffix: str, seen: Mapping[str, Seen], packets: int, looked_into: int) -> list[Figure]:
    """Return the figures of one setting: recall, holders, messages, bytes, each of the set that it is worst for."""
    found = {name: recall(one, packets, looked_into) for name, one in seen.items()}
    worst = min(found, key=lambda name: float(found[name].mean()))
    low, high = bootstrap_interval(found[worst], statistic=np.mean)
    detail = {
        "sets": {name: float(values.mean()) for name, values in found.items()},
        "share_looked_at": {name: float(one.shares[:, :looked_into].sum(axis=1).mean()) for name, one in seen.items()},
        "bound": {name: NEAREST * one.rows < packets for name, one in seen.items()},
        "packets": packets,
    }
    name = f"recall64_{suffix}"
    figures = [Figure(name=name, value=float(found[worst].mean()), unit="share", low=low, high=high, detail=detail)]
    costs = {name: costs_of(one, packets, looked_into) for name, one in seen.items()}
    for measured, unit in UNITS.items():
        each = {name: cost[measured] for name, cost in costs.items()}
        figures.append(Figure(name=f"{measured}_{suffix}", value=max(each.values()), unit=unit, detail={"sets": each}))
    return figures


UNITS = {
    "holders_asked": "holders",
    "messages": "messages",
    "bytes": "B",
    "messages_cells": "messages",
    "bytes_cells": "B",
}


def recall(seen: Seen, packets: int, looked_into: int) -> NDArray[np.float64]:
    """Return for each question the share of the nearest that lie in the first cells; see the head of this module."""
    count = min(NEAREST, max(1, round(NEAREST * seen.rows / packets)))
    distances = seen.ranking.distances
    last = distances[:, count - 1 : count]
    nearer, equal, hit = distances < last, distances == last, seen.rank < looked_into
    open_places = count - nearer.sum(axis=1)
    among_equal = (hit & equal).sum(axis=1) / equal.sum(axis=1)
    shares: NDArray[np.float64] = ((hit & nearer).sum(axis=1) + open_places * among_equal) / count
    return shares


def costs_of(seen: Seen, packets: int, looked_into: int) -> dict[str, float]:
    """Return what a question costs on average, from the sizes of real frames, with one holder of each group asked."""
    template = seen.with_group_bits(min(seen.template.cell_bits, GROUP_BITS))
    whole = np.bincount(group_of(np.arange(len(seen.all_shares)), template), seen.all_shares) * packets
    fingerprint = bytes(template.fingerprint_bits // 8)
    nearest = Nearest(number=1, template_id=template.template_id, fingerprint=fingerprint, count=NEAREST_PACKETS)
    costs: list[dict[str, float]] = []
    for cells, shares in zip(seen.cells[:, :looked_into], seen.shares[:, :looked_into], strict=True):
        groups, group = np.unique(group_of(cells, template), return_inverse=True)
        in_group = np.ceil(np.bincount(group, shares) * packets)
        ranked = np.minimum(whole[groups], NEAREST_PACKETS)
        want = WantCells(number=1, template_id=template.template_id, cells=cells.tolist(), known=bytes(16 * len(cells)))
        costs.append(
            {
                "holders_asked": len(groups),
                "messages": 2 * len(groups),
                "bytes": len(groups) * len(encode_message(nearest)) + ranked.sum() * PACKET_SIZE_BYTES,
                "messages_cells": 2
                * (np.maximum(1, np.ceil(in_group / FRAME_IDS_MAX)) + np.ceil(in_group / FRAME_PACKETS_MAX)).sum(),
                "bytes_cells": len(encode_message(want)) + in_group.sum() * (PACKET_SIZE_BYTES + PACKET_ID_SIZE_BYTES),
            }
        )
    return {name: float(np.mean([cost[name] for cost in costs])) for name in UNITS}


def load_skew(name: str, seen: Mapping[str, Seen], packets: int, town: Town) -> Figure:
    """Place every group and return how much fuller the fullest holder is than the mean of those that have any."""
    detail: dict[str, dict[str, dict[str, float]]] = {}
    for set_name, one in seen.items():
        bits = one.template.cell_bits
        for group_bits in sorted({min(bits, wanted) for wanted in GROUP_BITS_TRIED}):
            template = one.with_group_bits(group_bits)
            groups = group_of(np.arange(len(one.all_shares)), template)
            load: dict[int, float] = {}
            for group, share in enumerate(np.bincount(groups, one.all_shares)):
                for holder in town.holders(template.template_id, group) if share else ():
                    load[holder] = load.get(holder, 0.0) + float(share) * packets
            fullest, mean = max(load.values()), sum(load.values()) / len(load)
            by_group_bits = detail.setdefault(set_name, {})
            by_group_bits[str(group_bits)] = {
                "skew": fullest / mean,
                "holders": len(load),
                "packets_fullest": fullest,
                "share_fullest": fullest / packets,
            }
    finest = {set_name: by_group_bits[str(GROUP_BITS)]["skew"] for set_name, by_group_bits in detail.items()}
    return Figure(name=name, value=max(finest.values()), unit="ratio", detail={"sets_by_group_bits": detail})


def cells_a_second(scheme: str, template: Template) -> Figure:
    """Return how many fingerprints find their cell in a second of one core."""
    rows = np.random.default_rng(SEED).integers(0, 256, (TIMED_ROWS, template.fingerprint_bits // 8), dtype=np.uint8)
    seconds = interleaved_seconds({"cells": lambda: cell_of(rows, template)}, rounds=5)["cells"]
    rates = [TIMED_ROWS / each for each in seconds]
    detail = {"template_bytes": len(template.canonical)}
    return median_figure(f"cells_a_second_{scheme}", rates, unit="1/s", detail=detail)


def lookups(name: str, town: Town) -> Figure:
    """Return how many regions of the directory an asker reads that knows none; one that remembers them reads one."""
    template_id = TemplateId(bytes(16))
    homes = [town.home(template_id, group) for group in range(1_000)]
    counts = [region.depth + 1 for region in homes]
    holders = [town.count(region) for region in set(homes)]
    detail = {"most": max(counts), "holders_in_region": float(np.mean(holders)), "holders_most": max(holders)}
    return Figure(name=f"lookups_first_{name}", value=float(np.mean(counts)), unit="look-ups", detail=detail)


if __name__ == "__main__":
    main()
