"""The report as one HTML file: tables for everyone, plots as text-bearing SVG, light and dark, fit for print."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from fingerpost.lab.assess.plots import plots_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STYLE = """
:root{color-scheme:light dark;--ink:#1b1b1b;--paper:#fff;--line:#c9c9c9;--soft:#f3f3f1}
@media(prefers-color-scheme:dark){:root{--ink:#e8e8e6;--paper:#161617;--line:#4a4a4a;--soft:#222224}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:62rem;margin:2rem auto;
padding:0 1rem}h1{font-size:1.7rem}h2{margin-top:2.2rem;border-bottom:1px solid var(--line)}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}caption{text-align:left;
padding:.4rem 0;font-weight:600}th,td{padding:.3rem .5rem;border-bottom:1px solid var(--line);text-align:right}
th:first-child,td:first-child{text-align:left}.words td,.words th{text-align:left}.verdict{background:var(--soft);
padding:.8rem 1rem;border-left:4px solid #3b7dd8}.scroll{overflow-x:auto}svg{max-width:100%;height:auto}
figure{margin:1rem 0}
@media print{:root{--ink:#000;--paper:#fff;--line:#999;--soft:#f3f3f1}body{max-width:none;margin:0}
h2{break-after:avoid}figure,table{break-inside:avoid}}
"""


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
        f'<div class="verdict">{_paragraphs(report["recommendation"]["sentences"])}</div>',
        _dimensions(report["dimensions"]),
        f"<h2>All methods, partition {escape(report['headline_partition'])}</h2>",
        plots["arms"],
        _arms(report["arms"]),
        "<h2>When nodes differ</h2>",
        _penalties(modes["non_iid"]),
        "<p>Pooled packets, pooled neighbours, pooled statistics and central rows do not depend on who has which rows: "
        "their loss is zero by construction, apart from what a calculator makes of the nodes' names.</p>",
        "<p>This does not show other ways in which nodes can differ, such as one that measures otherwise.</p>",
        "<h2>Bytes</h2>",
        _facts("Bytes of packets and of models", modes["communication"]),
        "<p>This does not show frames, directories or lost messages; federated bytes are of encoded messages.</p>",
        "<h2>Liars</h2>",
        plots["liars"],
        _liars(modes["byzantine"]),
        "<p>This shows one attack by liars who do not adapt, and packets without the defence of elections.</p>",
        "<h2>More nodes</h2>",
        plots["scaling"],
        _scaling(report["scaling"]),
        "<p>This does not show more nodes than the table has, nor nodes that differ.</p>",
        "<h2>Not measured</h2>",
        _list(list(modes["not_measured"].values())),
        "<h2>Rules of the game</h2>",
        _list(report["rules"]),
        "<h2>What was done to the table</h2>",
        _list(report["notes"] or ["Nothing had to be repaired."]),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _paragraphs(sentences: Sequence[str]) -> str:
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)


def _list(items: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], *, words: bool = False) -> str:
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    kind = ' class="words"' if words else ""
    return (
        f'<div class="scroll"><table{kind}><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _dimensions(dimensions: Mapping[str, Any]) -> str:
    rows = [(name, found["outcome_routing"], found["federated"]) for name, found in dimensions.items()]
    return _table("The two side by side", ("dimension", "outcome routing", "federated learning"), rows, words=True)


def _arms(arms: Mapping[str, Any]) -> str:
    rows = []
    for name, arm in arms.items():
        apart = arm["intervals"]["accuracy_minus_outcome_routing"]
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
    heads = ("arm", "accuracy", "points to routing (95 %)", "AUC", "log-loss", "worst node", "bytes", "seconds")
    return _table("Scores on rows that no arm was trained on", heads, rows)


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
    return _table("Accuracy by who has which rows; loss against rows dealt out evenly", heads, rows)


def _facts(caption: str, facts: Mapping[str, Any]) -> str:
    rows = []
    for name, value in facts.items():
        if isinstance(value, dict):
            rows += [(f"{name}: {key}".replace("_", " "), _shown(one)) for key, one in value.items()]
        else:
            rows.append((name.replace("_", " "), _shown(value)))
    return _table(caption, ("figure", "value"), rows)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _liars(section: Mapping[str, Any]) -> str:
    names = list(section["rows"][0]["accuracy"])
    rows = [
        (f"{row['liars']} of {row['nodes']}", *(_accuracy(row["accuracy"].get(name)) for name in names))
        for row in section["rows"]
    ]
    return _table(f"Accuracy when {section['attack']}", ("liars", *(name.replace("_", " ") for name in names)), rows)


def _accuracy(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _scaling(section: Mapping[str, Any]) -> str:
    rows = [
        (str(p["nodes"]), f"{p['observations']:,}", f"{p['error']:.3f}", f"{p['log_loss']:.3f}", f"{p['bytes']:,}")
        for p in section["points"]
    ]
    table = _table("Outcome routing, when so many nodes tell", ("nodes", "records", "error", "log-loss", "bytes"), rows)
    laws = section["laws"]
    return table + (_facts("Slopes of log-loss on logarithmic scales", laws) if laws else "")
