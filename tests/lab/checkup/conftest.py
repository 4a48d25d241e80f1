"""The life of whole checkups: processes of their own against labs, looked at through the API."""

from __future__ import annotations

import time

import forking
import pytest
from administrator import Administrator
from running import Checkup

from pytest_kvlatency.kube import paths

NAMESPACE = "checks"
CONFIGMAPS = paths.namespaced(paths.CORE, NAMESPACE, "configmaps")
LAB = """
guests: sim
nodes: [worker1, worker2, worker3]
networks:
  checks/blue-network: {latency: 100us}
  checks/far-network: {latency: 6ms}
  checks/cut-network: {partition: true}
  checks/boot-network: {}
  checks/pending-network: {}
  checks/crash-network: {}
  checks/failed-network: {}
  checks/deleted-network: {}
  checks/stuck-network: {}
  checks/taken-network: {}
  checks/quota-network: {}
  checks/limited-network: {}
  checks/no-image-network: {}
  checks/no-registry-network: {}
  checks/odd-image-network: {}
  checks/no-container-network: {}
  checks/no-start-network: {}
  checks/late-network: {}
  secrets/hidden-network: {}
faults:
  - {fault: slow-boot, after: 2h, network: checks/boot-network}
  - {fault: sandbox-failed, network: checks/pending-network}
  - {fault: guest-crash, after: 1s, network: checks/crash-network}
  - {fault: vmi-failed, after: 1s, network: checks/failed-network}
  - {fault: vmi-deleted, after: 1s, network: checks/deleted-network}
  - {fault: stuck-deletion, network: checks/stuck-network}
  - {fault: address-taken, network: checks/taken-network, times: 100}
  - {fault: quota, network: checks/quota-network}
  - {fault: pod-refused, network: checks/limited-network, message: must be less than or equal to memory limit of 256Mi}
  - {fault: image-pull, network: checks/no-image-network}
  - {fault: image-pull, network: checks/no-registry-network, back_off: 500ms, message: "dial tcp 192.0.2.1:443: i/o timeout"}
  - {fault: container-waiting, network: checks/odd-image-network, state: InvalidImageName, message: invalid reference format}
  - {fault: container-waiting, network: checks/no-container-network, message: the runtime does not know image volumes}
  - {fault: sync-failed, network: checks/no-start-network}
  - {fault: slow-boot, after: 1m, network: checks/late-network}
seed: 7
boot: 100ms
time_scale: 20
"""


#: Only where the guests' time is the clock's can migrations and streams be measured.
IN_REAL_TIME = """
guests: sim
nodes: [worker1, worker2, worker3]
networks:
  checks/blue-network: {latency: 100us}
  checks/pending-move-network: {}
  checks/running-move-network: {}
faults:
  - {fault: migration-pending, network: checks/pending-move-network}
  - {fault: migration-slow, network: checks/running-move-network, after: 2h}
seed: 7
boot: 100ms
"""


class Cluster(Administrator):
    """A lab as its administrator sees it, with the ConfigMaps of checkups."""

    def __init__(self, lab, directory):
        super().__init__(lab, directory, NAMESPACE)

    def until_vmis(self, condition):
        """Wait until the VMIs' objects meet the condition."""
        _until(self.objects, condition)

    def until(self, condition):
        """Wait until the condition holds."""
        _until(condition, bool)

    def until_configmap(self, name, condition):
        """Wait until the ConfigMap's status meets the condition."""
        _until(lambda: self.status(name), condition)

    def make_configmap(self, network="blue-network", data=None, **more):
        """Make a checkup's ConfigMap; a value of None leaves a key out. Return its name."""
        name = self.unused("checkup")
        whole = {
            "spec.timeout": "2m",
            "spec.param.networkAttachmentDefinitionNamespace": NAMESPACE,
            "spec.param.networkAttachmentDefinitionName": network,
            "spec.param.sampleDurationSeconds": "5",
            **(data or {}),
        }
        given = {key: value for key, value in whole.items() if value is not None}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": given, **more}
        self.request("POST", CONFIGMAPS, body)
        return name

    def configmap(self, name):
        return self.request("GET", f"{CONFIGMAPS}/{name}")

    def status(self, name):
        """The ConfigMap's status keys, without their prefix."""
        data = self.configmap(name).get("data") or {}
        return {key.removeprefix("status."): data[key] for key in data if key.startswith("status.")}


def _until(look, condition):
    """Look until what is seen meets the condition: less and less often, as each look costs the lab a request."""
    end, pause = time.monotonic() + 60, 0.02
    while not condition(seen := look()):
        assert time.monotonic() < end, seen
        time.sleep(pause)
        pause = min(1.2 * pause, 0.2)


def clusters(tmp_path_factory):
    """Give a function that starts labs, and stop them afterwards."""
    started = []

    def start(text):
        directory = tmp_path_factory.mktemp("lab")
        spec = directory / "lab.yaml"
        spec.write_text(text, encoding="utf-8")
        lab = forking.lab(spec, directory / "run")
        started.append(lab)
        return Cluster(lab, directory)

    yield start
    for lab in started:
        lab.stop()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """One lab for all tests; each network has its own fault."""
    starting = clusters(tmp_path_factory)
    yield next(starting)(LAB)
    next(starting, None)


@pytest.fixture(scope="session")
def cluster_in_real_time(tmp_path_factory):
    """A lab for migrations and streams."""
    starting = clusters(tmp_path_factory)
    yield next(starting)(IN_REAL_TIME)
    next(starting, None)


@pytest.fixture
def cluster_with(tmp_path_factory):
    """Start a lab with these faults: a list of YAML flow mappings."""
    starting = clusters(tmp_path_factory)
    start = next(starting)
    shared = LAB.partition("faults:")[0] + "seed: 7\nboot: 100ms\ntime_scale: 20\n"
    yield lambda *faults: start(
        shared + "faults:\n" * bool(faults) + "".join(f"  - {one}\n" for one in faults)
    )
    next(starting, None)


@pytest.fixture
def start(tmp_path):
    """Start a checkup against a cluster; whatever it is doing at the test's end is killed."""
    started = []

    def begin(cluster, *arguments, kubeconfig=None, json=True, foreign=True, **more):
        where = (
            ["--kv-kubeconfig", kubeconfig or cluster.kubeconfig, "--kv-namespace", NAMESPACE]
            if foreign
            else []
        )
        document = ["--kv-json", "out.json"] if json else []
        started.append(Checkup(tmp_path, [*where, *document, *arguments], **more))
        return started[-1]

    yield begin
    for one in started:
        one.kill()


@pytest.fixture
def run(start):
    """Run a checkup to its end; ``status`` is its exit status."""

    def whole(cluster, *arguments, **more):
        checkup = start(cluster, *arguments, **more)
        checkup.status = checkup.end()
        return checkup

    return whole
