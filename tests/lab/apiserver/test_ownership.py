"""Who owns which field, and what server-side apply does with that."""

from __future__ import annotations

import json

import pytest

from .helpers import APPLY, MERGE, cms, config_map, pod, pods, vmi, vmis


def applied(data, **metadata):
    return json.dumps(config_map("a", data, metadata=metadata))


def owners(answer):
    return {
        (one["manager"], one["operation"]): one["fieldsV1"]
        for one in answer.body["metadata"]["managedFields"]
    }


def test_each_writer_owns_what_it_has_written(lab, ns):
    made = lab.admin("POST", f"{cms(ns)}?fieldManager=creator", config_map("a", {"x": "1", "y": "1"}))
    assert owners(made) == {("creator", "Update"): {"f:data": {"f:x": {}, "f:y": {}}}}
    changed = lab.admin("PATCH", f"{cms(ns)}/a?fieldManager=changer", {"data": {"y": "2"}}, MERGE)
    assert owners(changed) == {
        ("creator", "Update"): {"f:data": {"f:x": {}}},
        ("changer", "Update"): {"f:data": {"f:y": {}}},
    }
    named = lab.admin("POST", cms(ns), config_map("b", {"x": "1"}), User_Agent="curl/8.0 (linux)")
    assert list(owners(named)) == [("curl", "Update")]


def test_items_of_a_list_are_owned_one_by_one(lab, ns):
    made = lab.admin("POST", f"{pods(ns)}?fieldManager=creator", pod())
    containers = {'k:{"name":"c"}': {".": {}, "f:image": {}, "f:name": {}}}
    assert owners(made) == {("creator", "Update"): {"f:spec": {"f:containers": containers}}}


def test_an_apply_creates_changes_and_removes_what_its_manager_owns(lab, ns):
    path = f"{cms(ns)}/a?fieldManager=me"
    assert lab.admin("PATCH", path, applied({"x": "1", "y": "1"}), APPLY).code == 201
    lab.admin("PATCH", f"{cms(ns)}/a?fieldManager=other", {"data": {"z": "9"}}, MERGE)
    again = lab.admin("PATCH", path, applied({"y": "2"}), APPLY)
    assert (again.code, again.body["data"]) == (200, {"y": "2", "z": "9"})
    assert owners(again)["me", "Apply"] == {"f:data": {"f:y": {}}}


def test_an_apply_that_changes_nothing_keeps_the_revision(lab, ns):
    path = f"{cms(ns)}/a?fieldManager=me"
    made = lab.admin("PATCH", path, applied({"x": "1"}), APPLY)
    again = lab.admin("PATCH", path, applied({"x": "1"}), APPLY)
    assert again.body["metadata"]["resourceVersion"] == made.body["metadata"]["resourceVersion"]


def test_an_apply_over_another_manager_is_a_conflict_unless_it_is_forced(lab, ns):
    lab.admin("POST", f"{cms(ns)}?fieldManager=kubectl-create", config_map("a", {"x": "1", "y": "1"}))
    path = f"{cms(ns)}/a?fieldManager=me"
    refused = lab.admin("PATCH", path, applied({"x": "2"}), APPLY)
    assert (refused.code, refused.body["reason"]) == (409, "Conflict")
    assert refused.body["message"] == (
        'Apply failed with 1 conflict: conflict with "kubectl-create" using v1: .data.x'
    )
    assert refused.body["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl-create" using v1',
            "field": ".data.x",
        }
    ]
    two = lab.admin("PATCH", path, applied({"x": "2", "y": "2"}), APPLY)
    assert two.body["message"] == (
        'Apply failed with 2 conflicts: conflicts with "kubectl-create" using v1:\n- .data.x\n- .data.y'
    )
    assert lab.admin("GET", f"{cms(ns)}/a").body["data"] == {"x": "1", "y": "1"}
    assert lab.admin("PATCH", path, applied({"x": "1"}), APPLY).code == 200, "the same value is shared"
    forced = lab.admin("PATCH", f"{path}&force=true", applied({"x": "2"}), APPLY)
    assert forced.body["data"] == {"x": "2", "y": "1"}
    assert owners(forced) == {
        ("kubectl-create", "Update"): {"f:data": {"f:y": {}}},
        ("me", "Apply"): {"f:data": {"f:x": {}}},
    }


def test_an_apply_without_a_manager_is_refused(lab, ns):
    refused = lab.admin("PATCH", f"{cms(ns)}/a", applied({}), APPLY)
    assert refused.code == 422
    assert refused.body["message"] == (
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
    )


def test_a_list_of_a_custom_kind_is_owned_as_a_whole(lab, ns):
    made = lab.admin("POST", f"{vmis(ns)}?fieldManager=me", vmi())
    spec = owners(made)["me", "Update"]["f:spec"]
    assert spec == {"f:domain": {"f:devices": {"f:interfaces": {}}}, "f:networks": {}}


def test_who_does_not_know_of_owners_does_not_remove_them(lab, ns):
    made = lab.admin("POST", f"{cms(ns)}?fieldManager=me", config_map("a", {"x": "1"})).body
    del made["metadata"]["managedFields"]
    put = lab.admin("PUT", f"{cms(ns)}/a?fieldManager=me", made)
    assert owners(put) == {("me", "Update"): {"f:data": {"f:x": {}}}}


@pytest.mark.parametrize("first", [("apply",), ("create",)], ids=["client-side", "create"])
def test_kubectl_apply_on_the_servers_side(kubectl, ns, first):
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: '%s'}\n"
    kubectl(*first, "-n", ns, "-f", "-", stdin=manifest % 1)
    command = ("apply", "--server-side", "-n", ns, "-f", "-")
    done = kubectl(*command, stdin=manifest % 2, check=False)
    if first == ("apply",):
        # kubectl takes over what it has itself applied on the client's side.
        assert "configmap/a serverside-applied" in done.stdout, done.stderr
    else:
        assert done.returncode == 1
        assert 'Apply failed with 1 conflict: conflict with "kubectl-create"' in done.stderr
        assert "--force-conflicts" in done.stderr
        assert "serverside-applied" in kubectl(*command, "--force-conflicts", stdin=manifest % 2).stdout
    assert kubectl("get", "cm", "a", "-n", ns, "-o", "jsonpath={.data.x}").stdout == "2"
    shown = json.loads(kubectl("get", "cm", "a", "-n", ns, "-o", "json", "--show-managed-fields").stdout)
    assert ("kubectl", "Apply") in [
        (one["manager"], one["operation"]) for one in shown["metadata"]["managedFields"]
    ]
