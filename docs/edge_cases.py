# ruff: noqa: INP001 - a module beside the documents, no package
"""The edge cases that tests are marked with, read from the tests' text: nothing is imported or collected.

A test says what it shows::

    @pytest.mark.edge_case("E15", happens="The guest never prints anything.", says="printed nothing")

``says`` is text that the test itself expects, where ``…`` stands for what differs; ``does`` is what is done.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS: Final = Path(__file__).parent.parent / "tests"
SECTIONS: Final = {
    "The console": range(1, 20),
    "Addresses and networks": range(20, 30),
    "Measuring": range(30, 50),
    "The cluster and the run": range(50, 73),
    "Ends, signals and other plugins": range(73, 100),
}
_ID: Final = re.compile(r"(?<![A-Za-z0-9])(E[0-9]{2})(?![A-Za-z0-9])")
_NAMED: Final = re.compile(r"^\s*(?:async )?def test_((?:E[0-9]{2}_)+)", re.MULTILINE)
#: Calls that expect a text, beside ``assert``.
_EXPECTING: Final = (
    "until",
    "fnmatch_lines",
    "re_match_lines",
    "no_fnmatch_line",
    "search",
    "match",
    "fullmatch",
)


@dataclass(frozen=True, kw_only=True)
class EdgeCase:
    """What one test shows of one edge case. ``unsaid`` are the pieces of ``says`` that it does not expect."""

    id: str
    happens: str
    does: str
    says: str
    test: str
    unsaid: tuple[str, ...]


def read(root: Path = TESTS) -> list[EdgeCase]:
    """Return all of them, by id, in the order of the files."""
    found = [
        case
        for path in sorted(root.rglob("test_*.py"))
        for case in _of_file(path, str(path.relative_to(root)))
    ]
    return sorted(found, key=lambda case: case.id)


def named(root: Path = TESTS) -> dict[str, str]:
    """Return the ids that tests carry in their names or parameter ids, each with the file of one of them."""
    found: dict[str, str] = {}
    for path in sorted(root.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        ids = [one for match in _NAMED.finditer(text) for one in match.group(1).rstrip("_").split("_")]
        ids += [one for literal in re.findall(r"\bid=\"([^\"]*)\"", text) for one in _ID.findall(literal)]
        for one in ids:
            found.setdefault(one, str(path.relative_to(root)))
    return found


def table() -> str:
    """Return the page's tables."""
    cases = read()
    parts = []
    for title, numbers in SECTIONS.items():
        rows = [
            f"## {title}",
            "",
            "| id | what happens | what the tool does and says |",
            "| --- | --- | --- |",
        ]
        for case in cases:
            if int(case.id[1:]) in numbers:
                words = f"`{case.says}`" if case.says else ""
                answer = " ".join(filter(None, [case.does, words]))
                rows.append(f"| {case.id} | {_cell(case.happens)} | {_cell(answer)} |")
        if len(rows) > 4:
            parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _of_file(path: Path, name: str) -> Iterator[EdgeCase]:
    text = path.read_text(encoding="utf-8")
    if "mark.edge_case(" not in text:
        return
    module = ast.parse(text)
    known = _definitions(module)
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for mark in filter(_is_mark, node.decorator_list):
                yield _case(mark, node, known, name)


def _case(
    mark: ast.expr, test: ast.FunctionDef | ast.AsyncFunctionDef, known: dict[str, ast.stmt], name: str
) -> EdgeCase:
    """Read one mark. Raises ``ValueError`` for one that is not as the module says."""
    where = f"{name}::{test.name}"
    assert isinstance(mark, ast.Call)  # noqa: S101 - _is_mark has seen it
    try:
        (identity,) = map(ast.literal_eval, mark.args)
        words = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in mark.keywords}
    except ValueError as error:
        raise ValueError(f"{where}: edge_case takes one id and literal texts") from error
    if not _ID.fullmatch(identity) or not words.keys() <= {"happens", "does", "says"}:
        raise ValueError(f"{where}: edge_case takes an id, such as E07, happens, and does or says")
    if not words.get("happens") or not (words.get("does") or words.get("says")):
        raise ValueError(f"{where}: edge_case needs happens, and does or says")
    says = words.get("says", "")
    expected = list(_expected(test, known, set()))
    pieces = [piece.strip() for piece in says.split("…") if piece.strip()]
    unsaid = tuple(piece for piece in pieces if not any(piece in text for text in expected))
    return EdgeCase(
        id=identity,
        happens=words["happens"],
        does=words.get("does", ""),
        says=says,
        test=where,
        unsaid=unsaid,
    )


def _is_mark(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.edge_case"


def _definitions(module: ast.Module) -> dict[str, ast.stmt]:
    """Functions, fixtures and constants of a module, by name."""
    found: dict[str, ast.stmt] = {}
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found.update({target.id: node for target in node.targets if isinstance(target, ast.Name)})
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
    return found


def _expected(node: ast.stmt, known: dict[str, ast.stmt], seen: set[str]) -> Iterator[str]:
    """Give the texts that a test expects: in assertions, parameters, and what it uses of its own module."""
    parts: list[ast.AST] = [node]
    names: set[str] = set()
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        parts = [one for one in node.decorator_list if not _is_mark(one)]
        parts += [one for statement in node.body for one in ast.walk(statement) if _expects(one)]
        names = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
        names |= {
            one.id for statement in node.body for one in ast.walk(statement) if isinstance(one, ast.Name)
        }
    for part in parts:
        for one in ast.walk(part):
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                # A pattern's backslashes are no part of the words.
                yield one.value
                yield one.value.replace("\\", "")
            elif isinstance(one, ast.Name):
                names.add(one.id)
    for name in names & known.keys() - seen:
        seen.add(name)
        yield from _expected(known[name], known, seen)


def _expects(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        return called in _EXPECTING or any(keyword.arg == "match" for keyword in node.keywords)
    return isinstance(node, ast.Assert | ast.Assign | ast.AnnAssign)
