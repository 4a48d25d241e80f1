"""One failure that many items share: it is put into words for each, and costs each the same."""

from __future__ import annotations

import re
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kvlatency.checkup.cluster_session import ClusterSession
from pytest_kvlatency.lab import process

if TYPE_CHECKING:
    from conftest import Checkup

NODES = ",".join(f"worker{number}" for number in range(1, 10))
MESH = ("--kv-nodes", "mesh", "--kv-node-set", NODES)
PAIRS = 36
ABSENT = ("--kv-nad", "default/no-such-network")
#: Counts what pytest is given to make a report of, and what the error is made of when pytest is done with it.
COUNTING = """
import pytest

lengths, shown = [], []

def length(excinfo):
    found, error = 0, excinfo.value
    while error is not None:
        at = error.__traceback__
        while at is not None:
            found, at = found + 1, at.tb_next
        error = error.__cause__ or error.__context__
    return found

def pytest_runtest_makereport(item, call):
    if call.excinfo is not None:
        shown.append(len(call.excinfo.traceback))

def pytest_exception_interact(node, call, report):
    lengths.append(length(call.excinfo))

def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"shown {min(shown)} to {max(shown)}")
    terminalreporter.write_line(f"lengths {len(lengths)} {' '.join(map(str, lengths))}")
"""
#: Nobody listens there.
UNREACHABLE = """
current-context: lab
contexts: [{name: lab, context: {cluster: lab}}]
clusters: [{name: lab, cluster: {server: "https://127.0.0.1:1"}}]
"""
LONG = [("--full-trace",), ("--tb=long", "--showlocals"), ("--tb=native",), ("--tb=auto",)]


def lengths(result: pytest.RunResult) -> list[int]:
    line = next(one for one in result.outlines if one.startswith("lengths "))
    return [int(one) for one in line.split()[2:]]


@pytest.mark.parametrize("words", LONG, ids=" ".join)
def test_a_cluster_that_no_item_can_reach_costs_the_last_item_no_more_than_the_first(
    pytester: pytest.Pytester, words: tuple[str, ...]
) -> None:
    pytester.makeconftest(COUNTING)
    path = pytester.makefile(".kubeconfig", unreachable=UNREACHABLE)
    result = pytester.runpytest_inprocess("--kv-kubeconfig", str(path), *ABSENT, *MESH, *words)
    result.assert_outcomes(errors=PAIRS)
    result.stdout.fnmatch_lines(["shown 1 to 1"])
    found = lengths(result)
    assert len(found) == PAIRS
    assert len(set(found[1:])) == 1
    said = result.stdout.str()
    assert said.count("\nconfig: cannot reach the API server https://127.0.0.1:1: ") == 1
    assert "Traceback" not in said
    assert not re.search(r"pytest_kvlatency/\w+\.py", said)


def test_a_network_that_does_not_exist_costs_the_last_item_no_more_than_the_first(checkup: Checkup) -> None:
    checkup.pytester.makeconftest(COUNTING)
    nodes = "worker1,worker2,worker3"
    checkup.pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.parametrize("again", range(9))
        @pytest.mark.kvlatency(nad="default/no-such-network", nodes="mesh", node_set="{nodes}")
        def test_net(again): ...
        """
    )
    result = checkup.quick()
    result.assert_outcomes(errors=27)
    result.stdout.fnmatch_lines(["shown 1 to 1"])
    # An item may find its failure there, or wait for it.
    assert max(lengths(result)) <= min(lengths(result)) + 3
    assert checkup.outcomes == [("error", "config")] * 27


@pytest.mark.skipif(
    tuple(map(int, pytest.__version__.split(".")[:2])) < (8, 2),
    reason="before 8.2 pytest itself raises a fixture's exception again with an ever longer traceback",
)
def test_a_fixture_of_the_session_that_fails_costs_the_last_test_no_more_than_the_first(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(COUNTING)
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(20))
        def test_versions(kv_cluster, number): ...

        @pytest.mark.parametrize("number", range(20))
        def test_asking(request, number):
            with pytest.raises(Exception, match="does not exist") as caught:
                request.getfixturevalue("kv_cluster")
            assert len(caught.traceback) < 30
        """
    )
    result = pytester.runpytest_inprocess("--kv-kubeconfig", "/nowhere")
    result.assert_outcomes(errors=20, passed=20)
    result.stdout.fnmatch_lines(["shown 1 to 1"])


def test_a_lab_that_does_not_start_is_started_once(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = []

    def fail(command: list[str], **more: Any) -> subprocess.Popen[bytes]:
        starts.append(command)
        return subprocess.Popen(["/bin/sh", "-c", "echo no room; exit 1"], **more)

    monkeypatch.setattr(process, "subprocess", SimpleNamespace(**vars(subprocess) | {"Popen": fail}))
    result = pytester.runpytest_inprocess("--kv-lab=sim", "--kv-nad", "blue-network", *MESH)
    result.assert_outcomes(errors=PAIRS)
    result.stdout.fnmatch_lines(["config: the lab did not start: no room"])
    assert len(starts) == 1


def test_E67_no_credential_stands_in_what_a_failing_test_had_at_hand(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")

        def test_headers(kv_cluster, kv_latency):
            headers = dict(kv_cluster.client.console_endpoint("default", "x").headers)
            assert headers is None

        def test_gone(kv_pair, kv_cluster):
            kv_cluster.client.request(
                "DELETE",
                "/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances/" + kv_pair.source.vmi_name,
                deadline=__import__("pytest_kvlatency.deadline").deadline.Deadline(30),
            )
            kv_pair.source.run("sleep 60")
        """
    )
    token = checkup.kubeconfig.read_text("utf-8").partition("token: ")[2].split()[0]
    result = checkup.quick("--full-trace", "--showlocals", "-vv")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*headers * = *[[]redacted[]]*", "E*ProvisionError: VMI default/*"])
    assert token not in result.stdout.str()
    # The frames of the console below are none of the test's.
    assert "console/shell.py" not in result.stdout.str()


def test_nodes_that_cannot_be_listed_are_asked_for_once(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    original = ClusterSession.discover

    def discover(self: ClusterSession, settings: Any) -> Any:
        asked.append(settings)
        return original(self, settings)

    monkeypatch.setattr(ClusterSession, "discover", discover)
    functions = "\n".join(f"def test_{number}(kv_latency): ..." for number in range(5))
    pytester.makepyfile(
        f"import pytest\npytestmark = pytest.mark.kvlatency(nad='default/x', nodes='mesh')\n{functions}\n"
    )
    result = pytester.runpytest_inprocess("--kv-kubeconfig", "/nowhere")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: the kubeconfig '/nowhere' (--kv-kubeconfig) does not exist"])
    assert len(asked) == 1
