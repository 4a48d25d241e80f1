"""The aggregated API: requests handed on to another server, websocket upgrades included.

An upgrade is spliced byte for byte, so that refusals, subprotocols, frames, and connections that end without a
close frame look to each side exactly as the other side made them.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from pytest_kvlatency.lab.apiserver.impersonation import HEADERS
from pytest_kvlatency.lab.apiserver.statuses import ApiError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from pytest_kvlatency.lab.apiserver.rbac import User

SECRET_HEADER = "X-Lab-Secret"  # noqa: S105 - the header's name
USER_HEADER = "X-Remote-User"
GROUP_HEADER = "X-Remote-Group"
_CREDENTIALS = {"authorization", "x-lab-secret", "x-remote-user", "x-remote-group"}
_HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "proxy-connection",
}
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})")
#: Seconds that a peer has to take what is still to be sent when the other side is gone.
_LINGER = 2.0


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """A server behind the control plane; ``secret`` proves to it that a request came through here."""

    base_url: str
    ssl_context: ssl.SSLContext | None = field(repr=False)
    secret: str = field(repr=False)


def _unavailable(error: OSError | aiohttp.ClientError) -> ApiError:
    return ApiError(503, f"error trying to reach service: {error}")


class _End(asyncio.Protocol):
    """One end of a splice: what it receives goes to the other end, and so does its end."""

    def __init__(self, ended: Callable[[Exception | None], None], received: Callable[[bytes], None]) -> None:
        self._ended = ended
        self._received = received
        self.other: _End | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received(data)
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        other = self.other.transport if self.other is not None else None
        if other is not None and not other.is_closing():
            if exc is None:
                # What was received is delivered first; then the connection ends as it did here.
                other.close()
                asyncio.get_running_loop().call_later(_LINGER, other.abort)
            else:
                other.abort()
        self._ended(exc)


def is_upgrade(request: web.BaseRequest) -> bool:
    """Say whether the client asks for another protocol."""
    return "upgrade" in request.headers.get("Connection", "").lower() and "Upgrade" in request.headers


def _headers(request: web.BaseRequest, user: User, upstream: Upstream) -> list[tuple[str, str]]:
    """Return the client's headers without its credentials, and with who it is."""
    kept = [
        (key, value)
        for key, value in request.headers.items()
        if key.lower() not in _CREDENTIALS and not key.lower().startswith(HEADERS)
    ]
    kept.append((USER_HEADER, user.name))
    kept.extend((GROUP_HEADER, group) for group in user.groups)
    kept.append((SECRET_HEADER, upstream.secret))
    return kept


class Proxy:
    """Hands requests on. ``close`` ends every connection."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._open: set[asyncio.Transport] = set()

    async def close(self) -> None:
        """End every spliced connection, and the client's pool."""
        for transport in tuple(self._open):
            transport.abort()
        if self._session is not None:
            await self._session.close()

    async def forward(
        self, request: web.BaseRequest, user: User, upstream: Upstream, body: bytes
    ) -> web.Response:
        """Hand on a plain request, and return the answer. Errors: 503."""
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=False)
        headers = [
            (key, value)
            for key, value in _headers(request, user, upstream)
            if key.lower() not in _HOP_BY_HOP | {"content-length"}
        ]
        try:
            async with self._session.request(
                request.method,
                upstream.base_url.rstrip("/") + request.raw_path,
                headers=headers,
                data=body or None,
                ssl=upstream.ssl_context or False,
                allow_redirects=False,
            ) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, OSError) as error:
            raise _unavailable(error) from error
        kept = [
            (key, value)
            for key, value in answer.headers.items()
            if key.lower() not in _HOP_BY_HOP | {"content-length"}
        ]
        response = web.Response(status=answer.status, body=content)
        response.headers.clear()
        response.headers.extend(kept)
        return response

    async def splice(
        self, request: web.BaseRequest, user: User, upstream: Upstream, answered: Callable[[int], None]
    ) -> None:
        """Hand on an upgrade, and return when both connections have ended.

        ``answered`` gets the upstream's HTTP status (0: it ended without one). Errors: 503 before anything
        was sent.
        """
        loop = asyncio.get_running_loop()
        client = cast("asyncio.Transport", request.transport)
        served = cast("asyncio.Protocol", client.get_protocol())
        done: asyncio.Future[None] = loop.create_future()
        head = b""
        status: int | None = None

        def sniff(data: bytes) -> None:
            nonlocal head, status
            if status is None:
                head += data[:32]
                if found := _STATUS_LINE.match(head):
                    status = int(found[1])
                    answered(status)

        def upstream_ended(_: Exception | None) -> None:
            if status is None:
                answered(0)

        def client_ended(exc: Exception | None) -> None:
            if not done.done():
                done.set_result(None)
            # The HTTP server learns only now that its connection is gone: until here it was not its own.
            served.connection_lost(exc)

        near = _End(client_ended, lambda _: None)
        far = _End(upstream_ended, sniff)
        near.transport, near.other, far.other = client, far, near
        url = urlsplit(upstream.base_url)
        try:
            await loop.create_connection(
                lambda: far, url.hostname or "", url.port or 80, ssl=upstream.ssl_context
            )
        except OSError as error:
            raise _unavailable(error) from error
        far_transport = cast("asyncio.Transport", far.transport)
        if client.is_closing():
            far_transport.abort()
            return
        lines = [f"{request.method} {request.raw_path} HTTP/1.1"]
        headers = [item for item in _headers(request, user, upstream) if item[0].lower() != "connection"]
        # "close": after a refusal the client's next request must not go to the upstream unseen.
        lines += [f"{key}: {value}" for key, value in [*headers, ("Connection", "Upgrade, close")]]
        far_transport.write("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape"))
        client.set_protocol(near)
        client.resume_reading()
        # What the client sent on the heels of its request was read with it.
        if tail := getattr(served, "_message_tail", b""):
            far_transport.write(tail)
        transports = {client, far_transport}
        self._open |= transports
        try:
            await done
        finally:
            self._open -= transports
            if not far_transport.is_closing():
                far_transport.close()
