"""What ``fieldValidation`` asks for: fields that a kind does not have, and fields given twice, are refused or told.

Texts are those of the API server (``apimachinery/pkg/runtime/error.go`` and the create, update and patch handlers).
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.lab.apiserver import negotiation
from pytest_kvlatency.lab.apiserver import statuses as errors
from pytest_kvlatency.lab.apiserver.schemas import unknown_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_kvlatency.lab.apiserver.resources import Resource
    from pytest_kvlatency.lab.apiserver.schemas import Definition

_LEVELS: Final = ("Ignore", "Warn", "Strict")
_OPTIONS: Final = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}
_SHOWN: Final = 10


def level_of(query: Mapping[str, str], verb: str) -> str:
    """Return Ignore, Warn or Strict; without the parameter fields are not looked at. Errors: 422."""
    given = query.get("fieldValidation") or "Ignore"
    if given not in _LEVELS:
        supported = ", ".join(f'"{level}"' for level in _LEVELS)
        cause = errors.Cause(
            field="fieldValidation",
            detail=f'Unsupported value: "{given}": supported values: {supported}',
            reason="FieldValueNotSupported",
        )
        raise errors.invalid(_OPTIONS.get(verb, "Options"), "meta.k8s.io", "", [cause])
    return given


def faults_of(raw: bytes, media: str, top: Definition | None) -> list[str]:
    """Return what is wrong with a body's fields: ``unknown field "spec.x"``. Errors: 400, 415 as for any body."""
    body = negotiation.decode(raw, media)
    found = [f'duplicate field "{path}"' for path in _duplicates(raw, media)]
    if top is not None:
        # A strategic merge patch has directives ($patch, $setElementOrder/…) among its fields.
        is_strategic = media == negotiation.STRATEGIC_PATCH
        paths = (path for path in unknown_fields(body, top) if not (is_strategic and "$" in path))
        found += [f'unknown field "{path}"' for path in paths]
    return found


def refusal(resource: Resource, verb: str, body: Any, faults: list[str]) -> errors.ApiError:
    """Return the refusal of a body by ``fieldValidation=Strict``."""
    more = [f"and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
    told = f"strict decoding error: {', '.join([*faults[:_SHOWN], *more])}"
    if verb == "patch":
        return errors.invalid(
            "",
            "",
            "",
            [errors.Cause(field="patch", detail=f"Invalid value: {json.dumps(json.dumps(body))}: {told}")],
        )
    version = resource.versions[0]
    return errors.bad_request(
        f'{resource.kind} in version "{version}" cannot be handled as a {resource.kind}: {told}'
    )


def warnings(faults: list[str]) -> list[str]:
    """Return the ``Warning`` headers of ``fieldValidation=Warn`` (RFC 7234: code 299, no agent)."""
    return [f"299 - {json.dumps(fault)}" for fault in faults]


class _Object(dict[str, Any]):
    """A JSON object that knows which of its keys came twice."""

    repeated: tuple[str, ...] = ()


def _read(pairs: list[tuple[str, Any]]) -> _Object:
    found = _Object(pairs)
    if len(found) < len(pairs):
        found.repeated = tuple(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    return found


def _duplicates(raw: bytes, media: str) -> Iterator[str]:
    if media not in negotiation.JSON_TYPES or not raw.strip():
        return
    left = [("", json.loads(raw, object_pairs_hook=_read))]
    while left:
        path, value = left.pop()
        if isinstance(value, list):
            left += [(f"{path}[{index}]", item) for index, item in enumerate(value)]
        elif isinstance(value, _Object):
            yield from (f"{path}.{key}".lstrip(".") for key in value.repeated)
            left += [(f"{path}.{key}".lstrip("."), item) for key, item in value.items()]
