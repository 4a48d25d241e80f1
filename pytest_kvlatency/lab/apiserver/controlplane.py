"""The control plane as a server: TLS on loopback, a kubeconfig to reach it, and the parts wired together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from aiohttp import web

from pytest_kvlatency.lab.apiserver import defaultobjects
from pytest_kvlatency.lab.apiserver.admission import Admission
from pytest_kvlatency.lab.apiserver.app import Application, Parts
from pytest_kvlatency.lab.apiserver.audit import AuditLog
from pytest_kvlatency.lab.apiserver.authn import Authenticator
from pytest_kvlatency.lab.apiserver.certs import Authority
from pytest_kvlatency.lab.apiserver.controllers import Controllers
from pytest_kvlatency.lab.apiserver.discovery import Discovery
from pytest_kvlatency.lab.apiserver.faultgate import FaultGate
from pytest_kvlatency.lab.apiserver.handlers import Handlers
from pytest_kvlatency.lab.apiserver.proxy import Proxy, Upstream
from pytest_kvlatency.lab.apiserver.rbac import MASTERS, Authorizer
from pytest_kvlatency.lab.apiserver.registry import Registry
from pytest_kvlatency.lab.apiserver.reviews import Reviews
from pytest_kvlatency.lab.apiserver.store import Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pytest_kvlatency.lab.spec.labspec import FaultSpec

_ADMIN = "kubernetes-admin"
#: Longer than any client keeps an idle connection, so that the server never closes one that is about to be used.
_KEEPALIVE_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True)
class Versions:
    """What ``/version`` says."""

    kubernetes: str = "v1.32.4"


def _write_private(path: Path, data: bytes) -> None:
    """Write a file that no other user may read, from its first moment on."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)


class ControlPlane:
    """An API server on 127.0.0.1.

    ``directory`` gets ``kubeconfig``, ``ca.crt``, ``client.crt`` and ``client.key`` (an administrator by
    certificate) and ``audit.jsonl``. ``faults`` of other parts of the lab are ignored. ``clock`` gives seconds
    since the epoch. After ``start`` the attributes ``server``, ``kubeconfig`` and ``admin_token`` are set.
    """

    def __init__(
        self,
        *,
        directory: Path,
        faults: Sequence[FaultSpec] = (),
        port: int = 0,
        clock: Callable[[], float] = time.time,
        versions: Versions = Versions(),
    ) -> None:
        self.directory = Path(directory)
        self.kubeconfig = self.directory / "kubeconfig"
        self.server = ""
        self._port = port
        self._clock = clock
        self._versions = versions
        self._started = time.monotonic()
        self.store = Store()
        self._registry = Registry(self.store, clock)
        self._authority = Authority()
        self._authenticator = Authenticator(self.store, clock)
        self._authorizer = Authorizer(self.store)
        self._discovery = Discovery()
        self._gate = FaultGate(faults, lambda: time.monotonic() - self._started)
        self._proxy = Proxy()
        self._upstreams: dict[tuple[str, str], Upstream] = {}
        self._controllers: Controllers | None = None
        self._audit: AuditLog | None = None
        self._parts: Parts | None = None
        self._pod_logs: Callable[[str, str, str | None], Awaitable[bytes | None]] | None = None
        self._http: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self.admin_token = self._authenticator.mint(_ADMIN, [MASTERS])

    async def start(self) -> None:
        """Bind, write the files, and answer from now on. Raises OSError where binding or writing fails."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._started = time.monotonic()
        self._audit = AuditLog(self.directory / "audit.jsonl")
        self._controllers = Controllers(self._registry)
        defaultobjects.populate(self._registry)
        self._parts = Parts(
            authenticator=self._authenticator,
            authorizer=self._authorizer,
            admission=Admission(self._authorizer, self.store),
            handlers=Handlers(self._registry, self._clock),
            reviews=Reviews(self._authorizer, self._authenticator, self._registry),
            discovery=self._discovery,
            gate=self._gate,
            proxy=self._proxy,
            audit=self._audit,
            clock=self._clock,
            version=self._version(),
            upstreams=self._upstreams,
            pod_logs=self._pod_logs,
        )
        self._http = web.Server(
            Application(self._parts).handle,
            handler_cancellation=True,
            keepalive_timeout=_KEEPALIVE_SECONDS,
            access_log=None,
        )
        context = await asyncio.get_running_loop().run_in_executor(None, self._tls)
        self._listener = await asyncio.get_running_loop().create_server(
            self._http, "127.0.0.1", self._port, ssl=context, backlog=512
        )
        self._port = self._listener.sockets[0].getsockname()[1]
        self.server = f"https://127.0.0.1:{self._port}"
        self._parts.server = self.server
        self._write_files()

    async def stop(self) -> None:
        """End every connection and close the files. May be called twice, or without a start."""
        if self._listener is not None:
            self._listener.close()
        if self._controllers is not None:
            self._controllers.stop()
            self._controllers = None
        await self._proxy.close()
        if self._http is not None:
            # Watches never end by themselves, and some clients never say goodbye: wait for neither.
            transports = [handler.transport for handler in self._http.connections]
            await self._http.shutdown(0.1)
            for transport in transports:
                if transport is not None:
                    transport.abort()
            self._http = None
        if self._listener is not None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._listener.wait_closed(), 1)
            self._listener = None
        if self._audit is not None:
            self._audit.close()
            self._audit = None

    def _tls(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        cert, key = self._authority.server()
        # The ssl module loads a certificate from files only; they are gone before anybody can connect.
        with tempfile.TemporaryDirectory(prefix="kvlatency-lab-") as folder:
            cert_path, key_path = Path(folder, "server.crt"), Path(folder, "server.key")
            cert_path.write_bytes(cert)
            _write_private(key_path, key)
            context.load_cert_chain(cert_path, key_path)
        context.load_verify_locations(cadata=self._authority.ca_pem.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def _version(self) -> dict[str, str]:
        major, minor = self._versions.kubernetes.removeprefix("v").split(".")[:2]
        return {
            "major": major,
            "minor": minor,
            "gitVersion": self._versions.kubernetes,
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "",
            "compiler": "",
            "platform": "linux/amd64",
        }

    def _write_files(self) -> None:
        (self.directory / "ca.crt").write_bytes(self._authority.ca_pem)
        cert, key = self.client_certificate(_ADMIN, [MASTERS])
        (self.directory / "client.crt").write_bytes(cert)
        _write_private(self.directory / "client.key", key)
        _write_private(self.kubeconfig, self.kubeconfig_for(self.admin_token, user="admin").encode())

    # What the rest of the lab asks for

    def kubeconfig_for(self, token: str, *, user: str = "user", namespace: str = "default") -> str:
        """Return a kubeconfig (YAML) that reaches this server with ``token``; its context is ``lab``."""
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [
                    {
                        "name": "lab",
                        "cluster": {
                            "server": self.server,
                            "certificate-authority-data": self._authority.ca_base64,
                        },
                    }
                ],
                "users": [{"name": user, "user": {"token": token}}],
                "contexts": [
                    {"name": "lab", "context": {"cluster": "lab", "user": user, "namespace": namespace}}
                ],
                "current-context": "lab",
            },
            sort_keys=False,
        )

    def token_for(self, user: str, groups: Sequence[str] = ()) -> str:
        """Mint a bearer token. With the group ``system:masters`` it is the lab's own, and no fault strikes it."""
        return self._authenticator.mint(user, groups, own=True)

    def client_certificate(self, user: str, groups: Sequence[str] = ()) -> tuple[bytes, bytes]:
        """Issue a client certificate; return it and its key (PEM)."""
        return self._authority.client(user, groups)

    def add_aggregated(
        self,
        group: str,
        version: str,
        base_url: str,
        ssl_context: ssl.SSLContext | None,
        header_secret: str,
    ) -> None:
        """Hand ``/apis/GROUP/VERSION/…`` on to ``base_url``, which is told the user and the secret in headers."""
        self._upstreams[group, version] = Upstream(
            base_url=base_url, ssl_context=ssl_context, secret=header_secret
        )
        self._discovery.add_aggregated(group, version)

    def set_pod_log_provider(
        self, provider: Callable[[str, str, str | None], Awaitable[bytes | None]]
    ) -> None:
        """Take pods' logs from ``provider(namespace, pod, container)``; None from it means: no such container."""
        self._pod_logs = provider
        if self._parts is not None:
            self._parts.pod_logs = provider
