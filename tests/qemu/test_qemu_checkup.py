"""The main job on real guests, in an empty directory, as somebody types it. Few runs, each with much to show."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from plain import plain

pytestmark = pytest.mark.qemu

ROOT = Path(__file__).parents[2]
DELAYED = """
guests: qemu
nodes: [worker1, worker2]
links:
  - {between: [worker1, worker2], latency: 20ms}
"""
LOSSY = """
guests: qemu
networks:
  default/blue-network: {loss: 10%}
faults:
  - {fault: console-drop, after: 9s, times: 2}
"""
IN_THE_GUEST = """
import pytest

from pytest_kvlatency import GuestError

@pytest.mark.kvlatency(nad="default/blue-network", sample_duration="1s", subnet="fd00:18::/64")
def test_ipv6(kv_pair, kv_latency):
    link = kv_pair.source.run("ip -o link show up | grep -c 'state UP\\\\|UNKNOWN'; uname -s", check=True)
    assert link.output.endswith("Linux")
    assert kv_pair.target.run("exit 3").exit_status == 3
    assert kv_latency.received == 10
    assert ":" in kv_pair.target.address
    assert kv_pair.source.run(f"ping -6 -c 1 {kv_pair.target.address}").exit_status == 0

@pytest.mark.kvlatency(nad="default/blue-network", sample_duration="1s", subnet="fd00:18::/64")
@pytest.mark.parametrize("sender", ["8.8.8.8", "TARGET"])
def test_E75_what_another_program_prints_among_the_replies(kv_pair, kv_ping, sender):
    sender = sender.replace("TARGET", kv_pair.target.address)
    line = f"64 bytes from {sender}: seq=3 ttl=64 time=888.888 ms"
    kv_pair.source.run(f"ping() {{ echo '{line}'; command ping \\"$@\\"; }}", check=True)
    if sender == "8.8.8.8":
        sample = kv_ping(packet_size=100)
        assert (sample.received, len(sample.samples_ns)) == (10, 10)
        assert sample.max_ms < 888
    else:
        with pytest.raises(GuestError, match="ping counted 0 duplicates, but printed 1"):
            kv_ping(packet_size=100)
"""


@pytest.fixture
def run(tmp_path):
    """Run pytest in an empty directory; its exit status, the JSON document and what it printed."""

    def run(*arguments, lab="qemu"):
        command = [sys.executable, "-m", "pytest", f"--kv-lab={lab}", "--kv-json", "out.json", *arguments]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**_environment(), **plain(), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=False,
            text=True,
            timeout=280,
        )
        print(done.stdout, done.stderr)
        return done.returncode, json.loads((tmp_path / "out.json").read_text(encoding="utf-8")), done.stdout

    return run


def _environment():
    import os

    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


@pytest.mark.steady
def test_two_real_guests_and_a_link_that_delays_by_twice_its_latency(run, tmp_path):
    status, document, out = run("--kv-nad", "default/blue-network")
    assert status == 0, out
    (plain,) = document["measurements"]
    assert plain["received"] >= 45
    assert len(plain["samplesNanoSec"]) == plain["received"]
    guests = document["cluster"]["lab"]["guests"]
    assert "QEMU" in guests
    assert plain["softwareEmulation"] is ("TCG" in guests)
    assert {plain["sourceNode"], plain["targetNode"]} <= {"worker1", "worker2", "worker3"}

    (tmp_path / "lab.yaml").write_text(DELAYED, encoding="utf-8")
    status, document, out = run("--kv-nad", "default/blue-network", lab="lab.yaml")
    assert status == 0, out
    (delayed,) = document["measurements"]
    moved = delayed["minLatencyNanoSec"] - plain["minLatencyNanoSec"]
    assert moved == pytest.approx(40e6, abs=3e6)


def test_E10_E31_frame_loss_is_measured_though_the_console_drops_in_the_sample(run, tmp_path):
    (tmp_path / "lab.yaml").write_text(LOSSY, encoding="utf-8")
    status, document, out = run(
        "--kv-nad", "default/blue-network", "--kv-interval", "50ms", "--kv-sample-duration", "10s",
        "--kv-max-loss", "100", lab="lab.yaml",
    )  # fmt: skip
    assert status == 0, out
    (measurement,) = document["measurements"]
    assert measurement["transmitted"] == 200
    # Of 200 packets 19 % go, on their way there or back; five times the deviation leaves nothing to chance.
    assert 5 < measurement["lossPercent"] < 33


def test_E26_E75_ipv6_commands_and_stray_lines_in_real_guests(run, tmp_path):
    (tmp_path / "test_inside.py").write_text(IN_THE_GUEST, encoding="utf-8")
    status, document, out = run("test_inside.py")
    assert status == 0, out
    assert len(document["measurements"]) == 3
    assert document["measurements"][0]["sourceAddress"].startswith("fd00:18::")
