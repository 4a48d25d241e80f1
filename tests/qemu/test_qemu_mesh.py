"""A mesh over real guests: the matrix shows exactly the pair whose link is slow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from plain import plain

pytestmark = [pytest.mark.qemu, pytest.mark.steady]

ROOT = Path(__file__).parents[2]
LAB = """
guests: qemu
nodes: 4
networks: {default/blue-network: {}}
links:
  - {between: [worker2, worker4], latency: 20ms}
"""


def test_a_mesh_of_four_nodes_shows_exactly_the_slow_link(tmp_path):
    (tmp_path / "lab.yaml").write_text(LAB, encoding="utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest_kvlatency", "-p", "no:cacheprovider", "--kv-lab=lab.yaml"),
            *("--kv-nad", "default/blue-network", "--kv-nodes", "mesh", "--kv-sample-duration", "1s"),
            *("--kv-json", "out.json"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), **plain()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    document = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    found = {
        one["nodeid"].partition("-network-")[2].rstrip("]"): one["minLatencyNanoSec"]
        for one in document["measurements"]
    }
    assert len(found) == 6
    slow = {pair: lowest for pair, lowest in found.items() if lowest >= 40_000_000}
    assert set(slow) == {"worker2:worker4"}, found
