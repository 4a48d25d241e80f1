"""A guest's address on the network under test: seen in the guest, configured where cloud-init did not, probed."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.deadline import Backoff, Deadline
from pytest_kvlatency.errors import GuestError
from pytest_kvlatency.guest import duplicates, iproute

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Interface, IPv6Interface

    from pytest_kvlatency.console.shell import Shell

#: How long cloud-init may still take once the login is there.
GRACE_SECONDS: Final = 3.0
LEASE_SECONDS: Final = 20.0
#: Duplicate address detection takes about a second; a kernel that found a duplicate leaves the address tentative.
DAD_SECONDS: Final = 6.0
_ASK_AFTER_SECONDS: Final = 5.0
PAUSES: Final = Backoff(first=0.1, longest=1.0)
#: How DHCP clients say which address they were given: udhcpc, dhclient, dhcpcd.
_LEASED: Final = re.compile(r"(?:lease of|bound to|leased) (?P<address>[0-9.]+[0-9])")
_LOOK: Final = "ip -o link; ip -o addr"
_LOOKING: Final = "reading the interfaces"
#: What else prints on the console meanwhile may tear the one line that matters.
_LOOKS: Final = 4


@dataclass(frozen=True, kw_only=True)
class GuestAddress:
    """Where the guest is on the network: ``address`` without prefix length, ``notes`` on what had to be fixed."""

    interface: str
    mac: str
    address: str
    mtu: int
    notes: tuple[str, ...] = ()


class Taken(Exception):  # noqa: N818 - an outcome: the caller tries another address
    """Another machine answers for the address; the guest no longer has it."""

    def __init__(self, address: str) -> None:
        super().__init__(f"{address} is already in use on this network")
        self.address = address


@dataclass(frozen=True, kw_only=True)
class _View:
    link: iproute.Link
    addresses: tuple[iproute.Address, ...]
    notes: tuple[str, ...]

    def has(self, wanted: IPv4Interface | IPv6Interface) -> bool:
        return any(one.value == wanted for one in self.addresses)


def settle(
    shell: Shell,
    mac: str,
    wanted: IPv4Interface | IPv6Interface | None,
    *,
    deadline: Deadline,
    grace_seconds: float = GRACE_SECONDS,
) -> GuestAddress:
    """Make sure that the guest has ``wanted`` on the interface with ``mac``, and nobody else has; None: by DHCP.

    ``grace_seconds`` is how long cloud-init may still take to configure it; 0: it is not cloud-init's to do.
    Raises ``Taken``, after removing the address, when another machine answers for it; ``GuestError`` when there is no
    such interface, no lease within 20 s, or the guest does not take the address.
    """
    if wanted is None:
        return _await_lease(shell, mac, deadline)
    view = _await(shell, mac, wanted, deadline, grace_seconds)
    notes = list(view.notes)
    if not view.has(wanted):
        root = shell.profile.become_root
        name = view.link.name
        said = shell.run(
            f"{root}ip link set dev {name} up; {root}ip addr add {wanted} dev {name}",
            purpose=f"configuring {wanted}",
            deadline=deadline,
        )
        view = _await(shell, mac, wanted, deadline, 0.0)
        if not view.has(wanted):
            raise GuestError(
                f"the guest of VMI {shell.name} does not accept the address {wanted} on {name}: {said.output}",
                summary="a guest does not accept its address",
                transcript=shell.transcript_end,
            )
        if grace_seconds:
            notes.append(f"cloud-init did not configure {name}: configured it over the console")
    if wanted.version == 4:
        is_taken, doubt = duplicates.is_answered(
            partial(shell.run, purpose=f"checking whether {wanted.ip} is already in use", deadline=deadline),
            view.link.name,
            str(wanted.ip),
            become_root=shell.profile.become_root,
        )
        notes += [doubt] if doubt else []
    else:
        is_taken = _is_duplicate(shell, mac, wanted, deadline)
    if is_taken:
        root = shell.profile.become_root
        shell.run(
            f"{root}ip addr del {wanted} dev {view.link.name}",
            purpose=f"removing {wanted}",
            deadline=deadline,
        )
        raise Taken(str(wanted.ip))
    return _result(view, str(wanted.ip), notes)


def loss_of(settled: GuestAddress, shell: Shell, deadline: Deadline) -> str:
    """What the guest has lost since its address was settled, in words; empty when nothing, or when that is not known.

    Something in the guest may take the address away: NetworkManager does from an interface whose DHCP had no answer.
    """
    lost = ""
    for _ in range(_LOOKS):
        output = shell.run(_LOOK, purpose=_LOOKING, deadline=deadline).output
        links, addresses = iproute.links(output), iproute.addresses(output)
        if any(link.name == settled.interface and not link.is_up for link in links):
            lost = f"{settled.interface} is down"
        elif addresses and not any(one.value.ip == ip_address(settled.address) for one in addresses):
            lost = f"{settled.interface} has lost the address {settled.address}"
        else:
            return ""
    return lost


def _look(shell: Shell, mac: str, deadline: Deadline) -> _View:
    """Look at the interface with ``mac``, or, where that was changed, at the only one it can be (E23)."""
    for _ in range(_LOOKS):
        output = shell.run(_LOOK, purpose=_LOOKING, deadline=deadline).output
        cards = [link for link in iproute.links(output) if not link.is_loopback and link.mac]
        if cards:
            break
    chosen = [link for link in cards if link.mac == mac.lower()]
    notes: tuple[str, ...] = ()
    if not chosen and len(cards) == 1:
        chosen = cards
        notes = (f"no interface has the MAC {mac}: using {cards[0].name}, which has {cards[0].mac}",)
    if not chosen:
        seen = ", ".join(f"{link.name} ({link.mac})" for link in cards) or "none at all"
        raise GuestError(
            f"the guest of VMI {shell.name} has no interface with the MAC {mac}; it has {seen}",
            summary="a guest has no interface for the network",
            hint="the image may lack the driver for the interface, or something changed its MAC",
            transcript=shell.transcript_end,
        )
    name = chosen[0].name
    found = tuple(one for one in iproute.addresses(output) if one.interface == name)
    return _View(link=chosen[0], addresses=found, notes=notes)


def _await(
    shell: Shell, mac: str, wanted: IPv4Interface | IPv6Interface, deadline: Deadline, seconds: float
) -> _View:
    """Look until the address is there, for at most ``seconds``; the last view."""
    until, pauses = time.monotonic() + seconds, iter(PAUSES)
    while True:
        view = _look(shell, mac, deadline)
        # cloud-init matches by MAC: where that was changed there is nothing to wait for.
        if (view.has(wanted) and view.link.is_up) or view.notes or time.monotonic() >= until:
            return view
        deadline.pause(next(pauses), f"cloud-init to configure {wanted} on VMI {shell.name}")


def _is_duplicate(shell: Shell, mac: str, wanted: IPv4Interface | IPv6Interface, deadline: Deadline) -> bool:
    """Wait for the kernel's duplicate address detection (E26); whether it found one."""
    until, pauses = time.monotonic() + DAD_SECONDS, iter(PAUSES)
    while True:
        own = [one for one in _look(shell, mac, deadline).addresses if one.value == wanted]
        # An address that vanished was taken away by a kernel that found a duplicate.
        if not own or own[0].duplicate:
            return True
        if not own[0].tentative:
            return False
        if time.monotonic() >= until:
            return True
        deadline.pause(next(pauses), f"duplicate address detection of {wanted} on VMI {shell.name}")


def _await_lease(shell: Shell, mac: str, deadline: Deadline) -> GuestAddress:
    """Wait for the address that DHCP gives. An idle guest is made to ask after 5 s, and looked at again."""
    started, pauses = time.monotonic(), iter(PAUSES)
    notes: list[str] = []
    while True:
        view = _look(shell, mac, deadline)
        leased = [one for one in view.addresses if one.value.version == 4 and not one.is_link_local]
        if leased:
            return _result(view, str(leased[0].value.ip), [*view.notes, *notes])
        waited = time.monotonic() - started
        if waited >= _ASK_AFTER_SECONDS and not notes:
            name, root = view.link.name, shell.profile.become_root
            shell.run(
                f"{root}ip link set dev {name} up; (trap '' HUP INT; {{ {root}udhcpc -i {name} -n -q -t 8 "
                f"|| {root}dhclient -1 {name}; }} >/dev/null 2>&1 </dev/null &)",
                purpose="requesting a lease",
                deadline=deadline,
            )
            notes.append(f"nothing requested a lease on {name}: requested one over the console")
        elif waited >= LEASE_SECONDS:
            raise _unleased(shell, view.link.name, deadline)
        deadline.pause(next(pauses), f"a lease on VMI {shell.name}")


def _unleased(shell: Shell, interface: str, deadline: Deadline) -> GuestError:
    """Why there is no address: DHCP was not answered, or the guest did nothing with the answer."""
    root = shell.profile.become_root
    said = shell.run(
        f"{root}udhcpc -i {interface} -n -q -t 3 -T 1 2>&1 || timeout 5 {root}dhclient -1 -v {interface} 2>&1",
        purpose="requesting a lease once more",
        deadline=deadline,
    ).output
    leased = _LEASED.search(said)
    if leased is not None:
        return GuestError(
            f"the guest of VMI {shell.name} got {leased['address']} by DHCP on {interface}, but did not "
            f"configure it within {LEASE_SECONDS:.0f} s",
            summary="a guest got an address by DHCP, but did not configure it",
            hint="its DHCP client may lack the script that configures the interface (udhcpc's default.script): "
            "choose another image with --kv-image or --kv-guest",
            transcript=shell.transcript_end,
        )
    return GuestError(
        f"the guest of VMI {shell.name} got no lease on {interface} within {LEASE_SECONDS:.0f} s",
        summary="a guest got no lease by DHCP",
        hint="the NAD has IPAM, so KubeVirt should answer DHCP on this interface: check that the CNI gave "
        "the pod an address",
        transcript=shell.transcript_end,
    )


def _result(view: _View, address: str, notes: Sequence[str]) -> GuestAddress:
    return GuestAddress(
        interface=view.link.name,
        mac=view.link.mac,
        address=address,
        mtu=view.link.mtu,
        notes=tuple(notes),
    )
