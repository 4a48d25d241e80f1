"""The rule of a run's success."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_kvlatency.report.document import build
from pytest_kvlatency.report.success import Standing, shortfalls

if TYPE_CHECKING:
    from conftest import Make

    from pytest_kvlatency.model import Outcome


def stands(outcome: Outcome = "passed", **changes: bool) -> Standing:
    values = {"is_measured": True, "is_good": True, "has_network": True, **changes}
    return Standing(outcome=outcome, **values)


def left(outcome: Outcome, **changes: bool) -> Standing:
    return stands(outcome, is_measured=False, is_good=False, **changes)


MEASURED, SKIPPED, NOT_RUN = stands(), left("skipped"), left("notrun")
XFAIL, NOWHERE = left("xfailed"), left("skipped", has_network=False)


@pytest.mark.parametrize(
    ("standings", "told"),
    [
        ([], []),
        ([MEASURED], []),
        ([MEASURED, SKIPPED, XFAIL], []),
        ([stands("skipped")], []),
        ([stands("xfailed", is_good=False)], []),
        ([left("error")], []),
        ([MEASURED, NOT_RUN], ["run: 1 of 2 checks was not run"]),
        ([MEASURED, NOT_RUN, stands("notrun")], ["run: 2 of 3 checks were not run"]),
        ([left("error"), SKIPPED, NOT_RUN], ["run: 1 of 3 checks was not run"]),
        ([MEASURED, NOWHERE], ["run: 1 of 2 checks was not run: no network is named (--kv-nad)"]),
        ([MEASURED, left("passed")], ["run: 1 of 2 checks was not measured"]),
        ([SKIPPED], ["run: nothing was measured: the only check was skipped"]),
        ([SKIPPED, SKIPPED], ["run: nothing was measured: all 2 checks were skipped"]),
        ([XFAIL, XFAIL], ["run: nothing was measured: all 2 checks were marked xfail"]),
        ([SKIPPED, XFAIL], ["run: nothing was measured: all 2 checks were skipped or marked xfail"]),
        (
            [NOWHERE, NOWHERE],
            ["run: nothing was measured: all 2 checks were skipped: no network is named (--kv-nad)"],
        ),
        (
            [SKIPPED, NOWHERE],
            [
                (
                    "run: nothing was measured: all 2 checks were skipped, "
                    "1 of them because no network is named (--kv-nad)"
                )
            ],
        ),
    ],
)
def test_E73_what_is_missing_is_counted(standings: list[Standing], told: list[str]) -> None:
    assert shortfalls(standings) == told


def test_E73_the_reason_of_an_early_end_stands_behind_the_count() -> None:
    assert shortfalls([NOT_RUN, NOT_RUN], cut_short_by="enough") == [
        "run: 2 of 2 checks were not run: enough"
    ]


@pytest.mark.parametrize(
    ("outcome", "is_failed"), [("skipped", True), ("notrun", True), ("xfailed", False), ("xpassed", False)]
)
def test_E73_a_network_that_failed_is_a_failure_unless_it_was_expected(
    outcome: Outcome, is_failed: bool
) -> None:
    assert stands(outcome, is_good=False).is_failed is is_failed


def verdict(run: Any) -> tuple[bool, str | None]:
    document = build(run)
    return document["succeeded"], document["failureReason"]


def test_E73_a_run_without_items_did_not_succeed_unless_its_shard_is_empty(make: Make) -> None:
    assert verdict(make.run()) == (False, "config: no check was selected")
    shard = {"digest": "d", "shard": "1/2", "pairs": 1, "shardPairs": 0, "nads": []}
    assert verdict(make.run(plan=shard)) == (True, None)
    assert verdict(make.run(plan={**shard, "shard": None, "pairs": 0})) == (
        False,
        "config: no check was selected",
    )


def test_E73_only_the_last_attempt_counts(make: Make) -> None:
    first = make.item()
    again = make.item(outcome="notrun", attempt=2, measurement=None)
    assert verdict(make.run(first)) == (True, None)
    assert verdict(make.run(first, again)) == (False, "run: 1 of 1 checks was not run")
    assert verdict(make.run(make.broken(), make.item())) == (True, None)
