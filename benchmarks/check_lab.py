"""Checks in a lab of their own: run as a user would, one at a time, and watched from outside."""

from __future__ import annotations

import compileall
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from stages import OWN, Moments, seconds_of  # noqa: E402

from pytest_kvlatency.lab.process import LabProcess, LabStartError  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE = "pytest_kvlatency"
BOOT = "3s"
NAMESPACE = "default"
NAD = "default/blue-network"
ACCOUNT = "one-check"
PLUGINS = ("stage_clock", "kvlatency", "metadata", "html")
LAB_SECONDS = 60.0
ROLE = (
    ("kubevirt.io", "virtualmachineinstances", ("get", "create", "delete")),
    ("subresources.kubevirt.io", "virtualmachineinstances/console", ("get",)),
    ("k8s.cni.cncf.io", "network-attachment-definitions", ("get",)),
    ("", "configmaps", ("get", "update")),
)


class BenchmarkError(Exception):
    """Nothing could be measured; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One check, in seconds and MB. ``requests`` counts by verb, resource and subresource."""

    guests: str
    permissions: str
    wall: float
    #: Of each stage (``stages``), in the order of time.
    stages: Mapping[str, float]
    requests: Mapping[str, int]
    memory_mb: float

    @property
    def own(self) -> float:
        """All that is neither the guests', the network's nor the cluster's."""
        return sum(self.stages[name] for name in OWN)

    @property
    def request_count(self) -> int:
        """All requests of the run."""
        return sum(self.requests.values())


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who runs the check: a kubeconfig, and the name under which the lab records its requests."""

    permissions: str
    kubeconfig: Path
    user: str


class Lab:
    """A lab of its own, and two identities in it."""

    def __init__(self, guests: str, directory: Path, *, time_scale: float) -> None:
        spec: dict[str, Any] = {
            "guests": guests,
            "nodes": ["worker1", "worker2"],
            "networks": {NAD: {"latency": "200us", "jitter": "20us"}},
            "seed": 7,
        }
        if guests == "sim":
            spec |= {"boot": BOOT, "time_scale": time_scale}
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "lab.yaml"
        path.write_text(yaml.safe_dump(spec), encoding="utf-8")
        try:
            self._process = LabProcess.start(str(path), directory / "lab", LAB_SECONDS)
        except LabStartError as error:
            raise BenchmarkError(f"the lab with {guests} guests does not start: {error}") from error
        self.guests = guests
        self.description = str(self._process.info.get("description") or guests)
        self._directory = directory
        self._package = _installed(directory / "site")
        self._audit = directory / "lab" / "audit.jsonl"

    def stop(self) -> None:
        """End it."""
        self._process.stop()

    def administrator(self) -> Identity:
        """May do everything, watch included."""
        return Identity(
            permissions="administrator", kubeconfig=self._process.kubeconfig, user="kubernetes-admin"
        )

    def account(self) -> Identity:
        """Make a ServiceAccount with the Role, through the API; its token in a kubeconfig."""
        where = f"namespaces/{NAMESPACE}"
        rbac = f"/apis/rbac.authorization.k8s.io/v1/{where}"
        rules = [
            {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
            for group, resource, verbs in ROLE
        ]
        subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}
        role_ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT}
        metadata = {"name": ACCOUNT}
        self._post(f"/api/v1/{where}/serviceaccounts", "ServiceAccount", "v1", {"metadata": metadata})
        version = "rbac.authorization.k8s.io/v1"
        self._post(f"{rbac}/roles", "Role", version, {"metadata": metadata, "rules": rules})
        binding = {"metadata": metadata, "roleRef": role_ref, "subjects": [subject]}
        self._post(f"{rbac}/rolebindings", "RoleBinding", version, binding)
        made = self._post(
            f"/api/v1/{where}/serviceaccounts/{ACCOUNT}/token",
            "TokenRequest",
            "authentication.k8s.io/v1",
            {"spec": {}},
        )
        config = yaml.safe_load(self._process.kubeconfig.read_text(encoding="utf-8"))
        config["users"] = [{"name": ACCOUNT, "user": {"token": made["status"]["token"]}}]
        for context in config["contexts"]:
            context["context"] |= {"user": ACCOUNT, "namespace": NAMESPACE}
        path = self._directory / "account.kubeconfig"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        path.chmod(0o600)
        user = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
        return Identity(permissions="the Role alone", kubeconfig=path, user=user)

    def _post(self, path: str, kind: str, version: str, body: Mapping[str, Any]) -> dict[str, Any]:
        from pytest_kvlatency.deadline import Deadline  # noqa: PLC0415
        from pytest_kvlatency.kube.client import KubeClient  # noqa: PLC0415

        client = KubeClient.connect(kubeconfig=self._process.kubeconfig)
        try:
            whole = {"apiVersion": version, "kind": kind, **body}
            return client.request("POST", path, body=whole, deadline=Deadline(LAB_SECONDS))
        finally:
            client.close()

    def check(self, identity: Identity, sample: str) -> Run:
        """Run one check as this identity."""
        directory = Path(tempfile.mkdtemp(dir=self._directory))
        seen = self._audit.stat().st_size
        began_at, wall, memory_mb = _process(identity, sample, directory, self._package)
        document = json.loads((directory / "out.json").read_text(encoding="utf-8"))
        if not document["succeeded"]:
            raise BenchmarkError(f"the check failed: {document['failureReason']}")
        with self._audit.open("rb") as stream:
            stream.seek(seen)
            records = [record for line in stream if (record := json.loads(line))["user"] == identity.user]
        times = [
            datetime.fromisoformat(record["time"].replace("Z", "+00:00")).timestamp() for record in records
        ]
        (measurement,) = document["measurements"]
        moments = Moments(
            began=began_at,
            ended=began_at + wall,
            clock=json.loads((directory / "moments.json").read_text(encoding="utf-8")),
            timings=measurement["timings"],
            requests=sorted(
                ((record["verb"], at) for record, at in zip(records, times, strict=True)),
                key=lambda request: request[1],
            ),
        )
        return Run(
            guests=self.guests,
            permissions=identity.permissions,
            wall=wall,
            stages=seconds_of(moments),
            requests=dict(sorted(Counter(map(_what, records)).items())),
            memory_mb=memory_mb,
        )


def _installed(site: Path) -> Path:
    """Put a compiled copy of the package there, which also stays what it is while somebody edits the checkout."""
    shutil.copytree(ROOT / PACKAGE, site / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(site, quiet=2)
    return site


def _process(identity: Identity, sample: str, directory: Path, site: Path) -> tuple[float, float, float]:
    """Run the check in a process of its own: when it began, its seconds, its peak memory in MB."""
    command = [sys.executable, "-m", "pytest_kvlatency", *(word for name in PLUGINS for word in ("-p", name))]
    command += ["-p", "no:cacheprovider", "--kv-kubeconfig", str(identity.kubeconfig), "--kv-nad", NAD]
    command += ["--kv-namespace", NAMESPACE, "--kv-sample-duration", sample, "--kv-json", "out.json"]
    environment = {
        **os.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": os.pathsep.join((str(site), str(ROOT / "benchmarks"))),
        "KVLATENCY_STAGE_CLOCK": str(directory / "moments.json"),
    }
    environment.pop("PYTEST_ADDOPTS", None)
    output = directory / "output.txt"
    with output.open("wb") as stream:
        began_at, began = time.time(), time.monotonic()
        process = subprocess.Popen(
            command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
        )
        # The kernel counts what this small process had when it forked, so the peak is never understated.
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        said = output.read_text(encoding="utf-8", errors="replace")
        raise BenchmarkError(f"the check ended with status {process.returncode}:\n{said}")
    return began_at, wall, usage.ru_maxrss / 1024


def _what(record: Mapping[str, Any]) -> str:
    if not record["resource"]:
        return f"{record['verb']} {record['path']}"
    subresource = f"/{record['subresource']}" if record["subresource"] else ""
    return f"{record['verb']} {record['resource']}{subresource}"
