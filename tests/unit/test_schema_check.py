"""The part of JSON Schema that documents are held to."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_kvlatency.report.schema.check import Schema

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z]+$"},
        "count": {"type": ["integer", "null"], "minimum": 0, "maximum": 9},
        "kind": {"$ref": "#/$defs/kind"},
        "value": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "inner": {"type": "array", "items": {"type": "object", "properties": {"share": {"type": "number"}}}},
        "facts": {"type": "object", "additionalProperties": {"type": "boolean"}},
    },
    "required": ["name"],
    "$defs": {"kind": {"enum": ["good", None]}},
}


@pytest.mark.parametrize(
    ("value", "flaws"),
    [
        ({"name": "a", "count": None, "kind": None, "value": ["b"], "inner": [{"share": 1}]}, []),
        ({"unknown": 1}, ["it has no name"]),
        ([], ["it is []: expected an object"]),
        ({"name": "A"}, ["name is 'A': expected text that matches ^[a-z]+$"]),
        ({"name": "a", "count": True}, ["count is True: expected a whole number or null"]),
        ({"name": "a", "count": 1.5}, ["count is 1.5: expected a whole number or null"]),
        ({"name": "a", "count": -1}, ["count is -1: expected at least 0"]),
        ({"name": "a", "count": 10}, ["count is 10: expected at most 9"]),
        ({"name": "a", "kind": []}, ["kind is []: expected good, null"]),
        ({"name": "a", "value": [1]}, ["value is [1]: expected text or a list of text"]),
        ({"name": "a", "inner": [{}, {"share": "x"}]}, ["inner[1].share is 'x': expected a number"]),
        ({"name": "a", "facts": {"b": 0}}, ["facts.b is 0: expected true or false"]),
    ],
    ids=repr,
)
def test_what_is_wrong_is_named_with_its_place(value: object, flaws: list[str]) -> None:
    assert list(Schema(SCHEMA).flaws(value)) == flaws


def test_what_is_missing_is_null_or_empty() -> None:
    made = Schema(SCHEMA).filled({"name": "a", "inner": [{"share": 1}], "other": 2})
    assert made == {
        "name": "a", "inner": [{"share": 1}], "other": 2, "count": None, "kind": None, "value": None, "facts": {},
    }  # fmt: skip
