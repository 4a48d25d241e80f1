"""How messages get from workers to the controller: over a socket of the machine, one connection per worker.

Both ends are processes of one run and of one user: the socket lies in a directory that only this user may enter, and
each connection proves that it knows the run's key.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from multiprocessing.connection import Client, Listener
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_kvlatency import errors
from pytest_kvlatency.errors import ConfigError, InterruptedRunError, KvLatencyError, LimitExceeded
from pytest_kvlatency.shortage import told

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from pathlib import Path

#: What a socket raises when the other end is gone, or nobody is there any more.
LOST: Final = (EOFError, OSError)
PAUSE_SECONDS: Final = 0.05
#: What of an error goes to the other end, beside its type.
_CARRIED: Final = ("reason", "hint", "transcript", "stage", "summary", "node", "network")


class WorkerLink:
    """A worker's end. Thread-safe; a call waits for its answer."""

    def __init__(self, address: str, key: bytes) -> None:
        self._lock = threading.Lock()
        self._connection: Connection[Any, Any] = Client(address, "AF_UNIX", authkey=key)

    def call(self, message: object) -> Any:
        """Send a message; return the answer. Raises what was raised there; ``InterruptedRunError`` when it is gone.

        The first message of a connection is the name of the worker.
        """
        with self._lock:
            try:
                self._connection.send(message)
                is_good, answer = self._connection.recv()
            except LOST as error:
                raise InterruptedRunError("the controller of pytest-xdist is gone") from error
        if is_good:
            return answer
        raise _unpacked(answer)

    def close(self) -> None:
        """Hang up."""
        with self._lock:
            self._connection.close()


class Exchange:
    """The controller's end: answers every worker in a thread of its own. Raises ``ConfigError`` without one."""

    def __init__(
        self,
        directory: Path,
        key: bytes,
        *,
        answer: Callable[[str, Any], Any],
        hung_up: Callable[[str], None],
    ) -> None:
        self.address = str(directory / "controller")
        self._key = key
        self._answer = answer
        self._hung_up = hung_up
        self._closed = threading.Event()
        self._listener = Listener(self.address, "AF_UNIX", authkey=key)
        accepting = threading.Thread(target=self._accept, name="kvlatency-exchange", daemon=True)
        try:
            with told():
                accepting.start()
        except KvLatencyError:
            self._listener.close()
            raise

    def close(self) -> None:
        """Take no more connections; those that are open end with their workers."""
        if self._closed.is_set():
            return
        self._closed.set()
        # Nothing else wakes a thread that accepts. It may have seen the flag and be gone already: so this only knocks,
        # and waits for nobody to open.
        with contextlib.suppress(*LOST), socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(0)
            knocking.connect(self.address)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection = self._listener.accept()
            except Exception:  # noqa: BLE001 - a peer without the key, or one that went away, is not ours
                # Nor is it to be tried without a pause where no descriptor is left.
                self._closed.wait(PAUSE_SECONDS)
                continue
            if self._closed.is_set():
                connection.close()
                return
            serving = threading.Thread(
                target=self._serve, args=(connection,), name="kvlatency-worker", daemon=True
            )
            try:
                with told():
                    serving.start()
            except KvLatencyError as error:
                self._refuse(connection, error)

    @staticmethod
    def _refuse(connection: Connection[Any, Any], error: KvLatencyError) -> None:
        """Say why a worker is not served: it would wait for its answer for ever."""
        with connection, contextlib.suppress(*LOST):
            connection.recv()
            connection.send((False, _packed(error)))

    def _serve(self, connection: Connection[Any, Any]) -> None:
        worker = ""
        with connection, contextlib.suppress(*LOST):
            worker = connection.recv()
            connection.send((True, None))
            while True:
                message = connection.recv()
                try:
                    reply = (True, self._answer(worker, message))
                except (KvLatencyError, pytest.UsageError) as error:
                    reply = (False, _packed(error))
                except Exception as error:  # noqa: BLE001 - it belongs to who asked
                    reply = (False, _packed(KvLatencyError(f"{type(error).__name__}: {error}")))
                connection.send(reply)
        if worker:
            self._hung_up(worker)


def _packed(error: KvLatencyError | pytest.UsageError) -> dict[str, str]:
    if isinstance(error, pytest.UsageError):
        return {"type": ConfigError.__name__, "reason": str(error)}
    return {"type": type(error).__name__, **{name: getattr(error, name) for name in _CARRIED}}


def _unpacked(packed: dict[str, Any]) -> KvLatencyError:
    """The error again; one of a type that takes other arguments as the ``ConfigError`` that they all are."""
    name = packed.pop("type")
    found = getattr(errors, name, ConfigError)
    if not issubclass(found, KvLatencyError) or issubclass(found, LimitExceeded):
        found = ConfigError
    return found(**packed)
