"""Which sample an item gets: the one from before its set-up and body, or the one from after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Checkup

BLUE = ("--kv-nad", "default/blue-network", "--kv-nodes", "worker1:worker2")
LATE = """
import time

import pytest
from pytest_kvlatency.deadline import Deadline

VMIS = "/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances"


def remove_the_guests(cluster):
    for vmi in cluster.client.request("GET", VMIS, deadline=Deadline(60))["items"]:
        cluster.client.request("DELETE", f"{VMIS}/{vmi['metadata']['name']}", deadline=Deadline(60))
    while cluster.client.request("GET", VMIS, deadline=Deadline(60))["items"]:
        time.sleep(0.02)
"""


@pytest.mark.edge_case(
    "E74",
    happens="A test starts a load, and asks for the latency afterwards.",
    does="Measures anew. A sample that was taken before stands under `extra`.",
)
def test_E74_a_latency_asked_for_by_the_body_is_a_sample_of_its_own(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency
        def test_sharing(request):
            assert request.getfixturevalue("kv_latency").received == 5

        @pytest.mark.kvlatency
        def test_owning(kv_pair, request):
            assert request.getfixturevalue("kv_latency").received == 5
        """
    )
    checkup.quick(*BLUE).assert_outcomes(passed=2)
    entries = checkup.document["measurements"]
    assert len(entries) == 2
    for entry in entries:
        (before,) = entry["extra"]
        assert len(entry["samplesNanoSec"]) == len(before["samplesNanoSec"]) == 5
        # The lab draws each round-trip time: no two samples are alike, though single times may be.
        assert entry["samplesNanoSec"] != before["samplesNanoSec"]


def test_E74_a_guest_that_is_gone_when_the_body_asks_gives_the_cause_and_no_sample(
    checkup: Checkup,
) -> None:
    checkup.pytester.makepyfile(
        LATE
        + """
from pytest_kvlatency.errors import KvLatencyError, ProvisionError

@pytest.mark.kvlatency
def test_latency(kv_cluster, request):
    remove_the_guests(kv_cluster)
    request.getfixturevalue("kv_latency")

# The exception has the type of its cause, also where the body handles it.
@pytest.mark.kvlatency
@pytest.mark.parametrize("is_handled", [False, True])
@pytest.mark.parametrize(
    "expected", [pytest.param(one, marks=pytest.mark.xfail(raises=one)) for one in (ProvisionError, ValueError)]
)
def test_type(kv_cluster, request, is_handled, expected):
    remove_the_guests(kv_cluster)
    try:
        request.getfixturevalue("kv_latency")
    except KvLatencyError:
        if not is_handled:
            raise
"""
    )
    result = checkup.quick(*BLUE)
    result.assert_outcomes(failed=3, xfailed=2)
    outcomes = ("failed", "xfailed", "xfailed", "failed", "failed")
    assert checkup.outcomes == [(outcome, "provision") for outcome in outcomes]
    result.stdout.no_fnmatch_line("*ValueError: *")
    latency = checkup.document["measurements"][0]
    assert " is gone" in latency["failureReason"]
    assert latency["samplesNanoSec"] is None
    assert len(latency["extra"][0]["samplesNanoSec"]) == 5


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


#: What a user prepares before a test, in each way that pytest knows: by the name of a package, a file of it and text.
PREPARED = {
    "parametrized": (
        "test_b",
        "@pytest.fixture(scope='session', params=[1, 2])\ndef load(request): begin()\n",
    ),
    "session": ("test_b", "@pytest.fixture(scope='session')\ndef load(): begin()\n"),
    "package": ("test_b", "@pytest.fixture(scope='package')\ndef load(): begin()\n"),
    "module": ("test_b", "@pytest.fixture(scope='module')\ndef load(): begin()\n"),
    "autouse": ("test_b", "@pytest.fixture(scope='module', autouse=True)\ndef load(): begin()\n"),
    "setup_module": ("test_b", "def setup_module(): begin()\n"),
    "setup_function": ("test_b", "def setup_function(function): begin()\n"),
    "setup_package": ("__init__", "from tools import begin\ndef setup_module(): begin()\n"),
}
TOOLS = """
from datetime import datetime, timezone
from pathlib import Path

BEGUN = Path(__file__).with_name("begun")


def begin():
    with BEGUN.open("a") as file:
        print(datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"), file=file)
"""


@pytest.mark.edge_case(
    "E74",
    happens="A fixture of a user's, of whatever scope, starts a load before the test asks for the latency.",
    does="Measures after it. Only what depends on no such fixture, or on one that is set up already, is measured ahead.",
)
def test_E74_what_a_user_prepares_comes_before_the_sample(checkup: Checkup) -> None:
    pytester = checkup.pytester
    pytester.makeini("[pytest]\npythonpath = .\n")
    pytester.makepyfile(tools=TOOLS, test_a="def test_first(kv_latency): assert kv_latency.received == 5")
    for name, (file, text) in PREPARED.items():
        # Without the fixture where pytest itself calls what is prepared.
        asks = "load, kv_latency" if "def load" in text else "kv_latency"
        texts = {"__init__": "", "test_b": "import pytest\nfrom tools import begin\n"}
        texts[file] += text
        texts["test_b"] += f"def test_loaded({asks}): assert kv_latency.received == 5\n"
        package = pytester.mkdir(name)
        for stem, whole in texts.items():
            (package / f"{stem}.py").write_text(whole, encoding="utf-8")
    # What is measured ahead is decided when the first test asks: the parametrized fixture is set up then.
    parametrized, *others = PREPARED
    result = checkup.quick(*BLUE, parametrized, "test_a.py", *others)
    result.assert_outcomes(passed=len(PREPARED) + 2)
    begun = (pytester.path / "begun").read_text("utf-8").split()
    measured = [one["startTimestamp"] for one in checkup.document["measurements"]]
    ahead = measured.pop(2)
    assert ahead < begun[2]
    assert len(measured) == len(begun) == len(PREPARED) + 1
    assert all(after >= before for before, after in zip(begun, measured, strict=True)), (begun, measured)
