"""Checkups that are stopped while a guest migrates, or a test streams: nothing is left, and what was measured is kept."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

#: So many are stopped at random moments; ``MIGRATION_STOPS=50`` for a thorough look.
STOPS = int(os.environ.get("MIGRATION_STOPS", "1"))
MOVE = ("--kv-nodes", "worker1:worker2>worker3", "--kv-timeout", "2h", "-p", "patient")
#: No run ends before it is stopped, however late that is.
ENDLESS = """
from pytest_kvlatency.engine import move, moving
moving.AFTER_MOVE_SECONDS = 3600.0
move.LIMITS = move.MoveLimits(pending=3600.0, scheduling=3600.0, pod=3600.0, whole=3600.0)
"""


@pytest.fixture
def begin(cluster, start, tmp_path):
    """Start a checkup with a migration that goes on until it is stopped."""
    (tmp_path / "conftest.py").write_text(ENDLESS)

    def go(network):
        return start(cluster, "--kv-nad", f"checks/{network}", *MOVE, module="pytest_kvlatency")

    return go


@pytest.fixture
def cluster(cluster_in_real_time):
    return cluster_in_real_time


@pytest.fixture
def nothing_is_left(cluster):
    """See that neither VMIs nor migrations are there, nor on their way out."""

    def look(checkup):
        assert cluster.objects() == [], checkup.output
        assert cluster.migrations() == [], checkup.output

    return look


def asked(cluster, verb, name):
    """Of which resources of this name that was asked, in order."""
    return [one["resource"] for one in cluster.audit() if (one["verb"], one.get("name")) == (verb, name)]


@pytest.mark.edge_case(
    "E59",
    happens="SIGTERM or SIGINT arrives while a guest migrates.",
    does="Deletes the migration, then the VMIs, and leaves neither. What was measured until then is kept. The reason says "
    "what was going on:",
    says="while migrating worker2's guest to worker3",
)
# Each network but the last keeps migrations in the phase.
@pytest.mark.parametrize(
    ("phase", "network", "number"),
    [
        ("Pending", "pending-move-network", signal.SIGTERM),
        ("Running", "running-move-network", signal.SIGTERM),
        ("Succeeded", "blue-network", signal.SIGINT),
    ],
    ids=["Pending-SIGTERM", "Running-SIGTERM", "Succeeded-SIGINT"],
)
def test_E59_while_a_guest_migrates(cluster, begin, nothing_is_left, phase, network, number):
    checkup = begin(network)
    doing = "while migrating worker2's guest to worker3"
    if phase == "Succeeded":
        # The migration is gone by then.
        checkup.until("(?s) migrating .* pinging")
        doing = "while pinging worker2's guest after its migration"
    else:
        cluster.until(lambda: cluster.have_begun(phase))
        (name,) = (one["metadata"]["name"] for one in cluster.migrations())
        # What a look at it has found is known by the time of the next one.
        cluster.until(lambda: asked(cluster, "get", name).count("virtualmachineinstancemigrations") > 1)
    checkup.send(number)
    assert checkup.end() == 2, checkup.output
    nothing_is_left(checkup)
    (one,) = checkup.document["measurements"]
    assert one["failureKind"] == "interrupted"
    assert one["failureReason"] == f"run: interrupted by {number.name} {doing}"
    # While the migration is there its VMI's pods stay. It is called like the VMI.
    assert asked(cluster, "delete", one["targetVmi"])[:2] == [
        "virtualmachineinstancemigrations",
        "virtualmachineinstances",
    ]
    # What was measured until then is kept.
    assert 0 < one["received"] <= one["transmitted"]
    assert one["avgLatencyNanoSec"] > 0
    assert one["longestGap"]["nanoSec"] > 0
    migration = one["migration"]
    assert migration["phases"][0]["phase"] == "Pending"
    assert migration["rttBefore"]["count"] > 0
    assert migration["preparationGap"]["nanoSec"] > 0


def test_E59_while_a_test_streams(cluster, start, nothing_is_left, tmp_path):
    (tmp_path / "test_own.py").write_text(
        "import time\n"
        "def test_it(kv_pair, kv_stream):\n"
        "    with kv_stream() as stream:\n"
        "        while stream.replies() < 3: pass\n"
        "        print('the body runs', flush=True)\n"
        "        time.sleep(600)\n"
    )
    checkup = start(cluster, "--kv-nad", "checks/blue-network", "-s", "-p", "patient")
    checkup.until("the body runs")
    checkup.send(signal.SIGTERM)
    assert checkup.end() == 2, checkup.output
    nothing_is_left(checkup)
    (one,) = checkup.document["measurements"]
    (stream,) = one["extra"]
    assert stream["received"] >= 3


@pytest.mark.parametrize("seed", range(STOPS))
def test_E59_at_a_random_moment_of_a_migration(cluster, begin, nothing_is_left, seed):
    chance = random.Random(seed)
    checkup = begin("blue-network")
    cluster.until(cluster.objects)
    # From the first VMI on: guests boot, log in, ping, migrate, and ping on.
    time.sleep(chance.uniform(0.0, 6.0))
    checkup.send(chance.choice([signal.SIGTERM, signal.SIGINT]))
    ends = {2}
    if chance.random() < 0.3:
        # And go.
        time.sleep(chance.uniform(0.0, 0.5))
        checkup.send(signal.SIGTERM)
        # When all is over it is heeded by no run any more, and ends the process.
        ends.add(-signal.SIGTERM)
    assert checkup.end() in ends, checkup.output
    nothing_is_left(checkup)
