"""Why a run did not succeed, as one line; and each failure's reason as reports have it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_kvlatency.escape import shortened
from pytest_kvlatency.model import some
from pytest_kvlatency.report.run import last_attempts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.model import Failure
    from pytest_kvlatency.report.run import ItemResult, RunResult

_EARLY: Final = ("config", "setup")
_LATE: Final = ("teardown",)
_NAMED_CHECKS: Final = 3


def failure_reason(run: RunResult) -> str | None:
    """Every reason, the first one first, joined by ``; ``; None when there is none.

    A reason that several items share stands once. With several items each reason names its checks.
    """
    items = last_attempts(run.items)
    before, during, after = _own_reasons(run, items)
    every = [*before, *_reasons_of_items(items), *during, *run.shortfalls, *after]
    return "; ".join(dict.fromkeys(every)) or None


def reason_of(failure: Failure) -> str:
    """A reason with its stage, of which a reader can use all: what a guest or a server said may be very long."""
    return shortened(failure.failure_reason)


def _own_reasons(run: RunResult, items: Sequence[ItemResult]) -> tuple[list[str], list[str], list[str]]:
    """The run's own reasons: before its items, while they ran (unless an item says that, and more), and after them."""
    told = [failure.reason for item in items for failure in item.every_failure]
    before, during, after = [], [], []
    for failure in run.own_failures:
        if failure.stage in _EARLY:
            before.append(reason_of(failure))
        elif failure.stage in _LATE:
            after.append(reason_of(failure))
        elif not _is_told(failure, told):
            during.append(reason_of(failure))
    return before, during, after


def _is_told(failure: Failure, told: Sequence[str]) -> bool:
    """Whether an item's reason has the interruption of the run, and says what it cut off."""
    return failure.kind == "interrupted" and any(one.startswith(f"{failure.reason} while ") for one in told)


def _reasons_of_items(items: Sequence[ItemResult]) -> list[str]:
    """Each reason why items failed, with the names of their checks unless there is only one item."""
    checks: dict[str, list[str]] = {}
    for item in items:
        if item.standing.is_failed:
            reasons = [reason_of(one) for one in item.every_failure]
            for reason in reasons or [f"run: the test ended as {item.outcome}"]:
                checks.setdefault(reason, []).append(item.nodeid if item.check is None else item.check.id)
    if len(items) == 1:
        return list(checks)
    return [
        f"{reason} [{some(list(dict.fromkeys(names)), _NAMED_CHECKS)}]" for reason, names in checks.items()
    ]
