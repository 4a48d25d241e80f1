"""How KubeVirt's Go programs talk: client-go's requests, gorilla's websocket handshake, goexpect's dialogue."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import re
import ssl
from urllib.parse import urlsplit

import aiohttp

# A real kernel's own lines arrive whole, and anywhere: the programs played here would stumble over them now and then.
_KERNEL_LINE = re.compile(r"\[ *\d+\.\d{6}\] [^\r\n]*\r\n")
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: client-go without and with protobuf preferred.
JSON_FIRST = "application/json, */*"
PROTOBUF_FIRST = "application/vnd.kubernetes.protobuf,application/json"


class Rest:
    """client-go's REST client: what it sends, and ``StatusError`` from what comes back."""

    def __init__(self, plane, token, accept=JSON_FIRST):
        self._plane = plane
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Accept": accept,
            "User-Agent": "kubevirt-vm-latency/v0.0.0 (linux/amd64) kubernetes/$Format",
            "Accept-Encoding": "gzip",
        }
        self.tls = ssl.create_default_context(cafile=str(plane.directory / "ca.crt"))
        self.token = token

    async def __call__(self, verb, path, body=None):
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        raw = None if body is None else json.dumps(body).encode() + b"\n"
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(verb, self._plane.server + path, data=raw, ssl=self.tls) as answer,
        ):
            found = await answer.json(content_type=None)
            # client-go decodes by this header.
            assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
            if answer.status >= 400:
                assert (found["kind"], found["apiVersion"], found["status"]) == ("Status", "v1", "Failure")
                raise StatusError(found)
            return found

    async def console(self, namespace, name, version="v1"):
        """Connect as kubecli's SerialConsole does; raises ``StatusError`` as its ``enrichError`` does."""
        url = urlsplit(self._plane.server)
        reader, writer = await asyncio.open_connection(url.hostname, url.port, ssl=self.tls)
        key = base64.b64encode(os.urandom(16))
        path = f"/apis/subresources.kubevirt.io/{version}/namespaces/{namespace}/virtualmachineinstances/{name}/console"
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {url.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key.decode()}",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: plain.kubevirt.io",
            f"Authorization: Bearer {self.token}",
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        if head[0].split()[1] != "101":
            # Anything but this very text, and KubeVirt's client says only "bad handshake".
            assert headers["content-type"] == "application/json"
            status = json.loads(await reader.readexactly(int(headers["content-length"])))
            writer.close()
            raise StatusError(status)
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
        assert headers["upgrade"].lower() == "websocket"
        assert "upgrade" in headers["connection"].lower()
        assert headers["sec-websocket-accept"] == accept
        assert headers["sec-websocket-protocol"] == "plain.kubevirt.io"
        return Expecter(reader, writer)


class StatusError(Exception):
    def __init__(self, status):
        super().__init__(status["message"])
        self.code = status["code"]
        self.reason = status["reason"]


class Expecter:
    """goexpect over the console: a match uses up all that was read so far, a time-out nothing."""

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer
        self._raw = b""
        self._buffer = ""

    def send(self, text):
        data, mask = text.encode(), os.urandom(4)
        assert len(data) < 126
        self._writer.write(
            bytes([0x82, 0x80 | len(data)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data))
        )

    async def expect(self, pattern, seconds):
        return await asyncio.wait_for(self._expect(pattern), seconds)

    async def _expect(self, pattern):
        while not re.search(pattern, self._buffer):
            received = await self._reader.read(65536)
            assert received, f"the console ended: {self._buffer!r}"
            self._raw += received
            while (frame := self._frame()) is not None:
                self._buffer = _KERNEL_LINE.sub("", self._buffer + frame.decode(errors="replace"))
        text, self._buffer = self._buffer, ""
        return text

    def _frame(self):
        """Take a whole frame's content from what was received, None while there is none."""
        raw, more = self._raw, 0
        if len(raw) < 2:
            return None
        assert raw[0] == 0x82, "a whole binary frame is expected"
        length = raw[1]
        if length > 125:
            more = 2 if length == 126 else 8
            length = int.from_bytes(raw[2 : 2 + more], "big")
        start = 2 + more
        if len(raw) < start + length:
            return None
        self._raw = raw[start + length :]
        return raw[start : start + length]

    async def close(self):
        self._writer.close()
        # What the guest still prints comes after this side's farewell.
        with contextlib.suppress(ssl.SSLError):
            await asyncio.wait_for(self._writer.wait_closed(), 5)
