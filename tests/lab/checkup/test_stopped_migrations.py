"""Checkups that are stopped while a guest migrates: neither a VMI nor a migration is left."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time

import pytest

#: So many are stopped at random moments; ``MIGRATION_STOPS=50`` for a thorough look.
STOPS = int(os.environ.get("MIGRATION_STOPS", "2"))
MOVE = ("--kv-nad", "checks/blue-network", "--kv-nodes", "worker1:worker2>worker3", "-p", "no:cacheprovider")


@pytest.fixture
def nothing_is_left(cluster):
    """See that neither VMIs nor migrations are there, nor on their way out."""

    def look(checkup):
        assert cluster.objects() == [], checkup.output
        assert cluster.migrations() == [], checkup.output

    return look


def deletions(cluster, name):
    """Which resources of this name were asked to go, in order."""
    return [one["resource"] for one in cluster.audit() if (one["verb"], one.get("name")) == ("delete", name)]


@pytest.mark.edge_case(
    "E59",
    happens="SIGTERM or SIGINT arrives while a guest migrates.",
    does="Deletes the migration, then the VMIs, and leaves neither. What was measured until then is kept. The reason says "
    "what was going on:",
    says="while migrating worker2's guest to worker3",
)
@pytest.mark.parametrize(
    ("phase", "number"),
    [
        ("Pending", signal.SIGTERM),
        ("Scheduling", signal.SIGINT),
        ("Running", signal.SIGTERM),
        ("Succeeded", signal.SIGINT),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_E59_while_a_guest_migrates(cluster, start, nothing_is_left, phase, number):
    checkup = start(cluster, *MOVE, module="pytest_kvlatency")
    cluster.until(lambda: cluster.have_begun(phase))
    (name,) = (one["metadata"]["name"] for one in cluster.migrations())
    checkup.send(number)
    assert checkup.end() == 2, checkup.output
    nothing_is_left(checkup)
    # While it is there its VMI's pods stay.
    assert deletions(cluster, name)[:2] == ["virtualmachineinstancemigrations", "virtualmachineinstances"]
    (one,) = checkup.document["measurements"]
    assert one["failureKind"] == "interrupted"
    reason = one["failureReason"]
    if phase == "Succeeded" and "pinging" in reason:
        assert (
            reason == f"run: interrupted by {number.name} while pinging worker2's guest after its migration"
        )
    else:
        assert reason == f"run: interrupted by {number.name} while migrating worker2's guest to worker3"
    # What was measured until then is kept.
    assert 0 < one["received"] <= one["transmitted"]
    assert one["avgLatencyNanoSec"] > 0
    assert one["longestGap"]["nanoSec"] > 0
    if phase != "Pending":
        # Before, it may be that the answer to its creation has not come yet.
        migration = one["migration"]
        assert migration["phases"][0]["phase"] == "Pending"
        assert migration["rttBefore"]["count"] > 0
        assert migration["preparationGap"]["nanoSec"] > 0


@pytest.mark.parametrize("seed", range(STOPS))
def test_E59_at_a_random_moment_of_a_migration(cluster, start, nothing_is_left, seed):
    chance = random.Random(seed)
    checkup = start(cluster, *MOVE, module="pytest_kvlatency")
    cluster.until(cluster.objects)
    # From the first VMI on: guests boot, log in, ping, migrate, ping on, and go.
    time.sleep(chance.uniform(0.0, 6.0))
    checkup.send(chance.choice([signal.SIGTERM, signal.SIGINT]))
    if chance.random() < 0.3:
        time.sleep(chance.uniform(0.0, 0.5))
        with contextlib.suppress(ProcessLookupError):
            checkup.send(signal.SIGTERM)
    assert checkup.end() == 2, checkup.output
    nothing_is_left(checkup)
