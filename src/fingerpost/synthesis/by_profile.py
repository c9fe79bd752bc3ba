"""Which calculator answers for a template: kernel ridge on packets of records, or shrinkage of what is noisy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from fingerpost.packet import Profile
from fingerpost.synthesis._counts_reading import CountsEvidence
from fingerpost.synthesis._counts_reports import ReportsEvidence, ReportsSynthesizer
from fingerpost.synthesis._counts_synthesizer import CountsSynthesizer
from fingerpost.synthesis._synthesizer import Synthesizer
from fingerpost.synthesis.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fingerpost.synthesis.kernel import KernelOptions, KernelSettings
    from fingerpost.template import Template

AnyEvidence: TypeAlias = Evidence | CountsEvidence | ReportsEvidence
AnySynthesizer: TypeAlias = Synthesizer | CountsSynthesizer | ReportsSynthesizer


def counts_answer(template: Template) -> bool:
    """Say whether answers of a template come from its counts as a whole, and not from packets near a situation."""
    return template.profile in {Profile.DP_AGGREGATE, Profile.LOCAL_DP}


def read_evidence(packets: NDArray[Any], template: Template) -> AnyEvidence:
    """Return verified packets (``PACKET_DTYPE``) as the evidence that answers of this template rest on."""
    if template.profile is Profile.LOCAL_DP:
        return ReportsEvidence.from_packets(packets, template)
    if counts_answer(template):
        return CountsEvidence.from_packets(packets, template)
    return Evidence.from_packets(packets, template)


def synthesizer_of(
    evidence: AnyEvidence,
    template: Template,
    *,
    day: int,
    conditions: Mapping[str, object] | None = None,
    options: KernelOptions | None = None,
    settings: KernelSettings | None = None,
) -> AnySynthesizer:
    """Return what answers from evidence. ``options`` and ``settings`` are those of kernel ridge: counts need none."""
    if isinstance(evidence, CountsEvidence):
        return CountsSynthesizer(evidence, template, day=day, conditions=conditions)
    if isinstance(evidence, ReportsEvidence):
        return ReportsSynthesizer(evidence, template, day=day, conditions=conditions)
    return Synthesizer(evidence, template, day=day, options=options, conditions=conditions, settings=settings)
