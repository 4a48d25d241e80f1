"""Checks that pytest-xdist distributes: one run, whoever measures, and nothing left behind, whoever dies."""

from __future__ import annotations

import json
import os
import signal
import xml.etree.ElementTree as ET

import pytest
from administrator import Administrator
from begun import until_gone
from xdistruns import HOLDING, MESH, passed

from pytest_kvlatency.__main__ import main

NAMED = """
    import pathlib, time
    import pytest

    LOG = pathlib.Path(__file__).parent / "log"

    def note(word, pair):
        with LOG.open("a") as log:
            log.write(f"{word} {pair.source.node} {pair.target.node}\\n")

    @pytest.mark.kvlatency(nad="default/blue-network", nodes="mesh", sample_duration="1s",
                           node_set="worker1,worker2,worker3,worker4")
    def test_mesh(kv_pair, kv_latency):
        note("in", kv_pair)
        assert kv_latency.received
        # For another worker to come in, if it may.
        time.sleep(0.3)
        note("out", kv_pair)
"""
GROUPED = """
    import pytest

    @pytest.mark.xdist_group("plain")
    def test_plain():
        pass

    @pytest.mark.xdist_group("red")
    class TestRed:
        @pytest.mark.kvlatency(nad="default/red-network", nodes=["worker1:worker2", "worker2:worker3"],
                               max_latency="10ms", sample_duration="200ms")
        def test_red(self):
            pass

    @pytest.mark.kvlatency(nad="default/blue-network", nodes="ring", sample_duration="200ms")
    def test_blue(kv_pair):
        assert kv_pair.source.run("true").exit_status == 0
"""
SCOPES = """
    import pytest

    @pytest.mark.kvlatency(nad="default/blue-network", nodes="ring", sample_duration="500ms")
    class TestFirst:
        def test_it(self, kv_latency):
            pass

    @pytest.mark.kvlatency(nad="default/blue-network", nodes="ring", sample_duration="1s")
    class TestSecond(TestFirst):
        pass
"""
PAIRS = [f"worker{one}:worker{other}" for one in range(1, 5) for other in range(one + 1, 5)]


@pytest.fixture(scope="module")
def measured(run_once, lab, role, tmp_path_factory):
    """A mesh that two workers have measured with the Role alone, and options that none of its tests uses."""
    administrator = Administrator(lab, tmp_path_factory.mktemp("account"), "default")
    unused = ["--kv-nad", "default/red-network", "--kv-sample-duration", "2s"]
    mine = run_once(NAMED, "-n", "2", "--kv-kubeconfig", str(administrator.account(role)), *unused)
    assert mine.end() == 0, mine.output
    return mine


def test_the_controllers_reports_hold_what_the_workers_measured(measured):
    assert passed(measured.output) == 6
    document = measured.document
    assert document["succeeded"] is True
    assert sorted(one["nodes"] for one in document["measurements"]) == PAIRS
    assert all(one["transmitted"] == one["received"] == 10 for one in document["measurements"])
    assert all(one["timings"]["delete"] is not None for one in document["measurements"])
    assert document["plan"]["pairs"] == 6
    # Each worker has a part of the addresses of its own, and guests of its own.
    addresses = {one["sourceVmi"]: one["sourceAddress"] for one in document["measurements"]}
    assert len(set(addresses.values())) == len(addresses)
    cases = measured.cases()
    assert len(cases) == 6
    assert all(properties["received"] == "10" for properties in cases.values())
    assert measured.html.read_text().count("col-kvMax") >= 6
    assert "worker1 → worker2" in measured.output
    assert measured.left == []


def test_what_no_test_uses_is_noted_once_and_by_the_controller(measured):
    told = [
        "default/red-network was not measured: all 6 tests name their own networks",
        "--kv-sample-duration 2s was not used: all 6 tests set their own sample_duration",
    ]
    assert measured.document["notes"] == told
    for note in told:
        assert measured.output.count(f"PytestWarning: {note}") == 1
        assert measured.output.count(f"kvlatency: note: {note}") == 1


def test_E54_the_role_suffices_for_workers(measured):
    asked = [one for one in measured.requests if ":serviceaccount:default:" in str(one["user"])]
    assert {one["verb"] for one in asked if one["resource"] == "virtualmachineinstances"} >= {
        "create",
        "delete",
    }
    assert any(one["subresource"] == "console" for one in asked)


def test_a_node_is_never_measured_by_two_workers_at_once(measured):
    busy = set()
    for line in (measured.directory / "log").read_text().splitlines():
        word, *nodes = line.split()
        if word == "in":
            assert busy.isdisjoint(nodes), line
            busy.update(nodes)
        else:
            busy.difference_update(nodes)
    assert busy == set()


def test_the_own_check_is_distributed_and_the_configmap_written_once(run):
    own_check = ["--kv-configmap", "default/parameters", "--kv-nodes", "mesh"]
    mine = run("", "-n", "1", *own_check)
    mine.end()
    # Without the ConfigMap: a usage error of the controller's, and no worker is replaced.
    assert mine.process.returncode == 4, mine.output
    assert "parameters" in mine.output
    assert "replacing crashed worker" not in mine.output
    mine.create_configmap(
        "parameters",
        {
            "spec.timeout": "5m",
            "spec.param.networkAttachmentDefinitionNamespace": "default",
            "spec.param.networkAttachmentDefinitionName": "blue-network",
            "spec.param.sampleDurationSeconds": "1",
        },
    )
    mine = run("", "-n", "2", "--dist", "worksteal", *own_check)
    assert mine.end() == 0, mine.output
    assert sorted(mine.outcomes["passed"]) == PAIRS
    data = mine.configmap("parameters")
    assert data["status.succeeded"] == "true"
    assert data["status.startTimestamp"] <= data["status.completionTimestamp"]
    verbs = [one["verb"] for one in mine.requests if one["resource"] == "configmaps" and one["code"] < 300]
    assert [verb for verb in verbs if verb in ("patch", "update")] == ["patch", "patch"]
    assert [one["verb"] for one in mine.requests if one["resource"] == "nodes"].count("list") == 1


@pytest.fixture(scope="module")
def grouped(run_once):
    """A run of groups, of which one fails twice."""
    mine = run_once(GROUPED, "-n", "2", "--dist", "loadgroup", "--reruns", "1")
    assert mine.end() == 1, mine.output
    return mine


def test_a_limit_that_is_exceeded_in_a_worker_fails_the_run(grouped):
    assert sorted(grouped.outcomes["failed"]) == ["worker1:worker2"] * 2 + ["worker2:worker3"] * 2
    assert len(grouped.outcomes["passed"]) == 4
    failed = [one for one in grouped.document["measurements"] if one["outcome"] == "failed"]
    assert {(one["nad"], one["failureKind"]) for one in failed} == {("default/red-network", "latency")}
    assert grouped.left == []


def test_groups_stay_together(grouped):
    if "test_plain@plain" not in grouped.output:
        pytest.skip("this version of xdist groups nothing under this version of pytest")
    # One worker has both checks, so one guest on worker2 serves both.
    red = [one for one in grouped.document["measurements"] if one["nad"] == "default/red-network"]
    assert len({one["sourceVmi"] for one in red} | {one["targetVmi"] for one in red}) == 3


def test_a_test_that_a_worker_runs_again_is_one_junit_case(grouped):
    attempts = [(name[: name.index("[")], case["attempt"]) for name, case in grouped.cases().items() if case]
    assert sorted(attempts) == [("test_blue", "1")] * 4 + [("test_red", "2")] * 2


def test_E66_stopping_at_the_first_failure_leaves_nothing_behind(run):
    mine = run(MESH.replace("blue", "red"), "-n", "2", "--kv-max-latency", "1ms", "-x")
    assert mine.end() in (1, 2), mine.output
    assert mine.outcomes["failed"]
    assert sum(map(len, mine.outcomes.values())) == 6
    assert mine.left == []


def test_what_a_killed_worker_left_is_removed_and_its_item_is_an_error(run):
    mine = run(HOLDING, "-n", "2")
    assert mine.lose_a_worker() == 4
    (mine.directory / "go").touch()
    assert mine.end() == 1, mine.output
    outcomes = mine.outcomes
    assert len(outcomes["error"]) == 1
    assert len(outcomes["passed"]) == 3
    (died,) = [one for one in mine.document["measurements"] if one["outcome"] == "error"]
    assert "worker gw0 of pytest-xdist died" in died["failureReason"]
    assert died["received"]
    assert mine.left == []


def test_a_network_beside_tests_of_workers_that_check_none(run):
    mine = run("def test_other(): pass", "-n", "1", "--kv-nad", "default/red-network", "test_it.py")
    assert mine.end() == 1, mine.output
    told = "default/red-network was not measured: no test of this run checks a network"
    assert mine.document["notes"] == [told]
    assert mine.document["failureReason"] == "config: no check was selected"
    assert mine.output.count(f"kvlatency: note: {told}") == 1


DYING = """
    import os
    import pytest

    def test_dies():
        os._exit(1)

    @pytest.mark.kvlatency(nad="default/blue-network", nodes="mesh", sample_duration="1s")
    def test_mesh(kv_latency):
        pass

    @pytest.mark.skip
    @pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")
    def test_left_out(kv_latency):
        pass
"""


def test_E73_a_worker_that_dies_and_is_not_replaced_leaves_no_success(run):
    mine = run(DYING, "-n", "1", "--max-worker-restart=0")
    assert mine.end() == 1, mine.output
    assert mine.document["succeeded"] is False
    reason = mine.document["failureReason"]
    assert reason.startswith("run: 6 of 7 checks were not run: worker ")
    assert reason.endswith(" crashed and worker restarting disabled")
    assert len(mine.outcomes["notrun"]) == 6
    assert mine.outcomes["skipped"] == ["worker1:worker2"]
    assert f"kvlatency: {reason}" in mine.output


def test_a_signal_to_the_controller_ends_the_workers_in_order(run):
    mine = run(HOLDING, "-n", "2")
    mine.wait_for(lambda: len(mine.pids("body")) == 2)
    os.kill(mine.process.pid, signal.SIGHUP)
    assert mine.end() == 2, mine.output
    outcomes = mine.outcomes
    assert len(outcomes["error"]) == 2
    assert len(outcomes["notrun"]) == 2
    assert mine.document["succeeded"] is False
    assert "interrupted by SIGHUP" in mine.document["failureReason"]
    assert "replacing crashed worker" not in mine.output
    assert mine.left == []
    for pid in mine.pids("body").values():
        until_gone(pid)


def test_ctrl_c_at_a_terminal_reaches_all_processes(run):
    mine = run(HOLDING, "-n", "1")
    mine.wait_for(lambda: mine.pids("body"))
    os.killpg(mine.process.pid, signal.SIGINT)
    assert mine.end() == 2, mine.output
    assert len(mine.outcomes["error"]) == 1
    assert mine.left == []


def test_workers_of_a_killed_controller_clean_up(run):
    mine = run(HOLDING, "-n", "1")
    mine.wait_for(lambda: mine.pids("body"))
    mine.process.kill()
    mine.process.wait()
    mine.process.poll = lambda: None
    mine.wait_for(lambda: not mine.vmis())


def test_remote_workers_and_each_are_refused(run):
    mine = run(MESH, "--tx", "popen", "--dist", "each", is_asked=False)
    assert mine.end() == 4, mine.output
    assert "--dist each" in mine.output


def test_a_wrong_marker_is_told_once(run):
    mine = run(
        """
        import pytest

        @pytest.mark.kvlatency(nad="default/blue-network", max_latency="5")
        def test_it():
            pass
        """,
        "-n",
        "2",
    )
    assert mine.end() in (1, 2), mine.output
    # Where CI is set pytest quotes each error a second time, whole, in its summary.
    told, _, _ = mine.output.partition("short test summary info")
    assert told.count("The marker is kvlatency(") == 1, mine.output
    assert mine.left == []


@pytest.fixture(scope="module")
def shards(run_once):
    """Half of a plan that two workers have measured, and the other half, which one process has."""
    distributed = run_once(SCOPES, "-n", "2", "--dist", "loadscope", "--kv-shard", "0/2")
    assert distributed.end() == 0, distributed.output
    single = run_once(SCOPES, "-n", "0", "--kv-shard", "1/2")
    assert single.end() == 0, single.output
    return distributed, single


def test_a_class_stays_in_one_worker(shards):
    workers = shards[0].workers()
    assert len(workers) == 4
    where = {}
    for test, worker in workers.items():
        where.setdefault(test.split("::")[1], set()).add(worker)
    assert sorted(map(len, where.values())) == [1, 1], where
    # Nor is everything one scope.
    assert len(set(workers.values())) == 2


def test_a_shard_that_is_distributed_is_that_of_one_process(shards, tmp_path):
    for index, mine in enumerate(shards):
        assert passed(mine.output) == 4
        assert mine.document["plan"]["shard"] == f"{index}/2"
        assert mine.document["plan"]["shardPairs"] == 4
        assert mine.left == []
    whole = [str(tmp_path / "all.json"), str(tmp_path / "all.xml")]
    parts = [str(mine.directory / "out.json") for mine in shards]
    assert main(["report", *parts, "--json", whole[0], "--junitxml", whole[1]]) == 0
    document = json.loads((tmp_path / "all.json").read_text())
    ring = ["worker1:worker2", "worker2:worker3", "worker3:worker4", "worker4:worker1"]
    assert sorted(one["nodes"] for one in document["measurements"]) == sorted(ring * 2)
    merged, last = (
        {(case.get("classname"), case.get("name")) for case in ET.parse(path).iter("testcase")}
        for path in (whole[1], shards[1].directory / "out.xml")
    )
    assert len(merged) == 8
    assert len(last) == 4
    assert last < merged


def test_n_0_is_one_process(shards):
    vmis = {one[side] for one in shards[1].document["measurements"] for side in ("sourceVmi", "targetVmi")}
    assert len(vmis) == 3
