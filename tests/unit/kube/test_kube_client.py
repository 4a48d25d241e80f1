from __future__ import annotations

import json
import queue
import re
import socket
import threading
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from kubescript import LAST_ANSWER, status_object

from pytest_kvlatency.deadline import Deadline, Stop
from pytest_kvlatency.errors import (
    CheckupTimeoutError,
    ConfigError,
    InterruptedRunError,
    KvLatencyError,
    PermissionDeniedError,
)
from pytest_kvlatency.kube.apierrors import ApiUnavailableError, KubeApiError
from pytest_kvlatency.kube.client import KubeClient
from pytest_kvlatency.kube.patience import (
    CONNECT_TIMEOUT,
    FIRST_ANSWER,
    FIRST_CONNECTION,
    PATIENCE,
    READ_TIMEOUTS,
)
from pytest_kvlatency.kube.pool import pool_of
from pytest_kvlatency.kube.watch import VmiWatch
from pytest_kvlatency.lab.apiserver.certs import Authority
from pytest_kvlatency.model import ServerEndpoint

VMIS = "/apis/kubevirt.io/v1/namespaces/checks/virtualmachineinstances"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_E62_trouble_is_retried_until_it_passes(server, client, deadline, status):
    server.answer("GET /version", (status, {}), (status, {}), {"gitVersion": "v1"})
    assert client.request("GET", "/version", deadline=deadline) == {"gitVersion": "v1"}
    assert len(server.seen) == 3


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_E62_only_the_api_itself_says_that_an_object_is_gone(server, client, deadline, method):
    middleman = (404, b"default backend - 404")
    starting = (404, b"404 page not found\n")
    server.answer(f"{method} {VMIS}/x", middleman, starting, status_object(404, "NotFound", "gone", name="x"))
    assert client.request(method, f"{VMIS}/x", deadline=deadline, ok_missing=True) == {}
    assert len(server.seen) == 3


def test_E62_a_404_that_stays_somebody_elses_is_told_and_not_taken_for_gone(server, client, deadline):
    server.answer(f"GET {VMIS}/x", (404, b"default backend - 404"))
    with pytest.raises(ApiUnavailableError, match="404 default backend - 404"):
        client.request("GET", f"{VMIS}/x", deadline=deadline, ok_missing=True, patience=0.3)


def test_E62_a_page_that_a_proxy_gives_instead_of_the_answer_is_none(server, client, deadline):
    server.answer("GET /version", (200, b"<html>please log in</html>"), {"gitVersion": "v1"})
    assert client.request("GET", "/version", deadline=deadline) == {"gitVersion": "v1"}


def test_a_server_that_only_has_pages_is_no_api_server(server, client, deadline, monkeypatch):
    monkeypatch.setattr("pytest_kvlatency.kube.patience.FIRST_CONTACT", 0.2)
    server.answer("GET /version", (200, b"<html>welcome</html>"))
    with pytest.raises(ConfigError, match=r"cannot reach the API server .*: 200 <html>welcome"):
        client.request("GET", "/version", deadline=deadline)


def test_E62_retry_after_is_honoured(server, client):
    server.answer("GET /version", (429, {}, {"Retry-After": "30"}), {"gitVersion": "v1"})
    with pytest.raises(CheckupTimeoutError, match="429"):
        client.request("GET", "/version", deadline=Deadline(2))
    assert len(server.seen) == 1


def test_E62_a_lost_connection_is_retried(server, client, deadline):
    server.answer("GET /version", {"gitVersion": "v0"}, ("reset",), ("reset",), {"gitVersion": "v1"})
    client.request("GET", "/version", deadline=deadline)
    assert client.request("GET", "/version", deadline=deadline) == {"gitVersion": "v1"}


def test_E62_patience_ends_with_the_servers_last_words(server, client, deadline):
    server.answer("GET /version", (503, b"<html>no healthy  upstream</html>"))
    with pytest.raises(ApiUnavailableError, match="503 <html>no healthy upstream") as caught:
        client.request("GET", "/version", deadline=deadline, patience=0.3)
    assert caught.value.status == 503
    assert caught.value.kind == "provision"


def test_E59_a_stop_ends_the_retries(server, client):
    server.answer("GET /version", (503, {}, {"Retry-After": "60"}))
    stop = Stop()
    threading.Timer(0.1, stop.set, ["SIGTERM"]).start()
    with pytest.raises(InterruptedRunError, match="SIGTERM"):
        client.request("GET", "/version", deadline=Deadline(30, stop=stop))


def test_an_unreachable_server_is_a_config_error_that_names_it(write_kubeconfig, deadline, monkeypatch):
    monkeypatch.setattr("pytest_kvlatency.kube.patience.FIRST_CONTACT", 0.2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        client = KubeClient.connect(kubeconfig=write_kubeconfig(url), context=None)
        with pytest.raises(
            ConfigError, match=rf"cannot reach the API server {url}: Connection refused"
        ) as caught:
            client.request("GET", "/version", deadline=deadline)
    assert "--kv-context" in caught.value.hint


def test_E54_403_names_verb_resource_namespace_and_rule(server, client, deadline):
    message = 'virtualmachineinstances.kubevirt.io is forbidden: User "system:serviceaccount:checks:sa" cannot create resource "virtualmachineinstances" in API group "kubevirt.io" in the namespace "checks"'
    server.answer(f"POST {VMIS}", status_object(403, "Forbidden", message))
    with pytest.raises(PermissionDeniedError) as caught:
        client.request("POST", VMIS, body={}, deadline=deadline)
    assert caught.value.reason == (
        "system:serviceaccount:checks:sa may not create virtualmachineinstances.kubevirt.io in namespace checks"
    )
    assert 'apiGroups: ["kubevirt.io"]' in caught.value.hint
    assert 'resources: ["virtualmachineinstances"]' in caught.value.hint
    assert 'verbs: ["create"]' in caught.value.hint
    assert len(server.seen) == 1


def test_E54_anonymous_is_told_as_such(server, client, deadline):
    message = 'nodes is forbidden: User "system:anonymous" cannot list resource "nodes" in API group "" at the cluster scope'
    server.answer("GET /api/v1/nodes", status_object(403, "Forbidden", message))
    with pytest.raises(PermissionDeniedError, match="anonymous"):
        client.request("GET", "/api/v1/nodes", deadline=deadline)


def denied(verb="get"):
    return status_object(
        403,
        "Forbidden",
        f'virtualmachineinstances.kubevirt.io "x" is forbidden: User "sa" cannot {verb} resource '
        '"virtualmachineinstances" in API group "kubevirt.io" in the namespace "checks"',
    )


TROUBLES = {"reset": ("reset",), "gateway": (502, b"<html>bad gateway</html>")}
DENIALS = {
    "403": denied(),
    "401": status_object(401, "Unauthorized", "Unauthorized"),
    "404": (404, b"404 page not found\n"),
}


@pytest.mark.parametrize(
    ("method", "trouble", "denial"),
    [
        ("POST", "reset", "403"),
        ("GET", "reset", "401"),
        ("DELETE", "gateway", "403"),
        ("PATCH", "gateway", "404"),
    ],
)
def test_E62_what_a_restarted_server_denies_is_asked_again(server, client, deadline, method, trouble, denial):
    server.answer("GET /version", {"gitVersion": "v1"})
    client.request("GET", "/version", deadline=deadline)
    again = DENIALS[denial]
    server.answer(f"{method} {VMIS}/x", TROUBLES[trouble], again, again, {"kind": "VirtualMachineInstance"})
    body = None if method == "GET" else {}
    found = client.request(method, f"{VMIS}/x", body=body, deadline=deadline)
    assert found == {"kind": "VirtualMachineInstance"}


def test_E62_what_is_denied_after_another_requests_trouble_is_asked_again(server, client, deadline):
    server.answer("GET /version", ("reset",), {"gitVersion": "v1"})
    client.request("GET", "/version", deadline=deadline)
    server.answer(f"DELETE {VMIS}/x", denied("delete"), {})
    doubts = []
    path = f"{VMIS}/x"
    client.request("DELETE", path, body={}, deadline=deadline, on_doubt=lambda: doubts.append(1))
    assert doubts == [], "what was denied was not done"


def test_E62_a_watch_that_a_restarted_server_denies_is_opened_again(server, client, monkeypatch):
    monkeypatch.setattr("pytest_kvlatency.kube.watch._DENIED_PAUSE", 0.05)
    event = {"type": "DELETED", "object": {"metadata": {"uid": "u"}}}
    server.answer(f"GET {VMIS}", ("reset",), denied("watch"), (200, json.dumps(event).encode() + b"\n"))
    told = queue.Queue()
    watch = VmiWatch(client, "checks", "r1", lambda uid, state: told.put((uid, state)))
    assert told.get(timeout=60) == ("u", None)
    assert not watch.refused
    watch.close()


def test_E62_a_denial_that_outlasts_the_servers_start_is_a_missing_permission(
    server, client, deadline, monkeypatch
):
    # Each request takes 4 s of the 10 s in which a server may settle, however fast this machine is.
    clock = SimpleNamespace(monotonic=lambda: 4.0 * len(server.seen))
    monkeypatch.setattr("pytest_kvlatency.kube.reach.time", clock)
    server.answer(f"GET {VMIS}/x", ("reset",), denied())
    with pytest.raises(PermissionDeniedError, match="sa may not get"):
        client.request("GET", f"{VMIS}/x", deadline=deadline)
    assert len(server.seen) == 4


def test_E62_a_denial_while_patience_ends_is_told_and_not_remembered(server, client, deadline):
    server.answer(f"GET {VMIS}/x", ("reset",), denied())
    with pytest.raises(PermissionDeniedError, match="sa may not get"):
        client.request("GET", f"{VMIS}/x", deadline=deadline, patience=0.3)
    assert client.optional(f"{VMIS}/x", deadline=deadline, patience=0.3) is None
    server.answer(f"GET {VMIS}/x", {"kind": "VirtualMachineInstance"})
    assert client.optional(f"{VMIS}/x", deadline=deadline) == {"kind": "VirtualMachineInstance"}


def test_E62_an_admission_plugin_that_is_not_ready_yet_is_waited_for(server, client, deadline):
    message = 'virtualmachineinstances.kubevirt.io "x" is forbidden: not yet ready to handle request'
    server.answer(f"POST {VMIS}", status_object(403, "Forbidden", message), {"kind": "x"})
    assert client.request("POST", VMIS, body={}, deadline=deadline) == {"kind": "x"}


def test_E52_what_admission_refuses_after_trouble_is_final(server, client, deadline):
    message = 'virtualmachineinstances.kubevirt.io "x" is forbidden: exceeded quota: q, requested: count=1'
    server.answer(f"POST {VMIS}", ("reset",), status_object(403, "Forbidden", message))
    with pytest.raises(KubeApiError, match="exceeded quota"):
        client.request("POST", VMIS, body={}, deadline=deadline)
    assert len(server.seen) == 2


def test_E52_403_of_an_admission_plugin_is_no_missing_permission(server, client, deadline):
    message = 'virtualmachineinstances.kubevirt.io "x" is forbidden: exceeded quota: q, requested: count=1'
    server.answer(f"POST {VMIS}", status_object(403, "Forbidden", message))
    with pytest.raises(KubeApiError, match="exceeded quota"):
        client.request("POST", VMIS, body={}, deadline=deadline)


def test_E11_401_reads_the_credentials_anew_once(server, write_kubeconfig, tmp_path, deadline):
    token = tmp_path / "token"
    token.write_text("old")
    path = write_kubeconfig(server.url, user={"tokenFile": str(token)})
    client = KubeClient.connect(kubeconfig=path, context=None)
    server.answer(
        "GET /version", {}, status_object(401, "Unauthorized", "Unauthorized"), {"gitVersion": "v1"}
    )
    client.request("GET", "/version", deadline=deadline)
    token.write_text("new")
    assert client.request("GET", "/version", deadline=deadline) == {"gitVersion": "v1"}
    assert [one.headers["Authorization"] for one in server.seen] == ["Bearer old", "Bearer old", "Bearer new"]


def test_E54_a_401_that_stays_is_a_permission_error_without_the_token(server, client, deadline):
    server.answer("GET /version", status_object(401, "Unauthorized", "Unauthorized"))
    with pytest.raises(PermissionDeniedError) as caught:
        client.request("GET", "/version", deadline=deadline)
    assert "s3cr3t" not in caught.value.reason + caught.value.hint + repr(client)
    assert len(server.seen) == 2


def test_E53_a_404_of_the_api_differs_from_one_of_an_object(server, client, deadline):
    server.answer(f"GET {VMIS}/x", status_object(404, "NotFound", 'vmi "x" not found', name="x"))
    with pytest.raises(KubeApiError) as caught:
        client.request("GET", f"{VMIS}/x", deadline=deadline)
    assert caught.value.object_missing
    with pytest.raises(KubeApiError) as caught:
        client.request("GET", f"{VMIS}/y", deadline=deadline)
    assert caught.value.api_missing
    assert "kubectl api-resources --api-group=kubevirt.io" in caught.value.hint


def test_an_optional_permission_is_asked_for_once(server, client, deadline):
    message = 'events is forbidden: User "sa" cannot list resource "events" in API group ""'
    path = "/api/v1/namespaces/checks/events"
    server.answer(f"GET {path}", status_object(403, "Forbidden", message))
    assert client.optional(path, deadline=deadline) is None
    assert client.optional(path, deadline=deadline) is None
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"token": "abc"}, "Bearer abc"),
        ({"username": "me", "password": "pw"}, "Basic bWU6cHc="),
    ],
    ids=["bearer", "basic"],
)
def test_E11_the_console_has_the_clients_credentials_and_path_prefix(write_kubeconfig, user, expected):
    cluster = {"insecure-skip-tls-verify": True, "tls-server-name": "api.internal"}
    path = write_kubeconfig("https://lb.example:6443/k8s/clusters/c-1", user=user, cluster=cluster)
    endpoint = KubeClient.connect(kubeconfig=path, context=None).console_endpoint("checks", "vmi-a")
    assert endpoint.server.url == (
        "wss://lb.example:6443/k8s/clusters/c-1/apis/subresources.kubevirt.io/v1/namespaces/checks"
        "/virtualmachineinstances/vmi-a/console"
    )
    assert endpoint.headers == {"Authorization": expected}
    assert endpoint.server.verify is False
    assert endpoint.server.server_name == "api.internal"
    assert expected not in repr(endpoint)


def test_E11_the_console_has_client_certificate_and_authority(write_kubeconfig, tmp_path):
    authority = Authority()
    (tmp_path / "ca").write_bytes(authority.ca_pem)
    for name, content in zip(("crt", "key"), authority.client("me", []), strict=True):
        (tmp_path / name).write_bytes(content)
    path = write_kubeconfig(
        "https://api.example",
        user={"client-certificate": "crt", "client-key": "key"},
        cluster={"certificate-authority": "ca", "insecure-skip-tls-verify": False},
    )
    endpoint = KubeClient.connect(kubeconfig=path, context=None).console_endpoint("a", "b")
    server = endpoint.server
    assert (server.ca_file, server.cert_file, server.key_file) == tuple(
        str(tmp_path / name) for name in ("ca", "crt", "key")
    )
    assert endpoint.headers == {}


@pytest.mark.parametrize(
    ("cluster", "environment", "expected"),
    [
        ({}, {"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({}, {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".example"}, None),
        ({"proxy-url": "http://u:p%40w@other:8080"}, {}, "http://u:p%40w@other:8080"),
        ({}, {}, None),
    ],
    ids=["HTTPS_PROXY", "NO_PROXY", "proxy-url", "none"],
)
def test_E11_proxies(write_kubeconfig, monkeypatch, cluster, environment, expected):
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    path = write_kubeconfig("https://api.example", cluster=cluster)
    proxy = KubeClient.connect(kubeconfig=path, context=None).console_endpoint("a", "b").server.proxy
    assert (proxy and proxy.url) == expected
    if expected and "@" in expected:
        assert proxy.headers == {"proxy-authorization": "Basic dTpwQHc="}


def test_E11_an_exec_plugin_gives_the_token_and_its_failure_is_told(
    write_kubeconfig, tmp_path, server, deadline
):
    script = tmp_path / "plugin"
    script.write_text(
        '#!/bin/sh\necho \'{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"fresh"}}\'\n'
    )
    script.chmod(0o755)
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(script),
        "interactiveMode": "Never",
    }
    path = write_kubeconfig(server.url, user={"exec": plugin})
    server.answer("GET /version", {})
    KubeClient.connect(kubeconfig=path, context=None).request("GET", "/version", deadline=deadline)
    assert server.seen[0].headers["Authorization"] == "Bearer fresh"
    script.write_text("#!/bin/sh\necho login expired >&2\nexit 3\n")
    with pytest.raises(ConfigError, match=r"returned no credentials.*login expired"):
        KubeClient.connect(kubeconfig=path, context=None)


def test_every_refusal_is_a_cause(server, client, deadline):
    server.answer(f"POST {VMIS}", (302, b"", {"Location": "https://login.example"}))
    with pytest.raises(KvLatencyError):
        client.request("POST", VMIS, body={}, deadline=deadline)


def test_E60_the_time_is_the_servers(server, client, deadline):
    server.answer("GET /version", (200, {"gitVersion": "v1"}, {"Date": "Sun, 06 Nov 1994 08:49:37 GMT"}))
    before = client.now()
    assert abs((datetime.now(timezone.utc) - before).total_seconds()) < 60, (
        "as long as the server has not said"
    )
    client.request("GET", "/version", deadline=deadline)
    passed = client.now() - datetime(1994, 11, 6, 8, 49, 37, tzinfo=timezone.utc)
    assert timedelta() <= passed < timedelta(minutes=5)


@pytest.mark.parametrize("told", ["", "yesterday", "Sun, 06 Nov 1994 08:49:37 -0000"])
def test_E60_a_time_that_cannot_be_read_is_none(server, client, deadline, told):
    server.answer("GET /version", (200, {"gitVersion": "v1"}, {"Date": told}))
    client.request("GET", "/version", deadline=deadline)
    assert abs((datetime.now(timezone.utc) - client.now()).total_seconds()) < 300


def test_E79_a_first_answer_that_takes_longer_than_one_attempt_is_waited_for(
    server, client, deadline, monkeypatch
):
    monkeypatch.setattr("pytest_kvlatency.kube.patience.READ_TIMEOUTS", (0.2, 20.0))
    monkeypatch.setattr("pytest_kvlatency.kube.patience.FIRST_CONTACT", 0.1)
    server.answer("GET /version", ("late", 0.5, {"gitVersion": "v1"}))
    assert client.request("GET", "/version", deadline=deadline) == {"gitVersion": "v1"}
    assert len(server.seen) == 2


def test_E79_the_first_contact_outlasts_each_time_out_of_an_attempt():
    assert FIRST_CONNECTION > CONNECT_TIMEOUT
    assert READ_TIMEOUTS[0] + READ_TIMEOUTS[1] < FIRST_ANSWER
    assert FIRST_ANSWER < PATIENCE


def test_E62_a_server_that_is_gone_for_good_costs_each_further_request_a_few_tries(
    server, client, deadline, monkeypatch
):
    monkeypatch.setattr("pytest_kvlatency.kube.patience.PATIENCE", 1.0)
    monkeypatch.setattr("pytest_kvlatency.kube.patience.GRACE", 0.1)
    monkeypatch.setattr("pytest_kvlatency.kube.patience.FEW_TRIES", 0.1)
    server.answer("GET /version", LAST_ANSWER)
    client.request("GET", "/version", deadline=deadline)
    server.stop()
    tried = []
    for _ in range(5):
        with pytest.raises(ApiUnavailableError, match="Connection refused") as caught:
            client.request("GET", "/version", deadline=deadline, patience=1.0)
        tried.append(int(re.search(r"tried (\d+) times", caught.value.reason)[1]))
    assert tried[0] >= 3
    assert tried[-1] <= 2


def test_E62_any_answer_of_the_server_gives_back_the_whole_patience(server, client, deadline, monkeypatch):
    monkeypatch.setattr("pytest_kvlatency.kube.patience.PATIENCE", 2.0)
    monkeypatch.setattr("pytest_kvlatency.kube.patience.GRACE", 0.0)
    monkeypatch.setattr("pytest_kvlatency.kube.patience.FEW_TRIES", 0.0)
    server.answer("GET /version", (503, {}))
    with pytest.raises(ApiUnavailableError):
        client.request("GET", "/version", deadline=deadline, patience=60)
    server.answer("GET /healthz", status_object(404, "NotFound", "no", name="x"))
    with pytest.raises(KubeApiError):
        client.request("GET", "/healthz", deadline=deadline)
    server.answer("GET /version", (503, {}), {"gitVersion": "v1"})
    assert client.request("GET", "/version", deadline=deadline, patience=60) == {"gitVersion": "v1"}


@pytest.mark.parametrize(("scheme", "count"), [("https", 1), ("HTTPS", 1), ("http", 0)])
def test_the_systems_certificates_are_read_for_a_server_that_shows_one(monkeypatch, tmp_path, scheme, count):
    (tmp_path / "ca.pem").write_bytes(Authority().ca_pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    pool = pool_of(ServerEndpoint(url=f"{scheme}://api.example"))
    assert pool.connection_pool_kw["ssl_context"].cert_store_stats()["x509_ca"] == count
