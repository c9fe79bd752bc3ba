"""What draws noise, nonces and keys on the way out: OpenDP and the entropy of the system, and nothing that repeats."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src/fingerpost"
EMISSION = ("packet", "privacy", "node")  # carriers move what is made already
NOISE = SOURCE / "node/noise.py"


def chance_in(source: str) -> list[str]:
    """Return the pieces of a module that draw numbers which could be foreseen, or floating-point noise."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] == "random"]
            found += [alias.name for alias in node.names if alias.name.startswith(("numpy.random", "scipy"))]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("random", "numpy.random", "scipy")):
            found.append(node.module or "")
        elif isinstance(node, ast.Attribute) and node.attr == "random" and isinstance(node.value, ast.Name):
            found.append(f"{node.value.id}.random")
    return found


def test_nothing_on_the_way_out_draws_from_a_generator_that_could_be_foreseen() -> None:
    modules = [path for folder in EMISSION for path in (SOURCE / folder).rglob("*.py")]
    assert len(modules) > 60
    assert {str(path): found for path in modules if (found := chance_in(path.read_text()))} == {}


def test_opendp_draws_the_noise_and_is_asked_in_one_place() -> None:
    importing = {
        path
        for path in SOURCE.rglob("*.py")
        if "import opendp" in path.read_text() or "from opendp" in path.read_text()
    }
    assert NOISE in importing
    assert {path.relative_to(SOURCE).parts[0] for path in importing} <= {"node", "lab"}


@pytest.mark.parametrize(
    "planted",
    ["import random", "from numpy.random import default_rng", "x = np.random.laplace(0, 1)", "import scipy.stats"],
)
def test_a_planted_generator_is_found(planted: str) -> None:
    assert chance_in(planted)
