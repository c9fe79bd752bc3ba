"""Write docs/reference/errors.md from the places in the source that raise. ``make docs`` runs it.

The text of a message or hint is read from the syntax tree: what is filled in at run time is shown as ``…``. Errors
raised through a helper function are found by that function's parameters named ``code``, ``message`` and ``hint``.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fingerpost import errors

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src/fingerpost"
TARGET = ROOT / "docs/reference/errors.md"
UNKNOWN = "…"
PARTS = ("code", "message", "hint")
SITES_SHOWN_MAX = 12
CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")

HEAD = """\
# Errors

Generated from the source by `make docs`; do not edit.

Every error that fingerpost raises on purpose is a `fingerpost.errors.FingerpostError` with a stable `code`, a message
and a `hint` that says what to do. Match on the class or the code: messages and hints are for people and may change.
The command line prints both, exits with the status of the class and shows no traceback; `--json` prints the code too.
Here `…` stands for what is filled in at run time, and → for the hint.

"""


@dataclass(frozen=True, slots=True, order=True)
class Site:
    """One place that raises: the error's class, its code, and what it says."""

    error: str
    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Raiser:
    """A callable that raises: the error's class, its parameters in order, and what they hold when left out."""

    error: str
    parameters: tuple[str, ...]
    defaults: dict[str, str]


def error_classes() -> dict[str, type[errors.FingerpostError]]:
    """Return the classes of the error tree by name, in the order of ``errors.py``."""
    classes = inspect.getmembers(errors, lambda value: inspect.isclass(value) and value.__module__ == errors.__name__)
    return dict(sorted(classes, key=lambda pair: inspect.getsourcelines(pair[1])[1]))


def sites_in_source(source: Path = SOURCE) -> list[Site]:
    """Return every place below ``source`` that raises an error of the tree with a code it names itself."""
    found = set(sites_of_packet_reasons()) if source == SOURCE else set()
    for path in sorted(source.rglob("*.py")):
        if path.name != "errors.py":
            found |= set(sites_in_module(path.read_text(encoding="utf-8")))
    return sorted(found)


def sites_in_module(text: str) -> Iterator[Site]:
    """Yield the places in one module, those that go through its own helper functions too."""
    tree = ast.parse(text)
    constants = module_constants(tree)
    raisers = {name: Raiser(error=name, parameters=PARTS, defaults={"hint": ""}) for name in error_classes()}
    raisers |= dict(helpers_in(tree, raisers, constants))
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or called_name(call) not in raisers:
            continue
        raiser = raisers[called_name(call)]
        said = arguments_of(call, raiser)
        code = said.get("code")
        if isinstance(code, ast.Constant):
            texts = {
                part: text_of(said[part], constants) if part in said else [raiser.defaults.get(part, UNKNOWN)]
                for part in PARTS[1:]
            }
            for message in texts["message"]:
                for hint in texts["hint"]:
                    yield Site(raiser.error, str(code.value), message, hint)
        elif isinstance(code, ast.Name) and call not in raisers_inside(tree, raisers):
            yield from (Site(raiser.error, *row) for row in rows_of_tables(constants))


def sites_of_packet_reasons() -> Iterator[Site]:
    """Yield what ``fingerpost.packet`` keeps in a table, since it also reports reasons as numbers."""
    from fingerpost.packet import _reasons

    for reason in _reasons.Reason:
        if reason:
            refusal = _reasons.refusal(reason)
            yield Site(type(refusal).__name__, refusal.code, refusal.message, refusal.hint)


def helpers_in(
    tree: ast.Module, raisers: dict[str, Raiser], constants: dict[str, ast.expr]
) -> Iterator[tuple[str, Raiser]]:
    """Yield the functions that pass a parameter named ``code`` on to an error of the tree."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        parameters = [a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
        if "code" not in parameters:
            continue
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and called_name(call) in raisers:
                said = arguments_of(call, raisers[called_name(call)])
                if isinstance(said.get("code"), ast.Name):
                    inner = {part: text_of(said[part], constants)[0] for part in PARTS[1:] if part in said}
                    inner |= defaults_of(function, constants)
                    positional = tuple(name for name in parameters if name not in {"self", "cls"})
                    yield (
                        function.name,
                        Raiser(error=called_name(call), parameters=positional, defaults={"hint": ""} | inner),
                    )
                    break


def raisers_inside(tree: ast.Module, raisers: dict[str, Raiser]) -> set[ast.AST]:
    """Return what lies inside the helper functions among ``raisers``, whose codes come from their callers."""
    helpers = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in raisers)
    return {inner for helper in helpers for inner in ast.walk(helper)}


def rows_of_tables(constants: dict[str, ast.expr]) -> Iterator[tuple[str, str, str]]:
    """Yield the rows (code, message, hint) of a module's tables, from which it picks an error at run time."""
    for table in constants.values():
        for row in table.values if isinstance(table, ast.Dict) else []:
            if isinstance(row, ast.Tuple) and len(row.elts) == len(PARTS):
                code, message, hint = (text_of(part, constants)[0] for part in row.elts)
                if CODE.fullmatch(code):
                    yield code, message, hint


def defaults_of(function: ast.FunctionDef, constants: dict[str, ast.expr]) -> dict[str, str]:
    """Return the texts that ``function`` fills in for a message or hint that its caller leaves out."""
    named = [*function.args.posonlyargs, *function.args.args]
    pairs = list(zip(named[len(named) - len(function.args.defaults) :], function.args.defaults, strict=True))
    pairs += [(a, d) for a, d in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True) if d]
    return {argument.arg: text_of(default, constants)[0] for argument, default in pairs if argument.arg in PARTS[1:]}


def arguments_of(call: ast.Call, raiser: Raiser) -> dict[str, ast.expr]:
    """Return what ``call`` passes as code, message and hint, as far as it names them."""
    said = dict(zip(raiser.parameters, call.args, strict=False))
    said |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    return {part: said[part] for part in PARTS if part in said}


def module_constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the module's own constants by name."""
    return {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def text_of(node: ast.expr, constants: dict[str, ast.expr]) -> list[str]:
    """Return the texts that ``node`` may stand for, with ``…`` for what only a run knows."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        return ["".join(text_of(part, constants)[0] for part in node.values)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [left + right for left in text_of(node.left, constants) for right in text_of(node.right, constants)]
    if isinstance(node, ast.IfExp):
        return [*text_of(node.body, constants), *text_of(node.orelse, constants)]
    if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name) and node.value.id in constants:
        return text_of(node.value, constants)
    if isinstance(node, ast.Name) and node.id in constants:
        return text_of(constants[node.id], {})
    return [UNKNOWN]


def called_name(call: ast.Call) -> str:
    """Return the last part of the name of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def page(sites: Iterable[Site]) -> str:
    """Return the page: exit statuses, then a heading for each class and each code."""
    classes = error_classes()
    by_code: dict[str, dict[str, list[Site]]] = defaultdict(lambda: defaultdict(list))
    for site in sites:
        by_code[site.error][site.code].append(site)
    lines = [HEAD, "## Exit statuses\n\n| status | error | when |\n|---|---|---|\n| 0 | | fine |\n"]
    lines += [f"| {error.exit_status} | `{name}` | {first_line(error)} |\n" for name, error in classes.items()]
    lines.append("\nThe command line has a few more, for an interrupt and the like: see [cli.md](cli.md).\n")
    for name, error in classes.items():
        if name in by_code:
            lines.append(f"\n## {name}\n\n{first_line(error)} Exit status {error.exit_status}.\n")
            for code, said in sorted(by_code[name].items()):
                lines.append(f"\n### `{code}`\n\n{paragraphs(said)}")
    return "".join(lines)


def paragraphs(sites: list[Site]) -> str:
    """Return what one code says, each message once, with the advice that goes with it."""
    advice: dict[str, str] = {}
    for site in sites:
        advice[site.message] = site.hint or advice.get(site.message, "")
    lines = []
    for message, hint in list(advice.items())[:SITES_SHOWN_MAX]:
        said = message if message.strip(f" {UNKNOWN}") else "(the message says what was found)"
        lines.append(f"- {said}\n" + (f"  → {hint}\n" if hint.strip(f" {UNKNOWN}") else ""))
    if len(advice) > SITES_SHOWN_MAX:
        lines.append("- and similar ones\n")
    return "".join(lines)


def first_line(error: type) -> str:
    """Return the first sentence of a class's docstring."""
    return (inspect.getdoc(error) or "").splitlines()[0].replace("``", "`")


def main() -> int:
    """Write the page; with ``--check`` only say whether it is up to date."""
    text = page(sites_in_source())
    if "--check" in sys.argv:
        return 0 if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text else 1
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
