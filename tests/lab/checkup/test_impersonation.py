"""E82: a kubeconfig whose user acts as another, as whole checkups: REST and consoles have the other's permissions."""

from __future__ import annotations

import json

import pytest

ARGUMENTS = (
    "--kv-nad",
    "checks/blue-network",
    "--kv-nodes",
    "worker1:worker2",
    "--kv-sample-duration",
    "500ms",
)
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/checks"
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@pytest.fixture
def token(cluster):
    return cluster.kubeconfig.read_text().partition("token: ")[2].split()[0]


@pytest.fixture
def group(cluster):
    """Make a group that may do what these rules say; return its name."""

    def make(rules):
        name = cluster.unused("group")
        common = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name}}
        cluster.request("POST", f"{RBAC}/roles", {**common, "kind": "Role", "rules": rules})
        binding = {
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "Group", "name": name}],
        }
        cluster.request("POST", f"{RBAC}/rolebindings", {**common, **binding})
        return name

    return make


@pytest.mark.edge_case(
    "E82",
    happens="The user of the kubeconfig acts as another (`as`, `as-groups`, `as-uid`, `as-user-extra`).",
    does="Has the permissions of that other user, for requests and consoles alike.",
)
def test_E82_every_request_and_console_is_the_impersonated_users(cluster, run, role, group, token):
    before = len(cluster.audit())
    name = cluster.unused("jäne")
    # The first group of the two gives nothing: both must arrive.
    groups = ["some-group", group(role)]
    done = run(
        cluster,
        *ARGUMENTS,
        kubeconfig=cluster.kubeconfig_of({"token": token, "as": name, "as-groups": groups}),
    )
    assert done.status == 0, done.output
    seen = [one for one in cluster.audit()[before:] if one["user"] == name]
    assert {one["impersonatedBy"] for one in seen} == {"kubernetes-admin"}
    assert [one["code"] for one in seen if one["subresource"] == "console"] == [101, 101]
    assert [one["verb"] for one in seen if one["resource"] == "virtualmachineinstances"].count("delete") == 2
    # The administrator makes none in its own name, but for those of this test.
    own = [one for one in cluster.audit()[before:] if one["user"] == "kubernetes-admin"]
    assert {one["apiGroup"] for one in own} <= {"rbac.authorization.k8s.io"}
    assert cluster.vmis() == []


def test_E82_a_console_is_refused_to_the_impersonated_user(cluster, run, role, group, token):
    rules = [rule for rule in role if "virtualmachineinstances/console" not in rule["resources"]]
    user = {"token": token, "as": "jane", "as-groups": [group(rules)]}
    done = run(cluster, *ARGUMENTS, kubeconfig=cluster.kubeconfig_of(user))
    assert done.status == 1
    (entry,) = done.document["measurements"]
    assert entry["failureKind"] == "permission"
    assert "jane may not get virtualmachineinstances." in entry["failureReason"]
    assert "/console in namespace checks" in entry["failureReason"]
    assert cluster.vmis() == []


def test_E82_who_may_not_impersonate_is_told_so(cluster, run, role):
    user = {"token": cluster.token_of(cluster.service_account(role)), "as": "jane"}
    done = run(cluster, *ARGUMENTS, kubeconfig=cluster.kubeconfig_of(user))
    assert done.status == 1
    (entry,) = done.document["measurements"]
    assert entry["failureKind"] == "permission"
    assert "may not impersonate the user jane (as in kubeconfig" in entry["failureReason"]
    assert 'verbs: ["impersonate"]' in json.dumps(entry) + done.output


def test_E82_the_api_server_knows_the_groups_the_uid_and_the_extra_fields(cluster, token):
    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.client import KubeClient

    user = {
        "token": token,
        "as": "jane",
        "as-groups": ["dev", "team, two"],
        "as-uid": "42",
        "as-user-extra": {"example.com/reason": ["a test", "two"], "scopes": ["view"]},
    }
    client = KubeClient.connect(kubeconfig=cluster.kubeconfig_of(user))
    answer = client.request("POST", REVIEWS, body={}, deadline=Deadline(60))
    client.close()
    assert answer["status"]["userInfo"] == {
        "username": "jane",
        "groups": ["dev", "team, two", "system:authenticated"],
        "uid": "42",
        "extra": {"example.com/reason": ["a test", "two"], "scopes": ["view"]},
    }
