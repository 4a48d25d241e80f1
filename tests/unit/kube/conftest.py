"""A scripted API server on loopback: real HTTP, answers in the order of a script."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from kubescript import ScriptedServer, Seen

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.kube.client import KubeClient


@pytest.fixture
def server():
    script = ScriptedServer()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self):
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            path = self.path.partition("?")[0]
            is_form = self.headers.get("Content-Type") == "application/x-www-form-urlencoded"
            read = parse_qs if is_form else json.loads
            with lock:
                script.seen.append(
                    Seen(self.command, self.path, dict(self.headers), read(raw.decode()) if raw else None)
                )
                queue = script.answers.get(f"{self.command} {path}") or [(404, b"404 page not found\n")]
                entry = queue.pop(0) if len(queue) > 1 else queue[0]
            if entry[0] == "reset":
                self.close_connection = True
                return
            if entry[0] == "late":
                # Seconds, and the answer.
                time.sleep(entry[1])
                entry = (200, entry[2])
            body = entry[1] if isinstance(entry[1], bytes) else json.dumps(entry[1]).encode()
            headers = entry[2] if len(entry) > 2 else {}
            self.send_response_only(entry[0])
            for name, value in {"Date": self.date_time_string(), **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def log_message(self, *args):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    script.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()

    def stop():
        httpd.shutdown()
        httpd.server_close()
        thread.join()

    script.stop = stop
    yield script
    stop()


@pytest.fixture
def write_kubeconfig(tmp_path):
    def write(server, *, name="kubeconfig", user=None, cluster=None, namespace=None, context="lab"):
        chosen = {"cluster": "c", "user": "u"}
        if namespace:
            chosen["namespace"] = namespace
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": context,
            "contexts": [{"name": context, "context": chosen}],
            "clusters": [{"name": "c", "cluster": {"server": server, **(cluster or {})}}],
            "users": [{"name": "u", "user": user or {"token": "s3cr3t-t0ken"}}],
        }
        path = tmp_path / name
        # Which is YAML, too, and written faster.
        path.write_text(json.dumps(content))
        return path

    return write


@pytest.fixture
def client(server, write_kubeconfig):
    made = KubeClient.connect(kubeconfig=write_kubeconfig(server.url, namespace="checks"), context=None)
    yield made
    made.close()


@pytest.fixture
def deadline():
    return Deadline(60)
