"""What stands between a checkup and the lab's API server: requests fail, consoles drop, requests meet each other.

It speaks plain HTTP to the checkup and TLS to the lab, so that it sees both a request and each byte of a console.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import ssl
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import yaml

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path
    from typing import Any

#: How a request fails: an HTTP status, or what becomes of the connection. ``lost`` is the worst: the request is
#: carried out, and its answer never comes.
FAILURES = (429, 500, 503, 504, "reset", "lost", "slow")
SLOW_SECONDS = 1.0
#: How long the first of two requests that are to meet waits for the other one.
MEETING_SECONDS = 10.0
REASONS = {429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"}


class Meeting:
    """Holds the first request that matches of each of ``parties`` until all of them have come."""

    def __init__(self, methods: tuple[str, ...], resource: str, parties: int = 2) -> None:
        self._methods = methods
        self._resource = f"/{resource}/"
        self._missing = parties
        self._all_came = asyncio.Event()

    def concerns(self, method: str, path: str) -> bool:
        return method in self._methods and self._resource in path

    async def join(self) -> None:
        self._missing -= 1
        if self._missing <= 0:
            self._all_came.set()
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(self._all_came.wait(), MEETING_SECONDS)


@dataclass(kw_only=True)
class Conduct:
    """How a middleman misbehaves.

    ``failure_rate`` is the share of requests that fail. Which ones is drawn from ``seed``, the request, and how often
    it was made before, so that it does not depend on the order in which threads come.
    ``cuts`` maps a node to the byte of its console's traffic, both ways together, at which the connection drops, once.
    """

    seed: str = ""
    failure_rate: float = 0.0
    cuts: dict[str, int] = field(default_factory=dict)
    meeting: Meeting | None = None


class Loop:
    """An event loop in a thread of its own, in which all middlemen live."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="middlemen")
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


class Middleman:
    """Hands requests on to the server of a kubeconfig, as its ``conduct`` says.

    ``traffic`` has the bytes of each node's console, ``cut`` the nodes whose console was dropped.
    """

    def __init__(self, loop: Loop, kubeconfig: Path, conduct: Conduct) -> None:
        self._loop = loop
        self._config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        self._conduct = conduct
        self._asked: Counter[tuple[str, str]] = Counter()
        self._nodes: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.traffic: Counter[str] = Counter()
        self.cut: set[str] = set()
        self.failed = 0
        url = urlsplit(self._config["clusters"][0]["cluster"]["server"])
        self._target = (url.hostname or "", url.port or 443)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE

    def __enter__(self):
        self._loop.run(self._start())
        return self

    def __exit__(self, *details: object) -> None:
        self._loop.run(self._stop())

    def write_kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that leads here, for the user of the one that was given."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        config = dict(self._config)
        config["clusters"] = [
            {"name": config["clusters"][0]["name"], "cluster": {"server": f"http://127.0.0.1:{port}"}}
        ]
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(*self._target, ssl=self._tls)
        answers = _Answers(back, writer)
        pumping = asyncio.create_task(answers.pump())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, path, fields = _read_head(head)
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                self._learn_nodes(method, path, body)
                meeting = self._conduct.meeting
                if meeting is not None and meeting.concerns(method, path):
                    self._conduct.meeting = None
                    await meeting.join()
                failure = self._failure(method, path)
                if failure == "reset":
                    return
                if failure in REASONS:
                    writer.write(_error(failure))
                    await writer.drain()
                    continue
                if failure == "slow":
                    await asyncio.sleep(SLOW_SECONDS)
                if "upgrade" in fields:
                    pumping.cancel()
                    await asyncio.gather(pumping, return_exceptions=True)
                    forth.write(head)
                    await forth.drain()
                    if failure != "lost":
                        node = self._nodes.get(path.split("/")[-2], "")
                        await self._console(node, (reader, forth), (back, writer))
                    return
                answers.is_lost = failure == "lost"
                forth.write(head + body)
                await forth.drain()
        finally:
            pumping.cancel()
            await asyncio.gather(pumping, return_exceptions=True)
            forth.transport.abort()

    def _learn_nodes(self, method: str, path: str, body: bytes) -> None:
        """Note the node to which a VMI is pinned."""
        if method == "POST" and path.endswith("/virtualmachineinstances"):
            vmi = json.loads(body)
            with contextlib.suppress(KeyError):
                rule = vmi["spec"]["affinity"]["nodeAffinity"][
                    "requiredDuringSchedulingIgnoredDuringExecution"
                ]
                chosen = rule["nodeSelectorTerms"][0]["matchExpressions"][0]["values"][0]
                self._nodes[vmi["metadata"]["name"]] = chosen

    def _failure(self, method: str, path: str) -> int | str | None:
        """Say how this request fails, or None."""
        if not self._conduct.failure_rate:
            return None
        # The names of VMIs are random: what counts is the kind of request.
        kind = path.partition("?")[0].split("/virtualmachineinstances/")[0]
        self._asked[method, kind] += 1
        rng = random.Random(f"{self._conduct.seed}/{method}/{kind}/{self._asked[method, kind]}")
        if rng.random() >= self._conduct.failure_rate:
            return None
        self.failed += 1
        return rng.choice(FAILURES)

    async def _console(
        self,
        node: str,
        there: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        back: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """Hand a console's bytes on, both ways, until either side ends or its byte has come."""
        head = await back[0].readuntil(b"\r\n\r\n")
        back[1].write(head)
        pumps = [asyncio.create_task(self._pump(node, *way)) for way in (there, back)]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        writer = back[1]
        if node in self.cut and self._conduct.cuts[node] % 8 == 0:
            # A load balancer ends a connection in either way: with the end of TCP's stream, or with a reset.
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _pump(self, node: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            cut = self._conduct.cuts.get(node)
            if cut is not None and node not in self.cut and self.traffic[node] + len(data) >= cut:
                writer.write(data[: cut - self.traffic[node]])
                self.traffic[node] = cut
                self.cut.add(node)
                return
            self.traffic[node] += len(data)
            writer.write(data)
            await writer.drain()


class _Answers:
    """Hands answers on; those that are ``is_lost`` end the connection instead."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.is_lost = False

    async def pump(self) -> None:
        with contextlib.suppress(OSError):
            while data := await self._reader.read(65536):
                if self.is_lost:
                    break
                self._writer.write(data)
                await self._writer.drain()
        self._writer.transport.abort()


def _read_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    """Method, path and fields of a request; the fields' names are in lower case."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    fields = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    return method, path, fields


def _error(code: int) -> bytes:
    """An answer with a Status, as a Kubernetes API server gives it."""
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "the soak fails this request",
        "reason": REASONS[code],
        "code": code,
    }
    body = json.dumps(status).encode()
    retry = "Retry-After: 1\r\n" if code == 429 else ""
    head = f"HTTP/1.1 {code} {REASONS[code]}\r\nContent-Type: application/json\r\n{retry}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
