"""The pure parts of the lab's KubeVirt half: faults, networks, the VMI's meaning."""

from __future__ import annotations

import base64
import json

import pytest

from pytest_kvlatency.lab.kubevirt import vmiobject as vmis
from pytest_kvlatency.lab.kubevirt.faultbook import FaultBook, Subject
from pytest_kvlatency.lab.kubevirt.nads import AddressPool, nad_manifest, read_nad
from pytest_kvlatency.lab.spec.labspec import FaultSpec, NetworkSpec


def test_a_fault_strikes_whom_it_names_as_often_as_it_says():
    book = FaultBook([FaultSpec(fault="image-pull", node="worker1", vmi="kvl-*", network="a/b", times=2)])
    there = Subject(vmi="kvl-1", node="worker1", networks=("a/b",))
    for other in (
        Subject(vmi="x", node="worker1", networks=("a/b",)),
        Subject(vmi="kvl-1", node="worker2", networks=("a/b",)),
        Subject(vmi="kvl-1", node="worker1", networks=("a/c",)),
    ):
        assert book.strike("image-pull", other) is None
    assert book.strike("console-drop", there) is None
    struck = [book.strike("image-pull", there) is not None for _ in range(3)]
    assert struck == [True, True, False]


def test_guest_faults_go_to_as_many_guests_as_times_says():
    book = FaultBook(
        [FaultSpec(fault="silent", times=1), FaultSpec(fault="no-dhcp"), FaultSpec(fault="quota")]
    )
    first, second = (book.strike_guest(Subject(vmi=name)) for name in ("a", "b"))
    assert [fault.fault for fault in first] == ["silent", "no-dhcp"]
    assert [fault.fault for fault in second] == ["no-dhcp"]


def config_of(**given):
    return json.loads(nad_manifest(NetworkSpec(name="default/blue-network", **given))["spec"]["config"])


def test_a_nads_config_is_made_from_the_type():
    assert config_of()["type"] == "bridge"
    assert len(config_of()["bridge"]) <= 15
    assert config_of(dhcp_range="10.0.0.0/24")["ipam"] == {"type": "whereabouts", "range": "10.0.0.0/24"}
    assert config_of(type="ovn-k8s-cni-overlay", dhcp_range="10.0.0.0/24")["subnets"] == "10.0.0.0/24"
    assert config_of(guest_mtu=9000)["mtu"] == 9000


def test_a_nads_config_may_be_given_verbatim():
    assert nad_manifest(NetworkSpec(name="a/b", config="{"))["spec"]["config"] == "{"


@pytest.mark.parametrize(
    ("config", "cidr"),
    [
        ({"type": "bridge"}, None),
        ({"type": "bridge", "ipam": {}}, None),
        ({"ipam": {"type": "whereabouts", "range": "10.1.0.5-10.1.0.9/24"}}, "10.1.0.0/24"),
        ({"ipam": {"type": "host-local", "subnet": "10.2.0.0/24"}}, "10.2.0.0/24"),
        ({"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.3.0.0/24"}]]}}, "10.3.0.0/24"),
        ({"ipam": {"type": "static", "addresses": [{"address": "10.4.0.7/24"}]}}, "10.4.0.0/24"),
        ({"type": "ovn-k8s-cni-overlay", "subnets": "10.5.0.0/16/24,fd00::/64"}, "10.5.0.0/16"),
        (
            {
                "plugins": [
                    {"type": "tuning"},
                    {"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.6.0.0/24"}},
                ]
            },
            "10.6.0.0/24",
        ),
        ({"type": "bridge", "ipam": {"subnet": "10.6.0.0/24"}}, None),
        ({"ipam": {"type": "dhcp"}}, None),
    ],
)
def test_E21_the_range_of_a_nads_ipam(config, cidr):
    assert read_nad({"spec": {"config": json.dumps(config)}}).ipam_range == cidr


@pytest.mark.parametrize("text", ["{", "[]"])
def test_E24_a_config_that_is_none(text):
    with pytest.raises(ValueError, match="error parsing the delegate's config"):
        read_nad({"spec": {"config": text}})


def test_addresses_are_given_once():
    pool = AddressPool()
    assert [pool.take("10.0.0.0/29") for _ in range(2)] == ["10.0.0.2/29", "10.0.0.3/29"]
    pool.give_back("10.0.0.2/29")
    assert pool.take("10.0.0.0/29") == "10.0.0.2/29"
    assert pool.take("fd00::/64") == "fd00::2/64"
    for _ in range(3):
        pool.take("10.0.0.0/29")
    with pytest.raises(ValueError, match=r"no more addresses in 10\.0\.0\.0/29"):
        pool.take("10.0.0.0/29")


def test_E21_host_local_gives_each_node_the_same_addresses():
    assert read_nad({"spec": {"config": json.dumps({"ipam": {"type": "host-local"}})}}).is_per_node
    assert not read_nad({"spec": {"config": json.dumps({"ipam": {"type": "whereabouts"}})}}).is_per_node
    pool = AddressPool()
    assert pool.take("10.0.0.0/29", "worker1") == pool.take("10.0.0.0/29", "worker2") == "10.0.0.2/29"
    pool.give_back("10.0.0.2/29", "worker1")
    assert pool.take("10.0.0.0/29", "worker1") == "10.0.0.2/29"
    assert pool.take("10.0.0.0/29", "worker2") == "10.0.0.3/29"


def vmi(name="a", volumes=(), **spec):
    return {
        "metadata": {"name": name, "namespace": "ns", "uid": "u"},
        "spec": {"volumes": list(volumes), "domain": {}, **spec},
    }


def test_cloud_init_plain_and_encoded():
    encoded = base64.b64encode(b"version: 2").decode()
    source = {"userData": "#cloud-config", "networkDataBase64": encoded}
    for kind in ("cloudInitNoCloud", "cloudInitConfigDrive"):
        assert vmis.cloud_init(vmi(volumes=[{kind: source}])) == ("#cloud-config", "version: 2")
    assert vmis.cloud_init(vmi()) == ("", "")
    with pytest.raises(ValueError, match="userDataBase64 is not base64-encoded UTF-8"):
        vmis.cloud_init(vmi(volumes=[{"cloudInitNoCloud": {"userDataBase64": "%"}}]))


def test_E03_the_host_name_is_the_vmis_up_to_the_first_dot_cut_at_63():
    assert vmis.hostname(vmi("a.b")) == "a"
    assert vmis.hostname(vmi("x" * 70)) == "x" * 63
    assert vmis.hostname(vmi(hostname="h")) == "h"


@pytest.mark.parametrize(
    ("text", "mib"), [("128Mi", 128), ("1Gi", 1024), ("256M", 244), ("lots", 128), ("", 128)]
)
def test_memory(text, mib):
    assert vmis.memory_mib(vmi(domain={"memory": {"guest": text}})) == mib
    assert vmis.memory_mib(vmi(domain={"resources": {"requests": {"memory": text}}})) == mib


def test_a_missing_mac_is_made_up_and_stays():
    made = vmis.mac_of(vmi(), {"name": "net0"})
    assert made.startswith("02:")
    assert len(made) == 17
    assert made == vmis.mac_of(vmi(), {"name": "net0"})
    assert vmis.mac_of(vmi(), {"name": "net0", "macAddress": "02-AB-00-00-00-01"}) == "02:ab:00:00:00:01"


def test_the_network_of_an_interface():
    given = [{"name": "a", "multus": {"networkName": "blue"}}, {"name": "b", "pod": {}}]
    given.append({"name": "c", "multus": {"networkName": "x/y"}})
    assert vmis.networks(vmi(networks=given)) == {"a": "ns/blue", "b": "pod", "c": "x/y"}


def test_a_vmi_without_interfaces_gets_the_pod_network():
    spec = vmis.defaults(vmi())["spec"]
    assert spec["networks"] == [{"name": "default", "pod": {}}]
    assert (
        vmis.defaults(vmi(domain={"devices": {"autoattachPodInterface": False}}))["spec"].get("networks")
        is None
    )


def test_a_phase_is_stamped_once():
    once = vmis.enter_phase({}, "Pending")
    assert vmis.enter_phase(once, "Pending") == once
    twice = vmis.enter_phase(once, "Scheduling")
    assert [stamp["phase"] for stamp in twice["phaseTransitionTimestamps"]] == ["Pending", "Scheduling"]
