"""Learn from each other's outcomes: packets, fingerprints, routing, synthesis.

    import fingerpost

    node = fingerpost.Node("template.toml", home="~/.fingerpost")
    node.emit(situation={"age": 61, "sex": "female"}, outcome="recovered")
    answer = node.ask({"age": 58, "sex": "female"})

Names are loaded when they are first used, so that ``import fingerpost`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fingerpost.errors import (
        FingerpostError,
        NetworkError,
        PacketError,
        ReceiptError,
        RecordError,
        StoreError,
        TemplateError,
    )
    from fingerpost.files import load_template, read_table
    from fingerpost.node.facade import Node
    from fingerpost.node.network import MemoryNetwork, Network
    from fingerpost.node.runtime import AsyncNode
    from fingerpost.packet import SignedPacket, decode, encode
    from fingerpost.synthesis import Answer
    from fingerpost.synthesis.receipt import Receipt, verify_receipt
    from fingerpost.template import Template

__version__ = "0.1.0"

_HOMES = {
    "Answer": "fingerpost.synthesis",
    "AsyncNode": "fingerpost.node.runtime",
    "FingerpostError": "fingerpost.errors",
    "MemoryNetwork": "fingerpost.node.network",
    "Network": "fingerpost.node.network",
    "NetworkError": "fingerpost.errors",
    "Node": "fingerpost.node.facade",
    "PacketError": "fingerpost.errors",
    "Receipt": "fingerpost.synthesis.receipt",
    "ReceiptError": "fingerpost.errors",
    "RecordError": "fingerpost.errors",
    "SignedPacket": "fingerpost.packet",
    "StoreError": "fingerpost.errors",
    "Template": "fingerpost.template",
    "TemplateError": "fingerpost.errors",
    "decode": "fingerpost.packet",
    "encode": "fingerpost.packet",
    "load_template": "fingerpost.files",
    "read_table": "fingerpost.files",
    "verify_receipt": "fingerpost.synthesis.receipt",
}

__all__ = [
    "Answer",
    "AsyncNode",
    "FingerpostError",
    "MemoryNetwork",
    "Network",
    "NetworkError",
    "Node",
    "PacketError",
    "Receipt",
    "ReceiptError",
    "RecordError",
    "SignedPacket",
    "StoreError",
    "Template",
    "TemplateError",
    "decode",
    "encode",
    "load_template",
    "read_table",
    "verify_receipt",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
