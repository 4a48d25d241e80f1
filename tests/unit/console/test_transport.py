"""The websocket transport against a real server: TLS, subprotocol, refusals, proxy, sudden ends."""

import asyncio
import contextlib
import json
import logging
import socket
import ssl
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest
from aiohttp import WSMsgType, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pytest_kvlatency.console import transport as transport_module
from pytest_kvlatency.console.outcomes import ConnectionLost, ConsoleRefused, ConsoleUnreachable
from pytest_kvlatency.console.transport import ConsoleTransport
from pytest_kvlatency.deadline import Deadline, Stop
from pytest_kvlatency.errors import CheckupTimeoutError, InterruptedRunError
from pytest_kvlatency.model import ConsoleEndpoint, HttpProxy, ServerEndpoint

pytestmark = pytest.mark.smoke

PATH = "/prefix/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachineinstances/vmi/console"


def make_certificate(directory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "api.test")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("api.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / "both.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(path)


class Server:
    """A console server whose behaviour is chosen by the request's ``X-Do`` header."""

    def __init__(self, certificate):
        self.seen = []
        self.transports = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.port, self.tls_port = self.call(self._start(certificate))

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    async def _start(self, certificate):
        application = web.Application()
        application.router.add_get(PATH, self._console)
        self.runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self.runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(certificate)
        plain, secure = web.TCPSite(self.runner, "127.0.0.1", 0), None
        await plain.start()
        secure = web.TCPSite(self.runner, "127.0.0.1", 0, ssl_context=context)
        await secure.start()
        return [site._server.sockets[0].getsockname()[1] for site in (plain, secure)]

    async def _console(self, request):
        self.transports.append(request.transport)
        peer = request.transport.get_extra_info("peercert")
        self.seen.append({"headers": dict(request.headers), "peer": peer})
        do = request.headers.get("X-Do", "echo")
        if do.isdigit():
            status = {"kind": "Status", "message": "VMI is not running"}
            return web.json_response(status, status=int(do), headers={"Retry-After": "7"})
        if do == "missing":
            return web.Response(status=404, text="404 page not found\n")
        if do == "redirect":
            return web.Response(status=302, headers={"Location": "ws://127.0.0.1:1/steal"})
        if do == "stall":
            while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            return web.Response()
        console = web.WebSocketResponse(protocols=["plain.kubevirt.io"], autoping=False)
        await console.prepare(request)
        if do == "abort":
            await console.send_bytes(b"last words")
            await asyncio.sleep(0.05)
            request.transport.abort()
            return console
        if do == "close":
            await console.close()
            return console
        if do == "ping":
            await console.ping(b"are you there")
        async for message in console:
            if message.type == WSMsgType.BINARY:
                await console.send_bytes(message.data)
            elif message.type in {WSMsgType.PING, WSMsgType.PONG}:
                await console.send_bytes(f"{message.type.name} {message.data.decode()}".encode())
        return console

    async def _cleanup(self):
        await self.runner.cleanup()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for transport in self.transports:
            transport.abort()
        # Transports close in the loop's next turns; in the end it watches nothing but what wakes it.
        until = self.loop.time() + 50
        while len(self.loop._selector.get_map()) > 1:
            assert self.loop.time() < until
            await asyncio.sleep(0.01)

    def stop(self):
        self.call(self._cleanup())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(60)
        self.loop.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def server(certificate):
    made = Server(certificate)
    yield made
    made.stop()


def endpoint(server, do="echo", **options):
    headers = {"X-Do": do, "Authorization": "Bearer very-secret"}
    address = ServerEndpoint(url=f"ws://127.0.0.1:{server.port}{PATH}", **options)
    return ConsoleEndpoint(server=address, headers=headers)


def secure(server, **options):
    return ConsoleEndpoint(server=ServerEndpoint(url=f"wss://127.0.0.1:{server.tls_port}{PATH}", **options))


def connect(target, seconds=60.0, stop=None):
    return ConsoleTransport.connect(target, Deadline(seconds, stop=stop))


def read_all(transport, size):
    data, until = b"", time.monotonic() + 60
    while len(data) < size and time.monotonic() < until:
        data += transport.read(0.2)
    return data


def test_bytes_go_both_ways_unchanged(server):
    transport = connect(endpoint(server))
    blob = bytes(range(256)) * 300
    transport.write(blob)
    assert read_all(transport, len(blob)) == blob
    assert transport.read(0.01) == b""
    transport.close()
    transport.close()
    with pytest.raises(ConnectionLost):
        transport.write(b"x")
    with pytest.raises(ConnectionLost):
        transport.read(0.1)


def test_E11_headers_subprotocol_and_path_prefix_are_those_of_the_endpoint(server):
    connect(endpoint(server)).close()
    headers = server.seen[-1]["headers"]
    assert headers["Authorization"] == "Bearer very-secret"
    assert headers["Sec-WebSocket-Protocol"] == "plain.kubevirt.io"
    assert "Origin" not in headers


def test_E11_tls_with_custom_ca_server_name_and_client_certificate(server, certificate):
    target = secure(
        server, ca_file=certificate, server_name="api.test", cert_file=certificate, key_file=certificate
    )
    transport = connect(target)
    transport.write(b"x" * 100_000)
    assert len(read_all(transport, 100_000)) == 100_000
    assert server.seen[-1]["peer"] is not None
    transport.close()


def test_E11_a_certificate_that_is_not_trusted_is_no_connection(server, certificate):
    for target in (secure(server), secure(server, ca_file=certificate)):
        with pytest.raises(ConsoleUnreachable, match="not trusted") as caught:
            connect(target)
        assert caught.value.permanent
    connect(secure(server, verify=False)).close()


def test_E11_an_http_proxy_is_used_with_its_headers(server, certificate):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        requests = []

        def serve():
            client, _ = listener.accept()
            data = b""
            while not data.endswith(b"\r\n\r\n"):
                data += client.recv(1)
            requests.append(data.decode())
            upstream = socket.create_connection(("127.0.0.1", server.tls_port))
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            for one, other in ((client, upstream), (upstream, client)):
                threading.Thread(target=pump, args=(one, other), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        proxy = f"http://me:secret@127.0.0.1:{listener.getsockname()[1]}"
        target = secure(
            server,
            ca_file=certificate,
            server_name="api.test",
            proxy=HttpProxy(url=proxy, headers={"X-Proxy": "yes"}),
        )
        transport = connect(target)
        transport.write(b"through")
        assert read_all(transport, 7) == b"through"
        transport.close()
    assert requests[0].startswith(f"CONNECT 127.0.0.1:{server.tls_port} HTTP/1.1\r\n")
    assert "X-Proxy: yes" in requests[0]
    assert "Proxy-Authorization: Basic bWU6c2VjcmV0" in requests[0]


def pump(source, target):
    with source, target, contextlib.suppress(OSError):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        finally:
            # A socket that another thread reads from does not end by close() alone.
            for one in (source, target):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            "403 Forbidden",
            r"the proxy 127\.0\.0\.1 did not connect to 127\.0\.0\.1:\d+: HTTP/1\.1 403 Forbidden",
        ),
        ("407 Proxy Authentication Required", r"the proxy 127\.0\.0\.1 requires authentication \(407\)"),
    ],
)
def test_E11_a_proxy_that_refuses_is_named(server, answer, words):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            client, _ = listener.accept()
            with client:
                client.recv(4096)
                client.sendall(f"HTTP/1.1 {answer}\r\n\r\n".encode())

        threading.Thread(target=serve, daemon=True).start()
        target = endpoint(server, proxy=HttpProxy(url=f"http://127.0.0.1:{listener.getsockname()[1]}"))
        with pytest.raises(ConsoleUnreachable, match=words):
            connect(target)


def test_E11_a_console_needs_an_http_proxy(server):
    with pytest.raises(
        ConsoleUnreachable, match=r"cannot use the proxy socks5://127\.0\.0\.1 .*: expected http://HOST:PORT"
    ):
        connect(endpoint(server, proxy=HttpProxy(url="socks5://127.0.0.1:1080")))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500, 503])
def test_E14_a_refusal_has_status_and_the_message_of_its_body(server, status):
    with pytest.raises(ConsoleRefused) as caught:
        connect(endpoint(server, str(status)))
    refusal = caught.value
    assert (refusal.status, refusal.message, refusal.is_route_missing) == (
        status,
        "VMI is not running",
        False,
    )
    assert refusal.retry_after_seconds == 7.0


def test_E14_a_missing_route_is_told_from_a_missing_vmi(server):
    with pytest.raises(ConsoleRefused) as caught:
        connect(endpoint(server, "missing"))
    assert caught.value.is_route_missing


def test_a_redirect_is_not_followed_with_the_credentials(server):
    with pytest.raises(ConsoleUnreachable, match=r"[Rr]edirect"):
        connect(endpoint(server, "redirect"))


@pytest.mark.parametrize("do", ["abort", "close"])
def test_E08_an_end_with_and_without_a_close_frame_is_a_loss(server, do):
    transport = connect(endpoint(server, do))
    with pytest.raises(ConnectionLost):
        read_all(transport, 1000)


def test_E09_pings_go_out_while_reading_and_are_answered(server, monkeypatch):
    monkeypatch.setattr(transport_module, "PING_SECONDS", 0.0)
    transport = connect(endpoint(server))
    assert b"PING" in read_all(transport, 4)
    transport.close()


def test_E09_the_server_s_pings_are_answered(server):
    transport = connect(endpoint(server, "ping"))
    assert read_all(transport, 18) == b"PONG are you there"
    transport.close()


def test_nobody_listens(server):
    # Bound, so that it is nobody else's meanwhile either.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ConsoleUnreachable, match=r"cannot connect to 127\.0\.0\.1:"):
            connect(ConsoleEndpoint(server=ServerEndpoint(url=f"ws://127.0.0.1:{port}{PATH}")))


def test_a_handshake_that_stalls_ends_with_the_deadline(server):
    with pytest.raises(CheckupTimeoutError):
        connect(endpoint(server, "stall"), seconds=0.4)


def test_E59_a_stop_ends_a_stalled_handshake(server):
    stop = Stop()
    threading.Timer(0.2, stop.set, ["SIGTERM"]).start()
    with pytest.raises(InterruptedRunError):
        connect(endpoint(server, "stall"), stop=stop)


def test_E67_nothing_logs_the_credentials(server, caplog):
    import websocket

    caplog.set_level(logging.DEBUG)
    websocket.enableTrace(traceable=True, handler=logging.NullHandler())
    try:
        connect(endpoint(server)).close()
        with pytest.raises(ConsoleRefused) as caught:
            connect(endpoint(server, "403"))
    finally:
        websocket.enableTrace(traceable=False)
    assert "very-secret" not in caplog.text
    assert "very-secret" not in repr(caught.value) + json.dumps(caught.value.args)
