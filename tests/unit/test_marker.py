from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_kvlatency.config.marker import kvlatency, marker_layer, merge
from pytest_kvlatency.config.options import MARKER_HELP, MARKER_OPTIONS, SIGNATURE
from pytest_kvlatency.config.problems import MarkerError, SettingsError
from pytest_kvlatency.config.resolve import resolve


def mark(*args: object, **kwargs: object) -> Any:
    return SimpleNamespace(args=args, kwargs=kwargs)


def test_the_signature_and_the_table_of_options_agree() -> None:
    parameters = inspect.signature(kvlatency).parameters
    assert tuple(parameters) == tuple(option.name for option in MARKER_OPTIONS)
    assert f"kvlatency(*, {', '.join(f'{name}=…' for name in parameters)})" == SIGNATURE
    assert MARKER_HELP.startswith(SIGNATURE + ": ")


def test_markers_merge_keyword_by_keyword_and_the_closest_wins() -> None:
    function = mark(max_latency="1ms")
    klass = mark(max_latency="2ms", nad="a/b", nodes=None)
    module = mark(nodes="w1:w2", nad="c/d", max_loss=0)
    merged = merge([[function], [klass], [], [module]])
    assert merged == {"max_latency": "1ms", "nad": "a/b", "nodes": "w1:w2", "max_loss": 0}


def test_no_marker_gives_nothing() -> None:
    assert merge([]) == {}
    assert merge([[mark()]]) == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            mark(max_latncy="1ms"),
            "kvlatency(max_latncy='1ms'): unexpected keyword argument 'max_latncy'. Did you mean max_latency?",
        ),
        (mark(colour=1), "kvlatency(colour=1): unexpected keyword argument 'colour'"),
        (
            mark(size=1400),
            "kvlatency(size=1400): unexpected keyword argument 'size'. Did you mean packet_size?",
        ),
        (
            mark("default/blue"),
            "kvlatency('default/blue'): expected keyword arguments only, such as nad='default/blue-network'",
        ),
    ],
)
def test_a_wrong_argument_quotes_the_signature(wrong: Any, said: str) -> None:
    with pytest.raises(MarkerError) as caught:
        merge([[wrong]])
    assert str(caught.value).splitlines() == [said, f"The marker is {SIGNATURE}"]
    assert isinstance(caught.value, SettingsError)
    assert caught.value.involves_marker


def test_two_markers_on_one_object_are_wrong_and_everything_is_said_at_once() -> None:
    with pytest.raises(MarkerError) as caught:
        merge([[mark(nad="a/b"), mark(nad="c/d")], [mark(1)]])
    assert caught.value.messages == (
        "2 kvlatency markers on one object: expected one, with all arguments",
        "kvlatency(1): expected keyword arguments only, such as nad='default/blue-network'",
    )
    with pytest.raises(MarkerError) as caught:
        merge([[mark(packetsize=1, nodez="mesh")]])
    assert [text.partition(": ")[2] for text in caught.value.messages] == [
        "unexpected keyword argument 'packetsize'. Did you mean packet_size?",
        "unexpected keyword argument 'nodez'. Did you mean nodes?",
    ]


def test_the_layer_of_a_marker_is_stronger_than_all_others() -> None:
    layer = marker_layer(
        merge([[mark(max_latency="1ms", nad=["a/b"])]]), "kvlatency marker of test_x.py::test_y"
    )
    settings = resolve([layer])
    assert settings.max_latency_ns == 1_000_000
    assert settings.describe("nad") == "nad (kvlatency marker of test_x.py::test_y)"
