"""How a test run starts a lab: as a process of its own, which ends with it, whatever ends it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

_FILE_SUFFIXES: Final = (".yaml", ".yml")
_READY: Final = "kubeconfig: "
#: The lab stops its guests and listeners within 3 s.
_STOP_SECONDS: Final = 5.0
_KEPT_LINES: Final = 200
_SLICE_SECONDS: Final = 0.1


class LabStartError(Exception):
    """The lab did not start; the text holds its last output."""


class LabProcess:
    """A running lab. ``info`` is its ``lab.json``: guests, description, reason_not_qemu, server, kubeconfig, pid."""

    def __init__(self, process: subprocess.Popen[str], directory: Path) -> None:
        self._process = process
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True, name="lab")
        self.directory = directory
        self.kubeconfig = directory / "kubeconfig"
        self.info: dict[str, Any] = {}

    @classmethod
    def start(
        cls,
        spec_arg: str,
        directory: Path,
        timeout_seconds: float,
        *,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> LabProcess:
        """Start the lab ``spec_arg`` (as for ``--kv-lab=``) in ``directory`` and wait until it can be used.

        ``should_stop`` is asked now and then: once it says so, the start is given up. Raises ``LabStartError``
        then, and when the lab ends before, or is not ready in time; no process is left.
        """
        directory = Path(directory).absolute()
        directory.mkdir(parents=True, exist_ok=True)
        if Path(spec_arg).suffix in _FILE_SUFFIXES:
            spec_arg = str(Path(spec_arg).absolute())
        command = [sys.executable, "-m", "pytest_kvlatency.lab", "up", spec_arg]
        command += ["--dir", str(directory), "--die-with-parent"]
        package_root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH", "")]))
        process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            # Python looks for modules in the working directory first: not in the user's.
            cwd=directory,
            env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
        )
        lab = cls(process, directory)
        try:
            lab._reader.start()
            lab._wait_ready(timeout_seconds, should_stop)
        except BaseException:
            lab.stop()
            raise
        return lab

    @property
    def output(self) -> str:
        """The last lines that the lab printed."""
        return "\n".join(self._lines)

    @property
    def running(self) -> bool:
        """Whether the process still lives."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the lab and every guest of it. May be called twice."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self.running:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        # The group may outlive its leader; it is the lab's own, so nothing else is hit.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._reader.is_alive():
            self._reader.join(_STOP_SECONDS)
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()

    def _wait_ready(self, timeout_seconds: float, should_stop: Callable[[], bool]) -> None:
        until = time.monotonic() + timeout_seconds
        while not self._ready.wait(min(_SLICE_SECONDS, max(0.0, until - time.monotonic()))):
            if should_stop():
                raise LabStartError("the start of the lab was cancelled")
            if time.monotonic() < until:
                continue
            raise LabStartError(
                f"the lab was not ready after {timeout_seconds:g} s; its output:\n{self.output}"
            )
        try:
            self.info = json.loads((self.directory / "lab.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            self._process.wait(_STOP_SECONDS)
            raise LabStartError(f"the lab did not start: {self.output.strip() or error}") from error
        if self.info.get("pid") != self._process.pid:
            raise LabStartError(f"the lab did not start: {self.output.strip()}")

    def _read(self, stream: IO[str]) -> None:
        """Keep the output; the line with the kubeconfig, or the end, is what the start waits for."""
        for line in stream:
            self._lines.append(line.rstrip("\n"))
            if line.startswith(_READY):
                self._ready.set()
        self._ready.set()
