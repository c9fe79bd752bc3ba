"""``fingerpost sim run``: what a seed prints, how it repeats itself, and what a broken invariant says."""

from __future__ import annotations

import json

import pytest

from fingerpost.sim.checkers import DurabilityChecker

SMALL = ("--nodes", "4", "--steps", "3")


def test_a_seed_repeats_itself_and_names_the_command_that_does(fingerpost) -> None:
    first, second = (fingerpost("sim", "run", "--seed", "3", *SMALL, "--json").document for _ in range(2))
    assert first == second
    (run,) = first["runs"]
    assert run["violation"] is None
    assert (run["seed"], run["nodes"], run["steps"], first["seeds_run"], first["violations"]) == (3, 4, 3, 1, 0)
    shown = fingerpost("sim", "run", "--seed", "3", *SMALL)
    assert shown.status == 0
    assert run["digest"] in shown.out
    assert "fingerpost sim run --seed 3 --nodes 4 --steps 3" in shown.out


def test_a_range_of_seeds_reports_only_those_that_broke_something(fingerpost) -> None:
    document = fingerpost("sim", "run", "--seeds", "0-2", *SMALL, "--json").document
    assert (document["seeds_run"], document["violations"], document["runs"]) == (3, 0, [])
    assert "3 seeds of 3 kept every invariant." in fingerpost("sim", "run", "--seeds", "0-2", *SMALL).out


def test_a_broken_invariant_ends_with_seed_options_commit_and_last_events(fingerpost, monkeypatch) -> None:
    monkeypatch.setattr("fingerpost.sim.checkout.commit_of_this_code", lambda: "c0ffee")
    monkeypatch.setattr("fingerpost.node.outbox.ACKNOWLEDGEMENTS", 0)
    shown = fingerpost("sim", "run", "--seeds", "0-4")
    assert shown.status == 1
    assert DurabilityChecker.invariant in shown.err
    assert "at commit c0ffee with: fingerpost sim run --seed 0 --steps 16" in shown.err
    assert "The last events: seconds, node, what" in shown.out
    failed = fingerpost("sim", "run", "--seed", "0", "--json")
    document = json.loads(failed.out)
    assert document["error"]["code"] == "invariant-violated"
    assert document["commit"] == "c0ffee"
    violation = document["runs"][0]["violation"]
    assert violation["invariant"] == DurabilityChecker.invariant
    assert violation["last_events"]


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ((), "give either --seed or --seeds", "--seeds 0-199"),
        (("--seed", "1", "--seeds", "1-2"), "give either --seed or --seeds", "--seeds 0-199"),
        (("--seeds", "2-1"), "--seeds takes A-B", "--seeds 0-199"),
        (("--seeds", "0-1000000"), "--seeds takes A-B", "at most a million"),
        (("--seeds", "x"), "--seeds takes A-B", "--seeds 0-199"),
        (("--seed", "1", "--nodes", "3"), "4 to 50 nodes", "--nodes"),
        (("--seed", "1", "--steps", "0"), "1 to 100000 steps", "--steps"),
    ],
)
def test_options_that_make_no_run_are_refused_with_a_hint(fingerpost, arguments, message, hint) -> None:
    assert fingerpost("sim", "run", *arguments).fails_with(2, message, hint)
