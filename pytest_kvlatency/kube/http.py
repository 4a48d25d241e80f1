"""One HTTP exchange with the API server; no retries, no verdicts."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3

from pytest_kvlatency.kube.pool import pool_of
from pytest_kvlatency.model import SecretText

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.kube.credentials import ClusterLogin


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the server answered. ``headers`` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> dict[str, Any] | None:
        """Return the body as a JSON object, or None when it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None


class _Headers(urllib3.HTTPHeaderDict):
    """Headers of a request, credentials among them."""

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"


class HttpTransport:
    """Connections and credentials of one login. Thread-safe; ``repr`` shows no credential."""

    def __init__(self, login: ClusterLogin, *, impersonation: Sequence[tuple[str, str]] = ()) -> None:
        self.server = login.server
        self._login = login
        self._impersonation = tuple(impersonation)
        self._lock = threading.Lock()
        self._sent: set[str] = set()
        self._is_closed = False
        self._pool = pool_of(login.server)

    def __repr__(self) -> str:
        return f"HttpTransport({self.server.url!r})"

    def credentials(self) -> dict[str, str]:
        """Headers with the credentials of this moment; refreshes them where they are about to expire.

        The lock keeps threads from refreshing them (that is, from starting the plugin) all at once.
        """
        with self._lock:
            value = self._login.authorization()
        if not value:
            return {}
        self._sent.add(value)
        return {"Authorization": SecretText(value)}

    def secrets(self) -> set[str]:
        """Return the credentials that were sent so far, the password and the client's key, as they may be quoted."""
        found = {word for value in list(self._sent) for word in (value, value.partition(" ")[2])}
        proxy = self.server.proxy
        found |= {
            text for text in (*self._login.secrets(), *(proxy.headers.values() if proxy else ())) if text
        }
        if self.server.key_file:
            try:
                key = Path(self.server.key_file).read_bytes()
            except OSError:
                return found
            # Whole as kubeconfigs hold it, and line by line: JSON and terminals tear it apart.
            found.add(base64.b64encode(key).decode())
            lines = key.decode(errors="replace").splitlines()
            found |= {line for line in lines if line and not line.startswith("-----")}
        return found

    def read(self, response: urllib3.BaseHTTPResponse) -> Answer:
        """Read a whole answer. Raises urllib3's ``HTTPError`` when it breaks off."""
        try:
            content = response.read()
        except BaseException:
            response.close()
            raise
        response.release_conn()
        if self._is_closed:
            # A request that was still under way has opened its connection anew.
            self._pool.clear()
        lowered = {name.lower(): value for name, value in response.headers.items()}
        return Answer(status=response.status, headers=lowered, body=content)

    def open(
        self,
        method: str,
        path: str,
        *,
        timeout: urllib3.Timeout,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send one request; the caller reads the answer, and closes it. Raises urllib3's ``HTTPError`` without one."""
        sent = _Headers(
            {
                "Accept": "application/json",
                "User-Agent": "pytest-kvlatency",
                **(headers or {}),
                **self.credentials(),
            }
        )
        for name, value in self._impersonation:
            # As UTF-8, which the standard library's client would not send.
            sent.add(name, value.encode().decode("latin-1"))
        response: urllib3.BaseHTTPResponse = self._pool.request(
            method,
            self.server.url.rstrip("/") + path,
            body=body,
            headers=sent,
            timeout=timeout,
            retries=False,
            redirect=False,
            preload_content=False,
        )
        return response

    def close(self) -> None:
        """Close idle connections, and those of requests under way once they are answered."""
        self._is_closed = True
        self._pool.clear()
