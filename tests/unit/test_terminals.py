"""The terminal that tests run commands on: how it is closed."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import terminal
from begun import until_gone
from terminal import Terminal

# Not by a handler: a signal that comes while something is printed would have that print within the other.
ORDERLY = """
import pathlib, signal

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("ready", flush=True)
signal.sigwait({signal.SIGTERM})
# More than a terminal holds while its reader is away.
print("ending " * 20_000, flush=True)
pathlib.Path("ended").touch()
"""
STUBBORN = """
import os, signal

for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
child = os.fork()
if child:
    print("ready", os.getpid(), child, flush=True)
while True:
    signal.pause()
"""


def test_a_command_that_is_under_way_ends_in_its_own_way(tmp_path):
    with Terminal([sys.executable, "-c", ORDERLY], directory=tmp_path) as shown:
        shown.sees("^ready$")
    assert (tmp_path / "ended").exists(), shown


def test_nothing_is_left_of_a_command_that_ignores_signals(monkeypatch):
    monkeypatch.setattr(terminal, "ENDING_SECONDS", 0.2)
    with Terminal([sys.executable, "-c", STUBBORN]) as shown:
        (line,) = shown.sees(r"^ready \d+ \d+$")
    for pid in re.findall(r"\d+", line):
        until_gone(pid)


def test_what_a_test_has_found_is_not_hidden_by_a_command_that_cannot_be_ended():
    class Unending(Terminal):
        def close(self):
            super().close()
            raise subprocess.TimeoutExpired("a command", 0)

    with pytest.raises(AssertionError, match="never came"), Unending(["echo", "something"]) as shown:
        shown.sees("anything else")
    with pytest.raises(subprocess.TimeoutExpired), Unending(["true"]):
        pass
