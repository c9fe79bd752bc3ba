"""Where a node keeps its state."""

from __future__ import annotations

from pathlib import Path

import pytest

from fingerpost.errors import UsageError
from fingerpost.node.home import Home, locate_home


def test_the_chosen_directory_comes_before_the_environment_and_the_default() -> None:
    environment = {"FINGERPOST_HOME": "/from/environment", "HOME": "/somebody"}
    assert locate_home(Path("/chosen"), environment).root == Path("/chosen")
    assert locate_home(None, environment).root == Path("/from/environment")


@pytest.mark.parametrize("environment", [{}, {"FINGERPOST_HOME": ""}])
def test_without_a_choice_it_is_a_directory_of_this_account(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/somebody")
    assert locate_home(None, environment).root == Path("/somebody/.fingerpost")


def test_an_unknown_account_is_refused_with_a_hint() -> None:
    with pytest.raises(UsageError) as error:
        locate_home(Path("~nobody-of-that-name/home"), {})
    assert error.value.code == "home-unknown"
    assert "--home" in error.value.hint


def test_a_template_is_kept_under_its_id() -> None:
    assert Home(Path("/h")).template_file(b"\xab" * 16) == Path("/h/templates") / f"{'ab' * 16}.toml"
