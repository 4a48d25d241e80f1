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
        ({"cniVersion": "0.3.1", "name": "n", "type": "ib-sriov", "pkey": "0x6"}, "sriov", "static"),
        ({"type": "accelerated-bridge", "bridge": "b1"}, "sriov", "static"),
        ({"plugins": [{"type": "bridge"}, {"type": "tuning"}, {"type": "sriov"}]}, "bridge", "static"),
        ({"plugins": [{"type": "sbr", "ipam": {"type": "dhcp"}}, {"type": "ovs"}]}, "bridge", "static"),
        ({"type": "vlan", "ipam": {"type": "whereabouts", "range": "10.0.0.0/24"}}, "bridge", "dhcp"),
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
    with pytest.raises(ConfigError, match="with the role primary, which replaces the pod network"):
        judged({**OVN, "role": "primary", "subnets": "10.1.0.0/16"}, binding="sriov")


@pytest.mark.parametrize(
    "ipam",
    [
        {},
        {"type": ""},
        {"subnet": "10.0.0.0/24"},
        {"type": "static"},
        {"type": "static", "addresses": []},
        None,
    ],
)
@pytest.mark.parametrize("capabilities", [{}, {"capabilities": {"ips": True}}])
@pytest.mark.parametrize("ipv6", [False, True])
def test_E87_an_ipam_that_gives_no_address_is_none(ipam, capabilities, ipv6):
    config = {"type": "bridge", "bridge": "br1", **capabilities, "ipam": ipam}
    assert judged(config, ipv6=ipv6).address_mode == "static"
    assert judged(config, binding="l2bridge").address_mode == "static"


@pytest.mark.parametrize(
    "kind",
    [
        *("macvlan", "ipvlan", "macvtap", "tap", "userspace", "dummy", "loopback", "kubevirt-passt-binding"),
        *("tuning", "bandwidth"),
    ],
)
def test_E87_unserved_types_are_refused_naming_the_option(kind):
    with pytest.raises(ConfigError, match=f"is of type {kind}, which") as caught:
        judged({"plugins": [{"type": kind}]})
    assert "Use --kv-binding with a binding plugin" in caught.value.failure_reason
    plugin = judged({"type": kind}, binding="l2bridge")
    assert (plugin.binding, plugin.warnings) == ("l2bridge", ())
    assert "replies may never arrive" in judged({"type": kind}, binding="bridge").warnings[0]


@pytest.mark.parametrize("kind", ["vlan", "bond", "host-device", "ptp", "of-some-vendor", "v" * 10_000])
def test_E87_types_that_kubevirt_does_not_document_are_bridged_with_a_note(kind):
    for config in ({"type": kind}, {"plugins": [{"type": "tuning"}, {"type": kind}, {"type": "bridge"}]}):
        facts = judged(config)
        assert facts.binding == "bridge"
        assert "using bridge. If no reply arrives, choose another with --kv-binding" in facts.warnings[0]
        assert len(facts.warnings[0]) < 300
        assert judged(config, binding="bridge").warnings == ()


@pytest.mark.parametrize("kind", ["bridge", "cnv-bridge", "ovs", "ovn-k8s-cni-overlay", "sriov"])
def test_types_that_kubevirt_documents_need_no_note(kind):
    assert judged({"plugins": [{"type": kind}, {"type": "tuning"}]}).warnings == ()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("  ", "is blank"),
        ("{", "not valid JSON"),
        ("[" * 200_000, "nested too deeply"),
        ("1" * 20_000, "spec.config of NAD default/blue-network is not"),
        ("[]", "expected a JSON object, got a list"),
        ("null", "expected a JSON object, got null"),
        ("7", "expected a JSON object, got a number"),
        ('{"plugins": []}', "plugins"),
        ('{"plugins": [1]}', "plugins"),
        ('{"plugins": null}', "plugins"),
        ("{}", "type is missing"),
        ('{"type": null}', "type is missing"),
        ('{"type": ["bridge"]}', "its type is a list"),
        ('{"plugins": [{"type": "bridge"}, {"type": 7}]}', "its type is a number"),
        ('{"type": "bridge", "ipam": "dhcp"}', "its ipam is text"),
        ('{"type": "bridge", "ipam": {"type": {}}}', "the type of its ipam is an object"),
    ],
)
def test_E24_a_broken_config_is_told(config, words):
    with pytest.raises(ConfigError, match=words) as caught:
        judged(config)
    assert len(caught.value.reason) < 300


@pytest.mark.parametrize(
    ("value", "words"),
    [({"type": "bridge"}, "an object"), (["bridge"], "a list"), (7, "a number"), (True, "a boolean")],
)
def test_E24_a_config_that_is_no_text_is_told(value, words):
    with pytest.raises(ConfigError, match=f"is {words}: expected the JSON of a CNI configuration as text"):
        judge(REF, value, binding="bridge", subnet_is_ipv6=False)


def test_E87_an_ipam_may_be_nested_as_deeply_as_json_may():
    deep = '{"type": "bridge", "ipam": {"type": "dhcp", "x": ' + "[" * 900 + "]" * 900 + "}}"
    assert judged(deep).address_mode == "dhcp"


@pytest.mark.parametrize(
    "body", [{}, {"spec": None}, {"spec": {}}, {"spec": {"config": ""}}, {"spec": {"config": None}}]
)
def test_E87_a_nad_without_config_needs_a_binding(server, client, deadline, body):
    server.answer(f"GET {PATH}/blue-network", {"metadata": {"name": "blue-network"}, **body})
    with pytest.raises(ConfigError, match=r"has no spec\.config: Multus reads the file") as caught:
        read_nad(client, REF, binding="auto", subnet_is_ipv6=False, deadline=deadline)
    assert "--kv-binding" in caught.value.hint
    facts = read_nad(client, REF, binding="bridge", subnet_is_ipv6=False, deadline=deadline)
    assert (facts.binding, facts.address_mode) == ("bridge", "static")
    assert (
        "Multus reads the file of network 'blue-network' on each node; assuming that it has no IPAM"
        in facts.warnings[0]
    )


def test_E24_a_spec_that_is_no_mapping_is_told(server, client, deadline):
    server.answer(f"GET {PATH}/blue-network", {"metadata": {"name": "blue-network"}, "spec": ["config"]})
    with pytest.raises(ConfigError, match="spec of NAD default/blue-network is a list"):
        read_nad(client, REF, binding="bridge", subnet_is_ipv6=False, deadline=deadline)


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
    assert facts.warnings[0].startswith("cannot read NAD default/blue-network (")


def test_E53_no_nad_api(client, deadline):
    with pytest.raises(ProvisionError, match="Multus") as caught:
        read_nad(client, REF, binding="auto", subnet_is_ipv6=False, deadline=deadline)
    assert "k8s.cni.cncf.io" in caught.value.hint
