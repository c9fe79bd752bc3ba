"""One meaning, one text: the canonical form reads back as itself and does not see how a template was written."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fingerpost.template import parse_template
from fingerpost.template._draft import levels_lines, quoted

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8)
names = names.map(lambda name: unicodedata.normalize("NFC", name.strip()))
names = names.filter(lambda name: name not in {"", "outcome", "action"})
decimals = st.decimals(-1_000_000, 1_000_000, places=3)
levels = st.lists(st.sampled_from(["a", "b", "1", "\u00e9", "A", "x y", "NA", "\U0001f600"]), min_size=3, unique=True)


@st.composite
def fields(draw: st.DrawFn) -> list[str]:
    """Draw the lines of one field, without its header."""
    kind = draw(st.sampled_from(["number", "category", "ordinal", "set", "vector", "text"]))
    lines = [f'kind = "{kind}"']
    if kind in {"number", "vector"}:
        low, high = sorted(draw(st.tuples(decimals, decimals).filter(lambda ends: ends[0] != ends[1])))
        lines.append(f"range = [{low}, {high}]")
        lines += draw(st.sampled_from([[], ['outside = "clamp"'], ['outside = "refuse"']]))
    if kind == "vector":
        lines.append(f"size = {draw(st.integers(1, 20))}")
    if kind in {"category", "ordinal", "set"}:
        lines.append(" ".join(levels_lines(draw(levels))))
    lines += draw(st.sampled_from([[], ["weight = 1"], ["weight = 1.00"], ["weight = 2.125"]]))
    return lines + draw(st.sampled_from([[], ['missing = "refuse"'], ['missing = "indicator"']]))


situations = st.dictionaries(names, fields(), min_size=1, max_size=5)
OUTCOME = ["[outcome]", 'kind = "category"', 'levels = ["no", "yes"]']
HEAD = ["format = 1", 'name = "a"']


def written(situation: dict[str, list[str]], *, after_each_line: str = "") -> str:
    tables = [line for name, lines in situation.items() for line in (f"[situation.{quoted(name)}]", *lines)]
    return "".join(f"{line}{after_each_line}\n" for line in (*HEAD, *tables, *OUTCOME))


@given(situation=situations)
def test_the_canonical_form_reads_back_as_itself(situation: dict[str, list[str]]) -> None:
    template = parse_template(written(situation))
    again = parse_template(template.canonical)
    assert again == template
    assert again.canonical == template.canonical
    assert (again.template_id, again.space_id) == (template.template_id, template.space_id)


@given(situation=situations, shuffle=st.randoms(use_true_random=False))
def test_order_comments_and_blank_lines_change_nothing(situation: dict[str, list[str]], shuffle: Any) -> None:
    order = list(situation)
    shuffle.shuffle(order)
    mixed = {name: shuffle.sample(situation[name], len(situation[name])) for name in order}
    other = written(mixed, after_each_line="  # why\n\n")
    assert parse_template(other) == parse_template(written(situation))


@given(situation=situations, blanks=st.sampled_from([None, 1, "\t"]))
def test_the_layout_of_json_changes_nothing(situation: dict[str, list[str]], blanks: Any) -> None:
    template = parse_template(written(situation))
    tree = json.loads(template.canonical)
    assert parse_template(json.dumps(dict(reversed(tree.items())), indent=blanks)) == template
