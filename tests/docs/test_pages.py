"""The documentation is true: its examples run and print what it shows, and its links lead somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import pages

PAGES = pages.all_pages()
GENERATED = pages.ROOT / "docs/reference/cli.md"  # Its examples are for reading: they name files that readers have.
RUNNABLE = [
    page
    for page in PAGES
    if page != GENERATED
    and any(b.language in ("python", "console") and b.is_run for b in pages.blocks_of(page.read_text(encoding="utf-8")))
]


def name_of(page: Path) -> str:
    return str(page.relative_to(pages.ROOT))


@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_every_example_of_a_page_runs_and_prints_what_it_shows(page: Path, tmp_path: Path) -> None:
    assert pages.run_page(page, tmp_path) >= 0


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert pages.broken_links(page) == []


def page_with(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return page


def test_a_page_that_shows_a_wrong_output_is_caught(tmp_path: Path) -> None:
    page = page_with(tmp_path, "```console\n$ echo one; echo two\none\nthree\n```\n")
    with pytest.raises(AssertionError, match="but it prints"):
        pages.run_page(page, tmp_path)


def test_a_page_whose_python_promises_a_wrong_output_is_caught(tmp_path: Path) -> None:
    page = page_with(tmp_path, "```python\nprint(1 + 1)  # prints 3\n```\n")
    with pytest.raises(AssertionError, match="promises"):
        pages.run_page(page, tmp_path)


def test_a_page_whose_python_fails_is_caught(tmp_path: Path) -> None:
    page = page_with(tmp_path, "```python\nvalue = 1\n```\n\n```python\nvalue / 0\n```\n")
    with pytest.raises(ZeroDivisionError):
        pages.run_page(page, tmp_path)


def test_an_ellipsis_stands_for_any_text_of_a_line_and_alone_for_any_lines(tmp_path: Path) -> None:
    page = page_with(tmp_path, "```console\n$ echo key 1234 made; seq 5\nkey … made\n…\n5\n```\n")
    assert pages.run_page(page, tmp_path) > 0


def test_a_block_marked_as_a_file_is_written_and_one_marked_as_not_run_is_not(tmp_path: Path) -> None:
    written = "<!-- file: a.csv -->\n```csv\nx,y\n```\n\n"
    read_only = "<!-- not run: needs a second machine -->\n```console\n$ false\nx\n```\n\n"
    text = written + read_only + "```console\n$ cat a.csv\nx,y\n```\n"
    assert pages.run_page(page_with(tmp_path, text), tmp_path) > 0


def test_a_link_to_a_missing_page_or_heading_is_found(tmp_path: Path) -> None:
    page = page_with(
        tmp_path,
        "# The heading: `code`, too\n[a](#the-heading-code-too) [b](#nothing) [c](gone.md) [d](https://example.org)\n",
    )
    assert pages.broken_links(page) == ["#nothing", "gone.md"]
