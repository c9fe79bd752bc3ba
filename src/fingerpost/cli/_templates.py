"""Which template a command means: the one named, or the one this home keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fingerpost.errors import TemplateError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from fingerpost.node.home import Home
    from fingerpost.template import Template


def chosen_template(chosen: Path | None, home: Home) -> Template:
    """Return the template of the file ``chosen``, else the only one in the home.

    Raises ``TemplateError``, and ``UsageError`` when the home holds none (``template-needed``) or several
    (``template-ambiguous``).
    """
    from fingerpost.files import load_template

    if chosen is not None:
        return load_template(chosen)
    kept = sorted(home.templates.glob("*.toml"))
    if len(kept) == 1:
        return load_template(kept[0])
    if not kept:
        raise UsageError(
            "template-needed",
            f"no template is given, and {home.templates} holds none",
            hint="name one with --template FILE; 'fingerpost template infer' drafts one from a table",
        )
    raise UsageError(
        "template-ambiguous",
        f"no template is given, and {home.templates} holds {len(kept)}",
        hint="name one with --template FILE",
    )


def known_template(template_id: bytes, chosen: Path | None, home: Home) -> Template | None:
    """Return the template with this id if ``chosen`` is it or the home keeps it; a damaged copy counts as unknown."""
    from fingerpost.files import load_template

    if chosen is not None:
        template = load_template(chosen)
        return template if template.template_id == template_id else None
    try:
        template = load_template(home.template_file(template_id))
    except (TemplateError, OSError):
        return None
    return template if template.template_id == template_id else None


def keep_template(template: Template, home: Home, *, source: Path | None = None) -> None:
    """Keep a template in the home under its id, unless it is there already: the file it came from, or its canon."""
    from fingerpost.files import write_atomically

    path = home.template_file(template.template_id)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, source.read_bytes() if source is not None else template.canonical)


def kept_templates(home: Home) -> dict[bytes, Template]:
    """Return the templates that the home keeps, by id; a damaged copy counts as unknown."""
    from fingerpost.files import load_template

    found = {}
    for path in sorted(home.templates.glob("*.toml")):
        try:
            template = load_template(path)
        except TemplateError:
            continue
        if path.stem == template.template_id.hex():
            found[bytes(template.template_id)] = template
    return found


def template_of_reference(reference: str, home: Home) -> Template:
    """Return the template of a file, or the one in the home whose id starts with ``reference``.

    Raises ``TemplateError``, and ``UsageError``: ``no-such-template``, ``template-ambiguous``.
    """
    from pathlib import Path

    from fingerpost.files import load_template

    if reference and Path(reference).exists():
        return load_template(Path(reference))
    is_id = bool(reference) and set(reference.lower()) <= set("0123456789abcdef")
    kept = sorted(home.templates.glob(f"{reference.lower()}*.toml")) if is_id else []
    if len(kept) == 1:
        return load_template(kept[0])
    if kept:
        raise UsageError(
            "template-ambiguous",
            f"{len(kept)} templates in {home.templates} have an id that starts with {reference}",
            hint="give more digits of the id",
        )
    raise UsageError(
        "no-such-template",
        f"{reference!r} is neither a file nor the start of the id of a template in {home.templates}",
        hint="name a template file, or see the ids there",
    )
