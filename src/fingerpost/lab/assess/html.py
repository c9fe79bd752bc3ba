"""The report as one HTML file: tables for everyone, plots as text-bearing SVG, light and dark, fit for print."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from fingerpost.lab.assess.markup import bullets, page, paragraphs, table, verdict
from fingerpost.lab.assess.plots import plots_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def html_of(report: Mapping[str, Any]) -> str:
    """Return the report as one self-contained page."""
    plots = plots_of(report)
    modes = report["failure_modes"]
    title = f"{report['source']}: would sharing outcomes help?"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>Outcome {escape(report['outcome'])} with {len(report['levels'])} levels; {report['rows_used']:,} of "
        f"{report['rows_read']:,} rows, {report['nodes']} nodes, {report['splits']} splits, seed {report['seed']}.</p>",
        "<h2>What this says</h2>",
        f'<div class="verdict">{paragraphs(report["recommendation"]["sentences"])}</div>',
        _dimensions(report["dimensions"]),
        f"<h2>All methods, partition {escape(report['headline_partition'])}</h2>",
        plots["arms"],
        _arms(report["arms"]),
        _chosen(report["chosen"]),
        "<h2>Reconstruction</h2>",
        plots["inversion"],
        verdict(_said_of_inversion(modes["inversion"])),
        _inversion(modes["inversion"]),
        "<p>This does not show attackers who know more of the table, nor updates of many records and many rounds, "
        "which give less away.</p>",
        "<h2>When nodes differ</h2>",
        plots["partitions"],
        verdict(_said_of_partitions(report)),
        _penalties(modes["non_iid"]),
        plots["newcomer"],
        _newcomer(modes["non_iid"]["newcomer"]),
        "<p>This does not show other ways in which nodes can differ, such as one that measures otherwise.</p>",
        "<h2>Bytes</h2>",
        plots["communication"],
        verdict(_said_of_bytes(modes["communication"])),
        _facts("Bytes of packets and of models", modes["communication"]),
        "<p>This does not show frames or lost messages; federated bytes are of encoded messages.</p>",
        "<h2>Liars</h2>",
        plots["liars"],
        verdict(_said_of_liars(modes["byzantine"])),
        _liars(modes["byzantine"]),
        _malformed(modes["byzantine"]["malformed"]),
        "<p>This does not show liars who adapt to what an asker elects by; counts under dp-aggregate are not elected "
        "among.</p>",
        "<h2>More nodes</h2>",
        plots["scaling"],
        verdict(_said_of_scaling(report["scaling"])),
        _scaling(report["scaling"]),
        plots["graph"],
        "<p>This does not show nodes that differ, nor more observations than the table has.</p>",
        "<h2>Whom it takes</h2>",
        *_coordinator(modes["coordinator"], plots.get("coordinator", "")),
        *([_actions(report["actions"])] if "actions" in report else []),
        *([_checklist(report["checklist"])] if "checklist" in report else []),
        "<h2>Not measured</h2>",
        bullets(list(modes["not_measured"].values()) or ["Nothing was left out."]),
        "<h2>Rules of the game</h2>",
        bullets(report["rules"]),
        "<h2>What was done to the table</h2>",
        bullets(report["notes"] or ["Nothing had to be repaired."]),
    ]
    return page(title, parts)


def _dimensions(dimensions: Mapping[str, Any]) -> str:
    rows = [(name, found["consortium"], found["federated"]) for name, found in dimensions.items()]
    return table("The two side by side", ("dimension", "outcome routing", "federated learning"), rows, words=True)


def _arms(arms: Mapping[str, Any]) -> str:
    rows = []
    for name, arm in arms.items():
        apart = arm["intervals"]["accuracy_minus_consortium"]
        rows.append(
            (
                name.replace("_", " "),
                f"{arm['accuracy']:.3f}",
                f"{100 * apart['value']:+.1f} ({100 * apart['low']:+.1f} to {100 * apart['high']:+.1f})",
                f"{arm['auc']:.3f}",
                f"{arm['log_loss']:.3f}",
                f"{arm['worst_node_accuracy']:.3f}",
                f"{arm['bytes']:,}",
                f"{arm['seconds']:.1f}",
            )
        )
    heads = ("arm", "accuracy", "points to consortium (95 %)", "AUC", "log-loss", "worst node", "bytes", "seconds")
    return table("Scores on rows that no arm was trained on", heads, rows)


def _penalties(section: Mapping[str, Any]) -> str:
    names = list(section["penalty_points"])
    partitions = section["partitions"]
    rows = [
        (
            arm.replace("_", " "),
            *(f"{found[arm]['accuracy']:.3f}" for found in partitions.values()),
            *(f"{section['penalty_points'][name][arm]:+.1f}" for name in names),
        )
        for arm in next(iter(partitions.values()))
    ]
    heads = ("arm", *(f"accuracy, {name}" for name in partitions), *(f"points lost, {name}" for name in names))
    return table("Accuracy by who has which rows; loss against rows dealt out evenly", heads, rows)


def _facts(caption: str, facts: Mapping[str, Any]) -> str:
    rows = []
    for name, value in facts.items():
        if name == "break_even_curves":
            continue
        if isinstance(value, dict):
            rows += [(f"{name}: {key}".replace("_", " "), _shown(one)) for key, one in value.items()]
        else:
            rows.append((name.replace("_", " "), _shown(value)))
    return table(caption, ("figure", "value"), rows)


def _chosen(chosen: Mapping[str, Any]) -> str:
    rows = [(name.replace("_", " "), f"{value:.3f}") for name, value in chosen["validation_log_loss"].items()]
    caption = f"Log-loss on rows held back from training: {chosen['profile']} and {chosen['federated']} were chosen"
    return table(caption, ("arm", "log-loss"), rows)


def _said_of_inversion(section: Mapping[str, Any]) -> str:
    update = max(section["updates"], key=lambda row: float(row["psnr"]))
    members, strangers = _best_attack(section, "open"), _best_attack(section, "consortium")
    return (
        f"An update gives a record away at up to {update['psnr']:.1f} dB ({update['label']}); a fingerprint in clear, "
        f"as members of a consortium see it, at {members['psnr']:.1f} dB, a sealed packet at {strangers['psnr']:.1f} "
        f"dB; "
        f"guessing the mean gives {section['baselines']['public mean']['psnr']:.1f} dB."
    )


def _best_attack(section: Mapping[str, Any], profile: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = section["packets"][profile]["attacks"][section["packets"][profile]["best"]]
    return found


def _inversion(section: Mapping[str, Any]) -> str:
    rows = [
        (f"packet, {profile}: {found['best']}", *_recovered(_best_attack(section, profile)))
        for profile, found in section["packets"].items()
    ]
    rows += [(f"update: {row['label']}", *_recovered(row)) for row in section["updates"]]
    rows += [(f"guess: {name}", *_recovered(found)) for name, found in section["baselines"].items()]
    heads = ("what is attacked, and how", "PSNR (dB)", "R2", "beyond 20 dB", "records named")
    return table("Records reconstructed from what leaves a node", heads, rows)


def _recovered(found: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"{found['psnr']:.1f}",
        f"{found['r2']:.2f}",
        f"{100 * found['above_20_db']:.0f} %",
        f"{100 * found['named']:.0f} %",
    )


def _said_of_partitions(report: Mapping[str, Any]) -> str:
    federated, penalties = report["chosen"]["federated"], report["failure_modes"]["non_iid"]["penalty_points"]
    worst = max(penalties, key=lambda name: float(penalties[name]["consortium"]))
    return (
        f"Against rows dealt out evenly, consortium loses most under {worst}: {penalties[worst]['consortium']:+.1f} "
        f"points; {federated} loses {penalties[worst][federated]:+.1f} there."
    )


def _said_of_bytes(section: Mapping[str, Any]) -> str:
    equal = section["break_even_parameters_all_nodes_fetch"]
    less = "routing" if section["model_parameters"] > equal else "federated learning"
    return (
        f"With {section['observations']:,} observations and {section['rounds']} rounds both move the same at "
        f"{equal:,.0f} parameters; this model has {section['model_parameters']:,}, so {less} moves less."
    )


def _said_of_liars(section: Mapping[str, Any]) -> str:
    row = max((one for one in section["rows"] if one["attack"] == "flip"), key=lambda one: float(one["share"]))
    most = min(row["loss_points"], key=row["loss_points"].__getitem__)
    return (
        f"With {row['liars']} liars of {row['nodes']} that agree on wrong outcomes, {most} loses least to its own "
        f"honest oracle ({row['loss_points'][most]:+.1f} points); consortium loses "
        f"{row['loss_points']['consortium']:+.1f} with elections and "
        f"{row['loss_points']['consortium without elections']:+.1f} without."
    )


def _said_of_scaling(section: Mapping[str, Any]) -> str:
    if not section["laws"]:
        return "Too few numbers of nodes were measured to fit a law."
    laws = section["laws"]
    return (
        f"Log-loss is fitted better by the number of {laws['follows']} (residuals "
        f"{laws['log_loss_of_nodes']['residual']:.4f} by nodes, {laws['log_loss_of_pairs']['residual']:.4f} by pairs). "
        "The root of the pairs grows like the nodes: a better fit by pairs says how fast the loss falls, not that "
        "pairs tell more than their records."
    )


def _coordinator(section: Mapping[str, Any], plot: str) -> list[str]:
    if "left_out" in section:
        return [verdict(section["left_out"])]
    flower = section["federated"]
    went = "went on by itself" if flower["went_on_by_itself"] else "was started again from its checkpoint"
    rows = [
        (
            "SuperLink (federated learning)",
            f"{flower['next_round_seconds']:.1f} s to the next round; the run {went}",
            f"the round that ran, of {flower['rounds']}",
            f"{flower['survivors']} of {flower['nodes']} SuperNodes were still there",
            flower["trusted"],
        )
    ]
    rows += [
        (
            f"{crash['role']}, {crash['hospital']}",
            f"{crash['answer_seconds']:.2f} s to the slowest answer of the others",
            f"{crash['lost']} of {crash['acknowledged']} packets",
            f"{crash['handled']}; back after {crash['restart_seconds']:.1f} s, with all packets after "
            f"{crash['catch_up_seconds']:.1f} s",
            crash["trusted"],
        )
        for crash in section["outcome_routing"]
    ]
    heads = ("who was killed", "how long until the next answer", "lost", "while it was away, and its return", "trusted")
    return [
        plot,
        verdict(section["verdict"]),
        table("Real processes, killed one at a time", heads, rows, words=True),
        f"<p>This does not show: {escape(section['does_not_show'])}</p>",
    ]


def _newcomer(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row["arms"]))
    body = [
        (str(row["own_rows"]), str(row["sites"]), *(f"{row['arms'][name]['accuracy']:.3f}" for name in names))
        for row in rows
    ]
    heads = ("own rows", "sites", *(name.replace("_", " ") for name in names))
    return table("Accuracy at a site left out of everything before", heads, body)


def _malformed(section: Mapping[str, Any]) -> str:
    rows = []
    for kind, found in section["federated"].items():
        ours = section["outcome_routing"][kind]
        fared = (one["ended"] or f"accuracy {one['accuracy']:.3f}" for one in found.values())
        told = f"{ours['refused']} of {ours['hostile_packets']} packets refused, accuracy {ours['accuracy']:.3f}"
        rows.append((kind, *fared, told))
    names = list(next(iter(section["federated"].values())))
    return table("One client that sends what no client should", ("it sends", *names, "packets"), rows, words=True)


def _actions(section: Mapping[str, Any]) -> str:
    rows = [
        (f"{action}: {level}", _interval(found), f"{one['raw_shares'].get(level, 0.0):.3f}", f"{one['records']:,}")
        for action, one in section["actions"].items()
        for level, found in one["levels"].items()
    ]
    words = (
        "Actions were taken in different situations: read these as associations, not effects."
        if section["overlap_warning"]
        else "Actions were taken in like situations, as far as the columns tell."
    )
    heads = ("action: outcome", "estimate (95 %)", "raw share", "records")
    return (
        "<h2>Actions</h2>"
        + verdict(words)
        + table("What happened after each action, in all asked situations", heads, rows)
        + "<p>This does not show what decided who got what, where no column tells it.</p>"
    )


def _interval(found: Mapping[str, float]) -> str:
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def _checklist(section: Mapping[str, Any]) -> str:
    rows = [
        (one["question"], one["value"], one["limit"], "wall" if one["wall"] else "no wall")
        for one in section["questions"]
    ]
    heads = ("question", "measured", "limit", "wall")
    return "<h2>This deployment</h2>" + verdict(section["sentence"]) + table("Five questions", heads, rows, words=True)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _liars(section: Mapping[str, Any]) -> str:
    names = list(section["rows"][0]["accuracy"])
    rows = [
        (f"{row['attack']}, {row['liars']} of {row['nodes']}", *(_lost(row, name) for name in names))
        for row in section["rows"]
    ]
    heads = ("attack, liars", *(name.replace("_", " ") for name in names))
    return table("Accuracy with liars, and points lost to the same arm without what they say", heads, rows)


def _lost(row: Mapping[str, Any], name: str) -> str:
    if name not in row["accuracy"]:
        return "not defined"
    return f"{row['accuracy'][name]:.3f} ({row['loss_points'][name]:+.1f})"


def _scaling(section: Mapping[str, Any]) -> str:
    rows = [
        (
            str(point["nodes"]),
            f"{point['observations']:,}",
            f"{point['error']:.3f}",
            f"{point['log_loss']:.3f}",
            f"{point['effective_sample_size']:.1f}",
            f"{point['corroboration']:.1f}",
            f"{point['bytes']:,}",
            f"{point['seconds']:.2f}",
        )
        for point in section["points"]
    ]
    heads = ("nodes", "records", "error", "log-loss", "effective size", "nodes behind an answer", "bytes", "seconds")
    shown = table("Outcome routing, when so many nodes tell", heads, rows)
    laws = section["laws"]
    return shown + (_facts("Fitted laws", {**laws["powers_of_nodes"], "follows": laws["follows"]}) if laws else "")
