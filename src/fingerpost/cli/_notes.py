"""What the reference says about a command beyond its options: kept beside the command, checked against what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fingerpost.errors import FingerpostError

Function = TypeVar("Function", bound=Callable[..., Any])

_ATTRIBUTE = "fingerpost_notes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """The keys of a command's JSON document with their meaning, the errors it may end with, and examples of its use."""

    json_keys: Mapping[str, str]
    errors: tuple[type[FingerpostError], ...]
    examples: tuple[str, ...]


def noted(
    *, json_keys: Mapping[str, str], errors: tuple[type[FingerpostError], ...], examples: tuple[str, ...]
) -> Callable[[Function], Function]:
    """Attach notes to a command."""

    def attach(function: Function) -> Function:
        setattr(function, _ATTRIBUTE, Notes(json_keys=json_keys, errors=errors, examples=examples))
        return function

    return attach


def notes_of(function: Callable[..., Any] | None) -> Notes | None:
    """Return the notes of a command, if it has any."""
    return getattr(function, _ATTRIBUTE, None)
