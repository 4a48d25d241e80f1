"""The manifests that are shipped, applied as they are, in the image: one checkup, and a mesh in shards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.image

MANIFESTS = Path(__file__).parents[2] / "manifests"
NAME = "example.com/pytest-kvlatency:0.1.0"


@pytest.fixture
def applied(cluster, image):
    """Apply folders of manifests, as kubectl does; take them away at the end."""
    cluster.kubelet.images[NAME] = image
    folders = []

    def apply(*names):
        for name in names:
            done = cluster.kubectl("apply", "-k", MANIFESTS / name)
            assert done.returncode == 0, done.stderr
            folders.append(name)

    yield apply
    for name in reversed(folders):
        cluster.kubectl("delete", "--ignore-not-found", "-k", MANIFESTS / name)


def data_of(cluster, name):
    return cluster.request("GET", f"/api/v1/namespaces/default/configmaps/{name}").get("data") or {}


def test_the_job_of_the_base(cluster, applied):
    applied("base")
    job = cluster.kubelet.run_job("default", "latency-checkup")
    done = cluster.kubectl("wait", "--for=condition=complete", "job/latency-checkup", "--timeout=100s")
    job.wait()
    assert done.returncode == 0, job.container.output
    assert data_of(cluster, "latency-checkup")["status.succeeded"] == "true"
    assert "latency.json" in job.container.output


def test_a_mesh_in_shards_and_the_job_that_merges_them(cluster, applied):
    applied("permissions", "shards")
    job = cluster.kubelet.run_job("default", "latency-mesh")
    job.wait()
    logs = "\n".join(pod.container.output for pod in job.pods)
    assert len(job.pods) == 3
    assert [data_of(cluster, f"latency-mesh-{number}")["status.succeeded"] for number in range(3)] == [
        "true"
    ] * 3, logs
    assert not any(key.startswith("status.") for key in data_of(cluster, "latency-mesh"))
    applied("merge")
    merging = cluster.kubelet.run_job("default", "latency-mesh-merge")
    merging.wait()
    assert merging.container.status == 0, merging.container.output
    assert "3 shards, 3 pairs" in merging.container.output
    merged = json.loads((cluster.kubelet.claim("latency-mesh-reports") / "all.json").read_text())
    assert merged["succeeded"] is True
    assert len(merged["measurements"]) == 3
