"""The template: what nodes agree on before anybody sends anything, its canonical bytes and its two ids."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Any

from fingerpost.errors import TemplateError
from fingerpost.ids import SpaceId, TemplateId
from fingerpost.limits import (
    CELL_BITS_MAX,
    CODEBOOK_BITS_MAX,
    CONDITIONS_MAX,
    COUNTS_CELL_BITS_MAX,
    COUNTS_ENTRIES_MAX,
    COUNTS_KNOTS,
    ENCODED_WIDTH_MAX,
    FINGERPRINT_BITS_DEFAULT,
    FINGERPRINT_BITS_MAX,
    FINGERPRINT_BITS_STEP,
    NAME_LENGTH_MAX,
    REPORT_ENTRIES_MAX,
    TTL_DAYS_MAX,
)
from fingerpost.packet import PAYLOAD_SIZE_BYTES, OutcomeForm, PayloadLayout, Profile
from fingerpost.template._fields import (
    Action,
    CategoryField,
    CategoryOutcomeField,
    Condition,
    Field,
    NumberField,
    OrdinalField,
    OutcomeField,
    SetField,
    VectorField,
    has_controls,
)
from fingerpost.template._values import decimal_text, shown

FORMAT = 1
ENCODER = 1
SKETCH_SIZE_BYTES = 32
SALT_MAX = 2**32 - 1
DESCRIPTION_LENGTH_MAX = 4_096
HALF_LIFE_DAYS_MAX = 36_500
TTL_DAYS_DEFAULT = 365
RESERVED_NAMES = ("outcome", "action")

_NAME = re.compile(rf"[a-z0-9-]{{1,{NAME_LENGTH_MAX}}}")


class DataClass(StrEnum):
    """Whether the data are about persons; ``UNDECLARED`` until the owner decides, and until then nothing may leave."""

    NON_PERSONAL = "non_personal"
    PERSONAL = "personal"
    UNDECLARED = "undeclared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A valid template. ``situation`` and ``conditions`` are sorted by name; the order of levels is the owner's.

    ``canonical`` is the template as deterministic JSON: one text per meaning, which ``parse_template`` reads back.
    ``template_id`` covers all of it, ``space_id`` only what fingerprints depend on (situation, encoder, bits, salt).
    Another ``salt`` draws another random projection for the same fields.
    Cells that share their first ``group_bits`` bits have the same holders. With a ``codebook``, the fingerprints of
    2^``cell_bits`` prototypes one after the other, a cell is what lies nearest to one of them.
    Raises ``TemplateError`` where parts contradict each other.
    """

    name: str
    situation: tuple[Field, ...]
    outcome: OutcomeField
    description: str = ""
    data_class: DataClass = DataClass.UNDECLARED
    action: Action | None = None
    conditions: tuple[Condition, ...] = ()
    fingerprint_bits: int = FINGERPRINT_BITS_DEFAULT
    sketch: bool = False
    salt: int = 0
    cell_bits: int = 0
    group_bits: int = 0
    codebook: bytes = field(default=b"", repr=False)
    profile: Profile = Profile.OPEN
    ttl_days: int = TTL_DAYS_DEFAULT
    half_life_days: int = 0
    canonical: bytes = field(init=False, repr=False, compare=False)
    template_id: TemplateId = field(init=False)
    space_id: SpaceId = field(init=False, compare=False)
    encoded_width: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "situation", tuple(sorted(self.situation, key=lambda part: part.name)))
        object.__setattr__(self, "conditions", tuple(sorted(self.conditions, key=lambda part: part.name)))
        object.__setattr__(self, "encoded_width", sum(part.width for part in self.situation))
        _check_texts(self)
        _check_names(self)
        _check_numbers(self)
        _check_codebook(self)
        _check_privacy(self)
        tree = _tree(self)
        parts = {key: tree["fingerprint"][key] for key in ("bits", "encoder", "salt")}
        space = parts | {"situation": tree["situation"]}
        object.__setattr__(self, "canonical", _canonical_json(tree))
        object.__setattr__(self, "template_id", TemplateId(_blake2s_128(self.canonical)))
        object.__setattr__(self, "space_id", SpaceId(_blake2s_128(_canonical_json(space))))
        _check_budget(self)
        if self.profile is Profile.K_ANONYMOUS:
            _check_groups(self)

    @property
    def columns(self) -> tuple[slice, ...]:
        """Which coordinates of an encoded record each field of ``situation`` takes."""
        slices, start = [], 0
        for part in self.situation:
            slices.append(slice(start, start + part.width))
            start += part.width
        return tuple(slices)

    def prototypes(self) -> tuple[bytes, ...]:
        """Return the fingerprint of each cell's prototype, by the number of the cell; none without a codebook."""
        size_bytes = self.fingerprint_bits // 8
        return tuple(self.codebook[start : start + size_bytes] for start in range(0, len(self.codebook), size_bytes))

    def observation_layout(self) -> PayloadLayout:
        """Return how the payload of one observation is laid out."""
        categorical = isinstance(self.outcome, CategoryOutcomeField)
        return self._layout(OutcomeForm.CATEGORY if categorical else OutcomeForm.NUMBER, items=1)

    def summary_layout(self) -> PayloadLayout:
        """Return how the payload of a summary is laid out: moments, or a histogram of as many levels as fit.

        Where ``outcome_items`` is smaller than the number of levels, a summary needs several packets, each with its
        own ``first_level``.
        """
        if not isinstance(self.outcome, CategoryOutcomeField):
            return self._layout(OutcomeForm.MOMENTS, items=1)
        items = min(len(self.outcome.levels), PAYLOAD_SIZE_BYTES // 2)
        while items > 1 and not self._layout(OutcomeForm.HISTOGRAM, items=items).fits(self.profile):
            items -= 1
        return self._layout(OutcomeForm.HISTOGRAM, items=items)

    def check_may_emit(self) -> None:
        """Refuse to let anything leave before the owner has said whether the data are personal."""
        if self.data_class is DataClass.UNDECLARED:
            raise TemplateError(
                "template-undeclared",
                f"the template {self.name!r} does not say whether its data are personal",
                hint='decide, and write data_class = "personal" or data_class = "non_personal"',
                field="data_class",
            )

    def check_node_column(self, column: str) -> None:
        """Refuse a table whose node column is also the outcome, the action or a field of the situation.

        Which node a record comes from is what the sender's key says; inside the situation it would keep records of
        different nodes from ever being similar.
        """
        named = {part.name: f"situation.{part.name}" for part in self.situation}
        named[self.outcome.name] = "outcome"
        if self.action:
            named[self.action.name] = "action"
        if column in named:
            raise TemplateError(
                "template-node-column",
                f"{shown(column)} names the node and is also {named[column]} in the template",
                hint=f"remove {named[column]} from the template, or name another node column",
                field=named[column],
            )

    def _layout(self, form: OutcomeForm, *, items: int) -> PayloadLayout:
        return PayloadLayout(
            fingerprint_bits=self.fingerprint_bits,
            sketch=SKETCH_SIZE_BYTES if self.sketch else 0,
            conditions=len(self.conditions),
            outcome_form=form,
            outcome_items=items,
        )


def profile_name(profile: Profile) -> str:
    """Return the name of a privacy profile as templates write it, such as ``k-anonymous``."""
    return profile.name.lower().replace("_", "-")


def _check_texts(template: Template) -> None:
    if not _NAME.fullmatch(template.name):
        raise TemplateError(
            "template-name",
            f"{shown(template.name)} is not a usable template name",
            hint=f"use 1 to {NAME_LENGTH_MAX} of a-z, 0-9 and '-', such as \"heart-disease\"",
            field="name",
        )
    plain = template.description.replace("\n", "")
    if len(template.description) > DESCRIPTION_LENGTH_MAX or has_controls(plain):
        raise TemplateError(
            "template-value",
            "the description is too long or has control characters",
            hint=f"write at most {DESCRIPTION_LENGTH_MAX} characters of plain text",
            field="description",
        )


def _in_situation(code: str, part: Field, *, role: str) -> TemplateError:
    return TemplateError(
        code,
        f"the {role} ({shown(part.name)}) is also a field of the situation",
        hint=f"remove [{part.path}]: a situation is what was known before acting, "
        "or nobody who has not yet acted could ask",
        field=part.path,
    )


def _check_names(template: Template) -> None:
    if not template.situation:
        raise TemplateError(
            "template-situation",
            "the situation has no field",
            hint="declare at least one [situation.NAME] table",
            field="situation",
        )
    action_name = template.action.name if template.action else None
    for part in template.situation:
        if part.name in {template.outcome.name, "outcome"}:
            raise _in_situation("template-outcome-in-situation", part, role="outcome")
        if part.name in {action_name, "action"}:
            raise _in_situation("template-action-in-situation", part, role="action")
    if action_name == template.outcome.name:
        raise TemplateError(
            "template-name",
            f"{shown(action_name)} names both the action and the outcome",
            hint="give them different names",
            field="action.name",
        )
    for condition in template.conditions:
        if condition.name in {template.outcome.name, action_name, *RESERVED_NAMES}:
            raise TemplateError(
                "template-name",
                f"the condition {shown(condition.name)} has the name of the outcome or the action",
                hint="a condition is context that was known before acting",
                field=f"conditions.{condition.name}",
            )
    for kind, names in (
        ("situation", [part.name for part in template.situation]),
        ("conditions", [part.name for part in template.conditions]),
    ):
        repeated = next((name for name, after in pairwise(names) if name == after), None)
        if repeated is not None:
            raise TemplateError(
                "template-name",
                f"two fields are named {shown(repeated)}",
                hint="names that differ only in how Unicode composes them are the same name",
                field=f"{kind}.{repeated}",
            )


def _check_numbers(template: Template) -> None:
    if template.encoded_width > ENCODED_WIDTH_MAX:
        raise TemplateError(
            "template-width",
            f"the situation takes {template.encoded_width} coordinates, more than {ENCODED_WIDTH_MAX}",
            hint="drop fields, or give categories fewer levels",
            field="situation",
        )
    if len(template.conditions) > CONDITIONS_MAX:
        raise TemplateError(
            "template-conditions",
            f"there are {len(template.conditions)} conditions, more than {CONDITIONS_MAX}",
            hint="keep those that people will filter by",
            field="conditions",
        )
    bits = template.fingerprint_bits
    if not FINGERPRINT_BITS_STEP <= bits <= FINGERPRINT_BITS_MAX or bits % FINGERPRINT_BITS_STEP:
        raise TemplateError(
            "template-value",
            f"a fingerprint has {FINGERPRINT_BITS_STEP} to {FINGERPRINT_BITS_MAX} bits in steps of "
            f"{FINGERPRINT_BITS_STEP}, not {bits}",
            hint=f"{FINGERPRINT_BITS_DEFAULT} suits most tables",
            field="fingerprint.bits",
        )
    for value, least, most, path in (
        (template.salt, 0, SALT_MAX, "fingerprint.salt"),
        (template.cell_bits, 0, min(CELL_BITS_MAX, bits), "cells.bits"),
        (template.group_bits, 0, template.cell_bits, "cells.group_bits"),
        (template.ttl_days, 1, TTL_DAYS_MAX, "retention.ttl_days"),
        (template.half_life_days, 0, HALF_LIFE_DAYS_MAX, "retention.half_life_days"),
    ):
        if not least <= value <= most:
            raise TemplateError(
                "template-value", f"must be {least} to {most}, not {value}", hint="write another number", field=path
            )


def _check_codebook(template: Template) -> None:
    if not template.codebook:
        return
    if not 1 <= template.cell_bits <= CODEBOOK_BITS_MAX:
        raise TemplateError(
            "template-value",
            f"a codebook has 1 to {CODEBOOK_BITS_MAX} bits, not {template.cell_bits}",
            hint="write bits = 10 for 1,024 prototypes",
            field="cells.bits",
        )
    size_bytes = template.fingerprint_bits // 8
    prototypes = template.prototypes()
    if len(template.codebook) != size_bytes << template.cell_bits or len(set(prototypes)) < len(prototypes):
        raise TemplateError(
            "template-codebook",
            f"the codebook is not {1 << template.cell_bits} different fingerprints of {template.fingerprint_bits} bits",
            hint="let fingerpost template codebook make it",
            field="cells.prototypes",
        )


def _check_privacy(template: Template) -> None:
    if template.data_class is DataClass.PERSONAL and template.profile is Profile.OPEN:
        raise TemplateError(
            "template-profile",
            "personal data may not leave under the profile open",
            hint='write profile = "consortium", "k-anonymous", "dp-aggregate" or "local-dp" under [privacy]',
            field="privacy.profile",
        )
    if template.profile in {Profile.DP_AGGREGATE, Profile.LOCAL_DP}:
        _check_counts(template)
    if template.sketch and template.profile not in {Profile.OPEN, Profile.CONSORTIUM}:
        raise TemplateError(
            "template-profile",
            "a sketch reveals most of a record and is allowed under the profiles open and consortium only",
            hint="write sketch = false under [fingerprint]",
            field="fingerprint.sketch",
        )


def _check_counts(template: Template) -> None:
    levels = len(template.outcome.levels) if isinstance(template.outcome, CategoryOutcomeField) else COUNTS_KNOTS
    actions = 1 + len(template.action.levels) if template.action else 1
    entries = (actions * levels) << template.cell_bits
    if template.cell_bits > COUNTS_CELL_BITS_MAX or entries > COUNTS_ENTRIES_MAX:
        raise TemplateError(
            "template-counts",
            f"under the profile {profile_name(template.profile)} {entries:,} counts are told apart, each with noise",
            hint=f"write at most {COUNTS_CELL_BITS_MAX} bits under [cells]; 5 suit most tables",
            field="cells.bits",
        )
    if template.profile is Profile.LOCAL_DP and entries > REPORT_ENTRIES_MAX:
        raise TemplateError(
            "template-reports",
            f"under the profile {profile_name(template.profile)} a report has a bit for each of {entries:,} entries "
            f"(cells x actions x levels), and a packet has room for {REPORT_ENTRIES_MAX:,}",
            hint="write fewer bits under [cells]; 3 to 5 suit most tables",
            field="cells.bits",
        )


def _check_groups(template: Template) -> None:
    items = template.summary_layout().outcome_items
    levels = len(template.outcome.levels) if isinstance(template.outcome, CategoryOutcomeField) else 1
    if items < levels:
        raise TemplateError(
            "template-groups",
            f"under the profile {profile_name(template.profile)} a packet counts all levels of the outcome, and has "
            f"room for {items} of {levels}",
            hint="merge levels of the outcome, or write fewer fingerprint bits",
            field="outcome.levels",
        )


def _check_budget(template: Template) -> None:
    layout = template.observation_layout()
    if not layout.fits(template.profile):
        raise TemplateError(
            "template-budget",
            f"a packet would need {layout.size_bytes} bytes of payload, more than the profile "
            f"{profile_name(template.profile)} leaves",
            hint="use fewer fingerprint bits or conditions, or no sketch",
            field="fingerprint.bits",
        )


def _tree(template: Template) -> dict[str, Any]:
    """Return the template as plain JSON values, defaults written out, decimals as texts."""
    outcome: dict[str, Any] = {"name": template.outcome.name}
    if isinstance(template.outcome, CategoryOutcomeField):
        outcome |= {"kind": "category", "levels": list(template.outcome.levels)}
    else:
        ends = [decimal_text(template.outcome.low), decimal_text(template.outcome.high)]
        outcome |= {"kind": "number", "range": ends, "unit": template.outcome.unit}
    tree: dict[str, Any] = {
        "format": FORMAT,
        "name": template.name,
        "description": template.description,
        "data_class": template.data_class.value,
        "situation": {part.name: _field_tree(part) for part in template.situation},
        "outcome": outcome,
        "conditions": {part.name: {"levels": list(part.levels)} for part in template.conditions},
        "fingerprint": {
            "bits": template.fingerprint_bits,
            "encoder": ENCODER,
            "salt": template.salt,
            "sketch": template.sketch,
        },
        "cells": _cells_tree(template),
        "privacy": {"profile": profile_name(template.profile)},
        "retention": {"ttl_days": template.ttl_days, "half_life_days": template.half_life_days},
    }
    if template.action:
        tree["action"] = {"name": template.action.name, "levels": list(template.action.levels)}
    return tree


def _cells_tree(template: Template) -> dict[str, Any]:
    """Return the cells; without group bits as it was written before there were any, so that old ids stay."""
    tree: dict[str, Any] = {"kind": "prefix", "bits": template.cell_bits}
    if template.codebook:
        tree |= {"kind": "codebook", "prototypes": [prototype.hex() for prototype in template.prototypes()]}
    return tree | {"group_bits": template.group_bits} if template.group_bits else tree


def _field_tree(part: Field) -> dict[str, Any]:
    tree: dict[str, Any] = {"missing": part.missing.value, "weight": decimal_text(part.weight)}
    match part:
        case NumberField():
            tree |= {"kind": "number", "unit": part.unit, "scale": part.scale.value, "outside": part.outside.value}
        case VectorField():
            tree |= {"kind": "vector", "size": part.size, "outside": part.outside.value}
        case CategoryField():
            tree |= {"kind": "category", "other": part.other.value}
        case OrdinalField():
            tree |= {"kind": "ordinal", "other": part.other.value}
        case SetField():
            tree |= {"kind": "set"}
        case _:
            tree |= {"kind": "text", "embedder": part.embedder}
    if isinstance(part, (NumberField, VectorField)):
        tree["range"] = [decimal_text(part.low), decimal_text(part.high)]
    if isinstance(part, (CategoryField, OrdinalField, SetField)):
        tree["levels"] = list(part.levels)
    return tree


def _canonical_json(tree: dict[str, Any]) -> bytes:
    """Write JSON in one way only: keys by code point, no blanks, no escape that JSON does not require, UTF-8."""
    return json.dumps(tree, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _blake2s_128(data: bytes) -> bytes:
    return hashlib.blake2s(data, digest_size=16).digest()
