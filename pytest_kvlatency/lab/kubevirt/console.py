"""KubeVirt's aggregated API: the console subresource, behind the control plane, on loopback.

The control plane has authenticated and authorized a request before it comes here, and shows it by a secret header.
Facts: websocket subprotocol ``plain.kubevirt.io``, raw bytes in binary frames, one connection per VMI, no keepalive,
no scrollback; an end is always the end of the TCP connection, without a close frame.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from typing import TYPE_CHECKING, Any, Final

from aiohttp import WSMsgType, web

from pytest_kvlatency.lab.kubevirt import vmiobject as vmis
from pytest_kvlatency.lab.kubevirt.api import VMIS, ApiStatusError
from pytest_kvlatency.lab.kubevirt.faultbook import Subject

if TYPE_CHECKING:
    from pytest_kvlatency.lab.kubevirt.labcluster import LabCluster, RunningGuest

GROUP: Final = "subresources.kubevirt.io"
VERSIONS: Final = ("v1", "v1alpha3")
PROTOCOL: Final = "plain.kubevirt.io"
SECRET_HEADER: Final = "X-Lab-Secret"  # noqa: S105 (its name)
#: What a client that does not read may leave unread before its connection is dropped.
_MAX_UNREAD: Final = 8 * 2**20


def _status(code: int, reason: str, message: str) -> web.Response:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    # KubeVirt's client reads a refusal's words only where the type has no charset.
    return web.Response(body=json.dumps(body).encode(), status=code, content_type="application/json")


_REASONS: Final = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict",
    429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable",
}  # fmt: skip


class Connection:
    """One open console: bytes from the guest go out in frames, until someone ends it."""

    def __init__(self, running: RunningGuest, *, shred: bool) -> None:
        self._guest = running.guest
        self._left = running.left
        self._shred = shred
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._unread = 0
        self._ended = asyncio.Event()
        self.last_traffic = asyncio.get_running_loop().time()

    def end(self) -> None:
        """Have the TCP connection closed, without a close frame."""
        self._ended.set()

    def receive(self, data: bytes) -> None:
        """Take output of the guest (its sink)."""
        self._touch()
        self._unread += len(data)
        if self._unread > _MAX_UNREAD:
            self.end()
        else:
            self._queue.put_nowait(data)

    def _touch(self) -> None:
        self.last_traffic = asyncio.get_running_loop().time()

    async def serve(
        self, request: web.Request, socket: web.WebSocketResponse, *aside: asyncio.Task[None]
    ) -> None:
        """Pass bytes both ways until the client goes, or the connection or the guest ends."""
        self._guest.attach(self.receive)
        tasks = [
            asyncio.create_task(self._from_client(socket)),
            asyncio.create_task(self._to_client(socket)),
            asyncio.create_task(self._guest_exit()),
            asyncio.create_task(self._wait_ended()),
            asyncio.create_task(self._wait_left()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[2].done() and not tasks[0].done():
                await self._flush(socket)
        finally:
            self._guest.detach(self.receive)
            for task in (*tasks, *aside):
                task.cancel()
            await asyncio.gather(*tasks, *aside, return_exceptions=True)
            if request.transport is not None:
                request.transport.close()

    async def _from_client(self, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            self._touch()
            if message.type is WSMsgType.BINARY:
                self._guest.write(message.data)

    async def _to_client(self, socket: web.WebSocketResponse) -> None:
        while True:
            await self._send(socket, await self._queue.get())

    async def _flush(self, socket: web.WebSocketResponse) -> None:
        """Send the last words of a guest that is gone."""
        while not self._queue.empty():
            await self._send(socket, self._queue.get_nowait())

    async def _send(self, socket: web.WebSocketResponse, data: bytes) -> None:
        self._unread -= len(data)
        for piece in [bytes([byte]) for byte in data] if self._shred else [data]:
            await socket.send_bytes(piece)

    async def _guest_exit(self) -> None:
        await self._guest.wait_exit()

    async def _wait_ended(self) -> None:
        await self._ended.wait()

    async def _wait_left(self) -> None:
        await self._left.wait()


class ConsoleServer:
    """Serves the subresources of VMIs to those who show ``secret``. ``base_url`` is known after ``start``."""

    def __init__(self, cluster: LabCluster, secret: str) -> None:
        self._cluster = cluster
        self._secret = secret
        self._open: dict[str, Connection] = {}
        self._runner: web.AppRunner | None = None
        self.base_url = ""

    async def start(self) -> None:
        """Listen on a free port of 127.0.0.1."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get(f"/apis/{GROUP}", self._group)
        for version in VERSIONS:
            prefix = f"/apis/{GROUP}/{version}"
            app.router.add_get(prefix, self._resources)
            app.router.add_get(f"{prefix}/version", self._version)
            app.router.add_get(f"{prefix}/healthz", self._healthz)
            path = f"{prefix}/namespaces/{{namespace}}/virtualmachineinstances/{{name}}/console"
            app.router.add_get(path, self._console)
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Close every connection."""
        for connection in tuple(self._open.values()):
            connection.end()
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if not hmac.compare_digest(request.headers.get(SECRET_HEADER, ""), self._secret):
            return _status(403, "Forbidden", "only the control plane may ask here")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _group(self, request: web.Request) -> web.Response:
        del request
        versions = [{"groupVersion": f"{GROUP}/{version}", "version": version} for version in VERSIONS]
        body = {"kind": "APIGroup", "apiVersion": "v1", "name": GROUP, "versions": versions}
        return web.json_response(body | {"preferredVersion": versions[0]})

    async def _resources(self, request: web.Request) -> web.Response:
        version = request.path.rstrip("/").rpartition("/")[2]
        resources = [
            {"name": "version", "singularName": "", "namespaced": False, "kind": "", "verbs": ["get"]},
            {"name": "healthz", "singularName": "", "namespaced": False, "kind": "", "verbs": ["get"]},
            {
                "name": "virtualmachineinstances/console",
                "singularName": "",
                "namespaced": True,
                "kind": "",
                "verbs": ["get"],
            },
        ]
        return web.json_response(
            {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{GROUP}/{version}",
                "resources": resources,
            }
        )

    async def _version(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(
            {
                "gitVersion": self._cluster.spec.kubevirt_version,
                "gitCommit": "0" * 40,
                "gitTreeState": "clean",
                "buildDate": "2025-01-01T00:00:00Z",
                "goVersion": "go1.23.4",
                "compiler": "gc",
                "platform": "linux/amd64",
            }
        )

    async def _healthz(self, request: web.Request) -> web.Response:
        del request
        version = self._cluster.spec.kubevirt_version
        return web.json_response({"apiserver": {"connectivity": "ok", "version": version}})

    async def _console(self, request: web.Request) -> web.StreamResponse:
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        try:
            vmi = await self._cluster.api.get(VMIS, namespace, name)
        except ApiStatusError as error:
            return _status(500, "InternalError", f"unable to retrieve vmi [{name}]: {error}")
        if vmi is None:
            return _status(404, "NotFound", f'virtualmachineinstance.kubevirt.io "{name}" not found')
        refusal = self._refusal(vmi)
        if refusal is not None:
            return refusal
        running = self._cluster.guests.get((namespace, name))
        subject = Subject(
            vmi=name,
            node=running.node if running else str(vmi["status"].get("nodeName", "")),
            networks=tuple(vmis.networks(vmi).values()),
        )
        fault = self._cluster.faults.strike("console-error", subject)
        if fault is not None:
            code = int(fault.parameters.get("code", 500))
            text = f"dialing virt-handler: websocket: bad handshake ({code})"
            return _status(code, _REASONS.get(code, "InternalError"), text)
        if running is not None and asyncio.get_running_loop().time() < running.opens_at:
            text = "dialing virt-handler: failed opening virt-serial0: no such file or directory"
            return _status(500, "InternalError", text)
        socket = web.WebSocketResponse(protocols=(PROTOCOL,), compress=False, max_msg_size=2**20)
        await socket.prepare(request)
        gone = running is None or running.uid != vmi["metadata"]["uid"]
        if gone or self._cluster.faults.strike("console-late-eof", subject) is not None:
            # The handler upgrades before it dials the serial socket: a failed dial is an upgrade and then EOF.
            if request.transport is not None:
                request.transport.close()
            return socket
        assert running is not None  # noqa: S101 (``gone`` says so)
        await self._serve(request, socket, running, subject)
        return socket

    def _refusal(self, vmi: dict[str, Any]) -> web.Response | None:
        name = vmi["metadata"]["name"]
        phase = (vmi.get("status") or {}).get("phase")
        if not vmis.serial_console(vmi):
            return _status(400, "BadRequest", "No serial consoles are present.")
        if phase == "Failed":
            text = f'Operation cannot be fulfilled on virtualmachineinstance.kubevirt.io "{name}": '
            return _status(409, "Conflict", f"{text}VMI is in failed status")
        if phase != "Running":
            return _status(400, "BadRequest", "VMI is not running")
        return None

    async def _serve(
        self, request: web.Request, socket: web.WebSocketResponse, running: RunningGuest, subject: Subject
    ) -> None:
        faults = self._cluster.faults
        connection = Connection(running, shred=faults.strike("console-shred", subject) is not None)
        older = self._open.get(running.uid)
        if older is not None:
            older.end()
        self._open[running.uid] = connection
        aside = []
        for name in ("console-drop", "console-evict"):
            fault = faults.strike(name, subject)
            if fault is not None:
                aside.append(asyncio.create_task(_end_after(connection, fault.after_seconds)))
        fault = faults.strike("console-idle", subject)
        if fault is not None:
            aside.append(asyncio.create_task(_end_when_idle(connection, fault.after_seconds)))
        try:
            await connection.serve(request, socket, *aside)
        finally:
            if self._open.get(running.uid) is connection:
                del self._open[running.uid]


async def _end_after(connection: Connection, seconds: float) -> None:
    await asyncio.sleep(seconds)
    connection.end()


async def _end_when_idle(connection: Connection, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    while (rest := connection.last_traffic + seconds - loop.time()) > 0:  # noqa: ASYNC110 (a clock, no event)
        await asyncio.sleep(rest)
    connection.end()
