"""The line of progress. Pure text."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_kvlatency.escape import printable
from pytest_kvlatency.units import format_duration


@dataclass(frozen=True, kw_only=True)
class ProgressState:
    """Where a run stands. ``worst`` is the pair with the highest round-trip time so far, and that time."""

    done: int
    total: int
    failed: int = 0
    waiting_for: str = ""
    worst: tuple[str, int] | None = None


def progress_line(state: ProgressState) -> str:
    """One line: how many pairs are done, the worst so far, and what is waited for."""
    parts = [f"kvlatency: {state.done}/{state.total} {'pair' if state.total == 1 else 'pairs'} done"]
    if state.failed:
        parts.append(f"{state.failed} failed")
    if state.worst is not None:
        parts.append(f"worst {state.worst[0]} {format_duration(state.worst[1])}")
    if state.waiting_for:
        parts.append(f"waiting for {state.waiting_for}")
    return printable(", ".join(parts))
