"""Checkups in the image, as Jobs: by nothing but environment variables, as anybody, with nothing to write to."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.image

KEYS = {
    "startTimestamp",
    "completionTimestamp",
    "succeeded",
    "failureReason",
    "result.minLatencyNanoSec",
    "result.avgLatencyNanoSec",
    "result.maxLatencyNanoSec",
    "result.measurementDurationSec",
    "result.sourceNode",
    "result.targetNode",
}


def conditions(job):
    """Wait for a Job's end; its conditions by type."""
    return {one["type"]: one for one in job.wait()["status"]["conditions"]}


@pytest.mark.parametrize(
    "user", [{}, {"runAsUser": 1000}, {"runAsUser": 1000660000}, {"runAsUser": 1000660000, "runAsGroup": 0}]
)
def test_a_job_of_todays_checkup_runs_by_its_environment_alone(cluster, user):
    name = cluster.make_configmap()
    job = cluster.start_job(name, **user)
    status = conditions(job)
    assert "Complete" in status, job.container.output
    found = cluster.status(name)
    assert found.keys() >= KEYS
    assert found["succeeded"] == "true"
    assert found["failureReason"] == ""
