"""Read a template: TOML as people write it, or the canonical JSON that nodes exchange."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
import unicodedata
from collections.abc import Callable, Sequence
from decimal import Decimal, DecimalException
from enum import StrEnum
from fractions import Fraction
from typing import Any, NoReturn, TypeVar

from fingerpost.errors import TemplateError
from fingerpost.limits import FINGERPRINT_BITS_DEFAULT, TEMPLATE_SIZE_BYTES_MAX
from fingerpost.packet import Profile
from fingerpost.template._fields import (
    DECIMAL_DIGITS_MAX,
    TEXT_EMBEDDER,
    Action,
    CategoryField,
    CategoryOutcomeField,
    Condition,
    Field,
    Missing,
    NumberField,
    NumberOutcomeField,
    OrdinalField,
    Other,
    OutcomeField,
    Outside,
    Scale,
    SetField,
    TextField,
    VectorField,
)
from fingerpost.template._source import Source
from fingerpost.template._template import ENCODER, FORMAT, TTL_DAYS_DEFAULT, DataClass, Template, profile_name
from fingerpost.template._values import level_text, number_from_text, shown

_Value = TypeVar("_Value")
_Choice = TypeVar("_Choice", bound=StrEnum)

_PROFILES = {profile_name(profile): profile for profile in Profile}
_TABLES = ("situation", "action", "outcome", "conditions", "fingerprint", "cells", "privacy", "retention")
_FIELD_KEYS = {
    "number": ("range", "unit", "scale", "outside"),
    "category": ("levels", "other"),
    "ordinal": ("levels", "other"),
    "set": ("levels",),
    "vector": ("size", "range", "outside"),
    "text": ("embedder",),
}
_SYNTAX_PLACE = re.compile(r" \(at line (\d+), column \d+\)$")
_FINGERPRINT = re.compile(r"([0-9a-f]{16})+")
_REQUIRED: Any = object()


def parse_template(text: str | bytes, *, source: str = "template") -> Template:
    """Read a template from TOML, or from JSON where the text starts with ``{``.

    ``source`` is what errors call the text, such as a file name. Raises ``TemplateError`` with the dotted path of the
    offending key in ``field`` and, as far as it can be found, its ``line``.
    """
    if len(text) > TEMPLATE_SIZE_BYTES_MAX:
        raise TemplateError(
            "template-too-large",
            f"{source}: a template has at most {TEMPLATE_SIZE_BYTES_MAX} bytes",
            hint="is this a template file?",
        )
    if isinstance(text, bytes):
        text = _decoded(text, source)
    is_json = text.lstrip().startswith("{")
    document = _load_json(text, source) if is_json else _load_toml(text, source)
    return _template(_Table(document, (), Source("" if is_json else text, name=source), texts_are_numbers=is_json))


def _decoded(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TemplateError(
            "template-encoding",
            f"{source}, line {line}: byte {error.start} of the file is not UTF-8",
            hint="save the file as UTF-8",
            line=line,
        ) from None


def _load_toml(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text, parse_float=_decimal)
    except tomllib.TOMLDecodeError as error:
        place = _SYNTAX_PLACE.search(str(error))
        message, line = str(error)[: place.start() if place else None], int(place[1]) if place else None
        where = f"{source}, line {line}" if line else source
        hint = "a text needs quotes, a list needs [ ], and a table such as [situation.age] stands on its own line"
        raise TemplateError("template-syntax", f"{where}: not TOML: {message}", hint=hint, line=line) from None
    except (RecursionError, ValueError):
        raise _not_readable(source) from None


def _load_json(text: str, source: str) -> dict[str, Any]:
    try:
        document = json.loads(text, parse_float=_decimal, parse_constant=Decimal, object_pairs_hook=_unique_pairs)
    except json.JSONDecodeError as error:
        raise TemplateError(
            "template-syntax",
            f"{source}, line {error.lineno}: not JSON: {error.msg}",
            hint="a text that starts with { is read as a canonical template",
            line=error.lineno,
        ) from None
    except (RecursionError, ValueError):
        raise _not_readable(source) from None
    return dict(document)


def _not_readable(source: str) -> TemplateError:
    hint = "look for numbers of thousands of digits, deeply nested lists and keys that occur twice"
    return TemplateError("template-syntax", f"{source}: cannot be read as a template", hint=hint)


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except DecimalException:  # an exponent of twenty digits, say
        return Decimal("NaN")


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def _template(top: _Table) -> Template:
    top.only(("format", "name", "description", "data_class", *_TABLES))
    if top.integer("format") != FORMAT:
        top.fail("format", "template-format", f"only format = {FORMAT} is known", hint="write format = 1")
    situation, conditions = top.table("situation"), top.table("conditions", default={})
    privacy, retention, fingerprint = (top.table(key, default={}) for key in ("privacy", "retention", "fingerprint"))
    cells = top.table("cells", default={})
    privacy.only(("profile",))
    retention.only(("ttl_days", "half_life_days"))
    fingerprint.only(("bits", "encoder", "salt", "sketch"))
    has_codebook = cells.one_of("kind", ("prefix", "codebook"), default="prefix") == "codebook"
    cells.only(("kind", "bits", "group_bits", *(("prototypes",) if has_codebook else ())))
    if fingerprint.integer("encoder", default=ENCODER) != ENCODER:
        fingerprint.fail("encoder", "template-format", f"only encoder = {ENCODER} is known", hint="write encoder = 1")
    return top.build(
        lambda: Template(
            name=top.text("name"),
            description=unicodedata.normalize("NFC", top.raw("description", str, "a text", default="")),
            data_class=top.choice("data_class", DataClass, default=DataClass.UNDECLARED),
            situation=tuple(_field(situation.table(name), name) for name in situation.keys),
            action=_action(top.table("action")) if "action" in top.keys else None,
            outcome=_outcome(top.table("outcome")),
            conditions=tuple(_condition(conditions.table(name), name) for name in conditions.keys),
            fingerprint_bits=fingerprint.integer("bits", default=FINGERPRINT_BITS_DEFAULT),
            salt=fingerprint.integer("salt", default=0),
            sketch=fingerprint.raw("sketch", bool, "true or false", default=False),
            codebook=_codebook(cells) if has_codebook else b"",
            cell_bits=cells.integer("bits", default=0),
            group_bits=cells.integer("group_bits", default=0),
            profile=_PROFILES[privacy.one_of("profile", tuple(_PROFILES), default="open")],
            ttl_days=retention.integer("ttl_days", default=TTL_DAYS_DEFAULT),
            half_life_days=retention.integer("half_life_days", default=0),
        )
    )


def _field(table: _Table, name: str) -> Field:
    kind = table.one_of("kind", tuple(_FIELD_KEYS))
    table.only(("kind", "missing", "weight", *_FIELD_KEYS[kind]))
    common: dict[str, Any] = {
        "name": unicodedata.normalize("NFC", name),
        "missing": table.choice("missing", Missing, default=Missing.INDICATOR),
        "weight": table.number("weight", default=Fraction(1)),
    }
    if kind == "text":
        return table.build(lambda: TextField(**common, embedder=table.text("embedder", default=TEXT_EMBEDDER)))
    if kind in {"category", "ordinal", "set"}:
        common["levels"] = table.levels()
        if kind == "set":
            return table.build(lambda: SetField(**common))
        common["other"] = table.choice("other", Other, default=Other.REFUSE)
        return table.build(lambda: (CategoryField if kind == "category" else OrdinalField)(**common))
    common["low"], common["high"] = table.range()
    common["outside"] = table.choice("outside", Outside, default=Outside.REFUSE)
    if kind == "vector":
        return table.build(lambda: VectorField(**common, size=table.integer("size")))
    scale = table.choice("scale", Scale, default=Scale.LINEAR)
    return table.build(lambda: NumberField(**common, unit=table.text("unit", default=""), scale=scale))


def _action(table: _Table) -> Action:
    table.only(("name", "levels"))
    return table.build(lambda: Action(name=table.text("name", default="action"), levels=table.levels()))


def _outcome(table: _Table) -> OutcomeField:
    kind = table.one_of("kind", ("category", "number"))
    table.only(("kind", "name", *(("levels",) if kind == "category" else ("range", "unit"))))
    name = table.text("name", default="outcome")
    if kind == "category":
        return table.build(lambda: CategoryOutcomeField(name=name, levels=table.levels()))
    low, high = table.range()
    unit = table.text("unit", default="")
    return table.build(lambda: NumberOutcomeField(name=name, low=low, high=high, unit=unit))


def _condition(table: _Table, name: str) -> Condition:
    table.only(("levels",))
    return table.build(lambda: Condition(name=unicodedata.normalize("NFC", name), levels=table.levels()))


def _codebook(table: _Table) -> bytes:
    prototypes = table.raw("prototypes", list, 'a list of texts of hex digits, such as ["67c086…"]')
    for prototype in prototypes:
        if not isinstance(prototype, str) or not _FINGERPRINT.fullmatch(prototype):
            hint = "write each as the lower-case hex digits of a fingerprint"
            table.fail("prototypes", "template-codebook", f"{shown(prototype)} is no fingerprint", hint=hint)
    if not prototypes or len({len(prototype) for prototype in prototypes}) > 1:
        hint = "let fingerpost template codebook make it"
        table.fail("prototypes", "template-codebook", "has no prototypes, or of different lengths", hint=hint)
    return bytes.fromhex("".join(prototypes))


class _Table:
    """One table of the file: typed look-ups that fail with the path, the line and what to write instead."""

    def __init__(self, data: dict[str, Any], path: tuple[str, ...], source: Source, *, texts_are_numbers: bool) -> None:
        self._data = data
        self._path = path
        self._source = source
        self._texts_are_numbers = texts_are_numbers

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self._data)

    def fail(self, key: str, code: str, message: str, *, hint: str) -> NoReturn:
        path = (*self._path, key) if key else self._path
        line = self._source.line_of(path)
        where = f"{self._source.name}, line {line}" if line else self._source.name
        dotted = "".join(part if part.isprintable() else "\N{REPLACEMENT CHARACTER}" for part in ".".join(path))
        raise TemplateError(code, f"{where}: {dotted}: {message}", hint=hint, field=dotted, line=line)

    def build(self, make: Callable[[], _Value]) -> _Value:
        """Call ``make``; where a value refuses to exist, add the place in the file to its error."""
        try:
            return make()
        except TemplateError as error:
            if error.line is not None or error.message.startswith(f"{self._source.name}:"):
                raise
            self._fail_from(error)

    def _fail_from(self, error: TemplateError) -> NoReturn:
        dotted, inner = error.field or "", ".".join(self._path)
        if inner and dotted.startswith(inner):  # a field's own name may hold dots
            path = (*self._path, *filter(None, [dotted[len(inner) :].removeprefix(".")]))
        else:
            path = tuple(
                dotted.split(".", 1) if dotted.startswith(("situation.", "conditions.")) else dotted.split(".")
            )
        top = _Table({}, path[:-1], self._source, texts_are_numbers=False)
        top.fail(path[-1], error.code, error.message, hint=error.hint)

    def only(self, known: Sequence[str]) -> None:
        for key in self._data:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
                self.fail(key, "template-key-unknown", "there is no such key", hint=hint)

    def raw(self, key: str, kind: type[_Value], what: str, *, default: _Value = _REQUIRED) -> _Value:
        value = self._data.get(key, default)
        if value is _REQUIRED:
            self.fail(key, "template-key-missing", "is missing", hint=f"write {key} = … ({what})")
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.fail(key, "template-type", f"must be {what}, not {shown(value)}", hint=f"write {what}")
        return value

    def table(self, key: str, *, default: dict[str, Any] = _REQUIRED) -> _Table:
        data = self.raw(key, dict, "a table", default=default)
        return _Table(data, (*self._path, key), self._source, texts_are_numbers=self._texts_are_numbers)

    def text(self, key: str, *, default: str = _REQUIRED) -> str:
        return unicodedata.normalize("NFC", self.raw(key, str, "a text in quotes", default=default))

    def integer(self, key: str, *, default: int = _REQUIRED) -> int:
        return self.raw(key, int, "a whole number", default=default)

    def one_of(self, key: str, choices: tuple[str, ...], *, default: str = _REQUIRED) -> str:
        value = self.text(key, default=default)
        if value not in choices:
            close = difflib.get_close_matches(value, choices, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            self.fail(key, "template-value", f"{shown(value)} is not known", hint=f"{hint}one of: {', '.join(choices)}")
        return value

    def choice(self, key: str, choices: type[_Choice], *, default: _Choice = _REQUIRED) -> _Choice:
        return choices(self.one_of(key, tuple(choice.value for choice in choices), default=default))

    def number(self, key: str, *, default: Fraction = _REQUIRED) -> Fraction:
        value = self._data.get(key, default)
        return default if value is default else self._exact(key, value)

    def range(self) -> tuple[Fraction, Fraction]:
        ends = self.raw("range", list, "two numbers in brackets, such as [0, 100]")
        if len(ends) != 2:
            self.fail(
                "range", "template-range", f"has {len(ends)} numbers", hint="write the smaller and the larger end"
            )
        return self._exact("range", ends[0]), self._exact("range", ends[1])

    def levels(self) -> tuple[str, ...]:
        levels = self.raw("levels", list, 'a list of texts, such as ["no", "yes"]')
        for level in levels:
            if not isinstance(level, str):
                hint = 'write every level as a text in quotes, numbers too: ["0", "1"]'
                self.fail("levels", "template-type", f"the level {shown(level)} is not a text", hint=hint)
        return tuple(level_text(level) for level in levels)

    def _exact(self, key: str, value: object) -> Fraction:
        """Return a decimal of the file as an exact fraction; canonical JSON writes decimals as texts."""
        number: Fraction | None = None
        if isinstance(value, int) and not isinstance(value, bool):
            number = Fraction(value)
        elif isinstance(value, Decimal) and value.is_finite() and value.adjusted() < 2 * DECIMAL_DIGITS_MAX:
            number = number_from_text(str(value))
        elif isinstance(value, str) and self._texts_are_numbers:
            number = number_from_text(value)
        if number is None:
            self.fail(key, "template-type", f"{shown(value)} is not a usable number", hint="write a plain decimal")
        return number
