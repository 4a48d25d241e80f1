"""Watches: from where they start, what they select, and how they end."""

from __future__ import annotations

from .helpers import MERGE, cms, config_map, vmi, vmis


def _name(event):
    return event["type"], event["object"]["metadata"]["name"]


def test_a_watch_without_a_revision_starts_with_what_is_there(lab, ns):
    lab.admin("POST", cms(ns), config_map())
    events = lab.admin.events(f"{cms(ns)}?watch=true")
    assert _name(next(events)) == ("ADDED", "a")
    lab.admin("POST", cms(ns), config_map("b"))
    assert _name(next(events)) == ("ADDED", "b")
    lab.admin("DELETE", f"{cms(ns)}/a")
    assert _name(next(events)) == ("DELETED", "a")
    events.close()


def test_a_watch_from_a_revision_misses_and_repeats_nothing(lab, ns):
    start = lab.admin("GET", cms(ns)).body["metadata"]["resourceVersion"]
    lab.admin("POST", cms(ns), config_map())
    lab.admin("PATCH", f"{cms(ns)}/a", {"data": {"x": "1"}}, MERGE)
    events = lab.admin.events(f"{cms(ns)}?watch=1&resourceVersion={start}")
    assert [_name(next(events))[0] for _ in range(2)] == ["ADDED", "MODIFIED"]
    lab.admin("DELETE", f"{cms(ns)}/a")
    deleted = next(events)
    assert deleted["type"] == "DELETED"
    assert int(deleted["object"]["metadata"]["resourceVersion"]) > int(start) + 2
    events.close()


def test_entering_and_leaving_a_selection_is_added_and_deleted(lab, ns):
    lab.admin("POST", vmis(ns), vmi())
    start = lab.admin("GET", vmis(ns)).body["metadata"]["resourceVersion"]
    events = lab.admin.events(f"{vmis(ns)}?watch=1&labelSelector=run%3D7&resourceVersion={start}")
    for change in ({"labels": {"run": "7"}}, {"annotations": {"a": "b"}}, {"labels": {"run": "8"}}):
        lab.admin("PATCH", f"{vmis(ns)}/v", {"metadata": change}, MERGE)
    assert [next(events)["type"] for _ in range(3)] == ["ADDED", "MODIFIED", "DELETED"]
    events.close()


def test_a_forgotten_revision_is_gone(start):
    lab = start()
    lab.admin("POST", cms("default"), config_map())
    lab.loop.loop.call_soon_threadsafe(lab.plane.store.forget_history)
    events = lab.admin.events(f"{cms('default')}?watch=1&resourceVersion=2")
    error = next(events)
    assert error["type"] == "ERROR"
    assert (error["object"]["code"], error["object"]["reason"]) == (410, "Expired")
    events.close()


def test_a_watch_ends_with_its_time(lab, ns):
    events = list(lab.admin.events(f"{cms(ns)}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true"))
    assert {event["type"] for event in events} <= {"BOOKMARK"}


def test_a_streaming_list_marks_the_end_of_what_was_there(lab, ns):
    lab.admin("POST", cms(ns), config_map())
    query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    events = lab.admin.events(f"{cms(ns)}?{query}")
    assert _name(next(events)) == ("ADDED", "a")
    bookmark = next(events)
    assert bookmark["type"] == "BOOKMARK"
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    events.close()
