"""What consoles and logins of real clusters do to a run, from end to end."""

from __future__ import annotations

import re

import pytest

LAB = """
guests: sim
nodes: [worker1, worker2]
seed: 1
time_scale: 20
boot: 200ms
networks:
  default/torn: {}
  default/logged-in: {}
  default/no-user-data: {}
  default/code-400: {}
  default/code-503: {}
  default/drop: {}
  default/evict: {}
  default/always-evicted: {}
  default/idle: {}
  default/code-404: {}
  default/code-409: {}
  default/silent: {}
  default/refused: {}
  default/noise: {}
faults:
  - {fault: torn-prompt, network: default/torn, node: worker1}
  - {fault: last-failed-login, network: default/torn, node: worker2}
  - {fault: already-logged-in, network: default/logged-in, node: worker1}
  - {fault: already-logged-in, network: default/logged-in, node: worker2, command: sleep 1000}
  - {fault: datasource-wait, network: default/no-user-data, node: worker2}
  - {fault: console-shred, network: default/no-user-data, node: worker1}
  - {fault: console-error, network: default/code-400, node: worker1, code: 400, times: 3}
  - {fault: console-error, network: default/code-400, node: worker2, code: 500, times: 3}
  - {fault: console-error, network: default/code-503, node: worker1, code: 503, times: 3}
  - {fault: console-late-eof, network: default/code-503, node: worker2, times: 4}
  - {fault: console-drop, network: default/drop, after: 1s, times: 2}
  - {fault: console-evict, network: default/evict, after: 700ms, times: 2}
  - {fault: console-evict, network: default/always-evicted, after: 50ms}
  - {fault: console-idle, network: default/idle, after: 700ms}
  - {fault: console-error, network: default/code-404, code: 404}
  - {fault: console-error, network: default/code-409, code: 409}
  - {fault: silent, network: default/silent}
  - {fault: login-refused, network: default/refused}
  - {fault: kernel-noise, network: default/noise, every: 2}
"""


@pytest.fixture(scope="module")
def in_spite(measured):
    return measured(
        "torn", "logged-in", "no-user-data", "code-400", "code-503", args=("--kv-nodes", "worker1:worker2")
    )


@pytest.mark.edge_case(
    "E01",
    happens="Lines of cloud-init or the kernel tear the login prompt apart.",
    does="Presses Enter again until the prompt is whole, and measures.",
)
@pytest.mark.edge_case(
    "E02",
    happens="`Last failed login:` stands above the prompt.",
    does="Does not take it for the prompt, and measures.",
)
@pytest.mark.edge_case(
    "E04",
    happens="The console is already logged in, or a command still runs in it.",
    does="Interrupts the command, finds the shell, and measures.",
)
@pytest.mark.edge_case(
    "E05",
    happens="Without user data, cloud-init would wait for minutes.",
    does="Always sends user data, so that the guest is configured at once.",
)
@pytest.mark.edge_case(
    "E13",
    happens="Each byte arrives in a frame of its own, so that characters are split.",
    does="Reads the frames as one stream.",
)
@pytest.mark.edge_case(
    "E14",
    happens="The console answers 400, 500 or 503, or closes as soon as it is opened.",
    does="Tries again: waiting can help.",
)
@pytest.mark.parametrize(
    "network",
    [
        pytest.param("torn", id="E01-torn-prompt-and-E02-last-failed-login"),
        pytest.param("logged-in", id="E04-in-a-command-that-reads-and-in-one-that-does-not"),
        pytest.param("no-user-data", id="E05-cloud-init-would-wait-and-E13-a-byte-a-frame"),
        pytest.param("code-400", id="E14-400-and-500-are-waited-for"),
        pytest.param("code-503", id="E14-503-and-an-upgrade-and-then-the-end"),
    ],
)
def test_the_sample_is_whole_in_spite_of(in_spite, network):
    """Each guest of a pair has a trouble of its own."""
    one = in_spite[f"{network} worker1:worker2"]
    assert one["outcome"] == "passed", one["failureReason"]
    assert one["transmitted"] == one["received"] == 10


@pytest.mark.edge_case(
    "E10",
    happens="The console drops in the middle of a sample.",
    does="Opens it again. The sample runs detached in the guest, so that each round-trip time is there.",
)
def test_E10_a_drop_in_the_middle_of_the_sample_loses_nothing(check):
    run = check("drop", args=("--kv-sample-duration", "60s"))
    run.result.assert_outcomes(passed=1)
    assert run.only["transmitted"] == run.only["received"] == len(run.only["samplesNanoSec"]) == 600
    assert max(run.consoles().values()) > 1


@pytest.mark.edge_case(
    "E08",
    happens="Somebody opens the console of a guest while it is measured.",
    does="Opens it again, and loses no sample.",
)
def test_E08_an_eviction_is_survived(check):
    run = check("evict", args=("--kv-sample-duration", "40s"))
    run.result.assert_outcomes(passed=1)
    assert run.only["received"] == 400
    assert max(run.consoles().values()) > 1


@pytest.mark.edge_case(
    "E08",
    happens="Somebody opens the same console again and again.",
    does="Gives up with the kind `guest`:",
    says="another client opened the console",
)
def test_E08_somebody_who_keeps_the_console_is_named(check, leftovers):
    run = check("always-evicted")
    run.result.assert_outcomes(errors=1)
    assert run.only["failureKind"] == "guest"
    assert "another client opened the console" in run.only["failureReason"]
    assert leftovers() == []


@pytest.mark.edge_case(
    "E09",
    happens="A load balancer closes the console because it is idle.",
    does="Opens it again, and loses no sample.",
)
def test_E09_an_idle_session_is_opened_again(check):
    run = check("idle", args=("--kv-sample-duration", "40s"))
    run.result.assert_outcomes(passed=1)
    assert run.only["received"] == 400


@pytest.mark.edge_case(
    "E12",
    happens="Kernel messages stand between ping's lines and inside them.",
    does="Reads each reply. No line is misread.",
)
def test_E12_kernel_messages_between_and_inside_lines(check):
    run = check("noise", args=("--kv-sample-duration", "10s"))
    run.result.assert_outcomes(passed=1)
    assert run.only["transmitted"] == run.only["received"] == len(run.only["samplesNanoSec"]) == 100


def test_E14_a_failed_vmi_is_a_cause_at_once(check):
    run = check("code-409")
    run.result.assert_outcomes(errors=1)
    assert run.only["failureKind"] == "provision"
    assert "409" in run.only["failureReason"]


@pytest.mark.edge_case(
    "E14",
    happens="The VMI is gone when its console is opened.",
    does="Fails at once with the kind `provision`:",
    says="VMI … is gone: its console answers 404",
)
def test_E14_a_vmi_that_the_console_does_not_know_is_a_cause_at_once(check, leftovers):
    run = check("code-404")
    run.result.assert_outcomes(errors=1)
    assert run.only["failureKind"] == "provision"
    assert re.search(
        r"VMI default/latency-check-\S+ is gone: its console answers 404", run.only["failureReason"]
    )
    assert max(run.consoles().values()) == 1
    assert leftovers() == []


@pytest.mark.edge_case(
    "E15",
    happens="The guest never prints anything.",
    does="Fails with the kind `guest`:",
    says="printed nothing",
)
def test_E15_a_silent_guest_is_a_cause_within_the_timeout(check):
    run = check("silent", args=("--kv-timeout", "12s"))
    run.result.assert_outcomes(errors=1)
    assert run.only["failureKind"] == "guest"
    assert "printed nothing" in run.only["failureReason"]


@pytest.mark.edge_case(
    "E15",
    happens="The guest refuses the login.",
    does="Fails with the kind `guest`, and shows the end of the console:",
    says="refuses the login of 'root'",
)
def test_E15_a_refused_login_shows_the_end_of_the_transcript(check):
    run = check("refused")
    run.result.assert_outcomes(errors=1)
    assert run.only["failureKind"] == "guest"
    assert "refuses the login of 'root'" in run.only["failureReason"]
    assert "Login incorrect" in run.stdout
