"""How the user of a kubeconfig logs in: as with ``kubectl``, and what is wrong is told without quoting the entry."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import socket
import sys
import time
from datetime import datetime, timedelta, timezone

import pytest

from pytest_kvlatency.errors import KvLatencyError, PermissionDeniedError
from pytest_kvlatency.kube.client import KubeClient

SECRET = "S3CR3T-of-the-kubeconfig"
V1 = "client.authentication.k8s.io/v1"


@pytest.fixture
def refused(write_kubeconfig):
    """Connect with a user that cannot be used; return the error, which must not hold the secret."""

    def connect(user):
        with pytest.raises(KvLatencyError) as caught:
            KubeClient.connect(kubeconfig=write_kubeconfig("https://api.example", user=user))
        assert SECRET not in caught.value.reason + caught.value.hint
        assert caught.value.__cause__ is None
        assert "user 'u': " in caught.value.reason
        return caught.value

    return connect


@pytest.fixture
def sent(write_kubeconfig, server, deadline):
    """Connect with a user, and return the headers of a request."""

    def request(user):
        server.answer("GET /version", {})
        client = KubeClient.connect(kubeconfig=write_kubeconfig(server.url, user=user))
        client.request("GET", "/version", deadline=deadline)
        return server.seen[-1].headers

    return request


@pytest.fixture
def plugin(tmp_path):
    """Write a credential plugin; return its entry for a kubeconfig."""

    def write(code, **more):
        script = tmp_path / "plugin.py"
        script.write_text(f"import json, os, sys\n{code}\n")
        args = ["-I", str(script), f"--oidc-client-secret={SECRET}"]
        return {"apiVersion": V1, "command": sys.executable, "args": args, "interactiveMode": "Never", **more}

    return write


def credential(status, **more):
    return f"print({json.dumps(json.dumps({'apiVersion': V1, 'kind': 'ExecCredential', 'status': status, **more}))})"


GIVEN = credential({"token": "fresh"})


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"token": 12345678}, "token must be a string, not a number"),
        ({"token": f"{SECRET}\r\nX: y"}, "token is not a valid token"),
        ({"token": {"value": SECRET}}, "token must be a string, not a mapping"),
        ({"tokenFile": f"/nowhere/{SECRET}"}, "tokenFile names a file that does not exist"),
        ({"password": [SECRET]}, "password must be a string, not a list"),
        ({"client-certificate": SECRET}, "client-certificate names a file that does not exist"),
        ({"client-certificate-data": SECRET}, "client-certificate-data is not a base64-encoded PEM file"),
        (
            {
                "client-certificate-data": base64.b64encode(SECRET.encode()).decode(),
                "client-key-data": base64.b64encode(SECRET.encode()).decode(),
            },
            "client-certificate is not a PEM certificate, or its key is not a PEM key",
        ),
        ({"client-certificate-data": "eA=="}, "client-certificate is set without client-key"),
        ({"exec": SECRET}, "exec must be a mapping"),
        ({"exec": {"args": [SECRET]}}, "exec.command is missing"),
        ({"exec": {"command": "sso", "args": {"secret": SECRET}}}, "exec.args must be a list of strings"),
        ({"exec": {"command": "sso", "apiVersion": SECRET}}, f"exec.apiVersion is not {V1} or"),
        (
            {"exec": {"command": "sso", "env": [{"value": SECRET}]}},
            r"exec.env\[0\].name is not the name of an",
        ),
        (
            {"exec": {"command": "sso", "env": [{"name": "A", "value": {"x": SECRET}}]}},
            r"exec.env\[0\].value must be a string, not a mapping",
        ),
        (
            {"exec": {"command": "sso", "apiVersion": V1, "interactiveMode": SECRET}},
            "exec.interactiveMode is not Never, IfAvailable or Always",
        ),
        (
            {"exec": {"command": f"sso --oidc-client-secret={SECRET}", "apiVersion": V1}},
            "the credential plugin 'exec.command' returned no credentials: it is not installed",
        ),
        ({"auth-provider": {"name": SECRET}}, "auth-provider.name is not 'oidc'"),
        ({"auth-provider": {"name": "oidc", "config": [SECRET]}}, "auth-provider.config must be a mapping"),
        (
            {"auth-provider": {"name": "oidc", "config": {"refresh-token": SECRET}}},
            "auth-provider.config.idp-issuer-url is missing, and the login has expired",
        ),
    ],
)
def test_E83_what_is_wrong_names_the_entry_and_the_field_and_quotes_neither(refused, user, words):
    assert re.search(f"user 'u': {words}", refused(user).reason)


def test_E83_a_variable_of_a_plugin_may_have_no_value(sent, plugin):
    check = "assert (os.environ['A'], os.environ['B'], os.environ['C']) == ('', '', 'c')\n"
    env = [{"name": "A"}, {"name": "B", "value": None}, {"name": "C", "value": "c"}]
    assert sent({"exec": plugin(check + GIVEN, env=env)})["Authorization"] == "Bearer fresh"


def test_E11_the_file_of_a_token_wins_over_a_token(sent, tmp_path):
    (tmp_path / "token").write_text("filed\n")
    # Relative to the kubeconfig, whatever the working directory.
    assert sent({"token": "inline", "tokenFile": "token"})["Authorization"] == "Bearer filed"
    (tmp_path / "token").unlink()
    assert sent({"token": "inline", "tokenFile": "token"})["Authorization"] == "Bearer inline"


def test_E11_a_user_that_is_null_has_no_credentials(write_kubeconfig, server, deadline):
    path = write_kubeconfig(server.url)
    path.write_text(path.read_text().replace('"user": {"token": "s3cr3t-t0ken"}', '"user": null'))
    assert '"user": null' in path.read_text()
    server.answer("GET /version", {})
    KubeClient.connect(kubeconfig=path).request("GET", "/version", deadline=deadline)
    assert "Authorization" not in server.seen[-1].headers


def test_E11_a_password_is_sent(sent):
    assert sent({"username": "me", "password": "pä55"})["Authorization"] == (
        "Basic " + base64.b64encode("me:pä55".encode()).decode()
    )


@pytest.mark.parametrize(
    ("name", "way_out"), [("gcp", "gke-gcloud-auth-plugin"), ("azure", "kubelogin convert-kubeconfig")]
)
def test_E11_a_provider_that_is_gone_is_told_with_what_replaces_it(refused, name, way_out):
    error = refused({"auth-provider": {"name": name, "config": {"access-token": SECRET}}})
    assert (
        f"auth-provider.name is '{name}': Kubernetes removed that provider, use an exec plugin"
        in error.reason
    )
    assert way_out in error.hint


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (f"sys.stderr.write('session is over\\nfor {SECRET}\\n'); sys.exit(255)", "session is over for [redacted]"),
        ("sys.exit(255)", "it exited with status 255"),
        ("os.kill(os.getpid(), 9)", "it was killed by signal 9"),
        ("", "it printed nothing"),
        (f"print('{SECRET}')", "its output is not an ExecCredential in JSON"),
        (f"print(json.dumps({{'token': '{SECRET}'}}))", "its output is not an ExecCredential in JSON"),
        (credential({"token": SECRET}, apiVersion=f"{V1}beta1"), f"its output does not have the apiVersion {V1}"),
        (credential(SECRET), "its output has no status"),
        (credential({"token": 5}), "in its output status.token must be a string, not a number"),
        (credential({"token": "t", "expirationTimestamp": SECRET}), "status.expirationTimestamp is not a time"),
        (credential({}), "its output has neither a token nor a client certificate"),
        (credential({"clientCertificateData": SECRET}), "a certificate or a key without the other"),
    ],
)  # fmt: skip
def test_E11_a_plugin_that_fails_is_told_in_its_words_or_by_its_end(refused, plugin, code, words):
    error = refused({"exec": plugin(code)})
    assert "the credential plugin " in error.reason
    assert "returned no credentials: " in error.reason
    assert words in error.reason


def test_E11_the_words_of_a_plugin_are_bounded(refused, plugin):
    error = refused({"exec": plugin("sys.stderr.write('x' * 100000 + ' the end'); sys.exit(1)")})
    assert len(error.reason) < 1000
    assert error.reason.endswith("x the end")


def test_E11_a_plugin_that_is_not_installed_is_told_with_its_own_hint(refused):
    missing = {"apiVersion": V1, "command": "no-such-sso", "args": [SECRET]}
    error = refused({"exec": {**missing, "installHint": "Get it from https://sso.example\n"}})
    assert "the credential plugin 'no-such-sso' returned no credentials: it is not installed" in error.reason
    assert error.hint == "Get it from https://sso.example"
    assert "exec.command" in refused({"exec": missing}).hint


def test_E11_a_plugin_that_needs_a_terminal_is_not_started_without_one(refused, plugin, tmp_path):
    error = refused({"exec": plugin(f"open({str(tmp_path / 'ran')!r}, 'w')", interactiveMode="Always")})
    assert "it needs a terminal (exec.interactiveMode is Always)" in error.reason
    assert "pytest -s" in error.hint
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def terminal(monkeypatch):
    """Have a terminal for standard input."""
    controller, end = pty.openpty()
    with os.fdopen(end, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield
    os.close(controller)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("mode", ["IfAvailable", "Always", None])
def test_E11_a_plugin_that_fails_on_a_terminal_is_told_by_its_status(refused, plugin, mode):
    code = "assert json.loads(os.environ['KUBERNETES_EXEC_INFO'])['spec'] == {'interactive': True}\nsys.exit(255)"
    assert "it exited with status 255" in refused({"exec": plugin(code, interactiveMode=mode)}).reason


@pytest.mark.usefixtures("terminal")
def test_E11_a_plugin_that_asks_nothing_is_told_in_its_words_on_a_terminal_too(refused, plugin):
    code = "sys.stderr.write('log in first')\nsys.exit(254 + (not json.loads(os.environ['KUBERNETES_EXEC_INFO'])['spec']['interactive']))"
    assert "it exited with status 255: log in first" in refused({"exec": plugin(code)}).reason


def test_E11_a_plugin_is_told_of_the_cluster_where_it_wants_to_know(sent, plugin, server):
    code = f"assert json.loads(os.environ['KUBERNETES_EXEC_INFO'])['spec']['cluster'] == {{'server': {server.url!r}}}\n"
    assert sent({"exec": plugin(code + GIVEN, provideClusterInfo=True)})["Authorization"] == "Bearer fresh"


def test_E11_a_plugin_is_asked_again_only_when_its_token_expires(
    write_kubeconfig, server, deadline, plugin, tmp_path
):
    runs = tmp_path / "runs"
    soon = (datetime.now(timezone.utc) + timedelta(seconds=5)).isoformat().replace("+00:00", "Z")
    for status, count in (({"token": "t"}, 1), ({"token": "t", "expirationTimestamp": soon}, 4)):
        runs.write_text("")
        code = f"open({str(runs)!r}, 'a').write('x')\n" + credential(status)
        client = KubeClient.connect(kubeconfig=write_kubeconfig(server.url, user={"exec": plugin(code)}))
        server.answer("GET /version", {})
        for _ in range(3):
            client.request("GET", "/version", deadline=deadline)
        assert len(runs.read_text()) >= count
        assert (len(runs.read_text()) == 1) == (count == 1)


def jwt(seconds):
    claims = (
        base64.urlsafe_b64encode(json.dumps({"exp": time.time() + seconds}).encode()).decode().rstrip("=")
    )
    return f"e30.{claims}.c2ln"


@pytest.fixture
def oidc(server):
    """Make the auth provider of an issuer that is the scripted server."""
    server.answer("GET /.well-known/openid-configuration", {"token_endpoint": f"{server.url}/token"})

    def make(seconds, **more):
        config = {
            "client-id": "kubectl",
            "client-secret": SECRET,
            "id-token": jwt(seconds),
            # An issuer's answer is remembered by it.
            "refresh-token": f"{SECRET}-{server.url}",
            "idp-issuer-url": server.url,
            **more,
        }
        return {"auth-provider": {"name": "oidc", "config": config}}

    return make


def asked(server):
    return [one.path for one in server.seen if one.path != "/version"]


def test_E11_an_id_token_that_is_valid_is_sent_as_it_is(sent, oidc, server):
    user = oidc(3600)
    token = user["auth-provider"]["config"]["id-token"]
    assert sent(user)["Authorization"] == f"Bearer {token}"
    assert asked(server) == []


def test_E11_an_id_token_that_has_expired_is_renewed_and_the_new_refresh_token_is_used_from_then_on(
    sent, oidc, server
):
    token = jwt(3600)
    # It takes the secret in the form only, and each refresh token once only.
    server.answer(
        "POST /token",
        (401, {"error": "invalid_client"}),
        {"id_token": jwt(-60), "refresh_token": "second"},
        {"id_token": token, "refresh_token": "third"},
    )
    assert sent(oidc(-60))["Authorization"] == f"Bearer {token}"
    tries = [one for one in server.seen if one.path == "/token"]
    assert tries[0].headers["Authorization"].startswith("Basic ")
    assert tries[1].body["client_secret"] == [SECRET]
    first = f"{SECRET}-{server.url}"
    assert [one.body["refresh_token"] for one in tries] == [[first], [first], ["second"]]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((400, {"error": "invalid_grant", "error_description": SECRET}), "the issuer answered invalid_grant"),
        ((200, {"access_token": SECRET}), "the issuer gave no id_token"),
        ((502, b"<html>bad gateway"), "idp-issuer-url does not answer as an issuer"),
    ],
    ids=["invalid-grant", "no-id-token", "bad-gateway"],
)
def test_E11_a_login_that_has_expired_is_told_as_such(refused, oidc, server, answer, words):
    server.answer("POST /token", answer)
    error = refused(oidc(-60))
    assert isinstance(error, PermissionDeniedError)
    assert "the login has expired: log in again" in error.reason
    assert words in error.reason


def test_E11_a_login_that_cannot_be_renewed_as_the_issuer_is_away_has_expired_too(refused, oidc):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        issuer = f"http://127.0.0.1:{taken.getsockname()[1]}"
        error = refused(oidc(-60, **{"idp-issuer-url": issuer}))
    assert isinstance(error, PermissionDeniedError)
    words = "(cannot renew it: cannot reach auth-provider.config.idp-issuer-url: "
    assert words in error.reason


def test_E11_a_login_that_has_expired_and_has_no_refresh_token(refused, oidc):
    assert "the login has expired: log in again" in refused(oidc(-60, **{"refresh-token": None})).reason
