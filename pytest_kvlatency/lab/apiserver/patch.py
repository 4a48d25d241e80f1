"""Patches: JSON merge patch (RFC 7386), JSON patch (RFC 6902), and the merge that server-side apply does. Pure."""

from __future__ import annotations

import copy
import json
from typing import Any

from pytest_kvlatency.lab.apiserver.statuses import ApiError, bad_request


def merge(target: Any, patch: Any) -> Any:
    """Return ``target`` with a JSON merge patch applied; neither argument is changed."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def _tokens(pointer: Any) -> list[str]:
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise bad_request(f"json patch: {pointer!r} is not a JSON pointer")
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def _refused(why: str) -> ApiError:
    return ApiError(
        422, f"the server rejected our request due to an error in our request: {why}", reason="Invalid"
    )


def _index(step: str, length: int, *, add: bool) -> int:
    if add and step == "-":
        return length
    # As the API server: a leading zero is no error, though RFC 6901 has it so.
    if not (step.isascii() and step.isdigit()) or int(step) >= length + int(add):
        raise _refused(f"json patch: index {step!r} is out of range")
    return int(step)


def _find(doc: Any, tokens: list[str]) -> Any:
    for token in tokens:
        if isinstance(doc, dict) and token in doc:
            doc = doc[token]
        elif isinstance(doc, list):
            doc = doc[_index(token, len(doc), add=False)]
        else:
            raise _refused(f"json patch: path /{'/'.join(tokens)} does not exist")
    return doc


def _set(doc: Any, tokens: list[str], value: Any, *, replace: bool) -> Any:
    if not tokens:
        return value
    parent, last = _find(doc, tokens[:-1]), tokens[-1]
    if isinstance(parent, list):
        if replace:
            parent[_index(last, len(parent), add=False)] = value
        else:
            parent.insert(_index(last, len(parent), add=True), value)
    elif isinstance(parent, dict):
        if replace and last not in parent:
            raise _refused(f"json patch: path /{'/'.join(tokens)} does not exist")
        parent[last] = value
    else:
        raise _refused(f"json patch: path /{'/'.join(tokens)} does not exist")
    return doc


def _remove(doc: Any, tokens: list[str]) -> Any:
    if not tokens:
        raise _refused("json patch: the whole document cannot be removed")
    parent, last = _find(doc, tokens[:-1]), tokens[-1]
    _find(parent, [last])
    if isinstance(parent, list):
        return parent.pop(_index(last, len(parent), add=False))
    return parent.pop(last)


def _json(value: Any) -> str:
    """Return what is equal for equal JSON values only: to Python, ``True`` equals 1."""
    return json.dumps(value, sort_keys=True)


def json_patch(target: Any, operations: Any) -> Any:
    """Return ``target`` with a JSON patch applied. Errors: 400 (no patch), 422 (cannot be applied)."""
    if not isinstance(operations, list):
        raise bad_request("json patch: a list of operations is expected")
    doc = copy.deepcopy(target)
    for operation in operations:
        if not isinstance(operation, dict) or "path" not in operation:
            raise bad_request(f"json patch: {json.dumps(operation)} is not an operation")
        op, tokens = operation.get("op"), _tokens(operation["path"])
        if op == "remove":
            _remove(doc, tokens)
        elif op in ("add", "replace", "test"):
            if "value" not in operation:
                raise bad_request(f"json patch: {op} needs a value")
            value = copy.deepcopy(operation["value"])
            if op != "test":
                doc = _set(doc, tokens, value, replace=op == "replace")
            elif _json(_find(doc, tokens)) != _json(value):
                raise _refused(f"json patch: testing path {operation['path']} failed")
        elif op in ("move", "copy"):
            source = _tokens(operation.get("from"))
            value = copy.deepcopy(_find(doc, source))
            if op == "move":
                _remove(doc, source)
            doc = _set(doc, tokens, value, replace=False)
        else:
            raise bad_request(f"json patch: unknown operation {op!r}")
    return doc
