"""The Python client, typed and by custom object, with a watch."""

from __future__ import annotations

import pytest
from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException

from .helpers import config_map, vmi


@pytest.fixture
def api(lab):
    made = config.new_client_from_config(str(lab.plane.kubeconfig))
    yield made
    made.close()


def test_typed_objects(api, ns):
    core = client.CoreV1Api(api)
    core.create_namespaced_config_map(ns, config_map())
    assert core.read_namespaced_config_map("a", ns).metadata.uid
    core.patch_namespaced_config_map("a", ns, {"data": {"x": "1"}})
    assert core.list_namespaced_config_map(ns).items[0].data == {"x": "1"}
    core.delete_namespaced_config_map("a", ns)
    with pytest.raises(ApiException) as caught:
        core.read_namespaced_config_map("a", ns)
    assert caught.value.status == 404


def test_custom_objects_and_a_watch(api, ns):
    custom = client.CustomObjectsApi(api)
    where = ("kubevirt.io", "v1", ns, "virtualmachineinstances")
    custom.create_namespaced_custom_object(*where, vmi())
    seen = []
    for event in watch.Watch().stream(custom.list_namespaced_custom_object, *where, timeout_seconds=40):
        seen.append(event["type"])
        if event["type"] == "ADDED":
            custom.patch_namespaced_custom_object(*where, "v", {"status": {"phase": "Running"}})
        elif event["type"] == "MODIFIED":
            custom.delete_namespaced_custom_object(*where, "v")
        else:
            break
    assert seen == ["ADDED", "MODIFIED", "DELETED"]
