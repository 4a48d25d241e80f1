"""How a checkup is started: what it is given, and what must be known of it. No more than that."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What a pod of the checkup's Job would be given. ``token`` and ``namespace`` are its ServiceAccount's.

    ``environment`` holds the variables of the Job and the pod's ``HOSTNAME``; ``arguments`` are the container's.
    """

    environment: Mapping[str, str]
    arguments: Sequence[str]
    token: str
    namespace: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How it ended, and what it printed: standard output and error as one, as in the log of a pod."""

    exit_status: int
    log: str


class Run(Protocol):
    """A checkup that was started."""

    def terminate(self) -> None:
        """Send SIGTERM, as the kubelet does."""

    def has_ended(self) -> bool:
        """Whether it has."""

    def wait(self) -> Ended:
        """Wait for the end."""


Runner = Callable[[Launch], Run]


class ProcessRun:
    """A checkup that is a process: its own command, or one that runs a container."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        start: Callable[..., subprocess.Popen[str]],
    ) -> None:
        """``start`` takes the command, ``cwd``, ``env``, and ``stdout``, a file for output and errors."""
        # Into a file: nobody reads while it runs, and a pipe that is full would stop it.
        self._log = directory / f"log-{time.monotonic_ns()}"
        with self._log.open("wb") as log:
            self._process = start(list(command), cwd=directory, env=dict(environment), stdout=log)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    def has_ended(self) -> bool:
        """Whether the process is over."""
        return self._process.poll() is not None

    def wait(self) -> Ended:
        """Wait for the end; a process that hangs is killed, and its log told."""
        try:
            status = self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(30)
            self._process.kill()
            raise AssertionError(f"the checkup hangs:\n{self._read()}") from None
        return Ended(exit_status=status, log=self._read())

    def _read(self) -> str:
        return self._log.read_bytes().decode("utf-8", "replace")
