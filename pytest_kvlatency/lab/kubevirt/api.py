"""A small client of the Kubernetes REST API: the only way by which the KubeVirt half knows the control plane."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import yaml

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

#: Pauses between tries of a request that met a conflict or an error of the server.
RETRY_PAUSES = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
_TRANSIENT = (409, 429, 500, 502, 503, 504)


class ApiStatusError(Exception):
    """The API answered with an error. ``code`` and ``reason`` are the Status'."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message

    @property
    def is_other_uid(self) -> bool:
        """Whether the object of this name is not the one that was meant."""
        return self.code == 409 and "UID in precondition" in self.message


@dataclass(frozen=True, kw_only=True)
class ResourcePath:
    """A kind's route."""

    group: str
    version: str
    plural: str

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the URL's path; without a namespace, that of all namespaces or of a cluster-wide kind."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/" + "/".join(parts)


NODES = ResourcePath(group="", version="v1", plural="nodes")
NAMESPACES = ResourcePath(group="", version="v1", plural="namespaces")
PODS = ResourcePath(group="", version="v1", plural="pods")
EVENTS = ResourcePath(group="", version="v1", plural="events")
NADS = ResourcePath(group="k8s.cni.cncf.io", version="v1", plural="network-attachment-definitions")
VMIS = ResourcePath(group="kubevirt.io", version="v1", plural="virtualmachineinstances")
MIGRATIONS = ResourcePath(group="kubevirt.io", version="v1", plural="virtualmachineinstancemigrations")
KUBEVIRTS = ResourcePath(group="kubevirt.io", version="v1", plural="kubevirts")


@dataclass(frozen=True, kw_only=True)
class WatchEvent:
    """A change of one object: ``type`` is ADDED, MODIFIED or DELETED."""

    type: str
    object: dict[str, Any]


class Api:
    """Requests as one user. Make it inside a running event loop; close it."""

    def __init__(self, server: str, token: str, tls: ssl.SSLContext) -> None:
        self._server = server.rstrip("/")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=64),
            headers={"Authorization": f"Bearer {token}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        )

    @classmethod
    def from_kubeconfig(cls, path: Path, token: str | None = None) -> Api:
        """Make a client for the kubeconfig's current context, with ``token`` instead of its user's, if given."""
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        current = config["current-context"]
        context = next(item["context"] for item in config["contexts"] if item["name"] == current)
        cluster = next(item["cluster"] for item in config["clusters"] if item["name"] == context["cluster"])
        user = next(item["user"] for item in config["users"] if item["name"] == context["user"])
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return cls(cluster["server"], token or user["token"], ssl.create_default_context(cadata=authority))

    async def close(self) -> None:
        """Close all connections, watches too."""
        await self._session.close()

    async def get(self, resource: ResourcePath, namespace: str, name: str) -> dict[str, Any] | None:
        """Return the object, or None where there is none."""
        try:
            return await self._request("GET", resource.path(namespace, name))
        except ApiStatusError as error:
            if error.code == 404:
                return None
            raise

    async def list(self, resource: ResourcePath) -> list[dict[str, Any]]:
        """Return all objects of a kind, of all namespaces."""
        found: list[dict[str, Any]] = (await self._request("GET", resource.path()))["items"]
        return found

    async def create(self, resource: ResourcePath, namespace: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object. One that is already there is a 409 like any other: ``ApiStatusError``."""
        return await self._request("POST", resource.path(namespace), body, retry_conflict=False)

    async def patch(
        self,
        resource: ResourcePath,
        namespace: str,
        name: str,
        body: Mapping[str, Any],
        subresource: str = "",
    ) -> dict[str, Any] | None:
        """Apply a merge patch; None when the object is gone, or is another than ``metadata.uid`` of the body says."""
        try:
            return await self._request("PATCH", resource.path(namespace, name, subresource), body)
        except ApiStatusError as error:
            if error.code == 404 or error.is_other_uid:
                return None
            raise

    async def delete(self, resource: ResourcePath, namespace: str, name: str, uid: str = "") -> None:
        """Delete an object at once, only if it has this uid; none being there is fine."""
        body: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            await self._request("DELETE", resource.path(namespace, name), body, retry_conflict=False)
        except ApiStatusError as error:
            if error.code not in (404, 409):
                raise

    async def watch(self, resource: ResourcePath) -> AsyncIterator[WatchEvent]:
        """Yield the objects that there are (as ADDED), then every change; survives lost connections.

        After a loss of the history (410) it lists again: what vanished meanwhile is reported as DELETED.
        """
        known: dict[str, dict[str, Any]] = {}
        while True:
            listed = await self._request("GET", resource.path())
            items = {item["metadata"]["uid"]: item for item in listed["items"]}
            for uid in [uid for uid in known if uid not in items]:
                yield WatchEvent(type="DELETED", object=known.pop(uid))
            for uid, item in items.items():
                before = known.get(uid)
                known[uid] = item
                if before is None:
                    yield WatchEvent(type="ADDED", object=item)
                elif before["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                    yield WatchEvent(type="MODIFIED", object=item)
            version = listed["metadata"]["resourceVersion"]
            async for event in self._stream(resource, version):
                uid = event.object["metadata"]["uid"]
                if event.type == "DELETED":
                    known.pop(uid, None)
                else:
                    known[uid] = event.object
                yield event

    async def _stream(self, resource: ResourcePath, version: str) -> AsyncIterator[WatchEvent]:
        """Yield changes since ``version`` until the history is lost or the server cannot be reached for long."""
        failures = 0
        while failures < len(RETRY_PAUSES):
            query = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
            try:
                async with self._session.get(self._server + resource.path(), params=query) as response:
                    if response.status != 200:
                        raise _status_error(response.status, await response.read())
                    buffer = b""
                    async for chunk in response.content.iter_any():
                        *lines, buffer = (buffer + chunk).split(b"\n")
                        for line in lines:
                            if not line.strip():
                                continue
                            event = json.loads(line)
                            if event["type"] == "ERROR":
                                return
                            failures = 0
                            version = event["object"]["metadata"]["resourceVersion"]
                            if event["type"] != "BOOKMARK":
                                yield WatchEvent(type=event["type"], object=event["object"])
            except ApiStatusError as error:
                if error.code == 410:
                    return
            except (aiohttp.ClientError, ConnectionError):
                pass
            await asyncio.sleep(RETRY_PAUSES[failures])
            failures += 1

    async def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, retry_conflict: bool = True
    ) -> dict[str, Any]:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": kind}
        for pause in (*RETRY_PAUSES, None):
            try:
                async with self._session.request(
                    method, self._server + path, data=data, headers=headers
                ) as response:
                    answer = await response.read()
                    if response.status < 300:
                        found: dict[str, Any] = json.loads(answer)
                        return found
                    error = _status_error(response.status, answer)
                    final = error.is_other_uid or (error.code == 409 and not retry_conflict)
                    if pause is None or final or error.code not in _TRANSIENT:
                        raise error
            except (aiohttp.ClientError, ConnectionError):
                if pause is None or self._session.closed:
                    raise
            await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")


def _status_error(code: int, body: bytes) -> ApiStatusError:
    try:
        status = json.loads(body)
        return ApiStatusError(code, str(status.get("reason", "")), str(status.get("message", "")))
    except (ValueError, AttributeError):
        return ApiStatusError(code, "", body.decode(errors="replace").strip())
