"""How a preflight fits into a pytest run: what asks for it, what it replaces, and how it ends."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

BLUE = ("--kv-nad", "checks/blue-network")
SUITE = """
import pytest

def test_of_others():
    assert False

@pytest.mark.kvlatency(nad="checks/blue-network", nodes="worker1:worker2")
def test_own(kv_latency):
    assert False
"""


def test_no_test_of_a_suite_runs(preflight):
    done = preflight(tests=SUITE)
    assert done.status == 0, done.output
    assert "no tests ran" in done.output
    assert "preflight passed" in done.output


def test_no_test_runs_beside_collection_errors(preflight, pytester):
    pytester.makepyfile(test_broken="import absent")
    done = preflight("--continue-on-collection-errors", tests=SUITE)
    assert done.status == 1
    assert "preflight passed" in done.output
    assert "1 error" in done.output
    assert (
        "failed" not in done.output.rpartition("kvlatency: preflight passed")[0].partition("test session")[0]
    )


def test_a_suite_without_a_check_has_nothing_that_could_pass(preflight):
    done = preflight("-k", "of_others", tests=SUITE)
    assert done.status == 1
    assert done.lines == ["FAILED plan: no check was selected"]


def test_reports_of_pytest_are_written(preflight, pytester):
    done = preflight(*BLUE, "--junitxml", "junit.xml", "--html", "report.html", "--self-contained-html")
    assert done.status == 0, done.output
    suite = ET.parse(pytester.path / "junit.xml").getroot().find("testsuite")
    assert suite.get("tests") == "0"
    assert suite.find("properties/property[@name='succeeded']").get("value") == "true"
    assert (pytester.path / "report.html").exists()


def test_a_shard_without_pairs_passes(preflight):
    done = preflight(*BLUE, "--kv-nodes", "worker1:worker2", "--kv-shard", "0/2")
    assert done.status == 0, done.output
    assert done.lines == ["ok plan: no pair of the plan falls to this shard"]


def test_nothing_is_contacted_to_list_tests(lab, preflight):
    seen = len(lab.audit())
    assert "kvlatency preflight" not in preflight(*BLUE, "--collect-only").output
    assert lab.audit()[seen:] == []


@pytest.mark.parametrize("asked", ["on the command line", "by the ConfigMap"])
def test_a_preflight_cannot_be_distributed(lab, preflight, asked):
    if asked == "on the command line":
        done = preflight(*BLUE, "-n", "2")
    else:
        name = lab.configmap({"spec.param.preflight": "true"})
        done = preflight("--kv-configmap", f"checks/{name}", "-n", "2", asked=False)
    assert done.status == 4
    text = (
        "--kv-preflight cannot be combined with pytest-xdist: it runs no test, so there is nothing to distribute. "
        "Leave -n out, or use -n 0"
    )
    assert f"ERROR: {text}" in done.errors


def test_a_preflight_without_workers_of_pytest_xdist_runs(preflight):
    assert preflight(*BLUE, "-n", "0").status == 0


def test_a_configmap_asks_for_a_preflight_and_gets_its_verdict(lab, preflight):
    data = {"spec.param.preflight": "true", "spec.param.nodes": "worker1:absent"}
    name = lab.configmap(data)
    done = preflight("--kv-configmap", f"checks/{name}", asked=False)
    assert done.status == 1
    written = lab.request("GET", f"/api/v1/namespaces/checks/configmaps/{name}")["data"]
    assert written["status.succeeded"] == "false"
    assert written["status.failureReason"].startswith(
        "setup: preflight: node absent: there is no node 'absent' (nodes: "
    )
    assert done.document["failureReason"] == written["status.failureReason"]
    # As after a run.
    again = preflight("--kv-configmap", f"checks/{name}", asked=False)
    assert again.status == 4
    assert "already holds the result of a run" in again.errors


def test_a_configmap_that_may_not_be_written_leaves_the_checklist(lab, preflight, role):
    rules = [{**one, "verbs": [verb for verb in one["verbs"] if verb != "update"]} for one in role]
    name = lab.configmap({"spec.param.preflight": "true"})
    done = preflight("--kv-configmap", f"checks/{name}", asked=False, kubeconfig=lab.account(rules))
    assert done.status == 1
    assert f"FAILED permission update configmaps {name} in namespace checks: not granted" in done.lines
    assert any(line.startswith("ok plan: 2 VMIs") for line in done.lines)


def test_an_ordinary_run_refuses_a_binding_plugin_that_is_not_registered(lab, preflight):
    seen = len(lab.audit())
    done = preflight(*BLUE, "--kv-binding", "absent", asked=False)
    assert done.status == 1
    (one,) = done.document["measurements"]
    assert (one["outcome"], one["failureKind"]) == ("error", "config")
    assert one["failureReason"] == ("config: KubeVirt has no binding plugin 'absent' (registered: l2bridge)")
    assert not [one for one in lab.audit()[seen:] if one["verb"] == "create"]


def test_an_ordinary_run_makes_nothing_for_what_a_preflight_can_refuse(lab, preflight):
    nads = [
        word for name in ("absent", "macvlan", "broken") for word in ("--kv-nad", f"checks/{name}-network")
    ]
    bad_nads = (*nads, "--kv-nodes", "worker1:worker2")
    bad_nodes = (
        *BLUE,
        *(word for name in ("absent", "tainted") for word in ("--kv-nodes", f"worker1:{name}")),
    )
    for arguments, check in ((bad_nads, "network"), (bad_nodes, "node")):
        refused = [one for one in preflight(*arguments).of(check) if one["outcome"] == "failed"]
        seen = len(lab.audit())
        done = preflight(*arguments, asked=False)
        assert done.status == 1
        assert {one["failureKind"] for one in done.document["measurements"]} <= {"config", "provision"}
        assert len(done.document["measurements"]) == len(refused)
        if check == "network":
            reasons = [one["failureReason"] for one in done.document["measurements"]]
            assert reasons == [f"config: {one['message']}" for one in refused]
        vmis = [one for one in lab.audit()[seen:] if one["resource"] == "virtualmachineinstances"]
        assert [one for one in vmis if one["verb"] == "create"] == []


def test_a_preflight_of_the_lab_passes(preflight):
    done = preflight("--kv-nad", "default/blue-network", where=["--kv-lab=sim"])
    assert done.status == 0, done.output
    assert any(line.startswith("ok cluster https://127.0.0.1:") for line in done.lines)
    assert (
        "ok network default/blue-network: type bridge, binding bridge; "
        "no IPAM, so this tool assigns the addresses of the guests" in done.lines
    )
    assert "kvlatency: preflight passed: 0 of " in done.output
