"""KubeVirt's console subresource: a websocket with the subprotocol ``plain.kubevirt.io``, raw bytes both ways."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from typing import TYPE_CHECKING, Final, NoReturn

import websocket

from pytest_kvlatency.console.dial import SLICE_SECONDS, dial
from pytest_kvlatency.console.outcomes import ConnectionLost, ConsoleRefused, ConsoleUnreachable
from pytest_kvlatency.model import SecretText

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kvlatency.console.dial import PatientSocket
    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.model import ConsoleEndpoint

SUBPROTOCOL: Final = "plain.kubevirt.io"
PING_SECONDS: Final = 10.0
WRITE_SECONDS: Final = 10.0
_SWITCHING_PROTOCOLS: Final = 101
_OURS: Final = threading.local()


class _Silence(logging.Filter):
    """Drops what websocket-client logs while it works for this module: its debug records hold request headers."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - the signature is logging's
        return not getattr(_OURS, "active", False)


logging.getLogger("websocket").addFilter(_Silence())


@contextlib.contextmanager
def _silently() -> Iterator[None]:
    _OURS.active = True
    try:
        yield
    finally:
        _OURS.active = False


class ConsoleTransport:
    """One connection to a console. Used by one thread at a time."""

    def __init__(self, ws: websocket.WebSocket, sock: PatientSocket) -> None:
        self._ws = ws
        self._socket = sock
        self._pinged_at = time.monotonic()
        self._is_open = True

    @classmethod
    def connect(cls, endpoint: ConsoleEndpoint, deadline: Deadline) -> ConsoleTransport:
        """Open the console. Raises ``ConsoleRefused``, ``ConsoleUnreachable``, or as ``Deadline.check`` does."""
        deadline.check("the console")
        sock = dial(endpoint.server, deadline)
        ws = websocket.WebSocket(skip_utf8_validation=True, enable_multithread=False)
        try:
            with _silently():
                ws.connect(  # type: ignore[no-untyped-call]
                    endpoint.server.url,
                    socket=sock,
                    timeout=SLICE_SECONDS,
                    header=[
                        SecretText(f"{name}: {value}")
                        for name, value in (*endpoint.headers.items(), *endpoint.impersonation)
                    ],
                    subprotocols=[SUBPROTOCOL],
                    suppress_origin=True,
                    # A redirect would take the credentials to another server.
                    redirect_limit=0,
                )
        except websocket.WebSocketBadStatusException as error:
            raise _refusal(error) from None
        except (websocket.WebSocketException, OSError, ValueError) as error:
            raise ConsoleUnreachable(f"the console's handshake failed: {error}") from error
        finally:
            if not ws.connected:
                sock.close()
        status = ws.getstatus()
        if status != _SWITCHING_PROTOCOLS:
            # Up to 1.6 websocket-client takes a redirect that it may not follow for a connection.
            sock.close()
            raise ConsoleUnreachable(f"the console's handshake failed: unexpected redirect ({status})")
        sock.be_ordinary()
        return cls(ws, sock)

    def read(self, timeout_seconds: float) -> bytes:
        """Bytes that came, or ``b""`` after ``timeout_seconds``. Raises ``ConnectionLost``.

        Keeps the connection alive meanwhile, with a ping about every 10 s.
        """
        until = time.monotonic() + max(0.001, timeout_seconds)
        while True:
            self._ping_when_due()
            left = until - time.monotonic()
            if left <= 0:
                return b""
            try:
                with _silently():
                    self._ws.settimeout(max(0.001, left))
                    opcode, data = self._ws.recv_data(control_frame=True)
            except websocket.WebSocketTimeoutException:
                return b""
            except (websocket.WebSocketException, OSError, ValueError) as error:
                self._lose(error)
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                self._lose(None)
            if opcode in {websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_TEXT} and data:
                return data if isinstance(data, bytes) else str(data).encode()

    def write(self, data: bytes) -> None:
        """Send all of ``data``. Raises ``ConnectionLost``, also where the peer takes nothing for 10 s."""
        self._send(data, websocket.ABNF.OPCODE_BINARY)

    def close(self) -> None:
        """End the connection: say goodbye, and do not wait for the answer. A second time does nothing."""
        if not self._is_open:
            return
        self._is_open = False
        try:
            with _silently(), contextlib.suppress(websocket.WebSocketException, OSError):
                self._ws.settimeout(SLICE_SECONDS)
                self._ws.send_close()
        finally:
            self._drop()

    def _ping_when_due(self) -> None:
        now = time.monotonic()
        if now - self._pinged_at >= PING_SECONDS:
            self._pinged_at = now
            self._send(b"", websocket.ABNF.OPCODE_PING)

    def _send(self, data: bytes, opcode: int) -> None:
        if not self._is_open:
            raise ConnectionLost("the console is closed")
        try:
            with _silently():
                self._ws.settimeout(WRITE_SECONDS)
                self._ws.send(data, opcode)
        except (websocket.WebSocketException, OSError) as error:
            self._lose(error)

    def _lose(self, error: Exception | None) -> NoReturn:
        self._is_open = False
        self._drop()
        raise ConnectionLost(str(error or "closed by the server")) from error

    def _drop(self) -> None:
        try:
            with _silently():
                self._ws.shutdown()  # type: ignore[no-untyped-call]
        finally:
            # websocket-client closes only sockets of the standard library's own classes.
            self._socket.close()


def _refusal(error: websocket.WebSocketBadStatusException) -> ConsoleRefused:
    """Read the Status of a refused upgrade. Its text holds no header of the request."""
    body = getattr(error, "resp_body", None) or b""
    headers = getattr(error, "resp_headers", None) or {}
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
    try:
        status = json.loads(text)
    except ValueError:
        status = None
    is_status = isinstance(status, dict) and status.get("kind") == "Status"
    message = str(status.get("message") or "") if is_status else text.strip()[:500]
    wish = str(headers.get("retry-after", ""))
    return ConsoleRefused(
        status=error.status_code,
        message=message,
        is_route_missing=error.status_code == 404 and not is_status,
        retry_after_seconds=float(wish) if wish.isdigit() else None,
    )
