"""The JSON file: whole or not at all."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

import pytest

from pytest_kvlatency.report import files
from pytest_kvlatency.report.document import build
from pytest_kvlatency.report.files import ReportError
from pytest_kvlatency.report.json import dumps

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from conftest import Make


def write(document: Mapping[str, object], path: Path) -> None:
    files.write(dumps(document), path, name="JSON", option="--kv-json")


def test_the_file_holds_the_document(make: Make, tmp_path: Path) -> None:
    document = build(make.run(make.item()))
    path = tmp_path / "new" / "folder" / "out.json"
    write(document, path)
    assert json.loads(path.read_text(encoding="ascii")) == document
    assert os.listdir(path.parent) == ["out.json"]  # noqa: PTH208 - hidden files count too


def test_an_older_file_is_replaced_at_once(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text("old", encoding="utf-8")
    write(build(make.run()), path)
    assert json.loads(path.read_text(encoding="utf-8"))["measurements"] == []


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(path.read_text(encoding="utf-8")))
    reader.start()
    write({"schema": "x"}, path)
    reader.join(60)
    assert json.loads(read[0]) == {"schema": "x"}
    assert path.is_fifo()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    path = tmp_path / "file" / "out.json"
    with pytest.raises(ReportError) as caught:
        write({}, path)
    assert caught.value.reason.startswith(f"cannot write the JSON report to {path}: ")
    assert caught.value.kind == "teardown"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="Is a directory"):
        write({}, tmp_path)


def test_E67_controls_and_strange_letters_are_escaped() -> None:
    assert dumps({"a": "\x1b[2J\u2028é"}) == '{\n  "a": "\\u001b[2J\\u2028\\u00e9"\n}\n'
