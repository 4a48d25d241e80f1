"""A TCP connection to the API server, through a proxy and TLS where asked; bounded by a deadline, prompt to stop."""

from __future__ import annotations

import base64
import os
import selectors
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from pytest_kvlatency.console.outcomes import ConsoleUnreachable

if TYPE_CHECKING:
    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.model import HttpProxy, ServerEndpoint

SLICE_SECONDS: Final = 0.2
_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 30.0
_MAX_PROXY_ANSWER: Final = 16_384
# A peer that vanished without a word is noticed by TCP itself within about 25 s.
_SOCKET_OPTIONS: Final = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 10),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 25_000),
)


class PatientSocket:
    """A socket that, while it has a deadline, waits in short slices and checks that deadline in between.

    Without one it is an ordinary socket.
    """

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._socket = sock
        self._socket.settimeout(SLICE_SECONDS)
        self._deadline: Deadline | None = deadline
        self._until = time.monotonic() + _ANSWER_SECONDS

    def be_ordinary(self) -> None:
        """Forget the deadline: from now on time-outs are the caller's."""
        self._deadline = None

    def recv(self, size: int) -> bytes:
        """Receive, waiting as the class says."""
        while True:
            try:
                return self._socket.recv(size)
            except TimeoutError:
                if self._deadline is None:
                    raise
                self._deadline.check("the console's handshake")
                if time.monotonic() > self._until:
                    raise

    def settimeout(self, seconds: float | None) -> None:
        """As ``socket.settimeout``, unless a deadline rules."""
        if self._deadline is None:
            self._socket.settimeout(seconds)

    def pending(self) -> bool:
        """Whether TLS holds decrypted bytes that ``select`` does not see."""
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def __getattr__(self, name: str) -> Any:
        """Everything else is the socket's own."""
        return getattr(self._socket, name)


def dial(server: ServerEndpoint, deadline: Deadline) -> PatientSocket:
    """Connect to a server. Raises ``ConsoleUnreachable``, or as ``Deadline.check`` does."""
    url = urlsplit(server.url)
    host = url.hostname or ""
    port = url.port or (443 if url.scheme == "wss" else 80)
    try:
        sock = (
            _connect(host, port, deadline)
            if server.proxy is None
            else _through_proxy(server.proxy, host, port, deadline)
        )
        try:
            if url.scheme == "wss":
                sock = _secure(sock, server, server.server_name or host, deadline)
            return PatientSocket(sock, deadline)
        except BaseException:
            sock.close()
            raise
    except ssl.SSLCertVerificationError as error:
        raise ConsoleUnreachable(
            f"the certificate of {host}:{port} is not trusted: {error.verify_message}", permanent=True
        ) from error
    except OSError as error:
        raise ConsoleUnreachable(f"cannot connect to {host}:{port}: {error}") from error


def _connect(host: str, port: int, deadline: Deadline) -> socket.socket:
    last: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            last = error
            continue
        try:
            _set_options(sock)
            _connect_one(sock, address, deadline)
        except OSError as error:
            sock.close()
            last = error
            continue
        except BaseException:
            sock.close()
            raise
        sock.settimeout(SLICE_SECONDS)
        return sock
    raise last


def _set_options(sock: socket.socket) -> None:
    for level, name, value in _SOCKET_OPTIONS:
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(level, option, value)


def _connect_one(sock: socket.socket, address: object, deadline: Deadline) -> None:
    sock.settimeout(0)
    sock.connect_ex(address)  # type: ignore[arg-type]  # getaddrinfo's own
    until = time.monotonic() + _CONNECT_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_WRITE)
        while not selector.select(SLICE_SECONDS):
            deadline.check("a connection to the API server")
            if time.monotonic() > until:
                raise TimeoutError(f"no answer within {_CONNECT_SECONDS:.0f} s")
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def _secure(
    sock: socket.socket, server: ServerEndpoint, server_name: str, deadline: Deadline
) -> ssl.SSLSocket:
    # PROTOCOL_TLS_CLIENT verifies certificate and name; it leaves out the extra strictness of newer Pythons, which
    # refuses the certificate authorities of many clusters.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not server.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif server.ca_file:
        context.load_verify_locations(cafile=server.ca_file)
    else:
        context.load_default_certs()
    if server.cert_file:
        context.load_cert_chain(server.cert_file, server.key_file)
    secure = context.wrap_socket(sock, server_hostname=server_name, do_handshake_on_connect=False)
    try:
        _shake_hands(secure, deadline)
    except BaseException:
        secure.close()
        raise
    return secure


def _shake_hands(secure: ssl.SSLSocket, deadline: Deadline) -> None:
    until = time.monotonic() + _CONNECT_SECONDS
    while True:
        try:
            secure.do_handshake()
        except TimeoutError:
            deadline.check("the console's TLS handshake")
            if time.monotonic() > until:
                raise
        else:
            return


def _through_proxy(http_proxy: HttpProxy, host: str, port: int, deadline: Deadline) -> socket.socket:
    proxy = urlsplit(http_proxy.url)
    if proxy.scheme != "http" or not proxy.hostname:
        raise ConsoleUnreachable(
            f"cannot use the proxy {proxy.scheme}://{proxy.hostname or ''} for the console: expected http://HOST:PORT",
            permanent=True,
        )
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    headers = {"Host": target, **http_proxy.headers}
    if proxy.username and not any(name.lower() == "proxy-authorization" for name in headers):
        secret = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
        headers["Proxy-Authorization"] = "Basic " + base64.b64encode(secret).decode()
    lines = [f"CONNECT {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    sock = _connect(proxy.hostname, proxy.port or 80, deadline)
    try:
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        status = _status_line(PatientSocket(sock, deadline))
    except BaseException:
        sock.close()
        raise
    (code,) = status.split(" ")[1:2] or [""]
    if code != "200":
        sock.close()
        if code == "407":
            raise ConsoleUnreachable(f"the proxy {proxy.hostname} requires authentication (407)")
        raise ConsoleUnreachable(
            f"the proxy {proxy.hostname} did not connect to {target}: {status or 'no answer'}"
        )
    return sock


def _status_line(sock: PatientSocket) -> str:
    """Read an HTTP answer's head, byte by byte: what follows the empty line belongs to TLS."""
    answer = bytearray()
    while not answer.endswith(b"\r\n\r\n") and len(answer) < _MAX_PROXY_ANSWER:
        byte = sock.recv(1)
        if not byte:
            break
        answer += byte
    return answer.split(b"\r\n", 1)[0].decode("latin-1")
