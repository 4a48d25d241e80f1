"""A preflight's checklist on a terminal. Pure text; the writer colours it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.report.terminal.writer import Writer

TITLE: Final = "kvlatency preflight"
_MARKUP: Final[Mapping[str, Mapping[str, bool]]] = {
    "ok": {"green": True},
    "failed": {"red": True},
    "warning": {"yellow": True},
    "skipped": {"yellow": True},
}


def write(writer: Writer, findings: Sequence[Mapping[str, Any]]) -> None:
    """Write a line for each finding, the way out below it, and what they come to."""
    writer.sep("=", TITLE)
    for one in findings:
        label = one["outcome"].upper() if one["outcome"] == "failed" else one["outcome"]
        what = f"{one['check']} {one['subject']}".rstrip()
        writer.line(f"{label:<8} {printable(what)}: {printable(one['message'])}", **_MARKUP[one["outcome"]])
        for line in one["hint"].splitlines():
            writer.line(f"         {printable(line)}")
    writer.line(f"kvlatency: {verdict(findings)}")


def verdict(findings: Sequence[Mapping[str, Any]]) -> str:
    """Count the outcomes: ``preflight failed: 2 of 14 failed, 1 skipped; nothing was created``."""
    count = {name: sum(one["outcome"] == name for one in findings) for name in _MARKUP}
    result = "failed" if count["failed"] else "passed"
    parts = [f"{count['failed']} of {len(findings)} failed"]
    parts += [f"{count[name]} {name}" for name in ("warning", "skipped") if count[name]]
    return f"preflight {result}: {', '.join(parts)}; nothing was created"
