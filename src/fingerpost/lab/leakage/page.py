"""An audit as one HTML file, in the style of an assessment: tables, plots as SVG, light, dark and print."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from fingerpost.lab.assess.markup import bullets, page, paragraphs, table
from fingerpost.lab.assess.plots import figure_of

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKETS, UPDATES, KNOWN = "#3b7dd8", "#d8703b", "#8a8a8a"
METHOD = (
    "A third of the records is what an attacker knows of such records anyway; a third are members, whose packets and "
    "gradients it sees; a third are strangers. It has to name members among members and strangers.",
    "Records are compared coordinate by coordinate, each scaled to [0, 1] by its range in the table. R2 is 1 for an "
    "exact reconstruction and 0 for the mean of the public records; it may be negative. PSNR is the median over "
    "records.",
    "Of several attacks on one profile the best is shown, picked with hindsight, in the attacker's favour.",
    "A member is named where the attacker, who has all candidates' full records, picks the right one from what left "
    "the node about it. Under dp-aggregate no packet is about one member, so it can only guess who is in at all.",
    "Membership: AUC 0.5 is chance. 'Informed' is an attacker who knows every other record of the node, as the "
    "definition of differential privacy allows.",
    "A field's points are how much more often than by imputation from all other fields its value is inferred.",
    "Federated updates are those of a network with one hidden layer; labels of batches of several records are given to "
    "the attacker. DP-SGD has the noise of the epsilon that one release of dp-aggregate costs a record (delta 1e-5).",
)
NOT_SHOWN = (
    "Attackers who send a client a network of their own choice, who have deeper decoders or more public data.",
    "Several releases about the same person; actions and conditions, which were left out.",
    "What a member of a consortium sees: that is what open shows.",
)


def page_of(document: Mapping[str, Any]) -> str:
    """Return the audit as one self-contained page."""
    title = f"{document['source']}: what would leak?"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>Outcome {escape(document['outcome'])} with {len(document['levels'])} levels, template "
        f"{escape(document['template'])}; {document['rows']:,} of {document['rows_read']:,} rows, "
        f"{document['members']:,} of them attacked; seed {document['seed']}.</p>",
        "<h2>What this says</h2>",
        f'<div class="verdict">{paragraphs(document["sentences"])}</div>',
        "<h2>Use and leakage under every profile</h2>",
        figure_of(lambda axes: _use(axes, document["profiles"]), "Accuracy and names, by profile", height=3.6),
        _profiles(document),
        "<h2>Records reconstructed, from packets and from gradients</h2>",
        figure_of(
            lambda axes: _inverted(axes, document["inversion"]),
            "R2 of the best reconstruction",
            height=_height(document),
        ),
        _packets(document["inversion"]),
        _updates(document["inversion"]),
        "<h2>A network trained on the members</h2>",
        _federated(document["federated"]),
        "<h2>Do the attacks work?</h2>",
        _controls(document["controls"]),
        "<h2>How to read this</h2>",
        bullets(METHOD),
        "<h2>What this does not show</h2>",
        bullets([*NOT_SHOWN, *(f"The profile {name}: not attacked." for name in document["not_measured"])]),
        "<h2>What was done to the table</h2>",
        bullets(document["notes"] or ["Nothing was left out."]),
    ]
    return page(title, parts)


def _profiles(document: Mapping[str, Any]) -> str:
    rows = []
    for name, leak in document["profiles"].items():
        seen, informed, named = leak["membership"], leak["informed"], leak["naming"]
        best = document["inversion"]["packets"][name]
        found = best["attacks"][best["best"]]
        gain = leak["attributes"]
        rows.append(
            (
                name,
                leak["read_by"],
                f"{leak['packets']:,}",
                f"{leak['accuracy']:.3f}",
                f"{named['value']:.4f} (to {named['high']:.4f})",
                f"{seen['auc']:.3f} ({seen['low']:.2f} to {seen['high']:.2f})",
                f"{seen['true_positive_rate']:.3f}",
                "" if informed is None else f"{informed['auc']:.3f} (to {informed['high']:.2f})",
                "none" if leak["auc_bound"] is None else f"{leak['auc_bound']:.3f}",
                f"{found['psnr']:.1f} dB, R2 {found['r2']:.2f}",
                "" if gain is None else f"{100 * (gain['accuracy'] - gain['prior']):+.1f}",
            )
        )
    heads = (
        "profile", "read by", "packets", "accuracy", "named", "membership AUC", "TPR at 1 %", "informed AUC",
        "proved bound", "reconstruction", "field, points",
    )  # fmt: skip
    return table("Intervals are 95 %", heads, rows)


def _packets(inversion: Mapping[str, Any]) -> str:
    rows = [_row(f"no packet: {name}", found) for name, found in inversion["baselines"].items()]
    rows += [
        _row(f"{profile}: {name}", found)
        for profile, each in inversion["packets"].items()
        for name, found in each["attacks"].items()
    ]
    return table("From packets", ("attack", "PSNR dB", "R2", "above 20 dB", "named", "records"), rows)


def _updates(inversion: Mapping[str, Any]) -> str:
    rows = [_row(each["label"], each) for each in inversion["updates"]]
    return table("From federated updates", ("attack", "PSNR dB", "R2", "above 20 dB", "named", "records"), rows)


def _row(name: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        name,
        f"{found['psnr']:.1f}",
        f"{found['r2']:.2f}",
        f"{found['above_20_db']:.2f}",
        f"{found['named']:.3f}",
        f"{found['records']:,}",
    )


def _federated(federated: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            f"{found['accuracy']:.3f}",
            f"{found['membership']['auc']:.3f} (to {found['membership']['high']:.2f})",
            f"{found['membership']['true_positive_rate']:.3f}",
        )
        for name, found in federated.items()
    ]
    heads = ("network", "accuracy", "membership AUC", "TPR at 1 %")
    return table("All rounds of DP-SGD together cost a record what one release of counts does", heads, rows)


def _controls(controls: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            found["measures"],
            f"{found['value']:.3f}",
            f"{'at least' if found['at_least'] else 'at most'} {found['bar']:.2f}",
            "yes" if found["holds"] else "no: that it fails elsewhere on this table proves nothing",
        )
        for name, found in controls.items()
    ]
    heads = ("attack", "control", "value", "bar", "holds")
    return table("Every attack where its answer is known", heads, rows, words=True)


def _use(axes: Any, profiles: Mapping[str, Any]) -> None:
    for name, leak in profiles.items():
        place = max(leak["naming"]["value"], 1e-4)
        axes.plot((max(leak["naming"]["low"], 1e-4), max(leak["naming"]["high"], 1e-4)), [leak["accuracy"]] * 2,
                  color=PACKETS, linewidth=1)  # fmt: skip
        axes.plot(place, leak["accuracy"], "o", color=PACKETS)
        axes.annotate(name, (place, leak["accuracy"]), textcoords="offset points", xytext=(4, 5), fontsize="small")
    axes.set_xscale("log")
    axes.set_xlim(8e-5, 6)
    axes.set_xlabel("share of members named (95 % interval)")
    axes.set_ylabel("accuracy")


def _inverted(axes: Any, inversion: Mapping[str, Any]) -> None:
    lines = [(f"no packet: {name}", found["r2"], KNOWN) for name, found in inversion["baselines"].items()]
    lines += [(name, each["attacks"][each["best"]]["r2"], PACKETS) for name, each in inversion["packets"].items()]
    lines += [(each["label"], each["r2"], UPDATES) for each in inversion["updates"]]
    for place, (_, r2, colour) in enumerate(reversed(lines)):
        axes.plot((0, max(r2, -0.5)), (place, place), color=colour, linewidth=2)
        axes.plot(max(r2, -0.5), place, "o" if r2 >= -0.5 else "<", color=colour)
    axes.set_yticks(range(len(lines)), [label for label, _, _ in reversed(lines)], fontsize="small")
    axes.set_xlim(-0.55, 1.05)
    axes.set_xlabel("R2 (1: exact; 0: the public mean; a triangle: below -0.5)")


def _height(document: Mapping[str, Any]) -> float:
    inversion = document["inversion"]
    return 1.0 + 0.24 * (len(inversion["baselines"]) + len(inversion["packets"]) + len(inversion["updates"]))
