"""The tree keeps the habits of the house, and every rule behind that sees a planted breach."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import tidy

ROOT = Path(__file__).resolve().parents[2]

# Each rule with the smallest file that breaks it, written so that this file itself stays tidy.
PLANTED: list[tuple[tidy.Rule, str, str]] = [
    (tidy.modules_are_short, "src/fingerpost/a.py", "x = 1\n" * (tidy.MODULE_LINES_MAX + 1)),
    (tidy.functions_are_short, "src/fingerpost/a.py", "def f():\n" + "    x = 1\n" * tidy.FUNCTION_LINES_MAX),
    (tidy.names_say_what_a_thing_is, "src/fingerpost/packet/utils.py", ""),
    (tidy.names_say_what_a_thing_is, "src/fingerpost/a.py", "class PacketManager:\n    pass\n"),
    (tidy.names_say_what_a_thing_is, "src/fingerpost/a.py", "def f(cfg):\n    return cfg\n"),
    (tidy.booleans_are_named_at_the_call, "src/fingerpost/a.py", "def f(deep: bool):\n    return deep\n"),
    (tidy.booleans_are_named_at_the_call, "src/fingerpost/a.py", "def f(deep: 'bool | None'):\n    return deep\n"),
    (tidy.booleans_are_named_at_the_call, "src/fingerpost/a.py", "def f(a, deep=False):\n    return deep\n"),
    # The two that raise NotImplementedError are planted text for the rule to find, not unfinished code.
    (tidy.nothing_is_left_unfinished, "src/fingerpost/a.py", "x = 1  # TO" + "DO later\n"),
    (tidy.nothing_is_left_unfinished, "src/fingerpost/a.py", "x = 1  # pragma:" + " no cover\n"),
    (tidy.nothing_is_left_unfinished, "src/fingerpost/a.py", "x = 1  # type: " + "ignore\n"),
    (tidy.nothing_is_left_unfinished, "src/fingerpost/a.py", "x = 1  # no" + "qa\n"),
    (tidy.nothing_is_left_unfinished, "src/fingerpost/a.py", "def f():\n    raise NotImplementedError\n"),
    (tidy.nothing_is_left_unfinished, "src/fingerpost/a.py", "def f():\n    raise NotImplementedError('f')\n"),
    (tidy.nothing_is_left_unfinished, "tests/test_a.py", "@pytest.mark.skip\ndef test_a(): ...\n"),
    (tidy.nothing_is_left_unfinished, "tests/test_a.py", "numpy = pytest.importorskip('numpy')\n"),
    (tidy.product_checks_survive_optimisation, "src/fingerpost/a.py", "def f(n):\n    assert n > 0\n"),
    (tidy.public_functions_are_documented, "src/fingerpost/a.py", "'''A.'''\ndef f():\n    return 1\n"),
    (tidy.public_functions_are_documented, "src/fingerpost/a.py", "'''A.'''\nclass F:\n    pass\n"),
    (
        tidy.public_functions_are_documented,
        "src/fingerpost/a.py",
        "'''A.'''\nclass F:\n '''F.'''\n def f(self): pass\n",
    ),
    (tidy.public_functions_are_documented, "src/fingerpost/a.py", "x = 1\n"),
    (tidy.cores_touch_nothing_outside, "src/fingerpost/packet/a.py", "def f(path):\n    return open(path)\n"),
    (tidy.cores_touch_nothing_outside, "src/fingerpost/synthesis/a.py", "x = np.random.default_rng(0)\n"),
    (tidy.cores_touch_nothing_outside, "src/fingerpost/node/engine.py", "print('x')\n"),
    (tidy.test_names_are_sentences, "tests/unit/test_a.py", "def test_packet_roundtrip():\n    assert True\n"),
    (tidy.tests_can_fail, "tests/unit/test_a.py", "def test_a_packet_is_decoded():\n    decode(b'')\n"),
]

HARMLESS = [
    ("src/fingerpost/a.py", "'''A.'''\n\n\ndef f(*, deep: bool = False) -> bool:\n    '''F.'''\n    return deep\n"),
    ("src/fingerpost/store/a.py", "'''A.'''\n\nopened = open('x')\n"),
    (
        "tests/unit/test_a.py",
        "def test_a_long_packet_is_refused():\n    with pytest.raises(ValueError):\n        decode(b'')\n",
    ),
    ("tests/unit/test_a.py", "def test_a_store_keeps_its_promises():\n    check_store(make)\n"),
]


def test_the_whole_tree_is_tidy() -> None:
    problems = tidy.problems_in_tree(ROOT)
    assert not problems, "\n" + "\n".join(str(problem) for problem in problems)


@pytest.mark.parametrize(("rule", "path", "text"), PLANTED)
def test_each_rule_sees_a_planted_breach(rule: tidy.Rule, path: str, text: str) -> None:
    assert list(rule(tidy.Module(path, text)))


@pytest.mark.parametrize(("path", "text"), HARMLESS)
def test_no_rule_complains_about_tidy_code(path: str, text: str) -> None:
    assert tidy.problems_in_module(path, text) == []


def test_every_rule_has_a_planted_breach() -> None:
    assert {rule for rule, _, _ in PLANTED} == set(tidy.RULES)


@pytest.mark.parametrize("path", ["home/somebody/project", "root/notes.txt", "tmp/scratch/file", "work/main"])
def test_a_path_of_one_machine_is_found_in_any_text(path: str) -> None:
    assert tidy.problems_in_text("docs/a.md", f"see /{path} for more")


@pytest.mark.parametrize(
    "text", ["~/media/a", "https://example.org/home/page", "$HOME/tmp/x", "a/home/b", "usr/bin/env"]
)
def test_a_path_that_any_machine_may_have_is_left_alone(text: str) -> None:
    assert not tidy.problems_in_text("docs/a.md", text)


def test_a_lock_file_that_names_an_index_is_found() -> None:
    assert tidy.problems_in_text("requirements.lock", "--index-url https://example.org/simple\nnumpy==2.4.6\n")


def test_a_reason_is_given_for_each_function_that_may_be_long() -> None:
    for entry, reason in tidy.LONG_FUNCTIONS.items():
        path, _, name = entry.partition(":")
        module = tidy.Module(path, (ROOT / path).read_text(encoding="utf-8"))
        assert name in {function.name for function in module.functions}, f"{entry} is gone: take it off the list"
        assert len(reason.split()) >= 4, f"{entry}: say why it reads better in one piece"
