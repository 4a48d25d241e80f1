"""What happens by itself: collection by owner, the end of a namespace."""

from __future__ import annotations

from .helpers import MERGE, cms, config_map, pod, pods, vmi, vmis


def _owner(kind, name, uid, api="v1", **more):
    return {"ownerReferences": [{"apiVersion": api, "kind": kind, "name": name, "uid": uid, **more}]}


def _until_ending(lab, path, name):
    """Wait until its deletion has begun. A watch from nowhere begins with what there is."""
    for event in lab.admin.events(f"{path}?watch=1&timeoutSeconds=40"):
        metadata = event["object"]["metadata"]
        if metadata["name"] == name and metadata.get("deletionTimestamp"):
            return
    raise AssertionError(f"nobody deletes {name}")


def _until_gone(lab, path, name):
    start = lab.admin("GET", path).body["metadata"]["resourceVersion"]
    if lab.admin("GET", f"{path}/{name}").code == 404:
        return
    for event in lab.admin.events(f"{path}?watch=1&timeoutSeconds=40&resourceVersion={start}"):
        if event["type"] == "DELETED" and event["object"]["metadata"]["name"] == name:
            return
    raise AssertionError(f"{name} is still there")


def test_E60_what_a_pod_owns_goes_with_it(lab, ns):
    uid = lab.admin("POST", pods(ns), pod()).body["metadata"]["uid"]
    lab.admin("POST", vmis(ns), vmi("owned", **_owner("Pod", "p", uid)))
    lab.admin("POST", vmis(ns), vmi("free"))
    lab.admin("DELETE", f"{pods(ns)}/p")
    _until_gone(lab, vmis(ns), "owned")
    assert lab.admin("GET", f"{vmis(ns)}/free").code == 200


def test_E60_an_owner_that_does_not_exist_gets_its_dependents_collected(lab, ns):
    lab.admin("POST", pods(ns), pod())
    assert lab.admin("POST", vmis(ns), vmi("v", **_owner("Pod", "p", "another-uid"))).code == 201
    _until_gone(lab, vmis(ns), "v")


def test_an_owner_in_another_namespace_does_not_count(lab, ns):
    uid = lab.admin("POST", pods("default"), pod("elsewhere")).body["metadata"]["uid"]
    lab.admin("POST", cms(ns), config_map("a", metadata=_owner("Pod", "elsewhere", uid)))
    _until_gone(lab, cms(ns), "a")


def test_one_owner_of_two_keeps_a_dependent(lab, ns):
    first = lab.admin("POST", pods(ns), pod("one")).body["metadata"]["uid"]
    second = lab.admin("POST", pods(ns), pod("two")).body["metadata"]["uid"]
    both = _owner("Pod", "one", first)["ownerReferences"] + _owner("Pod", "two", second)["ownerReferences"]
    lab.admin("POST", cms(ns), config_map("both", metadata={"ownerReferences": both}))
    lab.admin("POST", cms(ns), config_map("witness", metadata=_owner("Pod", "one", first)))
    lab.admin("DELETE", f"{pods(ns)}/one")
    _until_gone(lab, cms(ns), "witness")
    assert lab.admin("GET", f"{cms(ns)}/both").code == 200
    lab.admin("DELETE", f"{pods(ns)}/two")
    _until_gone(lab, cms(ns), "both")


def test_foreground_deletion_waits_for_what_blocks(lab, ns):
    uid = lab.admin("POST", vmis(ns), vmi("owner")).body["metadata"]["uid"]
    reference = _owner("VirtualMachineInstance", "owner", uid, "kubevirt.io/v1", blockOwnerDeletion=True)
    lab.admin("POST", cms(ns), config_map("held", metadata={**reference, "finalizers": ["a/b"]}))
    lab.admin("DELETE", f"{vmis(ns)}/owner", {"propagationPolicy": "Foreground"})
    _until_ending(lab, cms(ns), "held")
    assert lab.admin("GET", f"{vmis(ns)}/owner").body["metadata"]["finalizers"] == ["foregroundDeletion"]
    lab.admin("PATCH", f"{cms(ns)}/held", {"metadata": {"finalizers": None}}, MERGE)
    _until_gone(lab, vmis(ns), "owner")


def test_orphaned_dependents_stay(lab, ns):
    uid = lab.admin("POST", pods(ns), pod()).body["metadata"]["uid"]
    lab.admin("POST", cms(ns), config_map("a", metadata=_owner("Pod", "p", uid)))
    lab.admin("DELETE", f"{pods(ns)}/p", {"propagationPolicy": "Orphan"})
    _until_gone(lab, pods(ns), "p")
    assert "ownerReferences" not in lab.admin("GET", f"{cms(ns)}/a").body["metadata"]


def test_a_namespace_takes_its_content_with_it(lab):
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ending"}}
    lab.admin("POST", "/api/v1/namespaces", body)
    assert lab.admin("GET", "/api/v1/namespaces/ending/serviceaccounts/default").code == 200
    lab.admin("POST", vmis("ending"), vmi(finalizers=["a/b"]))
    assert lab.admin("DELETE", "/api/v1/namespaces/ending").body["status"]["phase"] == "Terminating"
    refused = lab.admin("POST", cms("ending"), config_map())
    assert refused.code == 403
    assert "because it is being terminated" in refused.body["message"]
    _until_ending(lab, vmis("ending"), "v")
    lab.admin("PATCH", f"{vmis('ending')}/v", {"metadata": {"finalizers": None}}, MERGE)
    _until_gone(lab, "/api/v1/namespaces", "ending")


def test_some_namespaces_stay(lab):
    assert lab.admin("DELETE", "/api/v1/namespaces/default").code == 403
