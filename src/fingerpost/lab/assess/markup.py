"""Parts of pages that stand by themselves: tables for everyone, light and dark, fit for print. Texts are escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def page(title: str, parts: Sequence[str]) -> str:
    """Return a page of parts that are markup already."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def paragraphs(sentences: Sequence[str]) -> str:
    """Return each sentence as a paragraph of its own."""
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)


def bullets(items: Sequence[str]) -> str:
    """Return a list."""
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], *, words: bool = False) -> str:
    """Return a table whose first cell of a row is its name; ``words`` are set flush left, figures flush right."""
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


def verdict(sentence: str) -> str:
    """Return the sentence that a section comes to."""
    return f'<p class="verdict">{escape(sentence)}</p>'
