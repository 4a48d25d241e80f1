"""The lab in which everything happens, what is true of its networks, and what lies in it."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from administrator import Administrator

from pytest_kvlatency.kube import paths
from pytest_kvlatency.lab.process import LabProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

LAB_SECONDS = 60.0
GONE_SECONDS = 30.0
EXPIRES = "pytest-kvlatency/expires-at"
ENDS = ("startTimestamp", "completionTimestamp", "succeeded", "failureReason")


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network as the lab file describes it: ``failure`` is the only kind with which its checks may fail.

    Round-trip times lie between the two bounds, in nanoseconds, whatever happens to the run.
    """

    name: str
    lab: Mapping[str, object]
    failure: str | None
    lowest_ns: int
    highest_ns: int

    @property
    def nad(self) -> str:
        return f"default/{self.name}"


LIMIT_MILLISECONDS = 10
HEALTHY = Network(
    name="healthy",
    lab={"latency": "200us", "jitter": "20us"},
    failure=None,
    lowest_ns=200_000,
    highest_ns=2_000_000,
)
CUT = Network(name="cut", lab={"partition": True}, failure="connectivity", lowest_ns=0, highest_ns=0)
SLOW = Network(
    name="slow",
    lab={"latency": "12ms", "jitter": "100us"},
    failure="latency",
    lowest_ns=22_000_000,
    highest_ns=26_000_000,
)
LOSSY = Network(
    name="lossy",
    lab={"latency": "200us", "jitter": "20us", "loss": "25%"},
    failure="loss",
    lowest_ns=200_000,
    highest_ns=2_000_000,
)
#: As healthy, and a VMI on it goes only when the soak lets it go: a clean-up that takes a while.
STUCK = Network(
    name="stuck", lab=HEALTHY.lab, failure=None, lowest_ns=HEALTHY.lowest_ns, highest_ns=HEALTHY.highest_ns
)
NETWORKS = (HEALTHY, CUT, SLOW, LOSSY, STUCK)
LAB = {
    "guests": "sim",
    "networks": {network.nad: dict(network.lab) for network in NETWORKS},
    "faults": [{"fault": "stuck-deletion", "network": STUCK.nad}],
    "seed": 7,
    "boot": "4s",
    "time_scale": 20,
}


class Ground:
    """A running lab, as its administrator sees it. Each run has a namespace of its own."""

    def __init__(self, directory: Path, nodes: int) -> None:
        self.nodes = nodes
        directory.mkdir(parents=True, exist_ok=True)
        spec = directory / "lab.yaml"
        spec.write_text(json.dumps({**LAB, "nodes": nodes}), encoding="utf-8")
        self._lab = LabProcess.start(str(spec), directory / "run", LAB_SECONDS)
        self.kubeconfig = self._lab.kubeconfig
        self._admin = Administrator(self._lab, directory, "default")
        self._records = Records(self._lab.directory / "audit.jsonl")

    def close(self) -> None:
        self._lab.stop()

    def make_namespace(self, name: str) -> None:
        self._admin.request("POST", f"{paths.CORE}/namespaces", {"metadata": {"name": name}})

    def make_configmap(self, namespace: str, network: Network, **more: str) -> str:
        """Make a checkup's ConfigMap; return its name with its namespace."""
        data = {
            "spec.timeout": "3m",
            "spec.param.networkAttachmentDefinitionNamespace": "default",
            "spec.param.networkAttachmentDefinitionName": network.name,
            "spec.param.maxDesiredLatencyMilliseconds": str(LIMIT_MILLISECONDS),
            **{f"spec.param.{key}": value for key, value in more.items()},
        }
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "checkup"}, "data": data}
        self._admin.request("POST", paths.namespaced(paths.CORE, namespace, "configmaps"), body)
        return f"{namespace}/checkup"

    def status(self, namespace: str) -> dict[str, str]:
        """The status keys of the namespace's ConfigMap, without their prefix."""
        path = paths.namespaced(paths.CORE, namespace, "configmaps", "checkup")
        data = self._admin.request("GET", path).get("data") or {}
        return {key.removeprefix("status."): data[key] for key in data if key.startswith("status.")}

    def vmis(self, namespace: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._admin.request("GET", paths.vmi(namespace)).get("items", [])
        return found

    def staying(self, namespace: str) -> list[str]:
        """The VMIs that nothing has asked to go."""
        found = self.vmis(namespace)
        return sorted({name(vmi) for vmi in found} - set(going(found)))

    def left(self, namespace: str) -> list[str]:
        """The VMIs that nothing has asked to go, and those that were asked and do not go."""
        left = self.staying(namespace)
        until = time.monotonic() + GONE_SECONDS
        while found := {name(vmi) for vmi in self.vmis(namespace)} - set(left):
            if time.monotonic() > until:
                return [*left, *found]
            time.sleep(0.05)
        return left

    def settle(self, namespace: str) -> None:
        """Wait until what was asked of the lab by a run that is dead is done: VMIs that go are gone."""
        for vmi in going(self.vmis(namespace)):
            self._let_go(namespace, vmi)

    def copy(self, vmi: Mapping[str, Any], namespace: str) -> None:
        """Make a VMI like another one, in another namespace."""
        metadata = {key: vmi["metadata"][key] for key in ("name", "labels", "annotations")}
        body = {**vmi, "metadata": {**metadata, "namespace": namespace}}
        body.pop("status", None)
        self._admin.request("POST", paths.vmi(namespace), body)

    def age(self, namespace: str, vmis: list[str]) -> None:
        """Make VMIs so old that a sweep may remove them."""
        for vmi in vmis:
            body = {"metadata": {"annotations": {EXPIRES: "2020-01-01T00:00:00Z"}}}
            self._admin.request("PATCH", paths.vmi(namespace, vmi), body)

    def clear(self, namespace: str) -> None:
        """Remove what a run left, so that it takes no room from the runs that follow."""
        for vmi in self.vmis(namespace):
            self._admin.request("DELETE", paths.vmi(namespace, name(vmi)), ok_missing=True)
            self._let_go(namespace, name(vmi))

    def let_go(self, namespace: str, seconds: float, *, until: Callable[[], bool]) -> None:
        """Let VMIs that are stuck in deletion go, each so long after its deletion was asked for."""
        since: dict[str, float] = {}
        is_over = False
        while not is_over:
            # Looked at before the VMIs: those that were asked to go last are let go too.
            is_over = until()
            for vmi in going(self.vmis(namespace)):
                if is_over or time.monotonic() - since.setdefault(vmi, time.monotonic()) >= seconds:
                    self._let_go(namespace, vmi)
            time.sleep(0.05)

    def _let_go(self, namespace: str, vmi: str) -> None:
        body = {"metadata": {"finalizers": None}}
        self._admin.request("PATCH", paths.vmi(namespace, vmi), body, ok_missing=True)

    def created(self, namespace: str) -> int:
        """How many VMIs were created in the namespace."""
        return sum(
            one["verb"] == "create" and one["resource"] == "virtualmachineinstances" and one["code"] == 201
            for one in self._records.of(namespace)
        )

    def last_configmap_write(self, namespace: str) -> float:
        """When the ConfigMap was written last, as the time of the day in seconds; 0 if never."""
        writes = [
            datetime.strptime(one["time"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()
            for one in self._records.of(namespace)
            if one["resource"] == "configmaps" and one["verb"] in ("patch", "update") and one["code"] == 200
        ]
        return max(writes, default=0.0)


class Records:
    """The lab's record of requests, read on as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._by_namespace: dict[str, list[dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def of(self, namespace: str) -> list[dict[str, Any]]:
        with self._lock, self._path.open("rb") as stream:
            stream.seek(self._offset)
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                one = json.loads(line)
                self._by_namespace.setdefault(one["namespace"] or "", []).append(one)
            return list(self._by_namespace.get(namespace, ()))


def name(vmi: Mapping[str, Any]) -> str:
    found: str = vmi["metadata"]["name"]
    return found


def going(vmis: list[dict[str, Any]]) -> list[str]:
    """Names of those whose deletion was asked for."""
    return [name(vmi) for vmi in vmis if "deletionTimestamp" in vmi["metadata"]]
