"""Check the habits of this house that no linter knows. ``python tools/tidy.py`` prints one line for each breach.

A rule takes a ``Module`` and yields what is wrong with it. tests/architecture/test_tidy.py runs all rules over the
tree, and shows for each of them that it sees a planted breach.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
TEST_NAME_WORDS_MIN = 4

# A longer function needs its reason here: "path:function" -> why one piece reads better than several.
LONG_FUNCTIONS: dict[str, str] = {}

VAGUE_FILES = re.compile(r"(^|_)(utils?|helpers?|managers?|misc|common|stuff)$")
VAGUE_CLASSES = re.compile(r"(Manager|Helper|Utils?|Misc)$")
# fmt: off
ABBREVIATIONS = frozenset({
    "arr", "btn", "buf", "cb", "cfg", "cnt", "conf", "ctx", "def_", "desc", "dir_", "elem", "fn", "func", "idx",
    "impl", "msg", "mgr", "num", "obj", "param", "pkt", "pkts", "pos", "prev", "ptr", "req", "res", "resp", "sig",
    "sz", "temp", "tmp", "tmpl", "tpl", "val", "vec",
})
# fmt: on
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b|pragma:\s*no\s*cover")
BARE_IGNORE = re.compile(r"#\s*(type:\s*ignore(?!\[)|noqa(?!:\s*[A-Z]+\d))")
MACHINE_PATH = re.compile(r"(?<![\w.$}>)~-])/(home|root|work|mnt|media|Users)/\w|(?<![\w.$}>)~-])/tmp/[a-z]\w*/\w")
INDEX_OPTION = re.compile(r"^\s*--?(i|index-url|extra-index-url|find-links|trusted-host)\b", re.MULTILINE)
SKIPS = frozenset({"skip", "skipif", "xfail", "importorskip"})

# What a core may not do: it gets bytes, time and chance handed in. import-linter sees the imports, this the built-ins.
PURE_FLOORS = (
    "errors", "ids", "limits", "ports", "packet", "template", "fingerprint", "synthesis", "elections", "privacy",
    "directory/reading", "directory/region", "directory/regions",
    "node/engine", "node/placement", "node/replication", "node/admission",
)  # fmt: skip
IMPURE_BUILTINS = frozenset({"open", "print", "input", "exec", "eval", "breakpoint"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One breach of one rule, at a line counted from 1."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


class Module:
    """One Python file: its path below the project, its text and its syntax tree."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.tree = ast.parse(text, filename=path)

    @cached_property
    def functions(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every function and method, nested ones too."""
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    @cached_property
    def classes(self) -> list[ast.ClassDef]:
        """Every class, nested ones too."""
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)]

    @property
    def is_product(self) -> bool:
        """Whether users run it: everything below src."""
        return self.path.startswith("src/")

    @property
    def is_test(self) -> bool:
        """Whether pytest collects it."""
        return self.path.startswith("tests/") and Path(self.path).name.startswith("test_")

    @property
    def is_pure(self) -> bool:
        """Whether it lies on a floor without I/O, clock or randomness."""
        return any(
            self.path == f"src/fingerpost/{floor}.py" or self.path.startswith(f"src/fingerpost/{floor}/")
            for floor in PURE_FLOORS
        )

    def problem(self, node: ast.AST | int, message: str) -> Problem:
        """Return a breach at ``node``, or at a line number."""
        return Problem(
            path=self.path, line=node if isinstance(node, int) else getattr(node, "lineno", 1), message=message
        )


def modules_are_short(module: Module) -> Iterator[Problem]:
    """A module that grows past the bound hides a second concept."""
    lines = len(module.text.splitlines())
    if lines > MODULE_LINES_MAX:
        yield module.problem(1, f"{lines} lines; split it, a module has at most {MODULE_LINES_MAX}")


def functions_are_short(module: Module) -> Iterator[Problem]:
    """A function that grows past the bound does two things."""
    for function in module.functions:
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > FUNCTION_LINES_MAX and f"{module.path}:{function.name}" not in LONG_FUNCTIONS:
            yield module.problem(
                function, f"{function.name} has {lines} lines; split it, a function has at most {FUNCTION_LINES_MAX}"
            )


def names_say_what_a_thing_is(module: Module) -> Iterator[Problem]:
    """``utils`` and ``Manager`` name no concept, and an abbreviation makes the reader guess."""
    if VAGUE_FILES.search(Path(module.path).stem):
        yield module.problem(1, "the file's name says nothing about what is in it")
    for class_ in module.classes:
        if VAGUE_CLASSES.search(class_.name):
            yield module.problem(class_, f"{class_.name} says nothing about what it is")
    for function in module.functions:
        for argument in all_arguments(function):
            if argument.arg in ABBREVIATIONS:
                yield module.problem(argument, f"{function.name}: write the argument {argument.arg} out")


def booleans_are_named_at_the_call(module: Module) -> Iterator[Problem]:
    """``run(True)`` says nothing; a flag is keyword-only."""
    if not module.is_product:
        return
    for function in module.functions:
        if any(name_of(decorator) in {"setter", "override"} for decorator in function.decorator_list):
            continue
        positional = [*function.args.posonlyargs, *function.args.args]
        defaults: list[ast.expr | None] = [None] * (len(positional) - len(function.args.defaults))
        for argument, default in zip(positional, [*defaults, *function.args.defaults], strict=True):
            annotated = argument.annotation is not None and "bool" in names_in(argument.annotation)
            if annotated or (isinstance(default, ast.Constant) and isinstance(default.value, bool)):
                yield module.problem(argument, f"{function.name}: make the flag {argument.arg} keyword-only")


def nothing_is_left_unfinished(module: Module) -> Iterator[Problem]:
    """What is not done is an issue, not a note in the code; what is switched off is not tested."""
    for number, line in enumerate(module.text.splitlines(), start=1):
        if UNFINISHED.search(line):
            yield module.problem(number, "finish it, or open an issue")
        if BARE_IGNORE.search(line):
            yield module.problem(number, "name the rule that is ignored")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Raise) and name_of(node.exc) == "NotImplementedError":
            yield module.problem(node, "a stub: leave it out until it works")
        if isinstance(node, ast.Attribute) and node.attr in SKIPS and "pytest" in names_in(node):
            yield module.problem(node, f"pytest's {node.attr} hides a test")


def product_checks_survive_optimisation(module: Module) -> Iterator[Problem]:
    """``python -O`` drops assertions, so no check of ours may be one."""
    if module.is_product:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Assert):
                yield module.problem(node, "raise an error instead: python -O drops assertions")


def public_functions_are_documented(module: Module) -> Iterator[Problem]:
    """Every public function, class and module says what it gives, in which shape and unit, and how it fails."""
    if not module.is_product:
        return
    if ast.get_docstring(module.tree) is None:
        yield module.problem(1, "the module has no docstring")
    for node in public_definitions(module.tree):
        if ast.get_docstring(node) is None:
            yield module.problem(node, f"{node.name} has no docstring")


def cores_touch_nothing_outside(module: Module) -> Iterator[Problem]:
    """A core that opens, prints or draws can't be replayed."""
    if not module.is_pure:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_BUILTINS:
            yield module.problem(node, f"{node.func.id}() on a floor that does no I/O")
        if isinstance(node, ast.Attribute) and node.attr == "random" and name_of(node.value) in {"np", "numpy"}:
            yield module.problem(node, "numpy's randomness on a floor that draws none")


def test_names_are_sentences(module: Module) -> Iterator[Problem]:
    """A failing test's name is the first line of the report."""
    if not module.is_test:
        return
    for function in module.functions:
        if function.name.startswith("test_") and len(function.name.split("_")) - 1 < TEST_NAME_WORDS_MIN:
            yield module.problem(function, f"{function.name}: say in a sentence what must hold")


def tests_can_fail(module: Module) -> Iterator[Problem]:
    """A test with nothing to check passes whatever the code does."""
    if not module.is_test:
        return
    for function in module.functions:
        if function.name.startswith("test_") and not any(is_check(node) for node in ast.walk(function)):
            yield module.problem(function, f"{function.name} checks nothing")


Rule = Callable[[Module], Iterator[Problem]]
RULES: tuple[Rule, ...] = (
    modules_are_short,
    functions_are_short,
    names_say_what_a_thing_is,
    booleans_are_named_at_the_call,
    nothing_is_left_unfinished,
    product_checks_survive_optimisation,
    public_functions_are_documented,
    cores_touch_nothing_outside,
    test_names_are_sentences,
    tests_can_fail,
)


def problems_in_module(path: str, text: str) -> list[Problem]:
    """Return every breach in one Python file."""
    module = Module(path, text)
    return [problem for rule in RULES for problem in rule(module)]


def problems_in_text(path: str, text: str) -> list[Problem]:
    """Return every line of any tracked text file that only one machine could know."""
    found = [
        Problem(path=path, line=number, message="a path of one machine")
        for number, line in enumerate(text.splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]
    if Path(path).name.startswith("requirements") and INDEX_OPTION.search(text):
        found.append(Problem(path=path, line=1, message="a lock file names no index: whoever installs chooses it"))
    return found


def tracked_files(root: Path) -> list[str]:
    """Return the paths that git tracks, or would on the next add, below ``root``; without git, all but hidden ones."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.CalledProcessError):
        relative = (path.relative_to(root) for path in root.rglob("*"))
        paths = [str(path) for path in relative if not any(part.startswith(".") for part in path.parts)]
    else:
        paths = listing.split("\0")
    return sorted(path for path in paths if path and (root / path).is_file())


def problems_in_tree(root: Path) -> list[Problem]:
    """Return every breach in the project at ``root``; files that are not UTF-8 text are data and are left alone."""
    found = []
    for path in tracked_files(root):
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += problems_in_text(path, text)
        if path.endswith(".py"):
            found += problems_in_module(path, text)
    return found


def all_arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    """Return the positional and keyword arguments of ``function``."""
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def names_in(node: ast.AST) -> set[str]:
    """Return the plain names below ``node``, those in quoted annotations too."""
    names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    quoted = (
        inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
    )
    return names | {word for text in quoted for word in re.findall(r"\w+", text)}


def name_of(node: ast.AST | None) -> str:
    """Return the last part of a dotted name or of what is called, or an empty string."""
    if isinstance(node, ast.Call):
        return name_of(node.func)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def public_definitions(
    parent: ast.Module | ast.ClassDef,
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Yield the public functions and classes of a module, and the public methods of its public classes."""
    for node in parent.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not any(name_of(decorator) == "overload" for decorator in node.decorator_list):
                yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node)


def is_check(node: ast.AST) -> bool:
    """Whether ``node`` can make a test fail: an assertion, an expected error, or a call that is named for checking."""
    if isinstance(node, ast.Assert):
        return True
    name = name_of(node) if isinstance(node, ast.Call) else ""
    return name in {"raises", "warns", "fail", "run_state_machine_as_test"} or name.lstrip("_").startswith(
        ("check", "assert", "expect", "require")
    )


def main() -> int:
    """Print every breach in the tree around this file and return the exit status."""
    found = problems_in_tree(Path(__file__).resolve().parent.parent)
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
