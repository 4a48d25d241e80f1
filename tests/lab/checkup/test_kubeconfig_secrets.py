"""E83 as whole checkups: no secret of a kubeconfig stands in any report, whatever is wrong with it."""

from __future__ import annotations

import pytest

SECRET = "S3CR3T-of-the-kubeconfig"
REPORTS = ("--junitxml=junit.xml", "--html=report.html", "--self-contained-html", "--kv-artifacts=artifacts")
LOUD = ("--debug", "--log-cli-level=DEBUG", "--showlocals", "--full-trace", "-vv", "-rA")


def everything(checkup):
    """All that a checkup said and wrote."""
    directory = checkup.directory
    written = [path for path in directory.rglob("*") if path.is_file() and path.suffix != ".kubeconfig"]
    ignored = {
        path for path in written if path.suffix == ".pyc" or path.name.startswith(("conftest", "test_"))
    }
    texts = {
        str(path.relative_to(directory)): path.read_text(errors="replace") for path in set(written) - ignored
    }
    return {**texts, "output": checkup.output}


@pytest.mark.edge_case(
    "E83",
    happens="A kubeconfig with secrets cannot be used.",
    does="Names the entry and the field, and quotes neither:",
    says="returned no credentials: it exited with status 255",
)
def test_E83_no_secret_of_a_kubeconfig_stands_in_any_report(cluster, run):
    program = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", "exit 255", f"--oidc-client-secret={SECRET}"],
        "env": [{"name": "A"}, {"name": "B", "value": SECRET}],
        "interactiveMode": "Never",
    }
    kubeconfig = cluster.kubeconfig_of({"exec": program, "password": None})
    done = run(cluster, "--kv-nad", "checks/blue-network", *REPORTS, *LOUD, kubeconfig=kubeconfig)
    assert done.status != 0
    (line, *_) = [one for one in done.output.splitlines() if "returned no credentials" in one]
    assert "returned no credentials: it exited with status 255" in line
    found = everything(done)
    assert {"out.json", "pytestdebug.log"} <= found.keys()
    assert [name for name, text in found.items() if SECRET in text] == []


OWN = """
import os
import signal

import pytest

pytestmark = pytest.mark.kvlatency(nad="checks/blue-network", nodes="worker1:worker2")


@pytest.fixture
def headers(kv_pair, kv_cluster):
    return dict(kv_cluster.client.console_endpoint("checks", kv_pair.source.vmi_name).headers)


def test_compared(headers):
    assert headers == {}


def test_compared_as_text(headers):
    plain = "".join(headers["Authorization"])
    assert plain == "", plain


def test_raised(headers):
    raise ValueError("no such header", headers)


def test_guest(kv_pair):
    kv_pair.source.run("no-such-command", check=True)


def test_end(headers):
    def wait(given, plain):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10**9):
            pass

    if END == "interrupt":
        wait(headers, "".join(headers["Authorization"]))
"""
BROKEN_PLUGIN = """
def pytest_runtest_logfinish(nodeid):
    if "test_end" in nodeid:
        from pytest_kvlatency.kube.client import KubeClient

        headers = dict(KubeClient.connect(kubeconfig=KUBECONFIG).console_endpoint("a", "b").headers)
        plain = "".join(headers["Authorization"])
        raise RuntimeError("a plugin that fails", headers)
"""


@pytest.mark.parametrize("end", ["interrupt", "internal error"])
def test_E83_the_credential_that_is_sent_stands_in_no_output_however_much_is_asked_for(
    cluster, run, tmp_path, end
):
    token = cluster.kubeconfig.read_text().partition("token: ")[2].split()[0]
    (tmp_path / "test_own.py").write_text(f"END = {end!r}\n{OWN}")
    if end == "internal error":
        (tmp_path / "conftest.py").write_text(f"KUBECONFIG = {str(cluster.kubeconfig)!r}\n{BROKEN_PLUGIN}")
    logs = ("--log-file=log.txt", "--log-file-level=DEBUG")
    # What fails in tests is alike however the run ends.
    tests = ("-k", "test_end") if end == "internal error" else ()
    done = run(cluster, *REPORTS, *LOUD, *logs, *tests, "--kv-sample-duration=500ms")
    assert done.status == (2 if end == "interrupt" else 3), done.output
    assert ("KeyboardInterrupt" if end == "interrupt" else "INTERNALERROR") in done.output
    found = everything(done)
    assert {"out.json", "junit.xml", "report.html", "log.txt", "pytestdebug.log"} <= found.keys()
    assert "[redacted]" in found["pytestdebug.log"]
    assert [name for name, text in found.items() if token in text] == []
