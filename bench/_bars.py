"""What the figures have to reach: one table, by target and name. A figure without a bar is reported, not judged."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Edge = Literal["value", "low", "high"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Bounds for the figures whose whole name fits ``names``, a regular expression.

    ``edge`` says what is compared: the value, or an end of its interval where it has one.
    """

    names: str
    at_least: float | None = None
    at_most: float | None = None
    edge: Edge = "value"
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse a bar that everything clears."""
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"{self.names}: a bar has a bound")

    def __str__(self) -> str:
        bounds = [f"≥ {self.at_least:,g}"] if self.at_least is not None else []
        bounds += [f"≤ {self.at_most:,g}"] if self.at_most is not None else []
        edge = "" if self.edge == "value" else f"{self.edge} end "
        return edge + ", ".join(bounds) + (f" ({self.note})" if self.note else "")

    def is_met(self, value: float) -> bool:
        """Say whether a number lies within the bounds."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


# For each target, the first that fits counts.
BARS: dict[str, tuple[Bar, ...]] = {
    "accuracy": (
        Bar(names=r"acc_gap_svm_(digits|breast_cancer)_1024", at_least=-0.010, edge="low"),
        Bar(names=r"acc_gap_svm_(wine|heart)_1024", at_least=-0.020, edge="low"),
        Bar(names=r"acc_gap_svm_(digits|breast_cancer|wine)_sketch", at_least=-0.008),
        Bar(names=r"acc_gap_svm_heart_sketch", at_least=-0.020),
        Bar(names=r"logloss_gap_central_\w+_1024", at_most=0, note="two of four sets are enough"),
        Bar(names=r"ece_excess_\w+_1024", at_most=0.015),
        Bar(names=r"coverage90_diabetes", at_least=0.87, at_most=0.93),
        Bar(names=r"partition_penalty_digits_elections", at_most=0.010),
        Bar(names=r"partition_penalty_digits", at_most=0),
    ),
    "bench": (
        Bar(names=r"pairs_1e6_seconds", at_most=1.5),
        Bar(names=r"pairs_1e6_vs_brute", at_least=1e4),
        Bar(names=r"ingest_256_vs_strong", at_least=20),
        Bar(names=r"ingest_16_vs_strong", at_least=8),
        Bar(names=r"ingest_1_vs_strong", at_least=1),
        Bar(names=r"ingest_256_vs_json", at_least=45),
        Bar(names=r"verify_256_vs_pynacl", at_least=30),
        Bar(names=r"verify_16_vs_pynacl", at_least=8),
        Bar(names=r"ask_1e6_cost", at_most=2),
        Bar(names=r"nn_1e7_vs_flat", at_least=20),
        Bar(names=r"nn_1e7_recall", at_least=0.99),
        Bar(names=r"emit_csv_cost", at_most=2),
        Bar(names=r"private_mb_1e6", at_most=400),
        Bar(names=r"restart_1e6_seconds", at_most=3),
        Bar(names=r"import_cost", at_most=10),
        Bar(names=r"carrier_store_vs_bare", at_least=0.25, note="an aim"),
    ),
    "network": (
        Bar(names=r"acked_lost(_nats)?", at_most=0),
        Bar(names=r"kill_rounds", at_least=20),
        Bar(names=r"acked_total", at_least=100_000),
        Bar(names=r"repair_seconds_max", at_most=30),
        Bar(names=r"ask_warm_ms_50", at_most=10),
        Bar(names=r"emit_warm_ms_50", at_most=20),
        Bar(names=r"join_to_answer_seconds", at_most=3),
        Bar(names=r"ask_vs_dht_store", at_least=100),
        Bar(names=r"carrier_efficiency_(zeromq|grpc|flight|nats)", at_least=0.5),
    ),
    "sim-long": (Bar(names=r"violations", at_most=0),),
    "routing-scale": (Bar(names=r"recall64_1e6_\w+", at_least=0.95, note="one setting is enough"),),
    "robustness": (
        Bar(names=r"gap_oracle_digits_(flip|random)_([1-7]?\d|80)", at_least=-0.010),
        Bar(names=r"bad_hires_\w+|sybils_hired_300", at_most=0),
        Bar(names=r"false_hire_rate_null", at_most=0.05),
        Bar(names=r"own_data_penalty_\w+", at_most=0.02),
        Bar(names=r"targeted40_audits25_class_accuracy", at_least=0.90),
        Bar(names=r"drift_recovery_observations", at_most=200),
        Bar(names=r"hire_1e5_seconds", at_most=10),
        Bar(names=r"hire_increment_seconds", at_most=0.5),
    ),
    "privacy": (Bar(names=r"encryption_(emit|verify)_cost", at_most=2),),
}


def bar_of(target: str, name: str) -> Bar | None:
    """Return the bar of a figure, if it has one."""
    return next((bar for bar in BARS.get(target, ()) if re.fullmatch(bar.names, name)), None)
