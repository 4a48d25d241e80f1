"""Create, read, update, patch and delete, and what is refused."""

from __future__ import annotations

import pytest

from .helpers import JSON_PATCH, MERGE, STRATEGIC, cms, config_map, pod, pods, vmi, vmis


def test_create_fills_in_the_metadata(lab, ns):
    made = lab.admin("POST", cms(ns), config_map(None, {"a": "b"}, metadata={"generateName": "x-"}))
    assert made.code == 201
    meta = made.body["metadata"]
    assert meta["name"].startswith("x-")
    assert len(meta["name"]) == 7
    assert meta["namespace"] == ns
    assert meta["uid"]
    assert int(meta["resourceVersion"]) > 1
    assert meta["creationTimestamp"].endswith("Z")
    assert lab.admin("GET", f"{cms(ns)}/{meta['name']}").body == made.body


def test_generation_counts_changes_of_the_spec_only(lab, ns):
    made = lab.admin("POST", vmis(ns), vmi()).body
    assert made["metadata"]["generation"] == 1
    labelled = lab.admin("PATCH", f"{vmis(ns)}/v", {"metadata": {"labels": {"a": "b"}}}, MERGE).body
    assert labelled["metadata"]["generation"] == 1
    nad = {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "n"},
    }
    path = f"/apis/k8s.cni.cncf.io/v1/namespaces/{ns}/network-attachment-definitions"
    assert lab.admin("POST", path, nad).body["metadata"]["generation"] == 1
    changed = lab.admin("PATCH", f"{path}/n", {"spec": {"config": "{}"}}, MERGE).body
    assert changed["metadata"]["generation"] == 2


def test_a_write_that_changes_nothing_keeps_the_revision(lab, ns):
    made = lab.admin("POST", cms(ns), config_map()).body
    again = lab.admin("PUT", f"{cms(ns)}/a", made)
    assert again.body["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_E57_update_with_a_stale_revision_is_a_conflict(lab, ns):
    made = lab.admin("POST", cms(ns), config_map()).body
    lab.admin("PATCH", f"{cms(ns)}/a", {"data": {"x": "1"}}, MERGE)
    stale = lab.admin("PUT", f"{cms(ns)}/a", made)
    assert (stale.code, stale.body["reason"]) == (409, "Conflict")
    assert stale.body["message"] == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    del made["metadata"]["resourceVersion"]
    assert lab.admin("PUT", f"{cms(ns)}/a", made).code == 200


def test_E57_an_immutable_config_map_stays(lab, ns):
    lab.admin("POST", cms(ns), config_map(immutable=True))
    refused = lab.admin("PATCH", f"{cms(ns)}/a", {"data": {"x": "1"}}, MERGE)
    assert (refused.code, refused.body["reason"]) == (422, "Invalid")
    assert "field is immutable when `immutable` is set" in refused.body["message"]
    assert lab.admin("PATCH", f"{cms(ns)}/a", {"metadata": {"labels": {"a": "b"}}}, MERGE).code == 200


def test_merge_patch_removes_with_null(lab, ns):
    lab.admin("POST", cms(ns), config_map(data={"a": "1", "b": "2"}))
    assert lab.admin("PATCH", f"{cms(ns)}/a", {"data": {"a": None, "c": "3"}}, MERGE).body["data"] == {
        "b": "2",
        "c": "3",
    }


def test_json_patch_removes_adds_and_tests(lab, ns):
    lab.admin("POST", cms(ns), config_map(data={"status.succeeded": "true", "b": "2"}))
    operations = [
        {"op": "test", "path": "/data/b", "value": "2"},
        {"op": "remove", "path": "/data/status.succeeded"},
        {"op": "add", "path": "/data/x~1y", "value": "3"},
    ]
    assert lab.admin("PATCH", f"{cms(ns)}/a", operations, JSON_PATCH).code == 422  # '/' is no part of a key
    operations[2]["path"] = "/data/xy"
    assert lab.admin("PATCH", f"{cms(ns)}/a", operations, JSON_PATCH).body["data"] == {"b": "2", "xy": "3"}


def test_json_patch_of_a_key_that_is_absent_is_refused(lab, ns):
    lab.admin("POST", cms(ns), config_map())
    refused = lab.admin("PATCH", f"{cms(ns)}/a", [{"op": "remove", "path": "/data/none"}], JSON_PATCH)
    assert (refused.code, refused.body["reason"]) == (422, "Invalid")


def test_strategic_merge_patch_merges_lists_by_key_but_not_for_custom_resources(lab, ns):
    lab.admin("POST", pods(ns), pod())
    patch = {"spec": {"containers": [{"name": "d", "image": "j"}, {"name": "c", "image": "k"}]}}
    merged = lab.admin("PATCH", f"{pods(ns)}/p", patch, STRATEGIC).body["spec"]["containers"]
    assert merged == [{"name": "c", "image": "k"}, {"name": "d", "image": "j"}]
    lab.admin("POST", vmis(ns), vmi())
    refused = lab.admin("PATCH", f"{vmis(ns)}/v", {}, STRATEGIC)
    assert (refused.code, refused.body["reason"]) == (415, "UnsupportedMediaType")


def test_status_is_written_apart_where_there_is_a_subresource(lab, ns):
    made = lab.admin("POST", pods(ns), {**pod(), "status": {"phase": "Running"}}).body
    assert made["status"]["phase"] == "Pending"
    made["status"]["phase"] = "Running"
    assert lab.admin("PUT", f"{pods(ns)}/p", made).body["status"]["phase"] == "Pending"
    assert lab.admin("PUT", f"{pods(ns)}/p/status", made).body["status"]["phase"] == "Running"


def test_a_vmi_has_no_status_subresource(lab, ns):
    lab.admin("POST", vmis(ns), vmi())
    answer = lab.admin("PATCH", f"{vmis(ns)}/v/status", {"status": {"phase": "Running"}}, MERGE)
    assert (answer.code, answer.body) == (404, "404 page not found\n")
    changed = lab.admin("PATCH", f"{vmis(ns)}/v", {"status": {"phase": "Running"}}, MERGE).body
    assert changed["status"]["phase"] == "Running"


def test_a_vmi_is_served_in_both_versions(lab, ns):
    lab.admin("POST", vmis(ns, "v1alpha3"), {**vmi(), "apiVersion": "kubevirt.io/v1alpha3"})
    assert lab.admin("GET", f"{vmis(ns)}/v").body["apiVersion"] == "kubevirt.io/v1"
    assert lab.admin("GET", f"{vmis(ns, 'v1alpha3')}/v").body["apiVersion"] == "kubevirt.io/v1alpha3"
    listed = lab.admin("GET", vmis(ns, "v1alpha3")).body
    assert (listed["kind"], listed["items"][0]["apiVersion"]) == (
        "VirtualMachineInstanceList",
        "kubevirt.io/v1alpha3",
    )


def test_delete_holds_to_its_preconditions(lab, ns):
    made = lab.admin("POST", vmis(ns), vmi()).body["metadata"]
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "other"}}
    refused = lab.admin("DELETE", f"{vmis(ns)}/v", options)
    assert refused.code == 409
    assert refused.body["message"] == (
        'Operation cannot be fulfilled on virtualmachineinstances.kubevirt.io "v": Precondition failed: '
        f"UID in precondition: other, UID in object meta: {made['uid']}"
    )
    options["preconditions"] = {"uid": made["uid"]}
    gone = lab.admin("DELETE", f"{vmis(ns)}/v", options)
    assert (gone.code, gone.body["status"], gone.body["details"]["uid"]) == (200, "Success", made["uid"])
    assert lab.admin("DELETE", f"{vmis(ns)}/v").code == 404


def test_E56_finalizers_hold_an_object_until_the_last_is_removed(lab, ns):
    lab.admin("POST", vmis(ns), vmi(finalizers=["a/b", "c/d"]))
    marked = lab.admin("DELETE", f"{vmis(ns)}/v", {"gracePeriodSeconds": 0})
    assert marked.body["metadata"]["deletionTimestamp"]
    first = lab.admin("GET", f"{vmis(ns)}/v").body["metadata"]["deletionTimestamp"]
    lab.admin("PATCH", f"{vmis(ns)}/v", {"metadata": {"finalizers": ["c/d"]}}, MERGE)
    assert lab.admin("GET", f"{vmis(ns)}/v").body["metadata"]["deletionTimestamp"] == first
    added = lab.admin("PATCH", f"{vmis(ns)}/v", {"metadata": {"finalizers": ["c/d", "e/f"]}}, MERGE)
    assert added.code == 422
    assert lab.admin("PATCH", f"{vmis(ns)}/v", {"metadata": {"finalizers": None}}, MERGE).code == 200
    assert lab.admin("GET", f"{vmis(ns)}/v").code == 404


def test_delete_collection_takes_what_is_selected(lab, ns):
    for name in ("a", "b", "c"):
        lab.admin("POST", cms(ns), config_map(name, metadata={"labels": {"keep": str(name == "c").lower()}}))
    lab.admin("DELETE", f"{cms(ns)}?labelSelector=keep%3Dfalse")
    assert [item["metadata"]["name"] for item in lab.admin("GET", cms(ns)).body["items"]] == ["c"]


def test_dry_run_stores_nothing(lab, ns):
    assert lab.admin("POST", f"{cms(ns)}?dryRun=All", config_map()).code == 201
    assert lab.admin("GET", f"{cms(ns)}/a").code == 404
    assert lab.admin("POST", f"{cms(ns)}?dryRun=Some", config_map()).code == 400


def test_a_list_comes_in_pieces(lab, ns):
    for name in "abcde":
        lab.admin("POST", cms(ns), config_map(name))
    names, token = [], ""
    while True:
        page = lab.admin("GET", f"{cms(ns)}?limit=2&continue={token}").body
        names += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert names == list("abcde")


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("app=x", ["a", "b"]),
        ("app==x,tier!=front", ["b"]),
        ("app in (x,y),!tier", ["b", "c"]),
        ("app notin (x)", ["c", "d"]),
        ("tier", ["a"]),
    ],
)
def test_label_selectors(lab, ns, selector, names):
    labels = {"a": {"app": "x", "tier": "front"}, "b": {"app": "x"}, "c": {"app": "y"}, "d": {}}
    for name, given in labels.items():
        lab.admin("POST", cms(ns), config_map(name, metadata={"labels": given}))
    answer = lab.admin.pool.request(
        "GET", lab.plane.server + cms(ns), fields={"labelSelector": selector}, headers=lab.admin.headers
    ).json()
    assert [item["metadata"]["name"] for item in answer["items"]] == names


def test_field_selectors(lab, ns):
    for name in ("a", "b"):
        lab.admin("POST", pods(ns), pod(name))
    lab.admin("PATCH", f"{pods(ns)}/b/status", {"status": {"phase": "Running"}}, MERGE)
    for selector in ("metadata.name=b", "status.phase=Running", "status.phase!=Pending"):
        found = lab.admin("GET", f"{pods(ns)}?fieldSelector={selector.replace('=', '%3D')}").body["items"]
        assert [item["metadata"]["name"] for item in found] == ["b"], selector
    assert lab.admin("GET", f"{pods(ns)}?fieldSelector=spec.color%3Dred").code == 400


@pytest.mark.parametrize(
    ("path", "body", "code", "reason", "text"),
    [
        (
            "cm",
            config_map("Not_a_name"),
            422,
            "Invalid",
            'metadata.name: Invalid value: "Not_a_name": a lowercase RFC',
        ),
        ("cm", config_map(None), 422, "Invalid", "name or generateName is required"),
        (
            "cm",
            config_map(data={"x": "y" * 1048577}),
            422,
            "Invalid",
            "Too long: may not be more than 1048576 bytes",
        ),
        ("cm", {**config_map(), "kind": "Secret"}, 400, "BadRequest", "Kind=ConfigMap"),
        ("cm", {**config_map(), "apiVersion": "v2"}, 400, "BadRequest", "(v2)"),
        (
            "cm",
            config_map(metadata={"namespace": "other"}),
            400,
            "BadRequest",
            "namespace of the provided object",
        ),
        ("cm", config_map(metadata={"labels": {"a": "not valid"}}), 422, "Invalid", "a valid label must be"),
        ("cm", "{nope", 400, "BadRequest", "json parse error"),
        ("cm", "[]", 400, "BadRequest", "expected"),
        ("cm", {**config_map(), "data": {"a": 1}}, 400, "BadRequest", "of type string"),
    ],
)
def test_what_is_refused(lab, ns, path, body, code, reason, text):
    answer = lab.admin("POST", cms(ns), body)
    assert (answer.code, answer.body["kind"], answer.body["reason"]) == (code, "Status", reason)
    assert text in answer.body["message"]


def test_E52_a_vmi_is_checked_as_by_kubevirts_webhook(lab, ns):
    broken = vmi()
    broken["spec"]["networks"] = []
    refused = lab.admin("POST", vmis(ns), broken)
    assert refused.code == 422
    assert refused.body["message"].startswith(
        'admission webhook "virtualmachineinstances-create-validator.kubevirt.io" denied the request: '
    )
    assert refused.body["details"]["causes"][0]["field"] == "spec.domain.devices.interfaces[0].name"


def test_a_vmi_with_a_name_that_is_no_text_is_refused(lab, ns):
    broken = vmi()
    broken["spec"]["networks"][0]["name"] = broken["spec"]["domain"]["devices"]["interfaces"][0]["name"] = (
        False
    )
    refused = lab.admin("POST", vmis(ns), broken)
    assert refused.code == 422
    assert 'spec.networks.name in body must be of type string: "boolean"' in refused.body["message"]


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"domain": {"devices": "x"}}},
        {"spec": []},
        {"spec": {"domain": {}, "volumes": [1]}},
        {"metadata": {"name": 3}},
        {"metadata": {"name": "v", "labels": [1]}},
        {"metadata": "x"},
    ],
)
def test_odd_objects_are_refused_with_a_status(lab, ns, change):
    refused = lab.admin("POST", vmis(ns), {**vmi(), **change})
    assert refused.code in {400, 422, 500}
    assert refused.body["kind"] == "Status"


def test_errors_have_kubernetes_shape(lab, ns):
    missing = lab.admin("GET", f"/apis/k8s.cni.cncf.io/v1/namespaces/{ns}/network-attachment-definitions/x")
    assert missing.body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'network-attachment-definitions.k8s.cni.cncf.io "x" not found',
        "reason": "NotFound",
        "details": {"name": "x", "group": "k8s.cni.cncf.io", "kind": "network-attachment-definitions"},
        "code": 404,
    }
    lab.admin("POST", cms(ns), config_map())
    again = lab.admin("POST", cms(ns), config_map())
    assert (again.code, again.body["reason"], again.body["message"]) == (
        409,
        "AlreadyExists",
        'configmaps "a" already exists',
    )
    assert lab.admin("POST", cms("no-such"), config_map()).body["message"] == 'namespaces "no-such" not found'
    assert lab.admin("GET", "/apis/none.example/v1/things").body == "404 page not found\n"
    assert lab.admin("POST", f"{cms(ns)}/a", config_map()).code == 405
    assert lab.admin("POST", cms(ns), "x", "application/xml").code == 415


def test_yaml_goes_in_and_out(lab, ns):
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: y\ndata:\n  when: '2026-01-01'\n"
    assert lab.admin("POST", cms(ns), text, "application/yaml").code == 201
    assert "when: '2026-01-01'" in lab.admin("GET", f"{cms(ns)}/y", Accept="application/yaml").body


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/{}/configmaps",
        "/api/v1/namespaces/{}/serviceaccounts",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    ],
)
def test_a_built_in_kind_need_not_be_named_in_the_body(lab, ns, path):
    made = lab.admin("POST", path.format(ns), {"metadata": {"name": "it"}})
    assert made.code == 201
    assert made.body["kind"]
    assert made.body["apiVersion"]
    again = {"metadata": {"name": "it", "labels": {"a": "b"}}}
    assert lab.admin("PUT", f"{path.format(ns)}/it", again).body["metadata"]["labels"] == {"a": "b"}


def test_a_custom_kind_must_be_named_in_the_body(lab, ns):
    nads = f"/apis/k8s.cni.cncf.io/v1/namespaces/{ns}/network-attachment-definitions"
    assert lab.admin("POST", nads, {"metadata": {"name": "it"}, "spec": {"config": "{}"}}).code == 400


def test_who_wrote_which_key_of_a_config_map_is_on_record(lab, ns):
    def owners():
        entries = lab.admin("GET", path).body["metadata"].get("managedFields", [])
        return {one["manager"]: set(one["fieldsV1"]["f:data"]) for one in entries}

    path = f"{cms(ns)}/a"
    lab.admin("POST", cms(ns), config_map())
    assert owners() == {}
    lab.admin("PATCH", f"{path}?fieldManager=one", {"data": {"x": "1", "y": "1"}}, MERGE)
    lab.admin("PATCH", f"{path}?fieldManager=two", {"data": {"x": "2", "y": "1"}}, MERGE)
    assert owners() == {"one": {"f:y"}, "two": {"f:x"}}
    whole = lab.admin("GET", path).body
    whole["data"]["y"] = "3"
    lab.admin("PUT", f"{path}?fieldManager=two", whole)
    assert owners() == {"two": {"f:x", "f:y"}}
    lab.admin("PATCH", path, {"data": {"x": None}}, MERGE)
    assert owners() == {"two": {"f:y"}}
