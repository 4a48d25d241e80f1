from ipaddress import ip_interface

import pytest
from guestfakes import LINK, FakeShell

from pytest_kvlatency.console.login import LoginProfile
from pytest_kvlatency.console.shell import CommandResult
from pytest_kvlatency.deadline import Backoff, Deadline, Stop
from pytest_kvlatency.errors import GuestError, InterruptedRunError
from pytest_kvlatency.guest import address as module
from pytest_kvlatency.guest.address import Taken, loss_of, settle

MAC = "02:00:00:00:00:01"
V4 = ip_interface("198.18.0.7/24")
V6 = ip_interface("fd00::7/64")


@pytest.fixture(autouse=True)
def _short_times(monkeypatch):
    monkeypatch.setattr(module, "PAUSES", Backoff(first=0.001, longest=0.001))


def settled(shell, wanted=V4, *, mac=MAC, grace_seconds=5.0):
    return settle(shell, mac, wanted, deadline=Deadline(60), grace_seconds=grace_seconds)


def test_what_cloud_init_configured_is_seen_and_taken():
    found = settled(FakeShell(addresses=["198.18.0.7/24"], mtu=1400))
    assert (found.interface, found.mac, found.address, found.mtu, found.notes) == (
        "eth0",
        MAC,
        "198.18.0.7",
        1400,
        (),
    )


def test_E12_an_interface_whose_line_was_torn_is_looked_for_again():
    guest = FakeShell(mac="02:00:00:00:00", addresses=["198.18.0.7/24"])
    guest.later = {2: lambda one: setattr(one, "mac", MAC)}
    assert settled(guest).notes == ()


def test_E23_cloud_init_may_take_its_time():
    shell = FakeShell(later={3: lambda guest: guest.addresses.append("198.18.0.7/24")})
    assert settled(shell).notes == ()


def test_E20_an_address_that_is_not_cloud_inits_to_configure_is_no_fault_of_its():
    assert settled(FakeShell(), grace_seconds=0.0).notes == ()


def test_E23_an_interface_that_was_not_configured_is_configured_and_noted():
    shell = FakeShell(is_up=False, profile=LoginProfile(become_root="sudo "))
    found = settled(shell, grace_seconds=0.01)
    assert found.address == "198.18.0.7"
    assert "cloud-init did not configure eth0" in found.notes[0]
    assert "sudo ip link set dev eth0 up; sudo ip addr add 198.18.0.7/24 dev eth0" in shell.commands


def test_E23_E71_the_only_interface_is_taken_when_its_mac_was_changed():
    found = settled(FakeShell(mac="06:00:00:00:00:09"))
    assert found.mac == "06:00:00:00:00:09"
    assert f"no interface has the MAC {MAC}" in found.notes[0]


def test_E23_among_several_unknown_interfaces_none_is_guessed():
    other = LINK.format(name="eth1", up=",UP", mtu=1500, mac="06:00:00:00:00:0a")
    with pytest.raises(GuestError, match=r"no interface with the MAC .* it has eth0 \(06.*eth1 \(06"):
        settled(FakeShell(mac="06:00:00:00:00:09", extra_links=(other,)))


def test_a_guest_that_refuses_the_address_is_a_cause():
    with pytest.raises(GuestError, match="does not accept the address"):
        settled(FakeShell(takes_addresses=False), grace_seconds=0.0)


@pytest.mark.parametrize("status", [0, 124, 143])
def test_E20_an_address_that_nobody_answers_for_is_used(status):
    shell = FakeShell(addresses=["198.18.0.7/24"], arping_status=(status, 99))
    assert settled(shell).notes == ()


@pytest.mark.parametrize("first", [1, 2, 127])
def test_E20_an_address_that_a_stranger_answers_for_is_given_up(first):
    shell = FakeShell(addresses=["198.18.0.7/24"], arping_status=(first, 1))
    with pytest.raises(Taken, match=r"198\.18\.0\.7 is already in use"):
        settled(shell)
    assert shell.addresses == []


def test_E20_an_odd_timeout_program_is_not_taken_for_an_answer():
    assert settled(FakeShell(addresses=["198.18.0.7/24"], arping_status=(1, 0))).notes == ()


def habets(command):
    """Recorded from arping 2.23: without an option that it refuses, it says 1 when nobody answers, and 0 otherwise."""
    if " -f " in command:
        said = (
            "arping: invalid option -- 'f'\nARPing 2.23, by Thomas Habets <thomas@habets.se>\nusage: arping"
        )
        return CommandResult(output="" if "/dev/null" in command else said, exit_status=1)
    return CommandResult(output="", exit_status=124 if "timeout" in command else 1)


def test_E20_an_arping_of_another_kind_is_not_taken_at_its_word():
    (note,) = settled(FakeShell(addresses=["198.18.0.7/24"], answers={"arping": habets})).notes
    assert note.startswith(
        "could not check whether 198.18.0.7 is already in use: arping: invalid option -- 'f'"
    )


def test_E20_without_arping_the_address_is_used_with_a_note():
    shell = FakeShell(
        addresses=["198.18.0.7/24"], arping_status=(127, 127), arping_output="sh: arping: not found"
    )
    assert settled(shell).notes == (
        "could not check whether 198.18.0.7 is already in use: sh: arping: not found",
    )


def test_E26_duplicate_address_detection_is_waited_for():
    shell = FakeShell(addresses=["fd00::7/64"], flags="tentative")
    shell.later = {4: lambda guest: setattr(guest, "flags", "")}
    assert settled(shell, V6).address == "fd00::7"


@pytest.mark.parametrize(
    "befalls",
    [lambda guest: setattr(guest, "flags", "tentative dadfailed"), lambda guest: guest.addresses.clear()],
    ids=["dadfailed", "removed"],
)
def test_E26_a_duplicate_is_given_up(befalls):
    shell = FakeShell(addresses=["fd00::7/64"], flags="tentative", later={3: befalls})
    with pytest.raises(Taken):
        settled(shell, V6)
    assert shell.addresses == []


def test_E26_an_address_that_stays_tentative_is_a_duplicate(monkeypatch):
    monkeypatch.setattr(module, "DAD_SECONDS", 0.01)
    with pytest.raises(Taken):
        settled(FakeShell(addresses=["fd00::7/64"], flags="tentative"), V6)


def test_E21_the_lease_is_what_the_guest_really_has():
    shell = FakeShell(later={3: lambda guest: guest.addresses.extend(["fe80::1/64", "10.1.2.3/16"])})
    assert settled(shell, None).address == "10.1.2.3"


def test_E21_no_lease_is_a_cause_after_the_guest_was_made_to_ask(monkeypatch):
    # However late the first look is: the guest is made to ask before it is given up.
    monkeypatch.setattr(module, "LEASE_SECONDS", 0.0)
    monkeypatch.setattr(module, "_ASK_AFTER_SECONDS", 0.0)
    shell = FakeShell()
    with pytest.raises(GuestError, match="got no lease"):
        settled(shell, None)
    assert sum("trap" in command for command in shell.commands) == 1


@pytest.mark.parametrize(
    "said",
    [
        "udhcpc: lease of 10.1.2.3 obtained from 10.1.2.1, lease time 86313600",
        "udhcpc: not found\nbound to 10.1.2.3 -- renewal in 43200 seconds.",
    ],
)
def test_E21_a_lease_that_the_guest_does_not_apply_is_the_guests_fault(monkeypatch, said):
    monkeypatch.setattr(module, "LEASE_SECONDS", 0.05)
    shell = FakeShell(answers={"udhcpc": CommandResult(output=said, exit_status=0)})
    with pytest.raises(GuestError, match=r"got 10\.1\.2\.3 by DHCP on eth0, but did not configure it"):
        settled(shell, None)


def test_E59_a_stop_ends_the_wait():
    stop = Stop()
    stop.set("SIGTERM")
    with pytest.raises(InterruptedRunError):
        settle(FakeShell(), MAC, V4, deadline=Deadline(60, stop=stop))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"addresses": ["198.18.0.9/24"]}, "eth0 has lost the address 198.18.0.7"),
        ({"is_up": False}, "eth0 is down"),
        # It does not answer as iproute2 does: nothing can be told.
        ({"addresses": []}, ""),
    ],
)
def test_what_a_guest_has_lost_since(change, words):
    guest = FakeShell(addresses=["198.18.0.7/24"])
    before = settled(guest)
    for name, value in change.items():
        setattr(guest, name, value)
    assert loss_of(before, guest, Deadline(60)) == words


def test_E12_a_line_that_a_kernel_message_tore_is_no_loss():
    guest = FakeShell(addresses=["198.18.0.7/24", "198.18.0.8/24"])
    before = settled(guest)
    torn = guest.looks + 1
    guest.addresses = ["198.18.0.8/24"]
    guest.later = {torn + 1: lambda one: one.addresses.append("198.18.0.7/24")}
    assert loss_of(before, guest, Deadline(60)) == ""
