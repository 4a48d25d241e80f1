"""Tests that another plugin cuts off, at any moment: what they asked for ends with them."""

from __future__ import annotations

import pytest
from plain import plain

from pytest_kvlatency.kube import paths

pytest.importorskip("pytest_timeout")

PAIR = 'nad="checks/blue-network", nodes="worker1:worker2"'
# Its guests boot for a minute, which is 3 s at the lab's speed: longer than the first test may take.
LATE = 'nad="checks/late-network", nodes="worker1:worker2"'
QUICK = ("--kv-sample-duration", "1s")


@pytest.fixture
def ends(run, tmp_path):
    """Run these tests to the end: how each has ended, and why; nothing is left."""

    def go(cluster, tests, *arguments):
        (tmp_path / "test_own.py").write_text("import pytest\n\n" + tests)
        done = run(cluster, *QUICK, *arguments, environment=plain("timeout", arguments=arguments))
        assert done.status == 1, done.output
        assert "INTERNALERROR" not in done.output
        assert cluster.vmis() == []
        return [(one["outcome"], one["failureKind"]) for one in done.document["measurements"]]

    return go


@pytest.mark.edge_case(
    "E81",
    happens="pytest-timeout ends a test that still waits for its pair.",
    does="The pair is free again: the next test gets it.",
)
@pytest.mark.parametrize("fixture", ["kv_pair", "kv_latency"])
def test_E81_a_test_that_is_cut_off_while_its_guests_boot_holds_no_pair(cluster, ends, fixture):
    tests = f"""
@pytest.mark.timeout(1)
@pytest.mark.kvlatency({LATE})
def test_first({fixture}):
    raise AssertionError("its body is not run")

@pytest.mark.kvlatency({LATE})
def test_second(kv_pair):
    assert kv_pair.source.run("true").exit_status == 0
"""
    assert ends(cluster, tests, "--kv-timeout", "60s") == [
        ("error", "assertion"),
        ("passed", None),
    ]


BEHIND = f"""
LONG = pytest.mark.kvlatency({PAIR}, sample_duration="100s")

@pytest.mark.kvlatency({PAIR})
def test_first(kv_latency):
    pass

@pytest.mark.timeout(1)
@pytest.mark.kvlatency({PAIR})
def test_behind_a_long_sample(kv_pair):
    raise AssertionError("its body is not run")

@LONG
def test_long(kv_latency):
    assert kv_latency.received == 1000

@pytest.mark.kvlatency({PAIR})
def test_last(kv_pair):
    assert kv_pair.source.run("true").exit_status == 0
"""


def test_E81_a_test_that_is_cut_off_behind_a_measurement_holds_no_pair(cluster, ends):
    found = ends(cluster, BEHIND, "--kv-timeout", "5m")
    assert found == [("passed", None), ("error", "assertion"), ("passed", None), ("passed", None)]


BUSY = f"""
pytestmark = pytest.mark.kvlatency({PAIR})

@pytest.mark.timeout(2, func_only=True)
def test_ping(kv_ping):
    kv_ping(sample_duration='1h')

@pytest.mark.timeout(2, func_only=True)
def test_command(kv_pair):
    kv_pair.source.run('sleep 100000', timeout='9h')

def test_last(kv_pair, kv_ping):
    assert kv_pair.source.run("echo mine", timeout=30).output == "mine"
    assert kv_ping().received == 10
"""


def test_E81_what_tests_that_are_cut_off_had_begun_in_a_guest_does_not_hold_up_the_next(cluster, ends):
    assert ends(cluster, BUSY, "--kv-timeout", "2h") == [
        ("failed", "assertion"),
        ("failed", "assertion"),
        ("passed", None),
    ]


HANGING = """
import threading

OVER = threading.Event()


def pytest_kvlatency_vmi_manifest(manifest, check):
    OVER.wait()


# Called for every item; hooks of a single item only in the conftest.py files above it, and the own check has none.
def pytest_report_teststatus(report):
    if report.failed:
        OVER.set()
"""


def test_E81_the_timeout_ends_a_wait_for_what_never_answers(cluster, run, tmp_path):
    (tmp_path / "conftest.py").write_text(HANGING)
    done = run(cluster, "--kv-nad", "checks/blue-network", "--kv-sample-duration", "1s", "--kv-timeout", "3s")
    assert done.status == 1, done.output
    (one,) = done.document["measurements"]
    assert one["failureKind"] == "timeout", done.output
    assert one["failureReason"].startswith("setup: timed out after 3s waiting for ")
    assert cluster.request("GET", paths.vmi("checks")).get("items", []) == []


# Longer than the test may take that has it opened; and then the cluster is open for the next.
SLOW_OPENING = "{fault: api-slow, delay: 3s, verb: list, resource: kubevirts, times: 1}"
TWO = f"""
@pytest.mark.timeout(1)
@pytest.mark.kvlatency({PAIR})
def test_first({{fixture}}):
    pass

@pytest.mark.kvlatency({PAIR})
def test_second(kv_latency):
    assert kv_latency.received == 10
"""


def test_E81_a_cluster_that_is_opened_for_a_test_that_is_cut_off_is_opened_once(cluster_with, ends):
    found = ends(cluster_with(SLOW_OPENING), TWO.format(fixture="kv_cluster"))
    assert found == [("error", "assertion"), ("passed", None)]


def test_E81_a_worker_goes_on_after_a_test_that_is_cut_off_while_the_cluster_is_opened(cluster_with, ends):
    found = ends(cluster_with(SLOW_OPENING), TWO.format(fixture="kv_latency"), "-n", "1")
    assert found == [("error", "assertion"), ("passed", None)]


ALARM = f"""
import signal

class Struck({{base}}):
    pass

def strike(number, frame):
    raise Struck("by an alarm")

@pytest.fixture
def alarm():
    signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, 1)

@pytest.mark.kvlatency({PAIR})
def test_first(alarm, kv_latency):
    pass

@pytest.mark.kvlatency({PAIR})
def test_second(kv_latency):
    pass
"""


@pytest.mark.edge_case(
    "E81",
    happens="An exception that is not ours strikes while the cluster is being opened.",
    does="Nothing is left: what is opened is kept until the end, and nothing is created after that.",
)
@pytest.mark.parametrize("base", ["Exception", "KeyboardInterrupt"])
def test_E81_an_exception_of_a_signal_handler_leaves_nothing(cluster_with, run, tmp_path, base):
    cluster = cluster_with(SLOW_OPENING)
    (tmp_path / "test_own.py").write_text("import pytest\n" + ALARM.format(base=base))
    done = run(cluster, *QUICK)
    assert done.status == (2 if base == "KeyboardInterrupt" else 1), done.output
    assert "INTERNALERROR" not in done.output
    assert cluster.vmis() == []
    assert done.document["succeeded"] is False


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "distributed"])
def test_E81_a_lab_that_starts_for_a_test_that_is_cut_off_serves_the_next(run, tmp_path, workers):
    (tmp_path / "lab.yaml").write_text("guests: sim\ntime_scale: 20\n")
    (tmp_path / "test_own.py").write_text(
        "import pytest\n"
        "@pytest.mark.timeout(0.1)\n"
        "def test_first(kv_latency): pass\n"
        "def test_second(kv_latency): assert kv_latency.received == 10\n"
    )
    arguments = ("--kv-lab", "lab.yaml", "--kv-nad", "blue-network", *QUICK, *workers)
    done = run(None, *arguments, foreign=False, environment=plain("timeout", arguments=arguments))
    assert done.status == 1, done.output
    assert [one["outcome"] for one in done.document["measurements"]] == ["error", "passed"]
    assert done.labs_left == []
    assert done.processes_left() == []
