import contextlib
import re
from pathlib import Path

import pytest
from guestfakes import FakeShell

from pytest_kvlatency.console.login import LoginProfile
from pytest_kvlatency.console.shell import CommandResult
from pytest_kvlatency.deadline import Backoff, Deadline
from pytest_kvlatency.errors import CheckupTimeoutError, ConfigError, GuestError, PermissionDeniedError
from pytest_kvlatency.guest import measure
from pytest_kvlatency.kube.apierrors import ApiUnavailableError
from pytest_kvlatency.model import PingParameters
from pytest_kvlatency.ping.command import Dialect

PARAMETERS = PingParameters()
ADDRESS = "198.18.0.8"
SAMPLE = """PING 198.18.0.8 (198.18.0.8): 56 data bytes
64 bytes from 198.18.0.8: seq=0 ttl=64 time=0.250 ms
64 bytes from 198.18.0.8: seq=1 ttl=64 time=0.350 ms

--- 198.18.0.8 ping statistics ---
2 packets transmitted, 2 packets received, 0% packet loss
round-trip min/avg/max = 0.250/0.300/0.350 ms"""


def said(output="", status=0):
    return CommandResult(output=output, exit_status=status)


@pytest.mark.parametrize(
    ("output", "dialect"),
    [
        ("ping from iputils 20221126", Dialect.IPUTILS),
        ("BusyBox v1.36\n\n\t-c CNT\n\t-i SECS\tInterval\n", Dialect.BUSYBOX),
        ("BusyBox v1.27\n\n\t-c CNT\n", Dialect.BUSYBOX_OLD),
    ],
)
def test_E33_E34_the_dialect_is_asked_for(output, dialect):
    shell = FakeShell(answers={"ping -V": said(output, 1)})
    assert measure.detect_dialect(shell, Deadline(60)) is dialect


def test_E12_a_dialect_that_was_torn_is_asked_for_again():
    answers = iter(["ping from ipu<14>cloud-init: done\ntils 20221126", "ping from iputils 20221126"])
    shell = FakeShell(answers={"ping -V": lambda command: said(next(answers))})
    assert measure.detect_dialect(shell, Deadline(60)) is Dialect.IPUTILS


def test_E38_no_ping_is_a_cause():
    shell = FakeShell(answers={"ping -V": said("sh: ping: not found", 127)})
    with pytest.raises(GuestError, match="has no ping"):
        measure.detect_dialect(shell, Deadline(60))


@pytest.mark.parametrize(("address", "largest"), [(ADDRESS, 1372), ("fd00::8", 1352)])
def test_E27_a_packet_beyond_a_guest_s_mtu_is_a_config_error_that_names_both(address, largest):
    mtus = {"source-vmi": 1500, "target-vmi": 1400}
    measure.check_mtu(PingParameters(packet_size=largest, dont_fragment=True), address, mtus)
    measure.check_mtu(PingParameters(packet_size=9000), address, mtus)
    with pytest.raises(ConfigError, match="1500 on source-vmi and 1400 on target-vmi") as caught:
        measure.check_mtu(PingParameters(packet_size=largest + 1, dont_fragment=True), address, mtus)
    assert str(largest) in caught.value.hint


def test_E35_the_warm_up_waits_for_as_many_replies_as_asked(monkeypatch):
    statuses = iter([1, 1, 0, 1, 0])
    shell = FakeShell(answers={"ping ": lambda command: said(status=next(statuses))})
    monkeypatch.setattr(measure, "PAUSES", Backoff(first=0.001, longest=1.0))
    measure.warm_up(shell, ADDRESS, PingParameters(warmup=2), Dialect.BUSYBOX, Deadline(60))
    assert len(shell.commands) == 5


def test_E35_no_warm_up_costs_nothing():
    shell = FakeShell()
    measure.warm_up(shell, ADDRESS, PingParameters(warmup=0), Dialect.BUSYBOX, Deadline(60))
    assert shell.commands == []


def test_E30_the_warm_up_gives_up_after_its_time_and_leaves_the_verdict_to_the_sample(monkeypatch):
    monkeypatch.setattr(measure, "WARM_UP_SECONDS", 0.01)
    monkeypatch.setattr(measure, "PAUSES", Backoff(first=0.001, longest=1.0))
    shell = FakeShell(answers={"ping ": said(status=1)})
    measure.warm_up(shell, ADDRESS, PARAMETERS, Dialect.IPUTILS, Deadline(60))
    assert len(shell.commands) < measure.WARM_UP_ATTEMPTS


@pytest.mark.parametrize(
    ("dialect", "start"),
    [
        (Dialect.BUSYBOX, "ping -6 -c 1"),
        (Dialect.IPUTILS, "ping -6 -c 1"),
        (Dialect.BUSYBOX_OLD, "ping6 -c 1"),
    ],
)
def test_E26_the_warm_up_speaks_ipv6(dialect, start):
    shell = FakeShell()
    measure.warm_up(shell, "fd00::8", PARAMETERS, dialect, Deadline(60))
    assert shell.commands[0].startswith(start)


def test_E10_the_sample_runs_in_the_guest_s_background():
    shell = FakeShell(answers={r"read k <": said(SAMPLE)})
    parameters = PingParameters(sample_duration_ns=200_000_000)
    result = measure.take_sample(shell, ADDRESS, parameters, Dialect.BUSYBOX, Deadline(60))
    assert (result.transmitted, result.samples_ns) == (2, (250_000, 350_000))
    assert "mkfifo" in shell.commands[0]


SAID_WITHIN = {
    "a reply": SAMPLE.replace("time=0.350", "tiCloud-init v. 23.4 finished at Thu, 01 Jan 1970\nme=0.350"),
    "the summary": SAMPLE.replace(
        "2 packets received", "2 packCloud-init v. 23.4 finished\nets received"
    ).replace("seq=1 ttl", "seq=1 <14>cloud-init: ttl"),
}


@pytest.mark.parametrize("within", SAID_WITHIN)
def test_E12_what_somebody_says_within_the_sample_costs_none_of_it(within):
    answers = iter([SAID_WITHIN[within], SAMPLE])
    shell = FakeShell(answers={r"read k <": lambda command: said(next(answers))})
    parameters = PingParameters(sample_duration_ns=200_000_000)
    result = measure.take_sample(shell, ADDRESS, parameters, Dialect.BUSYBOX, Deadline(60))
    assert (result.samples_ns, result.warnings) == ((250_000, 350_000), ())
    first, second = shell.commands
    assert "mkfifo" in first
    assert "mkfifo" not in second


def of_three(*, torn=None):
    """A sample of three replies, one of which may be torn for good."""
    text = SAMPLE.replace("\n\n", "\n64 bytes from 198.18.0.8: seq=2 ttl=64 time=0.300 ms\n\n").replace(
        "2 pack", "3 pack"
    )
    return text if torn is None else text.replace(f"time={torn}", f"tisystemd: hello\nme={torn}")


def test_E12_a_console_that_is_never_quiet_leaves_what_can_be_read():
    shell = FakeShell(answers={r"read k <": said(of_three(torn="0.300"))})
    parameters = PingParameters(sample_duration_ns=300_000_000)
    result = measure.take_sample(shell, ADDRESS, parameters, Dialect.BUSYBOX, Deadline(60))
    assert (result.received, result.samples_ns) == (3, (250_000, 350_000))
    assert result.warnings == ("ping counted 3 replies, but only 2 could be read line by line",)
    assert len(shell.commands) == 3


@pytest.mark.parametrize(("torn", "own"), [("0.250", "minimum"), ("0.350", "maximum")])
def test_E75_a_torn_reply_that_was_the_slowest_or_quickest_is_measured_again_and_then_the_guests_fault(
    torn, own
):
    shell = FakeShell(answers={r"read k <": said(of_three(torn=torn))})
    parameters = PingParameters(sample_duration_ns=300_000_000)
    with pytest.raises(
        GuestError, match=rf"^ping's own {own} is {float(torn):g} ms, but the \w+ reply .* took 0.3 ms"
    ):
        measure.take_sample(shell, ADDRESS, parameters, Dialect.BUSYBOX, Deadline(60))
    assert [("mkfifo" in command) for command in shell.commands] == [True, False, False] * 2


@pytest.mark.edge_case(
    "E75",
    happens="ping's own minimum or maximum contradicts the replies that it printed.",
    does="Measures once more, and adds a note:",
    says="discarded the first sample: ping's own maximum is … ms",
)
def test_E75_a_second_sample_without_a_doubt_stands():
    answers = iter([*[of_three(torn="0.350")] * 3, of_three()])
    shell = FakeShell(answers={r"read k <": lambda command: said(next(answers))})
    parameters = PingParameters(sample_duration_ns=300_000_000)
    result = measure.take_sample(shell, ADDRESS, parameters, Dialect.BUSYBOX, Deadline(60))
    assert result.samples_ns == (250_000, 350_000, 300_000)
    (warning,) = result.warnings
    assert warning.startswith("discarded the first sample: ping's own maximum is 0.35 ms")


def test_E75_without_time_for_a_second_sample_the_doubt_is_the_cause():
    def answer(command):
        if len(shell.commands) > 3:
            raise CheckupTimeoutError("timed out after 5m")
        return said(of_three(torn="0.350"))

    shell = FakeShell(answers={r"read k <": answer})
    parameters = PingParameters(sample_duration_ns=300_000_000)
    with pytest.raises(GuestError, match=r"^ping's own maximum"):
        measure.take_sample(shell, ADDRESS, parameters, Dialect.BUSYBOX, Deadline(60))


STRAY = "64 bytes from 8.8.8.8: seq=1 ttl=64 time=888.888 ms\n"


def test_E75_what_another_ping_prints_on_the_console_is_gone_when_the_file_is_read_again():
    answers = iter([SAMPLE.replace("\n\n", f"\n{STRAY}\n"), SAMPLE])
    shell = FakeShell(answers={r"read k <": lambda command: said(next(answers))})
    parameters = PingParameters(sample_duration_ns=200_000_000)
    result = measure.take_sample(shell, ADDRESS, parameters, Dialect.BUSYBOX, Deadline(60))
    assert (result.samples_ns, result.warnings) == ((250_000, 350_000), ())


def test_E75_a_target_for_which_another_address_answers_did_not_answer():
    text = SAMPLE.replace("from 198.18.0.8: seq=1", "from 198.18.0.9: seq=1")
    shell = FakeShell(answers={r"read k <": said(text)})
    parameters = PingParameters(sample_duration_ns=200_000_000)
    result = measure.take_sample(shell, ADDRESS, parameters, Dialect.BUSYBOX, Deadline(60))
    assert (result.transmitted, result.received, result.samples_ns) == (2, 1, (250_000,))
    assert result.answered_elsewhere == ("198.18.0.9",)
    assert sum("mkfifo" in command for command in shell.commands) == 2


@pytest.mark.parametrize("dialect", [Dialect.BUSYBOX, Dialect.IPUTILS])
def test_the_profile_becomes_root_for_every_ping(dialect):
    shell = FakeShell(
        profile=LoginProfile(become_root="sudo "),
        answers={r"ping -V": said("ping from iputils 20221126"), r"read k <": said(SAMPLE)},
    )
    measure.detect_dialect(shell, Deadline(60))
    measure.warm_up(shell, ADDRESS, PARAMETERS, dialect, Deadline(60))
    with contextlib.suppress(GuestError):
        measure.take_sample(shell, ADDRESS, PARAMETERS, dialect, Deadline(60))
    measure.explain_silence(shell, "eth0", ADDRESS, dialect, Deadline(60))
    pings = [
        text for command in shell.commands for text in re.findall(r"\S* \S*(?: \S+=\S+)? ?ping -", command)
    ]
    assert len(pings) >= 4
    assert all("sudo " in text for text in pings)


RECORDED = Path(__file__).parents[1] / "data" / "ping"
FIVE = PingParameters(sample_duration_ns=500_000_000)


@pytest.mark.parametrize(("name", "received"), [("late-fifth", 5), ("lost-fifth", 4), ("lost-eighth", 5)])
def test_E30_E32_iputils_is_made_to_listen_and_what_it_lost_of_the_sample_is_lost(name, received):
    text = (
        (RECORDED / f"iputils-20221126-{name}.txt").read_text(encoding="utf-8").replace("198.18.0.2", ADDRESS)
    )
    shell = FakeShell(answers={r"read k <": said(text)})
    result = measure.take_sample(shell, ADDRESS, FIVE, Dialect.IPUTILS, Deadline(60))
    assert (result.transmitted, result.received) == (5, received)
    assert len(shell.commands) == 1
    assert f"ping -n -c 14 -i 0.1 -W 3 -s 56 {ADDRESS}" in shell.commands[0]


@pytest.mark.parametrize(
    ("neighbours", "arp", "address", "words"),
    [
        (f"{ADDRESS} lladdr 02:00:00:00:00:02 REACHABLE", "", ADDRESS, "ARP is answered, but ICMP is not"),
        (f"{ADDRESS}  FAILED", "", ADDRESS, "not even ARP is answered"),
        ("", f"{ADDRESS} 0x1 0x2 02:00:00:00:00:02 * eth0", ADDRESS, "ARP is answered, but ICMP is not"),
        ("", f"{ADDRESS} 0x1 0x0 00:00:00:00:00:00 * eth0", ADDRESS, "not even ARP is answered"),
        ("ip: unknown command", "", ADDRESS, "could not tell whether ARP is answered"),
        ("fd00::8  INCOMPLETE", "", "fd00::8", "not even neighbour discovery is answered"),
    ],
)
def test_E28_silence_is_explained_by_the_neighbour_table(neighbours, arp, address, words):
    shell = FakeShell(answers={"ip neigh": said(neighbours), "cat /proc/net/arp": said(arp)})
    assert words in measure.explain_silence(shell, "eth0", address, Dialect.BUSYBOX, Deadline(60))


def test_E28_a_mac_that_the_kernel_knows_from_before_the_silence_is_no_answer():
    """What the kernel does, of which 6.18 knew 15 s after a cut still: it forgets when told to, and asks at a ping."""
    known = {"state": f"{ADDRESS} lladdr 02:00:00:00:00:02 REACHABLE"}

    def kernel(command):
        for part in command.split(";"):
            if f"neigh flush to {ADDRESS} dev eth0" in part:
                known.pop("state", None)
            elif f"ping -c 1 -W 1 {ADDRESS}" in part:
                known.setdefault("state", f"{ADDRESS}  INCOMPLETE")
        return said(known.get("state", ""))

    shell = FakeShell(answers={"ip neigh": kernel})
    words = measure.explain_silence(shell, "eth0", ADDRESS, Dialect.IPUTILS, Deadline(60))
    assert words == "not even ARP is answered"


@pytest.mark.parametrize(
    "error",
    [
        GuestError("the console was lost 4 times"),
        CheckupTimeoutError("timed out after 5m"),
        ApiUnavailableError("no answer", status=503),
        PermissionDeniedError("the console may not be opened any more"),
    ],
)
def test_E30_a_silence_that_can_no_longer_be_explained_is_one_all_the_same(error):
    def fail(command):
        raise error

    words = measure.explain_silence(
        FakeShell(answers={"ip neigh": fail}), "eth0", ADDRESS, Dialect.BUSYBOX, Deadline(60)
    )
    assert words == "could not tell whether ARP is answered"
