"""Background jobs in real guests: BusyBox's shell, a serial line, and the commands that the docs show."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from plain import plain

pytestmark = pytest.mark.qemu

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guest-commands.md"
LAB = """
guests: qemu
nodes: [worker1, worker2]
"""
JOBS = r"""
import pytest

@pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")
def test_jobs(kv_pair, kv_ping, kv_stream):
    source = kv_pair.source
    shell = source.run("echo $$", check=True).output

    # A job that ends while nothing runs.
    source.run("(sleep 1; echo done) &")
    source.console.expect("done", timeout=60)
    assert source.run("echo $$", timeout=20).output == shell

    # Some that print all the time, beside commands and a measurement.
    source.run("while :; do echo noise; sleep 0.1; done &")
    source.run("nohup sh -c 'sleep 1; echo logged' >/tmp/log 2>&1 & job=$!")
    for _ in range(3):
        assert source.run("for i in 1 2 3; do echo $i; sleep 0.1; done").output == "1\n2\n3"
    assert kv_ping(sample_duration="1s").received == 10
    assert "Running" in source.run("jobs").output
    source.console.expect("noise", timeout=60)
    assert source.run("kill %1; wait $job; cat /tmp/log").output.endswith("logged")
    assert source.run("jobs").output == ""
    assert source.run("echo $$").output == shell

    # A ping that is stamped line by line, beside them.
    down = "i=$(ls /sys/class/net | grep -v lo | head -n 1); ip link set $i down; sleep 1; ip link set $i up"
    with kv_stream(interval="10ms") as stream:
        kv_pair.target.run(down, check=True)
        before = stream.replies()
        while stream.replies() < before + 10:
            pass
    # A reply that the guest gets late, for want of processor time, makes a gap seem shorter.
    assert 500 < stream.longest_gap_ms < 20_000
    assert stream.lost > 5
    assert len(stream.samples_ns) == stream.received > 10

    # What a job holds when its shell ends.
    source.run("sleep 600 &")
    last = source.run("seq 500; exit 3")
    assert (last.output.split()[-1], last.exit_status) == ("500", 3)
    assert source.run("echo back").output == "back"
"""


def test_background_jobs_and_the_servers_of_the_docs_work_in_real_guests(tmp_path):
    (shown,) = re.findall(
        r"<!-- checked: qemu -->\n```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    (tmp_path / "test_shown.py").write_text(shown, encoding="utf-8")
    (tmp_path / "test_jobs.py").write_text(JOBS, encoding="utf-8")
    (tmp_path / "lab.yaml").write_text(LAB, encoding="utf-8")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--kv-lab=lab.yaml", "--kv-nodes", "worker1:worker2"),
            *("--kv-sample-duration", "1s"),
        ],
        cwd=tmp_path,
        env={**inherited, **plain(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
