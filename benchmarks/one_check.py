"""What one check costs: where its time goes, what it asks of the API server, how much memory it takes.

Run it from the project's root, on a machine that does nothing else::

    python benchmarks/one_check.py                        # simulated guests that are up in 3 s
    python benchmarks/one_check.py --guests both --runs 3
    python benchmarks/one_check.py --json figures.json

A lab is started first and reached by its kubeconfig, as a cluster is, so nothing of it counts. Each run is a process
of its own, ``python -m pytest_kvlatency``, with the plugins that a plain installation brings and no others, and with
this checkout's package compiled to bytecode, as an installation compiles it. It is made with an administrator's
credentials and with those of a ServiceAccount that has the documented Role and nothing else. The exit status is 1
when a budget is exceeded: the median of our own time, the highest of requests and memory.

Stages: ``boot`` is from the first VMI's creation until the later guest showed its login prompt, ``login`` from there
until both are logged in, ``sample`` is the warm-up and the pings, ``delete`` from asking for the deletion until both
VMIs are gone. ``own`` is all the rest: starting Python and pytest, the set-up, addresses, reports, and the end.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pytest_kvlatency.lab.process import LabProcess, LabStartError  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PACKAGE = "pytest_kvlatency"
SAMPLE = "5s"
BOOT = "3s"
NAMESPACE = "default"
NAD = "default/blue-network"
ACCOUNT = "one-check"
PLUGINS = ("kvlatency", "metadata", "html", "prompt_clock")
OWN_SECONDS = 2.5
REQUESTS = 25
MEMORY_MB = 120.0
LAB_SECONDS = 60.0
IDLE_LOAD = 0.3
RUN_SECONDS = 300.0
# Measured on a real API server with guests that are up in 3 s: a process of the existing checkup, for 5 s of pings.
EXISTING_SECONDS = 20.3
EXISTING = (
    "5 s until its first poll finds the VMIs running, a fixed 5 s login probe, 5 s of ping, 5 s until its second "
    "poll finds them gone; 17 API requests, 36 MB"
)
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
    """One check, in seconds and MB; ``requests`` counts by verb, resource and subresource."""

    guests: str
    permissions: str
    wall: float
    boot: float
    login: float
    sample: float
    delete: float
    own: float
    before_first_request: float
    after_last_request: float
    requests: Mapping[str, int]
    memory_mb: float

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
        prompts = json.loads((directory / "prompts.json").read_text(encoding="utf-8"))
        with self._audit.open("rb") as stream:
            stream.seek(seen)
            records = [record for line in stream if (record := json.loads(line))["user"] == identity.user]
        times = [
            datetime.fromisoformat(record["time"].replace("Z", "+00:00")).timestamp() for record in records
        ]
        created = min(at for at, record in zip(times, records, strict=True) if record["verb"] == "create")
        (measurement,) = document["measurements"]
        stages = measurement["timings"]
        boot = max(prompts.values()) - created
        login = max(0.0, created + stages["running"] + stages["login"] - max(prompts.values()))
        rest = boot + login + stages["measure"] + stages["delete"]
        return Run(
            guests=self.guests,
            permissions=identity.permissions,
            wall=wall,
            boot=boot,
            login=login,
            sample=stages["measure"],
            delete=stages["delete"],
            own=wall - rest,
            before_first_request=min(times) - began_at,
            after_last_request=began_at + wall - max(times),
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
        "KVLATENCY_PROMPT_CLOCK": str(directory / "prompts.json"),
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


def _summary(runs: Sequence[Run]) -> tuple[list[str], list[str]]:
    """What runs of one kind come to: lines to print, and the budgets that are exceeded."""

    def median(name: str) -> float:
        return float(statistics.median(getattr(run, name) for run in runs))

    first = runs[0]
    most = max(runs, key=lambda run: run.request_count)
    memory = max(run.memory_mb for run in runs)
    lines = [
        f"{first.guests} guests, as {first.permissions} (median of {len(runs)})",
        *(f"  {name:7}{median(name):7.2f} s" for name in ("wall", "boot", "login", "sample", "delete")),
        (
            f"  {'own':7}{median('own'):7.2f} s   (at most {OWN_SECONDS}; {median('before_first_request'):.2f} s "
            f"before the first request, {median('after_last_request'):.2f} s after the last)"
        ),
        f"  {most.request_count} requests   (at most {REQUESTS} without permission to watch)",
        *(f"    {count:3} {what}" for what, count in most.requests.items()),
        f"  {memory:.0f} MB at its peak   (at most {MEMORY_MB:.0f})",
    ]
    exceeded = [
        f"{first.guests} guests, as {first.permissions}: {words}"
        for is_exceeded, words in (
            (median("own") > OWN_SECONDS, f"{median('own'):.2f} s of our own, at most {OWN_SECONDS}"),
            (most.request_count > REQUESTS, f"{most.request_count} requests, at most {REQUESTS}"),
            (memory > MEMORY_MB, f"{memory:.0f} MB, at most {MEMORY_MB:.0f}"),
        )
        if is_exceeded
    ]
    return lines, exceeded


def _comparison(runs: Sequence[Run]) -> list[str]:
    """Our time beside the existing checkup's, for simulated guests that are up as fast as its were."""
    walls = [run.wall for run in runs if run.guests == "sim" and run.permissions == "the Role alone"]
    if not walls:
        return []
    wall = statistics.median(walls)
    return [
        (
            f"The existing checkup needs {EXISTING_SECONDS} s for a sample of 5 s with guests that are up in 3 s. "
            "That was measured elsewhere,"
        ),
        f"not in this run: {EXISTING}.",
        (
            f"This run, also 5 s of pings and guests that are up in {BOOT[:-1]} s, under the Role alone: {wall:.1f} s, "
            f"{wall / EXISTING_SECONDS:.2f} of it."
        ),
    ]


def measure(guests: Sequence[str], runs: int, *, sample: str = SAMPLE, time_scale: float = 1.0) -> list[Run]:
    """Make the runs. Raises ``BenchmarkError``."""
    made = []
    for kind in guests:
        with tempfile.TemporaryDirectory(prefix="one-check-") as directory:
            lab = Lab(kind, Path(directory), time_scale=time_scale)
            try:
                for identity in (lab.administrator(), lab.account()):
                    made += [lab.check(identity, sample) for _ in range(runs)]
            finally:
                lab.stop()
    return made


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--guests", choices=("sim", "qemu", "both"), default="sim", help="default: %(default)s"
    )
    parser.add_argument(
        "--runs", type=int, default=1, metavar="N", help="runs of each kind (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures of each run to PATH")
    given = parser.parse_args()
    if given.runs < 1:
        parser.error(f"--runs {given.runs}: expected 1 or more")
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    if load > IDLE_LOAD * processors:
        print(
            f"This machine is not idle (load {load:.1f} on {processors} processors): its times are too long.\n"
        )
    try:
        runs = measure(("sim", "qemu") if given.guests == "both" else (given.guests,), given.runs)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    kinds = dict.fromkeys((run.guests, run.permissions) for run in runs)
    exceeded = []
    for kind in kinds:
        lines, more = _summary([run for run in runs if (run.guests, run.permissions) == kind])
        exceeded += more
        print("\n".join(lines), end="\n\n")
    print("\n".join(_comparison(runs)))
    for budget in exceeded:
        print(f"BUDGET EXCEEDED: {budget}")
    if given.json is not None:
        figures = {
            "budgets": {"own_seconds": OWN_SECONDS, "requests": REQUESTS, "memory_mb": MEMORY_MB},
            "existing_checkup_seconds": EXISTING_SECONDS,
            "load_before": load,
            "processors": processors,
            "exceeded": exceeded,
            "runs": [{**asdict(run), "request_count": run.request_count} for run in runs],
        }
        given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 1 if exceeded else 0


if __name__ == "__main__":
    sys.exit(main())
