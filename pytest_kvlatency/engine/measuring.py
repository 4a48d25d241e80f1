"""From two ready guests to a measurement: warm-up, sample, verdict, and where the guests were afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_kvlatency.engine.guests import Stopwatch, setup_timings
from pytest_kvlatency.errors import ProvisionError
from pytest_kvlatency.guest import measure as in_guest
from pytest_kvlatency.model import Measurement
from pytest_kvlatency.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.kube.vmi import Vmis
    from pytest_kvlatency.model import Check


class Measurer:
    """Measures from source to target; both are owned by the caller."""

    def __init__(self, vmis: Vmis) -> None:
        self._vmis = vmis
