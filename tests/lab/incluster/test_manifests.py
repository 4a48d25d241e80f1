"""The manifests as data: the contract's names, the Role, Pod Security, and that all of them fit together."""

from __future__ import annotations

import copy
import re

import pytest
import yaml
from jobcontroller import ENTRYPOINT, MANIFESTS, ROOT
from podsecurity import violations

from pytest_kvlatency.checkup.closing_reports import STATUS_SECONDS
from pytest_kvlatency.checkup.teardown import ASKING_SECONDS
from pytest_kvlatency.config.configmapparams import configmap_layer
from pytest_kvlatency.config.options import INDEX_VARIABLE, SHARDS_VARIABLE
from pytest_kvlatency.config.resolve import resolve
from pytest_kvlatency.deadline import CLEANUP_SECONDS
from pytest_kvlatency.units import parse_duration

ACCOUNT = "vm-latency-checkup-sa"
LABEL = {"kiagnose/checkup-type": "kubevirt-vm-latency"}
IMAGE = "example.com/pytest-kvlatency"
WORKLOADS = ["base/job.yaml", "shards/job.yaml", "merge/job.yaml", "reader/pod.yaml"]
CHECKUPS = WORKLOADS[:2]
CONTRACT = [
    ({"kubevirt.io"}, {"virtualmachineinstances"}, {"get", "create", "delete"}),
    ({"subresources.kubevirt.io"}, {"virtualmachineinstances/console"}, {"get"}),
    ({"k8s.cni.cncf.io"}, {"network-attachment-definitions"}, {"get"}),
    ({""}, {"configmaps"}, {"get", "update"}),
]


def documents(path):
    return list(yaml.safe_load_all((MANIFESTS / path).read_text(encoding="utf-8")))


def document(path):
    (one,) = documents(path)
    return one


def pod_of(path):
    one = document(path)
    return one["spec"] if one["kind"] == "Pod" else one["spec"]["template"]["spec"]


def container_of(path):
    (one,) = pod_of(path)["containers"]
    return one


def environment_of(path):
    return {one["name"]: one for one in container_of(path)["env"]}


def kustomizations():
    return sorted(one.parent for one in MANIFESTS.rglob("kustomization.yaml"))


# --- permissions


def test_E54_the_role_is_the_contracts():
    role = document("permissions/role.yaml")
    assert role["metadata"] == {"name": "kubevirt-vm-latency-checker"}
    held = [(set(rule["apiGroups"]), set(rule["resources"]), set(rule["verbs"])) for rule in role["rules"]]
    assert held == CONTRACT
    assert all(set(rule) == {"apiGroups", "resources", "verbs"} for rule in role["rules"])


def test_E54_the_role_is_the_readmes():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = [yaml.safe_load(one) for one in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    assert [one for one in blocks if one.get("kind") == "Role"] == [document("permissions/role.yaml")]
    assert [one for one in blocks if one.get("kind") == "ConfigMap"] == [document("base/configmap.yaml")]


@pytest.mark.parametrize(
    "path",
    [
        "permissions/rolebinding.yaml",
        "optional/diagnosis/role.yaml",
        "optional/speed/role.yaml",
        "optional/nodes/clusterrole.yaml",
        "optional/sweep/role.yaml",
        "optional/migration/role.yaml",
    ],
)
def test_each_binding_gives_its_role_to_the_account(path):
    found = [*documents(path), *documents("permissions/role.yaml")]
    bindings = [one for one in found if one["kind"].endswith("Binding")]
    assert bindings
    for one in bindings:
        ref = one["roleRef"]
        assert (ref["kind"], ref["name"]) in {(role["kind"], role["metadata"]["name"]) for role in found}
        assert one["subjects"] == [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": "default"}]


# --- the pods


@pytest.mark.parametrize("path", WORKLOADS)
def test_pods_meet_the_restricted_pod_security_standard(path):
    assert violations(pod_of(path)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda pod, one: pod.update(hostNetwork=True), "Host Namespaces: hostNetwork"),
        (lambda pod, one: pod["volumes"].append({"name": "x", "hostPath": {"path": "/"}}), "Volume Types: hostPath"),
        (lambda pod, one: pod["securityContext"].pop("runAsNonRoot"), "Running as Non-root: merge does not say true"),
        (lambda pod, one: pod["securityContext"].update(runAsUser=0), "Running as Non-root user: pod is user 0"),
        (lambda pod, one: pod["securityContext"].pop("seccompProfile"), "Seccomp: merge names no profile"),
        (lambda pod, one: one["securityContext"].pop("allowPrivilegeEscalation"), "Privilege Escalation: merge does not say false"),
        (lambda pod, one: one["securityContext"].pop("capabilities"), "Capabilities: merge does not drop ALL"),
        (lambda pod, one: one["securityContext"]["capabilities"].update(add=["NET_RAW"]), "Capabilities: merge adds some"),
        (lambda pod, one: one["securityContext"].update(privileged=True), "Privileged Containers: merge"),
        (lambda pod, one: one.update(ports=[{"hostPort": 80}]), "Host Ports: merge"),
    ],
)  # fmt: skip
def test_the_check_of_pod_security_can_fail(change, said):
    pod = copy.deepcopy(pod_of("merge/job.yaml"))
    change(pod, pod["containers"][0])
    assert violations(pod) == [said]


@pytest.mark.parametrize("path", WORKLOADS)
def test_pods_suit_a_read_only_root_and_whatever_user(path):
    pod, container = pod_of(path), container_of(path)
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    for context in (pod["securityContext"], container["securityContext"]):
        assert "runAsUser" not in context
        assert "runAsGroup" not in context
    assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}
    assert "/reports" in {one["mountPath"] for one in container["volumeMounts"]}
    assert (
        set(container["resources"]["requests"]) == set(container["resources"]["limits"]) == {"cpu", "memory"}
    )
    assert pod["restartPolicy"] == "Never"


@pytest.mark.parametrize("path", CHECKUPS)
def test_checkup_jobs_keep_to_the_contract(path):
    job, pod, container = document(path), pod_of(path), container_of(path)
    assert job["metadata"]["labels"] == LABEL
    assert job["spec"]["backoffLimit"] == 0
    assert (
        pod["serviceAccountName"]
        == ACCOUNT
        == document("permissions/serviceaccount.yaml")["metadata"]["name"]
    )
    assert pod.get("automountServiceAccountToken", True)
    assert "command" not in container
    assert {"name": "tmp", "emptyDir": {}} in pod["volumes"]
    fields = {
        name: one["valueFrom"]["fieldRef"]["fieldPath"]
        for name, one in environment_of(path).items()
        if "valueFrom" in one
    }
    assert fields == {
        "CONFIGMAP_NAMESPACE": "metadata.namespace",
        "POD_UID": "metadata.uid",
        "POD_NAME": "metadata.name",
    }


def test_the_job_reads_the_configmap_beside_it():
    configmap = document("base/configmap.yaml")
    assert configmap["metadata"]["labels"] == LABEL
    assert environment_of("base/job.yaml")["CONFIGMAP_NAME"]["value"] == configmap["metadata"]["name"]


@pytest.mark.parametrize("path", WORKLOADS[:3])
def test_E60_a_jobs_pod_goes_some_time_after_its_end(path):
    assert 3600 <= document(path)["spec"]["ttlSecondsAfterFinished"] <= 7 * 86400


@pytest.mark.parametrize("path", CHECKUPS)
def test_E72_the_grace_period_holds_all_that_the_end_of_a_run_may_take(path):
    # Asking for deletions, a first status, waiting for the deletions, the last status.
    needed = ASKING_SECONDS + 2 * STATUS_SECONDS + CLEANUP_SECONDS
    assert pod_of(path)["terminationGracePeriodSeconds"] >= needed
    # What others wait for is done within 5 s, whatever the grace period.
    assert ASKING_SECONDS + STATUS_SECONDS <= 5


# --- parameters


@pytest.mark.parametrize(
    "path", ["base/configmap.yaml", "overlays/example/parameters.yaml", "shards/plan.yaml"]
)
def test_parameters_are_valid(path):
    layer, warnings = configmap_layer(document(path)["data"], path)
    assert warnings == []
    settings = resolve([layer])
    assert settings.timeout_ns == parse_duration(document(path)["data"]["spec.timeout"])
    assert len(settings.nad) == 1


def test_the_example_checks_the_network_that_it_makes():
    data = document("overlays/example/parameters.yaml")["data"]
    kustomization = yaml.safe_load(
        (MANIFESTS / "overlays/example/kustomization.yaml").read_text(encoding="utf-8")
    )
    namespace = document("overlays/example/namespace.yaml")["metadata"]["name"]
    assert kustomization["namespace"] == namespace
    assert data["spec.param.networkAttachmentDefinitionNamespace"] == namespace
    name = document("overlays/example/network.yaml")["metadata"]["name"]
    assert data["spec.param.networkAttachmentDefinitionName"] == name


# --- shards


def test_shards_fit_together():
    job, environment = document("shards/job.yaml"), environment_of("shards/job.yaml")
    spec, container = job["spec"], container_of("shards/job.yaml")
    count = spec["completions"]
    assert spec["completionMode"] == "Indexed"
    assert 1 <= spec["parallelism"] <= count
    assert environment[SHARDS_VARIABLE]["value"] == str(count)
    plan = document("shards/plan.yaml")["metadata"]["name"]
    assert environment["CONFIGMAP_NAME"]["value"] == plan
    own = documents("shards/status.yaml")
    assert [one["metadata"]["name"] for one in own] == [f"{plan}-{number}" for number in range(count)]
    assert all(one["metadata"]["labels"] == LABEL and "data" not in one for one in own)
    # The variable that fills the arguments is the Job controller's, and the one that the plugin reads.
    assert INDEX_VARIABLE not in environment
    written = [one.partition("=")[2] for one in container["args"]]
    assert all(f"$({INDEX_VARIABLE})" in one for one in written)
    merged = container_of("merge/job.yaml")["args"]
    assert merged[:-1] == [written[0].replace(f"$({INDEX_VARIABLE})", str(number)) for number in range(count)]
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for path in ("shards/job.yaml", "merge/job.yaml", "reader/pod.yaml")
        for volume in pod_of(path)["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert claims == {document("shards/reports.yaml")["metadata"]["name"]}
    assert document("shards/reports.yaml")["spec"]["accessModes"] == ["ReadWriteMany"]


def test_shards_find_their_plan_even_if_nodes_may_not_be_listed():
    data = document("shards/plan.yaml")["data"]
    assert "=" not in data["spec.param.nodeSet"]


def test_what_asks_the_cluster_for_nothing_has_no_token():
    for path in ("merge/job.yaml", "reader/pod.yaml"):
        assert pod_of(path)["automountServiceAccountToken"] is False
    assert container_of("merge/job.yaml")["command"] == [*ENTRYPOINT[:3], "report"]


# --- kustomize


def test_every_file_is_part_of_a_kustomization_and_every_kustomization_is_documented():
    reached = set()
    for folder in kustomizations():
        listed = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
        paths = [*listed["resources"], *(one["path"] for one in listed.get("patches", ()))]
        for path in paths:
            target = (folder / path).resolve()
            assert target.is_file() or (target / "kustomization.yaml").is_file(), target
            reached.add(target)
        reached.add(folder / "kustomization.yaml")
    files = {one for one in MANIFESTS.rglob("*") if one.is_file()}
    assert files - reached == set()
    page = (ROOT / "docs" / "in-cluster.md").read_text(encoding="utf-8")
    for folder in kustomizations():
        name = folder.relative_to(MANIFESTS).as_posix()
        assert f"`{name}`" in page
        assert f"kubectl apply -k manifests/{name}" in page


def test_every_image_is_the_placeholder_and_is_set_where_it_is_used():
    for path in WORKLOADS:
        assert container_of(path)["image"].partition(":")[0] == IMAGE
        listed = yaml.safe_load(
            (MANIFESTS / path).with_name("kustomization.yaml").read_text(encoding="utf-8")
        )
        assert [one["name"] for one in listed["images"]] == [IMAGE]
        assert container_of(path)["image"] == f"{IMAGE}:{listed['images'][0]['newTag']}"
