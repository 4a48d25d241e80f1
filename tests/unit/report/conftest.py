"""Results to report on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from pytest_kvlatency.kube.clusterfacts import ClusterFacts
from pytest_kvlatency.model import (
    Check,
    Failure,
    Gap,
    Gaps,
    GuestFacts,
    Limits,
    Measurement,
    Migration,
    MigrationPhase,
    NadRef,
    NodePair,
    PingResult,
    RttSummary,
    Timings,
)
from pytest_kvlatency.ping.verdict import judge
from pytest_kvlatency.report.document import cluster_facts
from pytest_kvlatency.report.run import ItemResult, RunResult

MS = 1_000_000
#: When each phase of a migration begins, in milliseconds since its creation.
PHASES = {
    "Pending": 200,
    "Scheduling": 300,
    "Scheduled": 2_700,
    "PreparingTarget": 2_800,
    "TargetReady": 3_600,
    "Running": 3_900,
    "Succeeded": 6_200,
}
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

    def migrated(
        self,
        *,
        target: str = "worker2",
        destination: str = "worker3",
        preparation_ms: int = 1_300,
        switchover_ms: int = 400,
        failure: str = "",
        **limits: Any,
    ) -> Measurement:
        """A guest that migrates during 13 s of pings every 100 ms, 1 s after they began."""
        gaps = [(1_400, preparation_ms)] + ([] if failure else [(6_700, switchover_ms)])
        arrivals = [at for at in range(0, 13_000, 100) if not any(a < at < a + n for a, n in gaps)]
        samples = tuple(MS if at <= 6_700 else 2 * MS for at in arrivals)
        allowed = {"max_loss_percent": None, **limits}
        moved = self.measurement(samples, transmitted=130, target=target, **allowed)
        preparation, *rest = (
            Gap(begins_ns=a * MS, length_ns=n * MS, lost=max(0, n // 100 - 1)) for a, n in gaps
        )
        longest = max(preparation, *rest, key=lambda one: one.length_ns) if rest else preparation
        phases = {**PHASES, "Failed": 6_200} if failure else PHASES
        times = RttSummary(count=11, min_ns=MS, avg_ns=MS, max_ns=MS)
        migration = Migration(
            name="kvlatency-move-x",
            uid="1234",
            source_node=target,
            requested_node=destination,
            target_node=target if failure else "worker9" if destination == "?" else destination,
            succeeded=not failure,
            failure_reason=failure,
            mode="PreCopy",
            created_at=START + timedelta(seconds=1),
            created_ns=1_000 * MS,
            ended_ns=7_200 * MS,
            clock_error_ns=4 * MS,
            phases=tuple(
                MigrationPhase(
                    name=name,
                    not_before_ns=max(0, at - 100) * MS,
                    seen_ns=at * MS,
                    timestamp=f"2024-05-01T12:00:{2 + at // 1000:02}Z",
                )
                for name, at in phases.items()
                if name != "Succeeded" or not failure
            ),
            preparation_gap=preparation,
            switchover_gap=rest[0] if rest else None,
            rtt_before=times,
            rtt_after=replace(times, count=40, min_ns=2 * MS, avg_ns=2 * MS, max_ns=2 * MS),
            lost_in_gaps=sum(one.lost for one in (preparation, *rest)),
        )
        assert moved.result is not None
        result = replace(moved.result, replied_at_ns=tuple(at * MS for at in arrivals))
        measured_gaps = Gaps(longest=longest, interval_ns=100 * MS)
        return replace(
            moved,
            check=replace(moved.check, pair=replace(moved.check.pair, destination=destination)),
            result=result,
            gaps=measured_gaps,
            migration=migration,
            failures=judge(result, moved.check.limits, gaps=measured_gaps, migration=migration),
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
                ClusterFacts(
                    server="https://127.0.0.1:6443",
                    kubernetes_version="v1.30.0",
                    lab={"guests": "sim", "timeScale": None},
                )
            ),
            "items": items,
        }
        return RunResult(**{**values, **changes})


@pytest.fixture
def make() -> Make:
    return Make()
