"""Checkups that are stopped: whenever it happens, the status is written and nothing is left."""

from __future__ import annotations

import os
import pty
import re
import signal
from xml.etree import ElementTree as ET

import pytest
import yaml
from middlemen import DeletionRefusingServer, in_front_of

LONG = ("--kv-sample-duration", "20m", "--kv-timeout", "40m")
PAIR = ("--kv-nodes", "worker1:worker2")
NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "SIGINT", signal.SIGHUP: "SIGHUP"}


@pytest.fixture
def stopped(cluster, start):
    """Start a checkup, stop it where its output matches, and look at what is left."""

    def go(network, pattern, number, *arguments, **more):
        name = cluster.make_configmap(network)
        both = ("--kv-configmap", f"checks/{name}", "--junitxml", "junit.xml")
        checkup = start(cluster, *both, *arguments, **more)
        checkup.until(pattern)
        checkup.send(number)
        status = checkup.end()
        assert status == 2, checkup.output
        assert "INTERNALERROR" not in checkup.output
        assert cluster.vmis() == []
        written = cluster.status(name)
        assert written["succeeded"] == "false"
        assert f"interrupted by {NAMES[number]}" in written["failureReason"]
        assert {"startTimestamp", "completionTimestamp"} <= written.keys()
        document = checkup.document
        assert document["succeeded"] is False
        assert f"interrupted by {NAMES[number]}" in document["failureReason"]
        for reason in (written["failureReason"], document["failureReason"]):
            # No shell code of the plugin's own, and no progress line.
            assert "/tmp/.kv" not in reason
            assert "kvlatency:" not in reason
        checkup.configmap = written
        assert list(ET.parse(checkup.directory / "junit.xml").getroot().iter("testsuite"))
        return checkup

    return go


def test_E59_while_the_guests_boot(stopped):
    booting = r"waiting: worker\d booting \d+ s, \+1"
    checkup = stopped("boot-network", booting, signal.SIGTERM, *PAIR, module="pytest_kvlatency")
    (one,) = checkup.document["measurements"]
    assert one["failureKind"] == "interrupted"
    assert one["failureReason"] == "setup: interrupted by SIGTERM while worker1's guest boots"
    assert checkup.configmap["failureReason"] == one["failureReason"]


def test_E59_during_the_sample(stopped):
    checkup = stopped("blue-network", " pinging", signal.SIGTERM, *PAIR, *LONG)
    (one,) = checkup.document["measurements"]
    assert one["failureKind"] == "interrupted"
    assert one["failureReason"] == "run: interrupted by SIGTERM while pinging worker2 from worker1"
    assert (one["sourceNode"], one["targetNode"], one["binding"]) == ("worker1", "worker2", "bridge")
    status = checkup.configmap
    assert status["failureReason"] == one["failureReason"]
    assert (status["result.sourceNode"], status["result.targetNode"]) == ("worker1", "worker2")


# Python itself and pytest treat SIGINT otherwise than the others.
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=NAMES.get)
def test_E59_in_the_body_of_a_users_test(stopped, number, tmp_path):
    (tmp_path / "test_own.py").write_text(
        "import time\n"
        "def test_it(kv_pair, capsys):\n"
        "    kv_pair.source.run('true', check=True)\n"
        "    with capsys.disabled():\n"
        "        print('the body runs', flush=True)\n"
        "    time.sleep(600)\n"
    )
    stopped("blue-network", "the body runs", number, "-s")


def test_E59_while_a_command_runs_in_the_guest(stopped, tmp_path):
    (tmp_path / "test_own.py").write_text(
        "def test_it(kv_pair):\n"
        "    print('the body runs', flush=True)\n"
        "    kv_pair.source.run('sleep 3000', timeout=3000)\n"
    )
    checkup = stopped("blue-network", "the body runs", signal.SIGTERM, "-s")
    assert checkup.configmap["failureReason"] == "run: interrupted by SIGTERM while the test ran"


def test_E59_before_anything_was_contacted(cluster, start, tmp_path):
    (tmp_path / "test_slow.py").write_text("import time\nprint('collecting', flush=True)\ntime.sleep(600)\n")
    checkup = start(cluster, "--kv-nad", "checks/blue-network", "-s")
    checkup.until("collecting")
    checkup.send(signal.SIGINT)
    assert checkup.end() == 2


@pytest.mark.edge_case(
    "E59",
    happens="SIGTERM arrives before the first check.",
    does="Ends with exit status 2, and writes the ConfigMap:",
    says="interrupted by SIGTERM",
)
def test_E59_during_collection_after_the_configmap_was_read(cluster, start, tmp_path):
    (tmp_path / "test_a.py").write_text("def test_it(kv_latency): pass\n")
    (tmp_path / "test_b.py").write_text("import time\nprint('collecting', flush=True)\ntime.sleep(600)\n")
    name = cluster.make_configmap()
    checkup = start(cluster, "--kv-configmap", f"checks/{name}", "-s")
    checkup.until("collecting")
    checkup.send(signal.SIGTERM)
    assert checkup.end() == 2, checkup.output
    assert "interrupted by SIGTERM" in cluster.status(name)["failureReason"]
    assert cluster.status(name)["succeeded"] == "false"


@pytest.mark.parametrize("pattern", ["starting the lab", " pinging"])
def test_E59_a_lab_of_its_own_is_gone_too(tmp_path, start, cluster, pattern):
    (tmp_path / "lab.yaml").write_text("guests: sim\n")
    checkup = start(None, "--kv-lab", "lab.yaml", "--kv-nad", "default/blue-network", *LONG, foreign=False)
    checkup.until(pattern)
    checkup.send(signal.SIGTERM)
    assert checkup.end() == 2, checkup.output
    assert "interrupted by SIGTERM" in checkup.document["failureReason"]
    assert checkup.labs_left == []
    assert checkup.processes_left() == []


def test_E59_x_ends_the_run_and_removes_the_guests(cluster, run, tmp_path):
    (tmp_path / "test_own.py").write_text(
        "def test_first(kv_pair): assert False, 'no good'\ndef test_second(kv_latency): pass\n"
    )
    name = cluster.make_configmap()
    done = run(cluster, "--kv-configmap", f"checks/{name}", "-x")
    assert done.status == 1
    assert cluster.vmis() == []
    assert "no good" in cluster.status(name)["failureReason"]
    assert [one["outcome"] for one in done.document["measurements"]] == ["failed", "notrun"]


@pytest.mark.parametrize("hook", ["pytest_runtest_logreport", "pytest_sessionfinish"])
def test_E59_an_internal_error_in_a_conftest(cluster, run, tmp_path, hook):
    (tmp_path / "conftest.py").write_text(f"def {hook}():\n    raise RuntimeError('in a hook')\n")
    (tmp_path / "test_own.py").write_text("def test_it(kv_pair): pass\n")
    name = cluster.make_configmap()
    done = run(cluster, "--kv-configmap", f"checks/{name}")
    assert done.status != 0
    assert cluster.vmis() == []
    assert cluster.status(name)["succeeded"] == ("true" if hook == "pytest_sessionfinish" else "false")


@pytest.mark.edge_case(
    "E59",
    happens="`--kv-timeout` is over.",
    does="Fails with the kind `timeout`, and says what it waited for:",
    says="setup: timed out after … waiting for",
)
def test_E59_the_timeout_says_what_it_waited_for(cluster, run):
    name = cluster.make_configmap("pending-network", {"spec.timeout": "12s"})
    done = run(cluster, "--kv-configmap", f"checks/{name}")
    assert done.status == 1
    status = cluster.status(name)
    assert status["succeeded"] == "false"
    assert status["failureReason"].startswith("setup: timed out after 12s waiting for ")
    assert "Scheduling" in status["failureReason"]
    assert done.document["measurements"][0]["failureKind"] == "timeout"
    assert cluster.vmis() == []


AN_HOUR_LONG = """
import time

real = time.monotonic


def test_first(kv_pair):
    time.monotonic = lambda: real() + 3600


def test_second(kv_latency):
    assert kv_latency.received == 10
"""


def test_the_clock_stands_still_in_a_users_test(cluster, run, tmp_path):
    (tmp_path / "test_own.py").write_text(AN_HOUR_LONG)
    arguments = ("--kv-nad", "checks/blue-network", "--kv-sample-duration", "1s", "--kv-timeout", "2m")
    done = run(cluster, *arguments)
    assert done.status == 0, done.output


SHORT = "from pytest_kvlatency.checkup import teardown\nteardown.CLEANUP_SECONDS = {seconds}\n"


def free(cluster):
    """Let go of VMIs that are stuck in deletion."""
    for one in cluster.objects():
        path = f"/apis/kubevirt.io/v1/namespaces/checks/virtualmachineinstances/{one['metadata']['name']}"
        cluster.request("PATCH", path, {"metadata": {"finalizers": None}}, ok_missing=True)


@pytest.mark.edge_case(
    "E56",
    happens="A VMI is stuck in deletion.",
    does="Fails with the kind `teardown`, and prints the command to delete it:",
    says="teardown: not gone after … s:",
)
def test_E56_a_deletion_that_is_stuck(cluster, run, tmp_path):
    (tmp_path / "conftest.py").write_text(SHORT.format(seconds=4))
    name = cluster.make_configmap("stuck-network")
    done = run(cluster, "--kv-configmap", f"checks/{name}")
    stuck = [one["metadata"]["name"] for one in cluster.objects()]
    free(cluster)
    assert done.status == 1
    status = cluster.status(name)
    assert status["succeeded"] == "false"
    assert re.match(r"teardown: not gone after \d+ s: ", status["failureReason"])
    assert len(stuck) == 2
    for vmi in stuck:
        assert vmi in status["failureReason"]
        assert f"kubectl delete vmi -n checks {vmi}" in done.output
    assert "finalizers" in status["failureReason"]
    entry = done.document["measurements"][0]
    assert (entry["received"], entry["outcome"], entry["failureKind"]) == (50, "error", "teardown")
    assert int(status["result.minLatencyNanoSec"]) > 0


@pytest.mark.edge_case(
    "E56",
    happens="A VMI stays Running though it is deleted, because virt-handler is down on its node.",
    does="Fails with the kind `teardown`, says so, and how to look:",
    says="kubectl get pods -A -l kubevirt.io=virt-handler -o wide",
)
def test_E56_a_deletion_that_waits_for_a_dead_virt_handler(cluster_with, run, tmp_path):
    (tmp_path / "conftest.py").write_text(SHORT.format(seconds=2))
    pair = ("--kv-nad", "checks/blue-network", "--kv-nodes", "worker1:worker2", "--kv-sample-duration", "1s")
    done = run(cluster_with("{fault: handler-dead, node: worker1}"), *pair)
    (one,) = done.document["measurements"]
    assert (one["outcome"], one["failureKind"]) == ("error", "teardown")
    assert "it is still Running, waiting for virt-handler on node worker1" in one["failureReason"]
    assert "kubectl get pods -A -l kubevirt.io=virt-handler -o wide" in done.output
    assert "kubectl delete vmi" not in done.output


@pytest.mark.edge_case(
    "E72",
    happens="A stop leaves only seconds.",
    does="Asks for all deletions and writes the ConfigMap and JSON first, and only then waits.",
)
def test_E72_the_status_comes_before_the_wait_for_deletions(cluster, start):
    name = cluster.make_configmap("stuck-network")
    checkup = start(cluster, "--kv-configmap", f"checks/{name}", *LONG)
    checkup.until(" pinging")
    checkup.send(signal.SIGTERM)
    checkup.until("waiting until the VMIs are gone")
    status = cluster.status(name)
    left = cluster.vmis()
    assert "interrupted by SIGTERM" in status["failureReason"]
    assert "completionTimestamp" in status
    assert checkup.document["succeeded"] is False
    assert left == [], "deletions come before the wait too"
    checkup.send(signal.SIGINT)
    assert checkup.end() == 2
    free(cluster)
    assert "clean-up was interrupted: these VMIs may still exist: checks/latency-check" in checkup.output


@pytest.mark.edge_case(
    "E59",
    happens="SIGTERM arrives during clean-up.",
    does="Finishes the clean-up, keeps the numbers, and ends with exit status 2:",
    says="interrupted by SIGTERM",
)
def test_E59_E76_a_signal_during_clean_up_has_the_status_written_before_the_vmis_are_gone(cluster, start):
    name = cluster.make_configmap("stuck-network")
    checkup = start(cluster, "--kv-configmap", f"checks/{name}")
    checkup.until("waiting until the VMIs are gone")
    checkup.send(signal.SIGTERM)
    cluster.until_configmap(name, lambda status: "completionTimestamp" in status)
    left = cluster.objects()
    assert len(left) == 2
    assert all("deletionTimestamp" in one["metadata"] for one in left)
    free(cluster)
    assert checkup.end() == 2
    assert "interrupted by SIGTERM" in cluster.status(name)["failureReason"]
    assert int(cluster.status(name)["result.minLatencyNanoSec"]) > 0


@pytest.mark.edge_case(
    "E76",
    happens="A second signal arrives while a finished check waits for its VMIs to go.",
    does="Writes the end of the ConfigMap all the same, with the numbers:",
    says="run: interrupted by …",
)
def test_E76_two_signals_while_a_finished_check_waits_for_its_vmis(cluster, start):
    name = cluster.make_configmap("stuck-network")
    checkup = start(cluster, "--kv-configmap", f"checks/{name}", "--junitxml", "junit.xml")
    checkup.until("waiting until the VMIs are gone")
    checkup.send(signal.SIGTERM)
    checkup.send(signal.SIGINT)
    cluster.until_configmap(name, lambda status: "completionTimestamp" in status)
    free(cluster)
    assert checkup.end() == 2
    status = cluster.status(name)
    assert status["succeeded"] == "false"
    # The order in which they are delivered is the kernel's.
    assert re.search("run: interrupted by (SIGTERM|SIGINT)", status["failureReason"])
    assert int(status["result.minLatencyNanoSec"]) > 0
    assert checkup.document["failureReason"] == status["failureReason"]
    assert list(ET.parse(checkup.directory / "junit.xml").getroot().iter("testcase"))


# The first SIGINT that comes then does not end the clean-up.
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=NAMES.get)
def test_E77_a_signal_in_the_last_clean_up_is_told(cluster, start, tmp_path, number):
    (tmp_path / "test_own.py").write_text("def test_a(kv_pair): assert 0\ndef test_b(kv_latency): pass\n")
    name = cluster.make_configmap("stuck-network")
    checkup = start(cluster, "--kv-configmap", f"checks/{name}", "-x")
    checkup.until("waiting until the VMIs are gone")
    checkup.send(number)
    cluster.until_configmap(name, lambda status: "completionTimestamp" in status)
    free(cluster)
    assert checkup.end() == 2, checkup.output
    assert f"interrupted by {NAMES[number]} during clean-up" in cluster.status(name)["failureReason"]
    assert "clean-up was interrupted" not in checkup.output


@pytest.mark.edge_case(
    "E76",
    happens="A second signal arrives while pytest writes its own reports at the end of a run that was stopped.",
    does="Ends with exit status 2 when they are written. A signal that comes later loses none of the output.",
)
def test_E76_a_second_signal_while_pytest_writes_its_own_reports(cluster, run, tmp_path):
    (tmp_path / "conftest.py").write_text(
        "import os, pytest, signal\n"
        "@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_sessionfinish():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    (tmp_path / "test_own.py").write_text(
        "import os, signal, time\n"
        "def test_it(kv_pair):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(600)\n"
    )
    reports = ("--junitxml", "junit.xml", "--html", "report.html")
    checkup = run(cluster, "--kv-nad", "checks/blue-network", *PAIR, *reports)
    assert checkup.status == 2, checkup.output
    assert cluster.vmis() == []
    assert "interrupted by SIGTERM" in checkup.document["failureReason"]
    assert list(ET.parse(tmp_path / "junit.xml").getroot().iter("testcase"))
    assert "interrupted by SIGTERM" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.search(r"kvlatency: wrote out\.json .*report\.html", checkup.output)


def test_E76_a_signal_after_the_end_loses_no_output(cluster, run, tmp_path):
    (tmp_path / "conftest.py").write_text(
        "import os, pytest, signal\n"
        "@pytest.hookimpl(trylast=True)\n"
        "def pytest_unconfigure():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    buffered = {"environment": {"PYTHONUNBUFFERED": ""}, "fork": False}
    checkup = run(
        cluster, "--kv-nad", "checks/blue-network", *PAIR, "-p", "no:talkative", module="pytest", **buffered
    )
    assert checkup.status == -signal.SIGTERM, checkup.output
    assert "kvlatency: wrote out.json" in checkup.output


def test_E59_a_second_sigint_does_not_keep_deletions_from_being_asked_for(cluster, start, tmp_path):
    with in_front_of(cluster, DeletionRefusingServer, tmp_path, is_refusing=True) as server:
        admin = yaml.safe_load(cluster.kubeconfig.read_text())["users"][0]["user"]
        kubeconfig = cluster.kubeconfig_of(admin, **server.trust)
        name = cluster.make_configmap()
        both = ("--kv-nodes", "worker1:worker2", "--kv-nodes", "worker1:worker3", *LONG, "--kv-timeout", "2h")
        checkup = start(
            cluster, "--kv-configmap", f"checks/{name}", *both, "-p", "patient", kubeconfig=kubeconfig
        )
        checkup.until(" pinging")
        # The guests of the second pair are needed by an item that is not run: only the end of the run deletes them.
        cluster.until(lambda: len(cluster.objects()) == 3)
        checkup.send(signal.SIGINT)
        cluster.until_configmap(name, lambda status: "completionTimestamp" in status)
        checkup.send(signal.SIGINT)
        cluster.until((tmp_path / "heard-2").exists)
        # More than are on their way, and than an end that gives up asks for once more.
        enough = server.deletions + 10
        cluster.until(lambda: server.deletions >= enough or checkup.has_ended)
        server.is_refusing = False
        assert checkup.end() == 2, checkup.output
        assert cluster.vmis() == []


BODY = """
import pathlib, time
def test_it(kv_pair):
    pathlib.Path("begun").touch()
    time.sleep(600)
"""


@pytest.fixture
def ended_without_reader(cluster, start, tmp_path):
    """Start a checkup whose output goes to ``where``, lose its reader in a test's body, and look at what is left."""

    def go(where, lose_reader, *arguments):
        (tmp_path / "test_own.py").write_text(BODY)
        name = cluster.make_configmap()
        both = ("--kv-configmap", f"checks/{name}", "--junitxml", "junit.xml")
        with os.fdopen(where, "wb", buffering=0) as output:
            checkup = start(cluster, *both, *arguments, where=output)
        cluster.until((tmp_path / "begun").exists)
        lose_reader(checkup)
        assert checkup.end() != 0
        assert cluster.vmis() == []
        status = cluster.status(name)
        assert "interrupted by SIGHUP" in status["failureReason"]
        assert {"completionTimestamp", "succeeded"} <= status.keys()
        assert checkup.document["failureReason"] == status["failureReason"]
        assert list(ET.parse(tmp_path / "junit.xml").getroot().iter("testsuite"))

    return go


@pytest.mark.edge_case(
    "E77",
    happens="The terminal is closed, or the ssh session drops (SIGHUP).",
    does="Deletes the VMIs, and writes the ConfigMap and the other reports:",
    says="interrupted by SIGHUP",
)
@pytest.mark.parametrize("arguments", [("-s", "-v"), ("-n", "2")], ids=["verbose", "workers"])
def test_E77_a_terminal_that_is_closed(ended_without_reader, arguments):
    terminal, inside = pty.openpty()
    ended_without_reader(inside, lambda _: os.close(terminal), *arguments, "-p", "controlled")


def test_E77_a_hang_up_when_nobody_reads_the_output(ended_without_reader):
    reader, writer = os.pipe()

    def lose(checkup):
        os.close(reader)
        checkup.send(signal.SIGHUP)

    ended_without_reader(writer, lose)


@pytest.mark.edge_case(
    "E77", happens="The terminal is closed, and the run was started with `nohup`.", does="Goes on."
)
def test_E77_nohup_outlives_its_terminal(cluster, start):
    name = cluster.make_configmap()
    checkup = start(cluster, "--kv-configmap", f"checks/{name}", before=["nohup"])
    checkup.until("kvlatency: 0/1")
    checkup.send(signal.SIGHUP)
    assert checkup.end() == 0, checkup.output
    assert cluster.status(name)["succeeded"] == "true"


def test_E72_a_server_that_hangs_delays_the_end_by_no_timeout(cluster_with, start):
    cluster = cluster_with("{fault: api-slow, delay: 1h, verb: get, resource: virtualmachineinstances}")
    name = cluster.make_configmap()
    checkup = start(cluster, "--kv-configmap", f"checks/{name}")
    # How far a run gets before it asks for a VMI, and hangs, is a matter of chance: it may be told of all by its watch.
    cluster.until_vmis(lambda found: len(found) == 2)
    checkup.until("kvlatency: 0/1")
    checkup.send(signal.SIGTERM)
    checkup.until("waiting until the VMIs are gone")
    assert "interrupted by SIGTERM" in cluster.status(name)["failureReason"]
    checkup.send(signal.SIGINT)
    assert checkup.end() == 2
