"""The main job through the public node: tables to packets, packets to answers, answers to receipts."""

from __future__ import annotations

import contextlib
import csv
import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fingerpost.errors import RecordError, TemplateError, UsageError
from fingerpost.node.facade import Node
from fingerpost.node.network import MemoryNetwork
from fingerpost.node.serving import Question, Serving
from fingerpost.node.wire import WantCells
from fingerpost.synthesis import Evidence, FittedKernel, _synthesizer, fit
from fingerpost.synthesis.receipt import verify_receipt
from fingerpost.template import Template, parse_template

TEMPLATE = """
format = 1
name = "tool-choice"
data_class = "non_personal"
[situation.size]
kind = "number"
range = [0, 100]
[situation.language]
kind = "category"
levels = ["c", "go", "python"]
[action]
levels = ["cache", "retry"]
[outcome]
levels = ["failed", "worked"]
kind = "category"
"""
HEART = Path(__file__).parents[2] / "src/fingerpost/lab"


@pytest.fixture
def template() -> Template:
    return parse_template(TEMPLATE)


@pytest.fixture
def network() -> MemoryNetwork:
    return MemoryNetwork()


def _tell(node: Node, count: int) -> None:
    for size in range(count):
        language = ("c", "go", "python")[size % 3]
        worked = language == "python"
        node.emit(
            situation={"size": size, "language": language},
            action="retry" if size % 2 else "cache",
            outcome="worked" if worked else "failed",
        )


def test_a_node_answers_from_the_outcomes_of_another(template: Template, network: MemoryNetwork) -> None:
    with Node(template, network=network) as first, Node(template, network=network) as second:
        _tell(first, 30)
        answer = second.ask({"size": 5, "language": "python"})
        assert answer.packets == 30
        assert answer.probabilities["worked"] > 0.5
        assert answer.nodes[0].node_id == first.node_id.hex()


def test_a_node_that_joins_later_fetches_what_is_there(template: Template, network: MemoryNetwork) -> None:
    with Node(template, network=network) as first:
        _tell(first, 12)
        with Node(template, network=network) as late:
            assert late.ask({"size": 5}).packets == 12
            assert late.synchronise() == 0


def test_a_receipt_of_an_answer_verifies_without_the_node(template: Template) -> None:
    with Node(template) as node:
        _tell(node, 20)
        receipt = node.receipt(node.ask({"size": 5, "language": "go"}))
    assert verify_receipt(receipt.to_bytes()).packets == 20


def test_a_home_keeps_identity_and_packets_between_runs(template: Template, tmp_path: Path) -> None:
    with Node(template, home=tmp_path) as node:
        _tell(node, 9)
        identity = node.node_id
    with Node(template, home=tmp_path) as again:
        assert again.node_id == identity
        assert again.ask({"size": 5}).packets == 9


def test_a_confirmed_answer_gets_a_score_and_becomes_a_packet(template: Template) -> None:
    with Node(template) as node:
        _tell(node, 20)
        situation = {"size": 6, "language": "c"}
        answer = node.ask(situation)
        confirmed = node.confirm(answer, situation=situation, outcome="failed", action="retry")
        assert confirmed.log_loss is not None
        assert confirmed.log_loss > 0
        assert node.ask(situation).packets == 21


def test_a_table_with_a_bad_row_writes_nothing_unless_bad_rows_are_skipped(template: Template) -> None:
    columns = {
        "size": ["1", "2", "900"],
        "language": ["c", "go", "go"],
        "action": ["retry", "retry", "cache"],
        "outcome": ["failed", "worked", "worked"],
    }
    with Node(template) as node:
        with pytest.raises(RecordError) as refused:
            node.emit_table(columns)
        assert refused.value.row == 3
        assert node.ask({"size": 1}).packets == 0
        emission = node.emit_table(columns, skip_bad_rows=True)
        assert len(emission.packet_ids) == 2
        assert [problem.row for problem in emission.problems] == [3]
        assert node.ask({"size": 1}).packets == 2


def test_nothing_leaves_before_the_owner_says_what_the_data_are() -> None:
    undeclared = parse_template(TEMPLATE.replace('data_class = "non_personal"', 'data_class = "undeclared"'))
    with Node(undeclared) as node, pytest.raises(TemplateError) as refused:
        node.emit(situation={"size": 1, "language": "c"}, outcome="failed")
    assert refused.value.code == "template-undeclared"


def test_hospitals_answer_for_a_newcomer_better_than_chance(network: MemoryNetwork) -> None:
    with (HEART / "heart.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    mine = [row for row in rows if row["hospital"] == "Hungary"]
    others = [row for row in rows if row["hospital"] == "Cleveland"]
    with Node(HEART / "heart.toml", network=network) as cleveland, Node(HEART / "heart.toml", network=network) as new:
        cleveland.emit_table({name: [row[name] for row in others] for name in others[0]})
        answers = new.ask_table({name: [row[name] for row in mine] for name in mine[0]})
    ill, well = (
        [answer.probabilities["yes"] for answer, row in zip(answers, mine, strict=True) if row["disease"] == disease]
        for disease in ("yes", "no")
    )
    ranked_right = sum(high > low for high in ill for low in well)
    assert ranked_right / (len(ill) * len(well)) > 0.7  # the area under the ROC curve; chance is 0.5


def test_asking_again_reuses_the_fit_until_a_packet_arrives(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[int] = []

    def counted(evidence: Evidence, **rest: Any) -> FittedKernel:
        fits.append(len(evidence))
        return fit(evidence, **rest)

    monkeypatch.setattr(_synthesizer, "fit", counted)
    with Node(template) as node:
        _tell(node, 20)
        first = node.ask({"size": 5, "language": "python"})
        assert node.ask({"size": 5, "language": "python"}).probabilities == first.probabilities
        assert fits.count(20) == 1
        _tell(node, 1)
        assert node.ask({"size": 5, "language": "python"}).packets == 21
        assert 21 in fits


def test_a_node_shows_the_packets_it_holds(template: Template, network: MemoryNetwork) -> None:
    with Node(template, network=network) as first, Node(template, network=network) as second:
        _tell(first, 3)
        held = [{packet.tobytes() for packet in node.packets()} for node in (first, second)]
        assert held[0] == held[1]
        assert len(held[0]) == 3


def test_a_node_that_is_dropped_without_being_closed_leaves_the_network(
    template: Template, network: MemoryNetwork, capfd: pytest.CaptureFixture[str]
) -> None:
    kept = Node(template, network=network)
    dropped = Node(template, network=network)
    del dropped
    gc.collect()
    emission = kept.emit_table({"size": [1], "language": ["c"], "action": ["retry"], "outcome": ["worked"]})
    assert emission.holders == 0
    kept.close()
    assert capfd.readouterr().err == ""


def test_a_node_that_keeps_its_share_only_answers_the_same_from_fetched_packets(
    template: Template, network: MemoryNetwork
) -> None:
    situation = {"size": 5, "language": "python"}
    with contextlib.ExitStack() as nodes:
        first, second, *_ = [nodes.enter_context(Node(template, network=network)) for _ in range(4)]
        _tell(first, 30)
        asker = nodes.enter_context(Node(template, network=network, follow=False))
        expected = second.ask(situation)
        for mode in ("cells", "direct"):
            answer = asker.ask(situation, mode=mode)
            assert answer.calculation is not None
            assert expected.calculation is not None
            calculation = replace(answer.calculation, asker=expected.calculation.asker)
            answer_there = replace(answer, calculation=calculation, gathering=None, election=None)
            assert answer_there == replace(expected, gathering=None, election=None)
            assert answer.gathering is not None
            assert (answer.gathering.mode, answer.gathering.holders_answered) == (mode, 2)
            assert answer.gathering.attested
            assert verify_receipt(asker.receipt(answer)).packets == 30
        with pytest.raises(UsageError) as caught:
            asker.ask(situation, mode="sync")
        assert caught.value.code == "mode-follow"


def test_a_personal_situation_is_told_to_no_holder_unless_the_asker_says_so(network: MemoryNetwork) -> None:
    personal = parse_template(TEMPLATE.replace("non_personal", "personal") + '[privacy]\nprofile = "dp-aggregate"\n')
    with Node(personal, network=network) as node:
        with pytest.raises(UsageError) as caught:
            node.ask({"size": 5}, mode="direct")
        assert caught.value.code == "direct-personal"
        assert node.ask({"size": 5}, mode="direct", tells_situation=True).abstained


def test_an_unknown_mode_of_asking_is_refused(template: Template) -> None:
    with Node(template) as node, pytest.raises(UsageError) as caught:
        node.ask({"size": 5}, mode="telepathy")  # type: ignore[arg-type]
    assert caught.value.code == "mode-unknown"


def test_a_subject_asked_about_again_shows_holders_no_other_cells(
    network: MemoryNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []
    cells_of_question = Serving.answer

    def note(serving: Serving, question: Question, **more: Any) -> Any:
        if isinstance(question, WantCells):
            asked.append(question.cells)
        return cells_of_question(serving, question, **more)

    monkeypatch.setattr(Serving, "answer", note)
    template = parse_template(TEMPLATE + '[cells]\nkind = "prefix"\nbits = 8\n')
    with Node(template, network=network) as holder, Node(template, network=network, follow=False) as asker:
        _tell(holder, 40)
        first, later = {"size": 3, "language": "c"}, {"size": 97, "language": "python"}
        for subject in ("Ada", None):
            asked.clear()
            asker.ask(first, mode="cells", cells=2, subject=subject)
            before = {tuple(cells) for cells in asked}
            asked.clear()
            answer = asker.ask(later, mode="cells", cells=2, subject=subject)
            assert before
            assert ({tuple(cells) for cells in asked} == before) == (subject == "Ada")
            assert answer.gathering is not None
        asked.clear()
        holder.ask(first, subject="Ada")
        assert not asked, "a node that keeps the whole template tells nobody"
