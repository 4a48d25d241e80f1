"""E83 as whole checkups: no secret of a kubeconfig stands in any report, whatever is wrong with it."""

from __future__ import annotations

import sys

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
    says="gave no credentials: it exited with status 255",
)
def test_E83_no_secret_of_a_kubeconfig_stands_in_any_report(cluster, run):
    program = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", "raise SystemExit(255)", f"--oidc-client-secret={SECRET}"],
        "env": [{"name": "A"}, {"name": "B", "value": SECRET}],
        "interactiveMode": "Never",
    }
    kubeconfig = cluster.kubeconfig_of({"exec": program, "password": None})
    done = run(cluster, "--kv-nad", "checks/blue-network", *REPORTS, *LOUD, kubeconfig=kubeconfig)
    assert done.status != 0
    (line, *_) = [one for one in done.output.splitlines() if "gave no credentials" in one]
    assert "gave no credentials: it exited with status 255" in line
    found = everything(done)
    assert {"out.json", "pytestdebug.log"} <= found.keys()
    assert [name for name, text in found.items() if SECRET in text] == []
