"""One test vector, and unpredictable-looking bytes that are the same every time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """``input`` and ``expect`` hold JSON values; their shape depends on ``kind`` and is listed in vectors/README.md."""

    name: str
    purpose: str
    kind: str
    input: dict[str, Any]
    expect: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the vector as a JSON object."""
        return {
            "name": self.name,
            "purpose": self.purpose,
            "kind": self.kind,
            "input": self.input,
            "expect": self.expect,
        }


def octets(label: str, size: int) -> bytes:
    """Return ``size`` bytes that depend on ``label`` alone."""
    blocks = (hashlib.blake2s(f"{label}/{block}".encode()).digest() for block in range(-(-size // 32)))
    return b"".join(blocks)[:size]
