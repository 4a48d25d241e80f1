"""A control plane on a background thread, and the clients that talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from pytest_kvlatency.lab.apiserver.controlplane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from concurrent.futures import Future
    from pathlib import Path


class Loop:
    """An event loop on a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(60)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


@dataclass(frozen=True)
class Answer:
    code: int
    body: Any
    headers: Any


class Client:
    """Plain HTTP with one credential."""

    def __init__(self, plane: ControlPlane, token: str | None, **tls: Any) -> None:
        self.server = plane.server
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.pool = urllib3.PoolManager(
            ca_certs=str(plane.directory / "ca.crt"), retries=False, timeout=60, **tls
        )

    def __call__(
        self, method: str, path: str, body: Any = None, media: str = "application/json", **headers: str
    ):
        sent = {**self.headers, "Content-Type": media, **{k.replace("_", "-"): v for k, v in headers.items()}}
        raw = body if isinstance(body, (bytes, str, type(None))) else json.dumps(body)
        answer = self.pool.request(method, self.server + path, body=raw, headers=sent)
        try:
            parsed = json.loads(answer.data)
        except ValueError:
            parsed = answer.data.decode()
        return Answer(answer.status, parsed, answer.headers)

    def events(self, path: str) -> Iterator[dict[str, Any]]:
        answer = self.pool.request("GET", self.server + path, headers=self.headers, preload_content=False)
        buffer = b""
        try:
            for chunk in answer.stream(65536):
                buffer += chunk
                while b"\n" in buffer:
                    line, _, buffer = buffer.partition(b"\n")
                    yield json.loads(line)
        finally:
            answer.close()


class Lab:
    """One running control plane."""

    def __init__(self, loop: Loop, plane: ControlPlane) -> None:
        self.loop = loop
        self.plane = plane
        self.admin = Client(plane, plane.admin_token)
        #: The environment of kubectl, which ends before its collector has cleared away what that costs.
        self.kubectls = {"PATH": os.environ["PATH"], "HOME": str(plane.directory), "GOGC": "off"}

    def client(self, token: str | None) -> Client:
        return Client(self.plane, token)

    def user(self, name: str, *groups: str) -> Client:
        return Client(self.plane, self.plane.token_for(name, groups))

    def audit(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.plane.directory / "audit.jsonl").read_text().splitlines()]

    def kubectl(
        self, *args: str, stdin: str | None = None, check: bool = True, kubeconfig: Path | None = None
    ):
        config = kubeconfig or self.plane.kubeconfig
        done = subprocess.run(
            ["kubectl", f"--kubeconfig={config}", *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            env=self.kubectls,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {args}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def start(loop: Loop, tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Start control planes with arguments of one's own."""
    with contextlib.ExitStack() as stack:

        def make(**arguments: Any) -> Lab:
            directory = tmp_path / f"lab-{len(list(tmp_path.iterdir()))}"
            plane = ControlPlane(directory=directory, **arguments)
            loop.run(plane.start())
            stack.callback(lambda: loop.run(plane.stop()))
            return Lab(loop, plane)

        yield make


@pytest.fixture(scope="module")
def shared(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    plane = ControlPlane(directory=tmp_path_factory.mktemp("lab"))
    loop.run(plane.start())
    yield Lab(loop, plane)
    loop.run(plane.stop())


@pytest.fixture
def lab(shared: Lab, request: pytest.FixtureRequest) -> Lab:
    """The module's control plane."""
    return shared


@pytest.fixture
def ns(shared: Lab, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own."""
    made = shared.admin(
        "POST",
        "/api/v1/namespaces",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "test-"}},
    )
    name = made.body["metadata"]["name"]
    yield name
    shared.admin("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def kubectl(lab: Lab):
    """kubectl against the module's control plane, as its administrator."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH")
    return lab.kubectl
