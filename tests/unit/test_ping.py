"""The command that is typed, and what the output of real and recorded pings is read as."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kvlatency.errors import ConfigError, ConnectivityError, GuestError
from pytest_kvlatency.model import PingParameters
from pytest_kvlatency.ping.command import (
    Dialect,
    asked_of,
    bound_seconds,
    compose,
    detect,
    effective,
    required_mtu,
    surplus_of,
)
from pytest_kvlatency.ping.complaints import PingDoubtful, PingUnreadable
from pytest_kvlatency.ping.output import parse

DATA = Path(__file__).parent / "data" / "ping"


def recorded(name: str) -> str:
    return (DATA / f"{name}.txt").read_bytes().decode()


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        ("probe-busybox-1.35", Dialect.BUSYBOX),
        ("probe-busybox-1.24", Dialect.BUSYBOX_OLD),
        ("probe-iputils-20221126", Dialect.IPUTILS),
        ("probe-iputils-s20161105", Dialect.IPUTILS),
    ],
)
def test_E33_E34_the_dialect_is_told_by_the_probe(name: str, dialect: Dialect) -> None:
    assert detect(recorded(name)) is dialect


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("-sh: ping: not found\n", "the guest has no ping (-sh: ping: not found)"),
        ("-bash: ping: command not found\n", "the guest has no ping (-bash: ping: command not found)"),
        ("ping (GNU inetutils) 2.4\n", "the guest's ping is neither BusyBox nor iputils"),
        (
            "BusyBox v1.30.1 () multi-call binary.\n\nUsage: ping HOST\n",
            "the guest's BusyBox ping was built without options: expected one with -c, -s and -W",
        ),
        ("", "the guest's ping is neither BusyBox nor iputils"),
    ],
)
def test_E38_no_usable_ping_is_the_guests_fault(output: str, reason: str) -> None:
    with pytest.raises(GuestError) as caught:
        detect(output)
    assert caught.value.reason == reason
    assert caught.value.kind == "guest"


@pytest.mark.parametrize(
    ("dialect", "address", "changes", "command"),
    [
        (Dialect.BUSYBOX, "198.18.0.2", {}, "ping -c 50 -i 0.1 -W 3 -s 56 -w 43 198.18.0.2"),
        (Dialect.BUSYBOX, "fd00::2", {}, "ping -6 -c 50 -i 0.1 -W 3 -s 56 -w 43 fd00::2"),
        (Dialect.BUSYBOX_OLD, "198.18.0.2", {}, "ping -c 5 -W 3 -s 56 -w 43 198.18.0.2"),
        (Dialect.IPUTILS, "198.18.0.2", {}, "LC_ALL=C ping -n -c 50 -i 0.1 -W 3 -s 56 198.18.0.2"),
        (Dialect.IPUTILS, "fd00::2", {}, "LC_ALL=C ping -n -6 -c 50 -i 0.1 -W 3 -s 56 fd00::2"),
        (
            Dialect.IPUTILS,
            "198.18.0.2",
            {"dont_fragment": True, "packet_size": 8972, "interval_ns": 2_000_000_000},
            "LC_ALL=C ping -n -c 2 -i 2 -W 3 -s 8972 -M do 198.18.0.2",
        ),
        (
            Dialect.BUSYBOX,
            "198.18.0.2",
            {"dont_fragment": True, "interval_ns": 12_500_000},
            "ping -c 400 -i 0.0125 -W 3 -s 56 -w 43 198.18.0.2",
        ),
    ],
)
def test_E68_the_command_is_driven_by_count(
    dialect: Dialect, address: str, changes: dict[str, int], command: str
) -> None:
    assert compose(PingParameters(**changes), address, dialect=dialect) == command


def test_the_command_becomes_root_as_the_profile_says() -> None:
    for dialect, command in (
        (Dialect.IPUTILS, "sudo env LC_ALL=C ping -n -c 2 -i 0.1 -W 3 -s 56 198.18.0.2"),
        (Dialect.BUSYBOX_OLD, "sudo ping -c 2 -W 3 -s 56 -w 37 198.18.0.2"),
    ):
        assert (
            compose(PingParameters(), "198.18.0.2", dialect=dialect, count=2, become_root="sudo ") == command
        )


def test_a_count_of_its_own_serves_the_warm_up() -> None:
    assert compose(PingParameters(), "198.18.0.2", dialect=Dialect.BUSYBOX, count=1).startswith(
        "ping -c 1 -i 0.1 "
    )


def test_an_address_is_no_place_for_a_command() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        compose(PingParameters(), "198.18.0.2; reboot", dialect=Dialect.BUSYBOX)


def test_E34_an_old_busybox_pings_once_a_second() -> None:
    asked = PingParameters(sample_duration_ns=5_000_000_000, interval_ns=100_000_000)
    assert effective(asked, Dialect.BUSYBOX_OLD).interval_ns == 1_000_000_000
    assert effective(asked, Dialect.BUSYBOX_OLD).count == 5
    assert effective(asked, Dialect.BUSYBOX) is asked


def test_the_bound_lies_far_beyond_the_sample() -> None:
    assert bound_seconds(PingParameters(), dialect=Dialect.IPUTILS) == 43
    assert bound_seconds(PingParameters(), dialect=Dialect.BUSYBOX_OLD, count=60) == 153


def test_E27_headers_count_towards_the_mtu() -> None:
    assert required_mtu(1472, "198.18.0.2") == 1500
    assert required_mtu(1452, "fd00::2") == 1500


# transmitted, received, duplicates, errors, samples, number of warnings
@pytest.mark.parametrize(
    ("name", "counters", "samples"),
    [
        ("busybox-1.35-loopback", (5, 5, 0, 0), (60_000, 117_000, 69_000, 64_000, 58_000)),
        ("busybox-1.35-ipv6", (3, 3, 0, 0), (206_000, 74_000, 64_000)),
        ("busybox-1.35-all-lost", (2, 0, 0, 0), ()),
        (
            "busybox-1.30-loss-duplicates",
            (8, 5, 1, 0),
            (812_000, 734_000, 612_123_000, 486_000_000, 701_000),
        ),
        ("busybox-1.24-old", (2, 2, 0, 0), (812_000, 734_000)),
        ("iputils-20221126-loopback", (5, 5, 0, 0), (18_000, 45_000, 43_000, 47_000, 40_000)),
        ("iputils-20221126-ipv6", (3, 3, 0, 0), (28_000, 40_000, 40_000)),
        ("iputils-20221126-all-lost", (5, 0, 0, 0), ()),
        ("iputils-20221126-host-unreachable", (5, 0, 0, 5), ()),
        ("iputils-20221126-port-unreachable", (2, 0, 0, 2), ()),
        (
            "iputils-s20161105-loss-duplicates",
            (8, 5, 1, 0),
            (812_000, 734_000, 612_000_000, 486_000_000, 12_300_000),
        ),
        ("iputils-20240117-fractional-loss", (3, 2, 0, 0), (812_000, 500_000)),
    ],
)
def test_E30_E32_E33_both_dialects_are_read_alike(
    name: str, counters: tuple[int, int, int, int], samples: tuple[int, ...]
) -> None:
    result = parse(recorded(name), expected_count=counters[0], duration_seconds=4.9)
    assert (result.transmitted, result.received, result.duplicates, result.errors) == counters
    assert result.samples_ns == samples
    assert result.warnings == ()
    assert result.duration_seconds == 4.9
    assert result.transcript == recorded(name)


def test_E31_loss_comes_from_the_counters() -> None:
    result = parse(recorded("busybox-1.36-one-lost"), expected_count=200)
    assert "0% packet loss" in result.transcript
    assert result.loss_percent == 0.5
    assert len(result.samples_ns) == 199


def test_E12_kernel_messages_between_and_inside_the_lines() -> None:
    result = parse(recorded("kernel-noise"), expected_count=3)
    assert (result.transmitted, result.received) == (3, 3)
    assert result.samples_ns == (812_000, 734_000, 701_000)
    assert result.warnings == ()


def test_E12_a_summary_that_lost_its_front_is_not_believed() -> None:
    """Without a time stamp the tear cannot be mended; what is left of it would be a plausible line."""
    torn = recorded("busybox-1.35-all-lost").replace("2 packets tr", "1random: crng init done\n50 packets tr")
    with pytest.raises(PingUnreadable) as caught:
        parse(torn, expected_count=150)
    assert (
        caught.value.reason
        == "ping's summary is missing or garbled, and only 0 replies could be read of 150 requests"
    )
    assert caught.value.transcript == torn


def test_E10_output_that_ends_in_the_middle_is_no_result() -> None:
    text = recorded("busybox-1.35-loopback")
    with pytest.raises(PingUnreadable, match="3 replies could be read of 5 requests"):
        parse(text[: text.index("64 bytes from 127.0.0.1: seq=3")], expected_count=5)
    with pytest.raises(PingUnreadable, match=r"missing or garbled, and only 3 replies could be read$"):
        parse(text[: text.index("64 bytes from 127.0.0.1: seq=3")])


def test_a_lost_summary_is_made_good_only_by_every_reply() -> None:
    text = recorded("busybox-1.35-loopback")
    result = parse(text[: text.index("---")], expected_count=5)
    assert (result.transmitted, result.received, len(result.samples_ns)) == (5, 5, 5)
    assert result.warnings == ("ping's summary could not be read: the numbers are those of its replies",)


def test_E32_a_repeated_number_is_a_duplicate_without_its_mark_too() -> None:
    text = recorded("busybox-1.30-loss-duplicates").replace(" (DUP!)", "")
    result = parse(text)
    assert result.duplicates == 1
    assert 1_522_000 not in result.samples_ns


def test_E32_late_replies_are_counted_apart() -> None:
    late = "64 bytes from 198.18.0.2: seq=7 ttl=64 time=9000.000 ms\n"
    result = parse(recorded("busybox-1.30-loss-duplicates") + late)
    assert result.late == 1
    assert 9_000_000_000 not in result.samples_ns
    assert result.received == 5
    assert result.warnings == ("1 replies came after ping had closed its count",)


def test_sequence_numbers_go_on_after_sixteen_bits() -> None:
    lines = [f"64 bytes from 198.18.0.2: seq={n % 65536} ttl=64 time=0.5 ms" for n in range(65_000, 66_000)]
    first = "64 bytes from 198.18.0.2: seq=0 ttl=64 time=0.5 ms"
    middle = [f"64 bytes from 198.18.0.2: seq={n} ttl=64 time=0.5 ms" for n in range(1, 65_000, 20_000)]
    tail = [
        "--- 198.18.0.2 ping statistics ---",
        "66000 packets transmitted, 1005 packets received, 98% packet loss",
    ]
    result = parse("\n".join([first, *middle, *lines, *tail]))
    assert result.duplicates == 0
    assert len(result.samples_ns) == 1005


def test_E33_less_than_a_millisecond_is_read_as_its_bound() -> None:
    text = recorded("busybox-1.24-old").replace("time=0.812 ms", "time<1 ms")
    result = parse(text)
    assert result.samples_ns == (1_000_000, 734_000)
    assert result.warnings == ('1 times were given as "less than": used the bound',)


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        (
            "0.734/0.773/9.812",
            "ping's own maximum is 9.812 ms, but the slowest reply that could be read took 0.812 ms",
        ),
        ("0.734/0.773/0.811", None),
        (
            "0.734/0.773/0.800",
            "ping's own maximum is 0.8 ms, but the slowest reply that could be read took 0.812 ms",
        ),
        (
            "0.100/0.773/0.812",
            "ping's own minimum is 0.1 ms, but the quickest reply that could be read took 0.734 ms",
        ),
        (
            "0.800/0.773/0.812",
            "ping's own minimum is 0.8 ms, but the quickest reply that could be read took 0.734 ms",
        ),
        ("0.734/0.800/0.812", "ping's own mean is 0.8 ms, but that of its replies is 0.773 ms"),
        ("0.7/0.8/0.8", None),
    ],
)
def test_E75_pings_own_figures_contradict_its_replies_beyond_what_was_rounded(
    own: str, reason: str | None
) -> None:
    text = recorded("busybox-1.24-old").replace("0.734/0.773/0.812", own)
    if reason is None:
        assert parse(text).samples_ns == (812_000, 734_000)
        return
    with pytest.raises(PingDoubtful) as caught:
        parse(text)
    assert caught.value.reason == reason
    assert caught.value.kind == "guest"


@pytest.mark.parametrize("mark", ["", " (DIFFERENT ADDRESS!)"])
def test_E75_a_request_that_another_address_answered_is_not_answered(mark: str) -> None:
    text = recorded("iputils-20240117-fractional-loss").replace(
        "198.18.0.2: icmp_seq=3 ttl=64 time=0.5 ms", f"198.18.0.9: icmp_seq=3 ttl=64 time=0.5 ms{mark}"
    )
    result = parse(text)
    assert (result.transmitted, result.received, result.samples_ns) == (3, 1, (812_000,))
    assert result.answered_elsewhere == ("198.18.0.9",)
    assert result.warnings == (
        "1 requests were answered from another address (198.18.0.9): they count as lost",
    )


def test_E75_a_reply_of_another_address_is_not_taken_for_one_that_could_not_be_read() -> None:
    """The others are within ping's own minimum and maximum."""
    text = recorded("busybox-1.35-loopback").replace("127.0.0.1: seq=2", "127.0.0.2: seq=2")
    result = parse(text, expected_count=5)
    assert (result.received, result.answered_elsewhere) == (4, ("127.0.0.2",))


HEALTHY = recorded("busybox-1.35-loopback")
STRAYS = {
    "another address": "64 bytes from 8.8.8.8: seq=1 ttl=64 time=888.888 ms",
    "another address in another spelling": "64 bytes from 8.8.8.8: icmp_seq=1 ttl=64 time=888 ms (DIFFERENT ADDRESS!)",
    "a name for another address": "64 bytes from localhost (127.0.0.2): seq=1 ttl=64 time=888.888 ms",
    "a number beyond the count": "64 bytes from 127.0.0.1: seq=5 ttl=64 time=888.888 ms",
    "a number far beyond the count": "64 bytes from 127.0.0.1: seq=65535 ttl=64 time=888.888 ms",
    "a number below the first": "64 bytes from 127.0.0.1: icmp_seq=0 ttl=64 time=888.888 ms",
    "an unknown unit": "64 bytes from 127.0.0.1: seq=1 ttl=64 time=888.888 us",
    "a comma": "64 bytes from 127.0.0.1: seq=1 ttl=64 time=888,888 ms",
    "a negative time": "64 bytes from 127.0.0.1: seq=1 ttl=64 time=-888.888 ms",
    "no number": "64 bytes from 127.0.0.1: seq=1 ttl=64 time=nan ms",
    "another summary": "--- 8.8.8.8 ping statistics ---\n9 packets transmitted, 9 packets received, 0% packet loss\n"
    "round-trip min/avg/max = 1.000/2.000/888.888 ms",
}


@pytest.mark.parametrize("name", STRAYS)
def test_E75_a_line_that_answers_no_request_of_this_ping_is_no_sample(name: str) -> None:
    lines = HEALTHY.split("\n")
    whole = parse(HEALTHY, expected_count=5)
    for place in range(len(lines)):
        result = parse("\n".join([*lines[:place], STRAYS[name], *lines[place:]]), expected_count=5)
        assert (result.transmitted, result.received, result.samples_ns) == (5, 5, whole.samples_ns)


def inserted(line: str, *, at: str = "\n\n---", text: str = HEALTHY) -> str:
    assert at in text
    return text.replace(at, f"\n{line}{at}", 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            inserted("64 bytes from 127.0.0.1: seq=2 ttl=64 time=0.070 ms"),
            "ping counted 0 duplicates, but printed 1",
        ),
        (
            inserted(
                "64 bytes from 198.18.5.5: seq=0 ttl=64 time=888.888 ms",
                text=recorded("busybox-1.35-all-lost"),
            ),
            "ping counted 0 replies, but printed 1",
        ),
        (
            inserted(
                "64 bytes from 198.18.0.2: seq=4 ttl=64 time=0.7 ms",
                text=recorded("busybox-1.30-loss-duplicates"),
            ),
            "ping counted 5 replies, but printed 6",
        ),
        (HEALTHY.replace("5 packets", "6 packets"), "ping counted 6 requests: expected 5"),
        (
            HEALTHY
            + "\n".join(HEALTHY.split("\n")[-4:])
            .replace("5 packets r", "4 packets r")
            .replace(" 0%", " 20%"),
            "ping printed two summaries that differ",
        ),
        (
            HEALTHY + "round-trip min/avg/max = 0.058/0.073/0.118 ms\n",
            "ping printed two different lines with its minimum and maximum",
        ),
        (
            HEALTHY.replace("seq=1", "seq=torn").partition("round-trip")[0],
            "could not read 1 of the 5 replies that ping counted, nor its maximum",
        ),
        (
            HEALTHY.replace("seq=1", "seq=torn"),
            "ping's own maximum is 0.117 ms, but the slowest reply that could be read took 0.069 ms",
        ),
    ],
    ids=[
        "a second answer",
        "nothing received",
        "lost meanwhile",
        "more than asked",
        "two summaries",
        "two maxima",
        "no maximum",
        "its own maximum",
    ],
)
def test_E75_what_contradicts_itself_is_doubtful(text: str, reason: str) -> None:
    expected = 5 if "127.0.0.1" in text else None
    with pytest.raises(PingDoubtful) as caught:
        parse(text, expected_count=expected)
    assert caught.value.reason == reason
    assert caught.value.hint
    assert caught.value.transcript == text


def test_E75_a_time_longer_than_ping_ran_is_doubtful() -> None:
    """BusyBox takes the time of sending out of the reply itself."""
    text = recorded("busybox-1.24-old").replace("0.812", "4294967.295").replace("0.773", "2147484.014")
    asked = asked_of(PingParameters(), "198.18.0.2", dialect=Dialect.BUSYBOX_OLD, count=2)
    with pytest.raises(PingDoubtful, match=r"^a reply took 4.29497e\+06 ms, longer than ping itself ran$"):
        parse(text, expected_count=2, asked=asked)


def test_E75_a_summary_that_is_printed_twice_alike_counts_once() -> None:
    text = HEALTHY + "\n".join(HEALTHY.split("\n")[-4:])
    assert parse(text, expected_count=5) == replace(parse(HEALTHY, expected_count=5), transcript=text)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("fd00::2", "fd00:0:0:0:0:0:0:2"),
        ("fd00:0::0:2", "fd00::2"),
        ("FD00::AB", "fd00::ab"),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("fe80::1", "fe80::1%2"),
        ("fd00::2", "guest.example (fd00::2)"),
    ],
)
def test_E26_an_address_is_the_same_however_it_is_written(address: str, shown: str) -> None:
    text = (
        recorded("iputils-20221126-ipv6")
        .replace("from ::1", f"from {shown}")
        .replace("::1(::1)", "x(fd00::99)")
    )
    asked = asked_of(PingParameters(), address, dialect=Dialect.IPUTILS, count=3)
    text = text.replace("--- ::1 ", f"--- {address} ")
    assert parse(text, expected_count=3, asked=asked).received == 3


def test_E33_an_old_iputils_says_icmp_req() -> None:
    text = (
        "PING 198.18.0.2 (198.18.0.2) 56(84) bytes of data.\n"
        "64 bytes from 198.18.0.2: icmp_req=1 ttl=64 time=0.3 ms\n"
        "64 bytes from 198.18.0.2: icmp_req=2 ttl=64 time=0.4 ms\n"
        "--- 198.18.0.2 ping statistics ---\n"
        "2 packets transmitted, 2 received, 0% packet loss, time 100ms\n"
        "rtt min/avg/max/mdev = 0.3/0.3/0.4/0.0 ms\n"
    )
    result = parse(text, expected_count=2)
    assert (result.samples_ns, result.warnings) == ((300_000, 400_000), ())


def test_E33_an_old_busybox_says_icmp_seq_and_counts_from_0() -> None:
    text = HEALTHY.replace(" seq=", " icmp_seq=")
    asked = asked_of(PingParameters(), "127.0.0.1", dialect=Dialect.BUSYBOX_OLD, count=5)
    assert parse(text, expected_count=5, asked=asked).received == 5


@pytest.mark.parametrize(
    ("said", "least"),
    [
        ("ping: cannot flood; minimal interval allowed for user is 200ms", "200ms"),
        ("ping: cannot flood; minimal interval, allowed for user, is 200ms", "200ms"),
        ("ping: cannot flood; minimal interval allowed for user is 2ms", "2ms"),
        (
            (
                "PING ::1 (::1) 56 data bytes\n"
                "ping: cannot flood, minimal interval for user must be >= 2 ms, use -i 0.002 (or higher)"
            ),
            "2ms",
        ),
    ],
)
def test_E38_an_interval_for_root_alone_is_no_wrong_dialect(said: str, least: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(said + "\n", expected_count=50)
    assert caught.value.failure_reason == (
        f"setup: --kv-interval is too short: the guest's ping needs at least {least} for a user who is not root "
        f"({said.splitlines()[-1]})"
    )
    assert f"--kv-interval {least}" in caught.value.hint
    assert "become_root" in caught.value.hint


def test_E38_a_user_who_cannot_become_root_is_the_guests_fault() -> None:
    with pytest.raises(GuestError, match=r"^the guest's user cannot become root for ping \(sudo: a password"):
        detect("sudo: a password is required\n")
    with pytest.raises(GuestError, match=r"^the guest has no ping \(sudo: ping: command not found\)"):
        detect("sudo: ping: command not found\n")


@pytest.mark.parametrize("name", ["busybox-1.35-without-times", "iputils-20221126-without-times"])
def test_replies_without_times_are_no_measurement(name: str) -> None:
    with pytest.raises(PingUnreadable, match="2 replies, but none of their round-trip times"):
        parse(recorded(name), expected_count=2)


def test_fewer_requests_than_asked_are_said() -> None:
    result = parse(recorded("busybox-1.24-old"), expected_count=5)
    assert result.transmitted == 2
    assert result.warnings == ("ping sent 2 of 5 requests before it ran out of time",)


@pytest.mark.parametrize(
    ("dialect", "milliseconds", "surplus"),
    [
        (Dialect.IPUTILS, 100, 9),
        (Dialect.IPUTILS, 300, 3),
        (Dialect.IPUTILS, 2, 499),
        (Dialect.IPUTILS, 1000, 0),
        (Dialect.IPUTILS, 2000, 0),
        (Dialect.BUSYBOX, 100, 0),
        (Dialect.BUSYBOX_OLD, 100, 0),
    ],
)
def test_E32_a_surplus_keeps_iputils_listening_for_a_second(
    dialect: Dialect, milliseconds: int, surplus: int
) -> None:
    assert surplus_of(PingParameters(interval_ns=milliseconds * 1_000_000), dialect) == surplus


# Recordings of 5 requests and a surplus of 9: transmitted, received, errors.
@pytest.mark.parametrize(
    ("name", "counters"),
    [
        ("iputils-20221126-late-fifth", (5, 5, 0)),
        ("iputils-20221126-lost-fifth", (5, 4, 0)),
        ("iputils-20221126-lost-eighth", (5, 5, 0)),
        ("iputils-20250605-corrupted", (5, 4, 0)),
        ("iputils-20250605-unreachable", (5, 4, 1)),
    ],
)
def test_E30_E32_a_surplus_is_no_part_of_the_result(name: str, counters: tuple[int, int, int]) -> None:
    result = parse(recorded(name), expected_count=5, surplus=9)
    assert (result.transmitted, result.received, result.errors) == counters
    assert len(result.samples_ns) == result.received
    assert (max(result.samples_ns) == 300_000_000) == (name == "iputils-20221126-late-fifth")


def test_E32_a_late_reply_is_one_of_the_sample() -> None:
    result = parse(recorded("iputils-20221126-late-fifth"), expected_count=5, surplus=9)
    assert result.samples_ns == (879_000, 960_000, 910_000, 1_240_000, 300_000_000)


def test_E32_duplicates_of_the_surplus_are_no_part_of_the_result() -> None:
    reply = "64 bytes from 198.18.0.2: icmp_seq={} ttl=64 time=1.00 ms{}"
    answered = [reply.format(n, "") for n in range(1, 15)]
    repeated = [reply.format(n, " (DUP!)") for n in (3, 9, 9)]
    summary = "14 packets transmitted, 14 received, +3 duplicates, 0% packet loss, time 1300ms"
    text = "\n".join([*answered, *repeated, "--- 198.18.0.2 ping statistics ---", summary])
    assert parse(text, expected_count=5, surplus=9).duplicates == 1


def without_the_line_of(text: str, sequence: int) -> str:
    return "\n".join(line for line in text.split("\n") if f"icmp_seq={sequence} " not in line)


@pytest.mark.parametrize(
    ("name", "torn", "counters"),
    [
        ("iputils-20221126-lost-fifth", 3, (5, 4)),
        ("iputils-20221126-lost-eighth", 11, (5, 5)),
        ("iputils-20221126-late-fifth", 3, (5, 5)),
    ],
)
def test_E12_a_torn_line_costs_nothing_where_it_is_plain_what_was_lost(
    name: str, torn: int, counters: tuple[int, int]
) -> None:
    text = without_the_line_of(recorded(name), torn)
    result = parse(text, expected_count=5, surplus=9)
    assert (result.transmitted, result.received) == counters


@pytest.mark.parametrize(
    ("name", "torn"), [("iputils-20221126-lost-fifth", 11), ("iputils-20221126-lost-eighth", 3)]
)
def test_E12_a_torn_line_that_may_be_the_lost_one_is_no_result(name: str, torn: int) -> None:
    with pytest.raises(
        PingUnreadable, match="could not tell which of the first 5 of 14 requests were answered"
    ):
        parse(without_the_line_of(recorded(name), torn), expected_count=5, surplus=9)


def test_E30_a_ping_that_ended_before_its_surplus_is_read_as_it_is() -> None:
    """Errors count as answers to iputils: with some beside replies it ends early."""
    text = recorded("iputils-20221126-loopback")
    result = parse(text, expected_count=5, surplus=9)
    assert (result.transmitted, result.received, result.warnings) == (5, 5, ())


def test_E38_requests_of_the_surplus_that_never_left_the_guest_are_no_part_of_the_result() -> None:
    result = parse(complaining(4, received=10, transmitted=14), expected_count=5, surplus=9)
    assert (result.transmitted, result.received) == (5, 5)
    with pytest.raises(GuestError, match=r"^2 of 5 requests never left the guest"):
        parse(complaining(11, received=3, transmitted=14), expected_count=5, surplus=9)
    mixed = parse(complaining(9, received=4, transmitted=14), expected_count=5, surplus=9)
    assert (mixed.transmitted, mixed.received) == (5, 4)


def test_E75_more_requests_than_asked_are_none_of_this_ping() -> None:
    text = recorded("iputils-20221126-deadline-sends-on")
    assert parse(text).transmitted == 10
    with pytest.raises(PingDoubtful, match=r"^ping counted 10 requests: expected 3$"):
        parse(text, expected_count=3)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (
            recorded("error-busybox-no-route"),
            (
                "the guest has no route to its peer's address: Network is unreachable "
                "(ping: sendto: Network is unreachable)"
            ),
        ),
        (
            recorded("error-iputils-no-route"),
            (
                "the guest has no route to its peer's address: Network is unreachable "
                "(ping: connect: Network is unreachable)"
            ),
        ),
        (
            recorded("error-busybox-no-route-ipv6"),
            (
                "the guest has no route to its peer's address: Network is unreachable "
                "(ping: sendto: Network is unreachable)"
            ),
        ),
        (
            "PING 198.18.0.2 (198.18.0.2): 56 data bytes\nping: sendto: Network unreachable\n",
            (
                "the guest has no route to its peer's address: Network is unreachable "
                "(ping: sendto: Network unreachable)"
            ),
        ),
        (
            recorded("error-busybox-bad-address"),
            "the guest's ping does not understand the address (ping: bad address 'no.such.invalid')",
        ),
        (
            recorded("error-iputils-bad-address"),
            "the guest's ping does not understand the address (ping: no.such.invalid: Name or service not known)",
        ),
        (
            "ping: permission denied (are you root?)\n",
            "the guest does not let ping send (ping: permission denied (are you root?))",
        ),
        (
            "PING 198.18.0.2 (198.18.0.2): 56 data bytes\r\nping: sendto: Operation not permitted\r\n",
            "the guest does not let ping send (ping: sendto: Operation not permitted)",
        ),
        ("sh: ping: not found\n", "the guest has no ping (sh: ping: not found)"),
        (
            "ping: invalid number '0.1'\n",
            "the guest's ping refuses its arguments (ping: invalid number '0.1')",
        ),
        (
            "ping: invalid -s value: '65508': out of range: 0 <= value <= 65507\n",
            (
                "the guest's ping refuses its arguments "
                "(ping: invalid -s value: '65508': out of range: 0 <= value <= 65507)"
            ),
        ),
        (
            "ping: Do you want to ping broadcast? Then -b. If not, check your local firewall rules\n",
            (
                "the guest does not let ping send "
                "(ping: Do you want to ping broadcast? Then -b. If not, check your local firewall rules)"
            ),
        ),
        (
            "ping: unrecognized option: i\nBusyBox v1.24.2\n",
            "the guest's ping refuses its arguments (ping: unrecognized option: i)",
        ),
    ],
)
def test_E38_what_stops_ping_is_the_guests_fault(output: str, reason: str) -> None:
    with pytest.raises(GuestError) as caught:
        parse(output, expected_count=5)
    assert type(caught.value) is GuestError
    assert caught.value.reason == reason
    assert caught.value.transcript == output
    assert caught.value.hint


# A healthy reply is odd in one way; counted is what ping counts.
@pytest.mark.parametrize(
    ("name", "received", "samples", "warning"),
    [
        ("iputils-20250605-corrupted", 4, 4, "1 replies came with a bad checksum"),
        ("iputils-20221126-wrong-data", 5, 5, "1 replies did not carry the data that was sent"),
        ("iputils-20221126-truncated", 5, 4, "1 replies were shorter than their requests"),
        (
            "iputils-20221126-clock-back",
            5,
            4,
            "1 replies have no time: the guest's clock was set back",
        ),
        (
            "iputils-20250605-clock-back",
            5,
            4,
            "1 replies have no time: the guest's clock was set back",
        ),
    ],
)
def test_what_is_odd_about_a_reply_is_said_and_is_no_time(
    name: str, received: int, samples: int, warning: str
) -> None:
    result = parse(recorded(name), expected_count=5, surplus=9)
    assert (result.transmitted, result.received) == (5, received)
    assert len(result.samples_ns) == samples
    assert min(result.samples_ns) > 800_000
    assert result.warnings == (warning,)


def test_E27_an_mtu_is_read_however_it_is_worded() -> None:
    for name, mtu in (("iputils-20221126-path-known", 1000), ("iputils-20221126-path-known-ipv6", 1280)):
        with pytest.raises(ConfigError, match=rf"own interface \({mtu} bytes\)"):
            parse(recorded(name), expected_count=5, surplus=9)
        result = parse(recorded(name), expected_count=5, surplus=9, fits=True)
        assert (result.transmitted, result.received, result.errors) == (5, 0, 5)
        assert result.warnings == (f"the network's path carries packets of at most {mtu} bytes in one piece",)


def test_E38_an_address_that_is_removed_within_the_sample_is_the_guests_fault() -> None:
    with pytest.raises(GuestError, match=r"^ping stopped after 3 replies: the guest has no route"):
        parse(recorded("error-busybox-address-removed"), expected_count=5)


def test_E38_a_kernel_message_with_the_same_words_is_none_of_pings() -> None:
    text = recorded("busybox-1.35-all-lost").replace(
        "\n\n---", "\n[   12.345678] nfs: Network is unreachable\n\n---", 1
    )
    assert parse(text, expected_count=2).received == 0


UNREACHABLE = "ping: sendmsg: Network is unreachable"


def complaining(complaints: int, *, received: int, transmitted: int = 5) -> str:
    """What iputils prints, which pretends to have sent what it could not."""
    replies = [f"64 bytes from 198.18.0.2: icmp_seq={n} ttl=64 time=0.2 ms" for n in range(1, received + 1)]
    percent = 100 * (transmitted - received) / transmitted
    summary = f"{transmitted} packets transmitted, {received} received, {percent:g}% packet loss, time 4005ms"
    return "\n".join(
        [*replies, *[UNREACHABLE] * complaints, "", "--- 198.18.0.2 ping statistics ---", summary, ""]
    )


def test_E38_requests_that_never_left_the_guest_are_no_loss_of_the_networks() -> None:
    with pytest.raises(GuestError) as caught:
        parse(complaining(2, received=3), expected_count=5)
    assert caught.value.reason == (
        "2 of 5 requests never left the guest: the guest has no route to its peer's address: Network is unreachable "
        f"({UNREACHABLE})"
    )
    assert caught.value.hint


@pytest.mark.parametrize(("complaints", "received"), [(1, 5), (1, 3)], ids=["no loss", "other loss"])
def test_E38_a_complaint_that_explains_no_loss_is_a_warning(complaints: int, received: int) -> None:
    result = parse(complaining(complaints, received=received), expected_count=5)
    assert result.received == received
    assert result.warnings == (
        f"ping said: the guest has no route to its peer's address: Network is unreachable ({UNREACHABLE})",
    )


def test_E38_a_ping_that_died_on_the_way_is_no_result() -> None:
    text = recorded("busybox-1.35-loopback")
    text = text[: text.index("64 bytes from 127.0.0.1: seq=3")] + "ping: sendto: Network unreachable\n"
    with pytest.raises(PingUnreadable, match=r"^ping stopped after 3 replies: the guest has no route"):
        parse(text, expected_count=5)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (
            recorded("error-iputils-too-long"),
            "the packet is longer than the MTU of the guest's own interface (1500 bytes)",
        ),
        (
            "PING 198.18.0.2 (198.18.0.2): 9000 data bytes\nping: sendto: Message too large\n",
            "the packet is longer than the MTU of the guest's own interface",
        ),
    ],
)
def test_E27_a_packet_too_long_for_the_own_interface_is_no_fault_of_the_network(
    output: str, reason: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(output, expected_count=3)
    assert caught.value.reason == reason
    assert caught.value.failure_reason == f"setup: {reason}"


def test_E27_a_narrow_place_on_the_way_is_the_networks() -> None:
    text = recorded("error-iputils-too-long").replace(
        "ping: local error: message too long, mtu=1500\n",
        "From 198.18.0.254 icmp_seq=1 Frag needed and DF set (mtu = 1400)\n",
        1,
    )
    assert parse(text, expected_count=3).received == 0


def test_E28_nobody_at_the_address_is_a_connectivity_failure() -> None:
    with pytest.raises(ConnectivityError) as caught:
        parse(
            "PING 198.18.0.2 (198.18.0.2): 56 data bytes\nping: sendto: Host is unreachable\n",
            expected_count=5,
        )
    assert caught.value.reason == (
        "failed to run check: failed due to connectivity issue: no answer for that address "
        "(no ARP or neighbour reply)"
    )
