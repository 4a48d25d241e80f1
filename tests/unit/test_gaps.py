"""The longest time without a reply, and the stamps from which it is known."""

import random
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kvlatency.errors import GapExceeded, GuestError
from pytest_kvlatency.model import Gap, Limits, Migration, MigrationPhase, PingResult
from pytest_kvlatency.ping import stamps
from pytest_kvlatency.ping.arrivals import corrected
from pytest_kvlatency.ping.gaps import gaps_of, gaps_since, kept_interval_ns, longest
from pytest_kvlatency.ping.interruption import with_overflow, without_end
from pytest_kvlatency.ping.migrationgaps import with_gaps
from pytest_kvlatency.ping.output import parse
from pytest_kvlatency.ping.selection import Asked
from pytest_kvlatency.ping.verdict import judge, to_exception

MS = 1_000_000
ADDRESS = "198.18.0.2"


def result(replies, transmitted=None, **more):
    """A stamped result: for each request that was answered when it was sent and when its reply came, in ms."""
    numbers = sorted(replies)
    count = transmitted if transmitted is not None else numbers[-1] + 1
    return PingResult(
        transmitted=count,
        received=len(replies),
        samples_ns=tuple((replies[one][1] - replies[one][0]) * MS for one in numbers),
        lost=tuple(one for one in range(count) if one not in replies),
        replied_at_ns=tuple(replies[one][1] * MS for one in numbers),
        **more,
    )


def test_the_longest_gap_lies_between_two_replies_and_counts_what_was_lost_meanwhile():
    sample = result({n: (n * 10, n * 10 + 2) for n in range(100) if not 40 <= n < 70})
    gaps = gaps_of(sample, 10 * MS)
    assert gaps.longest == Gap(begins_ns=392 * MS, length_ns=310 * MS, lost=30)
    assert gaps.interval_ns == 10 * MS


def test_a_queue_of_pings_that_are_answered_late_is_a_gap_without_a_loss():
    # What was sent from 400 ms on is answered at 1600 ms, in one go.
    sample = result({n: (n * 10, max(n * 10 + 2, 1600) if n >= 40 else n * 10 + 2) for n in range(200)})
    assert gaps_of(sample, 10 * MS).longest == Gap(begins_ns=392 * MS, length_ns=1208 * MS, lost=0)


def test_what_was_in_flight_when_the_gap_began_is_lost_in_it():
    # 50 ms on their way: five requests are under way when the last reply comes.
    sample = result({n: (n * 10, n * 10 + 50) for n in range(100) if not 40 <= n < 70})
    assert gaps_of(sample, 10 * MS).longest.lost == 30


def test_replies_that_overtake_each_other_are_in_the_order_in_which_they_came():
    sample = result({0: (0, 2), 1: (10, 60), 2: (20, 22), 3: (30, 32)})
    assert gaps_of(sample, 10 * MS).longest == Gap(begins_ns=32 * MS, length_ns=28 * MS, lost=0)


def test_a_gap_belongs_to_the_part_of_the_sample_in_which_it_begins():
    sample = result({n: (n * 10, n * 10 + 2) for n in range(100) if not 20 <= n < 30 and not 50 <= n < 90})
    assert longest(sample, 10 * MS, until_ns=300 * MS).lost == 10
    assert longest(sample, 10 * MS, since_ns=300 * MS).lost == 40
    assert longest(sample, 10 * MS, since_ns=900 * MS).length_ns == 10 * MS
    assert longest(sample, 10 * MS, since_ns=5000 * MS) is None


def test_what_is_lost_before_the_first_and_after_the_last_reply_is_a_gap_too():
    sample = result({n: (n * 10, n * 10 + 2) for n in range(40, 70)}, transmitted=200)
    assert longest(sample, 10 * MS, until_ns=1) == Gap(begins_ns=0, length_ns=402 * MS, lost=40)
    assert gaps_of(sample, 10 * MS).longest == Gap(begins_ns=692 * MS, length_ns=1308 * MS, lost=130)


def test_the_interval_is_the_one_that_ping_really_kept():
    sample = result({n: (n * 12, n * 12 + 2) for n in range(100)})
    assert gaps_of(sample, 10 * MS).interval_ns == 12 * MS
    # iputils says how long it took; BusyBox' time is that of the command, without its wait for what was lost.
    plain = PingResult(transmitted=101, received=101, samples_ns=(MS,) * 101, duration_seconds=1.3)
    assert kept_interval_ns(plain, 10 * MS) == 13 * MS
    lost = PingResult(transmitted=101, received=100, samples_ns=(MS,) * 100, lost=(7,), duration_seconds=2.3)
    assert kept_interval_ns(lost, 10 * MS) == pytest.approx(13 * MS)
    assert kept_interval_ns(PingResult(transmitted=2, received=2, sent_every_ns=11 * MS), 10 * MS) == 11 * MS


def test_without_stamps_sequence_numbers_and_round_trip_times_bound_the_gap():
    times = [2] * 20 + [1200 - 100 * n for n in range(12)] + [2] * 18
    sample = PingResult(
        transmitted=60, received=50, lost=tuple(range(50, 60)), samples_ns=tuple(one * MS for one in times)
    )
    assert longest(sample, 100 * MS, until_ns=4000 * MS) == Gap(
        begins_ns=1902 * MS, length_ns=1298 * MS, lost=0
    )
    assert longest(sample, 100 * MS, since_ns=4000 * MS).lost == 10


@pytest.mark.parametrize(
    "sample",
    [
        PingResult(transmitted=5, received=0),
        PingResult(transmitted=5, received=3, samples_ns=(MS, MS, MS), lost=None),
        PingResult(transmitted=3, received=3, samples_ns=(MS, MS)),
    ],
)
def test_a_gap_that_cannot_be_read_is_none(sample):
    assert gaps_of(sample, 100 * MS) is None


def test_what_ping_did_not_wait_for_when_it_was_interrupted_is_not_lost():
    answered = {n: (n * 10, n * 10 + 2) for n in range(100)}
    cut = without_end(result(answered, transmitted=130), 10 * MS)
    assert (cut.transmitted, cut.lost) == (100, ())
    # Of a network that stays silent, only the last second is not known.
    cut = without_end(result(answered, transmitted=500), 10 * MS)
    assert (cut.transmitted, len(cut.lost)) == (400, 300)
    # Where each answer takes two seconds, those of the last two seconds are still under way.
    slow = {n: (n * 10, n * 10 + 2000) for n in range(300)}
    cut = without_end(result(slow, transmitted=500), 10 * MS)
    assert (cut.transmitted, cut.lost) == (300, ())
    cut = without_end(result(slow, transmitted=800), 10 * MS)
    assert (cut.transmitted, len(cut.lost)) == (500, 200)


def moved(**more):
    """A migration that was created at 1 s, ran from 2 s on, and ended at 3 s."""
    values = {
        "name": "m",
        "uid": "u",
        "source_node": "worker2",
        "requested_node": "worker3",
        "target_node": "worker3",
        "succeeded": True,
        "created_ns": 1000 * MS,
        "ended_ns": 3000 * MS,
        "phases": (
            MigrationPhase(name="Scheduling", not_before_ns=0, seen_ns=200 * MS),
            MigrationPhase(name="Running", not_before_ns=900 * MS, seen_ns=1100 * MS),
            MigrationPhase(name="Succeeded", not_before_ns=1900 * MS, seen_ns=2000 * MS),
        ),
        **more,
    }
    return Migration(**values)


def with_a_move(answer, count=800):
    """A sample of 10 ms around that migration; ``answer`` says when a request is answered, or None."""
    return result({n: (n * 10, at) for n in range(count) if (at := answer(n * 10)) is not None}, count)


def usual(sent):
    """Nothing comes while the target pod is set up, and what is sent at the switch-over is late or lost."""
    if 1400 <= sent < 1900 or 2500 <= sent < 2600:
        return None
    return max(sent + 2, 2800) if 2600 <= sent < 2800 else sent + 2


def judged(sample, migration=None, **limits):
    migration = with_gaps(migration or moved(), sample, 10 * MS)
    gaps = gaps_of(sample, 10 * MS)
    return [
        (failure.kind, failure.reason)
        for failure in judge(sample, Limits(**limits), gaps=gaps, migration=migration)
    ]


def test_the_gaps_of_a_migration_are_told_apart_by_where_they_begin():
    seen = with_gaps(moved(), with_a_move(usual), 10 * MS)
    assert seen.preparation_gap == Gap(begins_ns=1392 * MS, length_ns=510 * MS, lost=50)
    assert seen.switchover_gap == Gap(begins_ns=2492 * MS, length_ns=308 * MS, lost=10)
    assert seen.lost_in_gaps == 60
    assert (seen.rtt_before.count, seen.rtt_before.max_ns) == (100, 2 * MS)
    assert (seen.rtt_after.count, seen.rtt_after.min_ns) == (500, 2 * MS)


def test_a_migration_that_never_ran_has_no_switch_over():
    seen = with_gaps(moved(phases=(), ended_ns=None), with_a_move(usual), 10 * MS)
    assert (seen.preparation_gap.lost, seen.switchover_gap, seen.rtt_after) == (50, None, None)
    assert with_gaps(moved(created_ns=None), with_a_move(usual), 10 * MS) == moved(created_ns=None)


def test_what_is_lost_or_late_in_the_gaps_of_a_migration_is_judged_by_the_limit_on_the_gap_alone():
    sample = with_a_move(usual)
    assert judged(sample, max_latency_ns=5 * MS, max_loss_percent=0.0) == []
    assert judged(sample, max_gap_ns=510 * MS) == []
    assert judged(sample, max_gap_ns=500 * MS) == [
        (
            "gap",
            'actual longest gap "510ms" is greater than desired "500ms" (while the migration was prepared)',
        )
    ]
    (failure,) = judge(
        sample,
        Limits(max_gap_ns=500 * MS),
        gaps=gaps_of(sample, 10 * MS),
        migration=with_gaps(moved(), sample, 10 * MS),
    )
    assert "disableContainerInterface" in failure.hint


def test_what_is_lost_or_late_outside_of_the_gaps_counts():
    sample = with_a_move(lambda sent: None if sent == 500 else sent + 90 if sent == 600 else usual(sent))
    assert [kind for kind, _ in judged(sample, max_latency_ns=50 * MS)] == ["latency", "loss"]
    assert judged(sample, max_loss_percent=0.2) == []


def test_a_guest_that_stands_still_for_a_moment_makes_no_loss_of_what_the_migration_lost():
    # For 600 ms it neither sends nor reads: no request is lost, and the gap is longer than the migration's.
    def answered(sent):
        return usual(sent) if sent < 3500 else sent + 602

    sample = with_a_move(answered)
    seen = with_gaps(moved(), sample, 10 * MS)
    assert (seen.switchover_gap.begins_ns, seen.switchover_gap.lost) == (3492 * MS, 0)
    assert seen.lost_in_gaps == 60
    assert judged(sample, max_loss_percent=0.0) == []


def test_a_network_that_never_comes_back_is_connectivity_and_names_the_node():
    sample = with_a_move(lambda sent: None if sent >= 2500 else usual(sent))
    assert judged(sample, max_gap_ns=500 * MS) == [
        (
            "connectivity",
            (
                "failed to run check: failed due to connectivity issue: no reply since the migration to worker3 "
                "(800 packets transmitted, 200 packets received)"
            ),
        )
    ]
    # One that comes back late has a long gap.
    late = with_a_move(lambda sent: None if 2500 <= sent < 7000 else usual(sent))
    assert [kind for kind, _ in judged(late, max_gap_ns=1000 * MS)] == ["gap"]


def test_a_network_that_dies_again_after_the_migration_is_no_gap_of_it():
    # It comes back at the new node, and from 4 s on nothing is answered to the end of the sample.
    sample = with_a_move(lambda sent: None if sent >= 4000 else usual(sent))
    assert [kind for kind, _ in judged(sample, max_loss_percent=1.0)] == ["loss"]
    assert with_gaps(moved(), sample, 10 * MS).lost_in_gaps == 60


def test_a_migration_that_failed_says_nothing_of_the_network():
    failed = moved(succeeded=False, failure_reason="the migration failed: no")
    assert judged(with_a_move(usual), failed, max_gap_ns=1) == [("provision", "the migration failed: no")]


def test_the_longest_gap_of_any_check_is_judged():
    sample = result({n: (n * 10, n * 10 + 2) for n in range(100) if not 40 <= n < 70})
    limits = Limits(max_loss_percent=None, max_gap_ns=300 * MS)
    (failure,) = judge(sample, limits, gaps=gaps_of(sample, 10 * MS))
    assert failure.reason == 'actual longest gap "310ms" is greater than desired "300ms"'
    assert isinstance(to_exception((failure,)), GapExceeded)
    # Where it is not known what was lost, it is not known to be within the limit.
    unread = PingResult(transmitted=5, received=3, samples_ns=(MS, MS), lost=None)
    (failure,) = judge(unread, limits, gaps=gaps_of(unread, 10 * MS))
    assert (failure.kind, failure.summary) == ("gap", "could not read which requests were lost")


def test_a_gap_in_which_the_source_slept_says_nothing_of_the_network():
    # Nothing is sent for 400 ms: what was sent before and after is answered at once.
    sample = result(
        {n: (n * 10 + (400 if n >= 50 else 0), n * 10 + (400 if n >= 50 else 0) + 2) for n in range(100)}
    )
    gaps = gaps_of(sample, 10 * MS)
    assert gaps.longest == Gap(begins_ns=492 * MS, length_ns=410 * MS, lost=0)
    with pytest.raises(GuestError, match="cannot judge the longest gap, 410ms: the guest sent no requests"):
        judge(sample, Limits(max_gap_ns=200 * MS), gaps=gaps)
    assert judge(sample, Limits(max_gap_ns=410 * MS), gaps=gaps) == ()
    # A real one beside it is over the limit.
    both = result({n: at for n, at in zip(range(200), arrivals(), strict=False) if not 120 <= n < 160})
    (failure,) = judge(both, Limits(max_gap_ns=200 * MS, max_loss_percent=None), gaps=gaps_of(both, 10 * MS))
    assert failure.reason.startswith('actual longest gap "410ms" is greater')


def test_a_gap_of_an_ordinary_sample_is_over_its_limit_only_if_it_surely_is():
    """BusyBox does not say how often it sent, and the console takes part of the time: 100 ms asked for, 150 measured."""
    sample = PingResult(
        transmitted=11,
        received=9,
        lost=(4, 5),
        samples_ns=(MS,) * 9,
        duration_seconds=2.5,
    )
    gaps = gaps_of(sample, 100 * MS)
    assert gaps.longest == Gap(begins_ns=pytest.approx(451 * MS), length_ns=pytest.approx(450 * MS), lost=2)

    def judged_by(limit_ms):
        limits = Limits(max_gap_ns=limit_ms * MS, max_loss_percent=None)
        return [one.kind for one in judge(sample, limits, gaps=gaps, interval_ns=100 * MS)]

    assert (judged_by(450), judged_by(290)) == ([], ["gap"])
    with pytest.raises(GuestError, match="cannot judge the longest gap, 450ms at most"):
        judged_by(400)


def arrivals():
    """Requests every 10 ms with a sleep of 500 ms before the fiftieth."""
    for n in range(200):
        sent = n * 10 + (500 if n >= 50 else 0)
        yield (sent, sent + 2)


def test_replies_for_which_ping_had_no_room_are_no_loss():
    sample = result({n: (n * 10, n * 10 + 2) for n in range(100) if not 40 <= n < 45})
    gaps = gaps_of(sample, 10 * MS)
    assert [failure.kind for failure in judge(with_overflow(sample, 4), Limits(), gaps=gaps)] == ["loss"]
    spared = with_overflow(sample, 7)
    assert judge(spared, Limits(), gaps=gaps) == ()
    assert (spared.overflowed, spared.received) == (5, 95)
    assert spared.warnings == ("5 replies came in bursts for which ping had no room: they are no loss",)
    assert with_overflow(sample, 0) == sample


def test_replies_without_room_in_a_migration_excuse_no_loss_outside_of_it():
    missing = {*range(210, 230), *range(10, 15)}
    answered = {n: (n * 10, n * 10 + 2) for n in range(800) if n not in missing}
    sample = with_overflow(result(answered, transmitted=800), 20)
    failures = judge(sample, Limits(), gaps=gaps_of(sample, 10 * MS), migration=moved())
    assert [failure.kind for failure in failures] == ["loss"]


def test_each_outage_of_a_preparation_is_the_migrations_and_single_losses_are_the_networks():
    twice = {*range(110, 130), *range(150, 165), *range(210, 220)}
    answered = {n: (n * 10, n * 10 + 2) for n in range(800) if n not in twice}
    sample = result(answered, transmitted=800)
    assert judge(sample, Limits(), gaps=gaps_of(sample, 10 * MS), migration=moved()) == ()
    scattered = {n: times for n, times in answered.items() if n not in {135, 140, 145}}
    sample = result(scattered, transmitted=800)
    (failure,) = judge(sample, Limits(), gaps=gaps_of(sample, 10 * MS), migration=moved())
    assert failure.kind == "loss"
    later = {n: times for n, times in answered.items() if n not in range(400, 420)}
    sample = result({n: times for n, times in later.items() if n not in range(600, 610)}, transmitted=800)
    (failure,) = judge(sample, Limits(), gaps=gaps_of(sample, 10 * MS), migration=moved())
    assert failure.kind == "loss", "after its end an outage is the network's"


def test_what_was_sent_in_the_silence_and_lost_is_the_migrations_where_late_replies_overtake_each_other():
    # As seen on a busy machine: what was sent in the silence from 2492 to 2860 ms is answered in another order.
    late = {250: 2860, 251: 3110, 255: 3100, 256: 3090, 257: 3080, 258: 3070}
    answered = {n: (n * 10, late.get(n, n * 10 + 2)) for n in range(800)}
    answered |= {n: (n * 10, 3120 + n - 259) for n in range(259, 313)}
    sample = result({n: at for n, at in answered.items() if not 252 <= n < 255}, transmitted=800)
    seen = with_gaps(moved(), sample, 10 * MS)
    assert seen.switchover_gap == Gap(begins_ns=2492 * MS, length_ns=368 * MS, lost=3)
    assert seen.lost_in_gaps == 3
    assert judged(sample, max_loss_percent=0.0) == []


def test_a_silence_that_lost_little_is_the_migrations_where_a_burst_lost_more_and_the_guest_stood_still_later():
    # The first two requests of the silence are lost; then its late replies leave no room for four more.
    def came(n):
        if n in (250, 251) or 290 <= n < 294:
            return None
        return 2860 if 252 <= n < 286 else 4100 if 330 <= n < 410 else n * 10 + 2

    answered = {n: (n * 10, at) for n in range(800) if (at := came(n)) is not None}
    sample = with_overflow(result(answered, transmitted=800), 4)
    assert judged(sample, max_loss_percent=0.0) == []
    assert with_gaps(moved(), sample, 10 * MS).lost_in_gaps == 6


def test_what_is_lost_after_the_end_of_a_migration_counts_where_the_migration_lost_less():
    # What is sent in the silence at the switch-over is late, and 2 s after the end two in a row are lost.
    def answered(sent):
        if sent in (5000, 5010):
            return None
        return max(sent + 2, 2800) if 2500 <= sent < 2800 else sent + 2

    sample = with_a_move(answered)
    assert with_gaps(moved(), sample, 10 * MS).lost_in_gaps == 0
    assert [kind for kind, _ in judged(sample, max_loss_percent=0.0)] == ["loss"]


def test_a_loss_is_none_of_a_gap_that_begins_once_a_later_request_has_been_answered():
    # 500 ms on their way: request 30 is lost, and 31 is answered before the network falls silent.
    sample = result({n: (n * 10, n * 10 + 500) for n in range(200) if n != 30 and not 40 <= n < 70})
    assert gaps_of(sample, 10 * MS).longest == Gap(begins_ns=890 * MS, length_ns=310 * MS, lost=30)


def test_what_is_under_way_when_a_silence_begins_is_lost_in_it_where_an_earlier_request_is_answered_first():
    # Request 251 is sent before the last reply, and is lost; after the silence comes first the reply to 250.
    late = {249: 2530, 250: 2800, **dict.fromkeys(range(252, 281), 2810)}
    sample = result({n: (n * 10, late.get(n, n * 10 + 2)) for n in range(800) if n != 251}, transmitted=800)
    gap = with_gaps(moved(), sample, 10 * MS).switchover_gap
    assert gap == Gap(begins_ns=2530 * MS, length_ns=270 * MS, lost=1)


def test_a_network_that_is_slow_and_lossy_throughout_fails_by_its_loss():
    # 500 ms on their way, and two of ten are lost: of these only one gap before Running, and one later, is excused.
    sample = result({n: (n * 10, n * 10 + 500) for n in range(800) if n % 10 > 1 or n > 790}, transmitted=800)
    assert with_gaps(moved(), sample, 10 * MS).lost_in_gaps == 4
    assert [kind for kind, _ in judged(sample, max_loss_percent=18.0)] == ["loss"]


def test_what_a_migration_lost_is_its_own_where_replies_were_already_late_before_it():
    # What is sent from 970 ms on is answered at 2220 ms, but for what the migration loses meanwhile.
    sample = with_a_move(
        lambda sent: None if 1830 <= sent < 2020 else 2220 if 970 <= sent < 2220 else sent + 2
    )
    assert gaps_of(sample, 10 * MS).longest == Gap(begins_ns=962 * MS, length_ns=1258 * MS, lost=19)
    assert with_gaps(moved(), sample, 10 * MS).lost_in_gaps == 19
    assert judged(sample, max_loss_percent=0.0) == []


def test_a_silence_that_began_before_the_migration_is_the_networks():
    sample = with_a_move(lambda sent: None if 970 <= sent < 2220 else usual(sent))
    assert with_gaps(moved(), sample, 10 * MS).lost_in_gaps == 10
    assert [kind for kind, _ in judged(sample, max_loss_percent=0.0)] == ["loss"]


@st.composite
def busy_moves(draw):
    """A silence at the switch-over in a network that loses and reorders: the sample, the lost in it and outside."""
    begin, count = draw(st.integers(210, 270)), draw(st.integers(20, 30))
    lost_in_it = draw(st.sets(st.integers(begin, begin + count - 1), min_size=1))
    bursts = draw(
        st.dictionaries(st.sampled_from([*range(10, 80, 20), *range(320, 780, 20)]), st.integers(1, 8))
    )
    lost = lost_in_it | {n for first, length in bursts.items() for n in range(first, first + length)}
    slowest = draw(st.integers(1, 40))
    # What it returns is not drawn: eight hundred draws would take most of the time of all examples.
    shuffle = random.Random(draw(st.integers()))

    def came(n):
        return max(n, begin + count if n >= begin else 0) * 10 + shuffle.randint(1, slowest)

    sample = result({n: (n * 10, came(n)) for n in range(800) if n not in lost}, transmitted=800)
    return sample, len(lost_in_it), len(lost) - len(lost_in_it)


@given(busy_moves())
@settings(max_examples=50)
def test_what_is_lost_in_the_gap_never_counts_and_what_is_lost_outside_of_it_always_does(move):
    sample, inside, outside = move
    migration = with_gaps(moved(), sample, 10 * MS)
    assert migration.lost_in_gaps == inside
    limits = Limits(max_loss_percent=0.0)
    failures = judge(sample, limits, gaps=gaps_of(sample, 10 * MS), migration=migration)
    assert [failure.kind for failure in failures] == ["loss"] * (outside > 0)
    for failure in failures:
        sent, received = re.findall(r"(\d+) packets", failure.reason)
        assert int(sent) - int(received) == outside


@given(st.sets(st.integers(0, 99), max_size=99), st.integers(), st.booleans())
@settings(max_examples=50)
def test_each_lost_request_is_lost_in_one_gap(lost, seed, is_stamped):
    shuffle = random.Random(seed)
    answered = {n: (n * 10, n * 10 + shuffle.randint(0, 300)) for n in range(100) if n not in lost}
    sample = result(answered, transmitted=100)
    if not is_stamped:
        sample = replace(sample, replied_at_ns=None)
    assert sum(gap.lost for gap in gaps_since(sample, 10 * MS, 0)) == len(lost)


@pytest.mark.parametrize(
    ("is_lost", "hint"),
    [(True, "pings were lost in it, as when a link flaps"), (False, "replies were late, and none was lost")],
)
def test_of_a_gap_without_a_migration_it_is_said_whether_pings_were_lost_or_late(is_lost, hint):
    answered = {n: (n * 500, n * 500 + 2) for n in range(16) if n not in range(4, 8)}
    if not is_lost:
        answered |= {n: (n * 500, 4_002) for n in range(4, 8)}
    sample = result(answered, transmitted=16)
    limits = Limits(max_gap_ns=1500 * MS, max_loss_percent=None)
    (failure,) = judge(sample, limits, gaps=gaps_of(sample, 500 * MS))
    assert failure.hint.startswith(hint)


def test_a_gap_at_the_switch_over_that_coarse_pings_show_earlier_is_not_blamed_on_the_bridge():
    # A ping each 0.5 s; the outage begins at Running, and the last reply before it came 0.4 s earlier.
    answered = {n: (n * 500 + 100, n * 500 + 102) for n in range(16) if n not in {4, 5, 6, 7}}
    sample = result(answered, transmitted=16)
    gaps = gaps_of(sample, 500 * MS)
    migration = with_gaps(moved(), sample, 500 * MS)
    assert migration.preparation_gap == gaps.longest
    (failure,) = judge(sample, Limits(max_gap_ns=1500 * MS), gaps=gaps, migration=migration)
    assert failure.reason.endswith(" (at the switch-over, or just before it)")
    assert failure.hint.startswith("compare other networks of the same nodes: ")


INTERRUPTED = f"""PING {ADDRESS} ({ADDRESS}): 56 data bytes
64 bytes from {ADDRESS}: seq=0 ttl=64 time=1.000 ms
64 bytes from {ADDRESS}: seq=2 ttl=64 time=3.000 ms
{{last}}
--- {ADDRESS} ping statistics ---
{{transmitted}} packets transmitted, {{received}} packets received, {{loss}}% packet loss
round-trip min/avg/max = 1.000/{{avg}}/{{max}} ms"""


@pytest.mark.parametrize(
    ("last", "transmitted", "received", "figures", "sent"),
    [
        ("", 3, 2, ("33", "2.000", "3.000"), 3),
        # The last line was written, and is written once more.
        (f"64 bytes from {ADDRESS}: seq=2 ttl=64 time=3.000 ms\n", 4, 2, ("50", "2.000", "3.000"), 4),
        # A reply was counted, and is printed in part or not at all; the request after it is under way.
        (f"64 bytes from {ADDRESS}: se", 5, 3, ("40", "3.000", "5.000"), 3),
        ("", 5, 3, ("40", "3.000", "5.000"), 3),
    ],
)
def test_a_busybox_ping_that_is_interrupted_while_it_prints_is_read_all_the_same(
    last, transmitted, received, figures, sent
):
    loss, avg, longest_ms = figures
    text = INTERRUPTED.format(
        last=last, transmitted=transmitted, received=received, loss=loss, avg=avg, max=longest_ms
    )
    found = parse(text, asked=Asked(address=ADDRESS, first=0), is_interrupted=True)
    assert (found.transmitted, found.received, found.duplicates) == (sent, 2, 0)
    assert found.samples_ns == (MS, 3 * MS)
    assert found.lost_sequence == (1, *range(3, sent))


def stamped(lines):
    begin = f"0 {lines[0][0]} {lines[0][1]} BEGIN"
    return "\n".join([begin, *(f"{n} {mono} {wall} {line}" for n, (mono, wall, line) in enumerate(lines))])


def reply(sequence, milliseconds=1):
    return f"64 bytes from {ADDRESS}: seq={sequence} ttl=64 time={milliseconds}.000 ms"


def read_at(lines):
    """When the lines came by their stamps, in ms."""
    return [round(one / MS) for one in stamps.read(stamped(lines)).at_ns]


def test_a_fine_monotonic_stamp_stands_as_it_is():
    lines = [(5_000_000_000 + n * 10 * MS, "-", reply(n)) for n in range(5)]
    assert read_at(lines) == [0, 10, 20, 30, 40]
    # Whatever the wall clock says.
    lines = [(one, f"1700000000.{n}00000", text) for n, (one, _, text) in enumerate(lines)]
    assert read_at(lines) == [0, 10, 20, 30, 40]


def coarse(at_ms, jump=lambda at: 0.0):
    """Lines at these times, as /proc/uptime and a wall clock show them that is set by ``jump`` seconds."""
    return [
        (f"{int((at + 7) / 10) / 100 + 50:.2f}", f"{1_700_000_000 + at / 1000 + jump(at):.6f}", reply(n))
        for n, at in enumerate(at_ms)
    ]


def test_a_coarse_monotonic_stamp_is_made_fine_by_the_wall_clock():
    times = [0, 12, 25, 37, 51, 62, 400, 411, 425]
    assert read_at(coarse(times)) == pytest.approx(times, abs=6)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    read = read_at(coarse(times))
    assert [later - earlier for earlier, later in pairwise(read)] == pytest.approx(gaps, abs=5)


@pytest.mark.parametrize("by", [3600.0, -3600.0, 0.5, -0.02])
def test_a_wall_clock_that_is_set_meanwhile_moves_no_reply(by):
    times = [n * 12 for n in range(100)]
    read = read_at(coarse(times, jump=lambda at: by if at > 600 else 0.0))
    assert read == pytest.approx(times, abs=16)
    assert [later - earlier for earlier, later in pairwise(read)] == pytest.approx([12] * 99, abs=11)


def test_a_stamp_without_a_wall_clock_is_right_to_its_resolution():
    times = [n * 12 for n in range(100)]
    lines = [(mono, "-", line) for mono, _, line in coarse(times)]
    assert read_at(lines) == pytest.approx(times, abs=11)


def test_iputils_own_stamp_stands_where_the_reader_is_late():
    # 3 ms late every other time, and 200 ms once.
    late = [3 * MS if n % 2 else 200 * MS if n == 10 else 0 for n in range(20)]
    lines = [
        (5_000_000_000 + n * 10 * MS + late[n], "-", f"[1700000000.{n:02}0000] {reply(n)}") for n in range(20)
    ]
    deltas = {later - earlier for earlier, later in pairwise(read_at(lines))}
    assert deltas == {10}


def test_a_clock_that_is_set_under_iputils_own_stamps_moves_no_reply():
    for by in (1000, -1000):
        lines = [
            (
                5_000_000_000 + n * 10 * MS + (2 * MS if n % 3 else 0),
                "-",
                f"[{1_700_000_000 + (n * 10 + (by if n >= 50 else 0)) / 1000:.6f}] {reply(n)}",
            )
            for n in range(100)
        ]
        assert read_at(lines) == pytest.approx([n * 10 for n in range(100)], abs=4)


def test_a_reader_that_has_caught_up_corrects_what_it_was_late_with():
    """BusyBox sends no two requests within its interval."""
    true = {n: (n * 11, n * 11 + 2) for n in range(100) if not 40 <= n < 70}
    # Late by up to 80 ms, until it has caught up.
    late = [max(came, 380) if came >= 300 else came for _, came in true.values()]
    sample = replace(result(true), replied_at_ns=tuple(at * MS for at in late))
    fixed = corrected(sample, 10 * MS)
    assert fixed.samples_ns == sample.samples_ns
    for found, (_, came) in zip(fixed.replied_at_ns, true.values(), strict=True):
        # In no case too early; the rest is what its interval is longer than asked for.
        assert came <= found / MS <= came + 10
    assert max(late[n] - came for n, (_, came) in enumerate(list(true.values())[:40])) > 60
    assert corrected(PingResult(transmitted=1, received=0), 10 * MS).replied_at_ns is None


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_reply_that_a_sleep_of_the_guest_kept_from_its_stamp_came_before_it(is_lost):
    """As seen: request 40 was answered at once, the guest slept for 400 ms, and the network was gone meanwhile."""
    after = {
        n: (n * 10 + 400, max(n * 10 + 402, 1402) if not is_lost else n * 10 + 402) for n in range(41, 200)
    }
    if is_lost:
        after = {n: at for n, at in after.items() if n >= 100}
    true = {**{n: (n * 10, n * 10 + 2) for n in range(41)}, **after}
    stamped_late = tuple((at if n != 40 else 805) * MS for n, (_, at) in true.items())
    sample = replace(result(true, 200), replied_at_ns=stamped_late)
    assert gaps_of(sample, 10 * MS).longest.length_ns < 700 * MS
    fixed = corrected(sample, 10 * MS)
    gap = gaps_of(fixed, 10 * MS).longest
    assert (gap.begins_ns, gap.length_ns) == (402 * MS, 1000 * MS)
    # Of the network's that is surely the part in which requests were sent.
    assert judge(fixed, Limits(max_gap_ns=500 * MS), gaps=gaps_of(fixed, 10 * MS))[-1].kind == "gap"
    with pytest.raises(GuestError, match="sent no requests"):
        judge(fixed, Limits(max_gap_ns=700 * MS, max_loss_percent=None), gaps=gaps_of(fixed, 10 * MS))


def test_stamped_lines_are_read_as_ping_s_own_and_each_sample_knows_when_it_came():
    lines = [
        (1_000_000_000 + n * 10 * MS, "-", text)
        for n, text in enumerate(
            [
                f"PING {ADDRESS} ({ADDRESS}): 56 data bytes",
                reply(0),
                reply(2),
                reply(1, 11),
                "",
                f"--- {ADDRESS} ping statistics ---",
                "4 packets transmitted, 3 packets received, 25% packet loss",
                "round-trip min/avg/max = 1.000/4.333/11.000 ms",
            ]
        )
    ]
    read = stamps.read(stamped(lines).replace("\n", "\r\n") + "\n[   12.345678] a kernel's word\n")
    found = parse(read.text, asked=Asked(address=ADDRESS), came_at_ns=read.at_ns)
    assert found.samples_ns == (MS, 11 * MS, MS)
    assert found.replied_at_ns == (10 * MS, 30 * MS, 20 * MS)
    assert found.lost == (3,)


def test_a_line_without_a_stamp_leaves_the_sample_without_times():
    read = stamps.read(f"0 1000 - BEGIN\n{reply(0)}\n")
    assert read.at_ns[0] is None
    assert stamps.read("").at_ns == (None,)
