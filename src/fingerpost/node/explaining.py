"""Why a node believes whom it believes, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fingerpost.elections import explain

if TYPE_CHECKING:
    from fingerpost.node.runtime import AsyncNode


async def explained(node: AsyncNode, peer: bytes | None) -> dict[str, Any]:
    """Return why ``node`` hired or refused ``peer``, or without one who agrees with whom."""
    if peer is None:
        return explain.graph(node.evidence(), node.template, asker=node.node_id)
    return explain.explain(node.evidence(), node.template, asker=node.node_id, node=peer)
