"""What a write is refused for although its author may write: rights that he lacks, and a VMI's spec."""

from __future__ import annotations

import json

import pytest

from pytest_kvlatency.lab.spec.labspec import FaultSpec

from .helpers import APPLY, JSON_PATCH, MERGE, vmi, vmis

RBAC = "rbac.authorization.k8s.io"
BASE = f"/apis/{RBAC}/v1"
MAY_WRITE_ROLES = [
    {
        "apiGroups": [RBAC],
        "resources": ["roles", "rolebindings"],
        "verbs": ["create", "get", "update", "patch"],
    },
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]},
]


def role(name, rules, kind="Role"):
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": name}, "rules": rules}


def binding(name, to, user, kind="Role"):
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": to},
        "subjects": [{"kind": "User", "apiGroup": RBAC, "name": user}],
    }


@pytest.fixture
def eve(lab, ns):
    """An account that may write Roles, and read ConfigMaps."""
    assert lab.admin("POST", f"{BASE}/namespaces/{ns}/roles", role("writer", MAY_WRITE_ROLES)).code == 201
    assert (
        lab.admin("POST", f"{BASE}/namespaces/{ns}/rolebindings", binding("eve", "writer", "eve")).code == 201
    )
    return lab.user("eve")


def test_an_account_grants_what_it_holds(eve, ns):
    held = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["a"]}]
    assert eve("POST", f"{BASE}/namespaces/{ns}/roles", role("part", held)).code == 201
    assert eve("POST", f"{BASE}/namespaces/{ns}/rolebindings", binding("b", "part", "bob")).code == 201


def test_an_account_cannot_grant_what_it_lacks(eve, ns):
    rules = [
        {"apiGroups": [""], "resources": ["configmaps", "pods"], "verbs": ["get", "delete"]},
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    ]
    refused = eve("POST", f"{BASE}/namespaces/{ns}/roles", role("all", rules))
    assert (refused.code, refused.body["reason"]) == (403, "Forbidden")
    assert refused.body["message"] == (
        'roles.rbac.authorization.k8s.io "all" is forbidden: user "eve" (groups=["system:authenticated"]) is '
        "attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["configmaps"], Verbs:["delete"]}\n'
        '{APIGroups:[""], Resources:["pods"], Verbs:["get" "delete"]}\n'
        '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}'
    )


@pytest.mark.parametrize(
    ("media", "patch"),
    [
        (MERGE, {"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}),
        (
            JSON_PATCH,
            [
                {
                    "op": "add",
                    "path": "/rules/-",
                    "value": {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
                }
            ],
        ),
        (APPLY, json.dumps(role("writer", [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]))),
    ],
    ids=["merge", "json", "apply"],
)
def test_an_account_cannot_widen_a_role_that_is_there(eve, ns, media, patch):
    suffix = "?fieldManager=eve&force=true" if media == APPLY else ""
    refused = eve("PATCH", f"{BASE}/namespaces/{ns}/roles/writer{suffix}", patch, media)
    assert refused.code == 403
    assert "attempting to grant RBAC permissions not currently held" in refused.body["message"]


def test_an_account_cannot_bind_a_role_that_holds_more(eve, ns):
    path = f"{BASE}/namespaces/{ns}/rolebindings"
    refused = eve("POST", path, binding("b", "cluster-admin", "eve", "ClusterRole"))
    assert refused.code == 403
    assert '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}' in refused.body["message"]
    absent = eve("POST", path, binding("b", "absent", "eve"))
    assert (absent.code, absent.body["message"]) == (404, f'roles.{RBAC} "absent" not found')


def test_the_verbs_escalate_and_bind_let_an_account_off(lab, eve, ns):
    more = [
        {"apiGroups": [RBAC], "resources": ["roles"], "verbs": ["escalate"]},
        {
            "apiGroups": [RBAC],
            "resources": ["clusterroles"],
            "verbs": ["bind"],
            "resourceNames": ["cluster-admin"],
        },
    ]
    assert lab.admin("POST", f"{BASE}/namespaces/{ns}/roles", role("more", more)).code == 201
    assert (
        lab.admin("POST", f"{BASE}/namespaces/{ns}/rolebindings", binding("more", "more", "eve")).code == 201
    )
    every = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    assert eve("POST", f"{BASE}/namespaces/{ns}/roles", role("all", every)).code == 201
    path = f"{BASE}/namespaces/{ns}/rolebindings"
    assert eve("POST", path, binding("b", "cluster-admin", "eve", "ClusterRole")).code == 201


def test_a_dry_run_is_judged_and_not_stored(lab, eve, ns):
    every = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    assert eve("POST", f"{BASE}/namespaces/{ns}/roles?dryRun=All", role("all", every)).code == 403
    made = lab.admin("POST", f"{vmis(ns)}?dryRun=All", vmi())
    assert (made.code, made.body["status"]["phase"]) == (201, "Pending")
    assert made.body["metadata"]["uid"]
    assert lab.admin("GET", f"{vmis(ns)}/v").code == 404


@pytest.mark.parametrize("media", [MERGE, JSON_PATCH])
def test_the_spec_of_a_vmi_cannot_be_changed(lab, ns, media):
    assert lab.admin("POST", vmis(ns), vmi()).code == 201
    change = (
        {"spec": {"evictionStrategy": "LiveMigrate"}}
        if media == MERGE
        else [{"op": "add", "path": "/spec/evictionStrategy", "value": "LiveMigrate"}]
    )
    refused = lab.client(lab.plane.admin_token)("PATCH", f"{vmis(ns)}/v", change, media)
    assert refused.code == 422
    assert refused.body["message"] == (
        'admission webhook "virtualmachineinstances-update-validator.kubevirt.io" denied the request: '
        "update of VMI object is restricted"
    )
    labelled = lab.admin("PATCH", f"{vmis(ns)}/v", {"metadata": {"labels": {"a": "b"}}}, MERGE)
    assert (labelled.code, labelled.body["metadata"]["labels"]) == (200, {"a": "b"})


@pytest.mark.parametrize("depth", [1_000, 20_000, 200_000])
@pytest.mark.parametrize("media", ["application/json", "application/yaml"])
def test_a_body_that_is_nested_too_deep_is_a_bad_request(lab, ns, depth, media):
    if media == "application/yaml" and depth > 20_000:
        pytest.skip("YAML takes seconds for it")
    raw = '{"a":' * depth + "1" + "}" * depth
    refused = lab.admin("POST", f"/api/v1/namespaces/{ns}/configmaps", raw, media)
    assert (refused.code, refused.body["reason"]) == (400, "BadRequest")
    assert refused.body["message"].endswith("exceeded max depth")


def pinned(name, node, network):
    made = vmi(name)
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    required = {"nodeSelectorTerms": [term]}
    made["spec"]["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    made["spec"]["networks"] = [{"name": "net", "multus": {"networkName": network}}]
    return made


@pytest.mark.parametrize("fault", ["quota", "mac-collision"])
def test_E52_a_refusal_of_one_node_or_network_leaves_the_others_alone(start, fault):
    lab = start(
        faults=[
            FaultSpec(fault=fault, node="worker2"),
            FaultSpec(fault=fault, network="default/red-network"),
        ]
    )
    path = vmis("default")
    assert lab.admin("POST", path, pinned("a", "worker1", "blue-network")).code == 201
    assert lab.admin("POST", path, vmi("b")).code == 201
    assert lab.admin("POST", path, pinned("c", "worker2", "blue-network")).code in (403, 500)
    assert lab.admin("POST", path, pinned("d", "worker1", "red-network")).code in (403, 500)
