"""What comes of the manifests' Jobs: success, failure, deletion while they run, a rerun as the web console does it."""

from __future__ import annotations

import json
import time

import pytest
from checkupconfig import change, data_of, set_parameters
from jobcontroller import JOBS, MANIFESTS
from test_manifests import ACCOUNT, container_of, document

from pytest_kvlatency.kube import paths

NAME = "latency-checkup"
STATUS = ["startTimestamp", "completionTimestamp", "succeeded", "failureReason"]
NUMBERS = ["minLatencyNanoSec", "avgLatencyNanoSec", "maxLatencyNanoSec", "measurementDurationSec"]


@pytest.fixture
def cluster(kubectl, jobs):
    """The permissions are granted, and the ConfigMap is there; all is removed at the end."""
    kubectl("apply", "-k", MANIFESTS / "permissions")
    kubectl("apply", "-f", MANIFESTS / "base" / "configmap.yaml")
    yield kubectl
    kubectl("delete", "-k", MANIFESTS / "base", "--ignore-not-found")
    kubectl("wait", "--for=delete", "pods", "--all", "--timeout=60s", check=False)


def running_vmis(administrator):
    return [one for one in administrator.objects() if one.get("status", {}).get("phase") == "Running"]


def end_of(kubectl, name="latency-checkup", condition="complete"):
    kubectl("wait", f"--for=condition={condition}", f"job/{name}", "--timeout=100s")


def refused(lab, since):
    """What the account was refused meanwhile, as ``verb resource``."""
    lines = (lab.directory / "audit.jsonl").read_text().splitlines()[since:]
    found = [json.loads(line) for line in lines]
    user = f"system:serviceaccount:default:{ACCOUNT}"
    return {f"{one['verb']} {one['resource']}" for one in found if one["user"] == user and one["code"] == 403}


def requests(lab):
    return len((lab.directory / "audit.jsonl").read_text().splitlines())


def test_a_network_that_fails_fails_the_job_and_the_log_tells_why(administrator, cluster, jobs):
    set_parameters(administrator, NAME, networkAttachmentDefinitionName="cut-network")
    cluster("apply", "-f", MANIFESTS / "base" / "job.yaml")
    end_of(cluster, condition="failed")
    waiting = ("wait", "--for=condition=complete", "job/latency-checkup", "--timeout=1s")
    assert "timed out waiting" in cluster(*waiting, check=False).stderr
    data = data_of(administrator, NAME)
    reason = "run: failed to run check: failed due to connectivity issue: 50 packets transmitted, 0 packets received"
    assert data["status.succeeded"] == "false"
    assert data["status.failureReason"].startswith(reason)
    (log,) = jobs.logs.values()
    assert reason in log
    assert "default/cut-network" in log
    # It is no terminal: nothing coloured, no line drawn anew.
    assert "\x1b" not in log
    assert "\r" not in log


def test_E72_a_job_that_is_deleted_while_it_runs_leaves_its_status_and_no_vmi(administrator, cluster, jobs):
    # The lab's time runs 20 times as fast; this is a minute.
    set_parameters(administrator, NAME, sampleDurationSeconds="1200")
    change(administrator, NAME, {"spec.timeout": "1h"})
    cluster("apply", "-f", MANIFESTS / "base" / "job.yaml")
    until = time.monotonic() + 60
    while len(vmis := running_vmis(administrator)) < 2:
        assert time.monotonic() < until, jobs.logs
        time.sleep(0.1)
    pods = administrator.request("GET", paths.namespaced(paths.CORE, "default", "pods"))["items"]
    (pod,) = [one for one in pods if one["metadata"]["labels"].get("job-name") == NAME]
    owner = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": pod["metadata"]["name"],
        "uid": pod["metadata"]["uid"],
    }
    assert all(one["metadata"]["ownerReferences"] == [owner] for one in vmis)
    cluster("delete", "job", "latency-checkup")
    ended = "--for=jsonpath={.data.status\\.completionTimestamp}"
    cluster("wait", "configmap/latency-checkup", ended, "--timeout=60s")
    data = data_of(administrator, NAME)
    assert data["status.succeeded"] == "false"
    assert "SIGTERM" in data["status.failureReason"]
    for one in vmis:
        cluster("wait", f"vmi/{one['metadata']['name']}", "--for=delete", "--timeout=60s")


def test_E54_the_web_consoles_rerun_succeeds_and_with_speed_nothing_is_refused(lab, administrator, cluster):
    since = requests(lab)
    cluster("apply", "-f", MANIFESTS / "base" / "job.yaml")
    end_of(cluster)
    assert refused(lab, since) == {"watch virtualmachineinstances", "patch configmaps"}
    first = data_of(administrator, NAME)
    keys = [f"status.{one}" for one in STATUS] + [f"status.result.{one}" for one in NUMBERS]
    patch = json.dumps([{"op": "remove", "path": f"/data/{one}"} for one in keys])
    cluster("patch", "configmap", "latency-checkup", "--type=json", "-p", patch)
    uid = {"fieldRef": {"fieldPath": "metadata.uid"}}
    container = {
        "name": "latency-checkup-7",
        "image": container_of("base/job.yaml")["image"],
        "env": [
            {"name": "CONFIGMAP_NAMESPACE", "value": "default"},
            {"name": "CONFIGMAP_NAME", "value": "latency-checkup"},
            {"name": "POD_UID", "valueFrom": uid},
        ],
    }
    pod = {"containers": [container], "restartPolicy": "Never", "serviceAccountName": ACCOUNT}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "latency-checkup-7", "labels": document("base/job.yaml")["metadata"]["labels"]},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}},
    }
    cluster("apply", "-k", MANIFESTS / "optional" / "speed")
    since = requests(lab)
    administrator.request("POST", JOBS, job)
    end_of(cluster, "latency-checkup-7")
    assert refused(lab, since) == set()
    second = data_of(administrator, NAME)
    assert set(second) == set(first)
    assert second["status.succeeded"] == "true"
    cluster("delete", "job", "latency-checkup-7")
    cluster("delete", "-k", MANIFESTS / "optional" / "speed")


def test_E54_a_mesh_finds_its_nodes_with_the_cluster_role(administrator, cluster):
    cluster("apply", "-k", MANIFESTS / "optional" / "nodes")
    set_parameters(administrator, NAME, nodes="mesh")
    cluster("apply", "-f", MANIFESTS / "base" / "job.yaml")
    end_of(cluster)
    data = data_of(administrator, NAME)
    assert len(json.loads(data["status.result.measurements"])) == 3
    cluster("delete", "-k", MANIFESTS / "optional" / "nodes")


def test_E54_with_diagnosis_the_reason_says_which_networks_there_are(lab, administrator, cluster, jobs):
    set_parameters(administrator, NAME, networkAttachmentDefinitionName="blu-network")
    since = requests(lab)
    cluster("apply", "-k", MANIFESTS / "optional" / "diagnosis")
    cluster("apply", "-f", MANIFESTS / "base" / "job.yaml")
    end_of(cluster, condition="failed")
    reason = data_of(administrator, NAME)["status.failureReason"]
    assert "does not exist" in reason
    (log,) = jobs.logs.values()
    assert "blue-network, cut-network" in log
    assert "list network-attachment-definitions" not in refused(lab, since)
    cluster("delete", "-k", MANIFESTS / "optional" / "diagnosis")
