"""What the figures say, in sentences that are computed from them."""

from __future__ import annotations

from typing import Any

from fingerpost.lab.assess.arms import CENTRAL_ARMS, FEDERATED_ARMS, LOCAL_ARMS, ROUTING
from fingerpost.lab.assess.partitions import IID

ONE_SHOT = ("federated_neighbours", "one_shot_lda")


def best_of(arms: dict[str, Any], names: tuple[str, ...]) -> str:
    """Return the arm with the least log-loss among ``names``."""
    return min(names, key=lambda name: float(arms[name]["log_loss"]))


def recommendation(report: dict[str, Any]) -> dict[str, Any]:
    """Return ``use`` (what to do with this data) and the ``sentences`` that say why."""
    arms = report["arms"]
    local, federated = best_of(arms, LOCAL_ARMS), best_of(arms, FEDERATED_ARMS)
    central, one_shot = best_of(arms, CENTRAL_ARMS), best_of(arms, ONE_SHOT)
    to_local, to_federated = _verdict(arms, local), _verdict(arms, federated)
    if arms[federated]["intervals"]["accuracy_minus_outcome_routing"]["low"] > 0:
        to_federated = "worse"  # clearly less often right is worse, whatever the log-loss says
    shared = ROUTING if to_federated != "worse" else federated
    gains = arms[local]["log_loss"] - min(arms[ROUTING]["log_loss"], arms[federated]["log_loss"])
    if to_local == "worse" and gains <= 0:
        use, why = "local", "Sharing does not help you on this data: a model of your own rows is better."
    elif to_federated == "worse":
        use, why = "federated", f"Use federated learning ({federated}): it is better here than outcome routing."
    elif to_local == "better":
        use = "outcome-routing"
        why = "Outcome routing is worth examining: it beats what nodes can do alone and is not worse than federated."
    else:
        use, why = "undecided", "On this data no difference to working alone can be told from chance."
    sentences = [why, *(_compared(arms, name) for name in (local, federated, one_shot, central))]
    byzantine = report["failure_modes"]["byzantine"]["rows"]
    clean, lied = byzantine[0]["accuracy"], byzantine[1]["accuracy"]
    sentences.append(
        f"With {byzantine[1]['liars']} liars of {byzantine[1]['nodes']}, undefended routing goes from "
        f"{clean[f'{ROUTING}_undefended']:.3f} to {lied[f'{ROUTING}_undefended']:.3f} in accuracy, FedAvg from "
        f"{clean['fedavg']:.3f} to {lied['fedavg']:.3f}."
    )
    ours, theirs = arms[ROUTING]["bytes"], arms[federated]["bytes"]
    sentences.append(
        f"Outcome routing moved {ours:,} bytes when every node fetches everything, {federated} {theirs:,}: "
        + (f"{ours / theirs:.1f} times as many." if ours > theirs else f"{theirs / max(ours, 1):.1f} times fewer.")
    )
    return {"use": use, "best_shared_arm": shared, "sentences": sentences}


def _verdict(arms: dict[str, Any], name: str) -> str:
    """Tell whether routing is better or worse than an arm by log-loss, or neither with 95 % certainty."""
    interval = arms[name]["intervals"]["log_loss_minus_outcome_routing"]
    if interval["low"] > 0:
        return "better"
    return "worse" if interval["high"] < 0 else "level"


def _compared(arms: dict[str, Any], name: str) -> str:
    found = arms[name]["intervals"]["accuracy_minus_outcome_routing"]
    words = {"better": "better than", "worse": "worse than", "level": "not told apart from"}[_verdict(arms, name)]
    return (
        f"By log-loss outcome routing is {words} {name} ({arms[ROUTING]['log_loss']:.3f} against "
        f"{arms[name]['log_loss']:.3f}); {name} has {100 * found['value']:+.1f} points of accuracy "
        f"(95 % interval {100 * found['low']:+.1f} to {100 * found['high']:+.1f})."
    )


def dimensions(report: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the summary table: dimension, then outcome routing and federated learning, with measured values."""
    arms, modes = report["arms"], report["failure_modes"]
    federated = best_of(arms, FEDERATED_ARMS)
    penalties = next(
        found for name, found in modes["non_iid"]["penalty_points"].items() if name != IID and "dirichlet" in name
    )
    worst = modes["byzantine"]["rows"][-1]
    robust = {name: value for name, value in worst["accuracy"].items() if ROUTING not in name}
    most = max(robust, key=robust.__getitem__)
    return {
        "what leaves a node": {
            ROUTING: "signed packets of 512 bytes: fingerprint and outcome of each record",
            "federated": f"a model of {modes['communication']['model_parameters']:,} numbers each round",
        },
        "non-IID penalty (points of accuracy)": {
            ROUTING: f"{penalties[ROUTING]:+.1f}",
            "federated": f"{penalties[federated]:+.1f} ({federated})",
        },
        "cost (bytes)": {ROUTING: f"{arms[ROUTING]['bytes']:,}", "federated": f"{arms[federated]['bytes']:,}"},
        "accuracy": {
            ROUTING: f"{arms[ROUTING]['accuracy']:.3f}",
            "federated": f"{arms[federated]['accuracy']:.3f} ({federated})",
        },
        f"accuracy with {worst['liars']} liars of {worst['nodes']}": {
            ROUTING: f"{worst['accuracy'][f'{ROUTING}_undefended']:.3f} (undefended)",
            "federated": f"{robust[most]:.3f} (best of robust rules: {most})",
        },
    }
