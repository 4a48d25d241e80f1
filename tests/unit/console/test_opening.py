"""Which refusals of a console are waited for, and which are causes."""

import errno
from dataclasses import replace

import pytest
from consolefakes import ScriptedTransport, State

from pytest_kvlatency.console import opening
from pytest_kvlatency.console.opening import open_console
from pytest_kvlatency.console.outcomes import ConsoleRefused, ConsoleUnreachable
from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.errors import (
    CheckupTimeoutError,
    ConfigError,
    GuestError,
    PermissionDeniedError,
    ProvisionError,
)
from pytest_kvlatency.kube import reach as reaching
from pytest_kvlatency.kube.reach import Reach
from pytest_kvlatency.model import ConsoleEndpoint, ServerEndpoint

URL = "wss://host:6443/prefix/apis/subresources.kubevirt.io/v1/namespaces/checks/virtualmachineinstances/g0/console"
NOT_RUNNING = ConsoleRefused(status=400, message="VMI is not running")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(opening, "PAUSES", replace(opening.PAUSES, first=0.001))


RUNNING = State()


def opened(*answers, state=RUNNING, seconds=60.0, reach=None):
    left = list(answers)
    endpoints = []

    def endpoint():
        endpoints.append(
            ConsoleEndpoint(
                server=ServerEndpoint(url=URL), headers={"Authorization": f"Bearer {len(endpoints)}"}
            )
        )
        return endpoints[-1]

    def connect(target, deadline):
        answer = left.pop(0) if len(left) > 1 or not isinstance(left[0], Exception) else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    probe = state if callable(state) else lambda: state
    transport = open_console(endpoint, probe, reach or Reach(), Deadline(seconds), connect=connect)
    return transport, endpoints


def test_E14_a_vmi_on_its_way_is_waited_for():
    phases = ["", "Scheduling", "Scheduled", "Running"]
    ready = ScriptedTransport()
    transport, endpoints = opened(
        NOT_RUNNING, NOT_RUNNING, NOT_RUNNING, ready, state=lambda: State(phase=phases.pop(0))
    )
    assert transport is ready
    assert len(endpoints) == 4


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_E14_E62_a_passing_failure_is_tried_again(status):
    ready = ScriptedTransport()
    assert opened(ConsoleRefused(status=status), ConsoleUnreachable("reset"), ready)[0] is ready


@pytest.mark.parametrize(
    ("refusal", "state", "error", "words"),
    [
        (NOT_RUNNING, None, ProvisionError, "checks/g0 is gone"),
        (NOT_RUNNING, State(phase="Succeeded"), ProvisionError, "was powered off"),
        (NOT_RUNNING, State(phase="Failed"), ProvisionError, "failed"),
        (NOT_RUNNING, State(deleting=True), ProvisionError, "is being deleted"),
        (
            ConsoleRefused(status=400, message="No serial consoles are present."),
            State(),
            GuestError,
            "has no serial console",
        ),
        (
            ConsoleRefused(status=404, message="404 page not found", is_route_missing=True),
            State(),
            ProvisionError,
            "does not serve the console API",
        ),
        (
            ConsoleRefused(status=404, message='virtualmachineinstance "g0" not found'),
            State(),
            ProvisionError,
            "checks/g0 is gone",
        ),
        (
            ConsoleRefused(status=409, message="VMI is in failed status"),
            State(),
            ProvisionError,
            "failed status",
        ),
        (ConsoleRefused(status=418), State(), ProvisionError, "cannot open the console: 418"),
        (ConsoleUnreachable("no such proxy", permanent=True), State(), ConfigError, "no such proxy"),
        (ConsoleRefused(status=500), None, ProvisionError, "is gone"),
    ],
    ids=str,
)
def test_E14_what_waiting_cannot_mend_is_a_cause_at_once(refusal, state, error, words):
    with pytest.raises(error, match=words):
        opened(refusal, state=state)


def test_E54_a_denied_console_names_verb_resource_namespace_and_rule():
    with pytest.raises(PermissionDeniedError) as caught:
        opened(ConsoleRefused(status=403, message="no"))
    for word in ("get", "virtualmachineinstances/console", "subresources.kubevirt.io", "namespace checks"):
        assert word in caught.value.reason
    assert "resources:" in caught.value.hint


DENIALS = [
    ConsoleRefused(status=401, message="Unauthorized"),
    ConsoleRefused(status=403, message="RBAC is not known yet"),
    ConsoleRefused(status=404, message="404 page not found", is_route_missing=True),
]


@pytest.mark.parametrize("denial", DENIALS, ids=["401", "403", "404"])
@pytest.mark.parametrize(
    "trouble", [ConsoleUnreachable("refused"), ConsoleRefused(status=503)], ids=["refused", "503"]
)
def test_E62_a_console_that_a_restarted_server_denies_is_asked_for_again(denial, trouble):
    ready = ScriptedTransport()
    assert opened(trouble, denial, denial, denial, ready)[0] is ready


def test_E62_a_request_that_could_not_reach_the_server_has_its_denial_of_a_console_doubted():
    reach = Reach()
    reach.note_failure()
    ready = ScriptedTransport()
    assert opened(DENIALS[1], ready, reach=reach)[0] is ready


def test_E62_a_denial_that_outlasts_the_servers_start_is_a_cause(monkeypatch):
    monkeypatch.setattr(reaching, "SETTLING_SECONDS", 0.3)
    with pytest.raises(PermissionDeniedError, match="console"):
        opened(ConsoleUnreachable("refused"), DENIALS[1])


def test_E11_an_expired_token_is_renewed_once():
    ready = ScriptedTransport()
    transport, endpoints = opened(ConsoleRefused(status=401), ready)
    assert transport is ready
    assert [one.headers["Authorization"] for one in endpoints] == ["Bearer 0", "Bearer 1"]
    with pytest.raises(PermissionDeniedError, match="401"):
        opened(ConsoleRefused(status=401))


def test_the_time_out_says_what_the_console_answered_last():
    with pytest.raises(CheckupTimeoutError, match="last answer: 503 down"):
        opened(ConsoleRefused(status=503, message="down"), seconds=1.0)


def test_E62_retry_after_is_honoured():
    refusal = ConsoleRefused(status=429, retry_after_seconds=60)
    with pytest.raises(CheckupTimeoutError):
        opened(refusal, ScriptedTransport(), seconds=0.05)


def no_descriptor():
    unreachable = ConsoleUnreachable("no connection to host:6443: Too many open files")
    unreachable.__cause__ = OSError(errno.EMFILE, "Too many open files")
    return unreachable


def test_a_console_waits_until_others_have_closed_theirs():
    there = ScriptedTransport()
    transport, _ = opened(no_descriptor(), no_descriptor(), there)
    assert transport is there


def test_a_console_for_which_no_descriptor_comes_free_has_that_as_its_cause(monkeypatch):
    monkeypatch.setattr(opening, "PATIENCE_SECONDS", 0.05)
    with pytest.raises(
        ConfigError, match=r"too many open files: the limit of this process is \d+ \(ulimit -n\)"
    ):
        opened(no_descriptor())
