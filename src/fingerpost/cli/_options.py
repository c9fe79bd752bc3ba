"""Options that several commands share, with one wording."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fingerpost.errors import UsageError
from fingerpost.node.home import HOME_DEFAULT, HOME_VARIABLE, Home, locate_home

if TYPE_CHECKING:
    from collections.abc import Sequence

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help=f"Where this node keeps its keys, templates and packets. [default: ${HOME_VARIABLE}, or {HOME_DEFAULT}]",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
TemplateOption = Annotated[
    Path | None,
    typer.Option(
        "--template",
        "-t",
        metavar="FILE",
        help="The template (TOML). Without it, the only one in the home is used.",
        show_default=False,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="One field of the situation; others count as missing."),
]


def home_of(chosen: Path | None) -> Home:
    """Return the home that ``--home``, the environment or the default names."""
    return locate_home(chosen, os.environ)


def named_values(texts: Sequence[str], option: str) -> dict[str, str]:
    """Return the pairs of a repeated option by name. Raises ``UsageError`` (``bad-usage``)."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise UsageError(
                "bad-usage", f"{option} takes NAME=VALUE, not {text[:80]!r}", hint=f"for example {option} age=61"
            )
        if name in pairs:
            raise UsageError("bad-usage", f"{option} gives {name!r} twice", hint="give each name once")
        pairs[name] = value.strip()
    return pairs
