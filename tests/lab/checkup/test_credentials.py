"""E11 as whole checkups: however a cluster is reached and whoever one is, console and REST do it alike."""

from __future__ import annotations

import base64
import json
import signal
import time
from urllib.parse import urlsplit

import pytest
import yaml
from begun import until_gone
from middlemen import ConnectProxy, PrefixServer

from pytest_kvlatency.lab.apiserver.certs import Authority

ARGUMENTS = ("--kv-nad", "checks/blue-network", "--kv-nodes", "worker1:worker2", "--kv-sample-duration", "1s")


@pytest.fixture
def requests(cluster):
    """Give what was requested since the test began, by people and their programs."""
    before = len(cluster.audit())

    def since():
        return [
            one
            for one in cluster.audit()[before:]
            if not str(one["user"]).startswith("system:") or ":serviceaccount:checks:" in str(one["user"])
        ]

    return since


def consoles(requests):
    return [one for one in requests if one["subresource"] == "console"]


def admin_of(cluster):
    """The administrator's entry of the lab's kubeconfig."""
    return yaml.safe_load(cluster.kubeconfig.read_text())["users"][0]["user"]


def address(cluster):
    parts = urlsplit(cluster.admin.server)
    return parts.hostname, parts.port


def test_E11_a_client_certificate(cluster, run, requests):
    directory = cluster.lab.directory
    # One by its path, and one by its value.
    key = base64.b64encode((directory / "client.key").read_bytes()).decode()
    user = {"client-certificate": str(directory / "client.crt"), "client-key-data": key}
    done = run(cluster, *ARGUMENTS, kubeconfig=cluster.kubeconfig_of(user))
    assert done.status == 0, done.output
    assert [one["user"] for one in consoles(requests())] == ["kubernetes-admin"] * 2
    assert cluster.vmis() == []


@pytest.mark.edge_case(
    "E11",
    happens="The API server can be reached through a proxy only.",
    does="Sends the requests and the consoles through the proxy.",
)
def test_E11_a_proxy_is_the_only_way(cluster, run, requests):
    login = base64.b64encode(b"me:se cret").decode()
    with ConnectProxy(address(cluster), login=login) as proxy:
        kubeconfig = cluster.kubeconfig_of(
            admin_of(cluster),
            # Nobody but the proxy knows where that is.
            **{
                "server": "https://lab.invalid:6443",
                "tls-server-name": "localhost",
                "proxy-url": f"http://me:se%20cret@127.0.0.1:{proxy.port}",
            },
        )
        done = run(cluster, *ARGUMENTS, kubeconfig=kubeconfig)
    assert done.status == 0, done.output
    assert {head.split()[1] for head in proxy.seen} == {"lab.invalid:6443"}
    assert len(consoles(requests())) == 2
    # Each console has a connection of its own, and REST has at least one.
    assert len(proxy.seen) >= 3
    for text in (done.output, json.dumps(done.document)):
        assert "se cret" not in text
        assert login not in text


def test_E11_a_proxy_that_refuses_is_named(cluster, run):
    with ConnectProxy(address(cluster), login="none") as proxy:
        kubeconfig = cluster.kubeconfig_of(
            admin_of(cluster), **{"proxy-url": f"http://127.0.0.1:{proxy.port}"}
        )
        done = run(cluster, *ARGUMENTS, kubeconfig=kubeconfig)
    assert done.status == 1
    (entry,) = done.document["measurements"]
    assert entry["failureKind"] == "config"
    refused = f"the proxy 127.0.0.1:{proxy.port} requires authentication (407): cannot reach the API server https://"
    assert refused in entry["failureReason"]
    # Once for each request that is made at the same time, two for versions and one for each node of the plan: no
    # refusal is asked again.
    assert len(proxy.seen) <= 4


def test_E11_a_path_prefix_and_an_authority_of_its_own(cluster, run, requests, tmp_path):
    authority = Authority()
    certificate, key = authority.server()
    (tmp_path / "server.crt").write_bytes(certificate)
    (tmp_path / "server.key").write_bytes(key)
    facts = {
        "certificate": tmp_path / "server.crt",
        "key": tmp_path / "server.key",
        "prefix": "/k8s/clusters/c-1",
    }
    with PrefixServer(address(cluster), **facts) as server:
        url = f"https://127.0.0.1:{server.port}/k8s/clusters/c-1"
        trusting = {"server": url, "certificate-authority-data": authority.ca_base64}
        done = run(cluster, *ARGUMENTS, kubeconfig=cluster.kubeconfig_of(admin_of(cluster), **trusting))
        assert done.status == 0, done.output
        seen = len(server.seen)
        # The lab's own authority has signed nothing for this server.
        done = run(cluster, *ARGUMENTS, kubeconfig=cluster.kubeconfig_of(admin_of(cluster), server=url))
        assert done.status == 1
        (entry,) = done.document["measurements"]
        assert entry["failureKind"] == "config"
        assert "is not trusted: " in entry["failureReason"]
        assert len(server.seen) == seen
    assert all(line.split()[1].startswith("/k8s/clusters/c-1/") for line in server.seen)
    assert sum(line.split()[1].endswith("/console") for line in server.seen) == 2
    assert len(consoles(requests())) == 2
    assert cluster.vmis() == []


ROTATING = """
import json, pathlib, subprocess, sys
from pytest_kvlatency.kube.client import KubeClient
from pytest_kvlatency.console.transport import ConsoleTransport
from pytest_kvlatency.deadline import Deadline

HERE = pathlib.Path(__file__).parent


def test_it(kv_pair, kv_latency, kv_ping):
    # Whoever rotates credentials makes the new one first, and then takes the old one away.
    (HERE / "token").write_text((HERE / "next").read_text())
    admin = KubeClient.connect(kubeconfig=HERE / "admin.kubeconfig")
    admin.request("DELETE", (HERE / "old").read_text(), deadline=Deadline(60))
    # Somebody opens the console for a moment: the plugin must open it again, with what is valid now.
    endpoint = admin.console_endpoint("checks", kv_pair.source.vmi_name)
    ConsoleTransport.connect(endpoint, Deadline(60)).close()
    # By a ping, which may be repeated: a command that is typed just as the console goes is told as a failure.
    assert kv_ping(sample_duration="1s").received == 10
    assert kv_pair.source.run("echo still here").output == "still here"
"""


@pytest.mark.parametrize("how", ["tokenFile", "exec"])
def test_E11_a_token_that_is_rotated_in_the_middle(cluster, run, requests, role, tmp_path, how):
    old, new = cluster.service_account(role), cluster.service_account(role)
    (tmp_path / "token").write_text(cluster.token_of(old))
    (tmp_path / "next").write_text(cluster.token_of(new))
    (tmp_path / "old").write_text(f"/api/v1/namespaces/checks/serviceaccounts/{old}")
    (tmp_path / "admin.kubeconfig").write_text(cluster.kubeconfig.read_text())
    (tmp_path / "test_own.py").write_text(ROTATING)
    version = {"apiVersion": "client.authentication.k8s.io/v1"}
    # It says that the token is good for long: only the server knows better.
    status = {"token": "%s", "expirationTimestamp": "2099-01-01T00:00:00Z"}
    credential = json.dumps({**version, "kind": "ExecCredential", "status": status})
    program = {
        **version,
        "command": "sh",
        "args": ["-c", f"""printf '{credential}' "$(cat {tmp_path / "token"})\""""],
        "interactiveMode": "Never",
    }
    user = {"tokenFile": str(tmp_path / "token")} if how == "tokenFile" else {"exec": program}
    done = run(cluster, *ARGUMENTS, kubeconfig=cluster.kubeconfig_of(user))
    assert done.status == 0, done.output
    assert cluster.vmis() == []
    names = {name: f"system:serviceaccount:checks:{name}" for name in (old, new)}
    opened = [one["user"] for one in consoles(requests()) if one["code"] == 101]
    assert opened.count(names[old]) == 2
    assert opened.count(names[new]) >= 1
    deleted = [one["user"] for one in requests() if one["verb"] == "delete" and one["code"] == 200]
    assert deleted.count(names[new]) == 2
    for path in (tmp_path / "token", tmp_path / "next"):
        assert path.read_text() not in done.output


def test_E59_a_signal_while_a_credential_plugin_waits(cluster, start, tmp_path):
    program = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", f"echo $$ > {tmp_path / 'pid'}; exec sleep 3600"],
        "interactiveMode": "Never",
    }
    checkup = start(cluster, *ARGUMENTS, kubeconfig=cluster.kubeconfig_of({"exec": program}))
    cluster.until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    checkup.send(signal.SIGTERM)
    before = time.monotonic()
    assert checkup.end() == 2
    # It does not wait for the plugin's own 60 s.
    assert time.monotonic() - before < 40
    until_gone((tmp_path / "pid").read_text().strip())
