"""A checkup as its user starts it: a process of its own, with its output as it comes and signals on the way."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import forking
from plain import plain

TIMEOUT = 120
#: What a checkup must not find by accident.
FOREIGN = ("KUBECONFIG", "PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST", "POD_UID", "POD_NAME", "HOSTNAME")


class Checkup:
    """A running checkup in ``directory``."""

    def __init__(
        self, directory, arguments, *, module="pytest", environment=None, before=(), where=None, fork=True
    ):
        """``before`` starts the command line; ``where`` is a file for the output of a session's leader, else a pipe.

        ``fork`` permits it to be forked from a process that has loaded what it needs.
        """
        self.directory = Path(directory)
        inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        (self.directory / "home").mkdir(exist_ok=True)
        (self.directory / "tmp").mkdir(exist_ok=True)
        own = {"HOME": str(self.directory / "home"), "TMPDIR": str(self.directory / "tmp")}
        own["PYTHONPATH"] = str(Path(__file__).parent)
        command = [sys.executable, "-m", module, "-p", "no:cacheprovider", "-p", "talkative"]
        whole = {**inherited, **plain(arguments=arguments), **own, **(environment or {})}
        terminal = {} if where is None else {"stdout": where, "start_new_session": True}
        start = forking.started if fork else forking.executed
        self._process = start([*before, *command, *arguments], cwd=self.directory, env=whole, **terminal)
        self._changed = threading.Condition()
        self.output = ""
        self._ended = where is not None
        self._reader = threading.Thread(target=self._read, daemon=True)
        if where is None:
            self._reader.start()

    def _read(self):
        with self._process.stdout as lines:
            for line in lines:
                with self._changed:
                    self.output += line
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def until(self, pattern):
        """Wait until the output matches."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or re.search(pattern, self.output), TIMEOUT)
            assert re.search(pattern, self.output), f"{pattern!r} never came:\n{self.output}"

    def send(self, number):
        self._process.send_signal(number)

    def end(self):
        """Wait for the end; the exit status."""
        try:
            status = self._process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)
            raise AssertionError(f"the checkup hangs:\n{self.output}") from None
        self._join()
        return status

    def kill(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._join()

    def _join(self):
        if self._reader.ident is not None:
            self._reader.join(TIMEOUT)

    @property
    def has_ended(self):
        return self._process.poll() is not None

    @property
    def pid(self):
        return self._process.pid

    @property
    def document(self):
        return json.loads((self.directory / "out.json").read_text())

    @property
    def labs_left(self):
        """Directories that labs of its own left behind."""
        return sorted((self.directory / "tmp").glob("kvlatency-lab-*"))

    def processes_left(self):
        """Command lines of processes that still speak of the checkup's own directory, itself left out."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(self.directory / "tmp") in words:
                    found.append(words)
        return found
