"""What an audit says, in sentences that are computed from its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fingerpost.lab.leakage.report import Audit, ProfileLeak
    from fingerpost.lab.leakage.updates import UpdateAttack


def sentences_of(audit: Audit) -> list[str]:
    """Return what the figures say about this table; nothing that a figure does not show."""
    found = [_profile(name, leak, audit) for name, leak in audit.profiles.items()]
    found += _federated(audit)
    for name, control in audit.controls.items():
        if not control.holds:
            found.append(
                f"The attack {name!r} did not do in its control what it should ({control.value:.2f}, bar "
                f"{control.bar:.2f}): on this table, that it fails elsewhere proves nothing."
            )
    found.append("Better attacks may exist: what is measured here is a lower bound on what leaks.")
    return found


def _profile(name: str, leak: ProfileLeak, audit: Audit) -> str:
    best = audit.inversion.packets[name][audit.inversion.best[name]]
    known = audit.inversion.baselines["outcome alone"].r2
    chance = 1 / audit.candidates
    text = (
        f"{name}: {_percent(leak.naming.value)} of members are named among {audit.candidates:,} (chance "
        f"{_percent(chance)}), records are reconstructed with R2 {best.r2:.2f} (who knows the outcome alone: "
        f"{known:.2f}), membership has AUC {leak.membership.auc:.2f} (to {leak.membership.high:.2f})"
    )
    if leak.auc_bound is not None:
        text += f"; no attack on one release exceeds {leak.auc_bound:.2f}"
    if name != "open":
        lost = 100 * (audit.profiles["open"].accuracy - leak.accuracy)
        text += f". It costs {lost:.1f} points of accuracy against open" if lost > 0.05 else ". It costs no accuracy"
    return f"{text}."


def _federated(audit: Audit) -> list[str]:
    def strongest(*, batch: int, defence: str) -> UpdateAttack | None:
        cases = [each for each in audit.inversion.updates if each.case.batch == batch and each.case.defence == defence]
        return max(cases, key=lambda each: each.found.r2, default=None)

    found = []
    for batch in sorted({each.case.batch for each in audit.inversion.updates}):
        best = strongest(batch=batch, defence="none")
        if best is not None:
            found.append(
                f"A federated update of {batch} record{'s' if batch > 1 else ''} gives R2 {best.found.r2:.2f} and "
                f"{best.found.psnr:.0f} dB ({best.case.label})."
            )
    private = strongest(batch=1, defence="dp-sgd")
    if private is not None:
        plain, noisy = audit.federated["federated"], audit.federated["federated-dp-sgd"]
        found.append(
            f"DP-SGD at the epsilon of one release of dp-aggregate stops that (R2 {private.found.r2:.2f}); with all "
            f"its rounds within that epsilon the network is right about {_percent(noisy.accuracy)} instead of "
            f"{_percent(plain.accuracy)}."
        )
    return found


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %" if share < 0.01 else f"{100 * share:.1f} %"
