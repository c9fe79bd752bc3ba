"""What the users of a simulated network talk about: a template as small as one can be, and records that fit it."""

from __future__ import annotations

import functools

from fingerpost.node.emission import Observations, observations_of_table
from fingerpost.template import Template, parse_template

RECORDS = 96
CELL_BITS = 3
_TEMPLATE = """
format = 1
name = "simulated"
data_class = "non_personal"

[situation.warmth]
kind = "number"
range = [0, 100]

[situation.noise]
kind = "number"
range = [0, 10]

[outcome]
name = "result"
kind = "category"
levels = ["bad", "good"]

[fingerprint]
bits = 64

[cells]
bits = {cell_bits}
{group_bits}
[retention]
ttl_days = {ttl_days}
"""


@functools.cache
def template_of(*, group_bits: int, ttl_days: int) -> Template:
    """Return the template of a run."""
    groups = f"group_bits = {group_bits}\n" if group_bits else ""
    return parse_template(_TEMPLATE.format(cell_bits=CELL_BITS, group_bits=groups, ttl_days=ttl_days))


@functools.cache
def records_of(template: Template) -> Observations:
    """Return the records that users draw from, (96,): encoded once, since only what becomes of them matters."""
    numbers = range(RECORDS)
    columns = {
        "warmth": [str(number * 37 % 101) for number in numbers],
        "noise": [str(number * 7 % 11) for number in numbers],
        "result": ["good" if number % 3 else "bad" for number in numbers],
    }
    records, problems = observations_of_table(template, columns, rows=RECORDS)
    if problems:
        raise AssertionError("the records of a simulation fit its template")
    return records
