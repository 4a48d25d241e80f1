"""One ConfigMap and several runs: exactly one gets it, whatever becomes of the answers of the API server."""

from __future__ import annotations

import json
import shlex

import pytest
import yaml
from middlemen import LossyServer, in_front_of

TOGETHER = """
import os, pathlib, time
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    pathlib.Path(f"ready-{os.getpid()}").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
"""
#: It lasts until the other run has been refused, however slow that is.
OWN = """
import pathlib, time

def test_it(kv_latency):
    assert kv_latency.received
    while not pathlib.Path("over").exists():
        time.sleep(0.01)
"""
ONE_SECOND = {"spec.param.sampleDurationSeconds": "1"}


@pytest.fixture
def lossy(cluster, tmp_path):
    """A server between checkups and the API that loses answers to writes of ConfigMaps."""
    with in_front_of(cluster, LossyServer, tmp_path, lost=0) as server:
        yield server


@pytest.fixture(params=["patch", "update"])
def user(request, cluster, role):
    """Credentials of an administrator, who may patch, and of the Role, which may only update."""
    if request.param == "update":
        return {"token": cluster.token_of(cluster.service_account(role))}
    return yaml.safe_load(cluster.kubeconfig.read_text())["users"][0]["user"]


@pytest.fixture
def together(cluster, start, tmp_path):
    """Start two checkups that have both read the ConfigMap before either writes to it; the loser comes last."""

    def go(name, kubeconfig):
        (tmp_path / "conftest.py").write_text(TOGETHER)
        (tmp_path / "test_own.py").write_text(OWN)
        both = [
            start(cluster, "--kv-configmap", f"checks/{name}", kubeconfig=kubeconfig, json=False)
            for _ in "12"
        ]
        cluster.until(lambda: len(list(tmp_path.glob("ready-*"))) == 2)
        (tmp_path / "go").touch()
        cluster.until(lambda: any("error in " in one.output for one in both))
        (tmp_path / "over").touch()
        for one in both:
            one.status = one.end()
        return sorted(both, key=lambda one: one.status)

    return go


@pytest.mark.edge_case(
    "E78",
    happens="Two runs start from one ConfigMap at the same moment.",
    does="Exactly one runs. The other ends with exit status 4:",
    says="ConfigMap … is in use (since …)",
)
@pytest.mark.parametrize(
    ("user", "lost"), [("patch", 0), ("update", 1)], indirect=["user"], ids=["patch", "update, a lost answer"]
)
def test_E78_of_two_runs_that_start_together_exactly_one_runs(cluster, lossy, user, together, lost):
    name = cluster.make_configmap(data=ONE_SECOND)
    seen = len(cluster.audit())
    lossy.lost = lost
    winner, loser = together(name, cluster.kubeconfig_of(user, **lossy.trust))
    assert (winner.status, loser.status) == (0, 4), winner.output + loser.output
    assert f"ConfigMap checks/{name} is in use (since 2" in loser.output
    assert "already holds the result of a run. To run it again: kubectl patch configmap" in loser.output
    assert "is written to ConfigMap" not in loser.output
    created = [
        one
        for one in cluster.audit()[seen:]
        if (one["resource"], one["verb"]) == ("virtualmachineinstances", "create")
    ]
    assert len(created) == 2
    status = cluster.status(name)
    assert (status["succeeded"], status["failureReason"]) == ("true", "")


def test_E78_a_lost_answer_changes_nothing(cluster, lossy, user, run):
    name = cluster.make_configmap(data=ONE_SECOND)
    lossy.lost = 1
    done = run(
        cluster, "--kv-configmap", f"checks/{name}", kubeconfig=cluster.kubeconfig_of(user, **lossy.trust)
    )
    assert done.status == 0, done.output
    assert lossy.lost == 0
    assert cluster.status(name)["succeeded"] == "true"


def test_E78_a_run_that_lost_its_configmap_to_another_does_not_write_over_it(cluster, start, tmp_path):
    (tmp_path / "test_own.py").write_text(
        "import pathlib, time\n"
        "def test_it(kv_pair):\n"
        "    pathlib.Path('begun').touch()\n"
        "    while not pathlib.Path('go').exists(): time.sleep(0.01)\n"
    )
    name = cluster.make_configmap()
    checkup = start(cluster, "--kv-configmap", f"checks/{name}")
    cluster.until((tmp_path / "begun").exists)
    path = f"/api/v1/namespaces/checks/configmaps/{name}"
    cluster.request("PATCH", path, {"data": {"status.startTimestamp": None}})
    of_another = {"data": {"status.startTimestamp": "2026-01-01T00:00:00Z"}}
    cluster.request("PATCH", path, of_another, query={"fieldManager": "another"})
    (tmp_path / "go").touch()
    assert checkup.end() != 0, checkup.output
    assert cluster.status(name) == {"startTimestamp": "2026-01-01T00:00:00Z"}
    assert checkup.document["succeeded"] is False
    assert "could not be written" in checkup.document["failureReason"]


def test_E58_the_command_of_the_refusal_makes_it_usable_again(cluster, run):
    ended = {
        "status.startTimestamp": "2026-01-01T00:00:00Z",
        "status.completionTimestamp": "2026-01-01T00:01:00Z",
    }
    result = {"status.succeeded": "true", "status.failureReason": "", "status.result.minLatencyNanoSec": "7"}
    name = cluster.make_configmap(data={**ONE_SECOND, **ended, **result})
    arguments = ("--kv-configmap", f"checks/{name}")
    refused = run(cluster, *arguments)
    assert refused.status == 4
    said = f"ERROR: ConfigMap checks/{name} already holds the result of a run. To run it again: "
    (line,) = [one for one in refused.output.splitlines() if one.startswith(said)]
    words = shlex.split(line.removeprefix(said))
    assert words[:4] == ["kubectl", "patch", "configmap", name]
    assert words[4:8] == ["-n", "checks", "--type=merge", "-p"]
    patch = json.loads(words[8])
    cluster.request("PATCH", f"/api/v1/namespaces/checks/configmaps/{name}", patch)
    again = run(cluster, *arguments)
    assert again.status == 0, again.output


def test_E57_with_room_for_the_start_only_all_four_keys_are_written(cluster, run):
    name = cluster.make_configmap(data=ONE_SECOND)
    data = cluster.configmap(name)["data"]
    filler = "x" * (1024 * 1024 - sum(map(len, data.values())) - 20)
    cluster.request("PATCH", f"/api/v1/namespaces/checks/configmaps/{name}", {"data": {"filler": filler}})
    done = run(cluster, "--kv-configmap", f"checks/{name}")
    assert done.status == 1, done.output
    status = cluster.status(name)
    assert status.keys() == {"startTimestamp", "completionTimestamp", "succeeded", "failureReason"}
    assert status["succeeded"] == "false"
    assert done.document["succeeded"] is False
    assert "would be too large with the result" in done.output
