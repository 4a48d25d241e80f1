"""Why pairs failed, each cause once, with the way out. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import printable
from pytest_kvlatency.report.causes import causes_of
from pytest_kvlatency.report.entries import counted, pair
from pytest_kvlatency.report.terminal.writer import plain, wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.report.terminal.writer import Line

#: So many causes are shown, and so many lines of what to do about all of them, or about one; the reports have all.
MOST_CAUSES: Final = 6
_ALL_ADVICE: Final = 6
_MOST_ADVICE: Final = 3
#: Where the rest is that has no room on a terminal.
ELSEWHERE: Final = "see --kv-html, --kv-json or --junitxml"
_INDENT: Final = "   "
_COMMAND: Final = re.compile(r"\b(?:kubectl|virtctl|oc|python|pytest) ")


def causes(document: Mapping[str, Any], width: int) -> list[Line]:
    """A line for each cause of failed pairs, and its advice below. The run's own are said elsewhere."""
    found = [one for one in causes_of(document) if one["measurements"]]
    entries = {entry["nodeid"]: entry for entry in document["measurements"]}
    is_many = len(found) > 1
    shown = found[:MOST_CAUSES]
    most = min(_MOST_ADVICE, _ALL_ADVICE // max(1, len(shown)))
    lines: list[Line] = []
    for number, cause in enumerate(shown, start=1):
        mark = f"{number}. " if is_many else ""
        lines += wrapped(f"{mark}{headline(cause, entries)}", width, "bold", indent=_INDENT)
        advice = [printable(one) for one in (cause["advice"] or "").splitlines() if one.strip()]
        for one in advice[:most]:
            # What is cut out of a terminal to be typed again must be whole.
            is_command = _COMMAND.search(one) is not None
            lines += [plain(_INDENT + one)] if is_command else wrapped(_INDENT + one, width, indent=_INDENT)
    more = len(found) - len(shown)
    return [*lines, plain(f"and {more} more causes: {ELSEWHERE}")] if more else lines


def own_causes(document: Mapping[str, Any]) -> list[str]:
    """What is wrong with the run, and with none of its pairs."""
    return [printable(one["sentence"]) for one in causes_of(document) if not one["measurements"]]


def headline(cause: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]) -> str:
    """What is wrong, and how much of the run that concerns: of one pair its name, unless the sentence has it."""
    sentence = printable(cause["sentence"])
    ids, networks = cause["measurements"], [printable(one) for one in cause["networks"]]
    where = f" on {len(networks)} networks" if networks else ""
    if len(networks) == 1:
        where = "" if networks[0] in sentence else f" on {networks[0]}"
    if len(ids) > 1:
        concerned = [entries[one] for one in ids if one in entries]
        return f"{sentence}: {counted(concerned)}{where}"
    nodes = printable(pair(entries[ids[0]])) if ids and ids[0] in entries else ""
    if nodes and not all(node in sentence for node in nodes.split(" → ")):
        return f"{sentence}: {nodes}{where}"
    return sentence + where
