from __future__ import annotations

import json

import pytest
from kubescript import status_object

from pytest_kvlatency.errors import ConfigError, PermissionDeniedError, ProvisionError
from pytest_kvlatency.kube.nad import judge, read_nad
from pytest_kvlatency.model import NadRef

REF = NadRef(namespace="default", name="blue-network")
PATH = "/apis/k8s.cni.cncf.io/v1/namespaces/default/network-attachment-definitions"
OVN = {"type": "ovn-k8s-cni-overlay"}


def judged(config, *, binding="auto", ipv6=False):
    text = config if isinstance(config, str) else json.dumps(config)
    return judge(REF, text, binding=binding, subnet_is_ipv6=ipv6)


@pytest.mark.parametrize(
    ("config", "binding", "mode"),
    [
        ({"type": "bridge"}, "bridge", "static"),
        ({"type": "cnv-bridge", "ipam": {}}, "bridge", "static"),
        ({"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.0.0.0/24"}}, "bridge", "dhcp"),
        ({"type": "bridge", "ipam": {"type": "dhcp"}}, "bridge", "dhcp"),
        (
            {
                "type": "bridge",
                "ipam": {
                    "type": "whereabouts",
                    "ipRanges": [{"range": "10.1.0.0/16"}, {"range": "fd00::/64"}],
                },
            },
            "bridge",
            "dhcp",
        ),
        (
            {"type": "sriov", "ipam": {"type": "static", "addresses": [{"address": "fd00::1/64"}]}},
            "sriov",
            "static",
        ),
        ({"plugins": [{"type": "tuning"}, {"type": "sriov"}]}, "sriov", "static"),
        ({**OVN, "role": "secondary"}, "bridge", "static"),
        ({**OVN, "subnets": "10.128.0.0/14/23"}, "bridge", "dhcp"),
        ({**OVN, "subnets": "10.1.0.0/16,fd00::/64"}, "bridge", "dhcp"),
    ],
)
def test_E21_E25_binding_and_address_mode(config, binding, mode):
    facts = judged(config)
    assert (facts.binding, facts.address_mode) == (binding, mode)


@pytest.mark.parametrize(
    "config",
    [
        {"type": "bridge", "ipam": {"type": "host-local", "ranges": [[{"subnet": "fd00::/64"}]]}},
        {**OVN, "subnets": "fd00::/64"},
    ],
    ids=["ipam", "ovn"],
)
def test_E21_bridge_with_ipam_for_ipv6_only_is_refused(config):
    with pytest.raises(ConfigError, match="IPv6 only"):
        judged(config)
    assert judged(config, binding="sriov").address_mode == "static"


def test_E21_ipam_and_an_ipv6_subnet_do_not_go_together_on_a_bridge():
    with pytest.raises(ConfigError, match="--kv-subnet"):
        judged({"type": "bridge", "ipam": {"type": "dhcp"}}, ipv6=True)


def test_E21_a_binding_plugin_with_ipam_is_refused():
    with pytest.raises(ConfigError, match="'passt'"):
        judged({"type": "bridge", "ipam": {"type": "dhcp"}}, binding="passt")


def test_E21_a_primary_ovn_network_is_refused():
    with pytest.raises(ConfigError, match="role primary"):
        judged({**OVN, "role": "primary", "subnets": "10.1.0.0/16"}, binding="sriov")


@pytest.mark.parametrize("kind", ["macvlan", "ipvlan", "macvtap"])
def test_unserved_types_are_refused_naming_the_option(kind):
    with pytest.raises(ConfigError, match=kind) as caught:
        judged({"plugins": [{"type": kind}]})
    assert "valid is --kv-binding" in caught.value.failure_reason
    assert judged({"type": kind}, binding="macvtap").binding == "macvtap"
    assert judged({"type": kind}, binding="bridge").warnings


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("{", "not valid JSON"),
        ("[]", "no JSON object"),
        ('{"plugins": []}', "plugins"),
        ('{"plugins": [1]}', "plugins"),
        ("{}", "no type"),
    ],
)
def test_E24_a_broken_config_is_told(config, words):
    with pytest.raises(ConfigError, match=words):
        judged(config)


def test_E24_a_missing_nad_is_told_with_those_there_are(server, client, deadline):
    server.answer(
        f"GET {PATH}/blue-network", status_object(404, "NotFound", "not found", name="blue-network")
    )
    server.answer(f"GET {PATH}", {"items": [{"metadata": {"name": "red"}}, {"metadata": {"name": "green"}}]})
    with pytest.raises(ConfigError, match="default/blue-network does not exist") as caught:
        read_nad(client, REF, binding="auto", subnet_is_ipv6=False, deadline=deadline)
    assert caught.value.hint == "Namespace default has: green, red."


def test_E24_an_unreadable_nad_needs_a_binding(server, client, deadline):
    message = 'x is forbidden: User "sa" cannot get resource "network-attachment-definitions"'
    server.answer(f"GET {PATH}/blue-network", status_object(403, "Forbidden", message))
    with pytest.raises(PermissionDeniedError) as caught:
        read_nad(client, REF, binding="auto", subnet_is_ipv6=False, deadline=deadline)
    assert "--kv-binding" in caught.value.hint
    facts = read_nad(client, REF, binding="sriov", subnet_is_ipv6=False, deadline=deadline)
    assert facts.binding == "sriov"
    assert "may not be read" in facts.warnings[0]


def test_E53_no_nad_api(client, deadline):
    with pytest.raises(ProvisionError, match="Multus") as caught:
        read_nad(client, REF, binding="auto", subnet_is_ipv6=False, deadline=deadline)
    assert "k8s.cni.cncf.io" in caught.value.hint
