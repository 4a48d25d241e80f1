"""examples/monitoring: the CronJob's Job is run as the lab's kubelet runs it, and pushes to a Pushgateway."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from checkupconfig import data_of, set_parameters
from jobcontroller import JOBS, ROOT
from podsecurity import violations
from prometheus_client.parser import text_string_to_metric_families
from test_manifests import ACCOUNT, IMAGE, LABEL

from pytest_kvlatency.checkup.closing_reports import STATUS_SECONDS
from pytest_kvlatency.checkup.teardown import ASKING_SECONDS
from pytest_kvlatency.config.configmapparams import configmap_layer
from pytest_kvlatency.config.resolve import resolve
from pytest_kvlatency.deadline import CLEANUP_SECONDS
from pytest_kvlatency.kube import paths

MONITORING = ROOT / "examples" / "monitoring"
NAME = "latency-hourly"


def load(name):
    return list(yaml.safe_load_all((MONITORING / name).read_text(encoding="utf-8")))


(CRONJOB,) = load("cronjob.yaml")
(CONFIGMAP,) = load("configmap.yaml")
(DEPLOYMENT, SERVICE) = load("pushgateway.yaml")
TEMPLATE = CRONJOB["spec"]["jobTemplate"]
POD = TEMPLATE["spec"]["template"]["spec"]
(CHECKUP,) = POD["containers"]
(RESET, PUSH) = POD["initContainers"]


class Pushgateway:
    """Takes pushes as a Pushgateway does, from any number of clients."""

    def __init__(self):
        self.pushes = []
        pushes = self.pushes

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                pushes.append((self.path, body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def pushgateway():
    gateway = Pushgateway()
    yield gateway
    gateway.close()


@pytest.fixture
def monitored(kubectl, jobs):
    kubectl("apply", "-k", MONITORING)
    yield kubectl
    kubectl("delete", "jobs", "--all")
    kubectl("delete", "-k", MONITORING)
    kubectl("wait", "--for=delete", "pods", "--all", "--timeout=60s", check=False)


def run_once(kubectl, administrator, gateway, name, condition):
    """What the CronJob controller does on the hour."""
    cronjob = administrator.request("GET", paths.namespaced("/apis/batch/v1", "default", "cronjobs", NAME))
    template = cronjob["spec"]["jobTemplate"]
    push = template["spec"]["template"]["spec"]["initContainers"][1]
    push["env"][0]["value"] = gateway.url
    meta = {"name": name, "labels": template["metadata"]["labels"]}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": template["spec"]}
    administrator.request("POST", JOBS, job)
    kubectl("wait", f"--for=condition={condition}", f"job/{name}", "--timeout=100s")


def samples(text):
    return [one for family in text_string_to_metric_families(text) for one in family.samples]


def values(text, name):
    return [one.value for one in samples(text) if one.name == name]


def test_run_after_run_resets_the_configmap_and_pushes_its_metrics_also_of_a_failure(
    monitored, administrator, jobs, pushgateway
):
    set_parameters(administrator, NAME, sampleDurationSeconds="10")
    run_once(monitored, administrator, pushgateway, "first", "complete")
    assert data_of(administrator, NAME)["status.succeeded"] == "true"
    set_parameters(
        administrator, NAME, sampleDurationSeconds="1", networkAttachmentDefinitionName="cut-network"
    )
    run_once(monitored, administrator, pushgateway, "second", "failed")
    (first, second) = pushgateway.pushes
    assert first[0] == second[0] == f"/metrics/job/kvlatency/checkup/{NAME}"
    assert values(first[1], "kvlatency_up") == [1, 1, 1]
    assert values(first[1], "kvlatency_last_run_success") == [1]
    assert len([one for one in samples(first[1]) if one.labels.get("quantile") == "0.99"]) == 3
    assert values(second[1], "kvlatency_up") == [0, 0, 0]
    assert values(second[1], "kvlatency_last_run_success") == [0]
    (pod,) = {name for name in jobs.logs if name.startswith("second") and "/" not in name}
    assert jobs.logs[f"{pod}/reset"] == f"removed the status of the last run from ConfigMap default/{NAME}\n"
    assert jobs.logs[f"{pod}/push"].startswith("pushed the metrics to http://")


def test_a_run_with_a_wrong_parameter_pushes_that_it_failed_and_no_pair(
    monitored, administrator, pushgateway
):
    set_parameters(administrator, NAME, maxDesiredLatencyMilliseconds="many")
    run_once(monitored, administrator, pushgateway, "wrong", "failed")
    ((_, text),) = pushgateway.pushes
    assert values(text, "kvlatency_last_run_success") == [0]
    assert values(text, "kvlatency_up") == []


# --- as data


def test_every_pod_meets_the_restricted_pod_security_standard():
    everything = {**POD, "containers": [CHECKUP, RESET, PUSH], "initContainers": []}
    assert violations(everything) == []
    assert violations(DEPLOYMENT["spec"]["template"]["spec"]) == []


def test_no_two_runs_share_the_configmap():
    assert CRONJOB["spec"]["concurrencyPolicy"] == "Forbid"
    assert TEMPLATE["spec"]["backoffLimit"] == 0
    assert POD["restartPolicy"] == "Never"


def test_the_parts_name_each_other():
    assert CONFIGMAP["metadata"] == {"name": NAME, "labels": LABEL}
    assert CRONJOB["metadata"] == {"name": NAME, "labels": LABEL}
    assert POD["serviceAccountName"] == ACCOUNT
    for one in (RESET, CHECKUP):
        assert {each["name"]: each for each in one["env"]}["CONFIGMAP_NAME"]["value"] == NAME
    assert PUSH["restartPolicy"] == "Always"
    (metrics,) = [one for one in CHECKUP["args"] if one.startswith("--kv-prometheus=")]
    assert PUSH["command"][-1] == metrics.partition("=")[2]
    port = SERVICE["spec"]["ports"][0]["port"]
    assert PUSH["env"][0]["value"] == f"http://{SERVICE['metadata']['name']}:{port}"
    (monitor,) = load("servicemonitor.yaml")
    assert monitor["spec"]["selector"]["matchLabels"] == SERVICE["metadata"]["labels"]
    assert {one["image"].partition(":")[0] for one in (RESET, PUSH, CHECKUP)} == {IMAGE}
    needed = ASKING_SECONDS + 2 * STATUS_SECONDS + CLEANUP_SECONDS
    assert POD["terminationGracePeriodSeconds"] > needed


def test_the_parameters_are_valid_and_give_enough_samples_for_every_quantile():
    layer, warnings = configmap_layer(CONFIGMAP["data"], "configmap.yaml")
    assert warnings == []
    assert resolve([layer]).ping.count >= 100


def test_every_file_is_used_or_documented():
    listed = yaml.safe_load((MONITORING / "kustomization.yaml").read_text(encoding="utf-8"))
    used = {*listed["resources"], *(name for one in listed["configMapGenerator"] for name in one["files"])}
    page = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    for file in MONITORING.iterdir():
        assert (
            file.name in used
            or file.name == "kustomization.yaml"
            or f"examples/monitoring/{file.name}" in page
        )
