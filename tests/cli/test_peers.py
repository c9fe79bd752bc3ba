"""``fingerpost peers``: whom this node believes, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_a_node_is_explained_by_the_beginning_of_its_id(asking: Any) -> None:
    document = asking("peers", "graph", "--json").document
    (node,) = document["nodes"]
    assert (document["hired"], document["refused"], document["picture"]) == (0, 0, None)
    result = asking("peers", "explain", node["node_id"][:10])
    assert (result.status, result.err) == (0, "")
    assert node["node_id"][:10] in result.out
    explained = asking("peers", "explain", node["node_id"], "--json").document
    assert (explained["node_id"], explained["finding"]) == (node["node_id"], node["finding"])


def test_a_node_that_is_not_here_is_refused_with_a_hint(asking: Any) -> None:
    assert asking("peers", "explain", "zz").fails_with(2, "no node", "peers graph")


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_graph_is_drawn_into_a_file(asking: Any, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"peers.{ending}"
    assert f"Picture: {file}" in asking("peers", "graph", "--picture", file).out
    assert file.stat().st_size > 1_000
    assert asking("peers", "graph", "--picture", tmp_path / "peers.doc").fails_with(2, "neither", "--picture")
