from __future__ import annotations

import pytest

from pytest_kvlatency.kube.podlook import look_at_pods, pod_news
from pytest_kvlatency.kube.state import VmiHandle
from pytest_kvlatency.model import NadRef

HANDLE = VmiHandle(namespace="checks", name="vmi-a", uid="1", nad=NadRef(namespace="checks", name="blue"))


def pod(reason="ContainerCreating", message="", *, uid="1", address="", kind="containerStatuses"):
    waiting = {"name": "compute", "state": {"waiting": {"reason": reason, "message": message}}}
    return {
        "metadata": {"labels": {"kubevirt.io/created-by": uid}},
        "spec": {"nodeName": "w1"},
        "status": {kind: [waiting], "podIP": address},
    }


def event(reason, message, time="2026-01-01T00:00:05Z", count=1, name="virt-launcher-vmi-a-xyz12"):
    return {
        "involvedObject": {"name": name},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "lastTimestamp": time,
        "count": count,
    }


SANDBOX = event("FailedCreatePodSandBox", 'plugin type="bridge" failed:\n Link not found')


@pytest.mark.parametrize("kind", ["containerStatuses", "initContainerStatuses"])
@pytest.mark.parametrize(
    ("reason", "message", "words", "lasts"),
    [
        ("InvalidImageName", "invalid reference format", "cannot use the guest image of VMI checks/vmi-a", 0),
        ("ErrImageNeverPull", "is not present", "cannot use the guest image of VMI checks/vmi-a", 0),
        ("CreateContainerError", "no image volumes", "cannot start its container compute", 15),
        ("CreateContainerConfigError", "secret not found", "cannot start its container compute", 15),
        ("RunContainerError", "exec format error", "cannot start its container compute", 15),
        ("CrashLoopBackOff", "back-off 10s", "cannot start its container compute", 15),
    ],
)
def test_E51_E52_what_a_container_waits_for_is_told(kind, reason, message, words, lasts):
    found = pod_news(HANDLE, pod(reason, message, kind=kind), [])
    assert words in found.trouble.reason
    assert f"{message} ({reason})" in found.trouble.reason
    assert (found.trouble.lasts, found.occurrence) == (lasts, "")


def test_a_container_that_is_being_created_is_no_trouble():
    assert pod_news(HANDLE, pod(), []).trouble is None


@pytest.mark.parametrize(("seen", "where"), [(pod(), " on node w1"), (None, "")])
def test_E24_a_sandbox_that_cannot_be_made_is_told_in_the_words_of_the_cni(seen, where):
    found = pod_news(HANDLE, seen, [SANDBOX])
    words = 'plugin type="bridge" failed: Link not found (FailedCreatePodSandBox)'
    assert found.trouble.reason == f"the pod of VMI checks/vmi-a cannot be set up{where}: {words}"
    assert "NAD checks/blue" in found.trouble.hint


def test_E24_a_pod_with_an_address_was_set_up_whatever_events_say():
    assert pod_news(HANDLE, pod(address="10.0.0.1"), [SANDBOX]).trouble is None


@pytest.mark.parametrize(
    "later",
    [
        [event("FailedCreatePodSandBox", "x", count=2)],
        [event("FailedCreatePodSandBox", "x", "2026-01-01T00:00:18Z")],
        [SANDBOX, event("FailedCreatePodSandBox", "x")],
    ],
    ids=["counted", "dated", "another"],
)
def test_E24_each_occurrence_differs(later):
    assert pod_news(HANDLE, None, later).occurrence != pod_news(HANDLE, None, [SANDBOX]).occurrence
    assert pod_news(HANDLE, None, [SANDBOX]).occurrence == pod_news(HANDLE, None, [SANDBOX]).occurrence


def test_E85_the_words_of_the_last_failed_pull():
    events = [
        event("Failed", 'Failed to pull image "x": unauthorized', "2026-01-01T00:00:30Z"),
        event("Failed", 'Failed to pull image "x": i/o timeout', "2026-01-01T00:00:10Z"),
        event("Failed", "Error: ErrImagePull", "2026-01-01T00:00:31Z"),
    ]
    assert pod_news(HANDLE, None, events).pull_words == "unauthorized"


class Client:
    """A cluster that lets some lists be read."""

    def __init__(self, **lists):
        self.lists = lists

    def optional(self, path, *, deadline, query):
        items = self.lists.get(path.rpartition("/")[2])
        return None if items is None else {"items": items}


def test_pods_and_events_go_to_their_own_vmi():
    other = event("FailedCreatePodSandBox", "x", name="virt-launcher-vmi-a-2-xyz12")
    client = Client(pods=[pod(uid="2")], events=[other])
    assert look_at_pods(client, "checks", "r1", [HANDLE], None)["1"].trouble is None


def test_E54_nothing_is_known_where_nothing_may_be_read():
    assert look_at_pods(Client(), "checks", "r1", [HANDLE], None) == {}


def test_E54_events_alone_suffice():
    found = look_at_pods(Client(events=[SANDBOX]), "checks", "r1", [HANDLE], None)
    assert found["1"].trouble.key == "FailedCreatePodSandBox"
