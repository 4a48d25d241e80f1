"""Under the Role that is shipped everything works; without one of its rules the reason says which."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

MANIFESTS = Path(__file__).parents[3] / "manifests"
VMI = ("kubevirt.io", "virtualmachineinstances")
RULES = {
    "vmi-get": (*VMI, "get"),
    "vmi-create": (*VMI, "create"),
    "vmi-delete": (*VMI, "delete"),
    "console": ("subresources.kubevirt.io", "virtualmachineinstances/console", "get"),
    "nad": ("k8s.cni.cncf.io", "network-attachment-definitions", "get"),
    "configmap-get": ("", "configmaps", "get"),
    "configmap-update": ("", "configmaps", "update"),
}


def without(role, group, resource, verb):
    """The rules without one permission."""
    rules = []
    for rule in role:
        is_it = group in rule["apiGroups"] and resource in rule["resources"]
        verbs = [one for one in rule["verbs"] if not (is_it and one == verb)]
        if verbs:
            rules.append({**rule, "verbs": verbs})
    return rules


def test_E54_the_shipped_role_holds_exactly_what_is_needed(role):
    held = {
        (group, resource, verb)
        for rule in role
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert held == set(RULES.values())


def test_E54_the_role_suffices(cluster, run, role):
    seen = len(cluster.audit())
    name = cluster.make_configmap()
    done = run(
        cluster,
        "--kv-configmap",
        f"checks/{name}",
        kubeconfig=cluster.account(role),
        module="pytest_kvlatency",
    )
    assert done.status == 0, done.output
    assert cluster.status(name)["succeeded"] == "true"
    assert cluster.vmis() == []
    assert reviews(cluster, seen) == [], "what is permitted need not be asked for"


def reviews(cluster, seen):
    """The requests since then that ask what an account may do."""
    return [one for one in cluster.audit()[seen:] if one["resource"] == "selfsubjectaccessreviews"]


@pytest.mark.edge_case(
    "E54",
    happens="Several permissions are missing.",
    does="Asks after the first refusal which others are. Names all of them in one reason, once, and prints one "
    "manifest that grants them to this account.",
    says="may not get, create, delete virtualmachineinstances.kubevirt.io",
)
def test_E54_all_missing_permissions_are_named_at_once_and_one_manifest_grants_them(cluster, run, role):
    account = cluster.service_account([rule for rule in role if "configmaps" in rule["resources"]])
    kubeconfig = cluster.kubeconfig_of({"token": cluster.token_of(account)})
    seen = len(cluster.audit())
    name = cluster.make_configmap()
    done = run(cluster, "--kv-configmap", f"checks/{name}", kubeconfig=kubeconfig)
    assert done.status == 1, done.output
    reason = (
        f"setup: system:serviceaccount:checks:{account} may not "
        "get, create, delete virtualmachineinstances.kubevirt.io in namespace checks; "
        "get virtualmachineinstances.subresources.kubevirt.io/console in namespace checks; "
        "get network-attachment-definitions.k8s.cni.cncf.io in namespace checks"
    )
    assert cluster.status(name)["failureReason"] == reason
    (entry,) = done.document["measurements"]
    assert (entry["failureKind"], entry["failureReason"]) == ("permission", reason)
    assert done.output.count("ERROR at ") == 1
    assert len(reviews(cluster, seen)) == len(RULES), "one for each rule"
    lines = done.output.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("apiVersion: "))
    end = lines.index("", start)
    for one in yaml.safe_load_all("\n".join(lines[start:end])):
        plural = {"Role": "roles", "RoleBinding": "rolebindings"}[one["kind"]]
        cluster.request("POST", f"/apis/{one['apiVersion']}/namespaces/checks/{plural}", one)
    again = run(cluster, "--kv-configmap", f"checks/{cluster.make_configmap()}", kubeconfig=kubeconfig)
    assert again.status == 0, again.output


@pytest.mark.edge_case(
    "E54",
    happens="A permission is missing.",
    does="Names the verb, the resource and the namespace, and prints the manifest that grants it.",
)
@pytest.mark.parametrize("missing", RULES)
def test_E54_without_one_permission_the_reason_names_it(cluster, run, role, missing):
    group, resource, verb = RULES[missing]
    kubeconfig = cluster.account(without(role, group, resource, verb))
    name = cluster.make_configmap()
    done = run(cluster, "--kv-configmap", f"checks/{name}", "--kv-timeout", "1m", kubeconfig=kubeconfig)
    left = cluster.vmis()
    for one in cluster.objects():
        vmi = f"/apis/kubevirt.io/v1/namespaces/checks/virtualmachineinstances/{one['metadata']['name']}"
        cluster.request("DELETE", vmi, ok_missing=True)
    assert done.status == (4 if missing == "configmap-get" else 1), done.output
    assert "Traceback" not in done.output
    main, _, subresource = resource.partition("/")
    said = f"may not {verb} {main}.{group}/{subresource}".rstrip("/.")
    assert f"{said} in namespace checks" in re.sub("(checkup-[0-9]+|blue-network) ", "", done.output)
    assert "An administrator can grant this with kubectl apply -f - and this manifest:" in done.output
    assert "ERROR at teardown" not in done.output or missing == "vmi-delete"
    if missing not in ("configmap-get", "configmap-update"):
        status = cluster.status(name)
        assert status["succeeded"] == "false"
        assert said in status["failureReason"]
        kind = "teardown" if missing == "vmi-delete" else "permission"
        assert done.document["measurements"][0]["failureKind"] == kind
    if missing != "vmi-delete":
        assert left == []


MIGRATION = ("--kv-nad", "checks/blue-network", "--kv-nodes", "worker1:worker2>worker3")


@pytest.mark.edge_case(
    "E54",
    happens="A check migrates its target, and the account may not create migrations.",
    does="Fails with the kind `permission` before any VMI is created, and names the rules:",
    says="may not get, create, delete virtualmachineinstancemigrations.kubevirt.io in namespace checks",
)
def test_E54_a_migration_that_is_not_permitted_is_told_before_anything_is_created(cluster, run, role):
    seen = len(cluster.audit())
    done = run(cluster, *MIGRATION, kubeconfig=cluster.account(role), module="pytest_kvlatency")
    assert done.status == 1, done.output
    (one,) = done.document["measurements"]
    assert (one["failureKind"], one["outcome"]) == ("permission", "error")
    said = "may not get, create, delete virtualmachineinstancemigrations.kubevirt.io in namespace checks"
    assert said in one["failureReason"]
    # Replaces what an earlier manifest of this kind has granted, so that it must hold that as well.
    manifest = done.output[done.output.index("apiVersion: rbac") :]
    assert re.search(
        r"- virtualmachineinstancemigrations\n\s+verbs:\n\s+- get\n\s+- create\n\s+- delete", manifest
    )
    assert re.search(r"- virtualmachineinstances\n\s+verbs:\n\s+- get\n\s+- create\n\s+- delete", manifest)
    created = [one["resource"] for one in cluster.audit()[seen:] if one["verb"] == "create"]
    assert "virtualmachineinstances" not in created


def test_E54_the_optional_manifest_of_migrations_suffices(cluster_in_real_time, run, role):
    cluster = cluster_in_real_time
    documents = list(yaml.safe_load_all((MANIFESTS / "optional/migration/role.yaml").read_text("utf-8")))
    (more,) = (one["rules"] for one in documents if one["kind"] == "Role")
    done = run(cluster, *MIGRATION, kubeconfig=cluster.account([*role, *more]), module="pytest_kvlatency")
    (one,) = done.document["measurements"]
    assert one["migration"]["succeeded"], done.output
    assert one["migration"]["targetNode"] == "worker3"
    assert cluster.objects() == []


def test_E54_pods_and_events_that_may_not_be_read_are_asked_for_once(cluster, run, role):
    seen = len(cluster.audit())
    short = ("--kv-nodes", "worker1:worker2", "--kv-sample-duration", "1s", "--kv-timeout", "6s")
    nad = ("--kv-nad", "checks/pending-network", "-p", "impatient")
    done = run(cluster, *nad, *short, kubeconfig=cluster.account(role))
    (one,) = done.document["measurements"]
    assert one["failureKind"] == "timeout"
    assert (
        "its pod does not start: the network of NAD checks/pending-network may be missing"
        in one["failureReason"]
    )
    refused = [line["resource"] for line in cluster.audit()[seen:] if line["code"] == 403]
    assert sorted(set(refused) & {"events", "pods"}) == ["events", "pods"]
    assert (refused.count("pods"), refused.count("events")) == (1, 1)


@pytest.mark.edge_case(
    "E24",
    happens="The NAD is in a namespace that may not be read.",
    does="Fails with the kind `permission`:",
    says="may not get network-attachment-definitions",
)
def test_E24_a_nad_of_a_namespace_that_may_not_be_read(cluster, run, role):
    kubeconfig = cluster.account(role)
    done = run(cluster, "--kv-nad", "secrets/hidden-network", kubeconfig=kubeconfig)
    assert done.status == 1
    entry = done.document["measurements"][0]
    assert entry["failureKind"] == "permission"
    assert "may not get network-attachment-definitions" in entry["failureReason"]
    assert "namespace secrets" in entry["failureReason"]


@pytest.mark.edge_case(
    "E24",
    happens="The NAD does not exist.",
    does="Fails with the kind `config` before a VMI is created:",
    says="NetworkAttachmentDefinition … does not exist",
)
def test_E24_no_vmi_is_created_for_a_nad_that_does_not_exist(cluster, run):
    seen = len(cluster.audit())
    done = run(cluster, "--kv-nad", "default/no-such-network")
    assert done.status == 1
    entry = done.document["measurements"][0]
    assert (entry["outcome"], entry["failureKind"]) == ("error", "config")
    assert "NetworkAttachmentDefinition default/no-such-network does not exist" in entry["failureReason"]
    created = [
        line
        for line in cluster.audit()[seen:]
        if (line["resource"], line["verb"]) == ("virtualmachineinstances", "create")
    ]
    assert created == []


@pytest.mark.edge_case(
    "E67",
    happens="A guest's output contains a credential of the cluster.",
    does="Replaces it in every report and artifact:",
    says="[redacted]",
)
def test_E67_credentials_stand_in_no_report(cluster, run, role, tmp_path):
    kubeconfig = cluster.account(role)
    token = kubeconfig.read_text().partition("token: ")[2].split()[0]
    (tmp_path / "conftest.py").write_text(
        f"def pytest_kvlatency_measurement(measurement):\n    return 'judged by {token}'\n"
    )
    (tmp_path / "test_own.py").write_text(
        f"ECHO = 'first={token[:40]}; echo $first{token[40:]}'\n"
        "def test_it(kv_pair, kv_latency): kv_pair.source.run(ECHO, check=True)\n"
        "def test_bad(kv_pair): kv_pair.source.run(ECHO + '; false', check=True)\n"
    )
    reports = ("--junitxml", "junit.xml", "--html", "report.html", "--kv-artifacts", "artifacts")
    name = cluster.make_configmap()
    done = run(cluster, "--kv-configmap", f"checks/{name}", *reports, "--tb=no", kubeconfig=kubeconfig)
    assert done.status == 1
    assert token not in str(cluster.status(name))
    assert "[redacted]" in cluster.status(name)["failureReason"]
    written = [tmp_path / "out.json", tmp_path / "report.html", tmp_path / "junit.xml"]
    written += [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    assert len(written) > 4
    for path in written:
        assert token not in path.read_text(), path
    assert token not in done.output
