"""A ping beside other commands, in real shells: when its replies come, how it ends, and what the reader costs it."""

import sys
import time
from pathlib import Path

import pytest
from consolefakes import until

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.guest.stream import Stream
from pytest_kvlatency.model import PingParameters
from pytest_kvlatency.ping import Dialect
from pytest_kvlatency.ping.gaps import gaps_of

ADDRESS = "198.18.0.8"
# Answers itself every 10 ms, and is quiet for ``PAUSE`` seconds before request 20.
PING = f"""#!{sys.executable} -u
import os, signal, sys, time
sent = 0
def end(*_):
    print(f"\\n--- {ADDRESS} ping statistics ---\\n{{sent}} packets transmitted, {{sent}} packets received, 0% packet loss\\n"
          "round-trip min/avg/max = 0.500/0.500/0.500 ms", flush=True)
    os._exit(0)
signal.signal(signal.SIGINT, end)
print("PING {ADDRESS} ({ADDRESS}): 56 data bytes", flush=True)
count = int(sys.argv[sys.argv.index("-c") + 1])
while sent < count:
    time.sleep(float(os.environ["PAUSE"]) if sent == 20 else 0.01)
    print(f"64 bytes from {ADDRESS}: seq={{sent}} ttl=64 time=0.500 ms", flush=True)
    sent += 1
end()
"""
PARAMETERS = PingParameters(interval_ns=10_000_000)


@pytest.fixture(params=["dash -i", "bash --norc --noprofile -i"])
def shell(request, make_guest, make_shell, tmp_path):
    """The shell of a guest whose ping is quiet once for as long as ``PAUSE`` says."""
    program = tmp_path / "ping"
    program.write_text(PING)
    program.chmod(0o755)
    guest = make_guest(
        request.param, env={"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin", "PAUSE": "0.3"}
    )
    made = make_shell(guest.connect, become_root="")
    made.login(Deadline(60))
    made.guest = guest
    return made


def start(shell, seconds=60):
    return Stream.start(shell, ADDRESS, PARAMETERS, Dialect.BUSYBOX, Deadline(60), longest_seconds=seconds)


def test_a_stream_says_when_each_reply_came_and_ends_when_it_is_told_to(shell):
    stream = start(shell)
    until(lambda: stream.replies(Deadline(60)) > 40)
    result = stream.stop(Deadline(60))
    assert result.transmitted == result.received == len(result.replied_at_ns) > 40
    gap = gaps_of(result, PARAMETERS.interval_ns).longest
    assert (gap.lost, 280_000_000 < gap.length_ns < 1_500_000_000) == (0, True)
    assert gap.begins_ns == result.replied_at_ns[19]
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
