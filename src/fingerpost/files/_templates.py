"""Template files."""

from __future__ import annotations

from pathlib import Path

from fingerpost.errors import TemplateError
from fingerpost.limits import TEMPLATE_SIZE_BYTES_MAX
from fingerpost.template import Template, parse_template


def load_template(path: str | Path) -> Template:
    """Read a template file, TOML or canonical JSON, of at most a mebibyte; what is longer is never read whole.

    Raises ``TemplateError`` with the field and the line where they are known.
    """
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(TEMPLATE_SIZE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise TemplateError(
            "template-not-found",
            f"{path}: no such file",
            hint="check the path; `fingerpost template infer FILE --outcome COLUMN` drafts a template from a table",
        ) from None
    except (OSError, ValueError) as error:
        raise TemplateError(
            "template-unreadable", f"{path}: cannot be read: {error}", hint="check the path and its permissions"
        ) from None
    return parse_template(data, source=str(path))
