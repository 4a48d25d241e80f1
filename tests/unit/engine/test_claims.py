"""Who has which guests, in which order, and until when; with guests that come up, or fail, when a test says so."""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.engine.activity import Activity
from pytest_kvlatency.engine.claims import Claims
from pytest_kvlatency.engine.dispatcher import Dispatcher
from pytest_kvlatency.engine.engine import Engine
from pytest_kvlatency.engine.whereabouts import Whereabouts
from pytest_kvlatency.errors import ConfigError, InterruptedRunError
from pytest_kvlatency.model import Check, GuestFacts, Limits, Measurement, NadRef, NodePair, PingParameters
from pytest_kvlatency.plan.checks import vmi_keys

SECONDS = 60
NODES = [f"worker{number}" for number in range(32)]


def check(source, target, seconds=5):
    ping = PingParameters(sample_duration_ns=seconds * 1_000_000_000)
    pair = NodePair(source=source, target=target)
    return Check(nad=NadRef(namespace="ns", name="blue"), pair=pair, limits=Limits(), ping=ping)


class Provisioner:
    """Brings guests up at once, but for those that a test holds back or has failed."""

    def __init__(self):
        self.booting = defaultdict(threading.Event)
        self.may_boot = {}
        self.errors = {}
        self.refusals = {}
        self.made = []
        self.closed = set()

    @property
    def site(self):
        return self

    def hold_back(self, node):
        self.may_boot[node] = threading.Event()
        return self.may_boot[node]

    def bring_up(self, key, check, deadline, say):
        self.booting[key.node].set()
        if key.node in self.may_boot:
            assert self.may_boot[key.node].wait(SECONDS)
        if key.node in self.errors:
            raise self.errors[key.node]
        shell = SimpleNamespace(close=lambda: self.closed.add(key.node))
        nad = SimpleNamespace(address_mode="static", binding="bridge")
        watchdog = SimpleNamespace(lasts=lambda *_: True, relax=lambda: None)
        self.made.append(key.node)
        facts = GuestFacts(vmi_name=key.node, namespace="ns", node=key.node, address="192.0.2.1")
        seconds = dict.fromkeys(("create_seconds", "running_seconds", "login_seconds"), 0.0)
        return SimpleNamespace(
            key=key,
            node=key.node,
            handle=key,
            shell=shell,
            nad=nad,
            watchdog=watchdog,
            facts=facts,
            **seconds,
        )

    def forget_pairs(self, keys):
        pass

    def refusal(self, check):
        return self.refusals.get(check.pair.target)

    def ask_again(self, check):
        self.refusals.pop(check.pair.target, None)


class Measurer:
    """Measures until a test lets it end, or its deadline says so."""

    def __init__(self):
        self.may_end = threading.Event()
        self.may_end.set()
        self.began = threading.Event()
        self.stopped = threading.Event()

    def measure(self, check, source, target, deadline, say, *, look_again):
        self.began.set()
        while not self.may_end.wait(0.01):
            try:
                deadline.check("a sample")
            except InterruptedRunError:
                self.stopped.set()
                raise
        return Measurement(check=check)


class Consoles:
    def using(self, shell, deadline):
        return nullcontext()


class Leftovers:
    kept = ()

    def __init__(self):
        self.deleted = []
        self.changed = threading.Condition()

    def is_kept(self, handle):
        return False

    def doom(self, handles):
        pass

    def delete(self, handles, deadline):
        with self.changed:
            self.deleted += [one.node for one in handles]
            self.changed.notify_all()

    def wait_for(self, *nodes):
        with self.changed:
            assert self.changed.wait_for(lambda: set(nodes) <= set(self.deleted), SECONDS)


@pytest.fixture
def rig(request):
    parts = SimpleNamespace(
        provisioner=Provisioner(),
        measurer=Measurer(),
        leftovers=Leftovers(),
        deadline=Deadline(SECONDS),
        whereabouts=Whereabouts(),
    )
    shared = {
        "provisioner": parts.provisioner,
        "leftovers": parts.leftovers,
        "activity": Activity(parts.deadline.stop),
        "whereabouts": parts.whereabouts,
        "deadline": parts.deadline,
    }
    dispatcher = Dispatcher(
        measurer=parts.measurer,
        consoles=Consoles(),
        parallel=None,
        occupy=getattr(request, "param", None),
        **shared,
    )
    claims = Claims(dispatcher, parts.deadline, parallel=None)
    parts.engine = Engine(dispatcher=dispatcher, claims=claims, **shared)
    parts.engine.begin()
    yield parts
    parts.measurer.may_end.set()
    parts.engine.shut_down(lambda: True)


@pytest.mark.parametrize("turn", range(4))
def test_each_of_many_pairs_gets_the_cause_of_its_guests_whichever_fails_first(rig, turn):
    checks = [check(source, target) for number, source in enumerate(NODES) for target in NODES[number + 1 :]]
    rig.provisioner.errors = {node: ConfigError(f"there is no network on {node}") for node in NODES}
    rig.engine.plan(checks)
    rig.engine.start(checks)
    for one in checks:
        found = rig.engine.measure(one, holder=one).result(SECONDS)
        assert type(found.error) is ConfigError
        assert found.error.reason in {f"there is no network on {node}" for node in str(one.pair).split(":")}


def test_E50_a_pair_with_a_node_where_no_guest_can_be_made_costs_no_guest_until_it_is_tried_again(rig):
    one, other = check("a", "b"), check("a", "c")
    rig.provisioner.refusals = {"c": ConfigError("there is no node 'c'")}
    rig.engine.plan([one, other])
    rig.engine.start([other, one])
    assert rig.engine.measure(other, holder="other").result(SECONDS).error.reason == "there is no node 'c'"
    assert rig.engine.measure(one, holder="one").result(SECONDS).error is None
    assert sorted(rig.provisioner.made) == ["a", "b"]
    rig.engine.take_again(other)
    assert rig.engine.measure(other, holder="again", anew=True).result(SECONDS).error is None
    assert sorted(rig.provisioner.made) == ["a", "b", "c"]


def test_guests_that_were_let_go_meanwhile_give_their_cause_too(rig):
    one, other = check("a", "b"), check("a", "c")
    rig.provisioner.errors = {"a": ConfigError("there is no network")}
    gate = rig.provisioner.hold_back("c")
    rig.engine.plan([one, other])
    assert rig.engine.measure(one, holder="one").result(SECONDS).error.reason == "there is no network"
    # The pair's other guest is not up, and the one that failed is nobody's any more.
    rig.engine.let_go(one)
    rig.engine.let_go(other)
    assert rig.engine.measure(other, holder="other").result(SECONDS).error.reason == "there is no network"
    gate.set()


@pytest.mark.parametrize(
    "rig",
    [None, lambda nodes, deadline, migrates: nullcontext()],
    indirect=True,
    ids=["alone", "with-others"],
)
def test_the_guest_that_is_up_is_known_when_the_other_is_lost(rig):
    pair = check("a", "b")
    rig.provisioner.errors = {"b": ConfigError("there is no network")}
    gate = rig.provisioner.hold_back("b")
    rig.engine.plan([pair])
    measured = rig.engine.measure(pair, holder="one")
    rig.engine.own(check("a", "c"), holder="other").result(SECONDS)
    gate.set()
    found = measured.result(SECONDS).measurement
    assert (found.source.node, found.target) == ("a", None)


def test_E81_a_claim_that_ends_while_the_guests_boot_leaves_them_to_the_next(rig):
    pair = check("a", "b")
    gate = rig.provisioner.hold_back("b")
    rig.engine.plan([pair, pair])
    first = rig.engine.own(pair, holder="first")
    assert rig.provisioner.booting["b"].wait(SECONDS)
    rig.engine.release("first")
    rig.engine.let_go(pair)
    second = rig.engine.own(pair, holder="second")
    with pytest.raises(ConfigError, match="after its test has ended"):
        # What was asked for before has been taken up by then.
        rig.engine.measure_owned(pair, pair.ping, holder="nobody", confirm=True).result(SECONDS)
    gate.set()
    assert [guest.node for guest in second.result(SECONDS)] == ["a", "b"]
    assert first.cancelled()
    assert sorted(rig.provisioner.made) == ["a", "b"]


def test_E81_a_claim_that_ends_while_it_waits_for_its_turn_is_never_handed_over(rig):
    pair = check("a", "b")
    rig.engine.plan([pair] * 3)
    rig.engine.own(pair, holder="first").result(SECONDS)
    waiting = rig.engine.own(pair, holder="second")
    third = rig.engine.own(pair, holder="third")
    rig.engine.release("second")
    rig.engine.release("first")
    assert third.result(SECONDS)
    assert waiting.cancelled()


def test_E81_a_claim_ends_only_once_the_measurement_of_its_owner_has_ended(rig):
    pair = check("a", "b")
    rig.engine.plan([pair] * 2)
    rig.engine.own(pair, holder="first").result(SECONDS)
    rig.measurer.may_end.clear()
    measured = rig.engine.measure_owned(pair, pair.ping, holder="first", confirm=True)
    assert rig.measurer.began.wait(SECONDS)
    rig.engine.release("first")
    assert rig.engine.own(pair, holder="second").result(SECONDS)
    assert rig.measurer.stopped.is_set()
    assert type(measured.result(SECONDS).error) is InterruptedRunError


def test_E81_a_measurement_that_nobody_waits_for_any_more_is_stopped(rig):
    pair = check("a", "b")
    rig.engine.plan([pair] * 2)
    rig.measurer.may_end.clear()
    rig.engine.measure(pair, holder="first", anew=True)
    assert rig.measurer.began.wait(SECONDS)
    rig.engine.release("first")
    assert rig.engine.own(pair, holder="second").result(SECONDS)
    assert rig.measurer.stopped.is_set()


def test_a_pair_that_was_given_back_is_measured_for_its_owner_no_more(rig):
    pair = check("a", "b")
    rig.engine.plan([pair])
    rig.engine.own(pair, holder="first").result(SECONDS)
    rig.engine.release("first")
    late = rig.engine.measure_owned(pair, pair.ping, holder="first", confirm=True)
    with pytest.raises(ConfigError, match="cannot be used after its test has ended"):
        late.result(SECONDS)


def test_E81_a_guest_whose_last_user_ended_while_it_booted_is_deleted_once_it_is_up(rig):
    pair = check("a", "b")
    gate = rig.provisioner.hold_back("b")
    rig.engine.plan([pair])
    rig.engine.own(pair, holder="first")
    assert rig.provisioner.booting["b"].wait(SECONDS)
    rig.engine.release("first")
    rig.engine.let_go(pair)
    gate.set()
    rig.leftovers.wait_for("a", "b")


def test_what_was_to_be_measured_ahead_for_tests_that_are_over_is_dropped(rig):
    pair, other = check("a", "b"), check("a", "b", seconds=3)
    rig.engine.plan([pair, other])
    rig.measurer.may_end.clear()
    rig.engine.start([pair, other])
    assert rig.measurer.began.wait(SECONDS)
    for one in (pair, other):
        rig.engine.let_go(one)
    rig.leftovers.wait_for(*(key.node for key in vmi_keys(pair)))
    assert rig.measurer.stopped.wait(SECONDS)


def test_E59_a_signal_during_a_measurement_gives_one_reason_whichever_thread_sees_it_first(rig):
    pair = check("a", "b")
    rig.measurer.may_end.clear()
    rig.engine.plan([pair])
    measured = rig.engine.measure(pair, holder="one")
    assert rig.measurer.began.wait(SECONDS)
    rig.deadline.stop.set("interrupted by SIGTERM")
    before = rig.engine.interrupted(pair, "interrupted by SIGTERM")
    assert isinstance(measured.result(SECONDS).error, InterruptedRunError)
    for one in (before, rig.engine.interrupted(pair, "interrupted by SIGTERM")):
        assert one.error.failure_reason == "run: interrupted by SIGTERM while preparing to ping b from a"
        assert (one.measurement.source.node, one.measurement.target.node) == ("a", "b")
        assert one.measurement.binding == "bridge"


def test_E59_a_signal_while_a_guest_comes_up_names_that_guest(rig):
    pair = check("a", "b")
    gate = rig.provisioner.hold_back("b")
    rig.engine.plan([pair])
    rig.engine.measure(pair, holder="one")
    assert rig.provisioner.booting["b"].wait(SECONDS)
    rig.deadline.stop.set("interrupted by SIGINT")
    found = rig.engine.interrupted(pair, "interrupted by SIGINT")
    gate.set()
    assert found.error.stage == "setup"
    assert found.error.reason.startswith("interrupted by SIGINT while setting up ")


def test_E59_a_signal_while_guests_come_up_leaves_known_where_they_are(rig):
    pair = check(None, None)
    gate = rig.provisioner.hold_back(None)
    rig.engine.plan([pair])
    rig.engine.measure(pair, holder="one")
    assert rig.provisioner.booting[None].wait(SECONDS)
    rig.whereabouts.see(vmi_keys(pair)[1], "b")
    rig.deadline.stop.set("interrupted by SIGTERM")
    found = rig.engine.interrupted(pair, "interrupted by SIGTERM")
    gate.set()
    # The source has no node yet.
    assert found.error.pair_nodes == ("", "b")


def test_E59_a_time_out_during_a_measurement_is_no_fault_of_the_set_up(rig):
    pair = check("a", "b")
    rig.measurer.may_end.clear()
    rig.engine.plan([pair])
    measured = rig.engine.measure(pair, holder="one")
    assert rig.measurer.began.wait(SECONDS)
    rig.deadline.seconds = 0.0
    assert measured.result(SECONDS).error.failure_reason.startswith("run: timed out after ")


def test_the_console_of_a_guest_that_comes_up_while_the_run_ends_is_closed(rig):
    gates = [rig.provisioner.hold_back(node) for node in "ab"]

    class Kept:
        """Looked at when the end is under way: then the guests come up."""

        def __bool__(self):
            for gate in gates:
                gate.set()
            return True

    rig.leftovers.kept = Kept()
    rig.engine.plan([check("a", "b")])
    rig.engine.measure(check("a", "b"), holder="one")
    for node in "ab":
        assert rig.provisioner.booting[node].wait(SECONDS)
    rig.engine.shut_down(lambda: True)
    assert rig.provisioner.closed == {"a", "b"}


def test_the_console_of_a_guest_that_comes_up_when_the_run_is_over_is_closed(rig):
    gate = rig.provisioner.hold_back("b")
    rig.engine.plan([check("a", "b")])
    measured = rig.engine.measure(check("a", "b"), holder="one")
    assert rig.provisioner.booting["b"].wait(SECONDS)
    rig.engine.shut_down(lambda: True)
    assert not measured.done()
    closed = threading.Event()
    rig.provisioner.closed = SimpleNamespace(add=lambda node: closed.set())
    gate.set()
    assert closed.wait(SECONDS)
