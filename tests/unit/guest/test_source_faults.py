"""What iputils says no word of, or words as if it were the guest's own: whose fault it is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from guestfakes import FakeShell

from pytest_kvlatency.console.shell import CommandResult
from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.engine.measuring import Measurer
from pytest_kvlatency.errors import CheckupTimeoutError, GuestError
from pytest_kvlatency.guest.address import GuestAddress
from pytest_kvlatency.kube.errors import ApiUnavailableError
from pytest_kvlatency.model import Check, GuestFacts, NadRef, NodePair, PingParameters
from pytest_kvlatency.ping import Dialect

RECORDED = Path(__file__).parents[1] / "data" / "ping"
SOURCE, TARGET = "198.18.0.1", "198.18.0.2"


class SilentApi:
    def get_state(self, handle, deadline):
        raise ApiUnavailableError("no answer", status=503, api_reason="", message="")


def guest(name, address, shell=None):
    return SimpleNamespace(
        handle=SimpleNamespace(name=name, uid="", __str__=lambda: name),
        nad=SimpleNamespace(binding="bridge"),
        shell=shell,
        address=GuestAddress(interface="eth0", mac="02:00:00:00:00:01", address=address, mtu=1500),
        dialect=Dialect.IPUTILS,
        facts=GuestFacts(vmi_name=name, namespace="ns", node="worker1", address=address),
        create_seconds=0.0,
        running_seconds=0.0,
        login_seconds=0.0,
        node="worker1",
    )


def measured(recording, shell, **parameters):
    text = (RECORDED / f"{recording}.txt").read_text(encoding="utf-8")
    shell.answers[r"read k <"] = CommandResult(output=text, exit_status=0)
    check = Check(
        nad=NadRef(namespace="ns", name="blue"),
        pair=NodePair(source="worker1", target="worker2"),
        ping=PingParameters(warmup=0, sample_duration_ns=500_000_000, **parameters),
    )
    return Measurer(SilentApi()).measure(
        check, guest("source", SOURCE, shell), guest("target", TARGET), Deadline(60), print, look_again=()
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"addresses": ["198.18.0.9/24"]}, "eth0 has lost the address 198.18.0.1"),
        ({"is_up": False, "addresses": [f"{SOURCE}/24"]}, "eth0 is down"),
    ],
)
def test_E38_a_source_that_lost_its_address_is_no_loss_of_the_networks(change, words):
    """Recorded while the address was taken away: iputils counts on, and says nothing of what it could not send."""
    with pytest.raises(
        GuestError, match=f"were lost, and its guest has changed since it was set up: {words}"
    ):
        measured("iputils-20221126-address-removed", FakeShell(**change))


def test_E31_a_loss_of_a_source_that_is_as_it_was_is_the_networks():
    result = measured("iputils-20221126-address-removed", FakeShell(addresses=[f"{SOURCE}/24"]))
    assert [failure.kind for failure in result.failures] == ["loss"]


def test_E31_a_source_that_cannot_be_asked_changes_no_loss():
    def fail(command):
        raise CheckupTimeoutError("timed out after 5m")

    shell = FakeShell(addresses=[f"{SOURCE}/24"], answers={"ip -o link": fail})
    result = measured("iputils-20221126-address-removed", shell)
    assert [failure.kind for failure in result.failures] == ["loss"]
