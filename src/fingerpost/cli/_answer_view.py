"""An answer as text, and as one row among many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fingerpost.cli._output import Column, Output, bar
from fingerpost.cli._words import count_text, date_text, short_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fingerpost.synthesis import (
        ActionEstimate,
        Answer,
        CalculatorShare,
        Election,
        LevelEstimate,
        NumberEstimate,
        PacketShare,
    )

NODES_SHOWN_MAX = 10
PACKETS_SHOWN_MAX = 5

_UNSURE = "there is not enough evidence"
_REASONS = {
    "no-evidence": "no packet matches",
    "too-few": "there are too few packets",
    "too-far": "no packet is near enough",
}


def print_answer(out: Output, answer: Answer) -> None:
    """Print one answer in full: the estimate, how sure it is, who says so, and the same in sentences."""
    out.title(headline(answer))
    if answer.number is not None:
        out.facts(_number_facts(answer.number))
    elif answer.levels:
        _print_levels(out, answer.levels)
    if answer.packets:
        out.line()
        _print_evidence(out, answer)
    if answer.calculation is not None:
        out.line()
        _print_calculation(out, answer)
    if answer.actions:
        out.line()
        _print_actions(out, answer.actions)
    if answer.nearest:
        out.line()
        _print_nearest(out, answer.nearest)
    out.line()
    out.title("In words")
    for sentence in answer.explanation:
        out.line(f"  {sentence}")


def answer_row(answer: Answer, row: int) -> dict[str, Any]:
    """Return an answer as one flat row; the keys are the same for every answer of a template."""
    cells: dict[str, Any] = {"row": row}
    if answer.kind == "number":
        number = answer.number
        for name in ("mean", "mean_low", "mean_high", "low", "high"):
            cells[name] = getattr(number, name) if number else None
    else:
        likeliest = answer.likeliest
        cells["likeliest"] = likeliest.level if likeliest else None
        for level in answer.levels:
            cells[f"p({level.level})"] = level.probability
        if likeliest:
            cells |= {"p_low": likeliest.low, "p_high": likeliest.high}
    cells |= {
        "confidence": answer.confidence,
        "effective_sample_size": answer.effective_sample_size,
        "packets": answer.packets,
        "nodes": answer.node_count,
        "abstained": answer.abstained,
        "reason": answer.reason.code if answer.reason else None,
        "warnings": " ".join(warning.code for warning in answer.warnings),
    }
    return cells


def print_rows(out: Output, answers: Sequence[Answer], numbers: Sequence[int]) -> None:
    """Print many answers as a table, one for each row number, the likeliest outcome first."""
    columns = [Column(title="row", align="right"), Column(title="answer"), Column(title="90 % interval")]
    columns += [Column(title="worth", align="right"), Column(title="nodes", align="right"), Column(title="remarks")]
    rows = []
    for number, answer in zip(numbers, answers, strict=True):
        estimate, interval = _short_estimate(answer)
        remarks = ", ".join(notice.code for notice in (answer.reason, *answer.warnings) if notice is not None)
        worth = f"{answer.effective_sample_size:.1f}"
        rows.append([str(number), estimate, interval, worth, str(answer.node_count), remarks])
    out.table(columns, rows)


def headline(answer: Answer) -> str:
    """Return an answer in one line."""
    if answer.abstained:
        return f"{answer.outcome_name}: no answer, {_REASONS.get(answer.reason.code if answer.reason else '', _UNSURE)}"
    estimate, interval = _short_estimate(answer)
    return f"{answer.outcome_name}: {estimate}, 90 % interval {interval}"


def _short_estimate(answer: Answer) -> tuple[str, str]:
    if answer.abstained:
        return "no answer", ""
    if answer.number is not None:
        number = answer.number
        unit = f" {number.unit}" if number.unit else ""
        return f"{number.mean:.4g}{unit}", f"{number.mean_low:.4g} to {number.mean_high:.4g}"
    likeliest = answer.likeliest
    if likeliest is None:
        return "no answer", ""
    return f"{likeliest.level} ({likeliest.probability:.0%})", f"{likeliest.low:.0%} to {likeliest.high:.0%}"


def _number_facts(number: NumberEstimate) -> list[tuple[str, object]]:
    unit = f" {number.unit}" if number.unit else ""
    return [
        ("expected", f"{number.mean:.4g}{unit} (90 % interval {number.mean_low:.4g} to {number.mean_high:.4g})"),
        ("nine in ten between", f"{number.low:.4g} and {number.high:.4g}{unit}"),
    ]


def _print_levels(out: Output, levels: Sequence[LevelEstimate]) -> None:
    columns = [Column(title="outcome"), Column(title="probability", align="right"), Column(title="90 % interval")]
    columns.append(Column(title=""))
    rows = [
        [level.level, f"{level.probability:.1%}", f"{level.low:.0%} to {level.high:.0%}", bar(level.probability)]
        for level in levels
    ]
    out.table(columns, rows)


def _print_evidence(out: Output, answer: Answer) -> None:
    out.title("Evidence")
    records = "" if answer.records == answer.packets else f" ({count_text(answer.records, 'record')})"
    nodes = count_text(answer.node_count, "node")
    facts = [
        ("rests on", f"{count_text(answer.packets, 'packet')}{records} of {nodes}"),
        ("worth", f"{answer.effective_sample_size:.1f} independent records (effective sample size)"),
    ]
    if answer.election is not None and _others(answer.election):
        facts.append(("other nodes", _election_text(answer.election)))
    out.facts(facts)
    if len(answer.nodes) < 2:
        return
    columns = [Column(title="node"), Column(title="packets", align="right"), Column(title="share", align="right")]
    columns += [Column(title="agreement with the others", align="right")]
    ordered = sorted(answer.nodes, key=lambda node: (-abs(node.weight), node.node_id))
    rows = []
    for node in ordered[:NODES_SHOWN_MAX]:
        agreement = "" if node.agreement is None else f"{node.agreement:+.3f}"
        rows.append([short_id(node.node_id), f"{node.packets:,}", f"{node.weight:.0%}", agreement])
    out.table(columns, rows)
    if len(ordered) > NODES_SHOWN_MAX:
        out.line(f"  … and {len(ordered) - NODES_SHOWN_MAX} more")


def _print_calculation(out: Output, answer: Answer) -> None:
    calculation = answer.calculation
    if calculation is None:
        return
    after = count_text(calculation.confirmations, "confirmed outcome")
    out.title(f"Calculators: the estimate is mixed from these, weighed after {after}")
    columns = [Column(title="calculator"), Column(title="weight", align="right"), Column(title="forecast")]
    rows = [
        [share.name, f"{share.weight:.1%}", calculator_forecast(answer, share)] for share in calculation.calculators
    ]
    out.table(columns, rows)


def calculator_forecast(answer: Answer, share: CalculatorShare) -> str:
    """Return what one calculator said, in a few words."""
    if not share.awake:
        return "has nothing to go on here"
    if share.mean is not None and share.deviation is not None:
        unit = f" {answer.number.unit}" if answer.number is not None and answer.number.unit else ""
        return f"{share.mean:.4g}{unit}, give or take {share.deviation:.3g}"
    place = max(range(len(share.probabilities)), key=share.probabilities.__getitem__)
    return f"{answer.levels[place].level} ({share.probabilities[place]:.0%})"


def _others(election: Election) -> int:
    return election.hired + election.tried + election.refused + election.unknown


def _election_text(election: Election) -> str:
    found = f"{election.hired:,} hired, {election.tried:,} tried, {election.refused:,} refused, "
    found += f"{election.unknown:,} unknown"
    rule = (
        f"by {count_text(election.own_packets, 'outcome')} of this node" if election.anchored else "by agreement only"
    )
    if election.rule == "counts":
        rule = "by the counts of this node" if election.anchored else "not vetted"
    return f"{found} ({rule}{'; the unknown take part' if election.unvetted and not election.anchored else ''})"


def _print_actions(out: Output, actions: Sequence[ActionEstimate]) -> None:
    out.title("By action: what happened where it was done, which is not what it causes")
    columns = [Column(title="action"), Column(title="outcome"), Column(title="90 % interval")]
    columns += [Column(title="worth", align="right"), Column(title="packets", align="right"), Column(title="")]
    rows = []
    for action in actions:
        estimate, interval = _action_estimate(action)
        remark = "" if action.overlap else "hardly tried in situations like this"
        worth = f"{action.effective_sample_size:.1f}"
        rows.append([action.action, estimate, interval, worth, f"{action.packets:,}", remark])
    out.table(columns, rows)


def _action_estimate(action: ActionEstimate) -> tuple[str, str]:
    if action.number is not None:
        return f"{action.number.mean:.4g}", f"{action.number.mean_low:.4g} to {action.number.mean_high:.4g}"
    likeliest = max(action.levels, key=lambda level: level.probability, default=None)
    if likeliest is None:
        return "", ""
    return f"{likeliest.level} ({likeliest.probability:.0%})", f"{likeliest.low:.0%} to {likeliest.high:.0%}"


def _print_nearest(out: Output, nearest: Sequence[PacketShare]) -> None:
    out.title("Nearest packets")
    acted = any(packet.action is not None for packet in nearest)
    columns = [Column(title="packet"), Column(title="node"), Column(title="day")]
    columns += [Column(title="distance", align="right"), Column(title="share", align="right")]
    columns += [Column(title="action")] if acted else []
    columns.append(Column(title="outcome"))
    rows = []
    for packet in nearest[:PACKETS_SHOWN_MAX]:
        cells = [short_id(packet.packet_id), short_id(packet.node_id), date_text(packet.epoch)]
        cells += [f"{packet.distance:.3f}", f"{packet.weight:.1%}"]
        cells += [packet.action or ""] if acted else []
        rows.append([*cells, _outcome_text(packet.outcome)])
    out.table(columns, rows)


def _outcome_text(outcome: str | float | dict[str, int]) -> str:
    if isinstance(outcome, dict):
        return ", ".join(f"{count} x {level}" for level, count in outcome.items())
    return outcome if isinstance(outcome, str) else f"{outcome:.4g}"
