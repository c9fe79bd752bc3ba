"""The page about the Python package names everything that is public, and nothing that is not there."""

from __future__ import annotations

import dataclasses
import inspect
import re

import pytest

import fingerpost
from tests.docs import pages

PAGE = pages.ROOT / "docs/reference/api.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", fingerpost.__all__)
def test_every_public_name_has_a_heading_of_its_own(name: str) -> None:
    assert re.search(rf"^### `{name}`$", TEXT, flags=re.MULTILINE)


def test_every_heading_with_a_name_is_a_public_name() -> None:
    assert set(re.findall(r"^### `(\w+)`$", TEXT, flags=re.MULTILINE)) == set(fingerpost.__all__)


@pytest.mark.parametrize("name", ["Node", "Answer"])
def test_every_member_of_the_main_classes_is_described(name: str) -> None:
    of = getattr(fingerpost, name)
    members = {member for member, _ in inspect.getmembers(of) if not member.startswith("_")}
    if dataclasses.is_dataclass(of):
        members |= {field.name for field in dataclasses.fields(of)}
    described = set(re.findall(r"`(\w+)(?:\(.*?\))?`", TEXT)) | set(re.findall(r"`(\w+)\(", TEXT))
    assert members - described == set()


def test_both_kinds_of_node_have_the_same_verbs() -> None:
    verbs = {name for name, _ in inspect.getmembers(fingerpost.Node, callable) if not name.startswith("_")}
    assert {name for name in verbs if not inspect.iscoroutinefunction(getattr(fingerpost.AsyncNode, name))} == set()
