"""What a test item is to the plugin: whether it checks a network, which one, how it is marked, when it is measured."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from pytest_kvlatency.checkup.own_check import PARAMETER, OwnCheckItem
from pytest_kvlatency.config.options import CHECK_FIXTURES, MARKER
from pytest_kvlatency.plan.checks import PlannedCheck

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.model import Check, Outcome

CHECK_KEY: pytest.StashKey[Check] = pytest.StashKey()
#: By which settings an item was collected, its markers' included.
SETTINGS_KEY: pytest.StashKey[Settings] = pytest.StashKey()
#: Why an item cannot be run.
PROBLEM_KEY = pytest.StashKey[str]()


def is_kv_item(item: pytest.Item) -> bool:
    """Whether the item uses the marker or one of the fixtures that stand for a check.

    A doctest does not: its module's marker is meant for the tests.
    """
    if isinstance(item, OwnCheckItem):
        return True
    if isinstance(item, pytest.DoctestItem):
        return False
    return item.get_closest_marker(MARKER) is not None or has_fixture(item, CHECK_FIXTURES)


def has_fixture(item: pytest.Item, fixtures: frozenset[str]) -> bool:
    """Whether the item uses one of the fixtures."""
    return bool(fixtures.intersection(getattr(item, "fixturenames", ())))


def may_be_measured_ahead(item: pytest.Item) -> bool:
    """Whether nothing that happens before the item's turn can matter to what is measured, as far as is known now.

    So it is when its fixtures are only this plugin's, pytest's, or fixtures of the session that are set up already.
    One that owns its guests, or sets something up first (a load, say), is measured when its turn comes.
    """
    if isinstance(item, OwnCheckItem):
        return True
    info = getattr(item, "_fixtureinfo", None)
    names = set(getattr(item, "fixturenames", ()))
    if info is None or names & {"kv_pair", "kv_ping", "kv_stream"} or _has_package_setup(item):
        return False
    definitions = [found[-1] for name, found in info.name2fixturedefs.items() if name in names]
    return all(_is_no_users(one) or _is_set_up_for_all(one) for one in definitions)


def _is_no_users(fixture: pytest.FixtureDef[object]) -> bool:
    """Whether a fixture is this plugin's or pytest's own.

    pytest wraps ``setup_module``, ``setup_class`` and the like in fixtures of its own, and those belong to a file.
    """
    return not fixture.baseid and fixture.func.__module__.split(".")[0] in ("pytest_kvlatency", "_pytest")


def _is_set_up_for_all(fixture: pytest.FixtureDef[object]) -> bool:
    """Whether a fixture of the session is set up, and stays so for every item."""
    result = fixture.cached_result
    return fixture.scope == "session" and not fixture.params and result is not None and result[2] is None


def _has_package_setup(item: pytest.Item) -> bool:
    """Whether a package that the item lies in has a ``setup_module``, which pytest calls without a fixture."""
    name = getattr(getattr(item, "module", None), "__package__", None) or ""
    while name:
        package = sys.modules.get(name)
        if any(hasattr(package, one) for one in ("setup_module", "setUpModule")):
            return True
        name = name.rpartition(".")[0]
    return False


def planned_check(item: pytest.Item) -> PlannedCheck | None:
    """What the item was collected for; None when it was not parametrized."""
    if isinstance(item, OwnCheckItem):
        return item.planned
    callspec = getattr(item, "callspec", None)
    planned = None if callspec is None else callspec.params.get(PARAMETER)
    return planned if isinstance(planned, PlannedCheck) else None


def is_test_case(item: pytest.Item) -> bool:
    """Whether the item is a method of a ``unittest.TestCase``."""
    import unittest

    cls = getattr(item, "cls", None)
    return isinstance(cls, type) and issubclass(cls, unittest.TestCase)


def marks_by_object(node: pytest.Item) -> Iterator[tuple[str, list[pytest.Mark]]]:
    """The kvlatency marks that apply to ``node``, by the object they stand on, the closest first.

    Marks that a parameter set or a plugin added are objects of their own. A class gives one entry for itself and
    one for each base, so that a marker that is inherited is not taken for a second one.
    """
    for link in reversed(node.listchain()):
        obj = getattr(link, "obj", None)
        sources = obj.__mro__ if isinstance(obj, type) else [obj]
        written = [_marks_written_on(source) for source in sources if source is not None]
        of_objects = [mark for marks in written for mark in marks]
        added = [mark for mark in link.own_markers if mark.name == MARKER and mark not in of_objects]
        for mark in reversed(added):
            yield f"{link.nodeid} (added)", [mark]
        for marks in written:
            if marks:
                yield link.nodeid, marks


def _marks_written_on(obj: object) -> list[pytest.Mark]:
    function = getattr(obj, "__func__", obj)
    written = getattr(function, "__dict__", {}).get("pytestmark", [])
    marks = written if isinstance(written, list) else [written]
    plain = [one.mark if isinstance(one, pytest.MarkDecorator) else one for one in marks]
    return [mark for mark in plain if mark.name == MARKER]


def left_out_of(items: Sequence[pytest.Item]) -> dict[str, Outcome]:
    """How those of the items end, by node id, that their own marks leave out whatever happens."""
    found: dict[str, Outcome] = {}
    for item in items:
        if item.get_closest_marker("skip") is not None:
            found[item.nodeid] = "skipped"
        elif not item.config.option.runxfail and any(map(_is_never_run, item.iter_markers("xfail"))):
            found[item.nodeid] = "xfailed"
    return found


def _is_never_run(xfail: pytest.Mark) -> bool:
    return not (xfail.args or "condition" in xfail.kwargs or xfail.kwargs.get("run", True))


def is_planned(item: pytest.Item) -> bool:
    """Whether the item counts among those that will need their guests, as far as its markers tell."""
    if item.get_closest_marker("skip") is not None:
        return False
    return all(mark.kwargs.get("run", True) for mark in item.iter_markers("xfail"))
