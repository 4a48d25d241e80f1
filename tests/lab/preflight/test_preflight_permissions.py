"""A preflight says which server, as whom, and each rule that the plan needs; and how to grant what is missing."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

BLUE = ("--kv-nad", "checks/blue-network")
VMIS = "virtualmachineinstances.kubevirt.io"
CONSOLE = "virtualmachineinstances.subresources.kubevirt.io/console"
NADS = "network-attachment-definitions.k8s.cni.cncf.io"
OPTIONAL = (
    f"list {VMIS} in namespace checks, watch {VMIS} in namespace checks, list events in namespace checks, "
    "list pods in namespace checks, get pods/log in namespace checks, get nodes, list nodes"
)


def test_a_preflight_of_a_plan_that_can_run_passes_and_creates_nothing(lab, preflight):
    done = preflight(*BLUE)
    assert done.status == 0, done.output
    assert done.lines[:3] == [
        f"ok cluster {lab.admin.server}: Kubernetes v1.32.4",
        f"ok credentials: kubernetes-admin (from {lab.admin.origin})",
        "ok KubeVirt: v1.6.2",
    ]
    assert done.lines[3:9] == [
        f"ok permission get {VMIS} in namespace checks: granted",
        f"ok permission create {VMIS} in namespace checks: granted",
        f"ok permission delete {VMIS} in namespace checks: granted",
        f"ok permission get {CONSOLE} in namespace checks: granted",
        f"ok permission get {NADS} in namespace checks: granted",
        "ok optional permissions: all granted",
    ]
    assert "kvlatency: preflight passed: 0 of " in done.output
    assert "no tests ran" in done.output
    assert (done.document["succeeded"], done.document["failureReason"]) == (True, None)
    assert done.document["measurements"] == []
    assert lab.objects() == []


def test_the_shipped_role_passes_a_preflight(lab, preflight, role):
    done = preflight(*BLUE, kubeconfig=lab.account(role))
    assert done.status == 0, done.output
    assert (
        "ok optional permissions: not granted, and not needed (they make a run faster, and its reasons more exact): "
        f"{OPTIONAL}" in done.lines
    )


def test_a_preflight_of_a_migration_names_the_rules_that_it_needs_in_addition(lab, preflight, role):
    done = preflight(*BLUE, "--kv-nodes", "worker1:worker2>worker3", kubeconfig=lab.account(role))
    assert done.status == 1, done.output
    migrations = "virtualmachineinstancemigrations.kubevirt.io in namespace checks"
    for verb in ("get", "create", "delete"):
        assert f"FAILED permission {verb} {migrations}: not granted" in done.lines
    assert f"ok permission create {VMIS} in namespace checks: granted" in done.lines
    # The manifest replaces an earlier one of its kind, and grants the rules of that as well.
    assert re.search(
        r"- virtualmachineinstancemigrations\n\s+verbs:\n\s+- get\n\s+- create\n\s+- delete", done.output
    )
    assert re.search(r"- virtualmachineinstances\n\s+verbs:", done.output)


@pytest.mark.edge_case(
    "E54",
    happens="Several permissions are missing before a run (`--kv-preflight`).",
    does="Names all of them at once, and prints the Role and its binding for this account.",
)
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_E54_all_missing_permissions_are_named_and_the_manifest_grants_them(lab, preflight):
    account = lab.service_account([])
    kubeconfig = lab.kubeconfig_of({"token": lab.token_of(account)})
    done = preflight(*BLUE, kubeconfig=kubeconfig)
    assert done.status == 1, done.output
    assert done.lines[1].startswith(
        f"ok credentials: system:serviceaccount:checks:{account} (from kubeconfig {kubeconfig}"
    )
    missing = [
        f"get {VMIS} in namespace checks",
        f"create {VMIS} in namespace checks",
        f"delete {VMIS} in namespace checks",
        f"get {CONSOLE} in namespace checks",
        f"get {NADS} in namespace checks",
    ]
    failed = [f"FAILED permission {one}: not granted" for one in missing]
    assert done.lines[3:8] == failed
    assert f"setup: preflight: permission {missing[0]}: not granted" in done.document["failureReason"]
    introduction, _, manifest = done.of("permission")[-1]["hint"].partition("\n")
    assert introduction == "An administrator can grant this with kubectl apply -f - and this manifest:"
    assert (
        f"\n         - kind: ServiceAccount\n           namespace: checks\n           name: {account}\n"
        in done.output
    )
    command = ["kubectl", "--kubeconfig", lab.kubeconfig, "apply", "-f", "-"]
    subprocess.run(command, input=manifest, text=True, check=True, capture_output=True)
    again = preflight(*BLUE, kubeconfig=kubeconfig)
    assert [one["outcome"] for one in again.of("permission")] == ["ok"] * 5
    assert again.status == 0, again.output


def test_each_namespace_and_the_configmap_have_rules_of_their_own(lab, preflight, role):
    name = lab.configmap({"spec.param.preflight": "true"})
    done = preflight("--kv-configmap", f"checks/{name}", asked=False)
    assert done.status == 0, done.output
    assert [one["subject"] for one in done.of("permission")][-2:] == [
        f"get configmaps {name} in namespace checks",
        f"update configmaps {name} in namespace checks",
    ]
    data = lab.request("GET", f"/api/v1/namespaces/checks/configmaps/{name}")["data"]
    assert (data["status.succeeded"], data["status.failureReason"]) == ("true", "")
    assert data["status.startTimestamp"] <= data["status.completionTimestamp"]
    assert not any(key.startswith("status.result.") for key in data)


def test_a_server_that_does_not_answer_is_one_line(lab, preflight):
    kubeconfig = lab.kubeconfig_of({"token": "none"}, server="https://127.0.0.1:1")
    done = preflight(*BLUE, kubeconfig=kubeconfig)
    assert done.status == 1
    (line,) = done.lines
    assert line.startswith("FAILED cluster: cannot reach the API server https://127.0.0.1:1: ")


def test_credentials_that_the_server_does_not_accept_are_one_line(lab, preflight):
    done = preflight(*BLUE, kubeconfig=lab.kubeconfig_of({"token": "expired-token"}))
    assert done.status == 1
    (line,) = done.lines
    assert line.startswith(f"FAILED credentials: {lab.admin.server} does not accept the credentials (401 ")


@pytest.mark.edge_case(
    "E53",
    happens="KubeVirt is not installed (`--kv-preflight`).",
    does="Says that its API is not served, with a command to look:",
    says="does not serve its API, kubevirt.io/v1",
)
def test_E53_a_cluster_without_kubevirt_fails(preflight, bare_cluster):
    done = preflight("--kv-nad", "default/blue-network", where=["--kv-kubeconfig", bare_cluster])
    assert done.status == 1, done.output
    (line,) = done.of("KubeVirt")
    assert line["outcome"] == "failed"
    assert line["message"].startswith("https://127.0.0.1:")
    assert line["message"].endswith(" does not serve its API, kubevirt.io/v1")
    assert line["hint"] == "Check `kubectl api-resources --api-group=kubevirt.io`: is KubeVirt installed?"
    assert f"FAILED KubeVirt: {line['message']}" in done.lines


def test_E53_a_version_that_may_not_be_read_is_skipped(lab, preflight, role):
    account = lab.account(role)
    with lab.secret_versions():
        done = preflight(*BLUE, kubeconfig=account)
    assert done.status == 0, done.output
    assert "skipped KubeVirt: not permitted to read its version" in done.lines
    assert done.document["cluster"]["kubevirtVersion"] is None
