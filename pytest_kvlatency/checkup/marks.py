"""Marks of test items: the kvlatency ones by the object that they stand on, and those by which pytest runs no body."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kvlatency.config.options import MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_kvlatency.model import Outcome


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
