"""A preflight that a signal stops: it ends at once, and says so wherever it can."""

from __future__ import annotations

import signal


def test_E59_a_preflight_that_is_stopped_ends_and_writes_the_status(cluster_with, start):
    cluster = cluster_with("{fault: api-slow, delay: 10m, resource: selfsubjectreviews}")
    configmap = cluster.make_configmap(data={"spec.param.preflight": "true"})
    run = start(cluster, "--kv-configmap", f"checks/{configmap}", module="pytest_kvlatency")
    run.until("kvlatency: preflight")
    cluster.until_configmap(configmap, lambda status: "startTimestamp" in status)
    run.send(signal.SIGTERM)
    assert run.end() == 2, run.output
    status = cluster.status(configmap)
    assert status["succeeded"] == "false"
    assert status["failureReason"].startswith("run: interrupted by SIGTERM")
    # What was found before.
    assert {one["check"] for one in run.document["preflight"]} <= {"cluster"}
    assert cluster.objects() == []
