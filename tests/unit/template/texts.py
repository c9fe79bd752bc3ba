"""Template texts that tests start from."""

from __future__ import annotations

HOSPITAL = """
format = 1
name = "heart-disease"
description = "an example"
data_class = "non_personal"

[situation.age]
kind = "number"
range = [20, 90]
unit = "year"
missing = "refuse"

[situation.sex]
kind = "category"
levels = ["female", "male"]

[situation.pain]
kind = "category"
levels = ["typical", "atypical", "none"]
other = "missing"

[situation.stage]
kind = "ordinal"
levels = ["I", "II", "III", "IV"]

[situation.symptoms]
kind = "set"
levels = ["cough", "fever"]

[situation.enzyme]
kind = "number"
range = [0.5, 2000]
scale = "log"
outside = "clamp"
weight = 1.5

[situation.trace]
kind = "vector"
size = 3
range = [-1, 1]

[action]
name = "drug"
levels = ["aspirin", "statin"]

[outcome]
name = "died"
kind = "category"
levels = ["no", "yes"]

[conditions.region]
levels = ["north", "south"]

[fingerprint]
bits = 128

[cells]
bits = 4

[retention]
ttl_days = 90
half_life_days = 30
"""

SMALL = """
format = 1
name = "small"

[situation.x]
kind = "number"
range = [0, 10]

[outcome]
kind = "category"
levels = ["no", "yes"]
"""


def small_with(field: str, **tables: str) -> str:
    """Return the small template with the lines of its only field replaced and other tables' lines added."""
    text = SMALL.replace('kind = "number"\nrange = [0, 10]', field)
    for table, lines in tables.items():
        text = (
            text.replace(f"[{table}]", f"[{table}]\n{lines}") if f"[{table}]" in text else f"{text}\n[{table}]\n{lines}"
        )
    return text
