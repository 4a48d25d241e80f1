"""The way of a request: who asks, what for, may they, does a fault strike; then the answer, and the record."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web

from pytest_kvlatency.lab.apiserver import fieldvalidation, negotiation, openapi, reqinfo, resources, schemas
from pytest_kvlatency.lab.apiserver import statuses as errors
from pytest_kvlatency.lab.apiserver.discovery import AGGREGATED
from pytest_kvlatency.lab.apiserver.faultgate import RestartPhase
from pytest_kvlatency.lab.apiserver.handlers import Handlers, ObjectRequest, dry_run, number
from pytest_kvlatency.lab.apiserver.impersonation import acting_user
from pytest_kvlatency.lab.apiserver.proxy import Proxy, Upstream, is_upgrade
from pytest_kvlatency.lab.apiserver.rbac import MASTERS
from pytest_kvlatency.lab.apiserver.registry import admit_all
from pytest_kvlatency.lab.apiserver.store import encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from pytest_kvlatency.lab.apiserver.admission import Admission
    from pytest_kvlatency.lab.apiserver.audit import AuditLog
    from pytest_kvlatency.lab.apiserver.authn import Authenticator, Identity
    from pytest_kvlatency.lab.apiserver.discovery import Discovery
    from pytest_kvlatency.lab.apiserver.faultgate import FaultGate
    from pytest_kvlatency.lab.apiserver.rbac import Authorizer, User
    from pytest_kvlatency.lab.apiserver.reqinfo import RequestInfo
    from pytest_kvlatency.lab.apiserver.reviews import Reviews

_LOG = logging.getLogger(__name__)

#: What anybody may ask, without credentials.
_OPEN_PATHS = {"/version", "/healthz", "/livez", "/readyz"}
#: Subresources of a pod that reach into its containers.
_STREAMS = {"attach", "exec", "portforward"}


@dataclass(kw_only=True)
class Parts:
    """All that answering needs; ``upstreams`` and ``pod_logs`` may change while the server runs."""

    authenticator: Authenticator
    authorizer: Authorizer
    admission: Admission
    handlers: Handlers
    reviews: Reviews
    discovery: Discovery
    gate: FaultGate
    proxy: Proxy
    audit: AuditLog
    clock: Callable[[], float]
    version: dict[str, str]
    server: str = ""
    upstreams: dict[tuple[str, str], Upstream]
    pod_logs: Callable[[str, str, str | None], Awaitable[bytes | None]] | None = None


class _Record:
    """Writes a request's audit line exactly once."""

    def __init__(self, parts: Parts, info: RequestInfo, *, dry_run: bool) -> None:
        self._parts = parts
        self._info = info
        self._dry_run = dry_run
        self._at = parts.clock()
        self._done = False
        self.user: str | None = None
        self._impersonator: str | None = None

    def acts_as(self, user: User) -> None:
        """Enter whose permissions count: another's than who asks, perhaps."""
        if user.name != self.user:
            self.user, self._impersonator = user.name, self.user

    def write(self, code: int) -> None:
        if not self._done:
            self._done = True
            self._parts.audit.record(
                self._info,
                user=self.user,
                impersonator=self._impersonator,
                code=code,
                at=self._at,
                dry_run=self._dry_run,
            )


class Application:
    """Answers requests; ``handle`` is what the HTTP server calls."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        #: Connections of users that stay open: watches and consoles.
        self._streams: set[asyncio.BaseTransport] = set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. Never raises but for a cancellation."""
        info = reqinfo.parse(request.method, request.rel_url.raw_path, request.query)
        record = _Record(self._parts, info, dry_run="dryRun" in request.query)
        form = negotiation.wanted(request.headers.get("Accept", ""))
        try:
            response = await self._answer(request, info, form, record)
        except errors.ApiError as error:
            response = _refusal(error, form)
        except errors.RouteNotFound:
            response = web.Response(status=404, text="404 page not found\n")
        except asyncio.CancelledError:
            record.write(0)
            raise
        except Exception as error:  # noqa: BLE001 - the boundary: whatever broke, the client gets a Status
            _LOG.exception("%s %s", request.method, request.path)
            response = _refusal(errors.ApiError(500, f"Internal error occurred: {error!r}"), form)
        record.write(response.status)
        return response

    async def _answer(
        self, request: web.BaseRequest, info: RequestInfo, form: negotiation.ResponseFormat, record: _Record
    ) -> web.StreamResponse:
        parts = self._parts
        identity = self._identify(request)
        record.user = identity.user.name if identity else None
        if identity is None:
            if info.path not in _OPEN_PATHS:
                raise errors.ApiError(401, "Unauthorized")
            return await self._plain(request, info, form, frozenset())
        user = acting_user(request.headers, identity.user, parts.authorizer)
        record.acts_as(user)
        own = identity.own and user is identity.user
        phase = RestartPhase.UP if own else parts.gate.restart(info)
        if phase is RestartPhase.STOPS:
            self._hang_up()
        struck = info.resource and not own
        if phase in (RestartPhase.STOPS, RestartPhase.DOWN) or (struck and parts.gate.reset(info)):
            # The request is taken in whole, so that the client meets the reset where it expects the answer.
            await negotiation.read_body(request)
            record.write(0)
            _reset(request)
        if struck and (pause := parts.gate.slow(info)):
            await asyncio.sleep(pause)
        is_unknown = phase is RestartPhase.STARTS and MASTERS not in user.groups
        if info.path not in _OPEN_PATHS and (is_unknown or not parts.authorizer.allows(user, info.access)):
            denial = info.access.denial(user)
            if not info.resource:
                raise errors.ApiError(403, f"forbidden: {denial}", details={})
            raise errors.forbidden(info.resource, info.group, info.name, denial)
        hidden = frozenset() if own else parts.gate.hidden_groups()
        if not info.resource:
            return await self._plain(request, info, form, hidden)
        if info.group in hidden:
            raise errors.RouteNotFound
        if struck:
            parts.gate.check(info)
        upstream = parts.upstreams.get((info.group, info.version))
        if upstream is not None:
            if is_upgrade(request):
                with self._streaming(request):
                    await parts.proxy.splice(request, user, upstream, record.write)
                return web.Response()
            body = await negotiation.read_body(request)
            return await parts.proxy.forward(request, user, upstream, body)
        return await self._resource(request, info, form, record, user, own=own)

    @contextlib.contextmanager
    def _streaming(self, request: web.BaseRequest) -> Iterator[None]:
        """Have this connection end when the server seems to be restarted."""
        transport = request.transport
        if transport is None:
            yield
            return
        self._streams.add(transport)
        try:
            yield
        finally:
            self._streams.discard(transport)

    def _hang_up(self) -> None:
        for transport in tuple(self._streams):
            cast("asyncio.Transport", transport).abort()

    # Who asks

    def _identify(self, request: web.BaseRequest) -> Identity | None:
        peer = request.transport.get_extra_info("peercert") if request.transport else None
        return self._parts.authenticator.authenticate(request.headers.get("Authorization"), peer)

    # Requests for no resource

    async def _plain(
        self,
        request: web.BaseRequest,
        info: RequestInfo,
        form: negotiation.ResponseFormat,
        hidden: frozenset[str],
    ) -> web.Response:
        path = info.path.rstrip("/") or "/"
        if request.method not in {"GET", "HEAD"}:
            raise errors.RouteNotFound
        if path in {"/healthz", "/livez", "/readyz"}:
            return web.Response(text="ok")
        if path == "/openapi/v2" and form.protobuf:
            return web.Response(body=openapi.V2_PROTOBUF, headers={"Content-Type": openapi.V2_PROTOBUF_TYPE})
        aggregated = form.aggregated_discovery and path in {"/api", "/apis"}
        if aggregated:
            found = self._parts.discovery.aggregated(core=path == "/api", hidden=hidden)
            return web.Response(body=encode(found), headers={"Content-Type": AGGREGATED})
        if path.startswith("/openapi/v3/"):
            document = await asyncio.to_thread(
                openapi.v3, path.removeprefix("/openapi/v3/"), self._parts.version["gitVersion"]
            )
        else:
            document = self._document(path, hidden)
        if document is None:
            raise errors.RouteNotFound
        body, media = negotiation.render(document, form)
        return web.Response(body=body, content_type=media)

    def _document(self, path: str, hidden: frozenset[str]) -> dict[str, Any] | None:
        parts = self._parts
        steps = path.strip("/").split("/")
        if path == "/version":
            return dict(parts.version)
        if path == "/api":
            return parts.discovery.api_versions(parts.server.removeprefix("https://"))
        if path == "/apis":
            return parts.discovery.group_list(hidden)
        if path == "/openapi/v2":
            return openapi.v2(parts.version["gitVersion"])
        if path == "/openapi/v3":
            return openapi.v3_index()
        if steps[0] == "api" and len(steps) == 2:
            return parts.discovery.resource_list("", steps[1], hidden)
        if steps[0] == "apis" and len(steps) == 2:
            return parts.discovery.group(steps[1], hidden)
        if steps[0] == "apis" and len(steps) == 3:
            return parts.discovery.resource_list(steps[1], steps[2], hidden)
        return None

    # Requests for resources

    async def _resource(
        self,
        request: web.BaseRequest,
        info: RequestInfo,
        form: negotiation.ResponseFormat,
        record: _Record,
        user: User,
        *,
        own: bool,
    ) -> web.StreamResponse:
        parts = self._parts
        review = resources.virtual(info.group, info.version, info.resource)
        if review is not None:
            if info.verb != "create" or info.name:
                raise errors.ApiError(405, "the server does not allow this method on the requested resource")
            body = negotiation.decode(await negotiation.read_body(request), negotiation.media_type(request))
            answer, media = negotiation.render(
                parts.reviews.answer(review.kind, user, body, info.namespace), form
            )
            return web.Response(status=201, body=answer, content_type=media)
        resource = resources.by_plural(info.group, info.version, info.resource)
        if resource is None or (
            info.namespace and not resource.namespaced and resource is not resources.NAMESPACES
        ):
            raise errors.RouteNotFound
        raw = await negotiation.read_body(request)
        media = negotiation.media_type(request)
        if resource is resources.SERVICEACCOUNTS and info.subresource == "token" and info.verb == "create":
            body = negotiation.decode(raw, media) if raw else {}
            answer, media = negotiation.render(
                parts.reviews.service_account_token(info.namespace, info.name, body), form
            )
            return web.Response(status=201, body=answer, content_type=media)
        if resource is resources.PODS and info.subresource == "log" and info.verb == "get":
            return await self._log(info, request.query)
        if resource is resources.PODS and info.subresource in _STREAMS:
            self._parts.handlers.require_pod(info.namespace, info.name)
            raise errors.bad_request(
                f"pods/{info.subresource}: no containers run in the lab's pods: use the console of the VMI"
            )
        admit = admit_all if own else partial(parts.admission.check, user, resource)
        call = ObjectRequest(
            info=info,
            resource=resource,
            query=request.query,
            form=form,
            media=media,
            body=raw,
            admit=admit,
            manager=None if own else _manager(request),
        )
        if info.verb == "watch":
            if own:
                return await self._watch(request, call, record)
            with self._streaming(request):
                return await self._watch(request, call, record)
        warnings = await self._validate_fields(call)
        if not own and info.verb == "create" and not info.subresource:
            parts.gate.admit(info, negotiation.decode(raw, media), is_dry_run=dry_run(call.query))
        response = parts.handlers.serve(call)
        for warning in warnings:
            response.headers.add("Warning", warning)
        return response

    @staticmethod
    async def _validate_fields(call: ObjectRequest) -> list[str]:
        """Look at a body's fields as ``fieldValidation`` asks; the warnings for it. Errors: 400, 422."""
        verb = call.info.verb
        level = fieldvalidation.level_of(call.query, verb)
        if (
            level == "Ignore"
            or verb not in {"create", "update", "patch"}
            or call.media == negotiation.JSON_PATCH
        ):
            return []
        # Kubernetes' own schemas take most of a second to load, once.
        top = await asyncio.to_thread(schemas.definition_of, call.resource)
        faults = fieldvalidation.faults_of(call.body, call.media, top)
        if faults and level == "Strict":
            body = negotiation.decode(call.body, call.media)
            raise fieldvalidation.refusal(call.resource, verb, body, faults)
        return fieldvalidation.warnings(faults)

    async def _log(self, info: RequestInfo, query: Mapping[str, str]) -> web.Response:
        container = query.get("container")
        tail, limit = number(query, "tailLines"), number(query, "limitBytes")
        provider = self._parts.pod_logs
        text = await provider(info.namespace, info.name, container) if provider else None
        if text is None:
            self._parts.handlers.require_pod(info.namespace, info.name)
            if container:
                raise errors.bad_request(f"container {container} is not valid for pod {info.name}")
            text = b""
        if tail is not None:
            text = b"".join(text.splitlines(keepends=True)[-tail:] if tail > 0 else [])
        return web.Response(body=text if limit is None else text[:limit], content_type="text/plain")

    async def _watch(
        self, request: web.BaseRequest, call: ObjectRequest, record: _Record
    ) -> web.StreamResponse:
        watch = self._parts.handlers.watch(call)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        # A client that is gone needs no answer.
        with contextlib.suppress(ConnectionResetError):
            await response.prepare(request)
            record.write(200)
            async for chunk in watch.events():
                await response.write(chunk)
            await response.write_eof()
        return response


def _manager(request: web.BaseRequest) -> str:
    """Return who owns what a request changes: as it says itself, else what its client is called."""
    return (
        request.query.get("fieldManager")
        or request.headers.get("User-Agent", "").partition("/")[0]
        or "unknown"
    )


def _refusal(error: errors.ApiError, form: negotiation.ResponseFormat) -> web.Response:
    body, media = negotiation.render(error.status(), replace(form, as_=""))
    response = web.Response(status=error.code, body=body, content_type=media)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _reset(request: web.BaseRequest) -> None:
    """End the connection so that the client sees a reset, and nothing else."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    raise asyncio.CancelledError
