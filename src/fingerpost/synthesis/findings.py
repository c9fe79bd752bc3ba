"""What takes long to find about one pool of evidence: given to another process with the same packets, it need not seek.

Findings say nothing that the packets do not: with them answers are the same as without. They belong to the very
evidence, asker, day (where age counts) and calculators that they were found with; whoever keeps them sees to that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fingerpost.synthesis._shares import Agreement
    from fingerpost.synthesis._site_kernel import SiteFindings
    from fingerpost.synthesis.answer import PairSums
    from fingerpost.synthesis.kernel import KernelSettings, Residuals


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PanelFindings:
    """What calculators found by being compared, None where they were not.

    ``known`` are the settings of those that have any, by name.
    """

    trial: Mapping[str, float] | None
    alone_speaks: bool | None
    known: Mapping[str, KernelSettings | SiteFindings]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Findings:
    """The pooled kernel's settings and left-out packets, sums over the pool, and what calculators found, if asked."""

    settings: KernelSettings
    residuals: Residuals
    agreement: Agreement | None
    pair_sums: PairSums | None
    panel: PanelFindings | None
