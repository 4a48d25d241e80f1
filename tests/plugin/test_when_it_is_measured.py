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
    # The lab draws each round-trip time: no two samples are alike, though single times may be.
    assert entry["samplesNanoSec"] != before["samplesNanoSec"]


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


#: What a user prepares before a test, in each way that pytest knows: file names, and their text.
PREPARED = {
    "session": {"test_b": "@pytest.fixture(scope='session')\ndef load(): begin()\n"},
    "package": {"test_b": "@pytest.fixture(scope='package')\ndef load(): begin()\n"},
    "module": {"test_b": "@pytest.fixture(scope='module')\ndef load(): begin()\n"},
    "autouse": {"test_b": "@pytest.fixture(scope='module', autouse=True)\ndef load(): begin()\n"},
    "setup_module": {"test_b": "def setup_module(): begin()\n"},
    "setup_function": {"test_b": "def setup_function(function): begin()\n"},
    "setup_module of a package": {"zone/__init__": "from tools import begin\ndef setup_module(): begin()\n"},
}
TOOLS = """
import os
import pathlib
from types import SimpleNamespace

from pytest_kvlatency.kube.client import KubeClient


def begin():
    remove_the_guests(SimpleNamespace(client=KubeClient.connect(kubeconfig=pathlib.Path(os.environ["WHERE"]))))
"""


@pytest.mark.edge_case(
    "E74",
    happens="A fixture of a user's, of whatever scope, starts a load before the test asks for the latency.",
    does="Measures after it. Only what depends on no such fixture, or on one that is set up already, is measured ahead.",
)
@pytest.mark.parametrize("how", PREPARED)
def test_E74_what_a_user_prepares_comes_before_the_sample(
    checkup: Checkup, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERE", str(checkup.kubeconfig))
    # Without the fixture where pytest itself calls what is prepared.
    asks = "load, kv_latency" if "def load" in str(PREPARED[how]) else "kv_latency"
    directory = "zone/" if "zone/__init__" in PREPARED[how] else ""
    texts = {
        "tools": LATE + TOOLS,
        "test_a": "def test_first(kv_latency): assert kv_latency.received == 5\n",
        f"{directory}test_b": "",
        **PREPARED[how],
    }
    test_b = f"{directory}test_b"
    texts[test_b] = (
        "import pytest\nfrom tools import begin\n"
        f"{texts[test_b]}\ndef test_loaded({asks}): raise AssertionError('its guests are gone')\n"
    )
    for name, text in texts.items():
        file = checkup.pytester.path / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    checkup.pytester.makeini("[pytest]\npythonpath = .\n")
    checkup.quick(*BLUE).assert_outcomes(passed=1, errors=1)
    assert checkup.outcomes == [("passed", None), ("error", "provision")]


def test_E74_a_fixture_that_is_parametrized_comes_before_each_sample(
    checkup: Checkup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERE", str(checkup.kubeconfig))
    (checkup.pytester.path / "tools.py").write_text(LATE + TOOLS, encoding="utf-8")
    checkup.pytester.makepyfile(
        """
        import pytest
        from tools import begin

        @pytest.fixture(scope="session", params=["idle", "loaded"])
        def load(request):
            if request.param == "loaded":
                begin()

        def test_it(load, kv_latency):
            pass
        """
    )
    checkup.pytester.makeini("[pytest]\npythonpath = .\n")
    checkup.quick(*BLUE).assert_outcomes(passed=1, errors=1)
    assert checkup.outcomes == [("passed", None), ("error", "provision")]
