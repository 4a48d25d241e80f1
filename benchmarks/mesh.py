"""What a mesh of nodes costs: its time beside its rounds', processor time, memory.

Run it from the project's root, on a machine that does nothing else::

    python benchmarks/mesh.py                   # 32 and 64 nodes, a sample of 1 s in real time
    python benchmarks/mesh.py --nodes 16 --json figures.json

A lab with simulated guests is started first and reached by its kubeconfig, as a cluster is, so nothing of it counts,
except that it shares the machine. Each mesh is one process, ``python -m pytest_kvlatency``. A mesh of N nodes takes
N-1 rounds (N for odd N) of one sample each, at least; ``measuring`` is from the first measurement's start to the last
one's end, and the budget is a factor of the rounds' samples. Memory is the peak above that of a run with one pair,
per guest. The exit status is 1 when a budget is exceeded.

Two figures are arithmetic, from what was measured here: the same pairs with ``--kv-parallel 1`` (from a small mesh
measured so), and each with a checkup and two guests of its own (from the run with one pair).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pytest_kvlatency.lab.process import LabProcess, LabStartError  # noqa: E402
from pytest_kvlatency.units import parse_duration  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

NAD = "default/blue-network"
PLUGINS = ("kvlatency", "metadata", "html", "measure_clock")
SAMPLE = "1s"
INTERVAL = "100ms"
NODES = (32, 64)
SMALL_MESH = 4
#: Up to so many nodes, at most so many times the rounds' samples.
BUDGETS = ((32, 1.25), (64, 1.35))
MEMORY_MB = 2.0
LAB_SECONDS = 120.0


class BenchmarkError(Exception):
    """Nothing could be measured; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """One run, in seconds and MB. ``bringing_up`` is until the last guest was up."""

    nodes: int
    pairs: int
    sample: float
    wall: float
    bringing_up: float
    measuring: float
    longest_pair: float
    median_pair: float
    cpu: float
    memory_mb: float

    @property
    def least(self) -> float:
        """What the rounds take when nothing but the samples takes time."""
        return self.sample * (self.nodes - 1 + self.nodes % 2)

    @property
    def ratio(self) -> float:
        """How many times as long it took."""
        return self.measuring / self.least

    @property
    def budget(self) -> float:
        """How many times as long it may take."""
        return next((factor for nodes, factor in BUDGETS if self.nodes <= nodes), BUDGETS[-1][1])


@dataclass(frozen=True, kw_only=True)
class Base:
    """What the meshes are compared with: a run with one pair, and the seconds of a pair when they go one by one."""

    wall: float
    memory_mb: float
    one_by_one: float


def run(nodes: int, *arguments: str, sample: str = SAMPLE, time_scale: float = 1.0) -> Mesh:
    """Measure the mesh of so many nodes in a lab of its own. Raises ``BenchmarkError``."""
    with tempfile.TemporaryDirectory(prefix="mesh-") as name:
        directory = Path(name)
        spec = {
            "guests": "sim",
            "nodes": nodes,
            "networks": {NAD: {"latency": "200us", "jitter": "20us"}},
            "seed": 7,
            "time_scale": time_scale,
        }
        path = directory / "lab.yaml"
        path.write_text(yaml.safe_dump(spec), encoding="utf-8")
        try:
            lab = LabProcess.start(str(path), directory / "lab", LAB_SECONDS)
        except LabStartError as error:
            raise BenchmarkError(f"the lab does not start: {error}") from error
        try:
            return _process(nodes, lab.kubeconfig, directory, sample, arguments)
        finally:
            lab.stop()


def _process(nodes: int, kubeconfig: Path, directory: Path, sample: str, arguments: Sequence[str]) -> Mesh:
    command = [sys.executable, "-m", "pytest_kvlatency", *(word for name in PLUGINS for word in ("-p", name))]
    command += ["-p", "no:cacheprovider", "-q", "--kv-kubeconfig", str(kubeconfig), "--kv-nad", NAD]
    command += ["--kv-nodes", "mesh", "--kv-sample-duration", sample, "--kv-interval", INTERVAL]
    command += ["--kv-json", "out.json", *arguments]
    clock = directory / "clock.json"
    environment = {
        **os.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "benchmarks"))),
        "KVLATENCY_MEASURE_CLOCK": str(clock),
    }
    environment.pop("PYTEST_ADDOPTS", None)
    output = directory / "output.txt"
    with output.open("wb") as stream:
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
        )
        # The kernel counts what this small process had when it forked, so the peak is never understated.
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        said = output.read_text(encoding="utf-8", errors="replace")
        raise BenchmarkError(f"the run ended with status {process.returncode}:\n{said[-5000:]}")
    document = json.loads((directory / "out.json").read_text(encoding="utf-8"))
    pairs = sum(1 for one in document["measurements"] if one["received"])
    if pairs != nodes * (nodes - 1) // 2:
        raise BenchmarkError(f"{pairs} pairs of {nodes} nodes have numbers")
    spans = json.loads(clock.read_text(encoding="utf-8"))
    lengths = sorted(end - start for _, start, end in spans["measured"])
    return Mesh(
        nodes=nodes,
        pairs=pairs,
        sample=parse_duration(sample) / 1e9,
        wall=wall,
        bringing_up=_length(spans["brought_up"]),
        measuring=_length(spans["measured"]),
        longest_pair=lengths[-1],
        median_pair=lengths[len(lengths) // 2],
        cpu=usage.ru_utime + usage.ru_stime,
        memory_mb=usage.ru_maxrss / 1024,
    )


def _length(spans: Sequence[tuple[str, float, float]]) -> float:
    """From the first start to the last end."""
    return max(end for _, _, end in spans) - min(start for _, start, _ in spans)


def base(*, sample: str = SAMPLE, time_scale: float = 1.0) -> Base:
    """Measure what the meshes are compared with. Raises ``BenchmarkError``."""
    one = run(2, sample=sample, time_scale=time_scale)
    small = run(SMALL_MESH, "--kv-parallel", "1", sample=sample, time_scale=time_scale)
    return Base(wall=one.wall, memory_mb=one.memory_mb, one_by_one=small.measuring / small.pairs)


def summary(mesh: Mesh, base: Base) -> tuple[list[str], list[str]]:
    """Lines to print, and the budgets that are exceeded."""
    guest_mb = (mesh.memory_mb - base.memory_mb) / mesh.nodes
    alone, anew = mesh.pairs * base.one_by_one, mesh.pairs * base.wall
    lines = [
        f"mesh of {mesh.nodes} nodes, {mesh.pairs} pairs, a sample of {mesh.sample:g} s each",
        (
            f"  measuring  {mesh.measuring:8.1f} s   {mesh.ratio:.2f} x {mesh.least:g} s "
            f"(at most {mesh.budget:.2f} x); a pair {mesh.median_pair:.2f} s, the longest {mesh.longest_pair:.2f} s"
        ),
        f"  bringing up{mesh.bringing_up:8.1f} s   until the last guest was up",
        f"  wall       {mesh.wall:8.1f} s   the whole process",
        f"  processor  {mesh.cpu:8.1f} s   {1000 * mesh.cpu / mesh.pairs:.0f} ms for each pair",
        (
            f"  memory     {mesh.memory_mb:8.0f} MB  {guest_mb:.2f} MB for each guest above the "
            f"{base.memory_mb:.0f} MB of one pair (at most {MEMORY_MB:g})"
        ),
        f"  one by one {alone:8.0f} s   {alone / mesh.measuring:.1f} x as long: {base.one_by_one:.2f} s for each pair",
        (
            f"  each anew  {anew:8.0f} s   {anew / mesh.wall:.1f} x as long: {base.wall:.2f} s for a checkup and two "
            "guests for each pair, whose boot takes half a second here"
        ),
    ]
    exceeded = [
        f"{mesh.nodes} nodes: {words}"
        for is_exceeded, words in (
            (
                mesh.ratio > mesh.budget,
                f"{mesh.ratio:.2f} x the rounds' samples, at most {mesh.budget:.2f} x",
            ),
            (guest_mb > MEMORY_MB, f"{guest_mb:.2f} MB for each guest, at most {MEMORY_MB:g}"),
        )
        if is_exceeded
    ]
    return lines, exceeded


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--nodes",
        type=int,
        nargs="+",
        default=NODES,
        metavar="N",
        help="meshes of so many nodes (default: 32 64)",
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures of each run to PATH")
    given = parser.parse_args()
    if min(given.nodes) < 2:
        parser.error(f"--nodes {min(given.nodes)}: expected 2 or more")
    exceeded: list[str] = []
    made = []
    try:
        compared = base()
        for nodes in given.nodes:
            made.append(run(nodes))
            lines, over = summary(made[-1], compared)
            print("\n".join([*lines, ""]), flush=True)
            exceeded += over
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if given.json is not None:
        figures = {"base": asdict(compared), "meshes": [asdict(mesh) for mesh in made]}
        given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    for words in exceeded:
        print(f"over the budget: {words}")
    return 1 if exceeded else 0


if __name__ == "__main__":
    sys.exit(main())
