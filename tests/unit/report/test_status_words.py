"""What ``-v`` says of a measurement beside the word for how its test ended."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_kvlatency.checkup.statuswords import status_numbers
from pytest_kvlatency.model import Failure

if TYPE_CHECKING:
    from conftest import Make

MS = 1_000_000


def test_average_and_maximum(make: Make) -> None:
    assert status_numbers(make.measurement((500_000, 740_000))) == "0.62/0.74 ms"
    assert status_numbers(make.measurement((50_000, 74_000))) == "0.062/0.074 ms"
    assert status_numbers(make.measurement((150 * MS, 1500 * MS))) == "825/1500 ms"


def test_loss_is_said_where_there_is_some(make: Make) -> None:
    within = make.measurement((MS,) * 48, transmitted=50, max_loss_percent=10.0)
    assert status_numbers(within) == "1.00/1.00 ms, 4% loss"
    # The times are of no concern where loss alone is the failure.
    failing = make.measurement((MS,) * 48, transmitted=50)
    assert status_numbers(failing) == "4% loss"
    both = make.measurement((9 * MS,) * 48, transmitted=50, max_latency_ns=MS)
    assert status_numbers(both) == "9.00/9.00 ms, 4% loss"


def test_a_migration_is_its_longest_gap(make: Make) -> None:
    assert status_numbers(make.migrated()) == "1300 ms gap"
    assert status_numbers(make.migrated(max_gap_ns=MS)) == "1300 ms gap"
    assert status_numbers(make.migrated(max_gap_ns=MS, max_latency_ns=1)).startswith("1300 ms gap, 1.")


def test_all_is_lost_only_where_nothing_came_back(make: Make) -> None:
    assert status_numbers(make.measurement((), transmitted=50)) == "100% loss"
    assert status_numbers(make.measurement((MS,), transmitted=10_000)) == "99.9% loss"


def test_what_was_not_measured_has_no_numbers(make: Make) -> None:
    failure = Failure(kind="provision", stage="setup", reason="worker6 is cordoned")
    assert status_numbers(None) == ""
    assert status_numbers(replace(make.measurement(), result=None, failures=(failure,))) == ""
