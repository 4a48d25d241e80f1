"""Background jobs as a test writes them, from end to end."""

from __future__ import annotations

LAB = """
guests: sim
nodes: [worker1, worker2]
seed: 5
time_scale: 20
boot: 100ms
networks:
  default/blue: {}
"""
JOBS = r"""
import time

def test_it(kv_pair, kv_ping):
    source, target = kv_pair.source, kv_pair.target
    shell = source.run("echo $$", check=True).output

    # A job that ends while nothing runs: the shell that started it lives.
    source.run("sleep 0.2 &")
    source.run("(sleep 0.2; echo done) &")
    until = time.monotonic() + 60
    while "done" not in transcript(source, "done"):
        assert time.monotonic() < until
    assert source.run("echo $$", timeout=20).output == shell

    # One that prints all the time: no command's output, nor the measurement's, is mixed with it.
    source.run("while :; do echo noise; sleep 0.05; done &")
    source.run("nohup sh -c 'sleep 0.1; echo logged' >/tmp/log 2>&1 &")
    assert source.run("for i in 1 2 3; do echo $i; sleep 0.1; done").output == "1\n2\n3"
    assert kv_ping().received == 10
    assert "noise" in transcript(source, "noise")
    assert "Running" in source.run("jobs").output
    source.run("kill %1 $!; wait")
    assert source.run("echo $$").output == shell


def transcript(guest, text):
    guest.console.expect(text, timeout=60)
    return guest.console.after
"""


def test_background_jobs_live_print_and_end_without_a_trace_in_other_output(check, pytester, leftovers):
    pytester.makepyfile(JOBS)
    run = check("blue", args=("--kv-nodes", "worker1:worker2"))
    run.result.assert_outcomes(passed=1)
    assert leftovers() == []
