"""Addresses go back when their guests are gone, and not a moment before."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.engine.leases import Leases
from pytest_kvlatency.engine.leftovers import Leftovers
from pytest_kvlatency.errors import CheckupTimeoutError, ConfigError, TeardownError
from pytest_kvlatency.kube.state import VmiHandle
from pytest_kvlatency.plan.addresses import AddressPlan


class Vmis:
    """A cluster's record: what is there stays until ``going`` has named it and somebody looks."""

    def __init__(self):
        self.there = []
        self.going = []
        self.looks = 0

    def make(self, name):
        handle = VmiHandle(namespace="default", name=name, uid=name, token=name)
        self.there.append(handle)
        return handle

    def outstanding(self):
        return list(self.there)

    def forget(self, handle):
        self.there.remove(handle)

    def delete_all(self, handles, deadline):
        return {}

    def wait_gone(self, handles, deadline, *, on_gone):
        self.looks += 1
        for one in handles:
            if one.name in self.going:
                self.there.remove(one)
                on_gone(one)
        if any(one in self.there for one in handles):
            deadline.stop.wait(0.01)
            raise TeardownError("not gone")


@pytest.fixture
def vmis():
    return Vmis()


@pytest.fixture
def leftovers(vmis):
    return Leftovers(vmis)


@pytest.fixture
def leases(leftovers):
    plan = AddressPlan(run_id="x", guests=2, subnet=ipaddress.ip_network("192.0.2.0/30"))
    return Leases(plan, leftovers)


def bring_up(leases, vmis, name, *, fails=False):
    """Make a guest of that name; its address."""
    with leases.lease(Deadline(60), lambda _, **__: None) as lease:
        lease.hold(name)
        if not fails:
            vmis.make(name)
        return lease.address


def take(leases, seconds=60.0, say=lambda _, **__: None):
    with leases.lease(Deadline(seconds), say) as lease:
        return lease.address


def test_E91_an_address_whose_guest_never_came_into_being_is_free_at_once(leases, vmis):
    for number in range(9):
        bring_up(leases, vmis, f"vmi-{number}", fails=True)


def test_E91_an_address_whose_guest_is_gone_is_free(leases, vmis, leftovers):
    first, second = bring_up(leases, vmis, "vmi-a"), bring_up(leases, vmis, "vmi-b")
    assert first != second
    leftovers.delete(vmis.there[:1], Deadline(60))
    vmis.going = ["vmi-a"]
    said = []
    with leases.lease(Deadline(60), lambda text, **_: said.append(text)) as lease:
        assert lease.address == first
        assert lease.is_used
    assert said == ["waiting for the address of VMI default/vmi-a, which is being deleted"]
    assert vmis.looks == 1


def test_E91_a_deletion_that_is_about_to_be_asked_for_is_waited_for(leases, vmis, leftovers):
    first = bring_up(leases, vmis, "vmi-a")
    bring_up(leases, vmis, "vmi-b")
    leftovers.doom(vmis.there[:1])
    vmis.going = ["vmi-a"]
    assert take(leases) == first


def test_E91_the_address_of_a_guest_that_may_be_alive_is_never_given_to_another(leases, vmis):
    bring_up(leases, vmis, "vmi-a")
    # Its creation got no answer: it is on record until it was looked for in vain.
    with contextlib.suppress(CheckupTimeoutError), leases.lease(Deadline(60), print) as lease:
        lease.hold("vmi-b")
        vmis.make("vmi-b")
        raise CheckupTimeoutError("no answer")
    with pytest.raises(ConfigError, match=r"no address is left in 192\.0\.2\.0/30"):
        take(leases)
    assert vmis.looks == 0


def test_E91_a_guest_that_is_being_brought_up_keeps_its_address(leases, vmis):
    with leases.lease(Deadline(60), print) as lease:
        bring_up(leases, vmis, "vmi-b")
        with pytest.raises(ConfigError):
            take(leases)
        # Its VMI was refused for its MAC, and is asked for again.
        lease.hold("vmi-a")
        with pytest.raises(ConfigError):
            take(leases)
    assert take(leases) == lease.address


def test_E91_a_guest_that_is_kept_keeps_its_address_and_is_named(leases, vmis, leftovers):
    bring_up(leases, vmis, "vmi-a")
    bring_up(leases, vmis, "vmi-b")
    kept = vmis.there[0]
    leftovers.keep([kept], login="user root, no password")
    # Its check is over: it would be deleted now.
    leftovers.doom([kept])
    with pytest.raises(ConfigError) as caught:
        take(leases)
    assert "These VMIs are kept (--kv-keep) and hold an address each: default/vmi-a" in caught.value.hint


def test_E91_a_guest_that_is_stuck_in_deletion_is_waited_for_within_the_deadline(leases, vmis, leftovers):
    bring_up(leases, vmis, "vmi-a")
    bring_up(leases, vmis, "vmi-b")
    leftovers.delete(vmis.there, Deadline(60))
    with pytest.raises(CheckupTimeoutError, match="waiting for an address for another guest"):
        take(leases, seconds=0.2)


def test_E91_a_guest_that_is_stuck_in_deletion_is_named(leases, vmis, leftovers, monkeypatch):
    monkeypatch.setattr("pytest_kvlatency.engine.leases.LEAVING_SECONDS", 0.1)
    bring_up(leases, vmis, "vmi-a")
    bring_up(leases, vmis, "vmi-b")
    leftovers.delete(vmis.there[:1], Deadline(60))
    with pytest.raises(ConfigError) as caught:
        take(leases)
    assert "and hold an address each: default/vmi-a" in caught.value.hint


def test_E20_an_address_that_a_stranger_has_is_never_used_again(leases, vmis):
    with leases.lease(Deadline(60), print) as lease:
        lease.hold("vmi-a")
        strangers = lease.address
        lease.replace(Deadline(60), print)
        assert lease.address != strangers
        with pytest.raises(ConfigError):
            lease.replace(Deadline(60), print)
    with pytest.raises(ConfigError):
        take(leases)


def test_E91_the_address_that_a_guest_took_instead_is_free_when_it_is_gone(leases, vmis, leftovers):
    with leases.lease(Deadline(60), print) as lease:
        lease.hold("vmi-a")
        vmis.make("vmi-a")
        mine = lease.replace(Deadline(60), print)
    with pytest.raises(ConfigError):
        take(leases)
    leftovers.delete(vmis.there, Deadline(60))
    vmis.going = ["vmi-a"]
    assert take(leases) == mine
