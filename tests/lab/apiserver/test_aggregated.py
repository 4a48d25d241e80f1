"""The aggregated API: what goes through to the server behind, and what comes back."""

from __future__ import annotations

import asyncio
import json
import ssl

import aiohttp
import pytest
import websocket
from aiohttp import web

GROUP = "/apis/subresources.kubevirt.io/v1"
SECRET = "between-us"


def _console(ns, name):
    return f"{GROUP}/namespaces/{ns}/virtualmachineinstances/{name}/console"


class Upstream:
    """A console server; the VMI's name says how it behaves."""

    def __init__(self):
        self.seen = []
        self.gone = asyncio.Event()

    async def handle(self, request):
        self.seen.append({key.lower(): value for key, value in request.headers.items()})
        self.groups = request.headers.getall("X-Remote-Group", [])
        if not request.path.endswith("/console"):
            return web.json_response({"path": request.path_qs, "body": (await request.read()).decode()})
        name = request.path.split("/")[-2]
        if name == "stopped":
            body = {"kind": "Status", "code": 400, "message": "VMI is not running"}
            return web.json_response(body, status=400)
        socket = web.WebSocketResponse(protocols=("plain.kubevirt.io",), autoclose=False)
        await socket.prepare(request)
        if name == "evicted":
            await socket.send_bytes(b"last words")
            request.transport.close()
        elif name == "reset":
            request.transport.abort()
        elif name == "closing":
            await socket.close(code=4000, message=b"bye")
        else:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    await socket.send_bytes(message.data)
                elif message.type is aiohttp.WSMsgType.TEXT:
                    await socket.send_str(message.data)
            self.gone.set()
        return socket


@pytest.fixture
def upstream(start, loop):
    lab = start()
    made = Upstream()

    async def serve():
        runner = web.ServerRunner(web.Server(made.handle))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        lab.plane.add_aggregated("subresources.kubevirt.io", "v1", f"http://127.0.0.1:{port}", None, SECRET)
        return runner

    runner = loop.run(serve())
    made.lab = lab
    yield made
    loop.run(runner.cleanup())


def _connect(lab, name, token=None, **more):
    url = lab.plane.server.replace("https", "wss") + _console("default", name)
    return websocket.create_connection(
        url,
        header=[f"Authorization: Bearer {token or lab.plane.admin_token}"],
        subprotocols=["plain.kubevirt.io"],
        sslopt={"ca_certs": str(lab.plane.directory / "ca.crt"), "cert_reqs": ssl.CERT_REQUIRED},
        timeout=60,
        **more,
    )


def test_frames_pass_both_ways(upstream):
    socket = _connect(upstream.lab, "echo")
    assert socket.subprotocol == "plain.kubevirt.io"
    for payload in (b"\x00\xff", b"x" * 300_000):
        socket.send_binary(payload)
        assert socket.recv() == payload
    socket.send("text")
    assert socket.recv() == "text"
    socket.close()


def test_credentials_stay_here_and_the_user_goes_on(upstream):
    socket = _connect(upstream.lab, "echo")
    socket.close()
    headers = upstream.seen[0]
    assert "authorization" not in headers
    assert headers["x-remote-user"] == "kubernetes-admin"
    assert headers["x-lab-secret"] == SECRET
    assert upstream.groups == ["system:masters", "system:authenticated"]


def test_E82_the_impersonated_user_goes_on_and_its_headers_stay_here(upstream):
    upstream.lab.admin("GET", f"{GROUP}/version", None, Impersonate_User="jane", Impersonate_Group="dev")
    headers = upstream.seen[0]
    assert headers["x-remote-user"] == "jane"
    assert upstream.groups == ["dev", "system:authenticated"]
    assert not [name for name in headers if name.startswith("impersonate-")]


def test_a_client_cannot_claim_to_be_another(upstream):
    upstream.lab.admin("GET", f"{GROUP}/version", None, X_Remote_User="root", X_Lab_Secret="guess")
    assert upstream.seen[0]["x-remote-user"] == "kubernetes-admin"
    assert upstream.seen[0]["x-lab-secret"] == SECRET


def test_E14_a_refusal_passes_verbatim(upstream):
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        _connect(upstream.lab, "stopped")
    assert caught.value.status_code == 400
    assert json.loads(caught.value.resp_body)["message"] == "VMI is not running"
    line = upstream.lab.audit()[-1]
    assert (line["resource"], line["subresource"], line["name"], line["code"]) == (
        "virtualmachineinstances",
        "console",
        "stopped",
        400,
    )


def test_after_a_refusal_the_connection_serves_no_other_request(upstream):
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
    refused = upstream.lab.admin("GET", _console("default", "stopped"), None, **headers)
    assert (refused.code, refused.headers["Connection"]) == (400, "close")
    assert upstream.lab.admin("GET", "/api/v1/namespaces").body["kind"] == "NamespaceList"


def test_E08_an_end_without_a_close_frame_is_one_here_too(upstream):
    socket = _connect(upstream.lab, "evicted")
    assert socket.recv() == b"last words"
    with pytest.raises((websocket.WebSocketConnectionClosedException, OSError)):
        socket.recv()
    socket.shutdown()


def test_E10_a_reset_ends_the_clients_connection(upstream):
    socket = _connect(upstream.lab, "reset")
    with pytest.raises((websocket.WebSocketConnectionClosedException, OSError)):
        socket.recv()
    socket.shutdown()


def test_a_close_frame_passes(upstream):
    socket = _connect(upstream.lab, "closing")
    opcode, data = socket.recv_data(control_frame=True)
    assert opcode == websocket.ABNF.OPCODE_CLOSE
    assert data[:2] == (4000).to_bytes(2, "big")
    socket.shutdown()


def test_a_client_that_vanishes_ends_the_connection_behind(upstream, loop):
    socket = _connect(upstream.lab, "echo")
    socket.sock.close()
    loop.run(asyncio.wait_for(_wait(upstream.gone), 50))


async def _wait(event):
    await event.wait()


def test_E54_the_console_needs_its_own_permission(upstream):
    token = upstream.lab.plane.token_for("eve")
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        _connect(upstream.lab, "echo", token)
    assert caught.value.status_code == 403
    message = json.loads(caught.value.resp_body)["message"]
    assert message == (
        'virtualmachineinstances.subresources.kubevirt.io "echo" is forbidden: User "eve" cannot get resource '
        '"virtualmachineinstances/console" in API group "subresources.kubevirt.io" in the namespace "default"'
    )
    assert not upstream.seen


def test_plain_requests_pass(upstream):
    eve = upstream.lab.user("eve")
    assert eve("GET", f"{GROUP}/version?a=b%20c").body["path"] == f"{GROUP}/version?a=b%20c"
    put = f"{GROUP}/namespaces/default/virtualmachineinstances/v/pause"
    assert upstream.lab.admin("PUT", put, {"x": 1}).body["body"] == '{"x": 1}'


def test_discovery_knows_the_group(upstream):
    eve = upstream.lab.user("eve")
    group = eve("GET", "/apis/subresources.kubevirt.io").body
    assert group["preferredVersion"]["groupVersion"] == "subresources.kubevirt.io/v1"
    names = [item["name"] for item in eve("GET", GROUP).body["resources"]]
    assert "virtualmachineinstances/console" in names


def test_a_server_that_is_down_is_503(start):
    lab = start()
    lab.plane.add_aggregated("subresources.kubevirt.io", "v1", "http://127.0.0.1:9", None, SECRET)
    refused = lab.admin("GET", f"{GROUP}/version")
    assert (refused.code, refused.body["reason"]) == (503, "ServiceUnavailable")
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        _connect(lab, "echo")
    assert caught.value.status_code == 503
