"""What a document must be for reports to be made of it, and what older versions did not write yet. Pure."""

from __future__ import annotations

import json
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.report import schema
from pytest_kvlatency.report.causes import find_causes
from pytest_kvlatency.report.failurefacts import shortfall_of
from pytest_kvlatency.report.schema import SCHEMA, moment
from pytest_kvlatency.report.schema.check import Schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TOLD: Final = 5


def flaw(document: object) -> str:
    """Why reports cannot be made of what a file holds; empty where they can. What follows the name of the file."""
    if not isinstance(document, dict) or "schema" not in document:
        return "is not a document of pytest-kvlatency: expected what --kv-json wrote"
    if document["schema"] != SCHEMA:
        return f"has the schema {document['schema']!r}: expected {SCHEMA!r}"
    found = list(islice(_schema().flaws(document), _TOLD + 1)) or list(_wrong_moments(document))
    if not found:
        return ""
    return f"is not a whole document: {'; '.join(found[:_TOLD])}{' …' if len(found) > _TOLD else ''}"


def completed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document with everything that the newest version writes; what an older one did not is null, or empty."""
    made: dict[str, Any] = _schema().filled(document)
    return made if "causes" in document else {**made, "causes": _causes(made)}


def _wrong_moments(document: Mapping[str, Any]) -> Iterator[str]:
    """Times that look like some, and are none: what a pattern cannot tell."""
    for name in ("startTimestamp", "completionTimestamp"):
        try:
            moment(document[name])
        except ValueError:
            yield f"{name} is {document[name]!r}: expected a time"


@cache
def _schema() -> Schema:
    return Schema(json.loads(schema.text()))


def _causes(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The causes of an older document: those of its measurements, else all that it says of the run."""
    reason = document["failureReason"]
    found = find_causes(document["measurements"])
    return found or find_causes((), [shortfall_of(reason)] if reason else [])
