"""An answer in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fingerpost.synthesis.answer import ActionEstimate, Answer, Election, Gathering, LevelEstimate, NumberEstimate

LEVELS_SHOWN = 4
ID_DIGITS = 8


def explain(answer: Answer) -> tuple[str, ...]:
    """Return what the answer says, why, and what to be careful about."""
    sentences = []
    if answer.reason is not None:
        sentences.append(f"No answer is given: {answer.reason.text}")
    estimate = _estimate(answer.levels, answer.number)
    if estimate:
        lead = "What little there is points to" if answer.abstained else "In situations like this one:"
        sentences.append(f"{lead} {answer.outcome_name} {estimate}.")
        sentences.append(
            f"It rests on {_count(answer.packets, 'packet')} ({_count(answer.records, 'record')}) of "
            f"{_count(answer.node_count, 'node')}, here worth {answer.effective_sample_size:.1f} independent records."
        )
    if answer.nearest:
        near = answer.nearest[0]
        sentences.append(
            f"The nearest packet is {near.packet_id[:ID_DIGITS]} of node {near.node_id[:ID_DIGITS]}, "
            f"at distance {near.distance:.3g}; it saw {_outcome(near.outcome)}."
        )
    sentences += _conflict(answer)
    shares = sorted(answer.nodes, key=lambda node: (-abs(node.weight), node.node_id))
    if len(shares) > 1:
        listed = ", ".join(f"{node.node_id[:ID_DIGITS]} {node.weight:.0%}" for node in shares[:LEVELS_SHOWN])
        sentences.append(f"Shares of the estimate by node: {listed}.")
    sentences += [_action(action) for action in answer.actions]
    if answer.actions:
        sentences.append("Actions were chosen by people who saw more than the packets say: these are not effects.")
    if answer.election is not None:
        sentences += _election(answer.election)
    if answer.gathering is not None and answer.gathering.mode != "sync":
        sentences.append(_gathering(answer.gathering))
    sentences += [f"Careful: {warning.text}" for warning in answer.warnings]
    return tuple(sentences)


def _election(election: Election) -> list[str]:
    others = election.hired + election.tried + election.refused + election.unknown
    if not others:
        return []
    if election.rule == "counts":
        measured = "Measured by your own counts" if election.anchored else "Without counts of your own to measure by"
        found = [
            f"{measured}, {election.hired:,} of {_count(others, 'other node')} tell more than luck would and "
            f"{_was(election.refused)} refused."
        ]
    elif election.anchored:
        found = [
            f"Measured by {_count(election.own_packets, 'outcome')} of your own, {election.hired:,} of "
            f"{_count(others, 'other node')} tell more than luck would and {_was(election.refused)} refused."
        ]
    elif others == 1:
        found = ["You have too few outcomes to measure the other node by, and there is none to compare it with."]
    else:
        found = [
            "You have too few outcomes to measure others by: nothing protects against a majority that lies.",
            f"Compared with each other, of {_count(others, 'other node')} {_was(election.refused)} refused for "
            "contradicting the larger camp.",
        ]
    if election.unvetted:
        found.append(
            f"Careful: packets of {_count(election.tried or election.unknown, 'node')} are used that nobody has vetted."
        )
    return found


def _was(number: int) -> str:
    return f"{number:,} was" if number == 1 else f"{number:,} were"


def _conflict(answer: Answer) -> list[str]:
    """Return a sentence about the two nearest packets of different nodes that saw different outcomes."""
    seen = [packet for packet in answer.nearest if isinstance(packet.outcome, str)]
    if not seen:
        return []
    first = seen[0]
    other = next((one for one in seen if one.outcome != first.outcome and one.node_id != first.node_id), None)
    if other is None:
        return []
    told = [
        f"node {one.node_id[:ID_DIGITS]} saw {one.outcome} on {_date(one.epoch)} (packet {one.packet_id[:ID_DIGITS]})"
        for one in (first, other)
    ]
    return [f"Observations nearby conflict: {told[0]}, {told[1]}."]


def _date(day: int) -> str:
    """Return a day (from 1970-01-01) as YYYY-MM-DD in the Gregorian calendar.

    Source: Howard Hinnant, chrono-compatible low-level date algorithms, civil_from_days.
    """
    era, of_era = divmod(day + 719_468, 146_097)
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153  # months from March on
    month = shifted + 3 if shifted < 10 else shifted - 9
    return f"{year + era * 400 + (month <= 2):04}-{month:02}-{of_year - (153 * shifted + 2) // 5 + 1:02}"


def _gathering(gathering: Gathering) -> str:
    asked = f"{gathering.holders_answered} of {_count(gathering.holders_asked, 'holder')} answered"
    if gathering.attested:
        return f"{asked}; two of each group said the same, so neither left out what the other has."
    return f"{asked}; that nothing was left out is not attested."


def _estimate(levels: tuple[LevelEstimate, ...], number: NumberEstimate | None) -> str:
    if number is not None:
        unit = f" {number.unit}" if number.unit else ""
        return (
            f"{number.mean:.4g}{unit} on average (90 % interval {number.mean_low:.4g} to {number.mean_high:.4g}); "
            f"nine outcomes in ten lie between {number.low:.4g} and {number.high:.4g}{unit}"
        )
    ordered = sorted(levels, key=lambda level: -level.probability)[:LEVELS_SHOWN]
    return ", ".join(
        f"{level.level} {level.probability:.0%} (90 % interval {level.low:.0%} to {level.high:.0%})"
        for level in ordered
    )


def _action(action: ActionEstimate) -> str:
    estimate = _estimate(action.levels, action.number)
    about = f"{_count(action.packets, 'packet')} of {_count(action.nodes, 'node')}"
    warning = "" if action.overlap else "; hardly tried in situations like this one"
    return f"Where {action.action} was done: {estimate} ({about}{warning})."


def _outcome(outcome: str | float | dict[str, int]) -> str:
    if isinstance(outcome, dict):
        return ", ".join(f"{count} x {level}" for level, count in outcome.items())
    return outcome if isinstance(outcome, str) else f"{outcome:.4g}"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
