"""Reading an answer back from the plain values that ``Answer.as_dict`` gives: floats come back to the last bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import msgspec

from fingerpost.errors import UsageError
from fingerpost.synthesis.answer import (
    ActionEstimate,
    Answer,
    Calculation,
    Election,
    Gathering,
    LevelEstimate,
    NodeShare,
    Notice,
    NumberEstimate,
    PacketShare,
    PairSums,
    Query,
)
from fingerpost.synthesis.distances import Family
from fingerpost.synthesis.evidence import OutcomeKind
from fingerpost.synthesis.kernel import KernelSettings

_TYPES: dict[str, Any] = {
    "kind": OutcomeKind,
    "levels": tuple[LevelEstimate, ...],
    "number": NumberEstimate | None,
    "nodes": tuple[NodeShare, ...],
    "agreement": tuple[tuple[float | None, ...], ...],
    "nearest": tuple[PacketShare, ...],
    "carriers": tuple[PacketShare, ...],
    "actions": tuple[ActionEstimate, ...],
    "reason": Notice | None,
    "calculation": Calculation | None,
    "gathering": Gathering | None,
    "election": Election | None,
    "warnings": tuple[Notice, ...],
    "abstained": bool,
    "confidence": float,
    "effective_sample_size": float,
    **dict.fromkeys(("packets", "records", "node_count", "day", "version"), int),
    **dict.fromkeys(("template_id", "template_name", "outcome_name", "evidence_digest", "calculator"), str),
}
_NONSENSE = (msgspec.ValidationError, KeyError, TypeError, ValueError, AttributeError)


def read_answer(tree: Mapping[str, Any]) -> Answer:
    """Return the answer of these plain values.

    Raises ``UsageError`` (``answer-unreadable``) for values that no answer of this version has.
    """
    try:
        return Answer(**{name: _part(name, tree[name]) for name in _NAMES})
    except _NONSENSE as error:
        raise UsageError(
            "answer-unreadable",
            f"this is no answer that this version can read: {error}",
            hint="use the same version of fingerpost on both sides",
        ) from None


def _part(name: str, value: Any) -> Any:
    if name == "query":
        sketch = value["sketch"]
        return Query(
            fingerprint=bytes.fromhex(value["fingerprint"]), sketch=None if sketch is None else bytes.fromhex(sketch)
        )
    if name == "pair_sums":
        numbers = value and {key: None if number is None else int(number) for key, number in value.items()}
        return msgspec.convert(numbers, PairSums | None)
    if name == "conditions":
        return tuple(msgspec.convert(value, dict[str, str]).items())
    if name == "settings":
        return None if value is None else _settings(**value)
    return msgspec.convert(value, _TYPES[name])


def _settings(*, family: str, length: float, ridge: float, temperature: float, spread: float) -> KernelSettings:
    return KernelSettings(
        family=msgspec.convert(family, Family),
        length=float(length),
        ridge=float(ridge),
        temperature=float(temperature),
        spread=float(spread),
    )


_NAMES = tuple(field.name for field in fields(Answer))
