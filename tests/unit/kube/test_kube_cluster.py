from __future__ import annotations

import pytest
from kubescript import status_object

from pytest_kvlatency.errors import PermissionDeniedError
from pytest_kvlatency.kube.clusterfacts import describe
from pytest_kvlatency.kube.nodes import list_nodes
from pytest_kvlatency.kube.paths import target

KUBEVIRTS = "/apis/kubevirt.io/v1/kubevirts"


def test_versions_and_lab(server, client, deadline):
    kubevirt = {
        "metadata": {"annotations": {"kvlatency.lab/guests": "sim"}},
        "status": {"observedKubeVirtVersion": "v1.6.0"},
    }
    server.answer("GET /version", {"gitVersion": "v1.33.1"})
    server.answer(f"GET {KUBEVIRTS}", {"items": [kubevirt]})
    facts = describe(client, deadline)
    assert (facts.server, facts.kubernetes_version, facts.kubevirt_version) == (
        server.url,
        "v1.33.1",
        "v1.6.0",
    )
    assert facts.lab == {"guests": "sim", "timeScale": None}


def test_E53_versions_that_cannot_be_had_are_none(server, client, deadline):
    server.answer("GET /version", {"gitVersion": "v1.33.1"})
    server.answer(
        f"GET {KUBEVIRTS}", status_object(403, "Forbidden", 'x is forbidden: User "sa" cannot list resource')
    )
    facts = describe(client, deadline)
    assert facts.kubevirt_version is None
    assert facts.lab is None


def test_nodes_come_in_pages_with_what_decides_about_them(server, client, deadline):
    def node(name, *, ready="True", labels=None, **spec):
        status = {"conditions": [{"type": "Ready", "status": ready}], "nodeInfo": {"architecture": "amd64"}}
        return {"metadata": {"name": name, "labels": labels or {}}, "spec": spec, "status": status}

    server.answer(
        "GET /api/v1/nodes",
        {"metadata": {"continue": "x"}, "items": [node("b"), node("a", unschedulable=True)]},
        {"items": [node("c", ready="False"), node("d", labels={"kubevirt.io/schedulable": "false"})]},
    )
    nodes = list_nodes(client, deadline)
    assert [(one.name, one.is_cordoned, one.is_ready, dict(one.labels)) for one in nodes] == [
        ("a", True, True, {}),
        ("b", False, True, {}),
        ("c", False, False, {}),
        ("d", False, True, {"kubevirt.io/schedulable": "false"}),
    ]
    assert nodes[0].architecture == "amd64"


def test_E54_nodes_need_a_cluster_role(server, client, deadline):
    message = 'nodes is forbidden: User "sa" cannot list resource "nodes"'
    server.answer("GET /api/v1/nodes", status_object(403, "Forbidden", message))
    with pytest.raises(PermissionDeniedError) as caught:
        list_nodes(client, deadline)
    assert "kind: ClusterRole" in caught.value.hint


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        (
            "GET",
            "/apis/kubevirt.io/v1/namespaces/n/virtualmachineinstances/x",
            "get virtualmachineinstances.kubevirt.io x in namespace n",
        ),
        (
            "DELETE",
            "/apis/kubevirt.io/v1/namespaces/n/virtualmachineinstances/x",
            "delete virtualmachineinstances.kubevirt.io x in namespace n",
        ),
        ("PUT", "/api/v1/namespaces/n/configmaps/c", "update configmaps c in namespace n"),
        ("GET", "/api/v1/namespaces/n/pods/p/log", "get pods/log p in namespace n"),
        ("GET", "/api/v1/nodes", "list nodes"),
        ("GET", "/api/v1/namespaces/n", "get namespaces n"),
        ("GET", "/version", "get /version"),
        (
            "GET",
            "/apis/subresources.kubevirt.io/v1/namespaces/n/virtualmachineinstances/x/console",
            "get virtualmachineinstances.subresources.kubevirt.io/console x in namespace n",
        ),
    ],
)
def test_E54_requests_in_the_words_of_rbac(method, path, text):
    assert str(target(method, path)) == text
