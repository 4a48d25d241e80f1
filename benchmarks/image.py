"""The container image: what it weighs, and how long it takes from its start to its first API request.

Builds the image on a base of this distribution's packages (python tests/image/image_setup.py makes it) and runs a Job
in it against a lab, with a read-only root and no network but the API server. Needs root.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "image")]

from pytest_kvlatency.lab.process import LabProcess, LabStartError  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE = "default"
LAB = {
    "guests": "sim",
    "nodes": ["worker1", "worker2"],
    "networks": {"default/blue-network": {"latency": "200us", "jitter": "20us"}},
    "seed": 7,
    "boot": "100ms",
    "time_scale": 20,
}
ACCOUNT = "system:serviceaccount:default:vm-latency-checkup-sa"
LAB_SECONDS = 60.0
IDLE_LOAD = 0.3


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes of the layers: unpacked, and compressed as a registry hands them out."""

    base: int
    own: int
    base_compressed: int
    own_compressed: int


@dataclass(frozen=True, kw_only=True)
class Start:
    """One run, in seconds from the container runtime's start."""

    first_request: float
    last_request: float
    end: float


class BenchmarkError(Exception):
    """Nothing could be measured; the text says why."""


def _tests(name: str) -> Any:
    """A module of the tests' own node, which is not typed."""
    return importlib.import_module(name)


def sizes(image: Any) -> Sizes:
    """Weigh the image. What is not its base's is its own."""
    building, setup = _tests("image_building"), _tests("image_setup")
    bases = len(building.layer_sizes(setup.base()["name"]))
    packed = building.layer_sizes(image.id)
    own = building.bytes_in(image.tree / "opt" / "checkup")
    return Sizes(
        base=building.bytes_in(image.tree) - own,
        own=own,
        base_compressed=sum(packed[:bases]),
        own_compressed=sum(packed[bases:]),
    )


class Bench:
    """A lab with the shipped manifests, and a kubelet that has the image."""

    def __init__(self, directory: Path, image: Any) -> None:
        spec = directory / "lab.yaml"
        spec.write_text(yaml.safe_dump(LAB), encoding="utf-8")
        try:
            self._lab = LabProcess.start(str(spec), directory / "lab", LAB_SECONDS)
        except LabStartError as error:
            raise BenchmarkError(f"the lab does not start: {error}") from error
        self._image = _tests("image_building").TAG
        self._kubelet = _tests("kubelet").Kubelet(self._lab.kubeconfig, directory, {self._image: image})
        core, rbac = (
            f"/api/v1/namespaces/{NAMESPACE}",
            f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}",
        )
        for path, name in (
            (f"{core}/serviceaccounts", "serviceaccount"),
            (f"{rbac}/roles", "role"),
            (f"{rbac}/rolebindings", "rolebinding"),
        ):
            text = (ROOT / "manifests" / "permissions" / f"{name}.yaml").read_text(encoding="utf-8")
            self._kubelet.request("POST", path, yaml.safe_load(text))

    def stop(self) -> None:
        """End the containers and the lab."""
        self._kubelet.close()
        self._lab.stop()

    def run(self, number: int) -> Start:
        """Run one checkup as a Job."""
        name = f"checkup-{number}"
        data = {
            "spec.timeout": "2m",
            "spec.param.networkAttachmentDefinitionNamespace": NAMESPACE,
            "spec.param.networkAttachmentDefinitionName": "blue-network",
            "spec.param.sampleDurationSeconds": "1",
        }
        configmap = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        self._kubelet.request("POST", f"/api/v1/namespaces/{NAMESPACE}/configmaps", configmap)
        self._kubelet.request("POST", f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", self._job(name))
        audit = self._lab.directory / "audit.jsonl"
        seen = audit.stat().st_size
        job = self._kubelet.run_job(NAMESPACE, name)
        container = job.container
        status = container.wait()
        ended = datetime.now().astimezone().timestamp()
        job.wait()
        if status:
            raise BenchmarkError(f"the checkup ended with status {status}:\n{container.output}")
        with audit.open("rb") as stream:
            stream.seek(seen)
            records = [record for line in stream if (record := json.loads(line))["user"] == ACCOUNT]
        times = [datetime.fromisoformat(one["time"].replace("Z", "+00:00")).timestamp() for one in records]
        return Start(
            first_request=min(times) - container.started,
            last_request=max(times) - container.started,
            end=ended - container.started,
        )

    def _job(self, name: str) -> dict[str, Any]:
        uid = {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}
        container = {
            "name": "checkup",
            "image": self._image,
            "env": [
                {"name": "CONFIGMAP_NAMESPACE", "value": NAMESPACE},
                {"name": "CONFIGMAP_NAME", "value": name},
                uid,
            ],
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
            },
        }
        spec = {
            "serviceAccountName": "vm-latency-checkup-sa",
            "restartPolicy": "Never",
            "containers": [container],
        }
        body = {"backoffLimit": 0, "template": {"spec": spec}}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": body}


@contextlib.contextmanager
def bench(image: Any) -> Iterator[Bench]:
    """Give a bench, and leave nothing of it."""
    with tempfile.TemporaryDirectory(prefix="image-") as directory:
        made = Bench(Path(directory), image)
        try:
            yield made
        finally:
            made.stop()


def main() -> int:
    """Build, weigh, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures to PATH")
    given = parser.parse_args()
    if given.runs < 1:
        parser.error(f"--runs {given.runs}: expected 1 or more")
    trouble = _tests("image_setup").unusable()
    if trouble:
        print(f"error: {trouble}", file=sys.stderr)
        return 2
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    try:
        with _tests("image_building").built() as image:
            weight = sizes(image)
            with bench(image) as made:
                # The first run reads everything from the disk.
                starts = [made.run(number) for number in range(given.runs + 1)]
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    cold, warm = starts[0], starts[1:]
    print(f"base    {weight.base / 1e6:6.0f} MB unpacked, {weight.base_compressed / 1e6:4.0f} MB to pull")
    print(f"own     {weight.own / 1e6:6.0f} MB unpacked, {weight.own_compressed / 1e6:4.0f} MB to pull")
    median = statistics.median(one.first_request for one in warm)
    print(
        f"start   {median:6.2f} s to the first API request "
        f"(median of {len(warm)}; the first run {cold.first_request:.2f} s)"
    )
    print(
        f"end     {statistics.median(one.end - one.last_request for one in warm):6.2f} s after the last one"
    )
    if load > IDLE_LOAD * processors:
        print(
            f"This machine was not idle (load {load:.1f} on {processors} processors): its times are too long."
        )
    if given.json is not None:
        figures = {"sizes": asdict(weight), "starts": [asdict(one) for one in starts], "load_before": load}
        given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
