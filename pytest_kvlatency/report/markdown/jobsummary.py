"""A run as a job's summary: the verdict, the causes with what to do, the failures, and then the rest. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.model import some
from pytest_kvlatency.report.causes import causes_of, numbers_by_test
from pytest_kvlatency.report.entries import (
    fixture_of,
    is_failed,
    is_own_check,
    own_parameters,
    pair,
    place,
    test_name,
    verdict,
)
from pytest_kvlatency.report.gapnumbers import gap_milliseconds, gaps_of
from pytest_kvlatency.report.markdown.text import Bounded, escaped, preformatted
from pytest_kvlatency.report.migrationrows import migration_rows
from pytest_kvlatency.report.places import is_move
from pytest_kvlatency.report.schema import moment
from pytest_kvlatency.report.success import last_attempts
from pytest_kvlatency.report.terminal.causelines import headline
from pytest_kvlatency.report.terminal.summaryline import verdict as run_verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_kvlatency.report.migrationrows import MigrationRow

    Entry = Mapping[str, Any]

#: GitHub takes 1 MiB for a step.
MOST_BYTES: Final = 1_000_000
#: The change since the baseline.
_CHANGE: Final = "Δ p50"
_GAP: Final = "gap ms"
_TRANSCRIPT_LINES: Final = 20
#: More pairs that could not be measured are folded, so that they do not bury those that failed.
_MOST_BROKEN: Final = 5
#: The columns of migrations: their gaps, and the mean round-trip times before and after.
_GAPS: Final = {
    "preparation gap ms": "preparationGap",
    "switch-over gap ms": "switchoverGap",
    "longest gap ms": "longestGap",
}
_BEFORE_AND_AFTER: Final = ("avg before ms", "avg after ms")
_OF_MIGRATIONS: Final = (
    "network", "nodes", "test", "verdict", *_GAPS, "lost", *_BEFORE_AND_AFTER, "cause",
)  # fmt: skip
_WITHOUT_NUMBERS: Final = ("network", "nodes", "test", "verdict")
#: The columns of numbers, in milliseconds.
_TIMES: Final = tuple((f"{name} ms", f"{name}LatencyNanoSec") for name in ("avg", "p50", "p90", "p99", "max"))


def render(document: Mapping[str, Any], *, most_bytes: int = MOST_BYTES) -> str:
    """The summary, of at most so many bytes; it says what it leaves out."""
    page = Bounded(most_bytes)
    page.add(*_head(document))
    entries = last_attempts(document["measurements"])
    pairs = [entry for entry in entries if not is_move(entry)]
    failed = [entry for entry in pairs if is_failed(entry) and entry["transmitted"] is not None]
    broken = [entry for entry in pairs if is_failed(entry) and entry["transmitted"] is None]
    others = [entry for entry in pairs if not is_failed(entry)]
    of = {entry["nodeid"]: entry for entry in entries}
    for number, cause in enumerate(causes_of(document), 1):
        page.add(*_cause(number, cause, of), name="causes")
    page.add("")
    numbers = _numbers_of_causes(document)
    _add_migrations(page, entries, numbers)
    heads = _heads(pairs)
    page.table([*heads, "cause"], [_row(one, heads, numbers) for one in failed], name="failures")
    # Of these the causes say all there is to know.
    title = f"{len(broken)} could not be measured" if failed and len(broken) > _MOST_BROKEN else ""
    without = [name for name in heads if name in _WITHOUT_NUMBERS]
    rows = [_row(one, without, numbers) for one in broken]
    page.table([*without, "cause"], rows, name="that could not be measured", title=title)
    title = f"{len(others)} others" if failed or broken else ""
    rows = [row for entry in others for row in _rows(entry, heads)]
    page.table(heads, rows, name="others", title=title)
    _add_preflight(page, document["preflight"] or ())
    for note in _notes(document, entries):
        page.add(f"> {escaped(note)}", "", name="notes")
    for entry in (*failed, *broken, *(one for one in entries if is_failed(one) and is_move(one))):
        page.add(*_transcript(entry), name="consoles of failures")
    settings = [
        [escaped(one["option"]), _value(one["value"]), escaped(one["source"])]
        for one in document["settings"].values()
    ]
    page.table(["option", "value", "source"], settings, name="settings", title="Settings")
    return page.text


def _head(document: Mapping[str, Any]) -> Iterator[str]:
    """The verdict, and of what: a lab is not a cluster, and must not look like one."""
    yield f"## {'✅ Network check passed' if document['succeeded'] else '❌ Network check failed'}"
    yield ""
    if document["measurements"]:
        yield f"**{escaped(''.join(span.text for span in run_verdict(document)))}**"
        yield ""
    reason = document["failureReason"]
    if reason and not causes_of(document):
        yield escaped(reason)
        yield ""
    yield "<br>".join(_facts(document))
    yield ""


def _facts(document: Mapping[str, Any]) -> Iterator[str]:
    cluster = document["cluster"] or {}
    if lab := cluster.get("lab"):
        yield f"**Lab, not a cluster:** {escaped(lab.get('guests') or 'embedded')}"
    if any(entry["softwareEmulation"] for entry in document["measurements"]):
        yield "**Software emulation:** it inflates round-trip times"
    where = [
        f"{name}{said}"
        for name, said in (
            ("context ", cluster.get("context")),
            ("", cluster.get("server")),
            ("namespace ", document["namespace"]),
            ("Kubernetes ", cluster.get("kubernetesVersion")),
            ("KubeVirt ", cluster.get("kubevirtVersion")),
        )
        if said
    ]
    if where:
        yield escaped(", ".join(where))
    start, end = (moment(document[name]) for name in ("startTimestamp", "completionTimestamp"))
    yield f"{start:%Y-%m-%d %H:%M:%S} UTC, {end - start}"


def _cause(number: int, cause: Entry, of: Mapping[str, Entry]) -> Iterator[str]:
    yield f"{number}. **{escaped(headline(cause, of))}**"
    for line in (cause["advice"] or "").splitlines():
        if line.strip():
            yield f"   <br>{escaped(line)}"


def _numbers_of_causes(document: Mapping[str, Any]) -> dict[str, str]:
    """By item the numbers of its causes."""
    return {
        nodeid: ", ".join(str(one + 1) for one in numbers)
        for nodeid, numbers in numbers_by_test(document).items()
    }


def _heads(entries: Sequence[Entry]) -> list[str]:
    """The columns that any row fills."""
    tests = [] if all(map(is_own_check, entries)) else ["test"]
    times = [name for name, key in _TIMES if any(entry[key] is not None for entry in entries)]
    gap = [_GAP] if any(entry.get("longestGap") for entry in entries) else []
    change = [_CHANGE] if any(_change(entry) is not None for entry in entries) else []
    return ["network", "nodes", *tests, "verdict", "received", "loss", *times, *gap, *change]


def _add_migrations(page: Bounded, entries: Sequence[Entry], causes: Mapping[str, str]) -> None:
    """A table of their own: the failed ones first, then those with the longest gaps."""
    found = migration_rows(entries)
    has_tests = any(not is_own_check(one.test) for one in found)
    heads = [name for name in _OF_MIGRATIONS if name != "test" or has_tests]
    rows = [[_cells_of_migration(one, causes)[name] for name in heads] for one in found]
    page.table(heads, rows, name="migrations", title="")


def _cells_of_migration(one: MigrationRow, causes: Mapping[str, str]) -> dict[str, str]:
    return {
        "network": escaped(one.measured["nad"] or ""),
        "nodes": escaped(pair(one.measured)),
        "test": escaped(test_name(one.test)),
        "verdict": escaped(one.verdict or fixture_of(one.measured)),
        **{
            head: "" if (length := one.gaps[name]) is None else str(gap_milliseconds(length))
            for head, name in _GAPS.items()
        },
        "lost": "" if one.lost is None else str(one.lost),
        **{
            head: "" if mean is None else f"{mean / 1e6:.3f}"
            for head, mean in zip(_BEFORE_AND_AFTER, one.means, strict=True)
        },
        "cause": causes.get(one.test["nodeid"], "") if one.is_own else "",
    }


def _change(entry: Entry) -> float | None:
    """By how much the median differs from the baseline's, in percent."""
    found: float | None = ((entry.get("comparison") or {}).get("p50") or {}).get("deltaPercent")
    return found


def _rows(entry: Entry, heads: Sequence[str]) -> Iterator[list[str]]:
    """The row of a measurement, and those of what its test measured beyond."""
    yield _row(entry, heads)
    for extra in entry["extra"]:
        if is_move(extra):
            continue
        cells = _row({**entry, "comparison": None, **extra, "outcome": "passed"}, heads)
        cells[heads.index("verdict")] = escaped(f"{fixture_of(extra)} {own_parameters(extra, entry)}".strip())
        yield cells


def _row(entry: Entry, heads: Sequence[str], causes: Mapping[str, str] | None = None) -> list[str]:
    again = f" (attempt {entry['attempt']})" if entry["attempt"] > 1 else ""
    loss, sent, change = entry["lossPercent"], entry["transmitted"], _change(entry)
    cells = {
        "network": escaped(entry["nad"] or ""),
        "nodes": escaped(pair(entry)),
        "test": escaped(test_name(entry)),
        "verdict": escaped(verdict(entry) + again),
        "received": "" if sent is None else f"{entry['received']}/{sent}",
        "loss": "" if loss is None else f"{loss:.3g}%",
        **{name: "" if entry[key] is None else f"{entry[key] / 1e6:.3f}" for name, key in _TIMES},
        _GAP: "" if (gap := gaps_of(entry)["longestGap"]) is None else str(gap_milliseconds(gap)),
        _CHANGE: "" if change is None else f"{change:+.1f}%",
    }
    row = [cells[name] for name in heads]
    return row if causes is None else [*row, causes.get(entry["nodeid"], "")]


def _add_preflight(page: Bounded, findings: Sequence[Entry]) -> None:
    said = (
        (one["outcome"], f"{one['check']} {one['subject']}", one["message"], one["hint"]) for one in findings
    )
    rows = [list(map(escaped, texts)) for texts in said]
    page.table(["outcome", "check", "what was found", "what to do"], rows, name="findings")


def _notes(document: Mapping[str, Any], entries: Sequence[Entry]) -> list[str]:
    """Each note once; with the first of the pairs that have it."""
    said: dict[str, list[str]] = {note: [] for note in document["notes"]}
    for entry in entries:
        for note in entry["notes"]:
            said.setdefault(note, []).append(f"{entry['nad']} {pair(entry)}")
    return [f"{note} ({some(places, 1)})" if places else note for note, places in said.items()]


def _transcript(entry: Entry) -> list[str]:
    text = (entry["transcript"] or "").strip()
    if not text:
        return []
    tail = "\n".join(text.splitlines()[-_TRANSCRIPT_LINES:])
    title = escaped(f"{place(entry)}: the end of the guest's console")
    return [f"<details><summary>{title}</summary>", "", preformatted(tail), "", "</details>", ""]


def _value(value: str | list[str]) -> str:
    return escaped(value if isinstance(value, str) else ", ".join(value))
