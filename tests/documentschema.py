"""Holds documents to the package's JSON Schema, and the schema to the documents: no key may be missing from it.

The package itself holds documents to it many times as fast as the library, which loads as long as pytest does and is
asked about what the package finds wrong. That both find the same is tested beside the command that reads documents.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.report import schema
from pytest_kvlatency.report.schema.check import Schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import jsonschema

MARK = '"kvlatency/v1"'
HEAD = 200
#: Keys of the objects that the package itself makes.
_MADE = {"measurements", "nad", "sentence"}


def public() -> dict[str, Any]:
    """The schema as users get it."""
    found: dict[str, Any] = json.loads(schema.text())
    return found


def check(document: object, *, is_new: bool = False, name: str = "the document") -> None:
    """Raise ``AssertionError`` for a document that is not as the schema says, or has a key that it does not know.

    ``is_new``: made by this version, which writes every key.
    """
    if not any(_checker(is_new=is_new).flaws(document)):
        return
    validator = library(_strict(is_new=is_new, others=False))
    errors = sorted(validator.iter_errors(document), key=lambda one: list(map(str, one.path)))
    told = "\n".join(f"{one.json_path}: {one.message[:300]}" for one in errors[:5])
    assert not errors, f"{name} does not match report/schema/schema.json:\n{told}"


def check_files(directory: Path) -> None:
    """Check every whole document that a test or its runs left in a directory."""
    for path in sorted(directory.rglob("*.json")):
        if path.is_file():
            with path.open(encoding="utf-8", errors="replace") as stream:
                is_document = MARK in stream.read(HEAD)
            if is_document:
                check(json.loads(path.read_text("utf-8")), name=str(path))


def checked(build: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """The same function, whose documents are checked."""
    # Once, and not in each process that is forked from this one.
    _checker(is_new=True)

    @functools.wraps(build)
    def build_and_check(*arguments: Any, **named: Any) -> dict[str, Any]:
        document = build(*arguments, **named)
        check(json.loads(json.dumps(document)), is_new=True)
        return document

    return build_and_check


def library(root: dict[str, Any] | None = None) -> jsonschema.Draft202012Validator:
    """What others hold a document to the schema with; without ``root``, as users get that."""
    import jsonschema

    return jsonschema.Draft202012Validator(root or public())


@functools.cache
def _checker(*, is_new: bool) -> Schema:
    return Schema(_strict(is_new=is_new, others={"enum": []}))


def _strict(*, is_new: bool, others: object) -> dict[str, Any]:
    """The schema with what ``others`` says, which nothing matches, for keys that are not listed.

    Of a new document no key may be missing.
    """
    strict = public()
    _close(strict, is_new=is_new, others=others)
    return strict


def _close(node: object, *, is_new: bool, others: object) -> None:
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _close(child, is_new=is_new, others=others)
    if isinstance(node, dict) and isinstance(node.get("properties"), dict) and "type" in node:
        node["additionalProperties"] = others
        # Facts of cluster and plan are given to the document as tests make them.
        if is_new and _MADE & node["properties"].keys():
            node["required"] = list(node["properties"])
