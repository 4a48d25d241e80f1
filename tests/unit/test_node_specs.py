"""Pairs with a migration as one writes them, and what is said of slips."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kvlatency.config.nodespecs import Shape, nodes
from pytest_kvlatency.model import NodePair

NAME = st.from_regex(r"[a-z][a-z0-9.-]{0,5}[a-z0-9]", fullmatch=True).filter(
    lambda name: ".-" not in name and "-." not in name and ".." not in name and name not in ("star", "drain")
)
MOVE = "SRC:DST>NEW, or SRC:DST>? for any node"
NAMES = "lower-case letters, digits, '-' and '.'"


@given(source=NAME, target=NAME, destination=NAME | st.just("?"))
def test_a_migration_reads_as_it_is_written(source: str, target: str, destination: str) -> None:
    text = f"{source}:{target}>{destination}"
    if destination == target:
        with pytest.raises(ValueError, match="the node where it starts"):
            nodes(text)
        return
    found = nodes(f" {text} ")
    assert found == NodePair(source=source, target=target, destination=destination)
    assert str(found) == text


def test_shapes_of_migrations_read_as_they_are_written() -> None:
    assert (nodes("migrations"), nodes("drain:w1")) == (
        Shape(name="migrations"),
        Shape(name="drain", around="w1"),
    )
    assert [str(nodes(one)) for one in ("migrations", "drain:w1")] == ["migrations", "drain:w1"]


@given(st.text(alphabet="ab1:>?-,*= _.A", max_size=12))
def test_any_text_is_a_pair_or_is_refused_with_what_is_expected_or_meant(text: str) -> None:
    try:
        found = nodes(text)
    except ValueError as error:
        said = str(error)
        assert any(one in said for one in ("expected ", "Did you mean "))
        guess = said.partition("Did you mean ")[2].partition("? ")[0].removesuffix("?").strip("'")
        assert not guess or str(nodes(guess)) == guess
    else:
        assert str(found) == text.strip()


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (
            "w1>w2",
            "is not a node pair. Did you mean w1:w2? (or SRC:w1>w2, where the guest on SRC stays, the other migrates)",
        ),
        ("w1:w2>", f"names no destination: expected {MOVE}"),
        ("w1:>w2", f"names no target: expected {MOVE}"),
        (":w1>w2", f"names no source: expected {MOVE}"),
        (
            "w1:w2>w2",
            "migrates to the node where it starts: expected another node than w2, or ? for any node",
        ),
        ("w1:w2>w3>w4", f"names more than one destination: expected {MOVE}"),
        ("w1:w2:w3>w4", f"is not a node pair: expected {MOVE}"),
        ("auto>?", f"is not a node pair: expected {MOVE}"),
        ("auto>w3", f"is not a node pair: expected {MOVE}"),
        ("mesh > w3", f"is not a node pair: expected {MOVE}"),
        ("drain:w1>w2", "has a destination: expected drain:NODE or SRC:DST>NEW"),
        ("drain", "names no node: expected drain:NODE, such as drain:worker1"),
        ("drain:", "names no node: expected drain:NODE, such as drain:worker1"),
        ("w1:w2>w_3", f"is not a node pair: 'w_3' is not the name of a node (expected {NAMES})"),
        ("w1:?", f"is not a node pair: '?' is not the name of a node (expected {NAMES})"),
        ("w1:w2 -> w3", "is not a node pair. Did you mean w1:w2>w3?"),
        ("W1:W2>W3", "is not a node pair. Did you mean w1:w2>w3?"),
        ("w1,w2>w3", "is not a node pair. Did you mean w1:w2>w3?"),
        ("w1>w2>w3", "is not a node pair. Did you mean w1:w2>w3?"),
        ("w1:w2>*", "is not a node pair. Did you mean 'w1:w2>?'?"),
        ("migration", "is not a node pair. Did you mean migrations?"),
        (
            "drain w1",
            "is not a node pair. Did you mean drain:w1? (or auto, mesh, ring, star:HUB, migrations, drain:NODE)",
        ),
    ],
)
def test_a_slip_in_a_migration_says_which_part_is_wrong_or_what_is_meant(value: str, wrong: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        nodes(value)
    assert str(caught.value) == wrong
