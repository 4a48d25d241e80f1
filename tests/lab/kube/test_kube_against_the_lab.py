from __future__ import annotations

import pytest
from kubelab import BLUE, CHECKUP, ROLE, request

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.errors import ConfigError, PermissionDeniedError, ProvisionError
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.apierrors import MacRefused
from pytest_kvlatency.kube.client import KubeClient
from pytest_kvlatency.kube.clusterfacts import describe
from pytest_kvlatency.kube.configmap import ConfigMaps
from pytest_kvlatency.kube.nad import read_nad
from pytest_kvlatency.kube.vmi import Vmis
from pytest_kvlatency.lab.spec.labspec import FaultSpec
from pytest_kvlatency.model import NadRef


def nad(client, ref=BLUE):
    return read_nad(client, ref, binding="auto", subnet_is_ipv6=False, deadline=Deadline(60))


def whole_way(client):
    deadline = Deadline(60)
    maps, vmis = ConfigMaps(client), Vmis(client)
    last = maps.read(CHECKUP, deadline)
    facts = nad(client)
    last = maps.write_status(last, {"status.startTimestamp": "t", "status.result.x": "1"}, deadline)
    made = vmis.create(request(), deadline)
    state = vmis.get_state(made, deadline)
    assert state is not None
    assert state.uid == made.uid
    for error in vmis.delete_all([made], deadline).values():
        raise error
    vmis.wait_gone([made], deadline)
    maps.write_status(last, {"status.succeeded": "true", "status.result.x": None}, deadline)
    assert vmis.outstanding() == []
    return facts


def test_the_role_of_the_design_suffices(cluster, deadline):
    client = cluster.user(ROLE.values())
    assert whole_way(client).binding == "bridge"
    data = ConfigMaps(cluster.admin).read(CHECKUP, deadline).data
    assert data == {"spec.timeout": "5m", "status.startTimestamp": "t", "status.succeeded": "true"}
    assert describe(client, deadline).kubernetes_version == "v1.32.4"


def test_an_administrator_patches(cluster):
    whole_way(cluster.admin)
    verbs = [entry["verb"] for entry in cluster.audit() if entry.get("resource") == "configmaps"]
    assert "patch" in verbs
    assert "update" not in verbs


@pytest.mark.parametrize("missing", ROLE)
def test_E54_each_missing_permission_is_named_with_its_rule(cluster, missing):
    client = cluster.user(rule for name, rule in ROLE.items() if name != missing)
    group, resource, verb = ROLE[missing]
    with pytest.raises(PermissionDeniedError) as caught:
        whole_way(client)
    full = f"{resource}.{group}" if group else resource
    assert f"may not {verb} {full}" in caught.value.reason
    assert "in namespace checks" in caught.value.reason
    assert f'resources: ["{resource}"]' in caught.value.hint
    assert f'verbs: ["{verb}"]' in caught.value.hint


def test_E54_credentials_that_are_refused(cluster, tmp_path, deadline):
    path = tmp_path / "bad"
    path.write_text(cluster.plane.kubeconfig_for("n0-such-t0ken"))
    client = KubeClient.connect(kubeconfig=path)
    with pytest.raises(PermissionDeniedError, match="does not accept the credentials") as caught:
        nad(client)
    assert "n0-such" not in caught.value.reason + caught.value.hint
    client.close()


def test_E11_a_client_certificate(cluster, tmp_path, deadline):
    text = cluster.plane.kubeconfig.read_text()
    token = f"token: {cluster.plane.admin_token}"
    directory = cluster.plane.directory
    assert token in text
    path = tmp_path / "by-certificate"
    path.write_text(
        text.replace(
            token,
            f"client-certificate: {directory / 'client.crt'}\n    client-key: {directory / 'client.key'}",
        )
    )
    client = KubeClient.connect(kubeconfig=path)
    assert nad(client).binding == "bridge"
    client.close()


def test_E11_an_unknown_authority_is_a_config_error_and_skipping_verification_is_silent(
    cluster, tmp_path, deadline
):
    lines = cluster.plane.kubeconfig.read_text().splitlines()
    path = tmp_path / "untrusting"
    path.write_text("\n".join(line for line in lines if "certificate-authority-data" not in line))
    with pytest.raises(ConfigError, match="is not trusted"):
        nad(KubeClient.connect(kubeconfig=path))
    skip = [
        line.replace(line.strip(), "insecure-skip-tls-verify: true")
        if "certificate-authority-data" in line
        else line
        for line in lines
    ]
    path.write_text("\n".join(skip))
    client = KubeClient.connect(kubeconfig=path)
    assert nad(client).binding == "bridge"
    client.close()


def test_E24_a_missing_nad_names_those_there_are(cluster):
    with pytest.raises(ConfigError, match="checks/red does not exist") as caught:
        nad(cluster.admin, NadRef(namespace="checks", name="red"))
    assert "blue" in caught.value.hint
    with pytest.raises(ConfigError, match="does not exist"):
        nad(cluster.admin, NadRef(namespace="nowhere", name="red"))


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("quota", ProvisionError, "exceeded quota"),
        ("mac-collision", MacRefused, "(?i)mac"),
        ("kubevirt-missing", ProvisionError, "Is KubeVirt installed"),
    ],
    ids=["E52", "E71", "E53"],
)
def test_refusals_of_a_vmi(cluster_with, deadline, fault, error, words):
    vmis = Vmis(cluster_with(FaultSpec(fault=fault)).user(ROLE.values()))
    with pytest.raises(error, match=words):
        vmis.create(request(), deadline)
    assert vmis.outstanding() == []


def test_E53_no_nad_api(cluster_with):
    client = cluster_with(FaultSpec(fault="nad-api-missing")).user(ROLE.values())
    with pytest.raises(ProvisionError, match="Multus"):
        nad(client)


@pytest.mark.parametrize(
    "fault",
    [
        FaultSpec(fault="api-error", times=2),
        FaultSpec(fault="api-error", times=2, parameters={"code": "429", "retry_after": "1"}),
        FaultSpec(fault="api-reset", times=2, parameters={"verb": "create"}),
        FaultSpec(fault="api-conflict", times=2, parameters={"resource": "configmaps"}),
    ],
    ids=["503", "429", "reset", "E57-conflict"],
)
def test_E62_trouble_does_not_show(cluster_with, fault):
    whole_way(cluster_with(fault).user(ROLE.values()))


def test_E53_the_console_and_kubeconfig_share_everything(cluster):
    endpoint = cluster.admin.console_endpoint("checks", "a")
    assert endpoint.server.url.startswith(cluster.plane.server.replace("https", "wss") + paths.SUBRESOURCES)
    assert endpoint.headers["Authorization"] == f"Bearer {cluster.plane.admin_token}"
    assert endpoint.server.ca_file
