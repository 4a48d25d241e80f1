"""Who is let in, what they may do, and what is recorded of it."""

from __future__ import annotations

import pytest

from .conftest import Client
from .helpers import cms, config_map, pod, pods, vmi, vmis

RBAC = "/apis/rbac.authorization.k8s.io/v1"


def _account(lab, ns, name="sa"):
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
    lab.admin("POST", f"/api/v1/namespaces/{ns}/serviceaccounts", body)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    made = lab.admin("POST", f"/api/v1/namespaces/{ns}/serviceaccounts/{name}/token", request)
    assert made.code == 201
    return lab.client(made.body["status"]["token"])


def _grant(lab, ns, rules, subject, kind="Role"):
    scope = f"/namespaces/{ns}" if kind == "Role" else ""
    body = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "rules": rules}
    name = f"{ns}-role"
    assert (
        lab.admin("POST", f"{RBAC}{scope}/{kind.lower()}s", {**body, "metadata": {"name": name}}).code == 201
    )
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "binding"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
        "subjects": [subject],
    }
    assert lab.admin("POST", f"{RBAC}/namespaces/{ns}/rolebindings", binding).code == 201


def test_nobody_gets_only_version_and_health(lab):
    nobody = lab.client(None)
    assert nobody("GET", "/version").code == 200
    assert nobody("GET", "/healthz").body == "ok"
    for path in ("/api", "/apis", "/api/v1/namespaces", "/none"):
        refused = nobody("GET", path)
        assert (refused.code, refused.body["reason"], refused.body["message"]) == (
            401,
            "Unauthorized",
            "Unauthorized",
        )
    assert lab.client("wrong")("GET", "/version").code == 401


def test_E54_a_service_account_may_what_its_role_says(lab, ns):
    account = _account(lab, ns)
    refused = account("POST", vmis(ns), vmi())
    assert refused.code == 403
    assert refused.body["message"] == (
        "virtualmachineinstances.kubevirt.io is forbidden: "
        f'User "system:serviceaccount:{ns}:sa" cannot create resource "virtualmachineinstances" '
        f'in API group "kubevirt.io" in the namespace "{ns}"'
    )
    assert refused.body["details"] == {"group": "kubevirt.io", "kind": "virtualmachineinstances"}
    rules = [
        {"apiGroups": ["kubevirt.io"], "resources": ["virtualmachineinstances"], "verbs": ["create", "get"]}
    ]
    _grant(lab, ns, rules, {"kind": "ServiceAccount", "name": "sa", "namespace": ns})
    assert account("POST", vmis(ns), vmi()).code == 201
    assert account("GET", f"{vmis(ns)}/v").code == 200
    assert account("GET", vmis(ns)).code == 403
    assert account("GET", f"{vmis(ns)}?watch=1").code == 403
    assert account("DELETE", f"{vmis(ns)}/v").code == 403
    assert account("GET", f"{vmis('default')}/v").code == 403
    named = account("DELETE", f"{vmis(ns)}/v").body["message"]
    assert named.startswith('virtualmachineinstances.kubevirt.io "v" is forbidden: User ')


def test_E54_subresources_and_names_are_told_apart(lab, ns):
    lab.admin("POST", pods(ns), pod())
    rules = [
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["a"]},
    ]
    _grant(
        lab,
        ns,
        rules,
        {"kind": "Group", "name": "team", "apiGroup": "rbac.authorization.k8s.io"},
        "ClusterRole",
    )
    member = lab.user("eve", "team")
    assert member("GET", f"{pods(ns)}/p/log").code == 200
    assert member("GET", f"{pods(ns)}/p").code == 403
    lab.admin("POST", cms(ns), config_map("a"))
    assert member("GET", f"{cms(ns)}/a").code == 200
    assert member("GET", f"{cms(ns)}/b").code == 403
    assert member("GET", cms(ns)).code == 403
    assert lab.user("mallory")("GET", f"{pods(ns)}/p/log").body["message"] == (
        f'pods "p" is forbidden: User "mallory" cannot get resource "pods/log" in API group "" in the namespace "{ns}"'
    )


def test_whoever_is_authenticated_may_discover_and_read_versions(lab):
    eve = lab.user("eve")
    for path in ("/api", "/apis", "/api/v1", "/apis/kubevirt.io", "/apis/kubevirt.io/v1", "/openapi/v3"):
        assert eve("GET", path).code == 200, path
    assert eve("GET", "/apis/kubevirt.io/v1/kubevirts").code == 200
    refused = eve("GET", "/metrics")
    assert (refused.code, refused.body["message"]) == (
        403,
        'forbidden: User "eve" cannot get path "/metrics"',
    )


def test_self_subject_access_review_tells_the_truth(lab, ns):
    account = _account(lab, ns)
    rules = [
        {
            "apiGroups": ["subresources.kubevirt.io"],
            "resources": ["virtualmachineinstances/console"],
            "verbs": ["get"],
        }
    ]
    _grant(lab, ns, rules, {"kind": "ServiceAccount", "name": "sa", "namespace": ns})

    def allowed(**attributes):
        body = {"spec": {"resourceAttributes": {"namespace": ns, **attributes}}}
        return account("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body).body["status"][
            "allowed"
        ]

    console = {
        "group": "subresources.kubevirt.io",
        "resource": "virtualmachineinstances",
        "subresource": "console",
    }
    assert allowed(verb="get", **console)
    assert not allowed(verb="update", **console)
    assert not allowed(verb="get", group="kubevirt.io", resource="virtualmachineinstances")


def test_E11_a_service_accounts_token_expires(start):
    now = [1_700_000_000.0]
    lab = start(clock=lambda: now[0])
    account = _account(lab, "default")
    assert account("GET", "/api").code == 200
    now[0] += 3599
    assert account("GET", "/api").code == 200
    now[0] += 1
    assert account("GET", "/api").code == 401


def test_a_token_ends_with_its_service_account(lab, ns):
    account = _account(lab, ns)
    lab.admin("DELETE", f"/api/v1/namespaces/{ns}/serviceaccounts/sa")
    assert account("GET", "/api").code == 401


def test_a_token_that_was_tampered_with_is_refused(lab, ns):
    token = _account(lab, ns).headers["Authorization"].split()[1]
    head, body, signature = token.split(".")
    assert lab.client(f"{head}.{body[:-2]}AA.{signature}")("GET", "/api").code == 401


def test_E11_a_client_certificate_is_as_good_as_a_token(lab):
    folder = lab.plane.directory
    admin = Client(lab.plane, None, cert_file=str(folder / "client.crt"), key_file=str(folder / "client.key"))
    assert admin("GET", "/api/v1/namespaces").code == 200
    cert, key = lab.plane.client_certificate("carl", ["team"])
    (folder / "carl.crt").write_bytes(cert)
    (folder / "carl.key").write_bytes(key)
    carl = Client(lab.plane, None, cert_file=str(folder / "carl.crt"), key_file=str(folder / "carl.key"))
    review = carl("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}).body
    assert review["status"]["userInfo"] == {"username": "carl", "groups": ["team", "system:authenticated"]}


def test_E82_impersonation_is_for_those_who_may(lab, ns):
    headers = {"Impersonate_User": f"system:serviceaccount:{ns}:default"}
    refused = lab.admin("GET", cms(ns), None, **headers)
    assert f'User "system:serviceaccount:{ns}:default" cannot list' in refused.body["message"]
    eve = lab.user("eve")
    assert eve("GET", cms(ns), None, **headers).body["message"] == (
        'serviceaccounts "default" is forbidden: User "eve" cannot impersonate resource "serviceaccounts" '
        f'in API group "" in the namespace "{ns}"'
    )
    assert eve("GET", cms(ns), None, Impersonate_User="jane").body["message"] == (
        'users "jane" is forbidden: User "eve" cannot impersonate resource "users" in API group "" at the cluster scope'
    )


@pytest.mark.parametrize(
    ("header", "value", "words"),
    [
        (
            "Impersonate_Group",
            "dev",
            'groups "dev" is forbidden: User "{0}" cannot impersonate resource "groups" ',
        ),
        (
            "Impersonate_Uid",
            "42",
            'uids.authentication.k8s.io "42" is forbidden: User "{0}" cannot impersonate resource "uids" ',
        ),
        (
            "Impersonate_Extra_A%2Fb",
            "c",
            'userextras.authentication.k8s.io "c" is forbidden: User "{0}" cannot impersonate resource "userextras/a/b" ',
        ),
    ],
    ids=["group", "uid", "extra"],
)
def test_E82_each_part_of_an_impersonation_needs_its_own_permission(lab, ns, header, value, words):
    rules = [{"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"], "resourceNames": ["jane"]}]
    common = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": ns}}
    lab.admin("POST", f"{RBAC}/clusterroles", {**common, "kind": "ClusterRole", "rules": rules})
    binding = {
        "kind": "ClusterRoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ns},
        "subjects": [{"kind": "User", "name": ns}],
    }
    lab.admin("POST", f"{RBAC}/clusterrolebindings", {**common, **binding})
    support = lab.user(ns)
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    review = support("POST", path, {}, Impersonate_User="jane").body
    assert review["status"]["userInfo"] == {"username": "jane", "groups": ["system:authenticated"]}
    refused = support("POST", path, {}, Impersonate_User="jane", **{header: value})
    assert (refused.code, refused.body["reason"]) == (403, "Forbidden")
    assert refused.body["message"].startswith(words.format(ns))
    assert support("POST", path, {}, Impersonate_User="joe").code == 403
    assert support("POST", path, {}, **{header: value}).code == 500


def test_files_are_private(lab):
    folder = lab.plane.directory
    for name in ("kubeconfig", "client.key", "audit.jsonl"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600, name


def test_each_request_is_recorded_and_no_token_ever(lab, ns):
    before = len(lab.audit())
    lab.admin("POST", cms(ns), config_map())
    lab.admin("GET", f"{cms(ns)}/none")
    lab.user("eve")("GET", f"{vmis(ns)}?watch=1")
    lab.admin("GET", "/version")
    lab.client("not-a-token")("GET", "/api")
    seen = lab.audit()[before:]
    assert {key: value for key, value in seen[0].items() if key != "time"} == {
        "user": "kubernetes-admin",
        "verb": "create",
        "apiGroup": "",
        "resource": "configmaps",
        "subresource": None,
        "namespace": ns,
        "name": None,
        "code": 201,
    }
    assert (seen[1]["verb"], seen[1]["name"], seen[1]["code"]) == ("get", "none", 404)
    assert (seen[2]["user"], seen[2]["verb"], seen[2]["code"]) == ("eve", "watch", 403)
    assert (seen[3]["resource"], seen[3]["path"], seen[3]["code"]) == (None, "/version", 200)
    assert (seen[4]["user"], seen[4]["code"]) == (None, 401)
    text = (lab.plane.directory / "audit.jsonl").read_text()
    assert lab.plane.admin_token not in text
    assert "not-a-token" not in text


@pytest.mark.parametrize("path", ["/api/v1/namespaces", "/api/v1/nodes"])
def test_cluster_scope_is_named(lab, path):
    resource = path.rpartition("/")[2]
    message = lab.user("eve")("GET", path).body["message"]
    assert message == (
        f'{resource} is forbidden: User "eve" cannot list resource "{resource}" in API group "" at the cluster scope'
    )
