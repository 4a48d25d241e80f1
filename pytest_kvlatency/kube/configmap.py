"""The checkup's ConfigMap: read its parameters, write its ``status.*`` keys and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from pytest_kvlatency.deadline import Backoff, Deadline
from pytest_kvlatency.errors import PermissionDeniedError
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.apierrors import (
    ConfigMapError,
    ConfigMapImmutableError,
    ConfigMapMissingError,
    ConfigMapTooLargeError,
    KubeApiError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.model import ConfigMapRef

    #: Judges what is there after a conflict: True where the write was obeyed already, though its answer was lost.
    Judge = Callable[["ConfigMapData"], bool]

_STATUS: Final = "status."
PAUSES: Final = Backoff(first=0.05, longest=1.0)


@dataclass(frozen=True, kw_only=True)
class ConfigMapData:
    """A ConfigMap as read; ``data`` is empty when it holds none."""

    ref: ConfigMapRef
    data: Mapping[str, str]
    uid: str
    resource_version: str
    immutable: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    whole: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def owners(self, key: str) -> frozenset[str]:
        """The names under which a key was written; empty where the API server keeps no record of that."""
        entries = (self.whole.get("metadata") or {}).get("managedFields") or []
        return frozenset(
            str(entry.get("manager"))
            for entry in entries
            if f"f:{key}" in ((entry.get("fieldsV1") or {}).get("f:data") or {})
        )


class ConfigMaps:
    """Reads and writes ConfigMaps; remembers whether it may patch. Thread-safe for different ConfigMaps."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._may_patch = True

    def read(self, ref: ConfigMapRef, deadline: Deadline) -> ConfigMapData:
        """Read it. Raises ``ConfigMapMissingError``, ``PermissionDeniedError``."""
        try:
            return _data(ref, self._client.request("GET", _path(ref), deadline=deadline))
        except KubeApiError as error:
            if error.status != 404:
                raise
            raise ConfigMapMissingError(
                f"ConfigMap {ref} does not exist",
                hint="Create it, or name another with --kv-configmap NS/NAME.",
            ) from error

    def write_status(
        self,
        last: ConfigMapData,
        changes: Mapping[str, str | None],
        deadline: Deadline,
        *,
        judge: Judge | None = None,
        manager: str = "",
    ) -> ConfigMapData:
        """Write ``status.*`` keys (None removes one) to the ConfigMap read as ``last``; return it as it is then.

        A merge patch where patching is permitted, else an update that reads again and retries on a conflict. Other
        keys stay as they are. A ConfigMap of the same name but another uid is not written to.
        With ``judge`` nothing is written to what others have changed meanwhile before ``judge`` has seen that: it
        returns whether the write was obeyed already, and raises ``KvLatencyError`` where it must not be made.
        ``manager`` is the name under which the API server records who wrote the keys (its ``fieldManager``).

        Raises ``ConfigMapMissingError``, ``ConfigMapImmutableError``, ``ConfigMapTooLargeError``,
        ``PermissionDeniedError``, ``ValueError`` for a key that is no status key.
        """
        foreign = [key for key in changes if not key.startswith(_STATUS)]
        if foreign:
            raise ValueError(f"only status.* keys are written, not {foreign}")
        if last.immutable:
            raise ConfigMapImmutableError(
                f"ConfigMap {last.ref} is immutable, so the result cannot be written to it",
                hint="Recreate it without `immutable: true`.",
            )
        try:
            if self._may_patch:
                try:
                    return self._write("PATCH", last, changes, deadline, judge, manager)
                except PermissionDeniedError:
                    self._may_patch = False
            return self._write("PUT", last, changes, deadline, judge, manager)
        except KubeApiError as error:
            raise _typed(last.ref, error) from error

    def _write(
        self,
        method: Literal["PATCH", "PUT"],
        last: ConfigMapData,
        changes: Mapping[str, str | None],
        deadline: Deadline,
        judge: Judge | None,
        manager: str,
    ) -> ConfigMapData:
        pauses = iter(PAUSES)
        current = last
        while True:
            if method == "PATCH":
                body = _patched(current, changes, is_strict=judge is not None)
            else:
                body = _updated(current, changes)
            query = {"fieldManager": manager} if manager else None
            try:
                answer = self._client.request(
                    method, _path(last.ref), body=body, query=query, deadline=deadline
                )
                return _data(last.ref, answer)
            except KubeApiError as error:
                if error.status != 409:
                    raise
            current = self._read_again(last, next(pauses), deadline)
            if judge is not None and judge(current):
                return current

    def _read_again(self, last: ConfigMapData, pause: float, deadline: Deadline) -> ConfigMapData:
        """Read it after a conflict. Raises ``ConfigMapError`` when it is another one now, or immutable.

        Those who were faster have ``pause`` seconds to finish.
        """
        deadline.pause(pause, f"ConfigMap {last.ref}, which other clients keep changing")
        current = self.read(last.ref, deadline)
        if current.uid != last.uid:
            raise ConfigMapMissingError(
                f"ConfigMap {last.ref} was deleted and recreated while the checkup ran"
            )
        if current.immutable:
            raise ConfigMapImmutableError(f"ConfigMap {last.ref} became immutable during the checkup")
        return current


def _path(ref: ConfigMapRef) -> str:
    return paths.namespaced(paths.CORE, ref.namespace, "configmaps", ref.name)


def _patched(current: ConfigMapData, changes: Mapping[str, str | None], *, is_strict: bool) -> dict[str, Any]:
    """A merge patch; ``is_strict``: only for what nobody else has changed meanwhile."""
    # The uid makes it a conflict if the ConfigMap was made anew meanwhile. A server that keeps meeting changes of
    # others while it applies the patch says conflict too: look which it was.
    metadata = {"uid": current.uid}
    if is_strict:
        metadata["resourceVersion"] = current.resource_version
    return {"metadata": metadata, "data": dict(changes)}


def _updated(current: ConfigMapData, changes: Mapping[str, str | None]) -> dict[str, Any]:
    """The whole, changed."""
    data = {**current.data, **changes}
    return {**current.whole, "data": {key: value for key, value in data.items() if value is not None}}


def _data(ref: ConfigMapRef, item: Mapping[str, Any]) -> ConfigMapData:
    metadata = item.get("metadata") or {}
    return ConfigMapData(
        ref=ref,
        data=dict(item.get("data") or {}),
        uid=str(metadata.get("uid") or ""),
        resource_version=str(metadata.get("resourceVersion") or ""),
        immutable=bool(item.get("immutable")),
        labels=dict(metadata.get("labels") or {}),
        whole=item,
    )


def _typed(ref: ConfigMapRef, error: KubeApiError) -> ConfigMapError:
    if error.status == 404:
        return ConfigMapMissingError(f"ConfigMap {ref} was deleted while the checkup ran")
    if error.status == 413 or "Too long" in error.message or "must have at most" in error.message:
        return ConfigMapTooLargeError(f"ConfigMap {ref} would be too large with the result: {error.message}")
    if "immutable" in error.message:
        return ConfigMapImmutableError(f"ConfigMap {ref} is immutable: {error.message}")
    return ConfigMapError(f"cannot write ConfigMap {ref}: {error.message or error.reason}", hint=error.hint)
