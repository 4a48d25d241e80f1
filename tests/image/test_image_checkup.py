"""Checkups in the image, as Jobs: by nothing but environment variables, as anybody, with nothing to write to."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytestmark = pytest.mark.image

TMP = {"/tmp": {"emptyDir": {}}}
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


def conditions(job):
    """Wait for a Job's end; its conditions by type."""
    return {one["type"]: one for one in job.wait()["status"]["conditions"]}


@pytest.mark.parametrize("user", [{}, {"runAsUser": 1000660000}, {"runAsUser": 1000660000, "runAsGroup": 0}])
def test_a_job_of_todays_checkup_runs_by_its_environment_alone(cluster, user):
    name = cluster.make_configmap()
    job = cluster.start_job(name, **user)
    status = conditions(job)
    assert "Complete" in status, job.container.output
    found = cluster.status(name)
    assert found.keys() >= KEYS
    assert found["succeeded"] == "true"
    assert found["failureReason"] == ""
    assert "\x1b" not in job.container.output
    assert "\r" not in job.container.output
    assert job.pod.token not in job.container.output


def test_the_log_of_the_pod_tells_the_story(cluster):
    name = cluster.make_configmap()
    job = cluster.start_job(name, mounts=TMP)
    assert "Complete" in conditions(job)
    log = job.container.output
    for word in (
        f"spec.param.sampleDurationSeconds = 1s (ConfigMap checks/{name})",
        "checks/blue-network",
        "ok",
        "1 passed",
    ):
        assert word in log, log


def test_a_broken_network_fails_the_job_and_kubectl_is_told(cluster):
    name = cluster.make_configmap("cut-network")
    job = cluster.start_job(name)
    assert "Failed" in conditions(job), job.container.output
    wait = ("wait", "--namespace", "checks", "--timeout=30s", f"job/{job.name}")
    assert cluster.kubectl(*wait, "--for=condition=failed").returncode == 0
    assert cluster.kubectl(*wait[:3], "--timeout=1s", wait[4], "--for=condition=complete").returncode != 0
    reason = "run: failed to run check: failed due to connectivity issue: 10 packets transmitted, 0 packets received"
    assert cluster.status(name)["failureReason"].startswith(reason)
    assert reason in job.container.output
    assert cluster.vmis() == []


def test_the_pod_owns_its_vmis_and_sigterm_leaves_a_status_and_no_vmi(cluster):
    name = cluster.make_configmap("boot-network")
    job = cluster.start_job(name, spec={"activeDeadlineSeconds": 600})
    found = cluster.until_vmis(lambda vmis: len(vmis) == 2)
    (owner,) = {json.dumps(one["metadata"]["ownerReferences"], sort_keys=True) for one in found}
    (owner,) = json.loads(owner)
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Pod", job.pod.name, job.pod.uid)
    assert not owner.get("blockOwnerDeletion")
    status, seconds = job.pod.stop()
    assert status == 2, job.container.output
    assert seconds < job.pod.grace_seconds
    assert "Failed" in conditions(job)
    written = cluster.status(name)
    assert written["succeeded"] == "false"
    assert "interrupted by SIGTERM" in written["failureReason"]
    assert cluster.vmis() == []


@pytest.fixture
def with_plugin(cluster):
    """Start a Job whose checkup loads a plugin of this text besides, from a directory that is mounted."""

    def start(name, text, *arguments):
        plugin = f"plugin-of-{name}"
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": plugin},
            "data": {"more.py": text},
        }
        cluster.create("checks", body)
        mounts = {"/tests": {"configMap": {"name": plugin}}}
        return cluster.start_job(
            name, args=["-p", "more", *arguments], variables={"PYTHONPATH": "/tests"}, mounts=mounts
        )

    return start


def test_E59_sigterm_during_the_sample(cluster, with_plugin):
    name = cluster.make_configmap()
    talkative = "from pytest_kvlatency.checkup import progress\nprogress.LOG_SECONDS = 0\n"
    job = with_plugin(name, talkative, "--kv-sample-duration=20m", "--kv-timeout=40m")
    job.container.until(" pinging")
    status, seconds = job.pod.stop()
    assert (status, seconds < job.pod.grace_seconds) == (2, True), job.container.output
    assert "Failed" in conditions(job)
    written = cluster.status(name)
    assert "interrupted by SIGTERM" in written["failureReason"]
    assert "completionTimestamp" in written
    assert cluster.vmis() == []


def test_E59_sigterm_while_it_still_starts(cluster, with_plugin):
    """The kernel drops signals to process 1 that it has no handler for, so it needs one from its first moment."""
    name = cluster.make_configmap()
    job = with_plugin(name, "import time\nprint('still starting', flush=True)\ntime.sleep(600)\n")
    job.container.until("still starting")
    status, seconds = job.pod.stop()
    assert (status, seconds < job.pod.grace_seconds) == (143, True), job.container.output
    assert "kvlatency: ended by SIGTERM" in job.container.output
    assert "Failed" in conditions(job)
    assert not cluster.status(name)


def test_with_nothing_but_its_name_missing_it_says_so(cluster):
    name = cluster.make_configmap()
    job = cluster.start_job(name, variables={"CONFIGMAP_NAME": None})
    assert "Failed" in conditions(job)
    assert "CONFIGMAP_NAME environment variable is missing" in job.container.output
    assert "Traceback" not in job.container.output
    assert "startTimestamp" not in cluster.status(name)


def test_more_arguments_are_pytests(cluster):
    name = cluster.make_configmap()
    reports = {"/reports": {"persistentVolumeClaim": {"claimName": "reports"}}}
    arguments = [
        "--kv-max-latency=1us",
        "--kv-json=/reports/latency.json",
        "--junitxml=/reports/junit.xml",
        "--html=latency.html",
        "--self-contained-html",
    ]
    job = cluster.start_job(name, args=arguments, mounts={**TMP, **reports}, runAsUser=1000)
    assert "Failed" in conditions(job), job.container.output
    directory = cluster.kubelet.claim("reports")
    document = json.loads((directory / "latency.json").read_text())
    assert document["measurements"][0]["failureKind"] == "latency"
    assert ET.parse(directory / "junit.xml").find(".//failure") is not None
    # A path that is not absolute is one in /reports.
    assert "blue-network" in (directory / "latency.html").read_text()
    assert {one.stat().st_uid for one in directory.iterdir()} == {1000}
    assert cluster.status(name)["failureReason"] == document["failureReason"]


def test_tests_of_ones_own_are_mounted_and_report_to_the_configmap(cluster):
    cluster.make_configmap()
    name = cluster.make_configmap()
    own = """
import pytest

@pytest.mark.kvlatency
def test_both_guests(kv_pair, kv_latency):
    assert kv_pair.source.run("ip -o link").exit_status == 0
    assert kv_latency.received == kv_latency.transmitted
"""
    data = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "own-tests"},
        "data": {"test_own.py": own},
    }
    cluster.create("checks", data)
    job = cluster.start_job(
        name,
        command=["python", "-m", "pytest"],
        args=["--kv-configmap=env", "--junitxml=/tmp/junit.xml", "-v", "/tests"],
        mounts={**TMP, "/tests": {"configMap": {"name": "own-tests"}}},
        runAsUser=1000660000,
    )
    assert "Complete" in conditions(job), job.container.output
    assert "test_own.py::test_both_guests" in job.container.output
    assert cluster.status(name)["succeeded"] == "true"


PLACES = ("/", "/reports", "/tests", "/opt/checkup")
CONFINED = """
import os, pathlib, socket
print("who", os.getuid(), os.getgid(), os.getpid())
for path in ("/", "/reports", "/tests", "/opt/checkup", "/tmp"):
    try:
        pathlib.Path(path, "written").write_text("x")
        print("writable", path)
    except OSError as error:
        print("read-only", path, error.strerror)
for where in (("198.51.100.1", 443), ("127.0.0.1", 443), ("10.96.0.1", 443)):
    try:
        socket.create_connection(where, 3)
        print("reached", where)
    except OSError as error:
        print("unreachable", where[0])
server = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
socket.create_connection(server, 3)
print("reached the API server")
print("capabilities", [line for line in open("/proc/self/status") if line.startswith(("CapEff", "NoNewPrivs"))])
"""


def test_the_tests_containers_are_confined_as_they_claim(cluster):
    """What the other tests rely on: nothing can be written but /tmp, nobody reached but the API server."""
    name = cluster.make_configmap()
    job = cluster.start_job(name, command=["python", "-c", CONFINED], mounts=TMP, runAsUser=1000660000)
    assert "Complete" in conditions(job), job.container.output
    log = job.container.output.splitlines()
    assert "who 1000660000 0 1" in log
    assert [line for line in log if line.startswith("writable")] == ["writable /tmp"]
    refused = {line for line in log if line.startswith("read-only")}
    # Not merely "Permission denied", which a user like this one meets everywhere.
    assert refused == {f"read-only {path} Read-only file system" for path in PLACES}
    assert len([line for line in log if line.startswith("unreachable")]) == 3
    assert "reached the API server" in log
    assert not [line for line in log if line.startswith("reached (")]
    assert "CapEff:\\t0000000000000000" in log[-1]
    assert "NoNewPrivs:\\t1" in log[-1]


def test_without_the_restriction_the_root_of_the_same_container_can_be_written_to(cluster):
    """The counter-check: it is the restriction that keeps the other containers from it, not how they are run."""
    job = cluster.start_job(
        cluster.make_configmap(),
        command=["python", "-c", CONFINED],
        mounts=TMP,
        runAsUser=0,
        runAsNonRoot=False,
        readOnlyRootFilesystem=False,
    )
    assert "Complete" in conditions(job), job.container.output
    log = job.container.output.splitlines()
    # The root directory itself is nobody's to write to: its mode is 0555.
    assert {f"writable {path}" for path in PLACES[1:]} <= set(log), log


def children_of(pid):
    """The process ids of a process's children. Those of a thread that ends are another thread's from then on."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append((task / "children").read_text())
    return "".join(found)


def test_no_children_of_a_checkup_are_left_to_process_1(cluster):
    """Python as process 1 reaps only what it started itself; so a checkup starts nothing."""
    name = cluster.make_configmap("boot-network")
    job = cluster.start_job(name)
    cluster.until_vmis(lambda vmis: len(vmis) == 2)
    pid = job.container.pid
    assert children_of(pid) == ""
    job.pod.stop()
    assert "Failed" in conditions(job)


def test_the_image_says_what_it_is(image):
    config = image.config
    assert config["Entrypoint"] == ["python", "-m", "pytest_kvlatency", "--kv-configmap=env"]
    assert not config.get("Cmd")
    user = config["User"].partition(":")[0]
    assert int(user) > 0
    labels = {key.removeprefix("org.opencontainers.image."): text for key, text in image.labels.items()}
    assert labels["title"] == "pytest-kvlatency"
    assert labels["licenses"] == "Apache-2.0"
    assert (labels["version"], labels["revision"]) == ("0.0.test", "0123abcd")


def test_the_image_holds_no_tools_of_its_build_and_no_lab(image):
    packages = next((image.tree / "opt/checkup/lib").glob("python3.*")) / "site-packages"
    names = {path.name.partition("-")[0].lower() for path in packages.iterdir()}
    assert {"pytest", "pytest_kvlatency", "kubernetes", "pexpect", "pytest_html"} <= names
    assert not names & {"pip", "setuptools", "wheel", "hatchling", "cryptography", "hypothesis", "xdist"}
    assert not (image.tree / "build").exists()
