"""The JSON Schema of documents, as users get it."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import documentschema
import pytest

from pytest_kvlatency.__main__ import main
from pytest_kvlatency.report.document import build
from pytest_kvlatency.report.schema.shape import flaw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Make

DOCS = Path(__file__).parents[3] / "docs" / "json.md"


def test_the_command_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    documentschema.library().check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.fixture
def document(make: Make) -> dict[str, Any]:
    dead = make.item(make.measurement((), transmitted=50, target="worker3"))
    return build(make.run(make.item(extra=(make.measurement(),)), dead, make.broken(target="worker4")))


def test_documents_of_this_version_match_it(document: dict[str, Any]) -> None:
    documentschema.library().validate(document)


def test_a_document_of_a_later_version_may_have_more_keys(document: dict[str, Any]) -> None:
    document["measurements"][0]["new"] = document["new"] = 1
    documentschema.library().validate(document)
    with pytest.raises(AssertionError, match="'new' was unexpected"):
        documentschema.check(document)


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (("measurements", 0, "failureKind"), "broken"),
        (("measurements", 0, "transmitted"), -1),
        (("measurements", 0, "lostSequence"), [1.5]),
        (("measurements", 0, "lostSequence"), [1, 1]),
        (("measurements", 0, "startTimestamp"), "2024-05-01 12:00"),
        (("measurements", 0, "round"), 0),
        (("causes", 0, "stage"), "later"),
        (("cluster", "lab"), "sim"),
        (("succeeded",), None),
    ],
)
def test_a_wrong_value_is_refused(document: dict[str, Any], place: tuple[Any, ...], wrong: object) -> None:
    *way, last = place
    spoilt = deepcopy(document)
    part: Any = spoilt
    for step in way:
        part = part[step]
    part[last] = wrong
    assert not documentschema.library().is_valid(spoilt)
    assert flaw(spoilt)
    for is_new in (True, False):
        with pytest.raises(AssertionError, match=r"does not match .*schema\.json"):
            documentschema.check(spoilt, is_new=is_new)


def words(node: dict[str, Any]) -> Iterator[str]:
    """The words of JSON Schema that a schema uses."""
    for word, value in node.items():
        yield word
        if word in ("$defs", "properties"):
            inner = list(value.values())
        elif word in ("additionalProperties", "anyOf", "items"):
            inner = value if isinstance(value, list) else [value]
        else:
            continue
        for one in inner:
            yield from words(one)


def test_the_schema_uses_no_word_that_the_package_itself_passes_over() -> None:
    says_nothing = {"$defs", "$ref", "$schema", "description", "title"}
    assert set(words(documentschema.public())) - says_nothing == {
        "additionalProperties", "anyOf", "const", "enum", "exclusiveMinimum", "items", "maximum", "minimum", "pattern",
        "properties", "required", "type", "uniqueItems",
    }  # fmt: skip


def test_the_docs_explain_every_key_of_the_schema() -> None:
    schema, text = documentschema.public(), DOCS.read_text("utf-8")
    explained = set(re.findall(r"`([A-Za-z0-9]+)`", text))
    definitions = schema["$defs"]
    named = {
        *schema["properties"],
        *definitions["measurement"]["properties"],
        *definitions["cause"]["properties"],
    }
    assert not named - explained
