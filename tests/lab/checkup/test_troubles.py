"""What clusters do to a checkup: VMIs that die, an API that stumbles, credentials of all kinds, a neighbour."""

from __future__ import annotations

import json
import time

import pytest
import yaml

from pytest_kvlatency.kube import paths

LONG = ("--kv-sample-duration", "20m", "--kv-timeout", "40m")
PAIRS = ("--kv-nodes", "worker1:worker1", "--kv-sample-duration", "1s")


@pytest.mark.edge_case(
    "E55",
    happens="A VMI fails, crashes or is deleted while it is measured.",
    does="Fails its own pairs, and measures the others:",
    says="VMI …",
)
def test_E55_vmis_that_end_are_causes_and_the_others_go_on(cluster, run):
    names = ("crash", "failed", "deleted", "blue")
    networks = [word for one in names for word in ("--kv-nad", f"checks/{one}-network")]
    done = run(cluster, *networks, "--kv-sample-duration", "40s")
    assert done.status == 1, done.output
    *ended, other = done.document["measurements"]
    assert len(ended) == 3
    for one in ended:
        assert one["outcome"] == "error"
        assert one["failureKind"] in ("provision", "guest")
        assert "VMI checks/latency-check" in one["failureReason"]
    assert (other["outcome"], other["received"]) == ("passed", 400)
    assert cluster.vmis() == []


IN_THIS_LAB = (
    "cannot measure a migration or a stream in this lab: time_scale makes its guests ping 20 times faster than the clock "
    "that stamps the replies"
)


def test_a_migration_or_a_stream_in_a_lab_whose_guests_are_faster_than_the_clock_is_refused(
    cluster, run, tmp_path
):
    (tmp_path / "test_own.py").write_text(
        "import pytest\n"
        "@pytest.mark.kvlatency(nodes='worker1:worker2>worker3')\n"
        "def test_a_migration(kv_latency): pass\n"
        "@pytest.mark.kvlatency(nodes='worker1:worker2')\n"
        "def test_a_stream(kv_stream):\n    with kv_stream(): pass\n"
    )
    done = run(cluster, "--kv-nad", "checks/blue-network")
    move, stream = done.document["measurements"]
    assert (move["outcome"], move["failureReason"], move["sourceVmi"]) == (
        "error",
        f"setup: {IN_THIS_LAB}",
        None,
    )
    assert (stream["outcome"], stream["extra"]) == ("failed", [])
    assert IN_THIS_LAB in stream["failureReason"]


WATCHFUL = """
from dataclasses import replace

from pytest_kvlatency.engine import vigil
vigil.STEPS = replace(vigil.STEPS, first=0.5)
"""


@pytest.mark.edge_case(
    "E55",
    happens="The target is deleted while a sample of many minutes runs, and VMIs may not be watched.",
    does="Looks at both VMIs now and then, and ends the check with that cause.",
)
def test_E55_a_target_that_is_deleted_ends_a_long_sample(cluster, start, role, tmp_path):
    (tmp_path / "conftest.py").write_text(WATCHFUL)
    pair = ("--kv-nad", "checks/blue-network", "--kv-nodes", "worker1:worker2")
    # Longer than a checkup may take here.
    hours = ("--kv-sample-duration", "4h", "--kv-timeout", "8h")
    checkup = start(cluster, *pair, *hours, kubeconfig=cluster.account(role))
    checkup.until(" pinging")
    (target,) = [one for one in cluster.objects() if one["status"]["nodeName"] == "worker2"]
    cluster.request("DELETE", paths.vmi("checks", target["metadata"]["name"]))
    assert checkup.end() == 1
    entry = checkup.document["measurements"][0]
    gone = f"VMI checks/{target['metadata']['name']} is "
    assert entry["failureKind"] == "provision"
    assert entry["failureReason"].startswith(("setup: " + gone, "run: " + gone)), entry["failureReason"]
    assert cluster.vmis() == []


@pytest.mark.edge_case(
    "E62",
    happens="API requests are answered with 429, 500 or 503, are reset, or take long.",
    does="Tries them again, and measures.",
)
@pytest.mark.parametrize(
    "faults",
    [
        [
            "{fault: api-error, code: 503, times: 6}",
            "{fault: api-error, code: 500, verb: create, times: 1}",
            "{fault: api-slow, delay: 300ms}",
        ],
        [
            "{fault: api-error, code: 429, retry_after: 1, times: 3}",
            "{fault: api-reset, times: 4}",
            "{fault: api-reset, verb: delete, times: 1}",
        ],
    ],
    ids=["errors and slow", "throttled and resets"],
)
def test_E62_an_api_that_stumbles(cluster_with, run, faults):
    cluster = cluster_with(*faults)
    name = cluster.make_configmap()
    done = run(cluster, "--kv-configmap", f"checks/{name}")
    assert done.status == 0, done.output
    assert cluster.status(name)["succeeded"] == "true"
    assert cluster.objects() == []


@pytest.mark.edge_case(
    "E62",
    happens="The API server is restarted, and in its first moments denies what is permitted (403).",
    does="Asks again for some seconds after a lost connection, and measures. Without one a 403 is final at once.",
)
def test_E62_an_api_server_that_is_restarted_at_each_step(cluster_with, run, role):
    restart = "{{fault: api-restart, verb: {}, resource: {}, down: 200ms, denies: 600ms}}"
    # Not the creation of a VMI: what may come of an attempt without an answer is waited for, for half a minute.
    steps = [
        ("update", "configmaps"),
        ("get", "network-attachment-definitions"),
        ("get", "virtualmachineinstances/console"),
        ("delete", "virtualmachineinstances"),
    ]
    cluster = cluster_with(*(restart.format(*one) for one in steps))
    name = cluster.make_configmap()
    done = run(cluster, "--kv-configmap", f"checks/{name}", kubeconfig=cluster.account(role))
    assert done.status == 0, done.output
    status = cluster.status(name)
    assert (status["succeeded"], status["failureReason"]) == ("true", "")
    assert cluster.objects() == []
    denied = [one["verb"] for one in cluster.audit() if one["code"] == 403]
    # The account may neither patch nor watch; what else it met depends on when it asked.
    assert set(denied) - {"patch", "watch"}


@pytest.mark.edge_case(
    "E53",
    happens="KubeVirt is not installed.",
    does="Fails with the kind `provision`, with a command to look:",
    says="Is KubeVirt installed?",
)
def test_E53_no_kubevirt(cluster_with, run):
    cluster = cluster_with("{fault: kubevirt-missing}")
    done = run(cluster, "--kv-nad", "checks/blue-network")
    entry = done.document["measurements"][0]
    assert entry["failureKind"] == "provision"
    assert "Is KubeVirt installed?" in entry["failureReason"]
    assert "kubectl api-resources --api-group=kubevirt.io" in done.output


@pytest.mark.edge_case(
    "E50",
    happens="No node fits a VMI, and nodes may not be read.",
    does="Fails with the kind `provision`, in the scheduler's words, after 10 s:",
    says="… nodes are available",
)
def test_E50_no_node_fits(cluster, run, role):
    account = cluster.account(role)
    nodes = ("--kv-nodes", "worker1:no-such-node")
    done = run(cluster, "--kv-nad", "checks/blue-network", *nodes, kubeconfig=account)
    entry = done.document["measurements"][0]
    assert entry["failureKind"] == "provision"
    assert "0/3 nodes are available" in entry["failureReason"]
    assert cluster.vmis() == []


PINNED = ("--kv-nad", "checks/blue-network", "--kv-nodes", "worker1:worker2", "--kv-sample-duration", "1s")
TIMED_OUT = "failed to do request: dial tcp 192.0.2.1:443: i/o timeout"


@pytest.mark.edge_case(
    "E85",
    happens="The pull of the guest's image fails, backs off, and succeeds later.",
    does="Waits for three tries, and measures.",
)
@pytest.mark.edge_case(
    "E86",
    happens="virt-handler cannot start the guest at first.",
    does="Waits for 30 s, and measures.",
)
def test_E85_E86_a_pull_and_a_start_that_heal_are_waited_for(cluster_with, run):
    cluster = cluster_with(
        f"{{fault: image-pull, node: worker1, times: 2, back_off: 500ms, message: '{TIMED_OUT}'}}",
        "{fault: sync-failed, node: worker2, times: 2}",
    )
    done = run(cluster, *PINNED)
    assert done.status == 0, done.output


#: What is said of VMIs that never start, by the network whose fault that is in the lab.
NEVER_STARTS = {
    "quota": ["exceeded quota"],
    "limited": ["must be less than or equal to memory limit of 256Mi"],
    "no-image": ["failed to resolve reference", "not found (ErrImagePull)"],
    "no-registry": [
        "worker1 cannot pull the guest image quay.io/",
        ": dial tcp 192.0.2.1:443: i/o timeout (ErrImagePull, tried 3 times)",
    ],
    "odd-image": ["cannot use the guest image of VMI ", ": invalid reference format (InvalidImageName)"],
    "no-container": ["the runtime does not know image volumes (CreateContainerError)"],
    "no-start": [
        'Synchronizing with the Domain failed: server error. command SyncVMI failed: "failed to create'
    ],
    "pending": [
        "cannot be set up on node worker1: Failed to create pod sandbox: ",
        'could not lookup "br1": Link not found (FailedCreatePodSandBox)',
    ],
}


@pytest.mark.edge_case(
    "E52", happens="A quota refuses the VMI.", does="Fails with the kind `provision`:", says="exceeded quota"
)
@pytest.mark.edge_case(
    "E86",
    happens="A LimitRange of the namespace is below what the VMI's pod requests.",
    does="Fails with the kind `provision` after 5 s, and names the LimitRange:",
    says="must be less than or equal to memory limit of …",
)
@pytest.mark.edge_case(
    "E51",
    happens="The guest's image cannot be pulled.",
    does="Fails with the kind `provision`, in the registry's words:",
    says="failed to resolve reference",
)
@pytest.mark.edge_case(
    "E85",
    happens="The guest's image cannot be pulled for a reason that another try may not meet.",
    does="Fails with the kind `provision` after three tries, in the registry's words:",
    says="tried 3 times",
)
@pytest.mark.edge_case(
    "E51",
    happens="The guest's image has a name that the node cannot parse, and pods may be read.",
    does="Fails with the kind `provision` after some seconds, in kubelet's words:",
    says="(InvalidImageName)",
)
@pytest.mark.edge_case(
    "E52",
    happens="A container of the VMI's pod cannot be created, and pods may be read.",
    does="Fails with the kind `provision` once that has lasted 15 s, in kubelet's words:",
    says="(CreateContainerError)",
)
@pytest.mark.edge_case(
    "E86",
    happens="virt-handler cannot start the guest.",
    does="Fails with the kind `provision` after 30 s, in its words:",
    says="Synchronizing with the Domain failed: …",
)
@pytest.mark.edge_case(
    "E24",
    happens="The NAD's network is missing on a node, and events may be read.",
    does="Fails with the kind `provision` once that has lasted 15 s, in the words of the CNI:",
    says="(FailedCreatePodSandBox)",
)
def test_E24_E51_E52_E85_E86_vmis_that_never_start_fail_in_the_words_of_what_refuses_them(cluster, run):
    networks = [word for one in NEVER_STARTS for word in ("--kv-nad", f"checks/{one}-network")]
    done = run(cluster, *networks, *PAIRS, "-p", "impatient")
    found = {one["nad"]: one for one in done.document["measurements"]}
    assert len(found) == len(NEVER_STARTS)
    for name, words in NEVER_STARTS.items():
        one = found[f"checks/{name}-network"]
        assert one["failureKind"] == "provision", one
        for each in words:
            assert each in one["failureReason"]
    assert "kubectl describe limitrange -n checks" in done.output
    assert "policy" not in done.output
    assert cluster.vmis() == []


@pytest.mark.edge_case(
    "E62",
    happens="KubeVirt's webhook is down for longer than `--kv-timeout`.",
    does="Says so, and waits no longer for a VMI that was never made.",
    says="failed calling webhook",
)
def test_E62_a_webhook_that_is_down_leaves_nothing_to_wait_for(cluster_with, run, tmp_path):
    short = "from pytest_kvlatency.checkup import teardown\nteardown.CLEANUP_SECONDS = 5\n"
    (tmp_path / "conftest.py").write_text(short)
    words = "failed calling webhook x.kubevirt.io"
    cluster = cluster_with(
        f"{{fault: api-error, code: 500, verb: create, resource: virtualmachineinstances, message: {words}}}"
    )
    done = run(cluster, *PINNED, "--kv-timeout", "6s")
    (one,) = done.document["measurements"]
    assert one["failureKind"] == "timeout"
    assert "failed calling webhook" in one["failureReason"]
    assert "teardown" not in done.output


@pytest.mark.edge_case(
    "E61",
    happens="Two checkups run in one namespace at the same time.",
    does="Each deletes only its own VMIs; both pass.",
)
def test_E61_two_checkups_at_the_same_time(cluster, start):
    arguments = (
        "--kv-nad",
        "checks/blue-network",
        "--kv-sample-duration",
        "30s",
        "--kv-nodes",
        "worker1:worker2",
    )
    one, other = start(cluster, *arguments), start(cluster, *arguments, json=False)
    assert (one.end(), other.end()) == (0, 0), one.output + other.output
    assert cluster.vmis() == []


def test_the_pod_owns_its_vmis(cluster, run, tmp_path):
    pod = {"metadata": {"name": "the-pod"}, "spec": {"containers": [{"name": "checkup", "image": "x"}]}}
    body = {"apiVersion": "v1", "kind": "Pod", **pod}
    uid = cluster.request("POST", "/api/v1/namespaces/checks/pods", body)["metadata"]["uid"]
    (tmp_path / "namespace").write_text("checks")
    (tmp_path / "conftest.py").write_text(
        "from pathlib import Path\n"
        "from pytest_kvlatency.kube import kubeconfig\n"
        "kubeconfig.SERVICE_ACCOUNT = Path('.')\n"
    )
    (tmp_path / "test_own.py").write_text(
        "from pytest_kvlatency.deadline import Deadline\n"
        "def test_it(kv_pair, kv_cluster):\n"
        "    path = '/apis/kubevirt.io/v1/namespaces/checks/virtualmachineinstances/' + kv_pair.source.vmi_name\n"
        "    vmi = kv_cluster.client.request('GET', path, deadline=Deadline(60))\n"
        "    assert vmi['metadata']['ownerReferences'] == [\n"
        f"        {{'apiVersion': 'v1', 'kind': 'Pod', 'name': 'the-pod', 'uid': {uid!r}}}]\n"
    )
    done = run(
        cluster,
        "--kv-nad",
        "checks/blue-network",
        *PAIRS,
        environment={"POD_UID": uid, "POD_NAME": "the-pod"},
    )
    assert done.status == 0, done.output


def data_of(cluster, key):
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    return config["users"][0]["user"].get(key)


def test_E11_a_credential_plugin_whose_tokens_expire(cluster, run, tmp_path):
    version = {"apiVersion": "client.authentication.k8s.io/v1"}
    status = {"token": data_of(cluster, "token"), "expirationTimestamp": "2020-01-01T00:00:00Z"}
    credential = {**version, "kind": "ExecCredential", "status": status}
    (tmp_path / "credential").write_text(json.dumps(credential))
    program = {
        **version,
        "command": "sh",
        "args": ["-c", f"cd {tmp_path} && echo asked >> count && cat credential"],
        "interactiveMode": "Never",
    }
    kubeconfig = cluster.kubeconfig_of({"exec": program})
    done = run(cluster, "--kv-nad", "checks/blue-network", *PAIRS, kubeconfig=kubeconfig)
    assert done.status == 0, done.output
    assert "asked" in (tmp_path / "count").read_text()


@pytest.mark.edge_case(
    "E11",
    happens="The API server refuses the token.",
    does="Fails with the kind `permission`:",
    says="does not accept the credentials",
)
def test_E11_a_token_that_the_server_refuses(cluster, run):
    kubeconfig = cluster.kubeconfig_of({"token": "not-a-token-of-this-cluster"})
    done = run(cluster, "--kv-nad", "checks/blue-network", kubeconfig=kubeconfig)
    entry = done.document["measurements"][0]
    assert entry["failureKind"] == "permission"
    assert "does not accept the credentials" in entry["failureReason"]
    assert "not-a-token-of-this-cluster" not in done.output


@pytest.mark.edge_case(
    "E62",
    happens="The API server goes, and does not come back.",
    does="Gives up when it was gone for longer than a restart takes. Says once what may be left, with the commands that delete it:",
    says="these VMIs may still exist",
)
def test_E62_a_server_that_is_gone_for_good_is_given_up_and_what_is_left_said_once(cluster_with, start):
    cluster = cluster_with()
    name = cluster.make_configmap()
    checkup = start(cluster, "--kv-configmap", f"checks/{name}", "-p", "impatient", *LONG)
    checkup.until(" pinging")
    created = [one["metadata"]["name"] for one in cluster.objects()]
    cluster.lab.stop()
    began = time.monotonic()
    assert checkup.end() == 1
    # A sixth of what clean-up and the status have together.
    assert time.monotonic() - began < 60
    errors, _, summary = checkup.output.partition("= kvlatency =")
    for vmi in created:
        for part in (errors, summary):
            assert part.count(f"kubectl delete vmi -n checks {vmi}") == 1
    (cause,) = [one for one in checkup.document["causes"] if one["kind"] == "provision"]
    assert cause["sentence"] == "the API server does not serve requests: Connection refused"
    reason = checkup.document["failureReason"]
    assert reason.count("these VMIs may still exist") == 1
    assert checkup.document["succeeded"] is False


@pytest.mark.edge_case(
    "E79",
    happens="The first answer of the API server takes 6 s.",
    does="Waits for it, or tries again, and measures.",
)
def test_E79_first_answers_that_take_6_s(cluster_with, run):
    cluster = cluster_with(
        "{fault: api-slow, delay: 6s, resource: configmaps, verb: get, times: 1}",
        "{fault: api-slow, delay: 6s, resource: nodes, verb: list, times: 2}",
    )
    name = cluster.make_configmap(data={"spec.param.sampleDurationSeconds": "1", "spec.param.nodes": "ring"})
    done = run(cluster, "--kv-configmap", f"checks/{name}")
    assert done.status == 0, done.output
    assert cluster.status(name)["succeeded"] == "true"
