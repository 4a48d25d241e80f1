"""What was created goes, whenever the end comes; the VMIs themselves are a record of what was asked."""

from __future__ import annotations

import contextlib
import threading

import pytest

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.engine.leftovers import Leftovers
from pytest_kvlatency.errors import ProvisionError, TeardownError
from pytest_kvlatency.kube.apierrors import ApiUnavailableError
from pytest_kvlatency.kube.state import VmiHandle

ONE, TWO, THREE = (VmiHandle(namespace="default", name=f"vmi-{word}", uid=word) for word in ("a", "b", "c"))


class Vmis:
    """VMIs that go when they are asked to, unless they are stuck or the request is refused."""

    def __init__(self, *handles):
        self.there = list(handles)
        self.asked = []
        self.unmigrated = []
        self.stuck = set()
        self.refused = set()
        self.gone_by_itself = set()
        self.why = ProvisionError("403")

    def outstanding(self):
        return list(self.there)

    def forget(self, handle):
        self.there.remove(handle)

    def delete_all(self, handles, deadline):
        self.asked += handles
        return {one: self.why for one in handles if one in self.refused}

    def remove_migration(self, handle, deadline):
        self.unmigrated.append(handle)

    def wait_gone(self, handles, deadline, *, on_gone):
        left = [one for one in handles if one in self.stuck | self.refused - self.gone_by_itself]
        for one in handles:
            if one not in left and one in self.there:
                self.there.remove(one)
                on_gone(one)
        if left:
            raise TeardownError(f"{', '.join(map(str, left))} not gone")


@contextlib.contextmanager
def under_way(context, last=lambda: None):
    """Let another thread be in a context: until the event that this gives is set, and ``last`` is done."""
    began, go_on = threading.Event(), threading.Event()

    def work():
        with context:
            began.set()
            go_on.wait(60)
            last()

    thread = threading.Thread(target=work)
    thread.start()
    assert began.wait(60)
    try:
        yield go_on
    finally:
        go_on.set()
        thread.join(60)


@pytest.fixture
def vmis():
    return Vmis(ONE, TWO, THREE)


@pytest.fixture
def leftovers(vmis):
    return Leftovers(vmis)


def test_each_is_asked_to_go_once_and_its_going_is_timed(vmis, leftovers):
    leftovers.delete([ONE], Deadline(60))
    leftovers.delete([ONE, TWO], Deadline(60))
    leftovers.close(Deadline(60))
    assert vmis.asked == [ONE, TWO, THREE]
    assert leftovers.delete_seconds(ONE.name) is None
    leftovers.wait_gone(Deadline(60))
    assert leftovers.is_clean
    assert leftovers.delete_seconds(ONE.name) >= 0


def test_what_is_being_deleted_is_not_kept_and_not_said_to_be(vmis, leftovers):
    leftovers.delete([ONE], Deadline(60))
    leftovers.doom([TWO])
    leftovers.keep([ONE, TWO, THREE], login="user root, no password")
    assert leftovers.kept == (THREE,)
    assert [line.split(":")[1] for line in leftovers.kept_lines()] == [f" kept VMI {THREE}"]
    leftovers.close(Deadline(60))
    leftovers.wait_gone(Deadline(60))
    assert vmis.asked == [ONE, TWO]
    assert leftovers.is_clean


def test_what_is_kept_is_neither_deleted_nor_outstanding(vmis, leftovers):
    leftovers.keep([TWO], login="user root, no password")
    leftovers.delete([ONE, TWO, THREE], Deadline(60))
    leftovers.wait_gone(Deadline(60))
    assert vmis.asked == [ONE, THREE]
    assert leftovers.kept == (TWO,)
    assert "(user root, no password; " in leftovers.kept_lines()[0]
    assert leftovers.is_kept(TWO)
    assert not leftovers.is_kept(ONE)
    assert leftovers.is_clean


def test_one_that_stays_is_named_once(vmis, leftovers):
    vmis.stuck = {TWO}
    leftovers.close(Deadline(60))
    with pytest.raises(TeardownError, match="vmi-b not gone"):
        leftovers.wait_gone(Deadline(60))
    leftovers.wait_gone(Deadline(60))
    assert leftovers.outstanding == (TWO,)
    assert not leftovers.is_clean


def test_one_whose_deletion_was_refused_is_asked_for_again_and_named(vmis, leftovers):
    vmis.refused = {ONE}
    leftovers.delete([ONE], Deadline(60))
    leftovers.delete([ONE], Deadline(60))
    assert vmis.asked == [ONE, ONE]
    with pytest.raises(TeardownError, match=r"could not delete VMI .*vmi-a: 403"):
        leftovers.wait_gone(Deadline(60))


def test_a_refused_deletion_is_withdrawn_once_another_request_is_accepted(vmis, leftovers):
    vmis.refused = {ONE}
    leftovers.delete([ONE], Deadline(60))
    vmis.refused, vmis.stuck = set(), {ONE}
    leftovers.close(Deadline(60))
    with pytest.raises(TeardownError) as caught:
        leftovers.wait_gone(Deadline(60))
    assert caught.value.reason == "default/vmi-a not gone"


def test_a_refused_deletion_is_withdrawn_when_its_vmi_is_gone_all_the_same(vmis, leftovers):
    vmis.refused = vmis.gone_by_itself = {ONE}
    leftovers.close(Deadline(60))
    leftovers.wait_gone(Deadline(60))
    assert leftovers.is_clean


def test_nothing_is_created_once_it_is_closed(leftovers):
    leftovers.close(Deadline(60))
    with (
        pytest.raises(TeardownError, match="cannot create a VMI after clean-up has started"),
        leftovers.creating(Deadline(60)),
    ):
        pass


def test_what_was_just_being_created_is_deleted_too(vmis, leftovers):
    vmis.there = []
    with under_way(leftovers.creating(Deadline(60)), last=lambda: vmis.there.append(ONE)) as go_on:
        assert not leftovers.is_clean
        closing = threading.Thread(target=leftovers.close, args=(Deadline(60),))
        closing.start()
        go_on.set()
    closing.join(60)
    assert vmis.asked == [ONE]


def test_E59_what_came_while_its_creation_was_given_up_is_looked_for_again(vmis, leftovers):
    unknown = VmiHandle(namespace="default", name="vmi-a", token="t")
    vmis.there = [unknown]
    with under_way(leftovers.creating(Deadline(60))) as go_on:
        leftovers.delete([unknown], Deadline(60))
        go_on.set()
        leftovers.close(Deadline(60))
    assert vmis.asked == [unknown, unknown]


def test_a_server_that_is_gone_is_told_once_with_all_that_may_be_left(vmis, leftovers):
    vmis.refused = {ONE, THREE}
    vmis.why = ApiUnavailableError("the API server did not delete it", status=0, hint="is it up?")
    leftovers.delete([ONE, TWO, THREE], Deadline(60))
    with pytest.raises(TeardownError) as caught:
        leftovers.wait_gone(Deadline(60))
    assert caught.value.reason == (
        "these VMIs may still exist: default/vmi-a, default/vmi-c; the API server did not delete it"
    )
    assert caught.value.hint.splitlines() == [
        "kubectl delete vmi -n default vmi-a",
        "kubectl delete vmi -n default vmi-c",
        "is it up?",
    ]
    leftovers.close(Deadline(60))
    leftovers.wait_gone(Deadline(60))
    assert vmis.asked.count(ONE) > 1
    assert leftovers.outstanding == (ONE, THREE)


def test_a_migration_that_was_just_being_created_goes_with_its_vmi(vmis, leftovers):
    vmis.there = [ONE]
    with under_way(leftovers.migrating(ONE, Deadline(60))) as go_on:
        leftovers.delete([ONE], Deadline(60))
        go_on.set()
        leftovers.close(Deadline(60))
    # The first request may have found no migration yet.
    assert vmis.asked == [ONE, ONE]
    with pytest.raises(TeardownError), leftovers.migrating(ONE, Deadline(60)):
        pass


def test_the_migration_of_a_guest_that_stays_goes_all_the_same(vmis, leftovers):
    with leftovers.migrating(TWO, Deadline(60)):
        pass
    leftovers.keep([TWO], login="user root, no password")
    leftovers.close(Deadline(60))
    assert vmis.unmigrated == [TWO]
    assert TWO not in vmis.asked
