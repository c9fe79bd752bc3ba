"""The words that a fuzzer of packets should know, made from the field table of the packet.

``python -m fuzz.dictionary`` prints them in libFuzzer's format.
"""

from __future__ import annotations

import itertools
import struct

from fingerpost.limits import LEVELS_MAX, TTL_DAYS_MAX
from fingerpost.packet._layout import (
    FORMS_OF_KIND,
    MAGIC,
    OUTCOME_ITEM_SIZE_BYTES,
    PACKET_FIELDS,
    PAYLOAD_FIELDS,
    PROFILES_OF_KIND,
    VERSION,
    Field,
)

EDGES_OF_FIELD = {
    "ttl_days": (1, TTL_DAYS_MAX, TTL_DAYS_MAX + 1),
    "action": (LEVELS_MAX, LEVELS_MAX + 1),
    "first_level": (LEVELS_MAX - 1, LEVELS_MAX),
}
NUMBERS = (0.0, -0.0, 1.0, -1.0, float("inf"), float("-inf"), float("nan"), 5e-324, 1.7976931348623157e308)


def words() -> dict[str, bytes]:
    """Return the words by a name that says which field they are for."""
    found: dict[str, bytes] = {}
    for kind, profiles in PROFILES_OF_KIND.items():
        for profile in sorted(profiles):
            found[f"head_{kind.name}_{profile.name}"] = MAGIC + bytes((VERSION, kind, profile))
    for field in (*PACKET_FIELDS, *PAYLOAD_FIELDS):
        for number, word in enumerate(_edges(field)):
            found[f"{field.name}_{number}"] = word
    for kind, forms in FORMS_OF_KIND.items():
        for form, words_of_fingerprint, items in itertools.product(sorted(forms), (0, 1, 4, 16), (1, 2)):
            found[f"payload_{kind.name}_{form.name}_{words_of_fingerprint}_{items}"] = bytes(
                (words_of_fingerprint, 0, 0, form, items)
            )
    for last in (0, 1, 2, 3, 127, 128, 255):
        found[f"proof_{last}"] = bytes((last, last.bit_length(), last))
    for number, value in enumerate(NUMBERS):
        found[f"number_{number}"] = struct.pack("<d", value)
    for size in sorted(set(OUTCOME_ITEM_SIZE_BYTES.values()) - {0}):
        found[f"zeros_{size}"] = bytes(size)
    return found


def dictionary() -> str:
    """Return the words as a libFuzzer dictionary: ``name="\\x46\\x50"``, one a line, none twice."""
    name_of_word = {word: name for name, word in words().items()}
    return "".join(f'{name}="{_escaped(word)}"\n' for word, name in name_of_word.items())


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{octet:02x}" for octet in word)


def _edges(field: Field) -> list[bytes]:
    if field.type == "bytes":
        return []
    values = {0, 1, 2 ** (8 * field.size - 1), 2 ** (8 * field.size) - 1, *EDGES_OF_FIELD.get(field.name, ())}
    return [value.to_bytes(field.size, "little") for value in sorted(values)]


if __name__ == "__main__":
    print(dictionary(), end="")
