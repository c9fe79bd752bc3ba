"""The page of a report as a real browser shows it, where one is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from fingerpost.lab.assess.html import html_of

if TYPE_CHECKING:
    from pathlib import Path

BROWSERS = tuple(found for name in ("chromium", "google-chrome") if (found := shutil.which(name)))[:1]
PNG = b"\x89PNG\r\n"
COMPLAINT = re.compile(r"CONSOLE|Uncaught|SyntaxError|parser-error|net::ERR", re.IGNORECASE)
INTERVAL = {"value": 0.8, "low": 0.7, "high": 0.9}
NAMES = ("majority", "local_logistic", "consortium", "dp-aggregate", "fedavg", "central_logistic")


def _document() -> dict[str, Any]:
    """A small report with every section, figures made up to fit its schema."""
    scores = {"accuracy": 0.8, "auc": 0.8, "log_loss": 0.5, "worst_node_accuracy": 0.7}
    apart = {"accuracy": INTERVAL, "log_loss": INTERVAL, "accuracy_minus_consortium": INTERVAL}
    arms = {name: {**scores, "bytes": 512, "seconds": 0.1, "intervals": apart} for name in NAMES}
    return {
        "source": "table.csv",
        "outcome": "happened",
        "levels": ["no", "yes"],
        "rows_read": 100,
        "rows_used": 90,
        "nodes": 5,
        "splits": 1,
        "seed": 0,
        "headline_partition": "natural",
        "chosen": {"profile": "consortium", "federated": "fedavg", "validation_log_loss": {"fedavg": 0.5}},
        "rules": ["One rule & <b>no</b> other."],
        "notes": [],
        "arms": arms,
        "failure_modes": _modes(scores),
        "scaling": _scaling(),
        "dimensions": {"cost": {"consortium": "1", "federated": "2"}},
        "recommendation": {"use": "undecided", "sentences": ["It cannot be told."]},
        "checklist": {
            "questions": [{"question": "Are nodes alike?", "value": "no", "limit": "1 point", "wall": True}],
            "walls": 1,
            "sentence": "One wall of five.",
        },
    }


def _modes(scores: dict[str, float]) -> dict[str, Any]:
    loss = {"consortium": 1.0, "consortium without elections": 9.0, "fedavg": 12.0}
    liars = [
        {"attack": "flip", "share": share, "liars": round(5 * share), "nodes": 5, "loss_points": loss}
        | {"accuracy": dict.fromkeys(loss, 0.8 - share / 2), "oracle": dict.fromkeys(loss, 0.8)}
        for share in (0.0, 0.4)
    ]
    fared = {"fedavg": {"ended": "ValueError", "accuracy": None}, "krum": {"ended": None, "accuracy": 0.7}}
    refused = {"hostile_packets": 4, "refused": 4, "accuracy": 0.8, "accuracy_without": 0.8}
    leak = {"psnr": 12.0, "r2": 0.1, "above_20_db": 0.0, "named": 0.1}
    curves = {"10": [{"observations": 100.0, "parameters": 9.0}, {"observations": 1e4, "parameters": 900.0}]}
    return {
        "inversion": {
            "baselines": {"public mean": leak},
            "packets": {name: {"best": "linear", "attacks": {"linear": leak}} for name in ("open", "consortium")},
            "updates": [{**leak, "label": "analytic, batch 1"}],
        },
        "non_iid": {
            "partitions": {name: dict.fromkeys(NAMES, scores) for name in ("iid", "dirichlet-0.1")},
            "penalty_points": {"dirichlet-0.1": dict.fromkeys(NAMES, 1.0)},
            "newcomer": [{"own_rows": 8, "sites": 2, "arms": {"consortium": {"accuracy": 0.7, "log_loss": 0.6}}}],
        },
        "communication": {
            "observations": 90,
            "model_parameters": 42,
            "rounds": 20,
            "break_even_parameters_all_nodes_fetch": 9.0,
            "break_even_curves": curves,
        },
        "byzantine": {
            "rows": liars,
            "malformed": {"federated": {"wrong shape": fared}, "outcome_routing": {"wrong shape": refused}},
        },
        "coordinator": _coordinator(),
        "not_measured": {"dp-sgd": "dp-sgd was left out"},
    }


def _coordinator() -> dict[str, Any]:
    flower = {"next_round_seconds": 30.0, "rounds_while_away": 0, "went_on_by_itself": False, "rounds": 4}
    crash = {"hospital": "Hungary", "answer_seconds": 0.25, "lost": 0, "acknowledged": 8, "handled": "nothing to do"}
    seconds = {"restart_seconds": 4.0, "catch_up_seconds": 4.5}
    return {
        "federated": {**flower, "survivors": 3, "nodes": 3, "trusted": "Everybody trusts it."},
        "outcome_routing": [
            {**crash, **seconds, "role": role, "trusted": "Nobody."} for role in ("holder", "bootstrap node")
        ],
        "verdict": "Nothing was lost <but time>.",
        "does_not_show": "a network partition",
    }


def _scaling() -> dict[str, Any]:
    points = [
        {"nodes": n, "observations": 9 * n, "pairs_of_nodes": n * (n - 1) // 2, "pairs_of_records": n * n, "error": 0.3}
        | {"log_loss": 0.6 - n / 100, "effective_sample_size": 3.0, "corroboration": 2.0, "bytes": n, "seconds": 0.1}
        for n in (2, 3, 5)
    ]
    graph = {
        "nodes": [{"node_id": f"{n:064x}", "finding": "hired", "packets": 3, "log_evidence": 1.0} for n in range(3)],
        "contrast": [[None, 0.2, -0.3], [0.2, None, -0.1], [-0.3, -0.1, None]],
        "hired": 3,
        "refused": 0,
    }
    return {"points": points, "laws": {}, "agreement_graph": {"graph": graph, "liars": 1}}


@pytest.mark.parametrize("browser", BROWSERS)
def test_the_page_renders_in_a_browser_that_has_nothing_to_complain_of(browser: str, tmp_path: Path) -> None:
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    page.write_text(html_of(_document()), encoding="utf-8")
    shown = _run(browser, tmp_path, f"--screenshot={picture}", page)
    assert picture.read_bytes().startswith(PNG)
    assert not COMPLAINT.search(shown.stderr), shown.stderr
    dumped = _run(browser, tmp_path, "--dump-dom", page).stdout
    assert dumped.count("<svg") == page.read_text(encoding="utf-8").count("<svg") > 7
    assert "One wall of five." in dumped
    assert "&lt;b&gt;no&lt;/b&gt;" in dumped
    assert "Nothing was lost &lt;but time&gt;." in dumped


@pytest.mark.parametrize("browser", BROWSERS)
def test_a_browser_complains_of_a_page_with_an_error(browser: str, tmp_path: Path) -> None:
    page = tmp_path / "broken.html"
    page.write_text("<!doctype html><script>throw new Error('planted')</script>", encoding="utf-8")
    assert COMPLAINT.search(_run(browser, tmp_path, "--dump-dom", page).stderr)


def _run(browser: str, folder: Path, option: str, page: Path) -> subprocess.CompletedProcess[str]:
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    command += [f"--user-data-dir={folder / 'profile'}", "--window-size=1000,3000", option, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
