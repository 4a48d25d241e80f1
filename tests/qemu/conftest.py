from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from plain import plain

from pytest_kvlatency.lab.guests.qemu.setup import usable

REQUIRE = "KVLATENCY_REQUIRE_QEMU"
ROOT = Path(__file__).parents[2]


def pytest_runtest_setup(item):
    if item.get_closest_marker("qemu") is None:
        return
    trouble = usable()
    if trouble is None:
        return
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{REQUIRE}=1, but {trouble}", pytrace=False)
    pytest.skip(trouble)


@pytest.fixture
def measured(tmp_path):
    """Run the plugin's own check in a lab as the text of its file says; the measurements, once all have passed."""

    def run(lab, *arguments):
        (tmp_path / "lab.yaml").write_text(lab, encoding="utf-8")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest_kvlatency", "-p", "no:cacheprovider", "--kv-lab=lab.yaml"),
                *("--kv-nad", "default/blue-network", "--kv-json", "out.json", *arguments),
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
        return json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["measurements"]

    return run
