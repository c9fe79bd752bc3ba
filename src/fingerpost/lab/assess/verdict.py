"""What the figures say, in sentences that are computed from them."""

from __future__ import annotations

from typing import Any

from fingerpost.lab.assess.arms import CENTRAL_ARMS, LOCAL_ARMS, ONE_SHOT_ARMS, ROUTING, of_kind
from fingerpost.lab.assess.partitions import IID


def best_of(arms: dict[str, Any], names: tuple[str, ...]) -> str:
    """Return the arm with the least log-loss among those of ``names`` that were run."""
    return min(of_kind(arms, names), key=lambda name: float(arms[name]["log_loss"]))


def recommendation(report: dict[str, Any]) -> dict[str, Any]:
    """Return ``use`` (what to do with this data) and the ``sentences`` that say why."""
    arms = report["arms"]
    local, federated = best_of(arms, LOCAL_ARMS), report["chosen"]["federated"]
    central, one_shot = best_of(arms, CENTRAL_ARMS), best_of(arms, ONE_SHOT_ARMS)
    to_local, to_federated = _verdict(arms, local), _verdict(arms, federated)
    if arms[federated]["intervals"]["accuracy_minus_consortium"]["low"] > 0:
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
    opponents = [name for name in ("no_change", local, federated, one_shot, central) if name in arms]
    sentences = [why, *(_compared(arms, name) for name in opponents)]
    if report["chosen"]["profile"] != ROUTING:
        sentences.append(
            "On rows held back from training, dp-aggregate forecast better than consortium: noise costs nothing here."
        )
    sentences += [_liars(report), _bytes(arms, federated)]
    if "verdict" in report["failure_modes"]["coordinator"]:
        sentences.append(report["failure_modes"]["coordinator"]["verdict"])
    return {"use": use, "best_shared_arm": shared, "sentences": sentences}


def _liars(report: dict[str, Any]) -> str:
    row = next(row for row in report["failure_modes"]["byzantine"]["rows"] if row["share"] > 0)
    loss, rules = row["loss_points"], [name for name in row["loss_points"] if name not in OURS]
    best = min(rules, key=loss.__getitem__)
    return (
        f"With {row['liars']} liars of {row['nodes']}, routing with elections loses {loss[ROUTING]:+.1f} points to "
        f"what it would say without them, without elections {loss[OURS[1]]:+.1f}, FedAvg {loss['fedavg']:+.1f}, and "
        f"{best}, the federated rule that loses least, {loss[best]:+.1f}."
    )


def _bytes(arms: dict[str, Any], federated: str) -> str:
    ours, theirs = arms[ROUTING]["bytes"], arms[federated]["bytes"]
    return f"Outcome routing moved {ours:,} bytes when every node fetches everything, {federated} {theirs:,}: " + (
        f"{ours / max(theirs, 1):.1f} times as many."
        if ours > theirs
        else f"{theirs / max(ours, 1):.1f} times fewer for routing."
    )


OURS = (ROUTING, "consortium without elections", "dp-aggregate")


def _verdict(arms: dict[str, Any], name: str) -> str:
    """Tell whether routing is better or worse than an arm by log-loss, or neither with 95 % certainty."""
    interval = arms[name]["intervals"]["log_loss_minus_consortium"]
    if interval["low"] > 0:
        return "better"
    return "worse" if interval["high"] < 0 else "level"


def _compared(arms: dict[str, Any], name: str) -> str:
    found = arms[name]["intervals"]["accuracy_minus_consortium"]
    words = {"better": "better than", "worse": "worse than", "level": "not told apart from"}[_verdict(arms, name)]
    return (
        f"By log-loss outcome routing is {words} {name} ({arms[ROUTING]['log_loss']:.3f} against "
        f"{arms[name]['log_loss']:.3f}); {name} has {100 * found['value']:+.1f} points of accuracy "
        f"(95 % interval {100 * found['low']:+.1f} to {100 * found['high']:+.1f})."
    )


def none_in_the_middle(section: dict[str, Any]) -> str:
    """Return what became of answers when any one node was killed, where that was measured."""
    if "left_out" in section:
        return "none for answers"
    crashes = section["outcome_routing"]
    slowest, lost = max(one["answer_seconds"] for one in crashes), sum(one["lost"] for one in crashes)
    return f"none for answers: with any one node killed they took {slowest:.2f} s at most, and {lost} packets were lost"


def without_server(section: dict[str, Any]) -> str:
    """Return what became of federated rounds when their server was killed, where that was measured."""
    if "left_out" in section:
        return "a server that every round passes"
    crash = section["federated"]
    return (
        f"a server that every round passes: {crash['rounds_while_away']} rounds while it was away, the next "
        f"{crash['next_round_seconds']:.0f} s after it was killed"
    )


def _leak_of_packets(section: dict[str, Any]) -> str:
    best = {name: found["attacks"][found["best"]]["psnr"] for name, found in section["packets"].items()}
    shown = ", ".join(f"{name} {best[name]:.1f}" for name in ("open", "consortium"))
    return f"{shown} (guess {section['baselines']['public mean']['psnr']:.1f})"


def _leak_of_updates(section: dict[str, Any]) -> str:
    best = max(section["updates"], key=lambda row: float(row["psnr"]))
    return f"{best['psnr']:.1f} ({best['label']})"


def dimensions(report: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the summary table: dimension, then outcome routing and federated learning, with measured values."""
    arms, modes = report["arms"], report["failure_modes"]
    federated = report["chosen"]["federated"]
    skewed = next(name for name in modes["non_iid"]["penalty_points"] if name != IID and "dirichlet" in name)
    penalties = modes["non_iid"]["penalty_points"][skewed]
    worst = next(row for row in reversed(modes["byzantine"]["rows"]) if row["attack"] == "flip")
    rules = {name: value for name, value in worst["loss_points"].items() if name not in OURS}
    best = min(rules, key=rules.__getitem__)
    points, laws = report["scaling"]["points"], report["scaling"]["laws"]
    first, last = points[0], points[-1]
    return {
        "what leaves a node": {
            ROUTING: "signed packets of 512 bytes, a record each, sealed to the members",
            "federated": f"a model of {modes['communication']['model_parameters']:,} numbers each round",
        },
        "guarantee": {
            ROUTING: "origin is signed; members read records; dp-aggregate: epsilon 1 a record and release",
            "federated": "none by itself; differential privacy or secure aggregation must be added",
        },
        "leakage: best reconstruction (dB)": {
            ROUTING: _leak_of_packets(modes["inversion"]),
            "federated": _leak_of_updates(modes["inversion"]),
        },
        "accuracy": {
            ROUTING: f"{arms[ROUTING]['accuracy']:.3f}; dp-aggregate {arms['dp-aggregate']['accuracy']:.3f}",
            "federated": f"{arms[federated]['accuracy']:.3f} ({federated})",
        },
        f"data assumption: points lost by {skewed}": {
            ROUTING: f"{penalties[ROUTING]:+.1f}",
            "federated": f"{penalties[federated]:+.1f} ({federated})",
        },
        "cost (bytes)": {ROUTING: f"{arms[ROUTING]['bytes']:,}", "federated": f"{arms[federated]['bytes']:,}"},
        "coupling": {
            ROUTING: "one template; nodes come and go, each with its own models",
            "federated": f"one model, {modes['communication']['rounds']} rounds together",
        },
        "coordinator": {
            ROUTING: f"{none_in_the_middle(modes['coordinator'])}; template author, bootstrap address and key keeper "
            "remain",
            "federated": without_server(modes["coordinator"]),
        },
        f"Byzantine: points lost to {worst['liars']} liars of {worst['nodes']}": {
            ROUTING: f"{worst['loss_points'][ROUTING]:+.1f} with elections, "
            f"{worst['loss_points'][OURS[1]]:+.1f} without",
            "federated": f"{rules['fedavg']:+.1f} (fedavg), {rules[best]:+.1f} ({best})",
        },
        "scaling": {
            ROUTING: f"error {first['error']:.3f} with {first['nodes']} nodes, {last['error']:.3f} with "
            f"{last['nodes']}" + (f"; log-loss follows {laws['follows']}" if laws else ""),
            "federated": "not measured by number of nodes",
        },
    }
