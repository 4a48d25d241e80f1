"""Too few open files, too few threads: the cause with the way out, in bounded time, and nothing is left."""

from __future__ import annotations

import pytest

FILES = "too many open files: the limit of this process is "
THREADS = "this process cannot start more threads"


@pytest.fixture
def scarce(run, cluster):
    """Run a checkup with so little left; it ends by itself, with its status written and its VMIs gone."""

    def go(*arguments, **left):
        name = cluster.make_configmap(data={"spec.param.sampleDurationSeconds": "1"})
        environment = {key: str(value) for key, value in left.items()}
        given = ["-p", "scarce", "--kv-configmap", f"checks/{name}", *arguments]
        # What is loaded by and by needs files, but no threads.
        fork = "THREADS_LEFT" in left
        done = run(cluster, *given, module="pytest_kvlatency", environment=environment, fork=fork)
        assert "Traceback" not in done.output, done.output
        assert "INTERNALERROR" not in done.output, done.output
        assert cluster.objects() == []
        done.configmap = cluster.status(name)
        assert {"startTimestamp", "completionTimestamp", "succeeded", "failureReason"} <= set(
            done.configmap
        ), done.output
        assert done.configmap["succeeded"] == str(done.document["succeeded"]).lower()
        return done

    return go


def assert_told(done, words, way_out):
    assert done.status == 1, done.output
    assert words in done.output
    assert way_out in done.output
    assert done.configmap["succeeded"] == "false"
    assert words in done.configmap["failureReason"]
    assert [one["failureKind"] for one in done.document["measurements"]] == ["config"]


def test_where_no_console_can_be_opened_the_limit_on_open_files_is_the_cause(scarce):
    # With none left at all, even the status could be written only as long as its connection lasts.
    assert_told(scarce(FILES_LEFT=1), FILES, "Raise the limit (ulimit -n 4096)")


@pytest.mark.parametrize("left", [0, 2, 4])
def test_where_no_thread_can_be_started_that_is_the_cause(scarce, left):
    assert_told(scarce(THREADS_LEFT=left), THREADS, "Raise the limit (ulimit -u")


def test_a_mesh_makes_do_with_few_open_files(scarce):
    nodes = ("--kv-nodes", "mesh", "--kv-node-set", "worker1,worker2,worker3")
    done = scarce(*nodes, FILES_LEFT=8)
    assert done.status == 0, done.output
    assert len(done.document["measurements"]) == 3


def test_a_checkup_makes_do_with_few_threads(scarce):
    done = scarce(THREADS_LEFT=12)
    assert done.status == 0, done.output


def test_twelve_open_files_suffice_or_are_told(cluster, run):
    # pytest's own part of them changes from version to version: some have none left to get as far as this.
    done = run(
        cluster,
        *("-p", "scarce", "-p", "no:faulthandler", "-s"),
        *("--kv-nad", "checks/blue-network", "--kv-sample-duration", "1s"),
        module="pytest_kvlatency",
        environment={"FILES_IN_ALL": "12"},
    )
    ours = "pytest_kvlatency/" in done.output.partition("INTERNALERROR")[2]
    assert done.status == 0 or FILES in done.output or not ours, done.output
    assert cluster.objects() == []
