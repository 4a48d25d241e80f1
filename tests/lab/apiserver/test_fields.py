"""Fields that a kind does not have: refused when a client asks for it, as kubectl does; and what explain says."""

from __future__ import annotations

import pytest

from .helpers import MERGE, cms, config_map, pod, pods, vmi, vmis


def test_a_field_that_no_pod_has_is_refused_where_strictness_is_asked_for(lab, ns):
    wrong = pod()
    wrong["spec"]["containers"][0]["imagePulPolicy"] = "Always"
    wrong["metadata"]["lables"] = {"a": "b"}
    refused = lab.admin("POST", f"{pods(ns)}?fieldValidation=Strict", wrong)
    assert (refused.code, refused.body["reason"]) == (400, "BadRequest")
    assert refused.body["message"] == (
        'Pod in version "v1" cannot be handled as a Pod: strict decoding error: '
        'unknown field "metadata.lables", unknown field "spec.containers[0].imagePulPolicy"'
    )
    assert lab.admin("GET", f"{pods(ns)}/p").code == 404
    told = lab.admin("POST", f"{pods(ns)}?fieldValidation=Warn", wrong)
    assert told.code == 201
    assert told.headers.getlist("Warning") == [
        '299 - "unknown field \\"metadata.lables\\""',
        '299 - "unknown field \\"spec.containers[0].imagePulPolicy\\""',
    ]


def test_a_field_that_no_vmi_has_is_refused_too(lab, ns):
    wrong = vmi()
    wrong["spec"]["domain"]["devices"]["interfaces"][0]["brigde"] = {}
    refused = lab.admin("POST", f"{vmis(ns)}?fieldValidation=Strict", wrong)
    assert refused.code == 400
    assert refused.body["message"] == (
        'VirtualMachineInstance in version "v1" cannot be handled as a VirtualMachineInstance: '
        'strict decoding error: unknown field "spec.domain.devices.interfaces[0].brigde"'
    )
    assert lab.admin("POST", f"{vmis(ns)}?fieldValidation=Strict", vmi()).code == 201


def test_a_field_that_comes_twice_is_refused(lab, ns):
    raw = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"1","x":"2"}}'
    refused = lab.admin("POST", f"{cms(ns)}?fieldValidation=Strict", raw)
    assert refused.code == 400
    assert refused.body["message"].endswith('strict decoding error: duplicate field "data.x"')


def test_a_patch_is_judged_too(lab, ns):
    lab.admin("POST", cms(ns), config_map())
    refused = lab.admin("PATCH", f"{cms(ns)}/a?fieldValidation=Strict", {"dta": {"x": "1"}}, MERGE)
    assert (refused.code, refused.body["reason"]) == (422, "Invalid")
    assert refused.body["message"].endswith('strict decoding error: unknown field "dta"')
    assert lab.admin("PATCH", f"{cms(ns)}/a?fieldValidation=Strict", {"data": {"x": "1"}}, MERGE).code == 200


def test_another_strictness_is_refused_with_what_there_is(lab, ns):
    refused = lab.admin("POST", f"{cms(ns)}?fieldValidation=strict", config_map())
    assert refused.code == 422
    assert (
        'Unsupported value: "strict": supported values: "Ignore", "Warn", "Strict"' in refused.body["message"]
    )


def test_kubectl_refuses_a_misspelt_field(kubectl, ns):
    done = kubectl(
        "create", "-n", ns, "-f", "-", check=False,
        stdin="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndta: {x: y}\n",
    )  # fmt: skip
    assert done.returncode == 1
    assert 'strict decoding error: unknown field "dta"' in done.stderr


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("vmi.spec", ["KIND:       VirtualMachineInstance", "evictionStrategy\t<string>"]),
        ("vmi.spec.domain.devices.interfaces.binding", ["FIELD: binding <PluginBinding>", "name\t<string>"]),
        ("net-attach-def.spec.config", ["FIELD: config <string>", "CNI configuration"]),
        ("configmap.data", ["FIELD: data <map[string]string>"]),
        ("pod.spec.containers", ["FIELD: containers <[]Container>", "image\t<string>", "List of containers"]),
        ("job.spec.backoffLimit", ["FIELD: backoffLimit <integer>"]),
    ],
)
def test_kubectl_explains_the_kinds_of_the_lab(kubectl, path, words):
    shown = kubectl("explain", path).stdout
    for word in words:
        assert word in shown


def test_wide_output_has_the_columns_that_a_cluster_shows(lab, kubectl, ns):
    lab.admin("POST", pods(ns), pod())
    header, row = kubectl("get", "pods", "-n", ns, "-o", "wide").stdout.splitlines()
    names = ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED NODE", "READINESS GATES"]
    assert [name for name in names if name not in header] == []
    assert row.split()[-4:] == ["<none>"] * 4
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"node-of-{ns}"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "192.0.2.9"}],
            "nodeInfo": {"osImage": "Linux", "kernelVersion": "6.1.0", "containerRuntimeVersion": "x://1"},
        },
    }
    lab.admin("POST", "/api/v1/nodes", node)
    wide = kubectl("get", "node", f"node-of-{ns}", "-o", "wide").stdout
    lab.admin("DELETE", f"/api/v1/nodes/node-of-{ns}")
    assert "INTERNAL-IP" in wide
    assert wide.splitlines()[1].split()[-5:] == ["192.0.2.9", "<none>", "Linux", "6.1.0", "x://1"]
