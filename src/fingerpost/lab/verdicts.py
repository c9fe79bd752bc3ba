"""What the figures of the demo say, in sentences that are computed from them, whoever wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fingerpost.lab.arms import Arm, Result
from fingerpost.lab.scores import Scores

TIE_AREA = 0.01  # Differences this small are noise at a few hundred patients.
TIE_LOSS = 0.01
PRIOR_GAP_WARNED = 0.2
CENTRAL_NAMES = {Arm.CENTRAL_LOGISTIC: "logistic regression", Arm.CENTRAL_SVM: "SVM"}

_NUMBERS = ("none", "one", "two", "three", "four")


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """One hospital as the newcomer: ``warning`` is empty unless how common the disease is differs much elsewhere."""

    name: str
    patients: int
    share: float
    others_share: float
    warning: str
    results: tuple[Result, ...]

    def scores(self, arm: Arm, own_rows: int) -> Scores | None:
        """Return the scores of an arm, or ``None`` when it could not run."""
        for result in self.results:
            if result.arm is arm and result.own_rows == own_rows:
                return result.scores
        return None


def prior_warning(name: str, share: float, others_share: float) -> str:
    """Return a warning when the share of "yes" differs much between a hospital and the others, otherwise nothing."""
    if abs(share - others_share) < PRIOR_GAP_WARNED:
        return ""
    return (
        f"{share:.0%} are diseased in {name}, {others_share:.0%} elsewhere. Who is at more risk than whom carries over;"
        " how common the disease is does not."
    )


def verdicts(
    newcomers: Sequence[Newcomer], *, own_rows: int, packet_bytes_a_row: float, table_bytes_a_row: float
) -> list[str]:
    """Return what the figures say about packets against every alternative, without and with own patients."""
    sentences = [
        _without_outcomes(newcomers),
        _against_central(newcomers, 0),
        _against_central(newcomers, own_rows),
        _against_own(newcomers, own_rows),
        *(_where_the_share_wins(newcomer, own_rows) for newcomer in newcomers),
        _bytes(packet_bytes_a_row, table_bytes_a_row),
    ]
    return [sentence for sentence in sentences if sentence]


def mean_area(newcomers: Sequence[Newcomer], arm: Arm, own_rows: int) -> float | None:
    """Return the mean AUC of an arm over all newcomers, or ``None`` where it is missing for one."""
    return _mean([newcomer.scores(arm, own_rows) for newcomer in newcomers], "auc")


def mean_log_loss(newcomers: Sequence[Newcomer], arm: Arm, own_rows: int) -> float | None:
    """Return the mean log-loss of an arm over all newcomers, or ``None`` where it is missing for one."""
    return _mean([newcomer.scores(arm, own_rows) for newcomer in newcomers], "log_loss")


def results_by_arm(newcomer: Newcomer) -> Mapping[Arm, dict[int, Result]]:
    """Return arm -> own rows -> result, in the order of the arms."""
    table: dict[Arm, dict[int, Result]] = {}
    for arm in Arm:
        found = {result.own_rows: result for result in newcomer.results if result.arm is arm}
        if found:
            table[arm] = found
    return table


def _without_outcomes(newcomers: Sequence[Newcomer]) -> str:
    packets, single = (mean_area(newcomers, arm, 0) for arm in (Arm.PACKETS, Arm.BEST_SINGLE))
    if packets is None or single is None:
        return ""
    opening = (
        "Without a single outcome of its own, a newcomer ranks its patients by risk with a mean AUC of"
        f" {packets:.3f}, where guessing is 0.5"
    )
    if packets > single + TIE_AREA:
        return f"{opening}; even the best single other hospital, picked in hindsight, would have given it {single:.3f}."
    if packets < single - TIE_AREA:
        return f"{opening}. The best single other hospital, picked in hindsight, would have done better: {single:.3f}."
    return f"{opening}, as good as the best single other hospital, picked in hindsight ({single:.3f})."


def _against_central(newcomers: Sequence[Newcomer], own_rows: int) -> str:
    packets = mean_area(newcomers, Arm.PACKETS, own_rows)
    central = {arm: mean_area(newcomers, arm, own_rows) for arm in CENTRAL_NAMES}
    known = {arm: area for arm, area in central.items() if area is not None}
    if packets is None or not known:
        return ""
    best = max(known, key=lambda arm: known[arm])
    loss, central_loss = (mean_log_loss(newcomers, arm, own_rows) or 0.0 for arm in (Arm.PACKETS, best))
    area_winner = _winner(packets - known[best], TIE_AREA, "moving the rows")
    loss_winner = _winner(central_loss - loss, TIE_LOSS, "moving the rows")
    start = "With no own patients" if own_rows == 0 else f"With {own_rows} own patients"
    return (
        f"{start}, moving all rows to one place and training the better model there ({CENTRAL_NAMES[best]}) gives"
        f" {known[best]:.3f} against {packets:.3f} for packets ({area_winner}), and a log-loss of {central_loss:.3f}"
        f" against {loss:.3f} ({loss_winner})."
    )


def _against_own(newcomers: Sequence[Newcomer], own_rows: int) -> str:
    packets = mean_area(newcomers, Arm.PACKETS, own_rows)
    alone = {arm: mean_area(newcomers, arm, own_rows) for arm in (Arm.OWN_LOGISTIC, Arm.OWN_PACKETS)}
    known = {arm: area for arm, area in alone.items() if area is not None}
    if packets is None or not known:
        return ""
    best = max(known, key=lambda arm: known[arm])
    better = [
        newcomer.name
        for newcomer in newcomers
        if _lower(newcomer.scores(Arm.PACKETS, own_rows), newcomer.scores(best, own_rows))
    ]
    where = "at no hospital" if not better else f"at {_NUMBERS[len(better)]} of {_NUMBERS[len(newcomers)]}"
    names = f" ({', '.join(better)})" if 0 < len(better) < len(newcomers) else ""
    return (
        f"A hospital that learns from its first {own_rows} patients alone reaches {known[best]:.3f}; with the packets"
        f" of the others {packets:.3f} ({_winner(packets - known[best], TIE_AREA, 'going alone')})."
        f" Its probabilities are better with packets {where}{names}, by log-loss."
    )


def _where_the_share_wins(newcomer: Newcomer, own_rows: int) -> str:
    """Say where knowing nothing but how common the disease is here beats the packets."""
    packets, share = newcomer.scores(Arm.PACKETS, own_rows), newcomer.scores(Arm.OWN_MAJORITY, own_rows)
    if packets is None or share is None or share.log_loss >= packets.log_loss - TIE_LOSS:
        return ""
    return (
        f"In {newcomer.name}, predicting for everyone the share among its own first {own_rows} patients has a better"
        f" log-loss than the packets ({share.log_loss:.3f} against {packets.log_loss:.3f}) and an accuracy of"
        f" {share.accuracy:.0%} against {packets.accuracy:.0%}: there, local wins."
    )


def _bytes(packet: float, row: float) -> str:
    saved = "Packets save no bytes here" if packet >= row else "Packets save some bytes here"
    return (
        f"A patient costs {packet:,.0f} bytes in packets and about {row:,.0f} as a row of the table. {saved}: what they"
        " buy is that each is signed, can be traced, and that no place holds all rows."
    )


def _winner(advantage: float, tie: float, other: str) -> str:
    if abs(advantage) <= tie:
        return f"within {tie:g}, a tie"
    return "packets win" if advantage > 0 else f"{other} wins"


def _lower(ours: Scores | None, theirs: Scores | None) -> bool:
    return ours is not None and theirs is not None and ours.log_loss < theirs.log_loss


def _mean(scores: Sequence[Scores | None], name: str) -> float | None:
    values: list[float] = [getattr(one, name) for one in scores if one is not None]
    return sum(values) / len(values) if len(values) == len(scores) and values else None
