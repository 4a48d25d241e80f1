"""A run beside an earlier one: what is noise, what is a change, and what cannot be compared."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.model import AUTO, GuestSpec, NadRef, PingParameters
from pytest_kvlatency.report.command.merging import merge
from pytest_kvlatency.report.comparison.baseline import read
from pytest_kvlatency.report.comparison.change import FLOOR_NS, changes, fewest
from pytest_kvlatency.report.comparison.comparator import NEW, Comparator
from pytest_kvlatency.report.comparison.quantiles import lower_rank, upper_rank, worth_of
from pytest_kvlatency.report.document import build, plan_facts

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Make

    from pytest_kvlatency.report.run import ItemResult, RunResult

US = 1_000


MS = 1_000_000


def sample(seed: int, count: int = 100, *, median_us: float = 400, spread: float = 0.15) -> tuple[int, ...]:
    """Round-trip times as networks have them: none below a floor, and a long tail."""
    chance = random.Random(seed)
    return tuple(round(median_us * US * math.exp(chance.gauss(0, spread))) for _ in range(count))


# --- bounds


@pytest.mark.parametrize("percent", [50, 90, 99])
@pytest.mark.parametrize("count", [1, 9, 50, 101, 500])
@pytest.mark.parametrize("error", [0.0025, 0.0075, 0.2])
def test_the_bounds_are_those_of_the_binomial_distribution(percent: int, count: int, error: float) -> None:
    # In whole numbers: how many of 100**count equally likely cases have so many samples below the percentile.
    cases = [math.comb(count, k) * percent**k * (100 - percent) ** (count - k) for k in range(count + 1)]
    accepted = Fraction(error) * 100**count
    lower = [rank for rank in range(1, count + 1) if sum(cases[:rank]) <= accepted]
    upper = [rank for rank in range(1, count + 1) if sum(cases[rank:]) <= accepted]
    assert lower_rank(count, percent, error) == (max(lower) if lower else None)
    assert upper_rank(count, percent, error) == (min(upper) if upper else None)


def test_the_bounds_of_an_hour_of_pings_are_found() -> None:
    count = 360_000
    assert lower_rank(count, 50, 0.0025) < count / 2 < upper_rank(count, 50, 0.0075)  # type: ignore[operator]
    assert upper_rank(count, 99, 0.0075) < count  # type: ignore[operator]


def test_so_many_samples_are_needed_as_the_docs_say() -> None:
    assert [fewest(percent) for percent in (50, 90, 99)] == [9, 47, 487]


# --- changes


def test_a_slower_median_is_found_in_the_samples_of_the_default_duration() -> None:
    p50, p90 = changes(sample(1, 50), sample(2, 50, median_us=600))
    assert (p50.name, p50.is_slower, p90.name, p90.is_slower) == ("p50", True, "p90", True)
    assert 30 < (p50.percent or 0) < 70
    assert p50.exceeds(20)
    assert not p50.exceeds(80)
    assert not p50.exceeds(None)


def test_a_faster_median_is_a_change_and_no_regression() -> None:
    p50, _ = changes(sample(1, 50, median_us=600), sample(2, 50))
    assert (p50.is_significant, p50.is_slower, p50.exceeds(0)) == (True, False, False)


def test_two_samples_of_one_network_almost_never_differ() -> None:
    # A limit of 0%, so that nothing but the test itself keeps noise from being a regression.
    found = [
        one.name
        for seed in range(500)
        for one in changes(sample(seed, 60, spread=0.5), sample(10_000 + seed, 60, spread=0.5))
        if one.exceeds(0)
    ]
    assert len(found) <= 1


def queued(seed: int, count: int) -> list[int]:
    """Pings of one network with long queues: each resembles the one before."""
    chance, level, found = random.Random(seed), 0.0, []
    for _ in range(count):
        level = 0.8 * level + chance.gauss(0, 0.6)
        found.append(round(MS * math.exp(level)))
    return found


@pytest.mark.parametrize("count", [50, 150])
def test_two_samples_of_a_network_with_long_queues_almost_never_differ(count: int) -> None:
    differing = [
        seed
        for seed in range(300)
        if any(one.exceeds(5) for one in changes(queued(seed, count), queued(10_000 + seed, count)))
    ]
    # 99% confidence, of two percentiles.
    assert len(differing) <= 6, differing


def test_samples_that_resemble_each_other_count_as_fewer() -> None:
    chance = random.Random(1)
    independent = [chance.randrange(1000) for _ in range(400)]
    assert worth_of(independent, 500) == 400
    assert worth_of([1] * 400, 1) == 400
    assert worth_of(sorted(independent), 500) < 10
    assert 60 < worth_of([int(math.log(one / MS) * 1000) for one in queued(1, 400)], 0) < 160


def test_a_burst_in_one_half_of_the_sample_is_no_change() -> None:
    quiet = sample(1, 100)
    burst = tuple(value * 3 if 10 <= number < 45 else value for number, value in enumerate(sample(2, 100)))
    assert not any(one.is_slower for one in changes(quiet, burst))
    # The same times spread over the whole sample are one.
    spread = list(burst)
    random.Random(3).shuffle(spread)
    assert [one.name for one in changes(quiet, spread) if one.is_slower] == ["p90"]


@pytest.mark.parametrize(
    ("before", "now"),
    [(100 * US, 100 * US + FLOOR_NS), (20_000 * US, 20_200 * US), (10 * US, 10 * US)],
    ids=["clock", "ping's digits", "nothing"],
)
def test_what_clocks_cannot_tell_apart_is_no_change(before: int, now: int) -> None:
    (p50, *_) = changes((before,) * 200, (now,) * 200)
    assert p50.is_significant is False
    (p50, *_) = changes((before,) * 200, (now + max(FLOOR_NS + 1, before // 50),) * 200)
    assert p50.is_slower


def test_too_few_samples_tell_nothing() -> None:
    (p50,) = changes(sample(1, 8), sample(2, 8, median_us=4000))
    assert p50.is_significant is None
    assert not p50.exceeds(0)
    assert changes(sample(1, 50), ()) == []


def test_the_99th_percentile_takes_part_where_there_are_samples_enough() -> None:
    def p99(count: int) -> Any:
        tail = tuple(
            value * 5 if number % 20 == 0 else value for number, value in enumerate(sample(2, count))
        )
        return {one.name: one.is_significant for one in changes(sample(1, count), tail)}.get("p99")

    assert (p99(99), p99(486), p99(487)) == (None, None, True)


# --- the baseline


def compared(tmp_path: Path, before: RunResult, limit: float | None = 20) -> Comparator:
    path = tmp_path / "old.json"
    path.write_text(json.dumps(build(before)))
    return Comparator(baseline=read(path), max_regression_percent=limit)


def entries(run: RunResult) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = build(run)["measurements"]
    return found


def changed(make: Make, item: ItemResult, **changes: Any) -> ItemResult:
    assert item.measurement is not None
    check = replace(item.measurement.check, **changes)
    return replace(item, check=check, measurement=replace(item.measurement, check=check))


def test_a_regression_names_baseline_now_percent_limit_and_confidence(make: Make, tmp_path: Path) -> None:
    comparator = compared(tmp_path, make.run(make.item(make.measurement((400_000,) * 50))))
    (entry,) = entries(make.run(make.item(make.measurement((600_000,) * 50))))
    p50, p90 = comparator.failures(entry)
    assert (p50.kind, p50.stage) == ("latency", "run")
    assert p50.reason == (
        'actual p50 latency "600µs" is 50% greater than "400µs" of the baseline, over the limit of 20% (99% confidence)'
    )
    assert "p90" in p90.reason
    assert p50.summary == "slower than the baseline allows"
    assert replace_limit(comparator, None).failures(entry) == ()
    assert replace_limit(comparator, 50).failures(entry) == ()


def replace_limit(comparator: Comparator, limit: float | None) -> Comparator:
    return replace(comparator, max_regression_percent=limit)


def test_the_document_has_the_comparison_of_each_pair(make: Make, tmp_path: Path) -> None:
    old = make.run(
        make.item(make.measurement((400_000,) * 50)),
        make.item(make.measurement((400_000,) * 50, target="worker10")),
        make.item(make.measurement((400_000,) * 50, target="worker3")),
        make.item(make.measurement((400_000,) * 50, target="worker5")),
    )
    comparator = compared(tmp_path, old)
    now = make.run(
        make.item(make.measurement((600_000,) * 50)),
        make.item(make.measurement((400_000,) * 50, target="worker4")),
        make.broken(target="worker5"),
        comparator=comparator,
    )
    document = build(now)
    slower, new, broken = document["measurements"]
    change = {"baselineNanoSec": 400_000, "deltaPercent": 50.0, "significant": True, "regressed": True}
    assert slower["comparison"] == {
        "p50": change,
        "p90": change,
        "p99": None,
        "significant": True,
        "regressed": True,
        "maxRegressionPercent": 20,
        "reason": "; ".join(one.reason for one in comparator.failures(slower)),
    }
    assert new["comparison"]["reason"] == NEW
    assert (new["comparison"]["p50"], new["comparison"]["significant"], new["comparison"]["regressed"]) == (
        None,
        None,
        False,
    )
    assert broken["comparison"] is None
    assert document["baseline"] == {
        "file": str(tmp_path / "old.json"),
        "startTimestamp": "2024-05-01T12:00:00Z",
        "maxRegressionPercent": 20,
        "newPairs": ["default/blue-network worker1:worker4"],
        # The one that could not be measured has not vanished.
        "vanishedPairs": ["default/blue-network worker1:worker3", "default/blue-network worker1:worker10"],
    }
    first, *others = document["notes"]
    assert first == (
        f"compared with {tmp_path}/old.json (2024-05-01T12:00:00Z): of 1 pair 1 slower, 0 faster; "
        "most default/blue-network worker1 → worker2: p50 +50%"
    )
    assert others == [
        "not in the baseline: default/blue-network worker1:worker4",
        f"in the baseline, and not in this run: {', '.join(document['baseline']['vanishedPairs'])}",
    ]


def test_a_run_of_which_nothing_could_be_compared_says_so(make: Make, tmp_path: Path) -> None:
    comparator = compared(tmp_path, make.run(make.item()))
    new = make.item(make.measurement(target="worker3"))
    first, *_ = build(make.run(new, comparator=comparator))["notes"]
    assert first == f"nothing of this run could be compared with {tmp_path}/old.json (2024-05-01T12:00:00Z)"


def test_without_a_baseline_the_document_says_nothing_of_it(make: Make) -> None:
    document = build(make.run(make.item()))
    assert document["baseline"] is None
    assert document["measurements"][0]["comparison"] is None


def test_a_pair_of_the_schedulers_choice_is_compared_by_its_nodes(make: Make, tmp_path: Path) -> None:
    def auto(target: str) -> ItemResult:
        item = changed(make, make.item(make.measurement((400_000,) * 50, target=target)), pair=AUTO)
        return replace(item, nodeid="kvlatency::check[default/blue-network-auto]")

    comparator = compared(tmp_path, make.run(auto("worker2")))
    (same,) = entries(make.run(auto("worker2")))
    (other,) = entries(make.run(auto("worker3")))
    assert comparator.comparison(same)["p50"]["deltaPercent"] == 0  # type: ignore[index]
    assert comparator.comparison(other)["reason"] == NEW  # type: ignore[index]


def test_each_test_of_a_pair_is_compared_with_itself(make: Make, tmp_path: Path) -> None:
    def tests(load: int) -> list[ItemResult]:
        check = make.check().id
        return [
            make.item(make.measurement((400_000,) * 50), nodeid=f"t.py::test_idle[{check}]"),
            make.item(make.measurement((load,) * 50), nodeid=f"t.py::test_load[{check}]"),
        ]

    comparator = compared(tmp_path, make.run(*tests(4_000_000)))
    assert [comparator.failures(one) for one in entries(make.run(*tests(4_000_000)))] == [(), ()]
    comparator = compared(tmp_path, make.run(*tests(400_000)))
    assert [bool(comparator.failures(one)) for one in entries(make.run(*tests(4_000_000)))] == [False, True]


PING = PingParameters()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ping": replace(PING, interval_ns=50_000_000)}, "--kv-interval 100ms then, 50ms now"),
        ({"ping": replace(PING, sample_duration_ns=9_000_000_000)}, "--kv-sample-duration 5s then, 9s now"),
        ({"ping": replace(PING, packet_size=1400)}, "--kv-packet-size 56 then, 1400 now"),
        ({"ping": replace(PING, dont_fragment=True)}, "no --kv-dont-fragment then, --kv-dont-fragment now"),
        ({"ping": replace(PING, warmup=0)}, "--kv-warmup 1 then, 0 now"),
        ({"guest": GuestSpec(profile="fedora")}, "--kv-guest alpine then, fedora now"),
        ({"guest": GuestSpec(image="a/b:1")}, "--kv-image unknown then, a/b:1 now"),
    ],
)
@pytest.mark.parametrize("nad", ["default", ""], ids=["named", "of the checkup's namespace"])
def test_other_pings_and_guests_are_refused_before_the_run(
    make: Make, tmp_path: Path, change: dict[str, Any], said: str, nad: str
) -> None:
    comparator = compared(tmp_path, make.run(make.item()))
    (same,) = entries(make.run(make.item()))
    assert comparator.refusal([same]) is None
    place = {"nad": NadRef(namespace=nad, name="blue-network")}
    changed_item = changed(make, make.item(), **change, **place)
    assert changed_item.check is not None
    item = replace(changed_item, measurement=None, nodeid=f"test_x.py::test_y[{changed_item.check.id}]")
    (other,) = entries(make.run(item))
    file = tmp_path / "old.json"
    assert comparator.refusal([other]) == (
        f"--kv-baseline {file} cannot be compared with this run, default/blue-network worker1:worker2: {said}"
    )


def test_other_ground_is_refused(make: Make, tmp_path: Path) -> None:
    comparator = compared(tmp_path, make.run(make.item()))
    comparator.require_ground({"guests": "sim", "timeScale": None})
    with pytest.raises(ConfigError, match=r"it was measured in a lab \(sim\) then, in a cluster now$"):
        comparator.require_ground(None)


def test_emulation_is_refused_when_the_guests_have_told(make: Make, tmp_path: Path) -> None:
    measured = make.measurement((400_000,) * 50)
    ends = [
        {end: replace(guest, software_emulation=is_emulated) for end, guest in (("source", measured.source), ("target", measured.target)) if guest}
        for is_emulated in (True, False)
    ]  # fmt: skip
    emulated, real = (make.item(replace(measured, **one)) for one in ends)
    comparator = compared(tmp_path, make.run(emulated))
    (entry,) = entries(make.run(real))
    (failure,) = comparator.failures(entry)
    assert failure.kind == "config"
    assert failure.reason.endswith(
        "the guests ran under software emulation then, with hardware virtualization now"
    )
    document = build(make.run(real, comparator=replace_limit(comparator, None)))
    said = "not comparable: the guests ran under software emulation then, with hardware virtualization now"
    assert document["measurements"][0]["comparison"]["reason"] == said
    assert said in document["notes"]
    assert replace_limit(comparator, None).failures(entry) == ()


def old_document(make: Make) -> Any:
    document = build(make.run(make.item()))
    del document["measurements"][0]["guest"]
    return document


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda document: [], "is not a document of pytest-kvlatency"),
        (lambda document: {**document, "schema": "kvlatency/v2"}, "has the schema 'kvlatency/v2'"),
        (lambda document: {**document, "measurements": [{"nodeid": "x"}]}, "is not a whole document"),
        (lambda document: {**document, "measurements": []}, "has no measurement with round-trip times"),
    ],
)
def test_what_is_no_baseline_is_refused(tmp_path: Path, make: Make, spoil: Any, said: str) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps(spoil(build(make.run(make.item())))))
    with pytest.raises(ConfigError, match=said):
        read(path)
    # It is not as the schema says, which every file that a test leaves is held to.
    path.unlink()


def test_a_document_that_does_not_name_its_guests_is_refused(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old_document(make)))
    with pytest.raises(ConfigError, match="was written by an older version"):
        read(path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read(path)
    path.write_text("{")
    with pytest.raises(ConfigError, match="is not JSON"):
        read(path)


def test_shards_name_what_has_vanished_only_together(make: Make, tmp_path: Path) -> None:
    targets = ["worker2", "worker3", "worker4"]
    old = make.run(*(make.item(make.measurement((400_000,) * 50, target=one)) for one in targets))
    comparator = compared(tmp_path, old)
    documents = [
        build(
            make.run(
                make.item(make.measurement((400_000,) * 50, target=target)),
                comparator=comparator,
                plan=plan_facts(
                    digest="0" * 64,
                    shard=f"{number}/2",
                    pairs=2,
                    shard_pairs=1,
                    nads=["default/blue-network"],
                ),
            )
        )
        for number, target in enumerate(["worker2", "worker5"])
    ]
    assert not any("not in this run" in note for one in documents for note in one["notes"])
    merged = merge([(f"{number}.json", one) for number, one in enumerate(documents)], version="1")
    vanished = ["default/blue-network worker1:worker3", "default/blue-network worker1:worker4"]
    assert merged["baseline"]["vanishedPairs"] == vanished
    assert merged["baseline"]["newPairs"] == ["default/blue-network worker1:worker5"]
    assert merged["notes"] == [
        f"compared with {tmp_path}/old.json (2024-05-01T12:00:00Z): of 1 pair 0 slower, 0 faster",
        "not in the baseline: default/blue-network worker1:worker5",
        f"in the baseline, and not in this run: {', '.join(vanished)}",
    ]
