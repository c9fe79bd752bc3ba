"""Options that several commands share, with one wording."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from fingerpost.node.home import HOME_DEFAULT, HOME_VARIABLE, Home, locate_home

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


def home_of(chosen: Path | None) -> Home:
    """Return the home that ``--home``, the environment or the default names."""
    return locate_home(chosen, os.environ)
