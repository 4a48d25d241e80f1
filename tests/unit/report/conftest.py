"""Results to report on."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from pytest_kvlatency.model import (
    Check,
    Failure,
    GuestFacts,
    Limits,
    Measurement,
    NadRef,
    NodePair,
    PingResult,
    Timings,
)
from pytest_kvlatency.ping.verdict import judge
from pytest_kvlatency.report.document import cluster_facts
from pytest_kvlatency.report.run import ItemResult, RunResult

START = datetime(2024, 5, 1, 14, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))


class Make:
    """Builds results with little said."""

    def check(self, target: str = "worker2", **limits: Any) -> Check:
        return Check(
            nad=NadRef(namespace="default", name="blue-network"),
            pair=NodePair(source="worker1", target=target),
            limits=Limits(**limits),
        )

    def measurement(
        self,
        samples_ns: tuple[int, ...] = (1_000_000, 3_000_000),
        *,
        transmitted: int | None = None,
        target: str = "worker2",
        **limits: Any,
    ) -> Measurement:
        check = self.check(target, **limits)
        result = PingResult(
            transmitted=len(samples_ns) if transmitted is None else transmitted,
            received=len(samples_ns),
            samples_ns=samples_ns,
            duration_seconds=4.93,
            transcript="PING 198.18.0.2\n",
        )
        return Measurement(
            check=check,
            binding="bridge",
            source=GuestFacts(vmi_name="kv-a", namespace="ns", node="worker1", address="198.18.0.1"),
            target=GuestFacts(vmi_name="kv-b", namespace="ns", node=target, address="198.18.0.2"),
            result=result,
            warmup_seconds=0.25,
            failures=judge(result, check.limits),
            timings=Timings(create=0.1, running=2.5, login=3.0, measure=5.5),
        )

    def item(self, measurement: Measurement | None = None, **changes: Any) -> ItemResult:
        measurement = self.measurement() if measurement is None else measurement
        values: dict[str, Any] = {
            "nodeid": f"test_x.py::test_y[{measurement.check.id}]",
            "outcome": "failed" if measurement.failures else "passed",
            "check": measurement.check,
            "measurement": measurement,
        }
        return ItemResult(**{**values, **changes})

    def broken(self, kind: Any = "config", target: str = "worker2", **changes: Any) -> ItemResult:
        check = self.check(target)
        failure = Failure(kind=kind, stage="setup", reason="NAD default/blue-network does not exist")
        values: dict[str, Any] = {
            "nodeid": f"test_x.py::test_y[{check.id}]",
            "outcome": "error",
            "check": check,
            "failures": (failure,),
        }
        return ItemResult(**{**values, **changes})

    def run(self, *items: ItemResult, **changes: Any) -> RunResult:
        values: dict[str, Any] = {
            "version": "1.2.3",
            "start": START,
            "completion": START + timedelta(seconds=20),
            "cluster": cluster_facts(
                server="https://127.0.0.1:6443",
                kubernetes_version="v1.30.0",
                kubevirt_version=None,
                lab={"guests": "sim"},
            ),
            "items": items,
        }
        return RunResult(**{**values, **changes})


@pytest.fixture
def make() -> Make:
    return Make()
