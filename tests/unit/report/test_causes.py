"""Equal failures are one cause, and it names what is to blame."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from pytest_kvlatency.errors import (
    CheckupTimeoutError,
    GuestError,
    InterruptedRunError,
    KvLatencyError,
    PermissionDeniedError,
    ProvisionError,
)
from pytest_kvlatency.model import (
    Check,
    Failure,
    GuestFacts,
    Limits,
    Measurement,
    NadRef,
    NodePair,
    PingResult,
    failure_of,
)
from pytest_kvlatency.ping.verdict import judge
from pytest_kvlatency.report.causes import find_causes
from pytest_kvlatency.report.failurefacts import fault_of
from pytest_kvlatency.report.measurement import measurement_entry
from pytest_kvlatency.report.run import ItemResult

MS = 1_000_000
LIMITS = Limits(max_latency_ns=10 * MS)
GOOD, DEAD, SLOW, LOSSY = (1, 1), (0, 1), (1, 20), (0.5, 1)
CORDONED = Failure(
    kind="provision", stage="setup", reason="VMI ns/latency-check-abcde cannot start", summary="worker6 is cordoned",
    node="worker6", hint="kubectl uncordon worker6", guest_node="worker6",
)  # fmt: skip


def measured(
    source: str,
    target: str,
    how: tuple[float, float] = GOOD,
    *,
    nad: str = "blue-network",
    asked: NodePair | None = None,
) -> dict[str, Any]:
    """One pair: the part of 10 pings that was answered, and in how many milliseconds."""
    answered, milliseconds = how
    check = Check(
        nad=NadRef(namespace="default", name=nad),
        pair=NodePair(source=source, target=target) if asked is None else asked,
        limits=LIMITS,
    )
    times = (int(milliseconds * MS),) * int(answered * 10)
    result = PingResult(transmitted=10, received=len(times), samples_ns=times)
    guests = (
        GuestFacts(vmi_name=f"latency-check-{n:05}", namespace="ns", node=node, address=f"198.18.0.{n}")
        for n, node in enumerate((source, target), start=1)
    )
    failures = judge(result, LIMITS)
    measurement = Measurement(
        check=check, source=next(guests), target=next(guests), result=result, failures=failures
    )
    return entry_of(check, measurement=measurement, outcome="failed" if failures else "passed")


def broken(
    source: str, target: str, failure: Failure = CORDONED, *, nad: str = "blue-network"
) -> dict[str, Any]:
    """A pair that could not be measured."""
    check = Check(nad=NadRef(namespace="default", name=nad), pair=NodePair(source=source, target=target))
    return entry_of(check, outcome="error", failures=(failure,))


def entry_of(check: Check, **more: Any) -> dict[str, Any]:
    return measurement_entry(ItemResult(nodeid=f"kvlatency::check[{check.id}]", check=check, **more))


def mesh(
    nodes: int, bad: dict[tuple[int, int], tuple[float, float]], nad: str = "blue-network"
) -> list[dict[str, Any]]:
    return [
        measured(f"worker{one}", f"worker{other}", bad.get((one, other), GOOD), nad=nad)
        for one, other in combinations(range(1, nodes + 1), 2)
    ]


def told(entries: list[dict[str, Any]], *own: Failure) -> list[tuple[str, int]]:
    return [
        (one["sentence"], len(one["measurements"]))
        for one in find_causes(entries, [fault_of(each) for each in own])
    ]


def test_nothing_failed_has_no_cause() -> None:
    assert find_causes(mesh(4, {})) == []


def test_a_cordoned_node_of_a_mesh_is_one_cause_on_all_networks() -> None:
    entries = [
        broken(f"worker{n}", "worker6", nad=nad)
        for nad in ("blue-network", "red-network")
        for n in range(1, 6)
    ]
    (cause,) = find_causes(entries)
    assert cause == {
        "kind": "provision",
        "stage": "setup",
        "sentence": "worker6 is cordoned",
        "node": "worker6",
        "pair": None,
        "network": None,
        "measurements": [one["nodeid"] for one in entries],
        "networks": ["default/blue-network", "default/red-network"],
        "advice": "kubectl uncordon worker6",
    }


def test_a_pair_is_to_blame_for_what_only_it_has() -> None:
    causes = find_causes(mesh(4, {(1, 3): SLOW, (2, 3): LOSSY, (2, 4): DEAD}))
    assert [(one["kind"], one["sentence"], one["pair"], one["node"], one["network"]) for one in causes] == [
        ("latency", "latency exceeds the limit between worker1 and worker3", "worker1:worker3", None, None),
        ("loss", "packets are lost between worker2 and worker3", "worker2:worker3", None, None),
        ("connectivity", "no replies between worker2 and worker4", "worker2:worker4", None, None),
    ]


def advice(entries: list[dict[str, Any]]) -> list[str]:
    """The lines of the only cause's."""
    (cause,) = find_causes(entries)
    return (cause["advice"] or "").splitlines()


COMPARE = "to leave the path between nodes out, compare: --kv-nodes worker1:worker1"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (SLOW, "look at the path between the two"),
        (LOSSY, "look at the path between the two"),
        (DEAD, "look for a filter or VLAN between the two"),
    ],
)
def test_of_a_pair_whose_nodes_are_fine_with_all_others_the_path_between_them_is_to_be_looked_at(
    how: tuple[float, float], words: str
) -> None:
    said = advice(mesh(4, {(1, 3): how}))
    assert said[0] == f"other pairs of both nodes are fine: {words}"
    assert COMPARE not in said
    assert not any("both nodes:" in line for line in said)


@pytest.mark.parametrize("how", [SLOW, LOSSY, DEAD])
def test_of_the_only_pair_nothing_is_said_of_where_it_is_but_what_would_tell(
    how: tuple[float, float],
) -> None:
    said = advice([measured("worker1", "worker2", how)])
    assert said[-1] == COMPARE
    assert not any("other pairs" in line for line in said)
    assert COMPARE not in advice([measured("worker1", "worker2", how), measured("worker1", "worker1")])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (SLOW, "look at worker2: the load of its CPUs, and speed and duplex of its uplink"),
        (LOSSY, "look at worker2: errors and drops of its uplink (ip -s link, ethtool -S)"),
        (DEAD, "look at worker2: its bridge, uplink and VLAN, and whatever filters frames"),
    ],
)
def test_of_a_node_in_all_bad_pairs_that_node_is_to_be_looked_at(
    how: tuple[float, float], words: str
) -> None:
    assert advice(mesh(4, dict.fromkeys([(1, 2), (2, 3), (2, 4)], how)))[0] == words


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (SLOW, "all pairs have it: look at what they share (switch, tunnel), and at the limit"),
        (LOSSY, "all pairs have it: look at what they share, such as a switch or a tunnel"),
        (DEAD, "all pairs have it: look at what they share, such as VLAN, trunk or bridge"),
    ],
)
def test_of_a_whole_network_what_its_pairs_share_is_to_be_looked_at(
    how: tuple[float, float], words: str
) -> None:
    said = advice(mesh(3, dict.fromkeys(combinations(range(1, 4), 2), how)))
    assert (said[0], said[-1]) == (words, COMPARE)


def test_of_two_guests_on_one_node_no_path_between_nodes_is_suspected() -> None:
    said = advice([measured("worker1", "worker1", LOSSY)])
    assert said[0] == "no other node takes part: look at the load of worker1, and at its bridge or NIC"
    assert COMPARE not in said


@pytest.mark.parametrize(
    ("how", "sentence", "words"),
    [
        (
            SLOW,
            "latency exceeds the limit when worker2 pings worker1",
            "worker1 pings worker2 over the same path without it: measure both ways again",
        ),
        (
            DEAD,
            "no replies when worker2 pings worker1",
            "worker1 reaches worker2: look for a filter that lets only one of them begin",
        ),
    ],
)
def test_a_pair_that_is_good_the_other_way_round_is_blamed_in_one_direction(
    how: tuple[float, float], sentence: str, words: str
) -> None:
    entries = [*mesh(3, {}), measured("worker2", "worker1", how)]
    (cause,) = find_causes(entries)
    assert (cause["sentence"], cause["pair"]) == (sentence, "worker2:worker1")
    assert (cause["advice"] or "").splitlines() == [words]


def test_neither_network_nor_node_is_to_blame_for_pairs_that_are_good_the_other_way_round() -> None:
    entries = [
        measured("worker1", "worker2", SLOW), measured("worker2", "worker1"),
        measured("worker1", "worker3", SLOW),
    ]  # fmt: skip
    assert told(entries) == [
        ("latency exceeds the limit when worker1 pings worker2", 1),
        ("latency exceeds the limit between worker1 and worker3", 1),
    ]


def test_what_another_test_measured_the_other_way_round_says_nothing_of_the_direction() -> None:
    other = measured("worker2", "worker1")
    other["nodeid"] = "test_x.py::test_small[default/blue-network-worker2:worker1]"
    assert told([measured("worker1", "worker2", SLOW), other]) == [
        ("latency exceeds the limit between worker1 and worker2", 1)
    ]


def test_of_slow_guests_under_software_emulation_that_comes_first() -> None:
    slow = {**measured("worker1", "worker2", SLOW), "softwareEmulation": True}
    assert advice([slow])[0] == "the guests ran under software emulation, which inflates round-trip times"
    lossy = {**measured("worker1", "worker2", LOSSY), "softwareEmulation": True}
    assert not any("emulation" in line for line in advice([lossy]))


@pytest.mark.parametrize("how", [LOSSY, DEAD])
def test_E27_lost_large_packets_may_be_too_large_for_the_path(how: tuple[float, float]) -> None:
    entry = measured("worker1", "worker2", how)
    small = "try --kv-packet-size 56: if that passes, the MTU on the path is too small"
    assert small not in advice([entry])
    assert small in advice([{**entry, "ping": {**entry["ping"], "packetSizeBytes": 1472}}])


def test_where_a_limit_could_not_be_judged_only_the_way_to_judge_it_is_said() -> None:
    failure = Failure(
        kind="latency", stage="run", reason="cannot compute p99", summary="too few", hint="sample longer"
    )
    assert advice([{**broken("worker1", "worker2", failure), "transmitted": 10}]) == ["sample longer"]


def test_a_pair_in_both_directions_and_on_several_networks_is_one_cause() -> None:
    entries = [
        *mesh(4, {(1, 3): DEAD}),
        *mesh(4, {(1, 3): DEAD}, "red-network"),
        measured("worker3", "worker1", DEAD),
    ]
    (cause,) = find_causes(entries)
    assert (cause["pair"], len(cause["measurements"])) == ("worker1:worker3", 3)
    assert cause["networks"] == ["default/blue-network", "default/red-network"]


def test_a_network_is_to_blame_where_all_of_its_pairs_have_it() -> None:
    dead = dict.fromkeys(combinations(range(1, 5), 2), DEAD)
    (cause,) = find_causes([*mesh(4, {}), *mesh(4, dead, "red-network")])
    assert (cause["sentence"], cause["network"]) == (
        "no replies on default/red-network",
        "default/red-network",
    )
    assert (cause["node"], cause["pair"], len(cause["measurements"])) == (None, None, 6)


def test_a_node_is_to_blame_where_all_of_its_pairs_have_it() -> None:
    (cause,) = find_causes(mesh(4, {(1, 2): LOSSY, (2, 3): LOSSY, (2, 4): LOSSY}))
    assert (cause["sentence"], cause["node"]) == ("packets are lost to and from worker2", "worker2")


def test_two_nodes_are_two_causes_and_each_measurement_counts_once() -> None:
    entries = mesh(6, {pair: DEAD for pair in combinations(range(1, 7), 2) if {2, 3} & set(pair)})
    assert told(entries) == [("no replies to and from worker2", 5), ("no replies to and from worker3", 4)]


def test_a_node_with_one_pair_that_works_is_not_to_blame() -> None:
    entries = mesh(5, {(1, 2): DEAD, (2, 3): DEAD, (2, 4): DEAD})
    assert [one["pair"] for one in find_causes(entries)] == [
        "worker1:worker2",
        "worker2:worker3",
        "worker2:worker4",
    ]


def test_one_pair_alone_tells_neither_of_its_nodes_nor_of_its_network() -> None:
    assert told([measured("worker1", "worker2", DEAD, asked=NodePair())]) == [
        ("no replies between worker1 and worker2", 1)
    ]
    assert told([measured("worker1", "worker1", DEAD)]) == [("no replies between two guests on worker1", 1)]


def test_what_was_not_measured_does_not_speak_for_a_network() -> None:
    dead = dict.fromkeys(combinations(range(1, 4), 2), DEAD)
    entries = [*mesh(3, dead), broken("worker1", "worker6")]
    assert told(entries) == [("no replies on default/blue-network", 3), ("worker6 is cordoned", 1)]


def test_a_slow_and_lossy_pair_has_two_causes() -> None:
    assert told(mesh(3, {(1, 2): (0.5, 20)})) == [
        ("latency exceeds the limit between worker1 and worker2", 1),
        ("packets are lost between worker1 and worker2", 1),
    ]


def test_the_cause_of_most_measurements_comes_first_then_the_earlier_one() -> None:
    entries = [
        *mesh(4, {(1, 2): DEAD, (3, 4): SLOW}),
        broken("worker1", "worker6"),
        broken("worker2", "worker6"),
    ]
    assert [count for _, count in told(entries)] == [2, 1, 1]
    assert [text.split(" between")[0] for text, _ in told(entries)] == [
        "worker6 is cordoned",
        "no replies",
        "latency exceeds the limit",
    ]


def test_a_set_up_error_is_its_nodes_only_where_no_other_has_it() -> None:
    def refused(node: str) -> Failure:
        return replace(CORDONED, summary="the login is refused", node="", guest_node=node, is_local=True)

    (cause,) = find_causes(
        [broken("worker1", "worker2", refused("worker2")), broken("worker3", "worker2", refused("worker2"))]
    )
    assert (cause["sentence"], cause["node"]) == ("worker2: the login is refused", "worker2")
    (cause,) = find_causes(
        [broken("worker1", "worker2", refused("worker2")), broken("worker3", "worker4", refused("worker4"))]
    )
    assert (cause["sentence"], cause["node"]) == ("the login is refused", None)


@pytest.mark.parametrize(
    ("error", "blamed"),
    [
        (GuestError("refuses the login"), "worker2"),
        (CheckupTimeoutError("the time was over"), "worker2"),
        (PermissionDeniedError("may not create VMIs"), None),
        (InterruptedRunError("interrupted by SIGINT"), None),
        (ProvisionError("exceeded quota"), None),
        (ProvisionError("cannot pull the image", is_local=True), "worker2"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_may_strike_anywhere_is_not_the_fault_of_the_only_node_it_struck(
    error: KvLatencyError, blamed: str | None
) -> None:
    error.guest_node = "worker2"
    failure = failure_of(error)
    (cause,) = find_causes([broken("worker1", "worker2", failure), broken("worker3", "worker2", failure)])
    assert cause["node"] == blamed
    assert cause["sentence"] == (f"{blamed}: {error.reason}" if blamed else error.reason)


def test_only_the_last_attempt_counts() -> None:
    first, second = measured("worker1", "worker2", DEAD), {**measured("worker1", "worker2"), "attempt": 2}
    assert find_causes([first, second]) == []


@pytest.mark.parametrize("outcome", ["xfailed", "notrun"])
def test_what_does_not_fail_the_run_is_no_cause(outcome: str) -> None:
    entry = measured("worker1", "worker2", DEAD) if outcome == "xfailed" else broken("worker1", "worker2")
    assert find_causes([{**entry, "outcome": outcome}]) == []


def test_names_addresses_and_durations_do_not_keep_equal_failures_apart() -> None:
    failures = [
        Failure(
            kind="guest", stage="setup",
            reason=f"the guest of VMI ns/latency-check-{name} (198.18.0.{number}) does not answer (for {number} s)",
        )
        for number, name in ((1, "aaaaa"), (2, "b4b4b"))
    ]  # fmt: skip
    entries = []
    for number, failure in enumerate(failures, start=1):
        measurement = Measurement(
            check=Check(
                nad=NadRef(namespace="default", name="blue-network"), pair=NodePair(source="a", target="b")
            ),
            source=GuestFacts(vmi_name="x", namespace="ns", node="a", address=f"198.18.0.{number}"),
            failures=(failure,),
        )
        entries.append(
            entry_of(
                replace(measurement.check, limits=Limits(max_loss_percent=number)),
                measurement=measurement,
                outcome="error",
            )
        )
        entries[-1]["nodeid"] += str(number)
    assert told(entries) == [("the guest of the VMI (the source guest) does not answer", 2)]


def test_the_runs_own_failures_are_causes_without_measurements() -> None:
    torn = Failure(
        kind="teardown",
        stage="teardown",
        reason="VMI ns/latency-check-abcde is not gone",
        summary="1 VMI is not gone",
    )
    assert told(mesh(3, {(1, 2): DEAD}), torn) == [
        ("no replies between worker1 and worker2", 1),
        ("1 VMI is not gone", 0),
    ]


def test_an_interruption_is_one_cause_with_what_it_cut_off() -> None:
    cut = Failure(
        kind="interrupted",
        stage="setup",
        reason="interrupted by SIGTERM while booting",
        summary="interrupted by SIGTERM",
    )
    own = Failure(kind="interrupted", stage="run", reason="interrupted by SIGTERM")
    assert told([broken("worker1", "worker2", cut)], own) == [("interrupted by SIGTERM", 1)]


def test_older_documents_are_grouped_by_their_sentences_without_their_own_names() -> None:
    entries = [*mesh(4, {(1, 3): DEAD}), broken("worker1", "worker5"), broken("worker2", "worker5")]
    for number, entry in enumerate(entries):
        del entry["failures"], entry["failedNode"], entry["advice"]
        if entry["failureKind"] == "provision":
            vmi = entry["targetVmi"] = f"own-{number}"
            entry["failureReason"] = f"setup: VMI ns/{vmi} cannot be scheduled"
    assert told(entries) == [
        ("the target VMI cannot be scheduled", 2),
        ("no replies between worker1 and worker3", 1),
    ]


def test_a_test_that_failed_by_itself_says_so() -> None:
    entry = {**measured("worker1", "worker2"), "outcome": "failed"}
    assert told([entry]) == [("the test ended as failed", 1)]


def test_without_a_reply_before_it_a_migration_that_was_not_begun_is_not_to_blame() -> None:
    asked = NodePair(source="worker1", target="worker3", destination="worker2")
    (cause,) = find_causes(
        [measured("worker1", "worker3", DEAD, asked=asked), measured("worker1", "worker2")]
    )
    assert (cause["sentence"], cause["pair"]) == (
        "no replies between worker1 and worker3",
        "worker1:worker3",
    )
    assert "migration" not in cause["advice"]
