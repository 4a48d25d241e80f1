"""Why a case failed, in words for JUnit: its ``message``, and the text of its element. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import for_xml, printable, printable_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

_TRANSCRIPT_LINES: Final = 20
_STAGE: Final = "(?:config|setup|run|teardown): "
#: Between two reasons, each of which starts with its stage.
_BETWEEN: Final = re.compile(f"; (?={_STAGE})")
#: How the ConfigMap, whose words are those of an older checkup, introduces that no reply came.
_NO_REPLY: Final = "failed to run check: failed due to connectivity issue: "
#: How pytest introduces the error of a phase; only the first line of it where it is cut.
_PYTEST: Final = re.compile(r'failed on (?:setup|teardown) with "(.*?)"?(?=\n\[|$)', re.DOTALL)


def sentences(entry: Mapping[str, Any]) -> list[str]:
    """The reasons why an attempt failed, a line each, without their stages; never empty."""
    text = entry["failureReason"]
    if not text:
        outcome = entry["outcome"]
        return [{"notrun": "not run", "skipped": "skipped"}.get(outcome, f"the test ended as {outcome}")]
    reasons = [re.sub(f"^{_STAGE}", "", one) for one in _BETWEEN.split(text)]
    return [printable(one.replace(_NO_REPLY, "no replies: ", 1)) for one in reasons]


def message(entry: Mapping[str, Any]) -> str:
    """What readers show of a case that failed: the reasons, then the way out."""
    return for_xml("\n".join([*sentences(entry), *_advice(entry)]))


def details(entry: Mapping[str, Any]) -> str:
    """The whole text of a failure: ``message``, and the end of what the guest said."""
    lines = [*sentences(entry), *_advice(entry)]
    if transcript := (entry["transcript"] or "").strip():
        tail = "\n".join(transcript.splitlines()[-_TRANSCRIPT_LINES:])
        lines += ["", "the end of the guest's console:"]
        lines += [f"  | {line}" for line in printable_lines(tail).split("\n")]
    return for_xml("\n".join(lines))


def plain(pytests: str) -> str:
    """Pytest's message of an error, without what it puts in front of it."""
    found = _PYTEST.match(pytests)
    return found[1] if found else pytests


def _advice(entry: Mapping[str, Any]) -> list[str]:
    """What to do, unless the reason says it already."""
    lines = [line for line in (entry.get("advice") or "").splitlines() if line.strip()]
    return [printable(line) for line in lines if line not in (entry["failureReason"] or "")]
