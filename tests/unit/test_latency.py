"""What a test's body can ask ``kv_latency`` for."""

from __future__ import annotations

import pytest

from pytest_kvlatency.errors import NoValue
from pytest_kvlatency.model import (
    AUTO,
    Check,
    Failure,
    Gap,
    Gaps,
    GuestFacts,
    Measurement,
    NadRef,
    PingParameters,
    PingResult,
)
from pytest_kvlatency.ping.latency import Latency

CHECK = Check(nad=NadRef(namespace="default", name="blue"), pair=AUTO)


def measured(
    *samples_ns: int, transmitted: int, check: Check = CHECK, interval_ns: int | None = None
) -> Latency:
    return Latency(
        Measurement(
            check=check,
            source=GuestFacts(vmi_name="a", namespace="n", node="worker1", address="198.18.0.1"),
            target=GuestFacts(vmi_name="b", namespace="n", node="worker2", address="198.18.0.2"),
            result=PingResult(
                transmitted=transmitted,
                received=len(samples_ns),
                duplicates=1,
                samples_ns=samples_ns,
                duration_seconds=4.9,
            ),
            interval_ns=interval_ns,
        )
    )


def test_numbers_come_in_nanoseconds_and_milliseconds() -> None:
    latency = measured(1_000_000, 3_000_000, 2_000_000, transmitted=4)
    assert (latency.min_ns, latency.avg_ns, latency.max_ns, latency.p50_ns) == (
        1_000_000,
        2_000_000,
        3_000_000,
        2_000_000,
    )
    assert (latency.min_ms, latency.avg_ms, latency.max_ms, latency.p50_ms) == (1.0, 2.0, 3.0, 2.0)
    assert latency.stddev_ns == 816_497
    assert latency.stddev_ms == pytest.approx(0.816497)
    assert (latency.transmitted, latency.received, latency.duplicates) == (4, 3, 1)
    assert latency.loss_percent == 25.0
    assert latency.duration_seconds == 4.9
    assert latency.samples_ns == (1_000_000, 3_000_000, 2_000_000)
    assert (latency.source_node, latency.target_node) == ("worker1", "worker2")


def test_percentiles_come_with_enough_samples() -> None:
    latency = measured(*range(1, 101), transmitted=100)
    assert (latency.p90_ns, latency.p99_ns) == (90, 99)
    assert (latency.p90_ms, latency.p99_ms) == (9e-05, 9.9e-05)


def test_E36_a_number_that_cannot_be_given_says_how_to_get_it() -> None:
    latency = measured(*range(1, 51), transmitted=50)
    with pytest.raises(NoValue, match=r"^p99 needs 100 samples, got 50: --kv-sample-duration 10s$"):
        _ = latency.p99_ms
    slow = Check(nad=CHECK.nad, pair=AUTO, ping=PingParameters(interval_ns=1_000_000_000))
    with pytest.raises(NoValue, match=r"^p90 needs 10 samples, got 5: --kv-sample-duration 10s$"):
        _ = measured(*range(1, 6), transmitted=5, check=slow).p90_ns


def test_E34_E90_the_interval_that_the_guests_ping_kept_decides_how_long_to_sample() -> None:
    nine = tuple(range(1, 10))
    asked = Check(nad=CHECK.nad, pair=AUTO, ping=PingParameters(sample_duration_ns=9_000_000_000))
    kept = measured(*nine, transmitted=9, check=asked, interval_ns=1_000_000_000)
    with pytest.raises(NoValue, match=r"^p99 needs 100 samples, got 9: --kv-sample-duration 1m40s$"):
        _ = kept.p99_ns
    with pytest.raises(NoValue, match=r"^p90 needs 10 samples, got 9: --kv-sample-duration 10s$"):
        _ = kept.p90_ns


def test_E36_a_sample_that_was_long_enough_and_lost_some_is_not_asked_to_be_longer() -> None:
    long = Check(nad=CHECK.nad, pair=AUTO, ping=PingParameters(sample_duration_ns=10_000_000_000))
    with pytest.raises(NoValue, match=r"^p99 needs 100 samples, got 90 of 100 requests$"):
        _ = measured(*range(1, 91), transmitted=100, check=long).p99_ns


def test_E30_without_replies_there_is_no_latency() -> None:
    latency = measured(transmitted=50)
    with pytest.raises(NoValue, match=r"^min needs replies, got none of 50$"):
        _ = latency.min_ns
    assert latency.loss_percent == 100.0


def test_get_gives_none_where_the_attribute_raises() -> None:
    latency = measured(*range(1, 51), transmitted=50)
    assert latency.get("p99_ms") is None
    assert latency.get("max_ns") == 50
    assert latency.get("source_node") == "worker1"


def test_a_wrong_name_is_a_mistake_and_no_missing_number() -> None:
    latency = measured(1, transmitted=1)
    with pytest.raises(AttributeError, match="has no number 'p95_ms': expected one of min_ns, "):
        latency.get("p95_ms")
    with pytest.raises(AttributeError, match="p95_ms"):
        _ = latency.p95_ms  # type: ignore[attr-defined]


def test_its_repr_helps_in_a_failed_assertion() -> None:
    assert repr(measured(1_000_000, 3_000_000, transmitted=2)) == (
        "<Latency default/blue worker1 -> worker2: 2/2 received, min 1ms, avg 2ms, max 3ms>"
    )


def test_nothing_measured_says_why() -> None:
    failure = Failure(kind="guest", stage="setup", reason="no login")
    latency = Latency(Measurement(check=CHECK, failures=(failure,)))
    with pytest.raises(NoValue, match=r"^nothing was measured: no login$"):
        _ = latency.transmitted
    with pytest.raises(NoValue, match=r"^the source guest was never started$"):
        _ = latency.source_node
    assert repr(latency) == "<Latency default/blue None -> None: not measured>"


def test_the_longest_gap_is_a_number_like_the_others() -> None:
    latency = measured(1_000_000, 2_000_000, transmitted=2)
    assert latency.get("longest_gap_ns") is None
    with pytest.raises(NoValue, match="the longest gap needs two replies"):
        _ = latency.longest_gap_ms
    gaps = Gaps(longest=Gap(begins_ns=1, length_ns=12_500_000), interval_ns=10_000_000)
    result = PingResult(transmitted=2, received=2, samples_ns=(1, 2))
    latency = Latency(Measurement(check=CHECK, result=result, gaps=gaps))
    assert (latency.longest_gap_ns, latency.longest_gap_ms) == (12_500_000, 12.5)
