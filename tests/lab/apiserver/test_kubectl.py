"""kubectl, as people use it."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import yaml
from begun import begun

from pytest_kvlatency.lab.apiserver.resources import RESOURCES

from .helpers import MERGE, pod, pods, vmis

MANIFEST = """
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: blue-network}
spec: {config: '{"cniVersion":"0.3.1","type":"bridge","bridge":"br0"}'}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: checkup, labels: {kiagnose/checkup-type: kubevirt-vm-latency}}
data: {spec.timeout: 5m}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: vm-latency-checkup-sa}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: checker}
rules:
- {apiGroups: [kubevirt.io], resources: [virtualmachineinstances], verbs: [get, create, delete]}
- {apiGroups: [subresources.kubevirt.io], resources: [virtualmachineinstances/console], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: checker}
subjects: [{kind: ServiceAccount, name: vm-latency-checkup-sa}]
roleRef: {kind: Role, name: checker, apiGroup: rbac.authorization.k8s.io}
---
apiVersion: batch/v1
kind: Job
metadata: {name: checkup}
spec:
  backoffLimit: 0
  template:
    spec:
      serviceAccountName: vm-latency-checkup-sa
      restartPolicy: Never
      containers: [{name: checkup, image: example/checkup, env: [{name: A, value: b}]}]
---
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: {name: v1, labels: {app: x}, finalizers: [kubevirt.io/foregroundDeleteVirtualMachine]}
spec:
  domain: {devices: {interfaces: [{name: net, bridge: {}}]}, resources: {requests: {memory: 128Mi}}}
  networks: [{name: net, multus: {networkName: default/blue-network}}]
"""
RUNNING = {
    "status": {
        "phase": "Running",
        "nodeName": "worker1",
        "conditions": [{"type": "Ready", "status": "True"}],
    }
}


def let_go(lab, ns):
    lab.admin("PATCH", f"{vmis(ns)}/v1", {"metadata": {"finalizers": None}}, MERGE)


def run(lab, ns):
    assert lab.admin("PATCH", f"{vmis(ns)}/v1", RUNNING, MERGE).code == 200


@pytest.fixture
def applied(lab, kubectl, ns):
    kubectl("apply", "-n", ns, "-f", "-", stdin=MANIFEST)
    yield ns
    let_go(lab, ns)


@pytest.fixture
def made(lab, ns):
    """The same, without kubectl."""
    for one in yaml.safe_load_all(MANIFEST):
        (plural,) = (item.plural for item in RESOURCES if item.kind == one["kind"])
        prefix = "apis" if "/" in one["apiVersion"] else "api"
        answer = lab.admin("POST", f"/{prefix}/{one['apiVersion']}/namespaces/{ns}/{plural}", one)
        assert answer.code == 201, answer
    yield ns
    let_go(lab, ns)


def test_apply_is_idempotent_and_applies_changes(kubectl, applied):
    again = kubectl("apply", "-n", applied, "-f", "-", stdin=MANIFEST).stdout.splitlines()
    assert len(again) == 7
    assert all(line.endswith(" unchanged") for line in again), again
    changed = kubectl(
        "apply", "-n", applied, "-f", "-", stdin=MANIFEST.replace("value: b", "value: c")
    ).stdout
    assert "job.batch/checkup configured" in changed
    env = "{.spec.template.spec.containers[0].env}"
    shown = kubectl("get", "job", "checkup", "-n", applied, "-o", f"jsonpath={env}").stdout
    assert json.loads(shown) == [{"name": "A", "value": "c"}]
    assert (
        kubectl("diff", "-n", applied, "-f", "-", stdin=MANIFEST.replace("value: b", "value: c")).stdout == ""
    )


def test_apply_kustomize_and_server_side(kubectl, ns, tmp_path):
    (tmp_path / "all.yaml").write_text(MANIFEST)
    (tmp_path / "kustomization.yaml").write_text(f"resources: [all.yaml]\nnamespace: {ns}\n")
    assert "virtualmachineinstance.kubevirt.io/v1 created" in kubectl("apply", "-k", str(tmp_path)).stdout
    assert (
        "serverside-applied" in kubectl("apply", "--server-side", "-n", ns, "-f", "-", stdin=MANIFEST).stdout
    )
    kubectl("patch", "vmi", "v1", "-n", ns, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    kubectl("delete", "-k", str(tmp_path))
    assert kubectl("get", "vmi,job,net-attach-def", "-n", ns).stdout == ""


def test_get_shows_columns(lab, kubectl, made):
    run(lab, made)
    head, row = kubectl("get", "vmis", "-n", made).stdout.splitlines()
    assert head.split() == ["NAME", "PHASE", "IP", "NODENAME", "READY", "AGE"]
    assert row.split()[:4] == ["v1", "Running", "worker1", "True"]
    assert "LIVE-MIGRATABLE" in kubectl("get", "vmi", "-n", made, "-o", "wide").stdout
    assert kubectl("get", "vmi", "-n", made, "-l", "app=x", "-o", "name").stdout == (
        "virtualmachineinstance.kubevirt.io/v1\n"
    )
    assert (
        json.loads(kubectl("get", "vmi", "v1", "-n", made, "-o", "json").stdout)["status"]["phase"]
        == "Running"
    )
    assert "blue-network" in kubectl("get", "net-attach-def", "-A").stdout
    assert "phase: Running" in kubectl("get", "vmi", "v1", "-n", made, "-o", "yaml").stdout


def test_wait_for_conditions_and_paths(lab, kubectl, made):
    run(lab, made)
    for what in ("condition=Ready", "jsonpath={.status.phase}=Running"):
        assert (
            "condition met" in kubectl("wait", "vmi/v1", "-n", made, f"--for={what}", "--timeout=60s").stdout
        )
    late = kubectl("wait", "vmi/v1", "-n", made, "--for=delete", "--timeout=1s", check=False)
    assert "timed out waiting" in late.stderr


def test_delete_waits_for_finalizers(lab, kubectl, made):
    command = ["kubectl", f"--kubeconfig={lab.plane.kubeconfig}", "delete", "vmi", "v1", "-n", made]
    with begun(command, stdout=subprocess.PIPE, text=True, env=lab.kubectls) as deleting:
        kubectl("wait", "vmi/v1", "-n", made, "--for=jsonpath={.metadata.deletionTimestamp}", "--timeout=60s")
        assert deleting.poll() is None
        let_go(lab, made)
        assert deleting.communicate(timeout=60)[0] == 'virtualmachineinstance.kubevirt.io "v1" deleted\n'
    gone = kubectl("get", "vmi", "v1", "-n", made, check=False)
    assert gone.stderr == (
        'Error from server (NotFound): virtualmachineinstances.kubevirt.io "v1" not found\n'
    )


def test_a_token_is_held_to_its_role(lab, kubectl, made, tmp_path):
    token = kubectl("create", "token", "vm-latency-checkup-sa", "-n", made).stdout.strip()
    config = tmp_path / "kubeconfig"
    config.write_text(lab.plane.kubeconfig_for(token, namespace=made))

    def can(*args):
        return kubectl("auth", "can-i", *args, kubeconfig=config, check=False).stdout.strip()

    assert can("create", "vmi") == "yes"
    assert can("get", "vmi", "--subresource=console") == "no"  # another group than the console's
    assert can("list", "vmi") == "no"
    assert can("get", "pods") == "no"
    refused = kubectl("get", "pods", kubeconfig=config, check=False).stderr
    assert refused.startswith(
        f'Error from server (Forbidden): pods is forbidden: User "system:serviceaccount:{made}:vm-latency-checkup-sa"'
    )
    assert (
        "virtualmachineinstances.kubevirt.io" in kubectl("auth", "can-i", "--list", kubeconfig=config).stdout
    )
    whoami = kubectl("auth", "whoami", kubeconfig=config).stdout
    assert f"system:serviceaccount:{made}:vm-latency-checkup-sa" in whoami
    account = f"system:serviceaccount:{made}:vm-latency-checkup-sa"
    assert kubectl("auth", "can-i", "delete", "vmi", "-n", made, f"--as={account}").stdout.strip() == "yes"


def test_create_and_change_without_a_file(kubectl, ns):
    for args in (
        ("configmap", "c", "--from-literal=a=b"),
        ("secret", "generic", "s", "--from-literal=a=b"),
        ("serviceaccount", "acc"),
        ("role", "r", "--verb=get", "--resource=pods"),
        ("rolebinding", "rb", "--role=r", f"--serviceaccount={ns}:acc"),
        ("job", "j", "--image=x", "--", "sleep", "1"),
    ):
        assert "created" in kubectl("create", "-n", ns, *args).stdout
    kubectl("label", "cm", "c", "-n", ns, "x=y")
    kubectl("annotate", "cm", "c", "-n", ns, "note=it")
    kubectl("patch", "cm", "c", "-n", ns, "-p", '{"data":{"c":"d"}}')
    shown = json.loads(kubectl("get", "cm", "c", "-n", ns, "-o", "json").stdout)
    assert shown["data"] == {"a": "b", "c": "d"}
    assert (shown["metadata"]["labels"], shown["metadata"]["annotations"]) == ({"x": "y"}, {"note": "it"})
    assert "acc" in kubectl("describe", "rolebinding", "rb", "-n", ns).stdout
    assert kubectl("replace", "-n", ns, "-f", "-", stdin=json.dumps(shown)).stdout == "configmap/c replaced\n"


def test_describe_shows_events(lab, kubectl, made):
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": "v1."},
        "involvedObject": {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": "v1"},
        "reason": "FailedCreate",
        "message": "exceeded quota",
        "type": "Warning",
        "count": 1,
    }
    uid = lab.admin("GET", f"{vmis(made)}/v1").body["metadata"]["uid"]
    event["involvedObject"].update(namespace=made, uid=uid)
    assert lab.admin("POST", f"/api/v1/namespaces/{made}/events", event).code == 201
    assert "exceeded quota" in kubectl("describe", "vmi", "v1", "-n", made).stdout
    assert "exceeded quota" in kubectl("events", "-n", made).stdout
    heading = kubectl("get", "events", "-n", made).stdout.splitlines()[0]
    assert re.split(r"  +", heading) == ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]


def test_logs_come_from_the_provider(lab, kubectl, ns):
    async def provider(namespace, name, container):
        return (
            f"begin\n{namespace}/{name}/{container}\n".encode() if container == "guest-console-log" else None
        )

    lab.plane.set_pod_log_provider(provider)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {
            "containers": [{"name": "compute", "image": "x"}, {"name": "guest-console-log", "image": "x"}]
        },
    }
    kubectl("create", "-n", ns, "-f", "-", stdin=json.dumps(pod))
    log = ("logs", "p", "-n", ns, "-c", "guest-console-log")
    assert kubectl(*log).stdout == f"begin\n{ns}/p/guest-console-log\n"
    assert kubectl(*log, "--tail=1").stdout == f"{ns}/p/guest-console-log\n"
    assert kubectl(*log, "--limit-bytes=5").stdout == "begin"
    assert (
        "container compute is not valid for pod p"
        in kubectl("logs", "p", "-n", ns, "-c", "compute", check=False).stderr
    )


@pytest.mark.parametrize("args", [("exec", "p", "--", "ls"), ("attach", "p"), ("port-forward", "p", "0:80")])
def test_nothing_runs_in_pods_and_the_answer_says_so(lab, kubectl, ns, args):
    lab.admin("POST", pods(ns), pod("p"))
    assert lab.admin("PATCH", f"{pods(ns)}/p/status", {"status": {"phase": "Running"}}, MERGE).code == 200
    refused = kubectl("-n", ns, *args, check=False)
    assert refused.returncode != 0
    assert "no containers run in the lab's pods" in refused.stderr


def test_discovery(kubectl):
    listed = kubectl("api-resources").stdout
    for words in ("vmi,vmis", "net-attach-def", "kv,kvs", "rolebindings"):
        assert words in listed
    assert "Server Version: v1.32" in kubectl("version").stdout
    assert "is running at" in kubectl("cluster-info").stdout
