"""The ``kvlatency`` marker: its signature, and how several of them merge. Marks are met duck-typed."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Protocol

from pytest_kvlatency.config.nearest import did_you_mean
from pytest_kvlatency.config.problems import MarkerError
from pytest_kvlatency.config.sources import Layer, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Texts = str | list[str] | tuple[str, ...]


class _Mark(Protocol):
    @property
    def args(self) -> tuple[Any, ...]: ...
    @property
    def kwargs(self) -> Mapping[str, Any]: ...


def kvlatency(
    *,
    nad: Texts | None = None,
    nodes: Texts | None = None,
    node_set: str | None = None,
    max_latency: str | None = None,
    max_avg: str | None = None,
    max_p99: str | None = None,
    max_loss: str | float | None = None,
    max_gap: str | None = None,
    sample_duration: str | None = None,
    interval: str | None = None,
    packet_size: int | str | None = None,
    dont_fragment: bool | None = None,
    warmup: int | str | None = None,
    subnet: str | None = None,
    binding: str | None = None,
    guest: str | None = None,
    image: str | None = None,
) -> dict[str, object]:
    """Return the arguments that were given. None is as if it had not been; ``"none"`` removes an inherited limit."""
    return {name: value for name, value in locals().items() if value is not None}


def merge(marks_by_object: Iterable[Sequence[_Mark]]) -> Mapping[str, object]:
    """Merge markers keyword by keyword, the closest first wins; each sequence holds the marks of one object.

    Raises ``MarkerError`` with everything that is wrong: an argument without or with an unknown name, two markers on
    one object. Values are judged later, by ``settings.resolve``.
    """
    merged: dict[str, object] = {}
    problems: dict[str, None] = {}
    for marks in marks_by_object:
        if len(marks) > 1:
            text = f"{len(marks)} kvlatency markers on one object: expected one, with all arguments"
            problems[text] = None
        for mark in marks:
            wrong = [f"{_call(mark)}: {one}" for one in _unexpected(mark)]
            problems.update(dict.fromkeys(wrong))
            if not wrong:
                for name, value in kvlatency(**mark.kwargs).items():
                    merged.setdefault(name, value)
    if problems:
        raise MarkerError([Problem(text=text) for text in problems])
    return merged


def marker_layer(values: Mapping[str, object], where: str) -> Layer:
    """Make a layer of merged arguments; ``where`` reads like ``kvlatency marker of test_x.py::test_y``."""
    return Layer(kind="marker", values=values, detail=where)


def _unexpected(mark: _Mark) -> Iterator[str]:
    """What of a marker's arguments the signature does not have."""
    known = inspect.signature(kvlatency).parameters
    if mark.args:
        yield "expected keyword arguments only, such as nad='default/blue-network'"
    for name in mark.kwargs:
        if name not in known:
            guess = did_you_mean(name, known)
            yield f"unexpected keyword argument {name!r}{guess and f'. {guess}'}"


def _call(mark: _Mark) -> str:
    """The marker as it was written."""
    arguments = (*map(repr, mark.args), *(f"{name}={value!r}" for name, value in mark.kwargs.items()))
    return f"kvlatency({', '.join(arguments)})"
