"""Checkups as their users start them: where each works, when it is stopped, and all that is known of its end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from running import Checkup

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Sequence

HERE = Path(__file__).resolve().parent
CHECKUPS = HERE.parent / "lab" / "checkup"
PLUGINS = ("kvlatency", "metadata", "html", "talkative")
#: A run takes some seconds, and more on a busy machine: what lasts so long hangs.
HANGING_SECONDS = 110.0
#: The user's own test: its body works in a guest before the limits decide.
OWN_TEST = """
def test_it(kv_pair, kv_latency):
    print("the body runs", flush=True)
    kv_pair.source.run("sleep 10", timeout=120)
"""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of a run: it begins when the output matches, and takes about so many seconds."""

    name: str
    begins: str
    seconds: float


PHASES = (
    Phase(name="start", begins="", seconds=1.2),
    Phase(name="set-up", begins="waiting for the cluster", seconds=0.4),
    Phase(name="boot", begins=" booting", seconds=0.6),
    Phase(name="ping", begins=" pinging|the body runs", seconds=1.0),
    Phase(name="clean-up", begins="waiting until the VMIs are gone", seconds=1.2),
    Phase(name="report", begins="waiting until the VMIs are gone", seconds=0.4),
)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A signal, and when it was sent: the time of the day in seconds."""

    number: signal.Signals
    at: float


@dataclass(kw_only=True)
class Done:
    """A run that is over. ``status`` is None when it hung and was killed."""

    status: int | None
    output: str
    document: dict[str, Any] | None
    sent: list[Sent] = field(default_factory=list)

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Its measurements."""
        found: list[dict[str, Any]] = (self.document or {}).get("measurements", [])
        return found


class Place:
    """The directory in which one case of the soak runs its checkups; ``plugins`` are loaded by each."""

    def __init__(self, directory: Path, plugins: Sequence[str] = ()) -> None:
        self.directory = directory
        self._plugins = tuple(plugins)
        directory.mkdir(parents=True, exist_ok=True)

    def start(self, word: str, arguments: Sequence[object], *, own_test: bool = False) -> Run:
        """Start a checkup in a directory of its own: the plugin's own check, or a user's test."""
        directory = self.directory / word
        directory.mkdir()
        module = "pytest_kvlatency"
        if own_test:
            (directory / "test_own.py").write_text(OWN_TEST, encoding="utf-8")
            module, arguments = "pytest", ["-s", *arguments]
        plugins = [word for name in (*PLUGINS, *self._plugins) for word in ("-p", name)]
        # A checkup works in another directory.
        given = [
            str(Path(one).absolute())
            for one in filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
        ]
        environment = {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": os.pathsep.join([str(CHECKUPS), *given]),
        }
        reports = ["--kv-json", "out.json", "--junitxml", "junit.xml", "--html", "report.html"]
        command = [*plugins, *reports, *arguments]
        watched = Watched(directory, command, module=module, environment=environment, fork=False)
        return Run(watched, directory)


class Watched(Checkup):
    """A checkup of which one can ask whether it is over."""

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None


class Run:
    """A checkup on its way."""

    def __init__(self, checkup: Watched, directory: Path) -> None:
        self._checkup = checkup
        self._directory = directory
        self._sent: list[Sent] = []
        self._ended = threading.Event()

    @property
    def is_over(self) -> bool:
        return self._ended.is_set()

    def send(self, number: signal.Signals) -> None:
        self._sent.append(Sent(number=number, at=time.time()))
        self._checkup.send(number)

    def stop_in(self, phase: Phase, share: float, numbers: Sequence[signal.Signals], pause: float) -> bool:
        """Send the signals, with a pause between them, at that share of the phase; say whether it came to it."""
        self._await(phase.begins)
        if self._waited(phase.seconds * share):
            return False
        for count, number in enumerate(numbers):
            if count and self._waited(pause):
                break
            self.send(number)
        return True

    def _await(self, pattern: str) -> None:
        until = time.monotonic() + HANGING_SECONDS
        while time.monotonic() < until and self._checkup.is_running:
            if re.search(pattern, self._checkup.output):
                return
            time.sleep(0.01)

    def _waited(self, seconds: float) -> bool:
        """Wait so long; say whether the run is over."""
        until = time.monotonic() + seconds
        while self._checkup.is_running and time.monotonic() < until:
            time.sleep(min(0.005, max(0.0, until - time.monotonic())))
        return not self._checkup.is_running

    def end(self) -> Done:
        """Wait for its end; one that hangs is killed."""
        try:
            status: int | None = self._checkup.end()
        except AssertionError:
            status = None
            self._checkup.kill()
        self._ended.set()
        output = self._checkup.output
        (self._directory / "output.txt").write_text(output, encoding="utf-8")
        sent = "".join(
            f"{datetime.fromtimestamp(one.at, timezone.utc)} {one.number.name}\n" for one in self._sent
        )
        (self._directory / "signals.txt").write_text(sent, encoding="utf-8")
        document = None
        with contextlib.suppress(OSError, ValueError):
            document = json.loads((self._directory / "out.json").read_text(encoding="utf-8"))
        return Done(status=status, output=output, document=document, sent=self._sent)

    def kill(self) -> None:
        self._checkup.kill()
        self._ended.set()


def alongside(work: Callable[[], None]) -> threading.Thread:
    """Start work that goes on beside a run."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
