from __future__ import annotations

import os
import sys

import pytest
import yaml

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.kube import kubeconfig
from pytest_kvlatency.kube.client import KubeClient
from pytest_kvlatency.model import HttpProxy


def test_a_kubeconfig_that_does_not_exist_names_its_option(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere.*\(--kv-kubeconfig\) does not exist"):
        kubeconfig.resolve(tmp_path / "nowhere", None, {})


def test_an_unknown_context_names_the_valid_ones(write_kubeconfig):
    path = write_kubeconfig("https://x")
    with pytest.raises(ConfigError, match=r"no context 'prod' \(--kv-context\)") as caught:
        kubeconfig.resolve(path, "prod", {})
    assert "it has: lab" in caught.value.hint


def test_the_first_file_of_KUBECONFIG_decides_and_missing_ones_do_not_matter(write_kubeconfig, tmp_path):
    first = write_kubeconfig("https://first", name="first", namespace="one", context="a")
    second = write_kubeconfig("https://second", name="second", namespace="two", context="b")
    environ = {"KUBECONFIG": os.pathsep.join([str(tmp_path / "missing"), str(first), str(second)])}
    access = kubeconfig.resolve(None, None, environ)
    assert access.namespace == "one"
    assert access.load(lambda: False).server.url == "https://first"
    assert kubeconfig.resolve(None, "b", environ).namespace == "two"


def test_nothing_found_says_what_was_tried(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"tried .*/\.kube/config.*ServiceAccount") as caught:
        kubeconfig.resolve(None, None, {})
    assert "--kv-kubeconfig" in caught.value.hint


def test_in_a_pod_its_own_service_account_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    account = tmp_path / "sa"
    account.mkdir()
    (account / "token").write_text("t")
    (account / "namespace").write_text("mine\n")
    monkeypatch.setattr(kubeconfig, "SERVICE_ACCOUNT", account)
    access = kubeconfig.resolve(None, None, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert access.origin == "the pod's ServiceAccount"
    assert access.namespace == "mine"
    assert kubeconfig.pod_namespace() == "mine"


def test_E67_a_broken_kubeconfig_does_not_show_its_content(tmp_path):
    path = tmp_path / "config"
    path.write_text("users:\n- name: a\n  user: {token: s3cr3t\n  x: ]")
    with pytest.raises(ConfigError, match="not valid YAML") as caught:
        kubeconfig.resolve(path, None, {})
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_current_context_names_the_valid_ones(tmp_path):
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump({"contexts": [{"name": "only", "context": {"cluster": "c"}}]}))
    with pytest.raises(ConfigError, match="no current context") as caught:
        kubeconfig.resolve(path, None, {})
    assert "only" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"contexts": 5}, "contexts must be a list of mappings"),
        ({"clusters": [{"name": "c", "cluster": "x"}]}, "cluster 'c': cluster must be a mapping, not"),
        ({"users": [{"name": "u", "user": 5}]}, "user 'u': user must be a mapping, not a number"),
        ({"users": [5]}, "users must be a list of mappings"),
        ({"clusters": [{"name": "c", "cluster": {"server": 5}}]}, "cluster 'c': server must be a string"),
        ({"clusters": [{"name": "c", "cluster": {}}]}, "cluster 'c': server is missing"),
        ({"clusters": [{"name": "c", "cluster": {"server": "api:x"}}]}, "server is not a URL such as https"),
    ],
    ids=["contexts", "cluster", "user", "users", "server", "no-server", "no-url"],
)
def test_what_is_no_kubeconfig_is_told_without_a_traceback(write_kubeconfig, change, words):
    path = write_kubeconfig("https://api.example")
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | change))
    with pytest.raises(ConfigError, match=words):
        KubeClient.connect(kubeconfig=path)


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"as-groups": ["dev"]}, "as-groups is set without as"),
        ({"as-uid": "1"}, "as-uid is set without as"),
        ({"as": 5}, "as must be a string, not a number"),
        ({"as": "jane", "as-groups": "dev"}, "as-groups must be a list of strings"),
        ({"as": "jane", "as-user-extra": ["a"]}, "as-user-extra must be a mapping, not a list"),
        ({"as": "jane", "as-user-extra": {"a": "b"}}, "as-user-extra.a must be a list of strings"),
        ({"as": "ja\r\nX-Remote-User: root"}, "as must not contain control characters"),
    ],
    ids=["groups-alone", "uid-alone", "number", "groups-text", "extra-list", "extra-text", "newline"],
)
def test_E82_an_impersonation_that_cannot_be_sent_is_refused(write_kubeconfig, user, words):
    path = write_kubeconfig("https://api.example", user={"token": "s3cr3t-t0ken", **user})
    with pytest.raises(ConfigError, match=rf"user 'u': {words}") as caught:
        KubeClient.connect(kubeconfig=path)
    assert "s3cr3t" not in caught.value.reason + caught.value.hint


@pytest.fixture
def no_proxies(monkeypatch):
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.usefixtures("no_proxies")
def test_E11_a_proxy_of_the_environment_without_a_scheme_is_an_http_proxy(write_kubeconfig, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    client = KubeClient.connect(kubeconfig=write_kubeconfig("https://api.example"))
    assert client.console_endpoint("a", "b").server.proxy == HttpProxy(url="http://proxy.example:3128")


@pytest.fixture
def no_pysocks(monkeypatch):
    """As most installations are, whatever this one has."""
    monkeypatch.setitem(sys.modules, "socks", None)
    monkeypatch.delitem(sys.modules, "urllib3.contrib.socks", raising=False)


@pytest.mark.usefixtures("no_proxies", "no_pysocks")
@pytest.mark.parametrize(
    "proxy", ["proxy.example:3128", "socks5://me:pa55@proxy", "http://me:pa55@[proxy", "http://proxy:port"]
)
def test_E11_a_proxy_that_cannot_be_used_is_told_without_its_password(write_kubeconfig, proxy):
    path = write_kubeconfig("https://api.example", cluster={"proxy-url": proxy})
    with pytest.raises(
        ConfigError, match=r"invalid proxy URL .* for https://api\.example: expected http://HOST:PORT"
    ) as caught:
        KubeClient.connect(kubeconfig=path)
    assert "proxy-url" in caught.value.hint
    assert "pa55" not in caught.value.reason + caught.value.hint
