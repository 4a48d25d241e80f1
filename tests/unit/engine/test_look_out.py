"""The look-out, in time that passes as fast as it is waited for."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from pytest_kvlatency import deadline as deadline_module
from pytest_kvlatency.deadline import Deadline, Stop
from pytest_kvlatency.engine import lookout as watching
from pytest_kvlatency.engine.lookout import LookOut
from pytest_kvlatency.errors import (
    CheckupTimeoutError,
    ConfigError,
    InterruptedRunError,
    KvLatencyError,
    ProvisionError,
)
from pytest_kvlatency.kube import polls as polling
from pytest_kvlatency.kube import vmiprogress as waiting
from pytest_kvlatency.kube.diagnosis import PULL_HINT, Trouble
from pytest_kvlatency.kube.podlook import PodNews
from pytest_kvlatency.kube.state import Condition, VmiHandle, VmiState


class World:
    """VMIs whose states are functions of the time, and what was asked of them. Time passes when somebody waits."""

    def __init__(self, vmis):
        self.now = 0.0
        self.vmis = vmis
        self.looks = []
        self.events = None
        self.expected = len(vmis)
        self.at = {}
        self.waiting = lambda: 0
        self.all_wait = threading.Event()

    def monotonic(self):
        return self.now

    def get_state(self, handle, deadline):
        # Nobody's end is seen before all have joined: else time would stand still for want of the others.
        assert self.all_wait.wait(60)
        self.looks.append((self.now, handle.name))
        return self.vmis[handle.name](self.now)

    def optional(self, path, deadline):
        return self.events

    def wait(self, condition, seconds):
        if self.waiting() < self.expected:
            return condition.wait(5)
        self.expected = 0
        condition.wait(0)
        self.now += seconds
        for at, happen in sorted(self.at.items()):
            if self.now >= at:
                del self.at[at]
                happen()
        return False


@pytest.fixture
def world_of(monkeypatch):
    def make(**vmis):
        world = World({name.replace("_", "-"): state for name, state in vmis.items()})
        for module in (watching, polling, waiting, deadline_module):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=world.monotonic))
        return world

    return make


class ToldWatch:
    """A watch that tells what the test says."""

    def __init__(self, tell, *, refused=False):
        self.tell = tell
        self.refused = refused
        self.active = not refused
        self.closed = False

    def close(self):
        self.closed = True
        self.active = False


def handle(name):
    return VmiHandle(namespace="checks", name=name, uid=f"uid-of-{name}")


def state(name, phase="Running", node="w1", **more):
    return VmiState(uid=f"uid-of-{name}", phase=phase, node=node, **more)


def runs_after(name, seconds):
    return lambda now: state(name) if now >= seconds else state(name, "Scheduling", None)


def never(name, *conditions):
    found = {
        kind: Condition(status="False", reason=reason, message=text) for kind, reason, text in conditions
    }
    return lambda now: state(name, "Scheduling", None, conditions=found)


def wait_for_all(world, *, watch=None, pods=None, seconds=300.0, stop=None):
    """What came of each VMI: its state or the error, when, and its phases."""
    look_out = LookOut(world, world, watch=watch, look_at_pods=pods, wait=world.wait)
    world.waiting = lambda: look_out.waited_for
    deadline = Deadline(seconds, stop=stop)
    phases = {name: [] for name in world.vmis}

    def announce():
        until = time.monotonic() + 60
        while look_out.waited_for < len(world.vmis) and time.monotonic() < until:
            time.sleep(0.001)
        world.all_wait.set()

    threading.Thread(target=announce, daemon=True).start()

    def one(name):
        def told(state):
            phases[name].append(state.phase)

        try:
            return look_out.wait_running(handle(name), deadline, told), world.now
        except (KvLatencyError, RuntimeError) as error:
            return error, world.now

    with ThreadPoolExecutor(len(world.vmis)) as threads:
        found = dict(zip(world.vmis, threads.map(one, world.vmis), strict=True))
    for thread in threading.enumerate():
        if thread.name == "kvlatency-look-out":
            thread.join(60)
    return SimpleNamespace(
        ends={name: end for name, (end, _) in found.items()},
        at={name: at for name, (_, at) in found.items()},
        phases=phases,
        look_out=look_out,
    )


def test_both_are_waited_for_in_one_wait_and_each_new_phase_is_told(world_of):
    world = world_of(a=runs_after("a", 3), b=lambda now: state("b", node="w2"))
    result = wait_for_all(world)
    assert result.ends["a"].node == "w1"
    assert result.ends["b"].node == "w2"
    assert result.phases == {"a": ["Scheduling", "Running"], "b": ["Running"]}


def test_two_vmis_that_take_ten_seconds_cost_few_requests(world_of):
    world = world_of(a=runs_after("a", 10), b=runs_after("b", 10))
    result = wait_for_all(world)
    assert len(world.looks) <= 12
    assert max(result.at.values()) <= 12.1


@pytest.mark.parametrize("seconds", [0.5, 1.5, 2.5, 3.5, 4.5])
def test_two_vmis_that_run_within_seconds_are_seen_within_a_second(world_of, seconds):
    world = world_of(a=runs_after("a", seconds), b=runs_after("b", seconds))
    result = wait_for_all(world)
    assert max(result.at.values()) <= seconds + 1.01
    assert len(world.looks) <= 8


def test_E50_unschedulable_is_the_cause_once_it_has_lasted_ten_seconds(world_of):
    world = world_of(
        a=never("a", ("PodScheduled", "Unschedulable", "0/3 nodes are available")), b=runs_after("b", 20)
    )
    result = wait_for_all(world)
    assert isinstance(result.ends["a"], ProvisionError)
    assert "cannot be scheduled: 0/3 nodes are available" in result.ends["a"].reason
    seen_at = next(at for at, name in world.looks if name == "a")
    assert result.at["a"] >= seen_at + 10
    assert world.looks[-1][0] <= 23
    assert result.ends["b"].running


def test_E50_unschedulable_that_passes_is_none(world_of):
    unschedulable = never("a", ("PodScheduled", "Unschedulable", "0/3"))
    world = world_of(a=lambda now: unschedulable(now) if now < 8 else state("a"))
    assert wait_for_all(world).ends["a"].running


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ImagePullBackOff", "manifest unknown"),
        ("ErrImagePull", "manifest unknown"),
        ("ErrImagePull", "unauthorized"),
    ],
)
def test_E51_a_pull_that_cannot_succeed_is_the_cause_at_once(world_of, reason, message):
    world = world_of(a=never("a", ("Synchronized", reason, message)))
    error = wait_for_all(world).ends["a"]
    assert isinstance(error, ProvisionError)
    assert f"the node of VMI checks/a cannot pull the guest image: {message}" in error.reason
    assert world.looks == [(pytest.approx(watching.FIRST_LOOK_SECONDS), "a")]


def kubelet_pulls(name, words, *, heals_at=float("inf")):
    """A VMI whose image kubelet tries to pull 5 s, 15 s, 35 s and 75 s after its creation."""
    failed = never(name, ("Synchronized", "ErrImagePull", words))
    backs_off = never(name, ("Synchronized", "ImagePullBackOff", 'Back-off pulling image "x"'))

    def seen(now):
        if now >= heals_at:
            return state(name)
        if now < 4.6:
            return state(name, "Scheduling", None)
        return (failed if any(at <= now < at + 0.5 for at in (4.6, 15, 35, 75)) else backs_off)(now)

    return seen


@pytest.mark.parametrize("heals_at", [20, 34])
def test_E85_a_pull_that_backs_off_and_heals_is_waited_for(world_of, heals_at):
    world = world_of(a=kubelet_pulls("a", "dial tcp: i/o timeout", heals_at=heals_at))
    assert wait_for_all(world).ends["a"].running


def test_E85_a_pull_that_does_not_heal_is_the_cause_after_three_tries(world_of):
    pulls = kubelet_pulls("a", "dial tcp: i/o timeout")
    world = world_of(a=pulls)

    def watch(tell):
        for at in (4.6, 5.1, 15, 15.5, 35, 35.5):
            world.at[at] = lambda at=at: tell("uid-of-a", pulls(at))
        return ToldWatch(tell)

    result = wait_for_all(world, watch=watch)
    words = "the node of VMI checks/a cannot pull the guest image: dial tcp: i/o timeout (ErrImagePull, tried 3 times)"
    assert result.ends["a"].reason == words
    assert result.at["a"] == pytest.approx(35, abs=0.5)


def test_E85_a_pull_whose_tries_are_not_all_seen_is_the_cause_once_kubelet_has_tried_three_times(world_of):
    world = world_of(a=never("a", ("Synchronized", "ImagePullBackOff", 'Back-off pulling image "x"')))
    result = wait_for_all(world)
    assert (
        "cannot pull the guest image: the registry's answer is unknown (ImagePullBackOff)"
        in result.ends["a"].reason
    )
    assert result.at["a"] == pytest.approx(60, abs=3)


def test_E85_a_timeout_tells_the_registrys_words_though_kubelet_backs_off(world_of):
    world = world_of(a=kubelet_pulls("a", "dial tcp: i/o timeout"))
    end = wait_for_all(world, seconds=30).ends["a"]
    assert isinstance(end, CheckupTimeoutError)
    assert "cannot pull the guest image: dial tcp: i/o timeout" in end.reason


def test_E85_a_timeout_says_what_to_do_about_what_it_waited_for(world_of):
    world = world_of(a=kubelet_pulls("a", "dial tcp: i/o timeout"), b=never("b"))
    ends = wait_for_all(world, seconds=30).ends
    assert ends["a"].hint == f"{PULL_HINT}\nIf it only needs longer, allow more time: --kv-timeout"
    assert ends["b"].hint == "see what keeps its pod from starting, or allow more time: --kv-timeout"


class Pods:
    """Pods whose news are a function of the time; when they were looked at."""

    def __init__(self, world, news):
        self.world = world
        self.news = news
        self.looks = []

    def __call__(self, handles, stop):
        self.looks.append(self.world.now)
        return {one.uid: self.news(self.world.now) for one in handles}


def pod_trouble(key, lasts=15.0):
    return Trouble(key=key, reason=f"the pod says {key}", lasts=lasts)


def sandbox_fails(until=float("inf")):
    """As kubelet reports it: again each 13 s, and what was reported stays."""
    return lambda now: PodNews(
        trouble=pod_trouble("FailedCreatePodSandBox"), occurrence=f"{int(min(now, until) / 13)}"
    )


def test_E24_a_network_that_cannot_be_set_up_is_the_cause_once_it_has_lasted(world_of):
    world = world_of(a=never("a"))
    result = wait_for_all(world, pods=Pods(world, sandbox_fails()))
    assert isinstance(result.ends["a"], ProvisionError)
    assert result.ends["a"].reason.startswith("the pod says FailedCreatePodSandBox (for ")
    assert 20 <= result.at["a"] <= 32


def test_E24_a_failure_that_did_not_come_again_is_no_cause(world_of):
    world = world_of(a=runs_after("a", 120))
    pods = Pods(world, sandbox_fails(until=20))
    assert wait_for_all(world, pods=pods).ends["a"].running
    assert len(pods.looks) <= 16


@pytest.mark.parametrize(("lasts", "at"), [(0.0, 5), (15.0, 20)])
def test_E51_E52_a_container_that_waits_is_the_cause_at_once_or_once_it_has_lasted(world_of, lasts, at):
    world = world_of(a=never("a"))
    pods = Pods(world, lambda now: PodNews(trouble=pod_trouble("Waits", lasts)))
    result = wait_for_all(world, pods=pods)
    assert "the pod says Waits" in result.ends["a"].reason
    assert result.at["a"] == pytest.approx(at, abs=2)


def test_E52_a_container_that_waits_only_for_a_while_is_no_cause(world_of):
    world = world_of(a=runs_after("a", 40))
    pods = Pods(world, lambda now: PodNews(trouble=pod_trouble("Waits") if now < 14 else None))
    assert wait_for_all(world, pods=pods).ends["a"].running


def test_pods_are_not_looked_at_where_vmis_run_within_seconds(world_of):
    world = world_of(a=runs_after("a", 3), b=runs_after("b", 3.5))
    pods = Pods(world, lambda now: PodNews())
    assert wait_for_all(world, pods=pods).ends["b"].running
    assert pods.looks == []


def test_pods_are_looked_at_more_and_more_rarely_however_many_there_are(world_of):
    names = [f"v{number}" for number in range(30)]
    world = world_of(**{name: never(name) for name in names})
    pods = Pods(world, lambda now: PodNews())
    wait_for_all(world, pods=pods)
    assert 8 <= len(pods.looks) <= 20


@pytest.mark.parametrize(
    "kind", [("PodScheduled", "Unschedulable", "0/3"), ("Synchronized", "Other", "words")]
)
def test_pods_are_not_looked_at_where_the_vmi_says_what_is_wrong(world_of, kind):
    world = world_of(a=never("a", kind))
    pods = Pods(world, lambda now: PodNews())
    wait_for_all(world, pods=pods)
    assert pods.looks == []


def test_E85_the_registrys_words_come_from_the_events_where_only_the_back_off_was_seen(world_of):
    world = world_of(a=never("a", ("Synchronized", "ImagePullBackOff", 'Back-off pulling image "x"')))
    pods = Pods(world, lambda now: PodNews(pull_words="manifest unknown"))
    result = wait_for_all(world, pods=pods)
    assert "cannot pull the guest image: manifest unknown (ImagePullBackOff)" in result.ends["a"].reason
    assert result.at["a"] == pytest.approx(5, abs=1)


def test_a_timeout_says_what_a_container_waits_for(world_of):
    world = world_of(a=never("a"))
    pods = Pods(world, lambda now: PodNews(trouble=pod_trouble("Waits")))
    end = wait_for_all(world, pods=pods, seconds=10).ends["a"]
    assert isinstance(end, CheckupTimeoutError)
    assert "the pod says Waits" in end.reason


SYNC_FAILED = never("a", ("Synchronized", "Synchronizing with the Domain failed.", "server error"))


def test_E86_a_domain_that_cannot_be_synchronized_is_the_cause_after_tens_of_seconds(world_of):
    result = wait_for_all(world_of(a=SYNC_FAILED))
    assert isinstance(result.ends["a"], ProvisionError)
    assert "Synchronizing with the Domain failed: server error (for 30 s)" in result.ends["a"].reason
    assert result.at["a"] == pytest.approx(30, abs=3)


def test_E86_a_domain_that_synchronizes_late_is_waited_for(world_of):
    world = world_of(a=lambda now: SYNC_FAILED(now) if now < 25 else state("a"))
    assert wait_for_all(world).ends["a"].running


def test_E55_a_vmi_that_somebody_deleted_ends_its_wait_and_no_other(world_of):
    world = world_of(a=lambda now: None, b=runs_after("b", 5))
    result = wait_for_all(world)
    assert isinstance(result.ends["a"], ProvisionError)
    assert "checks/a is gone" in result.ends["a"].reason
    assert result.ends["b"].running


def test_E55_a_vmi_that_failed_ends_its_wait(world_of):
    world = world_of(a=lambda now: state("a", "Failed"))
    assert "has failed on node w1" in wait_for_all(world).ends["a"].reason


def test_a_timeout_says_where_each_stood_and_the_pods_warnings(world_of):
    world = world_of(a=lambda now: state("a", "Scheduling", "w1"), b=runs_after("b", 1))
    event = {
        "involvedObject": {"name": "virt-launcher-a-abcde"},
        "type": "Warning",
        "reason": "FailedCreatePodSandBox",
        "message": "no bridge br9",
    }
    world.events = {"items": [event]}
    result = wait_for_all(world, seconds=30)
    assert isinstance(result.ends["a"], CheckupTimeoutError)
    assert "timed out after 30s waiting for VMI checks/a to run" in result.ends["a"].reason
    assert "Scheduling on node w1" in result.ends["a"].reason
    assert "FailedCreatePodSandBox: no bridge br9" in result.ends["a"].reason
    assert result.at["a"] == pytest.approx(30, abs=0.3)
    assert result.ends["b"].running


def test_hundreds_of_vmis_are_looked_at_at_a_bounded_rate_and_none_is_found_late(world_of):
    names = [f"v{number}" for number in range(200)]
    world = world_of(**{name: runs_after(name, 60) for name in names})
    result = wait_for_all(world)
    assert all(end.running for end in result.ends.values())
    in_vain = [at for at, _ in world.looks if at < 60]
    assert len(in_vain) <= watching.BURST_LOOKS + watching.LOOKS_PER_SECOND * 60
    assert len(world.looks) <= len(in_vain) + len(names)
    assert max(result.at.values()) <= 63


def test_a_stop_ends_every_wait(world_of):
    world = world_of(a=never("a"), b=never("b"))
    stop = Stop()
    world.at[5] = lambda: stop.set("SIGTERM")
    result = wait_for_all(world, stop=stop)
    assert {type(end) for end in result.ends.values()} == {InterruptedRunError}


def test_whatever_goes_wrong_reaches_the_one_who_waits(world_of):
    def broken(now):
        raise RuntimeError("unforeseen")

    world = world_of(a=broken, b=runs_after("b", 3))
    result = wait_for_all(world)
    assert isinstance(result.ends["a"], RuntimeError)
    assert result.ends["b"].running


def test_what_a_watch_tells_needs_no_look(world_of):
    world = world_of(a=runs_after("a", 50), b=runs_after("b", 50))
    made = []

    def watch(tell):
        made.append(ToldWatch(tell))
        for name in world.vmis:
            tell(f"uid-of-{name}", state(name, "Scheduling", None))
        world.at[7.0] = lambda: tell("uid-of-a", state("a"))
        world.at[9.0] = lambda: tell("uid-of-b", state("b"))
        return made[-1]

    result = wait_for_all(world, watch=watch)
    assert world.looks == []
    assert all(end.running for end in result.ends.values())
    assert world.now < 10
    assert [one.closed for one in made] == [True]


def test_E55_a_watch_tells_that_a_vmi_is_gone(world_of):
    world = world_of(a=runs_after("a", 50))

    def watch(tell):
        tell("uid-of-a", None)
        return ToldWatch(tell)

    assert "checks/a is gone" in wait_for_all(world, watch=watch).ends["a"].reason
    assert world.looks == []


def test_a_watch_whose_events_are_held_back_is_made_up_for(world_of):
    world = world_of(a=runs_after("a", 25))

    def watch(tell):
        tell("uid-of-a", state("a", "Scheduling", None))
        return ToldWatch(tell)

    assert wait_for_all(world, watch=watch).ends["a"].running
    assert 2 <= len(world.looks) <= 3
    assert world.now <= 35


@pytest.mark.parametrize("healed_at", [3, 300])
def test_E52_a_trouble_that_only_a_watch_told_of_is_looked_at_before_it_is_the_cause(world_of, healed_at):
    refused = never("a", ("Synchronized", "FailedCreate", "exceeded quota"))
    world = world_of(a=lambda now: state("a") if now >= healed_at else refused(now))

    def watch(tell):
        tell("uid-of-a", refused(0))
        return ToldWatch(tell)

    end = wait_for_all(world, watch=watch).ends["a"]
    assert world.looks == [(pytest.approx(5, abs=0.3), "a")]
    if healed_at == 3:
        assert end.running
    else:
        assert "the pod of VMI checks/a was rejected: exceeded quota (for 5 s)" in end.reason


def test_a_watch_that_tells_nothing_changes_nothing(world_of):
    world = world_of(a=runs_after("a", 10), b=runs_after("b", 10))
    result = wait_for_all(world, watch=ToldWatch)
    assert all(end.running for end in result.ends.values())
    assert world.now <= 12.1


def test_E54_a_watch_that_is_refused_is_not_asked_for_again(world_of):
    world = world_of(a=runs_after("a", 3))
    asked = []

    def watch(tell):
        asked.append(1)
        return ToldWatch(tell, refused=True)

    result = wait_for_all(world, watch=watch)
    assert result.ends["a"].running
    with ThreadPoolExecutor(1) as thread:
        again = thread.submit(result.look_out.wait_running, handle("a"), Deadline(60), lambda state: None)
        assert again.result().running
    assert asked == [1]


def test_without_a_thread_for_the_look_out_each_wait_ends_with_that_cause_and_none_hangs(monkeypatch):
    look_out = LookOut(None, None)

    def start(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        for _ in range(2):
            with pytest.raises(ConfigError, match="cannot start more threads"):
                look_out.wait_running(handle("a"), Deadline(60), print)
    assert look_out.waited_for == 0
