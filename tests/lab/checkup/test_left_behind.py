"""What a run that is killed leaves, and what a run that lives keeps."""

from __future__ import annotations

import textwrap

# Shorter than users wait, so that a test need not.
HASTE = """
from pytest_kvlatency.engine import lifetime
lifetime.CLEANUP_SECONDS = 1.0
lifetime.SLACK_SECONDS = {slack}
"""
PAIR = ("--kv-nad", "checks/blue-network", "--kv-nodes", "worker1:worker2", "--kv-sample-duration", "1s")


def hurry(tmp_path, *, slack=2.0):
    """Have checkups in this directory leave what they leave for a short time only."""
    (tmp_path / "conftest.py").write_text(HASTE.format(slack=slack))


def suite(tmp_path, text):
    (tmp_path / "test_own.py").write_text(textwrap.dedent(text))


def test_E92_guests_outlive_their_watchdogs_while_the_run_lives(cluster, run, tmp_path):
    hurry(tmp_path)
    suite(
        tmp_path,
        """
        import time

        def test_that_takes_its_time(kv_pair, kv_ping):
            time.sleep(14)
            assert kv_ping(sample_duration="1s").received > 0
            assert kv_pair.target.run("true").exit_status == 0

        def test_of_a_pair_that_was_idle_meanwhile(kv_latency):
            assert kv_latency.received > 0
        """,
    )
    done = run(cluster, *PAIR, "--kv-nodes", "worker1:worker2", "--kv-timeout", "12s")
    assert done.status == 0, done.output
    assert cluster.vmis() == []


def test_E92_what_is_not_up_in_time_is_given_up_while_a_test_runs(cluster, run, tmp_path):
    hurry(tmp_path)
    suite(
        tmp_path,
        """
        import time
        import pytest
        from pytest_kvlatency.deadline import Deadline

        VMIS = "/apis/kubevirt.io/v1/namespaces/checks/virtualmachineinstances"

        def names(cluster):
            vmis = cluster.client.request("GET", VMIS, deadline=Deadline(60))["items"]
            return {vmi["metadata"]["name"] for vmi in vmis
                    if "pending-network" in str(vmi["spec"]["networks"]) and "deletionTimestamp" not in vmi["metadata"]}

        @pytest.mark.kvlatency(nad="checks/blue-network")
        def test_that_takes_its_time(kv_latency, kv_cluster):
            end = time.monotonic() + 60
            while not names(kv_cluster):
                assert time.monotonic() < end
                time.sleep(0.05)
            while names(kv_cluster):
                assert time.monotonic() < end
                time.sleep(0.05)

        @pytest.mark.kvlatency(nad="checks/pending-network")
        def test_that_gets_no_guest(kv_latency):
            pass
        """,
    )
    done = run(cluster, "--kv-nodes", "worker1:worker2", "--kv-sample-duration", "1s", "--kv-timeout", "10s")
    own, other = done.document["measurements"]
    assert (own["outcome"], other["failureKind"]) == ("passed", "timeout"), done.output
