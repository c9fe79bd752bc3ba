"""Vectors of weights, offsets, fingerprints, cells and sketches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.fingerprint import Fingerprinter, cell_of
from fingerpost.fingerprint._weights import offsets, weights
from fingerpost.template import SCALE, Template, encode_record, parse_template
from spec.vector_sources.encodings import WHOLE
from spec.vector_sources.templates import PROTOTYPES, SMALL, WITHOUT_TEXT, changed, codebook
from spec.vector_sources.vector import Vector, octets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SPACE = octets("space", 16)


def template_of(size: int, *, bits: int = 64, sketch: bool = False, **keys: Any) -> Template:
    """Return a template whose situation is one vector of ``size`` numbers that may not be missing."""
    vector = {"kind": "vector", "size": size, "range": ["-1", "1"], "missing": "refuse"} | keys
    tree = changed("situation", to={"v": vector}) | {"fingerprint": {"bits": bits, "sketch": sketch}}
    return parse_template(json.dumps(tree))


def coordinates_of(label: str, size: int) -> list[int]:
    """Return coordinates that look random."""
    return [int(value) % (2 * SCALE + 1) - SCALE for value in np.frombuffer(octets(label, 2 * size), "<u2")]


def near_one_number() -> list[str]:
    """Return four prototypes: one far from the record {"x": "2.5"} of the small template, and three one bit away."""
    template = parse_template(json.dumps(SMALL))
    made = Fingerprinter(template).fingerprints(encode_record(template, {"x": "2.5"})[None])[0]
    whole = int.from_bytes(made.tobytes(), "big")
    return [f"{whole ^ flips:064x}" for flips in (0b111 << 90, 1 << 255, 1, 1 << 90)]


def expansions() -> Iterator[Vector]:
    """Yield rows of weights, and offsets."""
    for name, bit, width in (
        ("the weights of bit 0 over one block", 0, 32),
        ("the weights of bit 1023 over two blocks", 1023, 40),
        ("the weight of a single coordinate", 5, 1),
    ):
        row = weights(SPACE, bits=bit + 1, width=width)[bit]
        yield _expansion(name, "fingerprint-weights", bit, width, {"weights": [int(weight) for weight in row]})
    for name, bit, width in (
        ("the offset of bit 0 at one coordinate", 0, 1),
        ("the offset of bit 3 at 35 coordinates", 3, 35),
        ("the offset of bit 1023 at 8192 coordinates", 1023, 8192),
    ):
        offset = int(offsets(SPACE, bits=bit + 1, width=width)[bit])
        yield _expansion(name, "fingerprint-offset", bit, width, {"offset": offset})


def fingerprints() -> Iterator[Vector]:
    """Yield fingerprints of coordinates and of whole records, and cells."""
    for name, template, coordinates in (
        ("the fingerprint of zeros, which is the signs of the offsets", template_of(8), [0] * 8),
        ("the fingerprint of one coordinate", template_of(1), [SCALE]),
        ("a fingerprint of 64 bits", template_of(33), coordinates_of("a", 33)),
        ("a fingerprint of 1024 bits", template_of(10, bits=1024), coordinates_of("b", 10)),
        ("a fingerprint of 300 coordinates", template_of(300, bits=128), coordinates_of("c", 300)),
        ("a fingerprint of the largest coordinates", template_of(40, weight="7.999"), [32764, -32764] * 20),
    ):
        made = Fingerprinter(template).fingerprints(np.array([coordinates], dtype=np.int16))[0]
        yield _of_coordinates(name, "fingerprint-bits", template, coordinates, {"fingerprint": made.tobytes().hex()})
    yield _tie()
    for name, tree, record in (
        ("the fingerprint and cell of a whole record", WITHOUT_TEXT, WHOLE),
        ("the fingerprint and cell of a record with missing values", WITHOUT_TEXT, {"age": 61, "sex": "female"}),
        ("the fingerprint of a record in another space", changed("fingerprint/salt", to=8, base=WITHOUT_TEXT), WHOLE),
        ("the fingerprint of a record of one number", SMALL, {"x": "2.5"}),
        ("the cell of a record in a codebook", codebook(bits=2, prototypes=PROTOTYPES), {"x": "2.5"}),
        (
            "the cell of a record as near to three prototypes",
            codebook(bits=2, prototypes=near_one_number()),
            {"x": "2.5"},
        ),
    ):
        template = parse_template(json.dumps(tree))
        made = Fingerprinter(template).fingerprints(encode_record(template, record)[None])
        expect = {"fingerprint": made[0].tobytes().hex(), "cell": int(cell_of(made, template)[0])}
        yield _vector(name, "fingerprint-record", {"template": template.canonical.decode(), "record": record}, expect)
    for name, bits in (
        ("a cell of no bits", 0),
        ("a cell of one bit", 1),
        ("a cell across bytes", 11),
        ("a cell of 32 bits", 32),
    ):
        template = parse_template(json.dumps(changed("cells/bits", to=bits)))
        data = octets("cell", 32)
        cell = int(cell_of(np.frombuffer(data, np.uint8)[None], template)[0])
        yield _vector(name, "fingerprint-cell", {"fingerprint": data.hex(), "bits": bits}, {"cell": cell})


def sketches() -> Iterator[Vector]:
    """Yield sketches."""
    mixed = parse_template(json.dumps(changed("fingerprint/sketch", to=True, base=WITHOUT_TEXT)))
    for name, template, coordinates in (
        ("a sketch of zeros", template_of(8, sketch=True), [0] * 8),
        ("a sketch of one coordinate at its end", template_of(1, sketch=True), [-SCALE]),
        ("a sketch of one whole block", template_of(64, sketch=True), coordinates_of("d", 64)),
        ("a sketch of two blocks", template_of(65, sketch=True), coordinates_of("e", 65)),
        ("a sketch with two hashes of signs", template_of(257, sketch=True), coordinates_of("f", 257)),
        ("a sketch that saturates", template_of(16, sketch=True), [SCALE] * 16),
        ("a sketch of weighted numbers", template_of(20, sketch=True, weight="2.5"), coordinates_of("g", 20)),
        ("a sketch of every kind of field", mixed, [int(value) for value in encode_record(mixed, WHOLE)]),
        (
            "a sketch of missing values, which come last",
            mixed,
            [int(value) for value in encode_record(mixed, {"age": "33"})],
        ),
    ):
        made = Fingerprinter(template).sketches(np.array([coordinates], dtype=np.int16))[0]
        yield _of_coordinates(name, "fingerprint-sketch", template, coordinates, {"sketch": made.tobytes().hex()})


def _tie() -> Vector:
    """Return a fingerprint one of whose sums is exactly zero: its bit is 1."""
    for size in range(1, 200):
        template = template_of(1, range=["-1", str(size)])
        row = weights(template.space_id, bits=64, width=1)[:, 0].astype(np.int64)
        for bit, offset in enumerate(offsets(template.space_id, bits=64, width=1)):
            if row[bit] and offset % row[bit] == 0 and abs(offset // row[bit]) <= SCALE:
                coordinates = [-int(offset // row[bit])]
                made = Fingerprinter(template).fingerprints(np.array([coordinates], dtype=np.int16))[0]
                if not made[bit // 8] >> (7 - bit % 8) & 1:
                    raise ValueError("a sum of zero gives a 1")
                name = f"a fingerprint whose sum at bit {bit} is zero"
                expect = {"fingerprint": made.tobytes().hex()}
                return _of_coordinates(name, "fingerprint-bits", template, coordinates, expect)
    raise ValueError("no template with a tie was found")


def _expansion(name: str, kind: str, bit: int, width: int, expect: dict[str, Any]) -> Vector:
    return _vector(name, kind, {"space_id": SPACE.hex(), "bit": bit, "width": width}, expect)


def _of_coordinates(name: str, kind: str, template: Template, coordinates: list[int], expect: dict[str, Any]) -> Vector:
    given = {"template": template.canonical.decode(), "coordinates": coordinates}
    return _vector(name, kind, given, expect)


def _vector(name: str, kind: str, given: dict[str, Any], expect: dict[str, Any]) -> Vector:
    return Vector(name=name, purpose=f"Exactly this, bit by bit: {name}.", kind=kind, input=given, expect=expect)


FILES: dict[str, Callable[[], Iterator[Vector]]] = {
    "fingerprint-expansions.json": expansions,
    "fingerprint-bits.json": fingerprints,
    "fingerprint-sketches.json": sketches,
}
