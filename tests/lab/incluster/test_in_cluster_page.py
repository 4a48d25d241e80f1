"""The commands of docs/in-cluster.md and of the README's "As a Job", run as they are read."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_BLOCK = re.compile(r"<!-- checked: job -->\n```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LEFT = (
    "serviceaccounts,roles,rolebindings,configmaps,jobs,pods,persistentvolumeclaims,vmi,"
    "clusterroles,clusterrolebindings,ns"
)


def script(page):
    blocks = _BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert blocks
    return "\n".join(blocks)


@pytest.fixture
def shell(environment, tmp_path):
    """Run a script as a reader would: one shell session, beside the manifests, with the lab's kubeconfig."""
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")

    def run(text):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def nothing_is_left(kubectl):
    """After the test there is what there was before."""

    def there():
        return sorted(kubectl("get", LEFT, "--all-namespaces", "-o", "name").stdout.splitlines())

    before = there()
    yield
    # It stands for a namespace of the reader's own, which stays.
    kubectl("delete", "namespace", "networks", "--ignore-not-found")
    kubectl("wait", "--for=delete", "pods", "--all", "--all-namespaces", "--timeout=60s", check=False)
    assert there() == before


def test_the_page_works_from_top_to_bottom(shell, jobs, nothing_is_left):
    output = shell(script("docs/in-cluster.md"))
    assert output.count("yes\n") == 2
    assert re.search(r"virtualmachineinstances.subresources.kubevirt.io/console +\[\] +\[\] +\[get\]", output)
    assert "no\n" not in output
    assert output.count("job.batch/latency-checkup condition met") == 2
    assert output.count("configmap/latency-checkup condition met") == 2
    assert "configmap/latency-checkup condition met\ntrue\n\n" in output
    assert output.count('status.succeeded: "true"') == 2
    assert "job.batch/latency-mesh condition met" in output
    assert re.search(r"latency-mesh-2 +true +\d+\n", output)
    assert "job.batch/latency-mesh-merge condition met" in output
    (merged,) = [log for name, log in jobs.logs.items() if name.startswith("latency-mesh-merge")]
    assert "3 shards, 3 pairs" in merged


def test_the_readmes_commands_work(shell, jobs, kubectl, nothing_is_left):
    output = shell(script("README.md"))
    assert "configmap/latency-checkup condition met" in output
    assert 'status.succeeded: "true"' in output
    kubectl("delete", "-k", ROOT / "manifests" / "base")
