"""Each change of a run's VMIs as it happens, where the ``watch`` permission is granted; polls go on besides."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import TYPE_CHECKING, Any, Final

import urllib3
import urllib3.exceptions

from pytest_kvlatency.errors import KvLatencyError
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.manifest import LABEL_RUN
from pytest_kvlatency.kube.state import vmi_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.state import VmiState

# The server ends a watch after so many seconds; it is opened anew then.
_LASTS: Final = 240
_READ_TIMEOUT: Final = _LASTS + 30.0
_ATTEMPTS: Final = 3
_PAUSE: Final = 0.5
# A server that has just been started may deny what is permitted.
_DENIED_PAUSE: Final = 2.0
_JOIN: Final = 1.0


class VmiWatch:
    """Watches the VMIs of one run in a thread of its own.

    ``on_state(uid, state)`` is called there; ``state`` None: the VMI is gone. What is there at the start is told
    first. A watch is a help and no authority: where it is refused or lost it ends silently, and a proxy may hold
    its events back, so its user keeps polling, only less.
    """

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        run_id: str,
        on_state: Callable[[str, VmiState | None], None],
    ) -> None:
        self._client = client
        self._path = paths.vmi(namespace)
        self._query = {
            "watch": "true",
            "labelSelector": f"{LABEL_RUN}={run_id}",
            "timeoutSeconds": str(_LASTS),
        }
        self._on_state = on_state
        self._closed = threading.Event()
        #: Whether the server refused it, as it will the next time.
        self.refused = False
        self._lock = threading.Lock()
        self._response: urllib3.BaseHTTPResponse | None = None
        self._thread = threading.Thread(target=self._run, name="kvlatency-watch", daemon=True)
        # Without a thread nothing is told.
        with contextlib.suppress(RuntimeError):
            self._thread.start()

    @property
    def active(self) -> bool:
        """Whether events may come."""
        return self._thread.is_alive() and not self._closed.is_set()

    def close(self) -> None:
        """End it; returns within a second."""
        with self._lock:
            self._closed.set()
            response = self._response
        if response is not None:
            _hang_up(response)
        if self._thread.is_alive():
            self._thread.join(_JOIN)

    def _run(self) -> None:
        failures = 0
        while failures < _ATTEMPTS and not self._closed.is_set():
            try:
                response = self._client.stream(self._path, query=self._query, read_timeout=_READ_TIMEOUT)
            except KvLatencyError:
                if self._client.reach.is_settled:
                    self.refused = True
                    return
                self._closed.wait(_DENIED_PAUSE)
                continue
            except urllib3.exceptions.HTTPError:
                failures += 1
                self._closed.wait(_PAUSE)
                continue
            with self._lock:
                self._response = response
            # A read that close() cuts off fails in as many ways as there are layers; each only ends this attempt.
            with contextlib.suppress(urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError):
                if not self._closed.is_set():
                    for event in _events(response):
                        failures = 0
                        self._tell(event)
            with self._lock:
                self._response = None
            response.close()
            failures += 1
            self._closed.wait(_PAUSE)

    def _tell(self, event: dict[str, Any]) -> None:
        kind, vmi = event.get("type"), event.get("object") or {}
        uid = (vmi.get("metadata") or {}).get("uid")
        if uid and kind in ("ADDED", "MODIFIED"):
            self._on_state(uid, vmi_state(vmi))
        elif uid and kind == "DELETED":
            self._on_state(uid, None)


def _events(response: urllib3.BaseHTTPResponse) -> Iterator[dict[str, Any]]:
    buffer = b""
    for chunk in response.stream(65536):
        buffer += chunk
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            if line.strip():
                yield json.loads(line)


def _hang_up(response: urllib3.BaseHTTPResponse) -> None:
    """Let a read that is under way in another thread end: closing alone does not wake it."""
    connection = getattr(response, "connection", None) or getattr(response, "_connection", None)
    sock = getattr(connection, "sock", None)
    if isinstance(sock, socket.socket):
        with contextlib.suppress(OSError):
            # Not the TLS socket's own shutdown, which takes its state away under the reader.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
