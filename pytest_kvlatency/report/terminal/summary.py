"""The document on a terminal, on one screen: a verdict, the causes, a table of failures, the grids. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import printable
from pytest_kvlatency.model import some
from pytest_kvlatency.report.entries import is_failed, place
from pytest_kvlatency.report.matrix.matrix import matrices
from pytest_kvlatency.report.places import is_move
from pytest_kvlatency.report.success import last_attempts
from pytest_kvlatency.report.terminal import causelines, migrations, resulttable
from pytest_kvlatency.report.terminal.grids import grids
from pytest_kvlatency.report.terminal.summaryline import verdict
from pytest_kvlatency.report.terminal.writer import NOTHING, plain, rows_of, wrapped, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.report.matrix.matrix import Matrix
    from pytest_kvlatency.report.terminal.writer import Line, Writer

TITLE: Final = "kvlatency"
#: All of it fits on a screen of so many lines, however many pairs there are.
MOST_LINES: Final = 40
#: A run of so few rows shows each; of a larger one what failed, and what is in no grid.
_SMALL: Final = 10
_MOST_FAILED: Final = 8
_MOST_NOTES: Final = 3
#: So many lines are kept free for grids, as far as there are any.
_FEWEST_FOR_GRIDS: Final = 12


def write_summary(writer: Writer, document: Mapping[str, Any], *, reserved: int = 0) -> None:
    """Write the summary in at most ``MOST_LINES`` lines, ``reserved`` of which are left to others.

    Nothing is written when nothing was to be measured.
    """
    if document["measurements"]:
        writer.sep("=", TITLE)
        write(writer, summary(document, writer.fullwidth, room=MOST_LINES - 1 - reserved))


def lab_line(document: Mapping[str, Any]) -> str:
    """With which guests the lab ran that was measured; empty for a cluster."""
    lab = (document["cluster"] or {}).get("lab")
    return "" if lab is None else f"lab: {printable(lab.get('guests') or 'embedded')}"


def summary(document: Mapping[str, Any], width: int, *, room: int) -> list[Line]:
    """The lines below the title, in at most ``room`` rows of the terminal unless there are many long texts."""
    found = matrices(document["measurements"])
    (said,) = verdict(document)
    head = [*wrapped(said.text, width, said.colour), *causelines.causes(document, width)]
    notes = _notes(document["measurements"])
    left = room - rows_of(head, width) - rows_of(notes, width)
    left -= 4 + (_FEWEST_FOR_GRIDS if found else 0)
    moved = migrations.table(document["measurements"], width, left)
    table = _table(document, found, width, left - rows_of(moved, width))
    below = [*table, *([NOTHING] if table and moved else []), *moved, *notes]
    left = room - rows_of([*head, *below], width) - (2 if below else 1)
    blocks = [head, below, grids(found, width, left)]
    lines: list[Line] = []
    for block in blocks:
        if block:
            lines += [NOTHING, *block] if len(lines) > 1 else block
    return lines


def _table(document: Mapping[str, Any], found: Sequence[Matrix], width: int, room: int) -> list[Line]:
    """Every row of a small run; else the failures that have numbers, and what no grid shows.

    Migrations have a table of their own.
    """
    entries = [entry for entry in document["measurements"] if not is_move(entry)]
    nads = {matrix.nad for matrix in found}
    if not entries:
        return []
    ranked = resulttable.by_cause(document, last_attempts(entries))
    known = {id(entry) for _, entry in ranked}
    others = [entry for entry in entries if id(entry) not in known]
    if resulttable.height(entries) <= min(_SMALL, room):
        return resulttable.table(sorted(entries, key=lambda entry: id(entry) not in known), width)
    # Without numbers there is nothing to show in a table: the cause says it all.
    failed = [one for one in ranked if one[1]["transmitted"] is not None]
    telling = [entry for before, entry in failed if before < resulttable.MOST_ALIKE]
    others = [entry for entry in last_attempts(others) if entry["nad"] not in nads and not is_failed(entry)]
    others.sort(key=lambda entry: entry["maxLatencyNanoSec"] or 0, reverse=True)
    shown = _first(telling, max(min(_MOST_FAILED, room), 3))
    rest = _first(others, max(room - resulttable.height(shown), 3 if others else 0))
    counts = [
        (len(failed) - len(shown), "more failed"),
        (len(others) - len(rest), "others, none slower than these"),
    ]
    words = ", ".join(f"{count} {word}" for count, word in counts if count)
    tail = [plain(f"and {words}: {causelines.ELSEWHERE}")] if words else []
    return [*resulttable.table([*shown, *rest], width), *tail] if shown or rest else []


def _first(entries: Sequence[Mapping[str, Any]], room: int) -> list[Mapping[str, Any]]:
    """As many as there is room for."""
    chosen: list[Mapping[str, Any]] = []
    for entry in entries:
        if resulttable.height([*chosen, entry]) > room:
            break
        chosen.append(entry)
    return chosen


def _notes(entries: Sequence[Mapping[str, Any]]) -> list[Line]:
    """What to know of the numbers, and what was expected to fail; what several pairs share is said once."""
    said: dict[str, list[str]] = {}
    for entry in entries:
        texts = ["note: " + printable(note) for note in entry["notes"]]
        if entry["failureReason"] and entry["outcome"] in ("xfailed", "xpassed", "skipped"):
            texts.insert(0, printable(entry["failureReason"]))
        for text in texts:
            said.setdefault(text, []).append(printable(place(entry)))
    lines = []
    for text, places in said.items():
        lines.append(plain(text if len(places) == len(entries) else f"{some(places, 1)}: {text}"))
    if len(lines) > _MOST_NOTES + 1:
        lines[_MOST_NOTES:] = [plain(f"{len(lines) - _MOST_NOTES} more notes: {causelines.ELSEWHERE}")]
    return lines
