"""Why pairs failed, each cause once, with the way out. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import printable
from pytest_kvlatency.report.entries import is_failed, pair
from pytest_kvlatency.report.success import last_attempts
from pytest_kvlatency.report.terminal.writer import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.report.terminal.writer import Line

#: So many causes are shown, and so many lines of what to do about each; the reports have all of it.
MOST_CAUSES: Final = 6
MOST_ADVICE: Final = 2
_INDENT: Final = "   "


def causes(document: Mapping[str, Any]) -> list[Line]:
    """A line for each cause, and its advice below."""
    found = causes_of(document)
    entries = {entry["nodeid"]: entry for entry in document["measurements"]}
    is_many = len(found) > 1
    lines: list[Line] = []
    for number, cause in enumerate(found[:MOST_CAUSES], start=1):
        mark = f"{number}. " if is_many else ""
        lines.append(plain(f"{mark}{headline(cause, entries)}", "bold"))
        advice = [printable(one) for one in (cause["advice"] or "").splitlines() if one.strip()]
        lines += [plain(_INDENT + one) for one in advice[:MOST_ADVICE]]
    return lines


def left_out(document: Mapping[str, Any]) -> int:
    """How many causes are not shown."""
    return max(0, len(causes_of(document)) - MOST_CAUSES)


def causes_of(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The document's own causes; of a document without any the reasons, each once.

    What went wrong outside of tests has lines of its own, below the table.
    """
    if "causes" in document:
        return [one for one in document["causes"] if one["measurements"]]
    of_reason: dict[str, list[Mapping[str, Any]]] = {}
    for entry in last_attempts(document["measurements"]):
        if is_failed(entry) and entry["failureReason"]:
            of_reason.setdefault(entry["failureReason"], []).append(entry)
    return [
        {
            **dict.fromkeys(("node", "pair", "network", "advice")),
            "sentence": reason.partition(": ")[2] or reason,
            "measurements": [entry["nodeid"] for entry in failed],
            "networks": sorted({entry["nad"] for entry in failed if entry["nad"] is not None}),
        }
        for reason, failed in of_reason.items()
    ]


def headline(cause: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]) -> str:
    """What is wrong, of what, and how much of the run that concerns."""
    sentence = printable(cause["sentence"])
    blamed = cause["node"] or cause["pair"] or cause["network"]
    if blamed is not None and not _is_named(blamed, sentence):
        sentence = f"{printable(blamed)}: {sentence}"
    scope = _scope(cause, entries, sentence)
    return f"{sentence}: {scope}" if scope else sentence


def _is_named(blamed: str, sentence: str) -> bool:
    return all(part in sentence for part in printable(blamed).split(":"))


def _scope(cause: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]], sentence: str) -> str:
    """How many pairs of how many networks; of a single one its name, unless the sentence has it."""
    ids, networks = cause["measurements"], [printable(one) for one in cause["networks"]]
    if not ids:
        return ""
    if len(networks) == 1:
        where = "" if networks[0] in sentence else f" on {networks[0]}"
    else:
        where = f" on {len(networks)} networks" if networks else ""
    if len(ids) > 1:
        return f"{len(ids)} pairs{where}"
    nodes = printable(pair(entries[ids[0]])) if ids[0] in entries else ""
    if nodes and not _is_named(nodes.replace(" → ", ":"), sentence):
        return nodes + where
    return where.removeprefix(" on ")
