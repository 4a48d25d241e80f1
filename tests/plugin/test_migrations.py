"""Checks whose target migrates, against a lab that migrates it: how the move ends, and what is left of it."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kvlatency.checkup.waiting import Waiter
from pytest_kvlatency.engine import move, moving, vigil
from pytest_kvlatency.guest import stream
from pytest_kvlatency.kube import paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from conftest import Checkup, Namespace

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.lab.process import LabProcess

LAB = """
guests: sim
nodes: 9
networks:
  default/blue-network: {}
  default/rigid-network: {}
  default/pending-network: {}
  default/full-network: {}
  default/unpulled-network: {}
  default/failing-network: {}
  default/astray-network: {}
  default/far-network: {}
  default/slow-network: {}
  default/lost-network: {}
  default/cut-network: {partition: true}
links:
  - {between: [worker1, worker3], network: default/far-network, latency: 1s}
  - {between: [worker1, worker3], network: default/lost-network, partition: true}
faults:
  - {fault: migration-slow, network: default/slow-network, times: 100, after: 60s}
  - {fault: not-migratable, network: default/rigid-network, times: 100}
  - {fault: migration-pending, network: default/pending-network, times: 100}
  - {fault: migration-unschedulable, network: default/full-network, times: 100}
  - {fault: image-pull, network: default/unpulled-network, node: worker3, reason: ErrImagePull, times: 100, message: "quay.io/a:1: not found"}
  - {fault: migration-fails, network: default/failing-network, times: 100, message: Bad file descriptor}
  - {fault: migration-elsewhere, network: default/astray-network, times: 100, to: worker9}
seed: 7
boot: 100ms
"""


@pytest.fixture(scope="module")
def lab(
    running_lab: Callable[[Path, str], AbstractContextManager[LabProcess]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LabProcess]:
    with running_lab(tmp_path_factory.mktemp("lab"), LAB) as process:
        yield process


@pytest.fixture
def moved(checkup: Checkup, namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run checks with a migration; the document's measurements. Nothing is left afterwards."""
    monkeypatch.setattr(moving, "AFTER_MOVE_SECONDS", 1.0)
    # What a migration does is seen at this interval too, with a fifth of the work.
    monkeypatch.setattr(stream, "INTERVALS_NS", (50_000_000, *stream.INTERVALS_NS[1:]))
    # However busy the machine is, what was measured until a migration was cut off is read in time.
    monkeypatch.setattr(moving, "LAST_SECONDS", 600.0)

    def run(*arguments: str) -> list[dict[str, Any]]:
        checkup.run("--kv-json", "result.json", *arguments)
        assert namespace.migrations == []
        if "--kv-keep" not in arguments:
            assert namespace.vmis == []
        measurements: list[dict[str, Any]] = checkup.document["measurements"]
        return measurements

    return run


@contextmanager
def once_it_runs(namespace: Namespace, act: Callable[[str], object]) -> Iterator[None]:
    """Call ``act`` with the name of a migration as soon as one is Running."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            for one in namespace.request("GET", paths.migration("default"))["items"]:
                if (one.get("status") or {}).get("phase") == "Running":
                    act(one["metadata"]["name"])
                    return

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join(60)


def pair(network: str, nodes: str) -> tuple[str, str, str, str]:
    return ("--kv-nad", f"default/{network}-network", "--kv-nodes", nodes)


def test_a_target_migrates_during_its_sample_and_nothing_is_left(moved: Any) -> None:
    (one,) = moved(*pair("blue", "worker1:worker2>worker3"))
    assert one["succeeded"], one["failureReason"]
    migration = one["migration"]
    assert migration["succeeded"]
    assert (migration["sourceNode"], migration["targetNode"]) == ("worker2", "worker3")
    assert one["targetNode"] == "worker2"
    phases = [phase["phase"] for phase in migration["phases"]]
    assert phases[:2] == ["Pending", "Scheduling"]
    assert phases[-2:] == ["Running", "Succeeded"]
    seen = [phase["seenNanoSec"] for phase in migration["phases"]]
    assert seen == sorted(seen)
    assert all(phase["notBeforeNanoSec"] <= phase["seenNanoSec"] for phase in migration["phases"])
    assert all(phase["timestamp"] for phase in migration["phases"])
    # A second before, and some after the end.
    assert migration["createdNanoSec"] >= 1_000_000_000
    assert migration["endedNanoSec"] > migration["createdNanoSec"]
    assert max(one["repliesNanoSec"]) - migration["endedNanoSec"] > 500_000_000
    assert migration["preparationGap"]["nanoSec"] > 0
    assert migration["switchoverGap"]["nanoSec"] > 0
    assert one["notes"] == []


def failed(one: dict[str, Any], reason: str) -> None:
    """A migration did not succeed, which is the cause of this measurement's failure."""
    assert (one["outcome"], one["failureKind"]) == ("error", "provision")
    assert re.fullmatch(reason, one["failureReason"]), one["failureReason"]


def was_measured(one: dict[str, Any]) -> None:
    """What was measured until a migration failed is kept."""
    assert one["received"] > 0
    assert not one["migration"]["succeeded"]
    assert one["migration"]["failureReason"]
    assert one["migration"]["preparationGap"]["nanoSec"] > 0


def test_a_migration_that_fails_is_the_cause_with_what_was_measured(moved: Any) -> None:
    reasons = {
        "rigid": "setup: VMI .* cannot be migrated: .*",
        "unpulled": (
            r"run: VMI .* from worker2: worker3 cannot pull the image .*: quay.io/a:1: not found \(ErrImagePull\)"
        ),
        "failing": "run: the migration of VMI default/.* from worker2 failed: Bad file descriptor",
        "astray": "run: VMI default/.* is on worker9 after its migration: expected worker3",
    }
    nads = (f"--kv-nad=default/{network}-network" for network in reasons)
    rigid, *others = measured = moved(*nads, "--kv-nodes", "worker1:worker2>worker3")
    for one, reason in zip(measured, reasons.values(), strict=True):
        failed(one, reason)
    assert not rigid["received"]
    for one in others:
        was_measured(one)


@pytest.mark.parametrize(
    ("network", "limits", "reason"),
    [
        (
            "pending",
            {"pending": 1.0},
            "run: VMI .* stayed Pending for [0-9]+s: the cluster's limit on parallel migrations is reached",
        ),
        (
            "full",
            {"pod": 1.0},
            "run: VMI .* stayed Scheduling for .*: its target pod is Unschedulable: 0/9 nodes are available.*",
        ),
    ],
    ids=["pending", "unschedulable"],
)
def test_a_migration_that_does_not_begin_is_the_cause_with_what_was_measured(
    moved: Any, monkeypatch: pytest.MonkeyPatch, network: str, limits: dict[str, float], reason: str
) -> None:
    monkeypatch.setattr(move, "LIMITS", move.MoveLimits(**limits))
    (one,) = moved(*pair(network, "worker1:worker2>worker3"))
    failed(one, reason)
    was_measured(one)


@pytest.mark.edge_case(
    "E59",
    happens="The time of the run is over while a guest migrates.",
    does="Deletes the migration, then the VMIs, and keeps what was measured until then. The reason says what it waited "
    "for:",
    says="timed out after",
)
def test_E59_what_was_measured_is_kept_when_the_time_is_over_during_a_migration(
    moved: Any, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadlines: list[Deadline] = []
    migrate = move.Mover.move

    def migrate_within(mover: move.Mover, check: Any, target: Any, deadline: Deadline, say: Any) -> Any:
        deadlines.append(deadline)
        return migrate(mover, check, target, deadline, say)

    def end_the_time(_: str) -> None:
        deadlines[0].seconds = 0.0

    monkeypatch.setattr(move.Mover, "move", migrate_within)
    monkeypatch.setitem(Waiter.__init__.__kwdefaults__, "last_word_seconds", 600.0)
    with once_it_runs(namespace, end_the_time):
        (one,) = moved(*pair("slow", "worker1:worker2>worker3"))
    assert (one["outcome"], one["failureKind"]) == ("error", "timeout")
    assert re.fullmatch(
        r"run: timed out after \S+ waiting for the migration of VMI \S+ \(phase \w+\)",
        one["failureReason"],
    )
    assert 0 < one["received"] <= one["transmitted"]
    assert one["longestGap"]["nanoSec"] > 0
    migration = one["migration"]
    assert not migration["succeeded"]
    assert migration["endedNanoSec"] is None
    assert migration["preparationGap"]["nanoSec"] > 0


def test_each_attempt_migrates_another_guest_and_its_test_reads_that_and_pings_on_without_another(
    checkup: Checkup, moved: Any
) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        NAMES = []

        @pytest.mark.kvlatency(nad="default/blue-network", nodes="worker4:worker5>worker6")
        def test_move(kv_pair, kv_migration, kv_ping):
            assert kv_migration.source_node == "worker5"
            assert kv_migration.requested_node == kv_migration.target_node == "worker6"
            assert (kv_pair.source.node, kv_pair.target.node) == ("worker4", "worker6")
            assert kv_migration.mode == "PreCopy"
            assert kv_migration.phases[-1].name == "Succeeded"
            assert 0 < kv_migration.switchover_gap_ms <= kv_migration.longest_gap_ms
            assert kv_migration.longest_gap_ns >= kv_migration.preparation_gap_ns
            assert kv_migration.created_ns < kv_migration.ended_ns
            assert kv_migration.rtt_before.count > 0
            assert "worker5 -> worker6: preparation gap" in repr(kv_migration)
            # Its console was lost with the move.
            assert kv_pair.target.run("echo here", check=True).output == "here"
            assert kv_ping(sample_duration="300ms").received > 0
            NAMES.append(kv_pair.target.vmi_name)
            assert len(set(NAMES)) == 2, "the first attempt"

        @pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")
        @pytest.mark.flaky(reruns=0)
        def test_still(kv_migration):
            pass
        """
    )
    first, second, still = moved("--reruns", "1")
    assert [one["outcome"] for one in (first, second, still)] == ["failed", "passed", "error"]
    assert "the first attempt" in first["failureReason"]
    assert first["targetVmi"] != second["targetVmi"]
    for one in (first, second):
        assert one["migration"]["succeeded"]
        (extra,) = one["extra"]
        assert extra["received"] > 0
        assert (extra["nodes"], extra["migration"]) == ("worker4:worker6", None)
    assert still["failureReason"] == (
        "setup: kv_migration needs a pair whose target migrates, but the nodes of this test are worker1:worker2: use "
        "nodes such as worker1:worker2>worker3"
    )


def test_of_the_three_paths_exactly_the_one_fails_whose_gap_is_longer_than_the_limit(moved: Any) -> None:
    nodes = ("--kv-node-set", "worker1,worker2,worker3")
    # Once the target is on worker3, its replies take two seconds.
    measured = moved(*pair("far", "migrations"), *nodes, "--kv-max-gap", "1500ms")
    assert [(one["nodes"], one["outcome"], one["failureKind"]) for one in measured] == [
        ("worker1:worker1>worker2", "passed", None),
        ("worker1:worker2>worker1", "passed", None),
        ("worker1:worker2>worker3", "failed", "gap"),
    ]
    assert all(one["migration"]["succeeded"] for one in measured)
    assert [one["migration"]["targetNode"] for one in measured] == ["worker2", "worker1", "worker3"]
    assert [one["longestGap"]["nanoSec"] > 2_000_000_000 for one in measured] == [False, False, True]


def test_a_network_that_stays_cut_after_the_migration_is_connectivity(
    moved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "SILENCE_SECONDS", 3.0)
    (one,) = moved(*pair("lost", "worker1:worker2>worker3"))
    assert (one["outcome"], one["failureKind"]) == ("failed", "connectivity")
    assert "no reply since the migration to worker3" in one["failureReason"]
    assert one["migration"]["succeeded"]


def test_a_network_that_is_cut_anyway_is_told_without_a_migration(
    moved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "FIRST_REPLY_SECONDS", 1.0)
    (one,) = moved(*pair("cut", "worker1:worker2>worker3"), "--kv-warmup", "0")
    assert (one["outcome"], one["failureKind"], one["received"]) == ("failed", "connectivity", 0)
    assert "not even ARP is answered" in one["failureReason"]
    assert one["migration"] is None
    assert "no migration was begun: not one reply came before it" in one["notes"]


def deleted_once_it_migrates(
    namespace: Namespace, path: Callable[[str, str], str]
) -> AbstractContextManager[None]:
    """Another client deletes, at this path of a namespace and a name, what has the name of a migration that runs."""
    return once_it_runs(namespace, lambda name: namespace.request("DELETE", path("default", name)))


def test_a_migration_that_another_client_deletes_is_the_cause(moved: Any, namespace: Namespace) -> None:
    with deleted_once_it_migrates(namespace, paths.migration):
        (one,) = moved(*pair("slow", "worker1:worker2>worker3"))
    assert (one["outcome"], one["failureKind"]) == ("error", "provision")
    # Whichever is seen first: it goes soon after it has failed.
    assert re.search("Live migration aborted$|another client deleted its migration$", one["failureReason"])
    assert not one["migration"]["succeeded"]
    assert one["received"] > 0


def test_E55_a_vmi_that_another_client_deletes_while_it_migrates_keeps_what_was_measured(
    moved: Any, namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vigil, "STEPS", replace(vigil.STEPS, first=0.5))
    with deleted_once_it_migrates(namespace, paths.vmi):
        (one,) = moved(*pair("slow", "worker1:worker2>worker3"))
    assert (one["outcome"], one["failureKind"]) == ("error", "provision")
    assert re.search("VMI default/.* is (gone|being deleted)", one["failureReason"]), one["failureReason"]
    assert one["received"] > 0
    assert one["migration"]["preparationGap"]["nanoSec"] > 0


def test_a_target_may_migrate_to_any_node_of_the_set_and_is_kept_there_without_its_migration(
    moved: Any, namespace: Namespace
) -> None:
    anywhere = (*pair("blue", "worker1:worker2>?"), "--kv-node-set", "worker1,worker2,worker5")
    (one,) = moved(*anywhere, "--kv-keep", "always")
    assert one["succeeded"], one["failureReason"]
    assert one["migration"]["requestedNode"] is None
    assert one["migration"]["targetNode"] in ("worker1", "worker5")
    assert sorted(namespace.vmis) == sorted([one["sourceVmi"], one["targetVmi"]])
    for name in namespace.vmis:
        namespace.request("DELETE", paths.vmi("default", name))


def test_a_guest_that_has_nowhere_to_go_is_not_created(moved: Any) -> None:
    (one,) = moved(*pair("blue", "worker1:worker2>?"), "--kv-node-set", "worker2,worker99")
    assert one["sourceVmi"] is None
    assert (one["outcome"], one["failureKind"]) == ("error", "provision")
    assert "there is no node that the guest on worker2 could migrate to: " in one["failureReason"]
