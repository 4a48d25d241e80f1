"""kubectl with the manifests: what it builds of them, that they apply and go, and what the account may do then."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml
from jobcontroller import MANIFESTS
from test_manifests import ACCOUNT, CONTRACT, IMAGE, kustomizations

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.kube.client import KubeClient

USER = f"system:serviceaccount:default:{ACCOUNT}"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
FOLDERS = [one.relative_to(MANIFESTS).as_posix() for one in kustomizations()]
TARGETS = ["side by side", "overlays/example"]
KINDS = "serviceaccount,role,rolebinding,clusterrole,clusterrolebinding,configmap,job,pod,pvc,net-attach-def"
MORE = {
    "optional/diagnosis": [
        ("list", "", "events"),
        ("list", "", "pods"),
        ("get", "", "pods/log"),
        ("list", "k8s.cni.cncf.io", "network-attachment-definitions"),
    ],
    "optional/speed": [("watch", "kubevirt.io", "virtualmachineinstances"), ("patch", "", "configmaps")],
    "optional/nodes": [("get", "", "nodes"), ("list", "", "nodes")],
    "optional/sweep": [("list", "kubevirt.io", "virtualmachineinstances")],
    "optional/migration": [
        (verb, "kubevirt.io", "virtualmachineinstancemigrations") for verb in ("get", "create", "delete")
    ],
}
NEVER = [
    ("list", "", "secrets"),
    ("get", "", "secrets"),
    ("list", "", "configmaps"),
    ("create", "", "configmaps"),
    ("delete", "", "configmaps"),
    ("create", "", "pods"),
    ("create", "", "pods/exec"),
    ("update", "kubevirt.io", "virtualmachineinstances"),
    ("get", "subresources.kubevirt.io", "virtualmachineinstances/vnc"),
    ("create", "k8s.cni.cncf.io", "network-attachment-definitions"),
    ("create", "rbac.authorization.k8s.io", "rolebindings"),
]


def programs():
    """The kubectl on PATH, and others that lie beside it, such as ``kubectl.1.27``: the oldest and the newest."""
    found = shutil.which("kubectl")
    if found is None:
        return ["kubectl"]
    beside = sorted(map(str, Path(found).resolve().parent.glob("kubectl.1.[0-9][0-9]")))
    return ["kubectl", *dict.fromkeys(beside[:1] + beside[-1:])]


@pytest.fixture(params=TARGETS)
def target(request, tmp_path):
    """A kustomization: the example; or all others in one, of which the base has the permissions."""
    if request.param in FOLDERS:
        return MANIFESTS / request.param
    others = [one for one in FOLDERS if one not in ("permissions", "overlays/example")]
    resources = [os.path.relpath(MANIFESTS / one, tmp_path) for one in others]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"resources": resources}), encoding="utf-8")
    return tmp_path


def there(kubectl):
    named = kubectl("get", KINDS, "-A", "-o", "name").stdout
    return sorted(one for one in named.splitlines() if one != "serviceaccount/default")


@pytest.mark.parametrize("folder", FOLDERS)
def test_kubectl_builds_them_without_a_warning(kubectl, folder):
    done = kubectl("kustomize", MANIFESTS / folder)
    assert done.stderr == ""
    built = list(yaml.safe_load_all(done.stdout))
    listed = yaml.safe_load((MANIFESTS / folder / "kustomization.yaml").read_text(encoding="utf-8"))
    for one in built:
        if one["kind"] not in ("Namespace", "ClusterRole", "ClusterRoleBinding"):
            assert one["metadata"]["namespace"] == listed["namespace"]
        for subject in one.get("subjects", ()):
            assert subject["namespace"] == listed["namespace"]
    images = {
        container["image"]
        for one in built
        for container in one.get("spec", {}).get("template", {}).get("spec", {}).get("containers", ())
    }
    if images:
        (image,) = listed["images"]
        assert images == {f"{image.get('newName', IMAGE)}:{image['newTag']}"}


def test_the_example_changes_what_it_says(kubectl):
    text = kubectl("kustomize", MANIFESTS / "overlays" / "example").stdout
    built = {one["kind"]: one for one in yaml.safe_load_all(text)}
    pod = built["Job"]["spec"]["template"]["spec"]
    claim = {"claimName": built["PersistentVolumeClaim"]["metadata"]["name"]}
    assert {"name": "reports", "persistentVolumeClaim": claim} in pod["volumes"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert built["ConfigMap"]["data"]["spec.param.sourceNode"] == "worker1"
    assert built["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"
    assert pod["containers"][0]["env"][0]["name"] == "CONFIGMAP_NAMESPACE"


def test_the_oldest_and_the_newest_kubectl_build_the_same_without_a_warning(kubectl, target):
    builds = [kubectl("kustomize", target, program=program) for program in programs()]
    assert {one.stderr for one in builds} == {""}
    first, *others = (list(yaml.safe_load_all(one.stdout)) for one in builds)
    assert all(one == first for one in others)


@pytest.mark.parametrize(
    ("target", "program"),
    [*((TARGETS[0], program) for program in programs()), (TARGETS[1], "kubectl")],
    indirect=["target"],
    ids=lambda one: Path(one).name,
)
def test_they_apply_and_nothing_is_left_of_them(kubectl, target, program):
    before = there(kubectl)
    created = kubectl("apply", "-k", target, program=program).stdout.splitlines()
    assert created
    assert all(line.endswith(" created") for line in created), created
    again = kubectl("apply", "-k", target, program=program).stdout.splitlines()
    assert len(again) == len(created)
    assert all(line.endswith(" unchanged") for line in again), again
    # A namespace goes first, and may have taken the rest with it before kubectl comes to that.
    kubectl("delete", "--ignore-not-found", "-k", target, program=program)
    assert there(kubectl) == before


@pytest.fixture
def may(lab):
    """Ask whether the account may do something; as kubectl itself cannot, of KubeVirt's subresources too."""
    client = KubeClient.connect(kubeconfig=lab.kubeconfig)

    def ask(verb, group, resource):
        name, _, subresource = resource.partition("/")
        wanted = {
            "namespace": "default",
            "verb": verb,
            "group": group,
            "resource": name,
            "subresource": subresource,
        }
        if name == "nodes":
            wanted["namespace"] = ""
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": USER, "resourceAttributes": wanted},
        }
        return client.request("POST", REVIEWS, body=review, deadline=Deadline(60))["status"]["allowed"]

    yield ask
    client.close()


def kubectl_says(kubectl, verb, group, resource):
    """Ask kubectl the same."""
    name, _, subresource = resource.partition("/")
    more = [f"--subresource={subresource}"] if subresource else []
    words = [verb, f"{name}.{group}" if group else name, "-n", "default", f"--as={USER}", *more]
    return kubectl("auth", "can-i", *words, check=False).stdout.strip()


def test_E54_the_account_may_do_what_a_checkup_needs_and_nothing_else(kubectl, may):
    kubectl("apply", "-k", MANIFESTS / "permissions")
    for groups, resources, verbs in CONTRACT:
        for verb in verbs:
            assert may(verb, *groups, *resources)
    for one in [*NEVER, *(asked for more in MORE.values() for asked in more)]:
        assert not may(*one), one
    assert kubectl_says(kubectl, "create", "kubevirt.io", "virtualmachineinstances") == "yes"
    for one in (("list", "", "secrets"), ("get", "", "nodes"), ("get", "", "pods/log")):
        assert kubectl_says(kubectl, *one) == "no", one
    kubectl("delete", "-k", MANIFESTS / "permissions")


@pytest.mark.parametrize("folder", MORE)
def test_E54_what_is_optional_grants_what_it_says_and_nothing_else(kubectl, may, folder):
    kubectl("apply", "-k", MANIFESTS / folder)
    for other, more in MORE.items():
        for one in more:
            assert may(*one) is (other == folder), one
    for one in NEVER:
        assert not may(*one), one
    kubectl("delete", "-k", MANIFESTS / folder)
