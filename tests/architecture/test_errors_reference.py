"""docs/reference/errors.md is what the source raises, and its generator finds every way in which the source raises."""

from __future__ import annotations

import pytest

from fingerpost.errors import FingerpostError
from tools import errors_reference
from tools.errors_reference import Site, sites_in_module


def test_the_reference_is_up_to_date_with_the_source() -> None:
    expected = errors_reference.page(errors_reference.sites_in_source())
    assert errors_reference.TARGET.read_text(encoding="utf-8") == expected, "run make docs"


def test_each_code_has_one_class_and_is_kebab_case() -> None:
    sites = errors_reference.sites_in_source()
    for site in sites:
        assert errors_reference.CODE.fullmatch(site.code), f"{site.code!r} is no kebab-case code"
        assert {other.error for other in sites if other.code == site.code} == {site.error}, site.code


def test_each_exit_status_but_one_belongs_to_one_branch_of_the_tree() -> None:
    for name, error in errors_reference.error_classes().items():
        for other_name, other in errors_reference.error_classes().items():
            related = issubclass(error, other) or issubclass(other, error)
            assert related or error.exit_status != other.exit_status, f"{name} and {other_name} exit alike"
    assert FingerpostError.exit_status == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "raise PacketError('packet-magic', f'not {kind} bytes', hint='look')",
            Site("PacketError", "packet-magic", "not … bytes", "look"),
        ),
        (
            "raise errors.TableError('table-empty', 'is ' + 'empty')",
            Site("TableError", "table-empty", "is empty", ""),
        ),
        (
            "def refuse(self, code, message, *, hint='again'):\n    raise StoreError(code, message, hint=hint)\n"
            "refuse('store-locked', 'locked')",
            Site("StoreError", "store-locked", "locked", "again"),
        ),
        (
            "def refuse(line, code):\n    return TemplateError(code, f'line {line}', line=line)\n"
            "raise refuse(3, code='template-key')",
            Site("TemplateError", "template-key", "line …", ""),
        ),
        (
            "ROWS = {2: ('file-not-found', 'no such file', 'look')}\ncode, *rest = ROWS[number]\n"
            "raise UsageError(code, *rest)",
            Site("UsageError", "file-not-found", "no such file", "look"),
        ),
        (
            "ADVICE = 'wait'\nraise StoreError('store-busy', 'busy', hint=ADVICE)",
            Site("StoreError", "store-busy", "busy", "wait"),
        ),
    ],
)
def test_an_error_is_found_however_it_is_raised(text: str, expected: Site) -> None:
    assert list(sites_in_module(text)) == [expected]


def test_an_error_with_either_of_two_messages_is_listed_with_both() -> None:
    sites = sites_in_module("raise UsageError('bad-usage', 'low' if n < 0 else 'high')")
    assert [site.message for site in sites] == ["low", "high"]


def test_a_code_that_was_never_documented_fails_the_test_that_meets_it(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("from tests.conftest import every_error_is_documented")
    folder = pytester.mkdir("fingerpost")
    (folder / "raising.py").write_text(
        "from fingerpost.errors import UsageError\ndef make():\n    return UsageError('not-listed', 'x')\n"
    )
    pytester.makepyfile(
        "import runpy\nmake = runpy.run_path('fingerpost/raising.py')['make']\n"
        "def test_an_error_is_made():\n    assert make().code == 'not-listed'\n"
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*lacks*not-listed*make docs*"])
