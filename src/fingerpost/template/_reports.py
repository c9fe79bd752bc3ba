"""How records of a template are reported under local-dp: which randomisation, with which chances, to the last digit.

A record is one of ``entries`` = cells x actions x levels. With few entries the report is a single one of them: the
record's own with chance p, each other one with chance q (k-ary randomised response, Warner 1965; Kairouz et al. 2016).
With more it is a bit for each entry: that of the record is 1 with chance p = 1/2, every other with chance q (optimised
unary encoding, Wang et al. 2017). The first has less variance where entries < 3 e^epsilon + 2.

Chances are multiples of 2^-32, rounded so that epsilon is never exceeded, and estimates use the rounded ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from fingerpost.limits import LOCAL_RELEASE_EPSILON
from fingerpost.packet import OutcomeForm

CHANCE_UNITS: Final = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPlan:
    """One way to report one of ``entries`` entries. ``kept`` and ``other`` are p and q in units of 2^-32.

    Under k-ary response ``kept`` units say that the entry is told as it is; what is left is shared by all the others.
    """

    entries: int
    form: OutcomeForm
    kept: int
    other: int

    @property
    def p(self) -> float:
        """The chance that a report speaks for the entry of its record."""
        return self.kept / CHANCE_UNITS

    @property
    def q(self) -> float:
        """The chance that it speaks for any one other entry."""
        if self.form is OutcomeForm.REPORT_VALUE:
            return (1 - self.p) / (self.entries - 1) if self.entries > 1 else 0.0
        return self.other / CHANCE_UNITS

    @property
    def epsilon(self) -> float:
        """The largest log-ratio of the chances of any report under any two records."""
        if self.entries == 1:
            return 0.0
        if self.form is OutcomeForm.REPORT_VALUE:
            return math.log(self.p / self.q)
        return math.log(self.p * (1 - self.q) / ((1 - self.p) * self.q))

    @property
    def items(self) -> int:
        """The items of the outcome: bytes of bits, or one value."""
        return 1 if self.form is OutcomeForm.REPORT_VALUE else -(-self.entries // 8)


def plan_reports(entries: int, *, epsilon: float = LOCAL_RELEASE_EPSILON) -> ReportPlan:
    """Return how one of ``entries`` entries is reported under ``epsilon``."""
    ratio = math.exp(epsilon)
    if entries < 3 * ratio + 2:
        kept = math.floor(CHANCE_UNITS * ratio / (ratio + entries - 1)) if entries > 1 else CHANCE_UNITS
        return ReportPlan(entries=entries, form=OutcomeForm.REPORT_VALUE, kept=kept, other=0)
    other = math.ceil(CHANCE_UNITS / (ratio + 1))
    return ReportPlan(entries=entries, form=OutcomeForm.REPORT_BITS, kept=CHANCE_UNITS // 2, other=other)
