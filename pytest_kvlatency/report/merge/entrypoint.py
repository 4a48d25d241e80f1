"""``python -m pytest_kvlatency merge A.json B.json …``: the shards' documents to one, and its reports."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import pytest
from _pytest._io import TerminalWriter

from pytest_kvlatency.escape import printable
from pytest_kvlatency.report import json as json_report
from pytest_kvlatency.report.files import ReportError
from pytest_kvlatency.report.merge import rendering
from pytest_kvlatency.report.merge.documents import MergeError, merge
from pytest_kvlatency.report.terminal.summary import write_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

_DESCRIPTION: Final = """Merge the JSON documents of all shards of a plan (--kv-json) into one, print its summary, and
write the reports that are asked for. The exit status is 0 if every shard succeeded, 1 if one failed or a report cannot
be written, and 4 if the documents are not those of all shards of one plan: nothing is written then."""


class _Parser(argparse.ArgumentParser):
    """argparse with pytest's exit status for a wrong command line."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(int(pytest.ExitCode.USAGE_ERROR), f"{self.prog}: error: {message}\n")


def main(arguments: Sequence[str]) -> int:
    """Merge the files that ``arguments`` name; the exit status is pytest's for a run of the whole plan."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.self_contained_html and given.html is None:
        parser.error("--self-contained-html needs --html OUT")
    documents, unread = _read(given.files)
    try:
        merged = merge(documents, version=version("pytest-kvlatency"), unread=unread)
    except MergeError as error:
        for problem in error.problems:
            _complain(parser, problem)
        return int(pytest.ExitCode.USAGE_ERROR)
    _show(merged, shards=len(documents))
    status = pytest.ExitCode.OK if merged["succeeded"] else pytest.ExitCode.TESTS_FAILED
    for problem in _write(merged, given):
        _complain(parser, problem)
        status = pytest.ExitCode.TESTS_FAILED
    return int(status)


def _parser() -> _Parser:
    parser = _Parser(prog="python -m pytest_kvlatency merge", description=_DESCRIPTION)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.json", help="the document of one shard")
    parser.add_argument(
        "--json",
        "--kv-json",
        type=Path,
        metavar="OUT",
        help="write the document of the whole plan to this file",
    )
    parser.add_argument(
        "--junitxml", "--junit-xml", type=Path, metavar="OUT", help="write the JUnit file of the whole plan"
    )
    parser.add_argument("--html", type=Path, metavar="OUT", help="write the HTML report of the whole plan")
    parser.add_argument(
        "--self-contained-html",
        action="store_true",
        help="put everything into the HTML file itself, so that it opens offline",
    )
    return parser


def _complain(parser: _Parser, problem: str) -> None:
    sys.stderr.write(f"{parser.prog}: error: {printable(problem)}\n")


def _read(paths: Iterable[Path]) -> tuple[list[tuple[str, object]], list[str]]:
    """The files' contents by their names, and what is wrong with those that cannot be read."""
    documents: list[tuple[str, object]] = []
    problems: list[str] = []
    for path in paths:
        try:
            documents.append((str(path), json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, RecursionError) as error:
            words = error.strerror if isinstance(error, OSError) else f"not valid JSON: {error}"
            problems.append(f"cannot read {path}: {words or error}")
    return documents, problems


def _show(merged: Mapping[str, Any], *, shards: int) -> None:
    """Print what a run of the whole plan would have printed of its result."""
    writer = TerminalWriter(sys.stdout)
    write_summary(writer, merged)
    if merged["failureReason"]:
        writer.line(printable(merged["failureReason"]), red=True)
    for note in merged["notes"]:
        writer.line(f"note: {printable(note)}", yellow=True)
    plan = merged["plan"]
    writer.line(f"kvlatency: {shards} shards, {plan['pairs']} pairs (plan {plan['digest'][:12]})")


def _write(merged: Mapping[str, Any], given: argparse.Namespace) -> Iterator[str]:
    """Write each report that is wanted, and give what is wrong with those that cannot be: one hides no other."""
    for write in _reports(merged, given):
        try:
            write()
        except ReportError as error:
            yield error.reason


def _reports(merged: Mapping[str, Any], given: argparse.Namespace) -> Iterator[Callable[[], None]]:
    """What to call for each report that is wanted."""
    if given.json is not None:
        yield lambda: json_report.write(merged, given.json)
    if given.junitxml is not None:
        yield lambda: rendering.write_junit(merged, given.junitxml)
    if given.html is not None:
        yield lambda: rendering.write_html(merged, given.html, is_self_contained=given.self_contained_html)
