"""What stands between a client and an API server: a proxy that tunnels, and a server that hands on."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from urllib.parse import urlsplit

import yaml

from pytest_kvlatency.lab.apiserver.certs import Authority


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, target, **facts):
        super().__init__(("127.0.0.1", 0), self.handler)
        self.target = target
        self.port = self.server_address[1]
        self.seen = []
        vars(self).update(facts)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *details):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """Say nothing of clients that leave."""


def _pump(source, sink, change=lambda data: data):
    with contextlib.suppress(OSError, ValueError):
        while data := source.recv(65536):
            sink.sendall(change(data))
    for one in (source, sink):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def _head(connection):
    data = b""
    while not data.endswith(b"\r\n\r\n") and (byte := connection.recv(1)):
        data += byte
    return data.decode("latin-1")


class _Tunnel(socketserver.BaseRequestHandler):
    def handle(self):
        head = _head(self.request)
        self.server.seen.append(head)
        login = f"Proxy-Authorization: Basic {self.server.login}".lower()
        if login not in head.lower():
            self.request.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        with socket.create_connection(self.server.target) as upstream:
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=_pump, args=(upstream, self.request), daemon=True).start()
            _pump(self.request, upstream)


class ConnectProxy(_Server):
    """An HTTP proxy that tunnels to ``target`` whatever host it is asked for, if the ``login`` (base64) is right."""

    handler = _Tunnel


class _HandOn(socketserver.BaseRequestHandler):
    def handle(self):
        server = self.server
        prefix = f" {server.prefix}/".encode()
        outside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        outside.load_cert_chain(server.certificate, server.key)
        inside = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        inside.check_hostname, inside.verify_mode = False, ssl.CERT_NONE
        is_raw = is_lost = False

        def without_prefix(data):
            nonlocal is_raw, is_lost
            method, _, rest = data.partition(b" ")
            if is_raw or method not in (b"GET", b"POST", b"PUT", b"PATCH", b"DELETE"):
                return data
            if not (b" " + rest).startswith(prefix):
                raise ValueError("a request that is not below the prefix")
            server.seen.append(data.split(b"\r\n", 1)[0].decode())
            if server.refuses(data):
                raise ValueError("a request that is not handed on")
            is_raw = b"upgrade: websocket" in data.lower()
            is_lost = server.loses_answer(data)
            return method + b" /" + (b" " + rest)[len(prefix) :]

        def unless_lost(data):
            if is_lost:
                raise ValueError("an answer that is not handed on")
            return data

        with (
            outside.wrap_socket(self.request, server_side=True) as client,
            inside.wrap_socket(socket.create_connection(server.target)) as upstream,
        ):
            threading.Thread(target=_pump, args=(upstream, client, unless_lost), daemon=True).start()
            _pump(client, upstream, without_prefix)


class PrefixServer(_Server):
    """An HTTPS server with a ``certificate`` of its own that hands on what is asked for below ``prefix``."""

    handler = _HandOn

    def refuses(self, data):
        """Whether the connection ends instead of the request being handed on."""
        return False

    def loses_answer(self, data):
        """Whether the request is handed on, and its answer is not."""
        return False


class LossyServer(PrefixServer):
    """Loses the answers to the first ``lost`` requests that write a ConfigMap; the API server has obeyed them."""

    prefix = ""

    def loses_answer(self, data):
        method, path = data.split(b" ", 2)[:2]
        if self.lost and method in (b"PATCH", b"PUT") and b"/configmaps/" in path:
            self.lost -= 1
            return True
        return False


class DeletionRefusingServer(PrefixServer):
    """Hands no deletion of a VMI on as long as it ``is_refusing``."""

    prefix = ""

    def refuses(self, data):
        return self.is_refusing and self.is_deletion(data.decode("latin-1"))

    @staticmethod
    def is_deletion(request):
        method, path = request.split(" ", 2)[:2]
        return method == "DELETE" and "/virtualmachineinstances/" in path

    @property
    def deletions(self):
        """How many deletions it was asked for."""
        return sum(map(self.is_deletion, self.seen))


@contextlib.contextmanager
def in_front_of(cluster, kind, directory, **facts):
    """Start a server of that kind in front of a cluster's API; ``trust`` is what a kubeconfig says of it."""
    authority = Authority()
    certificate, key = authority.server()
    (directory / "server.crt").write_bytes(certificate)
    (directory / "server.key").write_bytes(key)
    url = urlsplit(yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]["server"])
    own = {"certificate": directory / "server.crt", "key": directory / "server.key"}
    with kind((url.hostname, url.port), **own, **facts) as server:
        server.trust = {
            "server": f"https://127.0.0.1:{server.port}",
            "certificate-authority-data": authority.ca_base64,
        }
        yield server
