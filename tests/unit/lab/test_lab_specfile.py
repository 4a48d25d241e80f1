from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_kvlatency.lab.spec.file import LabSpecError, load, parse_spec
from pytest_kvlatency.lab.spec.labspec import (
    FaultSpec,
    LinkQuality,
    LinkSpec,
    MigrationSpec,
    NetworkSpec,
    NodeSpec,
    Taint,
)

DESIGN = """
guests: sim                 # or qemu
nodes: [worker1, worker2, worker3]
networks:
  default/blue-network: {type: bridge, latency: 200us, jitter: 20us, loss: 0%}
links:
  - {between: [worker1, worker3], network: default/blue-network, latency: 12ms}
faults:
  - {fault: console-drop, node: worker2, after: 2s, times: 1}
seed: 7                     # sim is reproducible
"""


def problems(text):
    with pytest.raises(LabSpecError) as caught:
        load(text, "lab.yaml")
    return str(caught.value).splitlines()


@pytest.mark.parametrize("keyword", ["auto", "sim", "qemu"])
def test_a_keyword_names_the_default_lab(keyword):
    spec = parse_spec(keyword)
    assert spec.guests == keyword
    assert [node.name for node in spec.nodes] == ["worker1", "worker2", "worker3"]
    assert spec.networks == (NetworkSpec(name="default/blue-network"),)


def test_a_keyword_needs_no_yaml_library():
    code = (
        "import sys; from pytest_kvlatency.lab.spec.file import parse_spec; parse_spec('sim'); "
        "sys.exit('yaml' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_example_of_the_documentation(tmp_path):
    path = tmp_path / "lab.yaml"
    path.write_text(DESIGN)
    spec = parse_spec(str(path))
    assert (spec.guests, spec.seed) == ("sim", 7)
    assert spec.networks[0].quality == LinkQuality(latency_ns=200_000, jitter_ns=20_000)
    assert spec.links == (
        LinkSpec(
            between=("worker1", "worker3"),
            network="default/blue-network",
            overrides={"latency_ns": 12_000_000},
        ),
    )
    assert spec.faults == (FaultSpec(fault="console-drop", node="worker2", after_seconds=2.0, times=1),)


def test_an_empty_file_is_the_default_lab():
    assert load("", "lab.yaml") == parse_spec("auto")


def test_nodes_by_number_and_in_full():
    assert [node.name for node in load("nodes: 2", "x").nodes] == ["worker1", "worker2"]
    text = """
nodes:
- worker1
- {name: edge, labels: {zone: "1"}, taints: ["gpu=yes:NoExecute", {key: spot}], unschedulable: true, arch: arm64}
"""
    assert load(text, "x").nodes[1] == NodeSpec(
        name="edge",
        labels={"zone": "1"},
        taints=(Taint(key="gpu", value="yes", effect="NoExecute"), Taint(key="spot")),
        unschedulable=True,
        arch="arm64",
    )


def test_a_network_in_full():
    text = """
networks:
  a/b: {loss: 10%, duplicate: 0.5, partition: true, block_icmp: true, mtu: 1400, guest_mtu: 9000, ipam: 10.1.0.0/16}
  a/c: {config: {type: sriov, vlan: 5}}
  a/d: {config: "", type: macvlan}
  a/e:
"""
    b, c, d, e = load(text, "x").networks
    assert b.quality == LinkQuality(loss=0.1, duplicate=0.005, partition=True, block_icmp=True, mtu=1400)
    assert (b.guest_mtu, b.dhcp_range) == (9000, "10.1.0.0/16")
    assert (c.type, c.config) == ("sriov", '{"type": "sriov", "vlan": 5}')
    assert (d.type, d.config) == ("macvlan", "")
    assert e == NetworkSpec(name="a/e")


def test_a_capture_is_relative_to_the_lab_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "networks: {a/b: {capture: b.pcap}, a/c: {capture: /tmp/c.pcap}, a/d: }"
    captures = [network.capture for network in load(text, "labs/lab.yaml").networks]
    assert captures == [str(tmp_path / "labs" / "b.pcap"), "/tmp/c.pcap", None]


def test_the_rest_of_the_top_level():
    spec = load("{time_scale: 10, boot: 1m30s, dialect: iputils, agent: false, accelerator: tcg}", "x")
    assert spec.accelerator == "tcg"
    assert (spec.time_scale, spec.boot_seconds, spec.dialect, spec.agent) == (10, 90.0, "iputils", False)
    text = (
        "migration: {preparation_gap: 2s, downtime: 120ms, duration: 1s, parallel: 3, parallel_outbound: 1, "
        "pending_timeout: 5s}"
    )
    assert load(text, "x").migration == MigrationSpec(
        preparation_gap_seconds=2.0,
        downtime_seconds=0.12,
        seconds=1.0,
        parallel=3,
        parallel_outbound=1,
        pending_seconds=5.0,
    )
    spec = load("{bindings: [l2bridge], deletion: 10s}", "x")
    assert (spec.bindings, spec.deletion_seconds) == (("l2bridge",), 10.0)


def test_a_faults_own_parameters():
    text = "faults: [{fault: api-error, code: 429, retry_after: 1, vmi: 'kvl-*'}]"
    (fault,) = load(text, "x").faults
    assert fault == FaultSpec(fault="api-error", vmi="kvl-*", parameters={"code": 429, "retry_after": 1})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("guests: kvm", "guests: 'kvm' is not valid: expected one of auto, sim, qemu"),
        ("colour: red", "'colour' is not a known key: expected one of guests, nodes"),
        ("[]", "[] is not a mapping: expected the keys guests, nodes"),
        ("nodes: 0", "nodes: 0 is not an integer from 1 to 5000"),
        ("nodes: []", "nodes: [] is not a list of nodes or an integer"),
        ("nodes: [a, a]", "nodes[1]: 'a' appears twice"),
        ("nodes: [A]", "nodes[0].name: 'A' is not a valid name"),
        ("nodes: [{labels: {}}]", "has no name"),
        ("nodes: [{name: a, labels: {x: true}}]", 'nodes[0].labels: {"x": true} is not a mapping of strings'),
        (
            "nodes: [{name: a, taints: [b]}]",
            "nodes[0].taints[0]: 'b' is not a taint: expected KEY[=VALUE]:EFFECT",
        ),
        ("networks: {blue: {}}", "networks: 'blue' is not a network's name: expected NAMESPACE/NAME"),
        (
            "networks: {a/b: {delay: 1ms}}",
            "networks[a/b]: 'delay' is not a known key: expected one of type, latency",
        ),
        ("networks: {a/b: {latency: 10}}", "networks[a/b].latency: 10 has no unit. Did you mean 10ms?"),
        ("networks: {a/b: {latency: -1ms}}", "networks[a/b].latency: '-1ms' is negative. Did you mean 1ms?"),
        ("networks: {a/b: {loss: 101%}}", "networks[a/b].loss: '101%' is not a percentage from 0 to 100"),
        ("networks: {a/b: {loss: true}}", "networks[a/b].loss: true is not a percentage from 0 to 100"),
        ("networks: {a/b: {mtu: big}}", "networks[a/b].mtu: 'big' is not an integer from 68 to 65535"),
        (
            "networks: {a/b: {ipam: 10.0.0.1/8}}",
            "networks[a/b].ipam: '10.0.0.1/8' is not a network: expected a CIDR",
        ),
        (
            "{guests: sim, networks: {a/b: {capture: b.pcap}}}",
            "networks[a/b].capture: 'b.pcap' needs real guests, because simulated guests send no frames",
        ),
        (
            "networks: {a/b: {capture: b.pcap}, a/c: {capture: ./b.pcap}}",
            "networks[a/c].capture: './b.pcap' is also the capture of another network",
        ),
        ("networks: {a/b: {capture: 3}}", "networks[a/b].capture: 3 is not a string"),
        ("networks: {a/b: {config: 3}}", "networks[a/b].config: 3 is not a string or a mapping"),
        ("links: [{between: [worker1]}]", 'links[0].between: ["worker1"] is not a list of two nodes'),
        (
            "links: [{between: [worker9, worker1]}]",
            "links[0].between: 'worker9' is not a node: expected one of worker1, worker2, worker3",
        ),
        (
            "links: [{between: [worker1, worker2], network: default/x}]",
            "links[0].network: 'default/x' is not a network: expected one of default/blue-network",
        ),
        ("faults: [{fault: nope}]", "faults[0].fault: 'nope' is not a fault: expected one of address-taken"),
        ("faults: [nope]", "faults[0]: 'nope' is not a mapping: expected {fault: NAME, …}"),
        (
            "faults: [{fault: silent, code: 3}]",
            "faults[0]: 'code' is not a known key: expected one of fault, node",
        ),
        ("faults: [{fault: api-error, code: 200}]", "faults[0].code: 200 is not an integer from 400 to 599"),
        (
            "faults: [{fault: api-slow, node: worker1}]",
            "faults[0]: 'node' is not a known key: expected one of fault, vmi",
        ),
        ("bindings: [A]", "bindings[0]: 'A' is not a valid name"),
        ("deletion: 10", "deletion: 10 has no unit"),
        ("migration: {downtime: 10}", "migration.downtime: 10 has no unit"),
        ("migration: {parallel: 0}", "migration.parallel: 0 is not an integer from 1 to 1000000"),
        ("kubevirt_version: 1.6", "kubevirt_version: 1.6 is not a version: expected one such as v1.6.2"),
        ("migration: {gap: 1s}", "migration: 'gap' is not a known key"),
        ("faults: [{fault: silent, times: 0}]", "faults[0].times: 0 is not an integer from 1"),
        ("faults: [{fault: silent, node: w}]", "faults[0].node: 'w' is not a node: expected one of worker1"),
        ("faults: [{fault: migration, to: w}]", "faults[0].to: 'w' is not a node"),
        ("agent: maybe", "agent: 'maybe' is not a boolean: expected true or false"),
        ("time_scale: 0", "time_scale: 0 is not a number above 0"),
        ("boot: 3", "boot: 3 has no unit"),
        ("seed: x", "seed: 'x' is not an integer"),
        ("a: 1\na: 2", "line 2: the key 'a' appears twice"),
        ("{", "is not valid YAML"),
    ],
)
def test_what_is_wrong_is_named_with_place_value_and_what_is_valid(text, problem):
    (line,) = [line for line in problems(text) if problem in line]
    assert line.startswith("lab.yaml: ")


def test_what_is_no_yaml_is_one_problem():
    (line,) = problems("nodes: [a\n: :\n")
    assert line.startswith("lab.yaml: is not valid YAML: while parsing ")
    assert "line 2" in line


def test_all_problems_are_told_at_once():
    assert len(problems("guests: x\nagent: 3\nfaults: [{fault: nope}, {fault: silent, after: 3}]")) == 4


def test_a_path_that_follows_the_plain_option_is_told_apart():
    with pytest.raises(LabSpecError, match="is not auto, sim, qemu or a lab file") as caught:
        parse_spec("tests/test_x.py")
    assert str(caught.value) == (
        '"tests/test_x.py" is not auto, sim, qemu or a lab file (*.yaml). '
        "To run the tests of that path in the lab, write --kv-lab=sim tests/test_x.py"
    )


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(LabSpecError, match=r"nowhere\.yaml.* does not exist"):
        parse_spec(str(tmp_path / "nowhere.yaml"))
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(LabSpecError, match="cannot read the lab file"):
        parse_spec(str(tmp_path / "folder.yaml"))
