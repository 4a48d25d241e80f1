"""What a run that is killed leaves, and what a run that lives keeps."""

from __future__ import annotations

import signal
import textwrap
import time

import pytest

from pytest_kvlatency.kube import paths

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


@pytest.mark.edge_case(
    "E92",
    happens="Users' tests take longer than the watchdogs in the guests.",
    does="The watchdogs are renewed while the run lives; the guests stay up.",
)
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
                time.sleep(0.2)
            while names(kv_cluster):
                assert time.monotonic() < end
                time.sleep(0.2)

        @pytest.mark.kvlatency(nad="checks/pending-network")
        def test_that_gets_no_guest(kv_latency):
            pass
        """,
    )
    done = run(cluster, "--kv-nodes", "worker1:worker2", "--kv-sample-duration", "1s", "--kv-timeout", "10s")
    own, other = done.document["measurements"]
    assert (own["outcome"], other["failureKind"]) == ("passed", "timeout"), done.output


def phases(vmis):
    return {(vmi.get("status") or {}).get("phase") for vmi in vmis}


@pytest.mark.edge_case(
    "E60",
    happens="The run is killed, and leaves its VMIs.",
    says="removed 2 VMIs of killed runs from namespace checks: …",
    does="`--kv-sweep` removes them once they have expired and their guests have powered off.",
)
@pytest.mark.edge_case(
    "E92",
    happens="The run is killed while its guests boot.",
    does="A watchdog that cloud-init started powers each of them off.",
)
def test_E60_E92_what_a_run_left_that_was_killed_while_its_guests_booted_is_swept(
    cluster_with, start, run, tmp_path
):
    cluster = cluster_with("{fault: slow-boot, after: 40s}")
    hurry(tmp_path)
    killed = start(cluster, *PAIR, "--kv-timeout", "20s", json=False)
    cluster.until_vmis(lambda found: len(found) == 2 and phases(found) == {"Running"})
    killed.kill()
    names = sorted(cluster.vmis())
    # Each guest boots on, finds nobody, and powers itself off.
    cluster.until_vmis(lambda found: phases(found) == {"Succeeded"})
    assert sorted(cluster.vmis()) == names
    expired = max(vmi["metadata"]["annotations"]["pytest-kvlatency/expires-at"] for vmi in cluster.objects())
    while cluster.admin.now().strftime("%Y-%m-%dT%H:%M:%SZ") <= expired:
        time.sleep(0.1)

    done = run(cluster, "--kv-sweep")
    assert done.status == 0, done.output
    assert (
        f"kvlatency: removed 2 VMIs of killed runs from namespace checks: {', '.join(names)}" in done.output
    )
    assert done.document["swept"] == [f"checks/{name}" for name in names]
    assert (done.document["succeeded"], done.document["measurements"]) == (True, [])
    assert cluster.objects() == []


def age(cluster, name):
    """Have a VMI be so old that no run can need it, though its guest runs."""
    path = paths.vmi("checks", name)
    annotations = {"pytest-kvlatency/expires-at": "2026-01-01T00:00:00Z"}
    cluster.request("PATCH", path, {"metadata": {"annotations": annotations}})


@pytest.mark.edge_case(
    "E61",
    happens="A sweep meets VMIs of a run that lives, and others that `--kv-keep` kept.",
    does="It removes neither, and names them with the reason.",
)
def test_E60_E61_a_sweep_that_a_configmap_asks_for_leaves_other_runs_and_what_was_kept(cluster, start, run):
    kept = run(cluster, *PAIR, "--kv-keep", "always")
    assert kept.status == 0, kept.output
    names = set(cluster.vmis())
    dead = start(cluster, *PAIR, "--kv-sample-duration", "2h", json=False)
    cluster.until_vmis(lambda found: len(found) == 4 and phases(found) == {"Running"})
    dead.kill()
    left = set(cluster.vmis()) - names
    for name in left:
        age(cluster, name)
    alive = start(cluster, *PAIR, "--kv-sample-duration", "2h", json=False)
    cluster.until_vmis(lambda found: len(found) == 6 and phases(found) == {"Running"})
    young = sorted(set(cluster.vmis()) - names - left)

    asked = {"spec.param.sweep": "true", "spec.param.sampleDurationSeconds": "1"}
    done = run(cluster, "--kv-configmap", f"checks/{cluster.make_configmap(data=asked)}")
    assert done.status == 0, done.output
    assert set(done.document["swept"]) == {f"checks/{name}" for name in left}
    assert done.document["measurements"][0]["outcome"] == "passed"
    assert f"kvlatency: left {', '.join(young)}: not expired" in done.output
    assert set(cluster.vmis()) == names.union(young)
    alive.send(signal.SIGTERM)
    assert alive.end() == 2, alive.output
    assert set(cluster.vmis()) == names
    for name in names:
        assert f"kubectl delete vmi -n checks {min(names)} …" in done.output
        cluster.request("DELETE", paths.vmi("checks", name))
    cluster.until_vmis(lambda found: not found)


def test_E60_a_guest_that_was_left_while_it_migrated_is_swept_with_its_migration(
    cluster_in_real_time, start, run
):
    cluster = cluster_in_real_time
    move = ("--kv-nad", "checks/running-move-network", "--kv-nodes", "worker1:worker2>worker3")
    killed = start(cluster, *move, json=False, module="pytest_kvlatency")
    cluster.until(lambda: cluster.have_begun("Running"))
    killed.kill()
    for name in cluster.vmis():
        age(cluster, name)
    done = run(cluster, "--kv-sweep")
    assert done.status == 0, done.output
    assert len(done.document["swept"]) == 2
    assert cluster.objects() == []
    assert cluster.migrations() == []


def test_E92_user_data_without_room_for_a_watchdog_goes_as_it_is(cluster, run, tmp_path):
    (tmp_path / "conftest.py").write_text(
        "from dataclasses import replace\n"
        "from pytest_kvlatency.guest.profiles import ALPINE\n"
        "def pytest_kvlatency_guest_profiles(config):\n"
        "    data = {'write_files': [{'path': '/etc/long', 'content': 'x' * 1850}]}\n"
        "    return [replace(ALPINE, name='long', user_data=data)]\n"
    )
    done = run(cluster, *PAIR, "--kv-guest", "long")
    assert done.status == 0, done.output
    notes = done.document["measurements"][0]["notes"]
    room = "its user data has no room for a watchdog, so the guest gets one only after the login"
    assert notes == [f"source: {room}", f"target: {room}"]


CHECKER = [
    {
        "apiGroups": ["kubevirt.io"],
        "resources": ["virtualmachineinstances"],
        "verbs": ["get", "create", "delete"],
    },
    {
        "apiGroups": ["subresources.kubevirt.io"],
        "resources": ["virtualmachineinstances/console"],
        "verbs": ["get"],
    },
    {"apiGroups": ["k8s.cni.cncf.io"], "resources": ["network-attachment-definitions"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "update"]},
]


def test_E54_E60_a_sweep_that_may_not_list_fails_the_run_and_hinders_no_check(cluster, run):
    account = cluster.account(CHECKER)
    done = run(cluster, *PAIR, "--kv-sweep", kubeconfig=account)
    assert done.status == 1
    assert "--kv-sweep: " in done.output
    assert "may not list virtualmachineinstances.kubevirt.io in namespace checks" in done.output
    assert 'verbs: ["list"]' in done.output
    assert [one["outcome"] for one in done.document["measurements"]] == ["passed"]
    assert done.document["succeeded"] is False
    assert "setup: --kv-sweep: " in done.document["failureReason"]


@pytest.mark.parametrize("arguments", [("-n", "2"), ("--kv-shard", "0/2"), ("--kv-shard", "1/2")])
def test_E60_of_workers_and_shards_one_process_sweeps(cluster, run, arguments):
    before = len(cluster.audit())
    done = run(cluster, "--kv-sweep", *PAIR, "--kv-nodes", "worker2:worker3", *arguments)
    assert done.status == 0, done.output
    lists = [
        one
        for one in cluster.audit()[before:]
        if one["verb"] == "list"
        and one["resource"] == "virtualmachineinstances"
        and "checks" in str(one["namespace"])
        and "kubevirt" not in one["user"]
    ]
    is_other = arguments[-1] == "1/2"
    assert len(lists) == (0 if is_other else 1), lists
    assert ("kvlatency: --kv-sweep is left to shard 0" in done.output) is is_other


def test_a_sweep_runs_no_test_that_only_lists_or_was_collected_wrongly(cluster, run, tmp_path):
    before = len(cluster.audit())
    assert run(cluster, "--kv-sweep", "--collect-only").status == 5
    suite(tmp_path, "import pytest\n@pytest.mark.kvlatency(nadd='x')\ndef test_it(): pass\n")
    assert run(cluster, "--kv-sweep").status == 2
    # The lab's own controllers list, too.
    assert not [
        one for one in cluster.audit()[before:] if one["verb"] == "list" and "kubevirt" not in one["user"]
    ]
