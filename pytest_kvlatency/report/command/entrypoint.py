"""``python -m pytest_kvlatency report DOC.json …``: reports from the documents of earlier runs."""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import version
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import pytest
from _pytest._io import TerminalWriter

from pytest_kvlatency.config.conflicts import is_one_file
from pytest_kvlatency.escape import printable
from pytest_kvlatency.report import checklistlines, json
from pytest_kvlatency.report.command.merging import MergeError, whole
from pytest_kvlatency.report.command.outputs import OUTPUTS, STANDARD_OUTPUT, wanted
from pytest_kvlatency.report.files import ReportError
from pytest_kvlatency.report.terminal.causelines import own_causes
from pytest_kvlatency.report.terminal.summary import lab_line, write_summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

_DESCRIPTION: Final = """Print the summary of a run, and write the reports that are asked for, from the JSON document
that it wrote (--kv-json). The documents of all shards of a plan become one. FILE may be - for standard output; then no
summary is printed. The exit status is 0 if the run succeeded, 1 if it did not or a report cannot be written, and 4 if a
document is wrong, or they are not those of all shards of one plan: nothing is written then."""


class _Parser(argparse.ArgumentParser):
    """argparse with pytest's exit status for a wrong command line."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(int(pytest.ExitCode.USAGE_ERROR), f"{self.prog}: error: {message}\n")


def main(arguments: Sequence[str]) -> int:
    """Report on the documents that ``arguments`` name; the exit status is pytest's for such a run."""
    parser = _parser()
    given = parser.parse_args(arguments)
    printed = [one.flags[0] for one in wanted(given) if one.path(given) == STANDARD_OUTPUT]
    if len(printed) > 1:
        parser.error(f"only one report can go to standard output, not both {' and '.join(printed[:2])}")
    overwritten = _overwritten(given)
    if overwritten:
        parser.error(overwritten)
    documents, unread = _read(given.files)
    try:
        document = whole(documents, version=version("pytest-kvlatency"), unread=unread)
    except MergeError as error:
        for problem in error.problems:
            _complain(parser, problem)
        return int(pytest.ExitCode.USAGE_ERROR)
    if not printed:
        _show(document, shards=len(documents))
    status = pytest.ExitCode.OK if document["succeeded"] else pytest.ExitCode.TESTS_FAILED
    for output in wanted(given):
        try:
            output.write(document, given)
        except ReportError as error:
            # One that cannot be written hides no other.
            _complain(parser, error.reason)
            status = pytest.ExitCode.TESTS_FAILED
    return int(status)


def _parser() -> _Parser:
    parser = _Parser(prog="python -m pytest_kvlatency report", description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="DOC.json", help="the document of a run, or of a shard"
    )
    for one in OUTPUTS:
        parser.add_argument(*one.flags, metavar="FILE", help=f"write {one.help}")
    parser.add_argument(
        "--no-case-properties",
        dest="case_properties",
        action="store_false",
        help="leave the properties of cases out of the JUnit file, as the schema of Jenkins' xUnit plugin wants it",
    )
    # The page always is; the option was that of an older command.
    parser.add_argument("--self-contained-html", action="store_true", help=argparse.SUPPRESS)
    return parser


def _overwritten(given: argparse.Namespace) -> str:
    """What would replace a report that is asked for too, or a document; empty for nothing."""
    files = [(one.flags[0], path) for one in wanted(given) if (path := one.path(given)) not in (None, "-")]
    for (one, path), (other, same) in combinations(files, 2):
        if is_one_file(path, same):
            return f"{one} and {other} name the same file, {path!r}. Use a file for each"
    for (one, path), read in product(files, given.files):
        # What is read of a document can take its place.
        if one != "--json" and is_one_file(path, read):
            return f"{one} {path} would replace a document that is to be read"
    return ""


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


def _show(document: Mapping[str, Any], *, shards: int) -> None:
    """Print what a run of the whole plan would have printed of its result."""
    writer = TerminalWriter(sys.stdout)
    if document["preflight"] is not None:
        checklistlines.write(writer, document["preflight"])
    lab = lab_line(document)
    write_summary(writer, document, reserved=1 if lab else 0)
    if lab:
        writer.line(lab)
    for reason in own_causes(document):
        writer.line(reason, red=True)
    for note in document["notes"]:
        writer.line(f"note: {printable(note)}", yellow=True)
    plan = document["plan"]
    if shards > 1 and plan is not None:
        writer.line(f"kvlatency: {shards} shards, {plan['pairs']} pairs (plan {plan['digest'][:12]})")
