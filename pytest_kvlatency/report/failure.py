"""How a failure of the plugin's own reads in pytest's reports: cause, way out, transcript's end, command to rerun."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from pytest_kvlatency.escape import printable, printable_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from pytest_kvlatency.errors import KvLatencyError
    from pytest_kvlatency.report.terminal.writer import Writer

TRANSCRIPT_LINES = 20
#: Set on pytest's report of a failure that the plugin has put into words; it travels with the report.
WORDED: Final = "kvlatency_worded"


@dataclass(frozen=True, kw_only=True)
class CrashLine:
    """What pytest's short summary and the JUnit file take as the failure's message."""

    message: str
    path: str = ""
    lineno: int = 0

    def __str__(self) -> str:
        """The line that ``--tb=line`` prints."""
        return self.message


class FailureRepr:
    """The text of a failure, without a traceback: the plugin's own stack helps no user.

    pytest asks a report's ``longrepr`` for ``toterminal``, ``reprcrash`` and ``str`` only; its own class is private.
    """

    def __init__(self, error: KvLatencyError, *, rerun: str, redact: Callable[[str], str] = str) -> None:
        message = printable(redact(f"{type(error).__name__}: {error.failure_reason}"))
        self.reprcrash = CrashLine(message=message)
        self.lines = tuple(explain(error, rerun=redact(rerun), redact=redact))

    def toterminal(self, tw: Writer) -> None:
        """Write the lines, the cause in red."""
        for number, line in enumerate(self.lines):
            tw.line(line, red=number == 0, bold=number == 0)

    def __str__(self) -> str:
        return "\n".join(self.lines)


def explain(error: KvLatencyError, *, rerun: str, redact: Callable[[str], str] = str) -> list[str]:
    """All that a reader needs, line by line; guest text is escaped and short."""
    lines = [printable(redact(error.failure_reason))]
    # Of a node where no VM can start the reason itself has the way out.
    lines += [printable(redact(line)) for line in error.hint.splitlines() if line not in error.reason]
    if error.transcript.strip():
        tail = "\n".join(redact(error.transcript).strip().splitlines()[-TRANSCRIPT_LINES:])
        lines += ["", "the end of the guest's console:"]
        lines += [f"  | {line}" for line in printable_lines(tail).split("\n")]
    if rerun:
        lines += ["", f"to run just this pair again: {rerun}"]
    return lines


def _one_frame() -> TracebackType:
    # Of code that has no source: pytest would parse all of a module to quote one line of it, each time.
    try:
        exec(compile("raise LookupError", "<kvlatency>", "exec"), {})  # noqa: S102
    except LookupError:
        caught = pytest.ExceptionInfo.from_current()
    return caught.tb.tb_next or caught.tb


_ONE_FRAME: Final = _one_frame()


def without_frames(excinfo: pytest.ExceptionInfo[BaseException]) -> pytest.ExceptionInfo[BaseException]:
    """The same error with a traceback of one frame: the real one is not shown, and costs pytest most of its time.

    With ``--full-trace`` and ``--showlocals`` pytest would also put into words what all those frames hold.
    """
    return pytest.ExceptionInfo.from_exc_info((excinfo.type, excinfo.value, _ONE_FRAME))
