"""``fingerpost emit --sum``: by the node that runs here, or one that is opened in its network for the time of a sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fingerpost.cli._node import running_node
from fingerpost.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fingerpost.node.home import Home
    from fingerpost.node.reports import Emission
    from fingerpost.template import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """A sum with all members that a configuration names, for which to wait so long."""

    config: Path
    seconds: float


def emit_joint(
    template: Template, place: Home, columns: Mapping[str, Any], joint: Joint, *, subject_column: str | None
) -> tuple[Emission, bytes]:
    """Release a table's counts as part of a sum; return what became of it, and the packets that this node published.

    Raises ``UsageError`` (``sum-members``), and what the sum raises.
    """
    import asyncio

    from fingerpost.node.config import load_config
    from fingerpost.node.emission import subjects_needed

    config = load_config(joint.config)
    if config.members is None:
        raise UsageError(
            "sum-members",
            f"{joint.config} names no members, so nobody knows whom to wait for",
            hint="list the nodes that add up their counts under [network] members",
        )
    if subject_column is None:
        raise subjects_needed(template)
    parties = [bytes(member.public_key) for member in config.members]
    client = running_node(place)
    if client is not None:
        from fingerpost.node.daemon.client import RemoteNode

        node = RemoteNode(client, template)
        emission = node.emit_sum(columns, subject_column=subject_column, parties=parties, seconds=joint.seconds)
        return emission, node.find_packets(emission.packet_ids).tobytes()
    return asyncio.run(_emit(template, place, columns, joint.seconds, config.network(), parties, subject_column))


async def _emit(
    template: Template,
    place: Home,
    columns: Mapping[str, Any],
    seconds: float,
    network: Any,
    parties: list[bytes],
    subject_column: str,
) -> tuple[Emission, bytes]:
    from fingerpost.node.runtime import AsyncNode

    async with await AsyncNode.open(template, home=place.root, network=network) as node:
        emission = await node.emit_sum(columns, subject_column=subject_column, parties=parties, seconds=seconds)
        return emission, (await node.find_packets(emission.packet_ids)).tobytes()
