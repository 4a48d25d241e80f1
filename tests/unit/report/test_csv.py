"""The table for spreadsheets: the document's numbers under its names, and no formula."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import documentschema
import pytest

from pytest_kvlatency.model import Failure
from pytest_kvlatency.report.csv import COLUMNS, render
from pytest_kvlatency.report.document import build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Make


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def value(entry: dict[str, Any], name: str) -> Any:
    found: Any = entry
    for part in name.split("."):
        found = None if found is None else found.get(part)
    return found


def test_a_row_has_the_documents_values_under_its_names(make: Make) -> None:
    document = build(
        make.run(
            make.item(make.measurement(max_latency_ns=2_000_000)), make.broken(), make.item(make.migrated())
        )
    )
    text = render(document)
    assert text.count("\r\n") == text.count("\n") == 4
    for row, entry in zip(rows(text), document["measurements"], strict=True):
        assert tuple(row) == COLUMNS
        for name in COLUMNS:
            found = value(entry, name)
            if name == "extra" or found is None or found == []:
                assert not row[name]
            elif isinstance(found, bool):
                assert row[name] == str(found).lower()
            elif isinstance(found, (int, float)):
                assert float(row[name]) == found
            elif isinstance(found, str):
                assert row[name] == found


def leaves(node: dict[str, Any], path: str = "") -> Iterator[str]:
    """The names of a schema's properties, down to those that are no objects."""
    defined = documentschema.public()["$defs"]
    for name, one in node["properties"].items():
        found = defined[one["$ref"].rpartition("/")[2]] if "$ref" in one else one
        if "properties" in found:
            yield from leaves(found, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def test_no_column_of_the_document_is_missing_but_those_that_no_cell_holds() -> None:
    names = set(leaves(documentschema.public()["$defs"]["measurement"]))
    assert names - set(COLUMNS) == {
        "samplesNanoSec",
        "repliesNanoSec",
        "migration.phases",
        "transcript",
        "failures",
    }
    assert set(COLUMNS) <= names


def test_what_a_test_measured_beyond_has_rows_of_its_own(make: Make) -> None:
    beyond = make.measurement((5_000_000,))
    found = rows(render(build(make.run(make.item(extra=(beyond, beyond))))))
    assert [row["extra"] for row in found] == ["", "1", "2"]
    assert [row["maxLatencyNanoSec"] for row in found] == ["3000000", "5000000", "5000000"]
    assert len({row["nodeid"] for row in found}) == 1


def test_a_key_that_a_later_version_fills_otherwise_is_left_empty(make: Make) -> None:
    beyond = make.measurement((5_000_000,))
    document = build(make.run(make.item(extra=(beyond,))))
    document["measurements"][0]["extra"][0]["comparison"] = "slower"
    assert [row["comparison.p50.deltaPercent"] for row in rows(render(document))] == ["", ""]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", " =", "\t", "\r", "\n=", "\uff1d"])
def test_E67_text_is_never_a_formula(make: Make, start: str) -> None:
    evil = f'{start}HYPERLINK("http://evil.example";"x"),1\r\nnext'
    failure = Failure(kind="guest", stage="setup", reason="x")
    document = build(make.run(make.broken(failures=(failure,))))
    document["measurements"][0].update(failureReason=evil, notes=[evil, "b"], nad=evil)
    (row,) = rows(render(document))
    for name in ("failureReason", "notes", "nad"):
        assert row[name].startswith("'")
        assert "HYPERLINK" in row[name]


def test_numbers_are_not_taken_for_formulas(make: Make) -> None:
    document = build(make.run(make.item()))
    document["measurements"][0]["comparison"] = {
        "p50": {"baselineNanoSec": 1, "deltaPercent": -3.5}, "p90": None, "p99": None,
        "significant": False, "regressed": False, "reason": None,
    }  # fmt: skip
    document["measurements"][0]["lostSequence"] = [0, 7]
    (row,) = rows(render(document))
    assert row["comparison.p50.deltaPercent"] == "-3.5"
    assert row["lostSequence"] == "0 7"
