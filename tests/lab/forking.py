"""Starts checkups and labs by forking processes that have loaded what these need: half of what a short checkup costs.

What comes of it is a process like any other: its directory, environment, arguments, descriptors, signals and end are
its own; so are the workers that it starts. Tests of how a checkup or a lab starts, or of how its interpreter ends, and
what needs another interpreter, start one with ``subprocess``.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import forks
from hangups import told_when_hung_up
from plain import plain

from pytest_kvlatency.lab import process

MODULES = ("pytest", "pytest_kvlatency")
LAB_SECONDS = 60
SERVER = Path(__file__).with_name("loaded.py")


class Forked(forks.Fork):
    """A process, as ``subprocess.Popen`` gives one."""

    def __init__(
        self,
        command,
        *,
        cwd,
        env,
        stdout=None,
        start_new_session=False,
        run_directory=None,
        with_input=False,
        server="checkups",
    ):
        """``command`` runs a module, or a script. ``stdout`` is a file for its output, else a stream to read from.

        ``run_directory`` is what it finds at ``/run``, in place of what is there, as the first process of a container.
        ``with_input`` gives it a pipe for its input, else it finds nothing there.
        """
        reading = None
        if stdout is None:
            reading, writing = os.pipe()
        else:
            writing = os.dup(stdout.fileno())
        self.stdin = None
        if with_input:
            given, giving = os.pipe()
            self.stdin = open(giving, "wb", buffering=0)  # noqa: PTH123, SIM115
        else:
            given = os.open(os.devnull, os.O_RDONLY)
        request = {"command": list(map(str, command)), "cwd": str(cwd), "env": dict(env)}
        request |= {"new session": start_new_session, "/run": run_directory and str(run_directory)}
        try:
            super().__init__(_server(server), request, (given, writing, writing))
        finally:
            os.close(given)
            os.close(writing)
        self.stdout = None if reading is None else open(reading, encoding="utf-8")  # noqa: PTH123, SIM115


def started(command, *, cwd, env, stdout=None, **more):
    """Start a command: by a fork where that is possible, else with ``subprocess``. Errors go to the output, too."""
    command = [*map(str, command)]
    is_checkup = command[:2] == [sys.executable, "-m"] and command[2] in MODULES
    is_possible = more.keys() <= {"start_new_session"} and not _fixed(env)
    if is_checkup and is_possible:
        return Forked(command, cwd=cwd, env=env, stdout=stdout, **more)
    return executed(command, cwd=cwd, env=env, stdout=stdout, **more)


def lab(spec, directory):
    """Start a lab as ``LabProcess.start`` does."""

    def forked(command, *, cwd, env, start_new_session, **streams):
        assert streams["stdin"] == streams["stdout"] == subprocess.PIPE, streams
        return Forked(
            command, cwd=cwd, env=env, start_new_session=start_new_session, with_input=True, server="labs"
        )

    starting = SimpleNamespace(**{name: getattr(subprocess, name) for name in subprocess.__all__})
    starting.Popen = forked
    with mock.patch.object(process, "subprocess", starting):
        return process.LabProcess.start(str(spec), directory, LAB_SECONDS)


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
    checkup = started(command, **more)
    late = threading.Timer(timeout, checkup.kill)
    late.start()
    with checkup.stdout as output:
        text = output.read()
    status = checkup.wait()
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
def _server(loaded):
    """Start the process that forks ``checkups`` or ``labs``; it ends when this one does."""
    ours, theirs = forks.pair()
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with told_when_hung_up():
        server = subprocess.Popen(
            [sys.executable, SERVER, str(theirs.fileno()), loaded],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**own, **plain("xdist")},
        )
    theirs.close()
    atexit.register(_end, server, ours)
    return ours


def _end(server, requests):
    requests.close()
    server.wait()
