from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from kubescript import REQUEST

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.kube.manifest import (
    fresh_mac,
    fresh_name,
    network_data,
    owner_from_environment,
    user_data,
    vmi_manifest,
)


def test_the_nad_is_the_only_network():
    spec = vmi_manifest(REQUEST)["spec"]
    assert spec["networks"] == [{"name": "kvlatency", "multus": {"networkName": "default/blue-network"}}]
    assert spec["domain"]["devices"]["interfaces"] == [
        {"name": "kvlatency", "macAddress": "02:00:00:00:00:01", "bridge": {}}
    ]
    assert spec["evictionStrategy"] == "None"
    assert spec["terminationGracePeriodSeconds"] == 0
    assert spec["domain"]["devices"]["logSerialConsole"] is True
    assert spec["domain"]["devices"]["rng"] == {}
    assert "affinity" not in spec
    assert "architecture" not in spec


@pytest.mark.parametrize(
    ("binding", "key", "value"),
    [("sriov", "sriov", {}), ("macvtap", "binding", {"name": "macvtap"})],
)
def test_bindings(binding, key, value):
    devices = vmi_manifest(replace(REQUEST, binding=binding))["spec"]["domain"]["devices"]
    assert devices["interfaces"][0][key] == value


def test_pinned_has_two_terms_either_of_which_suffices():
    affinity = vmi_manifest(replace(REQUEST, node="worker1"))["spec"]["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [set(term) for term in terms] == [{"matchExpressions"}, {"matchFields"}]
    assert terms[0]["matchExpressions"][0] == {
        "key": "kubernetes.io/hostname",
        "operator": "In",
        "values": ["worker1"],
    }
    assert terms[1]["matchFields"][0]["key"] == "metadata.name"


def test_E69_anti_affinity_is_on_its_own_label():
    manifest = vmi_manifest(replace(REQUEST, anti_affinity_label=("latency-check/uid", "pair-7")))
    assert manifest["metadata"]["labels"]["latency-check/uid"] == "pair-7"
    term = manifest["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        0
    ]
    assert term["labelSelector"]["matchExpressions"][0]["values"] == ["pair-7"]


@pytest.mark.edge_case(
    "E60",
    happens="The run is killed, and leaves its VMIs.",
    does="Each VMI carries the time after which `--kv-sweep` may remove it; one that `--kv-keep` kept carries none.",
)
def test_E60_what_may_be_swept_says_when():
    metadata = vmi_manifest(replace(REQUEST, expires_at="2026-01-01T00:00:00Z"))["metadata"]
    assert metadata["annotations"]["pytest-kvlatency/expires-at"] == "2026-01-01T00:00:00Z"
    assert metadata["labels"]["app.kubernetes.io/managed-by"] == "pytest-kvlatency"
    assert metadata["annotations"]["pytest-kvlatency/sweep"] == "checks/latency-check-source-abcde"
    kept = vmi_manifest(REQUEST)["metadata"]["annotations"]
    assert not {"pytest-kvlatency/expires-at", "pytest-kvlatency/sweep"} & set(kept)


def test_E70_the_architecture_is_said():
    assert vmi_manifest(replace(REQUEST, architecture="arm64"))["spec"]["architecture"] == "arm64"


def test_owner_secret_and_tolerations():
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}
    toleration = {"key": "k", "operator": "Exists", "effect": "NoSchedule"}
    manifest = vmi_manifest(replace(REQUEST, owner=owner, image_pull_secret="s", tolerations=[toleration]))
    assert manifest["metadata"]["ownerReferences"] == [owner]
    assert manifest["spec"]["tolerations"] == [toleration]
    assert manifest["spec"]["volumes"][0]["containerDisk"]["imagePullSecret"] == "s"


def test_cloud_init_longer_than_kubevirt_takes_is_refused():
    with pytest.raises(ConfigError, match="2048"):
        vmi_manifest(replace(REQUEST, user_data="#" * 2049))


def test_E05_user_data_is_never_empty():
    text = user_data()
    assert text.startswith("#cloud-config\n")
    assert yaml.safe_load(text)
    assert yaml.safe_load(user_data({"password": "p"}))["password"] == "p"


def test_network_data_matches_by_mac():
    static = yaml.safe_load(network_data("02:00:00:00:00:01", "fd00::1/64"))
    assert static["version"] == 2
    assert list(static["ethernets"].values()) == [
        {"match": {"macaddress": "02:00:00:00:00:01"}, "addresses": ["fd00::1/64"]}
    ]
    assert (
        next(iter(yaml.safe_load(network_data("02:00:00:00:00:01", None))["ethernets"].values()))["dhcp4"]
        is True
    )


def test_names_and_macs():
    assert fresh_name("latency-check-source").startswith("latency-check-source-")
    assert len(fresh_name("x" * 80)) == 63
    assert int(fresh_mac().split(":")[0], 16) & 3 == 2


@pytest.mark.parametrize(
    ("environ", "pod", "expected"),
    [
        ({"POD_UID": "u", "POD_NAME": "p", "HOSTNAME": "h"}, "checks", "p"),
        ({"POD_UID": "u", "HOSTNAME": "h"}, "checks", "h"),
        ({"POD_UID": "u", "HOSTNAME": "h", "JOB_COMPLETION_INDEX": "0"}, "checks", None),
        ({"POD_UID": "u", "POD_NAME": "p", "JOB_COMPLETION_INDEX": "0"}, "checks", "p"),
        ({"POD_NAME": "p"}, "checks", None),
        ({"POD_UID": "u", "POD_NAME": "p"}, "other", None),
        ({"POD_UID": "u", "POD_NAME": "p"}, None, None),
    ],
)
def test_E60_the_owner(environ, pod, expected):
    owner = owner_from_environment(environ, pod_namespace=pod, vmi_namespace="checks")
    assert owner == (expected and {"apiVersion": "v1", "kind": "Pod", "name": expected, "uid": "u"})


def test_E92_a_command_at_boot_comes_before_the_profiles_own():
    text = user_data({"bootcmd": ["echo mine"], "password": "x"}, boot_commands=["arm &"])
    assert yaml.safe_load(text) == {"disable_root": False, "bootcmd": ["arm &", "echo mine"], "password": "x"}
    assert yaml.safe_load(user_data({"bootcmd": "echo mine"}, boot_commands=["arm &"]))["bootcmd"] == [
        "arm &",
        "echo mine",
    ]
    assert "bootcmd" not in yaml.safe_load(user_data({"password": "x"}))
