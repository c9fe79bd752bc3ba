"""A made-up world with a known truth: templates, and nodes that emit signed packets about it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.fingerprint import Fingerprinter
from fingerpost.packet import (
    Kind,
    OutcomeForm,
    PayloadLayout,
    Signer,
    blank_bodies,
    payloads,
    sign_bodies,
)
from fingerpost.synthesis import ActionEstimate, Answer, KernelSettings, LevelEstimate, NumberEstimate, Query
from fingerpost.template import CategoryOutcomeField, Template, encode_table, parse_template

if TYPE_CHECKING:
    from numpy.typing import NDArray

DAY = 20_000

SITUATION = """
format = 1
name = "world"
data_class = "non_personal"
[situation.a]
kind = "number"
range = [-1, 1]
[situation.b]
kind = "number"
range = [-1, 1]
[situation.c]
kind = "number"
range = [-1, 1]
[action]
levels = ["wait", "act", "never"]
[conditions.region]
levels = ["north", "south"]
[fingerprint]
bits = 256
"""
CATEGORY = SITUATION + '[outcome]\nkind = "category"\nlevels = ["bad", "fair", "good"]\n'
NUMBER = SITUATION + '[outcome]\nkind = "number"\nrange = [-10, 10]\nunit = "mm"\n'


def category_template() -> Template:
    return parse_template(CATEGORY)


def number_template() -> Template:
    return parse_template(NUMBER)


def sketch_template() -> Template:
    return parse_template(CATEGORY.replace("bits = 256", "bits = 256\nsketch = true"))


def forgetful_template(half_life_days: int) -> Template:
    return parse_template(CATEGORY + f"[retention]\nttl_days = 1000\nhalf_life_days = {half_life_days}\n")


def situations(seed: int, rows: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(-1, 1, (rows, 3)).round(4)


def level_of(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """The level that happens at points (n, 3): known without noise."""
    return np.digitize(points[:, 0] + 0.5 * points[:, 1], [-0.4, 0.4])


def number_of(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return 4 * points[:, 0] - 2 * points[:, 1]


def encoded(template: Template, points: NDArray[np.float64]) -> NDArray[np.int16]:
    columns = {name: [f"{value:.4f}" for value in points[:, k]] for k, name in enumerate("abc")}
    found, problems = encode_table(template, columns, rows=len(points))
    assert not problems
    return found


def queries(template: Template, points: NDArray[np.float64]) -> list[Query]:
    maker, coordinates = Fingerprinter(template), encoded(template, points)
    sketches = maker.sketches(coordinates) if template.sketch else None
    return [
        Query(fingerprint=row.tobytes(), sketch=None if sketches is None else sketches[k].tobytes())
        for k, row in enumerate(maker.fingerprints(coordinates))
    ]


def signer(node: int) -> Signer:
    return Signer(hashlib.blake2s(f"node {node}".encode()).digest())


def observe(
    template: Template,
    points: NDArray[np.float64],
    outcomes: NDArray[Any],
    *,
    node: int = 0,
    action: NDArray[Any] | int = 0,
    region: NDArray[Any] | int = 0,
    day: int = DAY,
    kind: Kind = Kind.OBSERVATION,
    layout: PayloadLayout | None = None,
    first_level: int = 0,
) -> NDArray[Any]:
    """Return one signed packet a point; ``outcomes`` are level numbers, numbers, or what ``layout`` wants."""
    shape = layout or template.observation_layout()
    key = signer(node)
    bodies = blank_bodies(
        len(points),
        kind=kind,
        profile=template.profile,
        epoch=day,
        ttl_days=template.ttl_days,
        template_id=template.template_id,
        emitter=key.public_key,
        layout=shape,
    )
    digest = hashlib.blake2s(points.tobytes() + bytes([node, kind])).digest()
    bodies["nonce"] = np.random.default_rng(list(digest)).integers(0, 256, bodies["nonce"].shape, dtype=np.uint8)
    content = payloads(bodies, shape)
    maker, coordinates = Fingerprinter(template), encoded(template, points)
    content["fingerprint"] = maker.fingerprints(coordinates)
    if template.sketch:
        content["sketch"] = maker.sketches(coordinates)
    content["action"] = action
    content["conditions"] = np.broadcast_to(np.reshape(region, (-1, 1)), (len(points), 1))
    content["first_level"] = first_level
    category = isinstance(template.outcome, CategoryOutcomeField) and shape.outcome_form == OutcomeForm.CATEGORY
    content["outcome"] = outcomes + 1 if category else outcomes
    return sign_bodies(bodies, key)


def pool(template: Template, *, rows: int = 120, nodes: int = 4, seed: int = 0, **more: Any) -> NDArray[Any]:
    """Return packets of ``nodes`` honest nodes with ``rows`` packets in all."""
    parts = []
    for node in range(nodes):
        points = situations(100 * seed + node, rows // nodes)
        category = isinstance(template.outcome, CategoryOutcomeField)
        outcomes = level_of(points) if category else number_of(points)
        parts.append(observe(template, points, outcomes, node=node, **more))
    return np.concatenate(parts)


def levels(template: Template) -> tuple[str, ...]:
    assert isinstance(template.outcome, CategoryOutcomeField)
    return template.outcome.levels


def top(answer: Answer) -> LevelEstimate:
    assert answer.likeliest is not None
    return answer.likeliest


def number(answer: Answer | ActionEstimate) -> NumberEstimate:
    assert answer.number is not None
    return answer.number


def reason(answer: Answer) -> str | None:
    return None if answer.reason is None else answer.reason.code


def found_settings(answer: Answer) -> KernelSettings:
    assert answer.settings is not None
    return answer.settings
