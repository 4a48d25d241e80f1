"""Requests for stored kinds: from query and body to the registry, and from objects to the answer."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from aiohttp import web

from pytest_kvlatency.lab.apiserver import negotiation, ownership, resources
from pytest_kvlatency.lab.apiserver import statuses as errors
from pytest_kvlatency.lab.apiserver.patch import json_patch, merge
from pytest_kvlatency.lab.apiserver.printing import partial, table
from pytest_kvlatency.lab.apiserver.registry import DeleteOptions, Registry, untracked
from pytest_kvlatency.lab.apiserver.selectors import field_selector, label_selector
from pytest_kvlatency.lab.apiserver.store import Stored, encode
from pytest_kvlatency.lab.apiserver.strategic import strategic_merge
from pytest_kvlatency.lab.apiserver.watches import WatchOptions, WatchStream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_kvlatency.lab.apiserver.negotiation import ResponseFormat
    from pytest_kvlatency.lab.apiserver.registry import Admission, Tracking
    from pytest_kvlatency.lab.apiserver.reqinfo import RequestInfo
    from pytest_kvlatency.lab.apiserver.resources import Resource


class _WriteHooks(TypedDict):
    admit: Admission
    track: Tracking


_PROPAGATION = {"Foreground", "Background", "Orphan"}


def number(query: Mapping[str, str], key: str) -> int | None:
    """Return a number of the query, None without one. Errors: 400."""
    text = query.get(key, "")
    if not text:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise errors.bad_request(f"{key}: {text!r} is not a number") from error


def _flag(query: Mapping[str, str], key: str) -> bool:
    return query.get(key, "").lower() in {"1", "t", "true"}


def dry_run(query: Mapping[str, str], body: Any = None) -> bool:
    """Say whether nothing is to be stored. Errors: 400 for anything but ``All``."""
    given = query.get("dryRun") or ""
    if not given and isinstance(body, dict):
        given = ",".join(body.get("dryRun") or ())
    if given not in {"", "All"}:
        raise errors.bad_request(f'dryRun: Unsupported value: "{given}": supported values: "All"')
    return given == "All"


@dataclass(frozen=True, kw_only=True)
class ObjectRequest:
    """One request for a stored kind."""

    info: RequestInfo
    resource: Resource
    query: Mapping[str, str]
    form: ResponseFormat
    media: str
    body: bytes
    #: Raises the refusal of what is about to be stored, given its old state (None: a new object) and its new one.
    admit: Admission
    #: Who owns what the request changes; None for the lab's own parts, whose fields have no owner.
    manager: str | None


class Handlers:
    """Serves one kind of request per method; ``serve`` chooses."""

    def __init__(self, registry: Registry, clock: Callable[[], float]) -> None:
        self._registry = registry
        self._store = registry.store
        self._clock = clock

    def serve(self, call: ObjectRequest) -> web.Response:
        """Answer anything but a watch."""
        info = call.info
        if info.subresource and not (info.subresource == "status" and call.resource.status):
            raise errors.RouteNotFound
        namespace = info.namespace if call.resource.namespaced else ""
        if call.resource.namespaced and not namespace and info.verb != "list":
            raise errors.ApiError(405, "the server does not allow this method on the requested resource")
        methods = {
            "get": self._get,
            "list": self._list,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }
        method = methods.get(info.verb)
        wrong = info.verb == "create" and bool(info.name)
        if method is None or wrong or (info.verb in {"update", "patch"} and not info.name):
            raise errors.ApiError(405, "the server does not allow this method on the requested resource")
        return method(call, namespace)

    def require_pod(self, namespace: str, name: str) -> None:
        """Do nothing if the pod is there. Errors: 404."""
        self._registry.get(resources.PODS, namespace, name)

    # Reading

    def _versioned(self, call: ObjectRequest, obj: dict[str, Any]) -> dict[str, Any]:
        if call.info.version == call.resource.versions[0]:
            return obj
        return {**obj, "apiVersion": resources.group_version(call.resource.group, call.info.version)}

    def _rendered(self, call: ObjectRequest, stored: Stored) -> bytes:
        """Return an object's JSON; the stored one is reused wherever it is what was asked for."""
        if call.form.as_ == "Table":
            return encode(self._table(call, [stored.obj], {"resourceVersion": str(stored.rv)}))
        if call.form.as_ == "PartialObjectMetadata":
            return encode(partial(stored.obj))
        if call.info.version == call.resource.versions[0]:
            return stored.json
        return encode(self._versioned(call, stored.obj))

    def _table(
        self, call: ObjectRequest, objects: list[dict[str, Any]], meta: dict[str, Any]
    ) -> dict[str, Any]:
        include = call.query.get("includeObject", "Metadata")
        shown = [self._versioned(call, obj) for obj in objects] if include == "Object" else objects
        return table(call.resource, shown, now=self._clock(), include=include, meta=meta)

    def _one(self, call: ObjectRequest, stored: Stored, code: int = 200) -> web.Response:
        if call.form.yaml:
            return _document(self._versioned(call, stored.obj), call.form, code)
        return web.Response(status=code, body=self._rendered(call, stored), content_type="application/json")

    def _get(self, call: ObjectRequest, namespace: str) -> web.Response:
        return self._one(call, self._registry.get(call.resource, namespace, call.info.name))

    def _matches(self, call: ObjectRequest) -> Callable[[dict[str, Any]], bool] | None:
        labels = label_selector(call.query.get("labelSelector", ""))
        fields = field_selector(call.query.get("fieldSelector", ""), call.resource.key)
        name = call.info.name
        tests = [test for test in (labels, fields) if test is not None]
        if name:
            tests.append(lambda obj: bool(obj["metadata"]["name"] == name))
        if not tests:
            return None
        return lambda obj: all(test(obj) for test in tests)

    def _selected(self, call: ObjectRequest, namespace: str) -> list[Stored]:
        matches = self._matches(call)
        found = self._store.all(call.resource, namespace)
        return [stored for stored in found if matches is None or matches(stored.obj)]

    def _list(self, call: ObjectRequest, namespace: str) -> web.Response:
        found = self._selected(call, namespace)
        meta: dict[str, Any] = {"resourceVersion": str(self._store.rv)}
        limit = number(call.query, "limit")
        if token := call.query.get("continue", ""):
            last = _continue_after(token)
            found = [stored for stored in found if _place(stored) > last]
        if limit and len(found) > limit:
            meta["remainingItemCount"] = len(found) - limit
            found = found[:limit]
            meta["continue"] = base64.urlsafe_b64encode(encode(_place(found[-1]))).decode()
        if call.form.as_ == "Table":
            return _document(self._table(call, [stored.obj for stored in found], meta), call.form)
        kind, api_version = (
            f"{call.resource.kind}List",
            resources.group_version(call.info.group, call.info.version),
        )
        if call.form.as_:
            kind, api_version = "PartialObjectMetadataList", "meta.k8s.io/v1"
        if call.form.yaml:
            items = [self._versioned(call, stored.obj) for stored in found]
            whole = {"kind": kind, "apiVersion": api_version, "metadata": meta, "items": items}
            return _document(whole, call.form)
        head = encode({"kind": kind, "apiVersion": api_version, "metadata": meta})[:-1]
        rendered = b",".join(self._rendered(call, stored) for stored in found)
        body = head + b',"items":[' + rendered + b"]}"
        return web.Response(body=body, content_type="application/json")

    def watch(self, call: ObjectRequest) -> WatchStream:
        """Prepare a watch. Errors: 400."""
        revision = call.query.get("resourceVersion", "")
        initial = _flag(call.query, "sendInitialEvents")
        since = number(call.query, "resourceVersion") if revision not in {"", "0"} and not initial else None
        seconds = number(call.query, "timeoutSeconds")
        options = WatchOptions(
            namespace=call.info.namespace if call.resource.namespaced else "",
            matches=self._matches(call),
            since=since,
            # As the API server: half an hour to an hour, so that not all come back at once.
            seconds=float(seconds) if seconds else random.uniform(1800, 3600),  # noqa: S311
            bookmarks=_flag(call.query, "allowWatchBookmarks"),
            initial_events=initial,
        )
        return WatchStream(self._store, call.resource, options, lambda stored: self._rendered(call, stored))

    # Writing

    def _create(self, call: ObjectRequest, namespace: str) -> web.Response:
        body = negotiation.decode(call.body, call.media)
        stored = self._registry.create(
            call.resource, namespace, body, dry_run=dry_run(call.query), **self._rules(call)
        )
        return self._one(call, stored, 201)

    def _update(self, call: ObjectRequest, namespace: str) -> web.Response:
        body = negotiation.decode(call.body, call.media)
        stored = self._registry.update(
            call.resource,
            namespace,
            call.info.name,
            body,
            subresource=call.info.subresource,
            dry_run=dry_run(call.query),
            **self._rules(call),
        )
        return self._one(call, stored)

    def _patch(self, call: ObjectRequest, namespace: str) -> web.Response:
        accepted = [negotiation.JSON_PATCH, negotiation.MERGE_PATCH, negotiation.APPLY_PATCH]
        if not call.resource.custom:
            accepted.insert(2, negotiation.STRATEGIC_PATCH)
        if call.media not in accepted:
            raise errors.ApiError(
                415,
                "the body of the request was in an unknown format - accepted media types include: "
                + ", ".join(accepted),
            )
        patch = negotiation.decode(call.body, call.media)
        dry = dry_run(call.query)
        if call.media == negotiation.APPLY_PATCH:
            return self._apply(call, namespace, patch, dry=dry)
        old = self._registry.get(call.resource, namespace, call.info.name)
        stored = self._registry.update(
            call.resource,
            namespace,
            call.info.name,
            self._patched(call, self._versioned(call, old.obj), patch),
            subresource=call.info.subresource,
            dry_run=dry,
            **self._rules(call),
        )
        return self._one(call, stored)

    @staticmethod
    def _patched(call: ObjectRequest, current: dict[str, Any], patch: Any) -> Any:
        if call.media == negotiation.JSON_PATCH:
            return json_patch(current, patch)
        if not isinstance(patch, dict):
            raise errors.bad_request(f"a patch is an object, not {type(patch).__name__}")
        if call.media == negotiation.MERGE_PATCH:
            return merge(current, patch)
        return strategic_merge(current, patch)

    def _apply(self, call: ObjectRequest, namespace: str, config: Any, *, dry: bool) -> web.Response:
        """Apply on the server's side: create, or merge what the manager wants. Errors: 400, 409, 422."""
        if not isinstance(config, dict):
            raise errors.bad_request(f"a patch is an object, not {type(config).__name__}")
        if not call.query.get("fieldManager"):
            text = "Required value: is required for apply patch"
            cause = errors.Cause(field="fieldManager", detail=text, reason="FieldValueRequired")
            raise errors.invalid("PatchOptions", "meta.k8s.io", "", [cause])
        given = config.get("metadata") or {}
        if given.get("managedFields"):
            raise errors.bad_request("metadata.managedFields must be nil")
        config = {**config, "metadata": {**given, "name": call.info.name}}
        old = self._store.get(call.resource, namespace, call.info.name)
        merged = ownership.apply(
            call.resource,
            None if old is None else self._versioned(call, old.obj),
            config,
            self._writer(call),
            force=_flag(call.query, "force"),
        )
        owners = merged["metadata"].pop("managedFields")
        rules: _WriteHooks = {"admit": call.admit, "track": lambda _old, _new: owners}
        if old is None:
            made = self._registry.create(call.resource, namespace, merged, dry_run=dry, **rules)
            return self._one(call, made, 201)
        stored = self._registry.update(
            call.resource,
            namespace,
            call.info.name,
            merged,
            subresource=call.info.subresource,
            dry_run=dry,
            **rules,
        )
        return self._one(call, stored)

    def _writer(self, call: ObjectRequest) -> ownership.FieldManager:
        return ownership.FieldManager(
            manager=call.manager or "unknown", now=self._registry.now(), subresource=call.info.subresource
        )

    def _rules(self, call: ObjectRequest) -> _WriteHooks:
        """How what a client writes is judged, and whom its fields belong to then."""
        if call.manager is None:
            return {"admit": call.admit, "track": untracked}
        writer = self._writer(call)
        return {
            "admit": call.admit,
            "track": lambda old, new: ownership.after_update(call.resource, old, new, writer),
        }

    # Deleting

    def _options(self, call: ObjectRequest) -> DeleteOptions:
        body = negotiation.decode(call.body, call.media) if call.body.strip() else {}
        if not isinstance(body, dict):
            raise errors.bad_request("DeleteOptions: an object is expected")
        preconditions = body.get("preconditions") or {}
        propagation = body.get("propagationPolicy") or call.query.get("propagationPolicy") or None
        if propagation is not None and propagation not in _PROPAGATION:
            supported = ", ".join(f'"{item}"' for item in sorted(_PROPAGATION))
            cause = errors.Cause(
                field="propagationPolicy",
                detail=f'Unsupported value: "{propagation}": supported values: {supported}',
                reason="FieldValueNotSupported",
            )
            raise errors.invalid("DeleteOptions", "meta.k8s.io", "", [cause])
        grace = body.get("gracePeriodSeconds")
        return DeleteOptions(
            uid=preconditions.get("uid"),
            resource_version=preconditions.get("resourceVersion"),
            propagation=propagation,
            grace_seconds=number(call.query, "gracePeriodSeconds") if grace is None else int(grace),
            dry_run=dry_run(call.query, body),
        )

    def _delete(self, call: ObjectRequest, namespace: str) -> web.Response:
        stored, gone = self._registry.delete(call.resource, namespace, call.info.name, self._options(call))
        if not gone or call.resource is resources.PODS:
            return self._one(call, stored)
        meta = stored.obj["metadata"]
        details = {"name": meta["name"], "kind": call.resource.plural, "uid": meta["uid"]}
        if call.resource.group:
            details["group"] = call.resource.group
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }
        return _document(status, call.form)

    def _delete_collection(self, call: ObjectRequest, namespace: str) -> web.Response:
        options = self._options(call)
        found = self._selected(call, namespace)
        for stored in found:
            meta = stored.obj["metadata"]
            self._registry.delete(call.resource, meta.get("namespace", ""), meta["name"], options)
        body = {
            "kind": f"{call.resource.kind}List",
            "apiVersion": resources.group_version(call.info.group, call.info.version),
            "metadata": {"resourceVersion": str(self._store.rv)},
            "items": [self._versioned(call, stored.obj) for stored in found],
        }
        return _document(body, call.form)


def _document(value: Any, form: ResponseFormat, code: int = 200) -> web.Response:
    body, media = negotiation.render(value, form)
    return web.Response(status=code, body=body, content_type=media)


def _place(stored: Stored) -> list[str]:
    return [stored.obj["metadata"].get("namespace", ""), stored.obj["metadata"]["name"]]


def _continue_after(token: str) -> list[str]:
    try:
        place = json.loads(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise errors.bad_request(f"continue key is not valid: {error}") from error
    if not isinstance(place, list) or len(place) != 2:
        raise errors.bad_request("continue key is not valid: a namespace and a name are expected")
    return [str(item) for item in place]
