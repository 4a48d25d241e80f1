"""The image, built once, and a lab beside it; Jobs made in the lab run in the image, as on a node."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import image_setup
import pytest
import yaml
from image_building import TAG, built
from kubelet import Kubelet

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.client import KubeClient
from pytest_kvlatency.lab.process import LabProcess

ROOT = Path(__file__).parents[2]
REQUIRE = "KVLATENCY_REQUIRE_IMAGE"
NAMESPACE = "checks"
BATCH = "/apis/batch/v1"
LAB = """
guests: sim
nodes: [worker1, worker2, worker3]
networks:
  checks/blue-network: {latency: 100us}
  checks/cut-network: {partition: true}
  checks/boot-network: {}
  default/blue-network: {latency: 100us}
faults:
  - {fault: slow-boot, after: 2h, network: checks/boot-network}
seed: 7
boot: 100ms
time_scale: 20
"""
#: As the documentation of KubeVirt's VM latency checkup has it; but for the image, and for what a test changes.
JOB = f"""
apiVersion: batch/v1
kind: Job
metadata:
  name: kubevirt-vm-latency-checkup
  labels:
    kiagnose/checkup-type: kubevirt-vm-latency
spec:
  backoffLimit: 0
  template:
    spec:
      serviceAccountName: vm-latency-checkup-sa
      restartPolicy: Never
      containers:
        - name: vm-latency-checkup
          image: {TAG}
          securityContext:
            allowPrivilegeEscalation: false
            capabilities:
              drop: ["ALL"]
            runAsNonRoot: true
            seccompProfile:
              type: "RuntimeDefault"
          env:
            - name: CONFIGMAP_NAMESPACE
              value: {NAMESPACE}
            - name: CONFIGMAP_NAME
              value: kubevirt-vm-latency-checkup-config
            - name: POD_UID
              valueFrom:
                fieldRef:
                  fieldPath: metadata.uid
"""


def pytest_runtest_setup(item):
    if item.get_closest_marker("image") is None:
        return
    trouble = image_setup.unusable()
    if trouble is None:
        return
    if os.environ.get(REQUIRE) == "1" and image_setup.unsupported() is None:
        pytest.fail(f"{REQUIRE}=1, but {trouble}", pytrace=False)
    pytest.skip(trouble)


class Cluster:
    """A lab as its administrator sees it, with a kubelet that runs Jobs."""

    def __init__(self, lab, directory, image):
        self._lab = lab
        self._count = itertools.count()
        self.kubeconfig = lab.kubeconfig
        self.admin = KubeClient.connect(kubeconfig=lab.kubeconfig)
        self.kubelet = Kubelet(lab.kubeconfig, directory, {TAG: image})

    def request(self, method, path, body=None, **more):
        return self.admin.request(method, path, body=body, deadline=Deadline(60), **more)

    def kubectl(self, *arguments, **more):
        """Run kubectl as the administrator; a machine that has none skips the test."""
        if shutil.which("kubectl") is None:
            pytest.skip("kubectl is not on PATH")
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        return subprocess.run(
            ["kubectl", *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            **more,
        )

    def create(self, namespace, *objects):
        """Make objects; one that has a namespace of its own keeps it."""
        for one in objects:
            prefix = {"v1": paths.CORE, "batch/v1": BATCH}.get(
                one["apiVersion"], f"/apis/{one['apiVersion']}"
            )
            self.request("POST", paths.namespaced(prefix, namespace, f"{one['kind'].lower()}s"), one)

    def make_configmap(self, network="blue-network", **data):
        """Make a checkup's ConfigMap; return its name."""
        name = f"checkup-{next(self._count)}"
        whole = {
            "spec.timeout": "2m",
            "spec.param.networkAttachmentDefinitionNamespace": NAMESPACE,
            "spec.param.networkAttachmentDefinitionName": network,
            "spec.param.sampleDurationSeconds": "1",
            **{f"spec.param.{key}": text for key, text in data.items()},
        }
        self.create(
            NAMESPACE, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": whole}
        )
        return name

    def status(self, name):
        """The ConfigMap's status keys, without their prefix."""
        data = self.request("GET", paths.namespaced(paths.CORE, NAMESPACE, "configmaps", name))["data"]
        return {key.removeprefix("status."): text for key, text in data.items() if key.startswith("status.")}

    def vmis(self):
        return self.request("GET", paths.vmi(NAMESPACE)).get("items", [])

    def until_vmis(self, condition):
        """Wait until the VMIs' objects meet the condition."""
        until = time.monotonic() + 60
        while not condition(found := self.vmis()):
            assert time.monotonic() < until, found
            time.sleep(0.02)
        return found

    def audit(self):
        lines = (self._lab.directory / "audit.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    # --- Jobs

    def start_job(
        self, configmap, *, args=None, command=None, variables=None, mounts=(), spec=None, **security
    ):
        """Make a Job for a ConfigMap and begin it. ``variables`` adds to the environment; None takes one away.

        ``mounts`` gives volumes by the path that they are mounted at; ``security`` adds to the security context.
        """
        job = yaml.safe_load(JOB)
        job["metadata"]["name"] = f"job-{next(self._count)}"
        job["spec"] |= spec or {}
        pod = job["spec"]["template"]["spec"]
        container = pod["containers"][0]
        container["securityContext"] |= {"readOnlyRootFilesystem": True, **security}
        changed = {"CONFIGMAP_NAME": configmap, **(variables or {})}
        kept = [one for one in container["env"] if one["name"] not in changed]
        added = [{"name": name, "value": text} for name, text in changed.items() if text is not None]
        container["env"] = kept + added
        for key, value in (("args", args), ("command", command)):
            if value is not None:
                container[key] = value
        pod["volumes"] = [
            {"name": f"volume-{number}", **one} for number, one in enumerate(dict(mounts).values())
        ]
        container["volumeMounts"] = [
            {"name": f"volume-{number}", "mountPath": path} for number, path in enumerate(dict(mounts))
        ]
        self.create(NAMESPACE, job)
        return self.kubelet.run_job(NAMESPACE, job["metadata"]["name"])


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    """The image; workers of pytest-xdist build it once, and have files of their own."""
    own = tmp_path_factory.getbasetemp()
    with built(own.parent if "PYTEST_XDIST_WORKER" in os.environ else None) as one:
        yield one


@pytest.fixture(scope="session")
def cluster(image, tmp_path_factory):
    """One lab for all tests, with the manifests that are shipped applied to its namespace."""
    directory = tmp_path_factory.mktemp("lab")
    spec = directory / "lab.yaml"
    spec.write_text(LAB, encoding="utf-8")
    lab = LabProcess.start(str(spec), directory / "run", 60)
    made = Cluster(lab, directory, image)
    try:
        manifests = ROOT / "manifests" / "permissions"
        objects = [
            yaml.safe_load((manifests / f"{name}.yaml").read_text())
            for name in ("serviceaccount", "role", "rolebinding")
        ]
        objects[2]["subjects"][0]["namespace"] = NAMESPACE
        made.create(NAMESPACE, *objects)
        yield made
    finally:
        made.kubelet.close()
        lab.stop()


@pytest.fixture
def node(cluster):
    """The node itself, for containers that no Job describes."""
    return cluster.kubelet.node
