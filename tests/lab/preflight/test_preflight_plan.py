"""A preflight looks at networks, nodes, admission and the plan itself: each line is wrong once."""

from __future__ import annotations

import json

import pytest

BLUE = ("--kv-nad", "checks/blue-network")
IMAGE = (
    "quay.io/kubevirtci/alpine-with-test-tooling-container-disk"
    "@sha256:a40c4a7bb9644098740ad5f8aa64040b0a64bb84cc4e3b42d633bb752ab4b9ce"
)
ACCEPTED = "accepted by webhooks, quota and policies (dryRun=All)"
MULTUS = "/api/v1/namespaces/kube-system/configmaps"


def nad(name, where="checks"):
    return ("--kv-nad", f"{where}/{name}-network")


def nodes(*pairs):
    return [word for pair in pairs for word in ("--kv-nodes", pair)]


def test_the_lines_of_a_plan_that_can_run(preflight):
    done = preflight(*BLUE, *nad("leased"), *nodes("worker1:worker2", "worker1:worker3"))
    assert done.status == 0, done.output
    assert done.lines[9:] == [
        "ok network checks/blue-network: type bridge, binding bridge; no IPAM, so this tool assigns the addresses of the guests",
        "ok network checks/leased-network: type bridge, binding bridge; IPAM, so the guests get their addresses by DHCP",
        "ok node worker1: ready; VMs can start there",
        "ok node worker2: ready; VMs can start there",
        "ok node worker3: ready; VMs can start there",
        (
            "ok pod security of namespace checks: no label pod-security.kubernetes.io/enforce; the cluster's own default "
            "may still refuse virt-launcher pods"
        ),
        (
            "ok admission of 6 VMIs (worker1 on checks/blue-network, worker2 on checks/blue-network, "
            f"worker3 on checks/blue-network and 3 more): {ACCEPTED}"
        ),
        "ok plan: 6 VMIs, 4 pairs in 4 rounds, 20s of pinging, at most 5m28s in all (--kv-timeout)",
        "ok addresses: at most 6 guests in a /24 of 198.18.0.0/15, chosen by each run (to choose one: --kv-subnet)",
        f"ok image {IMAGE}: pinned by its digest",
    ]


def test_networks_that_cannot_be_used_are_named_and_their_vmis_are_not_tried(lab, preflight):
    seen = len(lab.audit())
    done = preflight(*nad("absent"), *nad("macvlan"), *nad("broken"), *nodes("worker1:worker2"))
    assert done.status == 1
    absent, macvlan, broken = done.of("network")
    assert absent["message"] == "NetworkAttachmentDefinition checks/absent-network does not exist"
    assert absent["hint"].startswith("Namespace checks has: audited-network, blue-network, broken-network, ")
    assert "macvlan" in macvlan["message"]
    assert "--kv-binding" in macvlan["message"] + macvlan["hint"]
    assert broken["message"].startswith("spec.config of NAD checks/broken-network is not valid JSON")
    assert {one["outcome"] for one in (absent, macvlan, broken)} == {"failed"}
    skipped = [(one["outcome"], one["message"]) for one in done.of("admission")]
    assert skipped[0] == ("skipped", "network checks/absent-network cannot be used")
    assert len(skipped) == 3
    tried = [one for one in lab.audit()[seen:] if one["resource"] == "virtualmachineinstances"]
    assert tried == []


def test_a_warning_about_a_network_fails_nothing(preflight):
    done = preflight(*nad("macvlan"), "--kv-binding", "bridge")
    assert done.status == 0, done.output
    assert [one["outcome"] for one in done.of("network")] == ["ok", "warning"]
    assert "preflight passed: 0 of " in done.output
    assert ", 1 warning" in done.output


def test_a_binding_plugin_must_be_registered(preflight):
    done = preflight(*BLUE, "--kv-binding", "absent")
    assert (
        "FAILED network checks/blue-network: KubeVirt has no binding plugin 'absent' (registered: l2bridge)"
        in done.lines
    )
    assert preflight(*BLUE, "--kv-binding", "l2bridge").status == 0


def test_nodes_on_which_no_vm_can_start_are_named_with_their_reasons(preflight):
    pairs = nodes("absent:cordoned", "tainted:unlabelled", "notready:emulated")
    done = preflight(*BLUE, *pairs)
    assert done.status == 1
    assert [f"{one['subject']}: {one['message']}" for one in done.of("node")] == [
        "absent: there is no node 'absent' (nodes: cordoned, emulated, notready, tainted, unlabelled and 3 more)",
        "cordoned: no VM can start there: it is cordoned",
        "tainted: no VM can start there: it has the untolerated taint dedicated=infra:NoSchedule",
        'unlabelled: no VM can start there: it has the label kubevirt.io/schedulable="false"',
        "notready: no VM can start there: it is not ready",
        "emulated: no VM can start there: it offers no /dev/kvm (devices.kubevirt.io/kvm)",
    ]
    assert [one["hint"] for one in done.of("node")] == [
        "",
        "kubectl uncordon cordoned, or leave it out of --kv-node-set",
        "--kv-toleration dedicated=infra:NoSchedule",
        "KubeVirt does not run there: see kubectl get pods -A -l kubevirt.io=virt-handler -o wide",
        "see kubectl describe node notready",
        "enable nested virtualization, or useEmulation in the KubeVirt object",
    ]


def test_a_tolerated_taint_and_emulation_that_is_asked_for_are_no_obstacle(lab, preflight):
    with lab.kubevirt_with(developerConfiguration={"useEmulation": True}):
        done = preflight(*BLUE, *nodes("tainted:emulated"), "--kv-toleration", "dedicated=infra:NoSchedule")
    assert done.status == 0, done.output


def test_a_preflight_of_a_mesh_gets_no_node_that_was_listed(lab, preflight):
    seen = len(lab.audit())
    done = preflight(*BLUE, *nodes("mesh"), "--kv-node-set", "kubernetes.io/hostname in (worker1,worker2)")
    assert done.status == 0, done.output
    assert not [one for one in lab.audit()[seen:] if (one["verb"], one["resource"]) == ("get", "nodes")]


def test_auto_needs_two_nodes(lab, preflight):
    done = preflight(*BLUE)
    assert (
        "ok nodes for auto: VMs can start on 3 of 8: worker1, worker2, worker3; "
        "not on cordoned, emulated, notready, tainted, unlabelled" in done.lines
    )
    cordoned = {"spec": {"unschedulable": True}}
    try:
        for name in ("worker1", "worker2"):
            lab.request("PATCH", f"/api/v1/nodes/{name}", cordoned)
        done = preflight(*BLUE)
    finally:
        for name in ("worker1", "worker2"):
            lab.request("PATCH", f"/api/v1/nodes/{name}", {"spec": {"unschedulable": None}})
    assert done.status == 1
    (line,) = [one for one in done.lines if one.startswith("FAILED")]
    assert line.startswith("FAILED nodes for auto: VMs can start on 1 of 8: worker3; not on cordoned, ")
    assert line.endswith(". A pair needs two different nodes")


def test_a_migration_to_any_node_of_a_set_needs_one_of_them_where_a_vm_can_start(preflight):
    pair = (*BLUE, *nodes("worker1:worker2>?"), "--kv-node-set")
    done = preflight(*pair, "worker2,worker3,worker9")
    assert done.status == 0, done.output
    able = "nodes for a migration from worker2: VMs can start on"
    assert f"ok {able} 1 of 2: worker3; not on worker9" in done.lines
    done = preflight(*pair, "worker2,cordoned")
    assert done.status == 1
    assert f"FAILED {able} 0 of 1: none; not on cordoned. It needs another node of the node set" in done.lines


def test_what_may_not_be_read_is_skipped_and_never_guessed(lab, preflight, role):
    done = preflight(*BLUE, *nodes("worker1:worker2"), kubeconfig=lab.account(role))
    assert done.status == 0, done.output
    assert [line for line in done.lines if line.startswith("skipped")] == [
        "skipped nodes: not permitted to read",
        "skipped pod security of namespace checks: not permitted to read the namespace",
    ]
    nothing = preflight(*BLUE, *nodes("worker1:worker2"), kubeconfig=lab.account([]))
    assert [line for line in nothing.lines if line.startswith("skipped")] == [
        "skipped network checks/blue-network: not permitted to read",
        "skipped nodes: not permitted to read",
        "skipped pod security of namespace checks: not permitted to read the namespace",
        (
            "skipped admission of 2 VMIs (worker1 on checks/blue-network, worker2 on checks/blue-network): "
            "network checks/blue-network cannot be used"
        ),
    ]


@pytest.mark.edge_case(
    "E52",
    happens="A policy or a quota would refuse the VMIs (`--kv-preflight`).",
    does="Asks the cluster's own admission by a dry run, and says in its words what it refuses.",
)
def test_E52_the_clusters_admission_judges_each_vmi_by_a_dry_run(lab, preflight):
    seen = len(lab.audit())
    done = preflight(*nad("policy"), *nad("quota"), *nodes("worker1:worker2"))
    assert done.status == 1
    assert [(one["outcome"], one["subject"]) for one in done.of("admission")] == [
        ("failed", "of 2 VMIs (worker1 on checks/policy-network, worker2 on checks/policy-network)"),
        ("ok", "of 1 VMI (worker1 on checks/quota-network)"),
        ("failed", "of 1 VMI (worker2 on checks/quota-network)"),
    ]
    policy, _, quota = done.of("admission")
    assert policy["message"] == (
        'admission webhook "policy.lab.kvlatency" denied the request: VMs are not welcome here'
    )
    assert "exceeded quota: lab-quota" in quota["message"]
    assert "kubectl describe resourcequota -n checks" in quota["hint"]
    asked = [one for one in lab.audit()[seen:] if one["resource"] == "virtualmachineinstances"]
    assert [(one["verb"], one["dryRun"]) for one in asked] == [("create", True)] * 4
    assert lab.objects() == []


def test_a_webhook_that_supports_no_dry_run_is_skipped_and_fails_nothing(preflight):
    done = preflight(*nad("audited"), *nodes("worker1:worker2"))
    assert done.status == 0, done.output
    assert (
        "skipped admission of 2 VMIs (worker1 on checks/audited-network, worker2 on checks/audited-network): "
        'admission webhook "audit.lab.kvlatency" does not support dry run' in done.lines
    )


def test_a_manifest_that_a_hook_spoils_is_refused_by_the_cluster(preflight, pytester):
    pytester.makeconftest(
        """
        def pytest_kvlatency_vmi_manifest(manifest):
            manifest["spec"]["domain"]["devices"]["disks"][0]["name"] = "nameless"
        """
    )
    done = preflight(
        tests="""
        import pytest

        @pytest.mark.kvlatency(nad="checks/blue-network", nodes="worker1:worker2")
        def test_own(kv_latency):
            pass
        """
    )
    assert done.status == 1, done.output
    (line,) = done.of("admission")
    assert line["outcome"] == "failed"


@pytest.mark.parametrize(
    ("label", "outcome", "message"),
    [
        ("privileged", "ok", "privileged is enforced, which virt-launcher pods meet"),
        ("baseline", "ok", "baseline is enforced, which virt-launcher pods meet"),
        (
            "restricted",
            "failed",
            "restricted is enforced, but virt-launcher pods of this KubeVirt only meet baseline",
        ),
    ],
)
def test_the_namespaces_pod_security_is_held_against_virt_launcher(lab, preflight, label, outcome, message):
    name = lab.namespace_with(**{"pod-security.kubernetes.io/enforce": label})
    done = preflight(*BLUE, "--kv-namespace", name)
    (line,) = done.of("pod security")
    assert (line["subject"], line["outcome"], line["message"]) == (f"of namespace {name}", outcome, message)
    if label == "restricted":
        assert line["hint"] == (
            f"kubectl label namespace {name} --overwrite pod-security.kubernetes.io/enforce=baseline, "
            "or choose another --kv-namespace"
        )
        profile = {"virtualMachineInstanceProfile": {"customProfile": {"runtimeDefaultProfile": True}}}
        with lab.kubevirt_with(seccompConfiguration=profile):
            assert preflight(*BLUE, "--kv-namespace", name).of("pod security")[0]["outcome"] == "ok"


def test_a_namespace_that_does_not_exist_fails(preflight):
    done = preflight(*BLUE, "--kv-namespace", "nowhere")
    assert done.status == 1
    assert "FAILED pod security of namespace nowhere: the namespace does not exist" in done.lines
    assert 'namespaces "nowhere" not found' in done.of("admission")[0]["message"]


def test_whether_multus_lets_the_namespace_use_networks_of_others(lab, preflight, role):
    networks = (*nad("open", "default"), *nad("far", "others"))
    subjects = [f"of Multus, networks of {one} for VMIs in checks" for one in ("default", "others")]

    def lines(**more):
        found = preflight(*networks, **more).of("namespace isolation")
        assert [one["subject"] for one in found] == subjects
        return [(one["outcome"], one["message"]) for one in found]

    assert lines() == [("skipped", "Multus' configuration is in none of the usual ConfigMaps")] * 2
    assert (
        lines(kubeconfig=lab.account(role))
        == [("skipped", "not permitted to read Multus' configuration")] * 2
    )
    name = "multus-daemon-config"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    lab.request(
        "POST", MULTUS, {**body, "data": {"daemon-config.json": json.dumps({"namespaceIsolation": True})}}
    )
    try:
        assert lines() == [
            ("ok", "on, with default open to all"),
            ("failed", "on, so Multus attaches networks of checks and default only"),
        ]
        wide = json.dumps({"namespaceIsolation": True, "globalNamespaces": "default,others"})
        lab.request("PATCH", f"{MULTUS}/{name}", {"data": {"daemon-config.json": wide}})
        assert lines()[1] == ("ok", "on, with others open to all")
        lab.request("PATCH", f"{MULTUS}/{name}", {"data": {"daemon-config.json": "{}"}})
        assert lines() == [("ok", "off")] * 2
    finally:
        lab.request("DELETE", f"{MULTUS}/{name}")


def test_a_subnet_that_is_too_small_fails(preflight):
    done = preflight(*BLUE, *nodes("worker1:worker2", "worker1:worker3"), "--kv-subnet", "10.0.0.0/30")
    assert done.status == 1
    (line,) = done.of("addresses")
    assert line["message"] == "the subnet 10.0.0.0/30 has 2 addresses for guests, but this run needs 3"
    named = preflight(*BLUE, "--kv-subnet", "10.0.0.0/29")
    assert "ok addresses: at most 2 guests in 10.0.0.0/29" in named.lines


def test_an_image_without_a_digest_is_a_warning(preflight):
    done = preflight(*BLUE, "--kv-image", "registry.example/alpine:latest")
    assert done.status == 0, done.output
    assert (
        "warning image registry.example/alpine:latest: not pinned by a digest: two runs may boot different guests"
        in done.lines
    )
