"""Each of four hospitals in turn asks the other three about its patients: real packets, real answers, one process.

The table is the UCI heart-disease data that ships with the package (920 patients; CC BY 4.0). The asking hospital has
no outcome of its own: everything it knows came as signed packets from the others.
"""

from __future__ import annotations

import csv
from pathlib import Path

import fingerpost

HEART = Path(fingerpost.__file__).parent / "lab"


def columns_of(rows: list[dict[str, str]]) -> dict[str, list[str]]:
    """Return rows as columns by name."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def ask_the_others(newcomer: str, hospitals: dict[str, list[dict[str, str]]], *, show: bool) -> None:
    """Let every other hospital emit, and print how well the newcomer is answered."""
    network = fingerpost.MemoryNetwork()
    others = [name for name in hospitals if name != newcomer]
    nodes = [fingerpost.Node(HEART / "heart.toml", network=network) for _ in others]
    for name, node in zip(others, nodes, strict=True):
        node.emit_table(columns_of(hospitals[name]))
    mine = hospitals[newcomer]
    with fingerpost.Node(HEART / "heart.toml", network=network) as asker:
        answers = asker.ask_table(columns_of(mine))
        received = asker.bytes_received
    if show:
        print(f"\nOne patient of {newcomer}, answered by {', '.join(others)}:")
        print("\n".join(f"  {sentence}" for sentence in answers[0].explanation))
        print()
    for node in nodes:
        node.close()
    right = sum(
        answer.likeliest is not None and answer.likeliest.level == row["disease"]
        for answer, row in zip(answers, mine, strict=True)
    )
    ill = sum(row["disease"] == "yes" for row in mine)
    majority = max(ill, len(mine) - ill)
    print(
        f"{newcomer:12s} {len(mine):4d} patients, {ill / len(mine):4.0%} diseased: right {right / len(mine):5.1%}, "
        f"its own majority {majority / len(mine):5.1%}, {received / 1e6:.1f} MB received"
    )


def main() -> None:
    """Run it for every hospital."""
    hospitals: dict[str, list[dict[str, str]]] = {}
    with (HEART / "heart.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            hospitals.setdefault(row["hospital"], []).append(row)
    for position, newcomer in enumerate(hospitals):
        ask_the_others(newcomer, hospitals, show=position == 0)


if __name__ == "__main__":
    main()
