"""What iputils says no word of, or words as if it were the guest's own: whose fault it is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from guestfakes import FakeShell

from pytest_kvlatency.console.shell import CommandResult
from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.engine.measuring import Measurer
from pytest_kvlatency.errors import CheckupTimeoutError, ConfigError, GuestError
from pytest_kvlatency.guest.address import GuestAddress
from pytest_kvlatency.kube.apierrors import ApiUnavailableError
from pytest_kvlatency.model import Check, GuestFacts, NadRef, NodePair, PingParameters
from pytest_kvlatency.ping.command import Dialect

RECORDED = Path(__file__).parents[1] / "data" / "ping"
SOURCE, TARGET = "198.18.0.1", "198.18.0.2"
NO_ANSWER = ApiUnavailableError("no answer", status=503, api_reason="", message="")


class SilentApi:
    def get_state(self, handle, deadline):
        raise NO_ANSWER


def guest(name, address, shell=None):
    return SimpleNamespace(
        handle=SimpleNamespace(name=name, uid="", __str__=lambda: name),
        nad=SimpleNamespace(binding="bridge"),
        has_used_address=False,
        shell=shell,
        address=GuestAddress(interface="eth0", mac="02:00:00:00:00:01", address=address, mtu=1500),
        dialect=Dialect.IPUTILS,
        facts=GuestFacts(vmi_name=name, namespace="ns", node="worker1", address=address),
        create_seconds=0.0,
        running_seconds=0.0,
        login_seconds=0.0,
        node="worker1",
    )


def said(how_far, *, during="", phase=""):
    pass


def measured(recording, shell, **parameters):
    text = (RECORDED / f"{recording}.txt").read_text(encoding="utf-8")
    shell.answers[r"read k <"] = CommandResult(output=text, exit_status=0)
    check = Check(
        nad=NadRef(namespace="ns", name="blue"),
        pair=NodePair(source="worker1", target="worker2"),
        ping=PingParameters(warmup=0, sample_duration_ns=500_000_000, **parameters),
    )
    return Measurer(SilentApi(), mover=None).measure(
        check, guest("source", SOURCE, shell), guest("target", TARGET), Deadline(60), said, look_again=()
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


@pytest.mark.parametrize("error", [CheckupTimeoutError("timed out after 5m"), NO_ANSWER])
def test_E31_a_source_that_cannot_be_asked_changes_no_loss(error):
    def fail(command):
        raise error

    shell = FakeShell(addresses=[f"{SOURCE}/24"], answers={"ip -o link": fail})
    result = measured("iputils-20221126-address-removed", shell)
    assert [failure.kind for failure in result.failures] == ["loss"]


@pytest.mark.parametrize(
    ("recording", "note"),
    [
        ("iputils-20221126-path-found", True),
        ("iputils-20221126-path-known", True),
        # Says no MTU any more.
        ("iputils-20250605-path-known", False),
    ],
)
def test_E27_a_path_that_is_too_narrow_is_the_networks_fault_when_the_kernel_knows_it_already_too(
    recording, note
):
    """Recorded from a second run: the kernel remembers what the network told it, and refuses by itself."""
    shell = FakeShell(
        addresses=[f"{SOURCE}/24"],
        answers={"ip neigh": CommandResult(output=f"{TARGET} lladdr 02:00:00:00:00:02", exit_status=0)},
    )
    result = measured(recording, shell, packet_size=1400, dont_fragment=True)
    (failure,) = result.failures
    assert failure.kind == "connectivity"
    assert "of 1400 bytes that must not be fragmented (ARP is answered, but ICMP is not)" in failure.reason
    said = "the network's path carries packets of at most 1000 bytes in one piece"
    assert (said in result.notes) == note


def test_E27_what_the_own_interface_does_not_carry_is_a_config_error():
    """As where something made its MTU smaller since it was looked at."""
    with pytest.raises(ConfigError, match=r"longer than the MTU of the guest's own interface \(1000 bytes\)"):
        measured("iputils-20221126-path-known", FakeShell(), packet_size=1600)
