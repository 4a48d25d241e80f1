"""What a sample means under its limits, word by word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_kvlatency.errors import (
    CheckFailedError,
    CheckupTimeoutError,
    ConfigError,
    ConnectivityError,
    GuestError,
    InterruptedRunError,
    KvLatencyError,
    LimitExceeded,
    PermissionDeniedError,
    ProvisionError,
    RejectedMeasurementError,
    TeardownError,
)
from pytest_kvlatency.model import Failure, Limits, PingResult
from pytest_kvlatency.ping.verdict import error_of, judge, to_exception

MS = 1_000_000


def result(*samples_ns: int, transmitted: int | None = None, received: int | None = None) -> PingResult:
    got = len(samples_ns) if received is None else received
    return PingResult(
        transmitted=got if transmitted is None else transmitted,
        received=got,
        samples_ns=samples_ns,
        transcript="PING",
    )


def said(failures: tuple[Failure, ...]) -> list[tuple[str, str]]:
    return [(failure.kind, failure.failure_reason) for failure in failures]


def test_E30_no_reply_at_all_is_a_connectivity_failure_and_nothing_else() -> None:
    failures = judge(result(transmitted=50), Limits(max_latency_ns=1, max_p99_ns=1))
    assert said(failures) == [
        (
            "connectivity",
            (
                "run: failed to run check: failed due to connectivity issue: "
                "50 packets transmitted, 0 packets received"
            ),
        )
    ]
    assert failures[0].transcript == "PING"


def test_no_reply_fails_even_where_all_loss_is_accepted() -> None:
    assert judge(result(transmitted=5), Limits(max_loss_percent=None))[0].kind == "connectivity"
    assert judge(result(transmitted=5), Limits(max_loss_percent=100.0))[0].kind == "connectivity"


def test_the_longest_round_trip_is_held_against_its_limit() -> None:
    failures = judge(result(5 * MS, 12_300_000), Limits(max_latency_ns=10 * MS))
    assert said(failures) == [("latency", 'run: actual max latency "12.3ms" is greater than desired "10ms"')]


def test_a_number_equal_to_its_limit_is_within_it() -> None:
    sample = [10 * MS] * 99 + [10 * MS]
    limits = Limits(max_latency_ns=10 * MS, max_avg_ns=10 * MS, max_p99_ns=10 * MS, max_loss_percent=50.0)
    assert judge(result(*sample, transmitted=200), limits) == ()
    assert judge(result(1), Limits(max_latency_ns=0))[0].kind == "latency"


def test_mean_and_percentile_have_their_own_limits() -> None:
    sample = [2 * MS] * 98 + [30 * MS] * 2
    failures = judge(result(*sample), Limits(max_avg_ns=2 * MS, max_p99_ns=20 * MS))
    assert said(failures) == [
        ("latency", 'run: actual avg latency "2.56ms" is greater than desired "2ms"'),
        ("latency", 'run: actual p99 latency "30ms" is greater than desired "20ms"'),
    ]


@pytest.mark.parametrize(
    ("transmitted", "received", "limit", "text"),
    [
        (
            200,
            162,
            10.0,
            '"19%" is greater than desired "10%" (200 packets transmitted, 162 packets received)',
        ),
        (
            200,
            199,
            0.0,
            '"0.5%" is greater than desired "0%" (200 packets transmitted, 199 packets received)',
        ),
        (
            3,
            2,
            33.3,
            '"33.3333%" is greater than desired "33.3%" (3 packets transmitted, 2 packets received)',
        ),
        (
            60_000,
            59_999,
            0.001,
            '"0.00166667%" is greater than desired "0.001%" (60000 packets transmitted, 59999 packets received)',
        ),
    ],
)
def test_E31_loss_is_judged_by_the_counters(transmitted: int, received: int, limit: float, text: str) -> None:
    failures = judge(result(MS, transmitted=transmitted, received=received), Limits(max_loss_percent=limit))
    assert said(failures) == [("loss", f"run: actual packet loss {text}")]


def test_loss_at_its_limit_or_without_one_passes() -> None:
    assert judge(result(MS, transmitted=200, received=180), Limits(max_loss_percent=10.0)) == ()
    assert judge(result(MS, transmitted=200, received=1), Limits(max_loss_percent=None)) == ()


@pytest.mark.parametrize(
    ("lost", "hint"),
    [
        ((4,), "only one ping was lost: a longer sample shows whether that happens again"),
        ((3, 4, 5), "all lost pings are in a row, as when a link flaps"),
        ((1, 4, 8), "the lost pings are scattered, as by congestion or a duplex mismatch"),
        (None, ""),
    ],
)
def test_the_way_out_of_a_loss_says_how_the_pings_were_lost(lost: tuple[int, ...] | None, hint: str) -> None:
    sample = replace(result(*(MS,) * 7, transmitted=10), lost=lost)
    assert [one.hint for one in judge(sample, Limits())] == [hint]


@pytest.mark.parametrize(("slow", "is_single"), [(2, True), (8, False)])
def test_a_maximum_that_most_replies_keep_says_little_without_a_percentile(
    slow: int, *, is_single: bool
) -> None:
    sample = result(*(MS,) * (10 - slow), *(30 * MS,) * slow)
    (failure,) = judge(sample, Limits(max_latency_ns=10 * MS))
    assert ("--kv-max-p99 with a longer sample" in failure.hint) is is_single
    (failure,) = judge(sample, Limits(max_avg_ns=MS))
    assert failure.hint == ""


def test_E36_a_percentile_that_loss_left_without_samples_fails_as_loss() -> None:
    failures = judge(result(*[MS] * 90, transmitted=100), Limits(max_p99_ns=5 * MS, max_loss_percent=20.0))
    assert said(failures) == [
        (
            "loss",
            (
                "run: cannot compute p99: it needs 100 samples, got 90 "
                "(100 packets transmitted, 90 packets received)"
            ),
        )
    ]


def test_E12_a_torn_line_does_not_fail_a_percentile_that_holds_whatever_it_said() -> None:
    sample = result(*[MS] * 99, transmitted=100, received=100)
    assert judge(sample, Limits(max_p99_ns=5 * MS)) == ()
    slow = result(*[MS] * 98, 9 * MS, transmitted=100, received=100)
    assert said(judge(slow, Limits(max_p99_ns=5 * MS))) == [
        (
            "latency",
            (
                "run: cannot compute p99: it needs 100 samples, got 99 "
                "(100 packets transmitted, 100 packets received)"
            ),
        )
    ]


def test_E90_a_percentile_for_which_ping_sent_too_little_is_no_verdict_on_the_network() -> None:
    with pytest.raises(
        GuestError, match=r"^cannot compute p99: it needs 100 samples, but ping sent 80 requests"
    ):
        judge(result(*[MS] * 80), Limits(max_p99_ns=5 * MS))
    failures = judge(result(*[9 * MS] * 80), Limits(max_p99_ns=5 * MS, max_latency_ns=8 * MS))
    assert said(failures) == [("latency", 'run: actual max latency "9ms" is greater than desired "8ms"')]


def test_E75_what_another_address_answered_is_named_in_the_verdict() -> None:
    some = PingResult(transmitted=4, received=3, samples_ns=(MS,) * 3, answered_elsewhere=("198.18.0.9",))
    assert said(judge(some, Limits())) == [
        (
            "loss",
            (
                'run: actual packet loss "25%" is greater than desired "0%" (4 packets transmitted, 3 packets '
                "received; other requests were answered from 198.18.0.9)"
            ),
        )
    ]
    none = PingResult(transmitted=4, received=0, answered_elsewhere=("198.18.0.8", "198.18.0.9"))
    (failure,) = judge(none, Limits())
    assert failure.kind == "connectivity"
    assert failure.reason.endswith("received; other requests were answered from 198.18.0.8, 198.18.0.9")


def test_every_reason_is_in_the_exception_and_the_first_decides_its_kind() -> None:
    failures = judge(result(20 * MS, transmitted=2), Limits(max_latency_ns=10 * MS))
    error = to_exception(failures)
    assert isinstance(error, LimitExceeded)
    assert error.kind == "latency"
    assert str(error) == (
        'actual max latency "20ms" is greater than desired "10ms"; actual packet loss "50%" is greater than '
        'desired "0%" (2 packets transmitted, 1 packets received)'
    )
    assert error.transcript == "PING"


def test_the_exception_fits_its_cause() -> None:
    assert to_exception(()) is None
    lost = to_exception(judge(result(transmitted=5), Limits()))
    assert type(lost) is ConnectivityError
    loss = to_exception(judge(result(MS, transmitted=5), Limits()))
    assert isinstance(loss, LimitExceeded)
    assert isinstance(loss, CheckFailedError)
    assert loss.kind == "loss"


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("x"),
        PermissionDeniedError("x"),
        ProvisionError("x"),
        GuestError("x"),
        CheckupTimeoutError("x"),
        InterruptedRunError("x"),
        TeardownError("x"),
        RejectedMeasurementError("x"),
    ],
    ids=lambda error: error.kind,
)
def test_a_measurement_that_could_not_be_made_gives_its_own_exception(error: KvLatencyError) -> None:
    failure = Failure(
        kind=error.kind, stage="run", reason="the cause", hint="the way out", transcript="words"
    )
    again = to_exception((failure,))
    assert type(again) is type(error)
    assert (again.kind, again.failure_reason) == (error.kind, "run: the cause")
    assert (again.hint, again.transcript) == ("the way out", "words")


def test_a_kind_of_failure_that_only_newer_versions_know_is_a_failed_check() -> None:
    assert type(error_of("gravity", "x")) is CheckFailedError
