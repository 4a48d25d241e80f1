"""Starts checkups by forking a process that has loaded Python, pytest and the plugin: half of what a short one costs.

What comes of it is a process like any other: its directory, environment, arguments, descriptors, signals and end are
its own. Tests of how a checkup starts, and what needs another interpreter, start one with ``subprocess``.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

from hangups import told_when_hung_up
from plain import plain

MODULES = ("pytest", "pytest_kvlatency")
SERVER = Path(__file__).with_name("loaded.py")


class Forked:
    """A process, as ``subprocess.Popen`` gives one."""

    def __init__(self, command, *, cwd, env, stdout=None, start_new_session=False):
        """``stdout`` is a file for its output; without one it is a stream to read from."""
        reading = None
        if stdout is None:
            reading, writing = os.pipe()
        else:
            writing = os.dup(stdout.fileno())
        nothing = os.open(os.devnull, os.O_RDONLY)
        news, theirs = socket.socketpair()
        request = {"command": list(map(str, command)), "cwd": str(cwd), "env": dict(env)}
        request["new session"] = start_new_session
        try:
            socket.send_fds(_server(), [json.dumps(request).encode()], [theirs.fileno(), nothing, writing])
        finally:
            theirs.close()
            os.close(nothing)
            os.close(writing)
        self.stdout = None if reading is None else open(reading, encoding="utf-8")  # noqa: PTH123, SIM115
        self._news = news.makefile("r")
        news.close()
        self.pid = int(self._news.readline())
        self.returncode = None
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        with self._news:
            # Nothing is said where the guardian was killed, which is not the process's own doing.
            self.returncode = int(self._news.readline() or -signal.SIGKILL)
        self._ended.set()

    def poll(self):
        return self.returncode if self._ended.is_set() else None

    def wait(self, timeout=None):
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired("a checkup", timeout)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def started(command, *, cwd, env, stdout=None, **more):
    """Start a command: by a fork where that is possible, else with ``subprocess``. Errors go to the output, too."""
    command = [*map(str, command)]
    is_checkup = command[:2] == [sys.executable, "-m"] and command[2] in MODULES
    is_possible = more.keys() <= {"start_new_session"} and not _fixed(env)
    if is_checkup and is_possible:
        return Forked(command, cwd=cwd, env=env, stdout=stdout, **more)
    return executed(command, cwd=cwd, env=env, stdout=stdout, **more)


def executed(command, *, cwd, env, stdout=None, **more):
    """Start a command with ``subprocess``, and else alike."""
    with told_when_hung_up():
        return subprocess.Popen(
            [*map(str, command)],
            cwd=cwd,
            env=env,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            **more,
        )


def run(command, *, timeout, **more):
    """Start a command as ``started`` does, and wait for its end; return it as ``subprocess.run`` does."""
    process = started(command, **more)
    late = threading.Timer(timeout, process.kill)
    late.start()
    with process.stdout as output:
        text = output.read()
    status = process.wait()
    assert late.is_alive(), f"not over after {timeout} s:\n{text}"
    late.cancel()
    return subprocess.CompletedProcess(command, status, text)


def _fixed(env):
    """The variables that Python reads when it starts, if they are others than here."""
    return [
        name
        for name, value in env.items()
        if name.startswith(("PYTHON", "LC_", "LANG"))
        and name not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
        and value != os.environ.get(name)
    ]


@cache
def _server():
    """Start the process that forks; it ends when this one does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with told_when_hung_up():
        process = subprocess.Popen(
            [sys.executable, SERVER, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**own, **plain()},
        )
    theirs.close()
    atexit.register(_end, process, ours)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    return ours


def _end(process, requests):
    requests.close()
    process.wait()
