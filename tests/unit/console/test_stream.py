"""A ping beside other commands, in real shells: when its replies come, how it ends, and what the reader costs it."""

import sys
import time
from pathlib import Path

import pytest
from consolefakes import until

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.guest.stream import Stream
from pytest_kvlatency.model import PingParameters
from pytest_kvlatency.ping.command import Dialect
from pytest_kvlatency.ping.gaps import long_gaps

ADDRESS = "198.18.0.8"
# Answers itself every 10 ms, and is quiet before request 20 until the file ``GO`` is there. It prints nothing in its
# handler of signals: that would stand within what it is printing, or be counted before a reply that is printed already.
PING = f"""#!{sys.executable}
import os, signal, sys, time
sent, is_interrupted = 0, False
def interrupt(*_):
    global is_interrupted
    is_interrupted = True
signal.signal(signal.SIGINT, interrupt)
print("PING {ADDRESS} ({ADDRESS}): 56 data bytes", flush=True)
count = int(sys.argv[sys.argv.index("-c") + 1])
while sent < count and not is_interrupted:
    time.sleep(0.01)
    while sent == 20 and not os.path.exists(os.environ["GO"]):
        time.sleep(0.01)
    print(f"64 bytes from {ADDRESS}: seq={{sent}} ttl=64 time=0.500 ms", flush=True)
    sent += 1
print(f"\\n--- {ADDRESS} ping statistics ---\\n{{sent}} packets transmitted, {{sent}} packets received, 0% packet loss\\n"
      "round-trip min/avg/max = 0.500/0.500/0.500 ms", flush=True)
"""
PARAMETERS = PingParameters(interval_ns=10_000_000)


@pytest.fixture(params=["dash -i", "bash --norc --noprofile -i"])
def shell(request, make_guest, make_shell, tmp_path):
    """The shell of a guest whose ping is quiet once if ``go`` is not there."""
    program, go = tmp_path / "ping", tmp_path / "go"
    program.write_text(PING)
    program.chmod(0o755)
    go.touch()
    guest = make_guest(
        request.param, env={"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin", "GO": str(go)}
    )
    made = make_shell(guest.connect, become_root="")
    made.login(Deadline(60))
    made.guest, made.go = guest, go
    return made


def start(shell, seconds=60):
    return Stream.start(shell, ADDRESS, PARAMETERS, Dialect.BUSYBOX, Deadline(60), longest_seconds=seconds)


def test_a_stream_says_when_each_reply_came_and_ends_when_it_is_told_to(shell):
    shell.go.unlink()
    began = time.monotonic_ns()
    stream = start(shell)
    until(lambda: stream.replies(Deadline(60)) == 20)
    quiet = time.monotonic_ns()
    until(lambda: time.monotonic_ns() - quiet > 300_000_000)
    shell.go.touch()
    least = time.monotonic_ns() - quiet
    until(lambda: stream.replies(Deadline(60)) > 40)
    most = time.monotonic_ns() - began
    result = stream.stop(Deadline(60))
    assert result.transmitted == result.received == len(result.replied_at_ns) > 40
    # A busy machine makes gaps of its own elsewhere; /proc/uptime counts hundredths of a second.
    gaps = {one.begins_ns: one for one in long_gaps(result, PARAMETERS.interval_ns)}
    gap = gaps[result.replied_at_ns[19]]
    assert (gap.lost, least - 20_000_000 < gap.length_ns < most + 20_000_000) == (0, True)
    # Told once more, it says the same.
    assert stream.stop(Deadline(60)).samples_ns == result.samples_ns


def read_and_removed(stream):
    stream.stop(Deadline(60))
    stream.remove()


@pytest.mark.parametrize("end", [read_and_removed, Stream.discard], ids=["read", "discarded"])
def test_a_stream_that_is_over_leaves_neither_process_nor_file_in_the_guest(shell, end):
    processes = shell.guest.processes()
    assert processes
    stream = start(shell)
    directory = Path(stream._running.directory)
    assert directory.exists()
    until(lambda: stream.replies(Deadline(60)) > 10)
    end(stream)
    assert not directory.exists()
    until(lambda: shell.guest.processes() == processes)


def test_a_stream_s_time_and_the_host_s_meet(shell):
    before = time.monotonic_ns()
    stream = start(shell)
    readings = [stream.clock(Deadline(60)) for _ in range(2)]
    after = time.monotonic_ns()
    for reading in readings:
        assert reading.error_ns < 2_000_000_000
        assert reading.at(before) <= reading.error_ns
        assert reading.at(after) + reading.error_ns > 0
    difference = readings[0].at(after) - readings[1].at(after)
    assert abs(difference) <= readings[0].error_ns + readings[1].error_ns


def test_a_stream_ends_by_itself_after_its_longest_time(shell):
    stream = start(shell, seconds=0.5)
    until(lambda: stream.has_ended(Deadline(60)))
    assert stream.stop(Deadline(60)).transmitted == 50


def test_a_lost_console_costs_a_stream_nothing(shell):
    stream = start(shell)
    shell.guest.connection.is_open = False
    until(lambda: stream.replies(Deadline(60)) > 30)
    result = stream.stop(Deadline(60))
    assert result.received == len(result.replied_at_ns) == result.transmitted
