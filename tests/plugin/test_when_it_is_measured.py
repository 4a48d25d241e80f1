"""Which sample an item gets: the one from before its set-up and body, or the one from after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Checkup

BLUE = ("--kv-nad", "default/blue-network", "--kv-nodes", "worker1:worker2")
LATE = """
import pytest
from pytest_kvlatency.deadline import Deadline

VMIS = "/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances"


def remove_the_guests(cluster):
    for vmi in cluster.client.request("GET", VMIS, deadline=Deadline(60))["items"]:
        cluster.client.request("DELETE", f"{VMIS}/{vmi['metadata']['name']}", deadline=Deadline(60))
    while cluster.client.request("GET", VMIS, deadline=Deadline(60))["items"]:
        pass
"""


@pytest.mark.edge_case(
    "E74",
    happens="A test starts a load, and asks for the latency afterwards.",
    does="Measures anew. A sample that was taken before stands under `extra`.",
)
@pytest.mark.parametrize("owning", ["", "kv_pair, "], ids=["sharing", "owning"])
def test_E74_a_latency_asked_for_by_the_body_is_a_sample_of_its_own(checkup: Checkup, owning: str) -> None:
    checkup.pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.kvlatency
        def test_load({owning}request):
            assert request.getfixturevalue("kv_latency").received == 5
        """
    )
    checkup.quick(*BLUE).assert_outcomes(passed=1)
    (entry,) = checkup.document["measurements"]
    (before,) = entry["extra"]
    assert len(entry["samplesNanoSec"]) == len(before["samplesNanoSec"]) == 5
    # The lab draws each round-trip time: no two samples are alike.
    assert not set(entry["samplesNanoSec"]) & set(before["samplesNanoSec"])


def test_E74_a_guest_that_is_gone_when_the_body_asks_gives_no_sample(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        LATE
        + """
@pytest.mark.kvlatency
def test_load(kv_cluster, request):
    remove_the_guests(kv_cluster)
    request.getfixturevalue("kv_latency")
"""
    )
    result = checkup.quick(*BLUE)
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*ValueError*")
    (entry,) = checkup.document["measurements"]
    assert entry["failureKind"] == "provision"
    assert " is gone" in entry["failureReason"]
    assert entry["samplesNanoSec"] is None
    assert len(entry["extra"][0]["samplesNanoSec"]) == 5


@pytest.mark.parametrize("expected", ["ProvisionError", "ValueError"])
def test_E74_the_exception_of_a_late_measurement_has_the_type_of_its_cause(
    checkup: Checkup, expected: str
) -> None:
    checkup.pytester.makepyfile(
        LATE
        + f"""
from pytest_kvlatency.errors import KvLatencyError, ProvisionError

@pytest.mark.kvlatency
@pytest.mark.xfail(raises={expected})
@pytest.mark.parametrize("is_handled", [False, True])
def test_load(kv_cluster, request, is_handled):
    remove_the_guests(kv_cluster)
    try:
        request.getfixturevalue("kv_latency")
    except KvLatencyError:
        if not is_handled:
            raise
"""
    )
    outcome = {"xfailed": 2} if expected == "ProvisionError" else {"failed": 2}
    checkup.quick(*BLUE).assert_outcomes(**outcome)
    assert {one["failureKind"] for one in checkup.document["measurements"]} == {"provision"}


def test_E66_a_rerun_after_a_late_measurement_failed_gives_the_cause_of_each_attempt(
    checkup: Checkup,
) -> None:
    pytest.importorskip("pytest_rerunfailures")
    checkup.pytester.makepyfile(
        LATE
        + """
@pytest.mark.kvlatency
def test_load(kv_cluster, request):
    remove_the_guests(kv_cluster)
    request.getfixturevalue("kv_latency")
"""
    )
    checkup.quick(*BLUE, "--reruns", "1").assert_outcomes(failed=1)
    assert checkup.outcomes == [("failed", "provision"), ("failed", "provision")]


def test_a_ping_by_the_body_whose_guest_is_gone_gives_the_cause(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        LATE
        + """
@pytest.mark.kvlatency
def test_load(kv_cluster, kv_ping):
    remove_the_guests(kv_cluster)
    kv_ping()
"""
    )
    checkup.quick(*BLUE).assert_outcomes(failed=1)
    assert checkup.outcomes == [("failed", "provision")]
