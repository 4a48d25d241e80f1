"""Bodies in and out: media types, JSON and YAML, and which form of an object a client asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from pytest_kvlatency.lab.apiserver import protobuf
from pytest_kvlatency.lab.apiserver.statuses import ApiError, bad_request
from pytest_kvlatency.lab.apiserver.store import encode

if TYPE_CHECKING:
    from aiohttp import web

#: As etcd's and the API server's own limit.
MAX_BODY = 3 * 1024 * 1024
#: Levels of nesting; the API server reads 10,000, which no object of the lab's kinds comes near.
MAX_DEPTH = 500
_TOO_DEEP = "couldn't get version/kind; json parse error: exceeded max depth"

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
JSON_TYPES = {"", "application/json", JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH}
_YAML = {"application/yaml", "application/x-yaml", "text/yaml", APPLY_PATCH}


@dataclass(frozen=True, kw_only=True)
class ResponseFormat:
    """What the ``Accept`` header asks for: ``as_`` is Table, PartialObjectMetadata(List) or ``""``."""

    as_: str = ""
    yaml: bool = False
    aggregated_discovery: bool = False
    protobuf: bool = False


def wanted(accept: str) -> ResponseFormat:
    """Return the first form in an ``Accept`` header that the server has. Errors: 406 is never given."""
    aggregated = "as=APIGroupDiscoveryList" in accept and (
        "v=v2;" in accept or accept.rstrip().endswith("v=v2")
    )
    for offer in accept.split(","):
        media, *parameters = [part.strip() for part in offer.split(";")]
        fields = dict(part.split("=", 1) for part in parameters if "=" in part)
        if media == "application/yaml":
            return ResponseFormat(yaml=True)
        if media == "application/json":
            as_ = fields.get("as", "")
            if as_ in {"Table", "PartialObjectMetadata", "PartialObjectMetadataList"}:
                if fields.get("v", "v1") != "v1":
                    continue
                return ResponseFormat(as_=as_.removesuffix("List"))
            if not as_:
                break
    return ResponseFormat(aggregated_discovery=aggregated, protobuf="openapi.spec.v2" in accept)


def media_type(request: web.BaseRequest) -> str:
    """Return the request's media type without parameters, in lower case."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


async def read_body(request: web.BaseRequest) -> bytes:
    """Return the body. Errors: 413."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_chunked(65536):
        size += len(chunk)
        if size > MAX_BODY:
            raise ApiError(413, f"Request entity too large: limit is {MAX_BODY}")
        chunks.append(chunk)
    return b"".join(chunks)


def decode(raw: bytes, media: str) -> Any:
    """Parse a body. Errors: 400, 415."""
    try:
        value = _parsed(raw, media)
    except RecursionError as error:
        raise bad_request(_TOO_DEEP) from error
    if _is_too_deep(value):
        raise bad_request(_TOO_DEEP)
    return value


def _is_too_deep(value: Any) -> bool:
    """Say whether a body that was parsed is nested deeper than the lab stores and sends."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for one in level
            if isinstance(one, (dict, list))
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def _parsed(raw: bytes, media: str) -> Any:
    if media in _YAML:
        try:
            return _plain(yaml.safe_load(raw))
        except yaml.YAMLError as error:
            raise bad_request(f"error converting YAML to JSON: {error}") from error
    if media in JSON_TYPES:
        try:
            return json.loads(raw)
        except ValueError as error:
            raise bad_request(f"couldn't get version/kind; json parse error: {error}") from error
    if media == protobuf.MEDIA_TYPE:
        try:
            return protobuf.decode(raw)
        except protobuf.UnsupportedBodyError as error:
            raise ApiError(415, f"the body of the request was in an unsupported format: {error}") from error
    raise ApiError(
        415,
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json, application/yaml",
    )


def _plain(value: Any) -> Any:
    """Make YAML's dates the strings that they were meant to be."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, type(None))) else str(value)


def render(value: Any, form: ResponseFormat) -> tuple[bytes, str]:
    """Return a document's bytes and media type."""
    if form.yaml:
        return yaml.safe_dump(value, sort_keys=False).encode(), "application/yaml"
    return encode(value), "application/json"
