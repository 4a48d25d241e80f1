"""xdist's controller: measures nothing, and has what the run has only one of: lab, ConfigMap, addresses, reports.

It knows every VMI of its workers by name, so that it can remove what a worker that died has left.
"""

from __future__ import annotations

import _thread
import secrets
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_kvlatency.checkup.inputs import usage_text
from pytest_kvlatency.checkup.role import Role
from pytest_kvlatency.checkup.xdist.eventqueue import WatchedQueue
from pytest_kvlatency.checkup.xdist.orphans import STOPPING_SECONDS, Heir
from pytest_kvlatency.checkup.xdist.services import Services
from pytest_kvlatency.checkup.xdist.wire import Exchange
from pytest_kvlatency.checkup.xdist.worker import REMOTE
from pytest_kvlatency.checkup.xdist.workers import Workers
from pytest_kvlatency.config.options import WORKER_INPUT
from pytest_kvlatency.errors import KvLatencyError
from pytest_kvlatency.model import Failure
from pytest_kvlatency.report.screen import Screen
from pytest_kvlatency.shortage import told
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.checkup.role import Local, Removable
    from pytest_kvlatency.checkup.run_state import RunState
    from pytest_kvlatency.report.run import ItemResult

LONGEST_PLACE: Final = 64


class Controller(Role):
    """Starts workers and ends them; the main thread is xdist's. What they ask is answered in threads of their own."""

    is_distributed = True

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._workers = Workers()
        self._run_id = secrets.token_hex(4)
        self._key = secrets.token_bytes(32)
        self._directory: Path | None = None
        self._exchange: Exchange | None = None
        self._is_announced = False
        self._is_stopping = False

    def serve(self, local: Local) -> None:
        """Take part in what xdist does from now on."""
        self._local = local
        self._services = Services(self._state, local, self._workers)
        self._heir = Heir(self._workers, local.client)
        self._state.config.pluginmanager.register(self, "kvlatency-controller")

    # --- what xdist tells

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give a worker that is about to start the way to this process. Raises ``pytest.UsageError``."""
        if not node.gateway.spec.popen:
            if self._state.inputs.given.nad:
                raise pytest.UsageError(f"{node.gateway.spec}: {REMOTE}")
            return
        # Before there is anything that a signal could leave behind.
        self._state.signals.install()
        directory, exchange = self._open_exchange()
        count = int(node.workerinput["workercount"])
        part = self._workers.expect(node.gateway.id, count)
        node.workerinput[WORKER_INPUT] = {
            "address": exchange.address,
            "key": self._key,
            "directory": str(directory),
            "run_id": self._run_id,
            "part": (part, count),
        }

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """Say what runs once a worker knows its items. Raises ``pytest.UsageError`` for what it found wrong."""
        refusal, failures = self._services.refusal, self._state.results.failures
        if refusal:
            if not failures:
                reason = refusal.partition("\n")[0]
                failures.append(Failure(kind="config", stage="config", reason=reason))
            raise pytest.UsageError(refusal)
        if self._services.checks and not self._is_announced:
            self._is_announced = True
            self._announce()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker has ended, in order or not: what it left is deleted at once."""
        worker = node.gateway.id
        if self._workers.is_down(worker):
            Threads(1, "kvlatency-orphans").submit(self._heir.bury, worker)

    # --- the end

    @property
    def stop_reason(self) -> str:
        """What xdist says: ``stopping after 1 failures``, or that a worker crashed and none takes its place."""
        session = self._xdist_session
        return str(getattr(session, "shouldstop", "") or getattr(session, "_summary_report", "") or "")

    def interrupt(self, name: str, reason: str, *, is_collecting: bool) -> None:
        """Have the workers end in order, and xdist wait for them; a second signal does not wait."""
        del name, is_collecting
        session = self._xdist_session
        if self._is_stopping or session is None:
            raise KeyboardInterrupt(reason)
        self._is_stopping = True
        session.shouldstop = reason
        self._workers.signal(signal.SIGTERM)
        # xdist's loop forgets at its start what it was told before.
        session.worker_kvlatency_stop = lambda: setattr(session, "shouldstop", reason)
        # The interrupted code may hold the lock of xdist's queue, so another thread puts the event there.
        stopping = threading.Thread(
            target=self._stop, args=(session,), name="kvlatency-stopping", daemon=True
        )
        try:
            stopping.start()
        except RuntimeError:
            # No thread can be had that would lose patience later.
            raise KeyboardInterrupt(reason) from None

    def gather(self) -> Sequence[ItemResult]:
        """Wait until no worker is left that could tell something, or create something; end those that do not end."""
        if self._workers.is_any_connected:
            # Either xdist was interrupted, or it met an error of its own.
            self._workers.signal(signal.SIGTERM)
            if getattr(self._xdist_session, "sched", None) is not None:
                # A worker without a test waits for its next one, whatever signal it hears.
                self._xdist_session.triggershutdown()
            self._workers.wait_until_gone(STOPPING_SECONDS)
            self._workers.signal(signal.SIGKILL)
            self._workers.wait_until_gone(STOPPING_SECONDS)
        for problem in self._heir.inherit_all():
            self._state.results.add_failure(problem)
        return self._workers.results

    def removable(self, _own: Removable | None) -> Removable | None:
        """What workers have left."""
        return self._heir.orphans

    def kept_lines(self, _own: Sequence[str]) -> Sequence[str]:
        """Those of all workers."""
        return self._services.kept_lines

    def close(self) -> None:
        """End the exchange and remove its directory."""
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    # --- inside

    @property
    def _xdist_session(self) -> Any:
        return self._state.config.pluginmanager.get_plugin("dsession")

    def _open_exchange(self) -> tuple[Path, Exchange]:
        """The exchange and its directory, made for the first worker. Raises ``pytest.UsageError``."""
        if self._directory is None:
            # A socket's path has little more than a hundred characters, wherever TMPDIR is.
            place = None if len(tempfile.gettempdir()) < LONGEST_PLACE else "/tmp"  # noqa: S108
            self._directory = Path(tempfile.mkdtemp(prefix="kvlatency-xdist-", dir=place))
        if self._exchange is None:
            try:
                with told():
                    self._exchange = Exchange(
                        self._directory,
                        self._key,
                        answer=lambda worker, message: message(self._services, worker),
                        hung_up=self._workers.has_hung_up,
                    )
            except KvLatencyError as error:
                raise pytest.UsageError(usage_text(error)) from None
        return self._directory, self._exchange

    def _announce(self) -> None:
        """Write the header, which pytest wrote when nothing was known yet, and show what happens from now on."""
        self._watch_events()
        reporter = self._state.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            screen = Screen(reporter)
            for line in self._local.header():
                # xdist is still in the middle of its own line about the workers.
                screen.log(line)

    def _watch_events(self) -> None:
        """Show how far the run is while xdist waits for its workers."""
        session = self._xdist_session
        if hasattr(getattr(session, "queue", None), "get"):
            progress = self._state.progress
            session.queue = WatchedQueue(session.queue, show=self._show, clear=progress.clear)

    def _show(self) -> None:
        tally = self._local.tally
        if tally.is_under_way:
            self._state.progress.show(tally.progress(self._workers.waits))

    def _stop(self, session: Any) -> None:
        """Wake xdist's loop, or have it stop once it begins; then wait only so long for its end."""
        session.queue.put(("kvlatency_stop", {}))
        time.sleep(STOPPING_SECONDS)
        if not self._state.is_ending and not session.session_finished:
            _thread.interrupt_main()
