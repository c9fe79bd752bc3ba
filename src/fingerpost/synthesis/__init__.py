"""Synthesis: from packets to an answer with its evidence."""

from fingerpost.synthesis._counts_answers import NoisyEvidence
from fingerpost.synthesis._counts_reading import CountsEvidence
from fingerpost.synthesis._counts_synthesizer import CountsSynthesizer
from fingerpost.synthesis._synthesizer import Synthesizer, synthesize, synthesize_many
from fingerpost.synthesis.answer import (
    ActionEstimate,
    Answer,
    Calculation,
    CalculatorShare,
    Election,
    LevelEstimate,
    NodeShare,
    NodeVerdict,
    Notice,
    NumberEstimate,
    PacketShare,
    PairSums,
    Query,
)
from fingerpost.synthesis.evidence import Evidence
from fingerpost.synthesis.kernel import FittedKernel, KernelOptions, KernelSettings, fit
from fingerpost.synthesis.panel import Weighing
from fingerpost.synthesis.receipt import Receipt, Verification, make_receipt, verify_receipt

__all__ = [
    "ActionEstimate",
    "Answer",
    "Calculation",
    "CalculatorShare",
    "CountsEvidence",
    "CountsSynthesizer",
    "Election",
    "Evidence",
    "FittedKernel",
    "KernelOptions",
    "KernelSettings",
    "LevelEstimate",
    "NodeShare",
    "NodeVerdict",
    "NoisyEvidence",
    "Notice",
    "NumberEstimate",
    "PacketShare",
    "PairSums",
    "Query",
    "Receipt",
    "Synthesizer",
    "Verification",
    "Weighing",
    "fit",
    "make_receipt",
    "synthesize",
    "synthesize_many",
    "verify_receipt",
]
