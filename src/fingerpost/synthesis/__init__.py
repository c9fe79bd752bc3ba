"""Synthesis: from packets to an answer with its evidence."""

from fingerpost.synthesis._synthesizer import Synthesizer, synthesize, synthesize_many
from fingerpost.synthesis.answer import (
    ActionEstimate,
    Answer,
    LevelEstimate,
    NodeShare,
    Notice,
    NumberEstimate,
    PacketShare,
    PairSums,
    Query,
)
from fingerpost.synthesis.evidence import Evidence
from fingerpost.synthesis.kernel import FittedKernel, KernelOptions, KernelSettings, fit

__all__ = [
    "ActionEstimate",
    "Answer",
    "Evidence",
    "FittedKernel",
    "KernelOptions",
    "KernelSettings",
    "LevelEstimate",
    "NodeShare",
    "Notice",
    "NumberEstimate",
    "PacketShare",
    "PairSums",
    "Query",
    "Synthesizer",
    "fit",
    "synthesize",
    "synthesize_many",
]
