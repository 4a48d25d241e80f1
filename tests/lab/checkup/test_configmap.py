"""The ConfigMap from which a checkup is configured, and to which it reports."""

from __future__ import annotations

import json
import re

import pytest

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
KEYS = {
    "startTimestamp",
    "completionTimestamp",
    "succeeded",
    "failureReason",
    "result.minLatencyNanoSec",
    "result.avgLatencyNanoSec",
    "result.maxLatencyNanoSec",
    "result.measurementDurationSec",
    "result.sourceNode",
    "result.targetNode",
}
BEYOND = {
    "result.packetsTransmitted",
    "result.packetsReceived",
    "result.packetLossPercent",
    "result.longestGapMilliSec",
    "result.p50LatencyNanoSec",
    "result.p90LatencyNanoSec",
}


@pytest.fixture
def checkup(run, cluster):
    """Run the checkup of a ConfigMap, as the image does."""

    def go(name, *arguments, on=None, **more):
        used = on or cluster
        return run(used, "--kv-configmap", f"checks/{name}", *arguments, module="pytest_kvlatency", **more)

    return go


@pytest.fixture(params=["patch", "update"])
def kubeconfig(request, cluster, role):
    """An administrator's, who may patch, and that of the Role, which may only update."""
    return cluster.kubeconfig if request.param == "patch" else cluster.account(role)


def test_all_keys_are_there_after_a_success(cluster, checkup, kubeconfig):
    stale = {"status.result.p99LatencyNanoSec": "7", "status.succeeded": "false", "status.failureReason": "x"}
    name = cluster.make_configmap(data={**stale, "other": "stays"})
    before = cluster.configmap(name)["data"]
    seen = len(cluster.audit())
    done = checkup(name, kubeconfig=kubeconfig)
    assert done.status == 0, done.output
    status = cluster.status(name)
    assert status.keys() == KEYS | BEYOND
    assert status["succeeded"] == "true"
    assert status["failureReason"] == ""
    assert RFC3339.fullmatch(status["startTimestamp"])
    assert RFC3339.fullmatch(status["completionTimestamp"])
    assert status["startTimestamp"] <= status["completionTimestamp"]
    numbers = [int(status[f"result.{which}LatencyNanoSec"]) for which in ("min", "p50", "avg", "max")]
    assert 100_000 <= numbers[0] <= numbers[1] <= numbers[3]
    assert numbers[0] <= numbers[2] <= numbers[3]
    assert int(status["result.measurementDurationSec"]) >= 0
    assert {status["result.sourceNode"], status["result.targetNode"]} < {"worker1", "worker2", "worker3"}
    assert (status["result.packetsTransmitted"], status["result.packetLossPercent"]) == ("50", "0")
    after = cluster.configmap(name)["data"]
    assert {key: after[key] for key in after if not key.startswith("status.")} == {
        key: before[key] for key in before if not key.startswith("status.")
    }
    wrote = [
        (line["resource"], line["verb"])
        for line in cluster.audit()[seen:]
        if line["code"] < 300
        and (line["resource"], line["verb"])
        in (
            ("configmaps", "update"),
            ("configmaps", "patch"),
            ("virtualmachineinstances", "create"),
        )
    ]
    verb = "patch" if kubeconfig == cluster.kubeconfig else "update"
    assert wrote == [
        ("configmaps", verb),
        ("virtualmachineinstances", "create"),
        ("virtualmachineinstances", "create"),
        ("configmaps", verb),
    ]
    assert cluster.vmis() == []


def test_no_reply_at_all(cluster, checkup):
    name = cluster.make_configmap("cut-network")
    done = checkup(name)
    assert done.status == 1
    status = cluster.status(name)
    assert status["succeeded"] == "false"
    expected = (
        "run: failed to run check: failed due to connectivity issue: "
        "50 packets transmitted, 0 packets received"
    )
    assert status["failureReason"].startswith(expected)
    assert not [key for key in status if "Latency" in key]
    assert (status["result.packetsTransmitted"], status["result.packetsReceived"]) == ("50", "0")
    assert cluster.vmis() == []


def test_over_the_limit(cluster, checkup):
    name = cluster.make_configmap("far-network", {"spec.param.maxDesiredLatencyMilliseconds": "10"})
    done = checkup(name)
    assert done.status == 1
    status = cluster.status(name)
    said = re.fullmatch(
        r'run: actual max latency "([0-9.]+)ms" is greater than desired "10ms"', status["failureReason"]
    )
    assert said, status["failureReason"]
    assert round(float(said[1]) * 1e6) == int(status["result.maxLatencyNanoSec"])
    assert status.keys() >= KEYS


@pytest.mark.edge_case(
    "E65",
    happens="Source and target are on the same node.",
    does="Measures: it is the baseline without a wire.",
)
def test_E65_several_pairs_of_which_one_has_one_node_give_the_worst_and_a_list(cluster, checkup):
    data = {"spec.param.nodes": "worker1:worker2,worker1:worker1,worker2:worker3"}
    name = cluster.make_configmap("far-network", data)
    assert checkup(name).status == 0
    status = cluster.status(name)
    listed = json.loads(status["result.measurements"])
    assert {(one["sourceNode"], one["targetNode"]) for one in listed} == {
        ("worker1", "worker2"),
        ("worker1", "worker1"),
        ("worker2", "worker3"),
    }
    assert max(one["maxLatencyNanoSec"] for one in listed) == int(status["result.maxLatencyNanoSec"])


def test_nodes_and_the_older_names_with_a_warning(cluster, checkup):
    old = {
        "spec.param.network_attachment_definition_namespace": "checks",
        "spec.param.network_attachment_definition_name": "blue-network",
        "spec.param.sample_duration_seconds": "1",
        "spec.param.source_node": "worker3",
        "spec.param.target_node": "worker1",
        "spec.param.networkAttachmentDefinitionNamespace": None,
        "spec.param.networkAttachmentDefinitionName": None,
        "spec.param.sampleDurationSeconds": "",
    }
    name = cluster.make_configmap(data=old)
    done = checkup(name)
    assert done.status == 0, done.output
    assert "spec.param.source_node of ConfigMap" in done.output
    assert "is deprecated. Use spec.param.sourceNode instead" in done.output
    status = cluster.status(name)
    assert (status["result.sourceNode"], status["result.targetNode"]) == ("worker3", "worker1")
    assert status["result.packetsTransmitted"] == "10"


def test_a_deprecation_is_a_clean_error_where_warnings_are_errors(cluster, checkup):
    name = cluster.make_configmap(data={"spec.param.sample_duration_seconds": "1"})
    done = checkup(name, "-W", "error")
    assert done.status == 4, done.output
    assert "Traceback" not in done.output
    assert "INTERNALERROR" not in done.output
    assert "spec.param.sample_duration_seconds" in cluster.status(name)["failureReason"]


@pytest.mark.edge_case(
    "E58",
    happens="The ConfigMap already holds the result of a run.",
    does="Refuses it with exit status 4, and leaves it unchanged:",
    says="ConfigMap … is in use (since …), or already holds",
)
def test_E58_a_used_configmap_is_refused_unchanged(cluster, checkup):
    name = cluster.make_configmap(data={"status.startTimestamp": "2026-01-01T00:00:00Z"})
    before = cluster.configmap(name)
    done = checkup(name)
    assert done.status == 4
    assert f"ConfigMap checks/{name} is in use (since 2026-01-01T00:00:00Z), or already holds " in done.output
    assert "To run it again: kubectl patch configmap" in done.output
    assert cluster.configmap(name) == before


def test_a_configmap_can_be_used_again_as_the_web_console_does_it(cluster, checkup):
    # It takes four keys away, and leaves those of the result.
    left = {f"status.{key}": "7" for key in KEYS | BEYOND if key.startswith("result.")}
    name = cluster.make_configmap("no-such-network", left)
    done = checkup(name, "--kv-nad", "checks/blue-network", "--kv-sample-duration", "2s")
    assert done.status == 0, done.output
    status = cluster.status(name)
    assert status["result.packetsTransmitted"] == "20", "the command line wins over the ConfigMap"
    assert "7" not in status.values()


@pytest.mark.edge_case(
    "E40",
    happens="`maxDesiredLatencyMilliseconds` is 0.",
    does="Ends with exit status 4, and writes the reason to the ConfigMap:",
    says="is not greater than 0",
)
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"spec.param.maxDesiredLatencyMilliseconds": "0"}, "is not greater than 0"),
        (
            {"spec.timeout": "3s", "spec.param.sampleDurationSeconds": "5"},
            "spec.timeout 3s is shorter than one sample (5s, spec.param.sampleDurationSeconds)",
        ),
    ],
    ids=lambda value: next(iter(value.items()))[0][5:] if isinstance(value, dict) else "",
)
def test_E40_a_wrong_parameter_is_a_reason_too(cluster, checkup, data, reason):
    name = cluster.make_configmap(data=data)
    done = checkup(name)
    assert done.status == 4, done.output
    assert reason in done.output
    assert "Traceback" not in done.output
    status = cluster.status(name)
    assert status["succeeded"] == "false"
    assert status["failureReason"].startswith("config: ")
    assert reason in status["failureReason"]
    assert status.keys() == {"startTimestamp", "completionTimestamp", "succeeded", "failureReason"}
    assert done.document["failureReason"] == status["failureReason"]


def test_E57_one_without_data(cluster, checkup):
    name = cluster.make_configmap()
    path = f"/api/v1/namespaces/checks/configmaps/{name}"
    cluster.request("PATCH", path, {"data": None})
    done = checkup(name)
    assert done.status == 4, done.output
    assert "spec.timeout is missing: " in cluster.status(name)["failureReason"]


def test_E57_one_that_does_not_exist(checkup):
    done = checkup("no-such-checkup")
    assert done.status == 4
    assert "ConfigMap checks/no-such-checkup does not exist" in done.output
    assert "Traceback" not in done.output


@pytest.mark.edge_case(
    "E57", happens="The ConfigMap is immutable.", does="Fails before a VMI is created:", says="is immutable"
)
def test_E57_an_immutable_one(cluster, checkup):
    seen = len(cluster.audit())
    name = cluster.make_configmap(immutable=True)
    done = checkup(name)
    assert done.status == 1, done.output
    assert "is immutable" in done.output
    created = [
        line
        for line in cluster.audit()[seen:]
        if line["resource"] == "virtualmachineinstances" and line["verb"] == "create"
    ]
    assert created == []
    assert done.document["succeeded"] is False


@pytest.mark.edge_case(
    "E57",
    happens="The ConfigMap is deleted during the run.",
    does="Measures, writes the other reports, and fails:",
    says="ConfigMap … was deleted while the checkup ran",
)
def test_E57_one_that_is_deleted_meanwhile(cluster, start, tmp_path):
    (tmp_path / "test_own.py").write_text(
        "import pathlib, time\n"
        "def test_it(kv_latency):\n"
        "    pathlib.Path('begun').touch()\n"
        "    while not pathlib.Path('go').exists(): time.sleep(0.01)\n"
    )
    name = cluster.make_configmap()
    checkup = start(cluster, "--kv-configmap", f"checks/{name}")
    cluster.until((tmp_path / "begun").exists)
    cluster.request("DELETE", f"/api/v1/namespaces/checks/configmaps/{name}")
    (tmp_path / "go").touch()
    assert checkup.end() == 1
    assert f"ConfigMap checks/{name} was deleted while the checkup ran" in checkup.output
    document = checkup.document
    assert document["measurements"][0]["received"] == 50
    assert document["succeeded"] is False
    assert "was deleted while the checkup ran" in document["failureReason"]
    assert cluster.vmis() == []


@pytest.mark.edge_case(
    "E57",
    happens="Others write to the ConfigMap at the same time.",
    does="Reads it again, and writes its result.",
)
def test_E57_others_write_to_it_meanwhile(cluster_with, checkup, role):
    cluster = cluster_with("{fault: api-conflict, resource: configmaps, times: 3}")
    name = cluster.make_configmap()
    done = checkup(name, on=cluster, kubeconfig=cluster.account(role))
    assert done.status == 0, done.output
    assert cluster.status(name)["succeeded"] == "true"


def test_the_environment_names_it(cluster, run):
    name = cluster.make_configmap()
    environment = {"CONFIGMAP_NAMESPACE": "checks", "CONFIGMAP_NAME": name}
    done = run(cluster, "--kv-configmap=env", environment=environment)
    assert done.status == 0, done.output
    assert cluster.status(name)["succeeded"] == "true"


def test_the_environment_lacks_its_name(cluster, run):
    done = run(cluster, "--kv-configmap=env")
    assert done.status == 4
    variables = ("CONFIGMAP_NAMESPACE", "CONFIGMAP_NAME")
    said = "; ".join(f"{name} environment variable is missing" for name in variables)
    assert f"ERROR: {said}" in done.output
    assert "Traceback" not in done.output
    assert done.document["failureReason"] == f"config: {said}"


def test_nothing_selected(cluster, run):
    name = cluster.make_configmap()
    done = run(cluster, "--kv-configmap", f"checks/{name}", "-k", "no_such_check")
    assert done.status == 5
    status = cluster.status(name)
    assert (status["succeeded"], status["failureReason"]) == ("false", "config: no check was selected")


def test_collection_errors(cluster, run, tmp_path):
    (tmp_path / "test_broken.py").write_text("import no_such_module\n")
    name = cluster.make_configmap()
    done = run(cluster, "--kv-configmap", f"checks/{name}")
    assert done.status == 2
    status = cluster.status(name)
    assert status["succeeded"] == "false"
    assert status["failureReason"].startswith("config: collection failed with 1 error(s): see the output")


def test_a_wrong_marker(cluster, run, tmp_path):
    (tmp_path / "test_wrong.py").write_text(
        "import pytest\n@pytest.mark.kvlatency(max_latncy='1ms')\ndef test_it(): pass\n"
    )
    name = cluster.make_configmap()
    done = run(cluster, "--kv-configmap", f"checks/{name}")
    assert done.status == 2
    assert cluster.status(name)["failureReason"].startswith("config: ")
    assert "max_latncy" in cluster.status(name)["failureReason"]


def test_own_tests_take_the_configmaps_parameters_and_their_failure_fails_the_checkup(cluster, run, tmp_path):
    (tmp_path / "test_own.py").write_text(
        "def test_it(kv_latency):\n"
        "    assert kv_latency.transmitted == 50, 'other parameters'\n"
        "    assert kv_latency.avg_ms < 1, 'too slow'\n"
    )
    name = cluster.make_configmap("far-network")
    assert run(cluster, "--kv-configmap", f"checks/{name}").status == 1
    status = cluster.status(name)
    assert status["succeeded"] == "false"
    assert "too slow" in status["failureReason"]
    assert status.keys() >= KEYS


@pytest.mark.parametrize("option", ["--junitxml", "--kv-json"])
def test_E80_the_configmap_knows_of_a_report_that_cannot_be_written(cluster, run, tmp_path, option):
    (tmp_path / "place").mkdir()
    path = "/dev/full" if option == "--junitxml" else tmp_path / "place"
    name = cluster.make_configmap(data={"spec.param.sampleDurationSeconds": "1"})
    arguments = ("--self-contained-html", f"{option}={path}")
    done = run(cluster, "--kv-configmap", f"checks/{name}", *arguments, json=option != "--kv-json")
    assert done.status == 1, done.output
    assert "Traceback" not in done.output
    status = cluster.status(name)
    assert status["succeeded"] == "false"
    assert re.fullmatch(rf"teardown: cannot write the \w+ report to {path}: [\w ]+", status["failureReason"])
    assert int(status["result.minLatencyNanoSec"]) > 0
    assert done.output.count(status["failureReason"]) == 1
    if option != "--kv-json":
        assert done.document["failureReason"] == status["failureReason"]


def test_E80_another_plugin_that_raises_first_at_the_end_costs_no_status(cluster, run, tmp_path):
    (tmp_path / "conftest.py").write_text(
        "import pytest\n"
        "@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_sessionfinish():\n"
        "    raise RuntimeError('in another plugin')\n"
    )
    (tmp_path / "test_own.py").write_text("def test_it(kv_latency): pass\n")
    name = cluster.make_configmap(data={"spec.param.sampleDurationSeconds": "1"})
    done = run(cluster, "--kv-configmap", f"checks/{name}")
    assert done.status != 0
    assert "RuntimeError: in another plugin" in done.output
    assert cluster.status(name).keys() >= KEYS
    assert len(done.document["measurements"]) == 1
    assert cluster.vmis() == []
