"""What runs in the background: garbage collection by owner, the end of namespaces, default ServiceAccounts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.lab.apiserver import resources
from pytest_kvlatency.lab.apiserver.registry import FOREGROUND, ORPHAN, DeleteOptions
from pytest_kvlatency.lab.apiserver.statuses import ApiError

if TYPE_CHECKING:
    from pytest_kvlatency.lab.apiserver.registry import Registry
    from pytest_kvlatency.lab.apiserver.resources import Resource
    from pytest_kvlatency.lab.apiserver.store import Change

#: Seconds between a change and the collector's look at it: as in a cluster, never within the request itself.
_DELAY = 0.05

Key = tuple[tuple[str, str], str, str]


class Controllers:
    """Reacts to changes; ``start`` needs a running event loop."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._store = registry.store
        self._uids: dict[str, Key] = {}
        self._dependents: dict[str, set[Key]] = {}
        self._suspects: set[Key] = set()
        self._finalizing: set[Key] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._store.on_change.append(self._changed)

    def stop(self) -> None:
        """End all background work."""
        self._store.on_change.remove(self._changed)
        if self._timer is not None:
            self._timer.cancel()

    def _changed(self, resource: Resource, change: Change) -> None:
        meta = change.after.obj["metadata"]
        key = (resource.key, change.namespace, change.name)
        for owner in (change.before or {}).get("metadata", {}).get("ownerReferences") or ():
            self._dependents.get(owner.get("uid"), set()).discard(key)
        if change.type == "DELETED":
            self._uids.pop(meta["uid"], None)
            self._finalizing.discard(key)
            self._suspects |= self._dependents.get(meta["uid"], set())
            # A foreground owner may be waiting for this one.
            for owner in meta.get("ownerReferences") or ():
                if owner.get("uid") in self._uids:
                    self._finalizing.add(self._uids[owner["uid"]])
        else:
            self._uids[meta["uid"]] = key
            for owner in meta.get("ownerReferences") or ():
                self._dependents.setdefault(owner.get("uid"), set()).add(key)
                self._suspects.add(key)
            if {FOREGROUND, ORPHAN} & set(meta.get("finalizers") or ()) and meta.get("deletionTimestamp"):
                self._finalizing.add(key)
            if resource is resources.NAMESPACES:
                self._namespace(change.name, meta)
        terminating = (
            self._store.get(resources.NAMESPACES, "", change.namespace) if change.namespace else None
        )
        if terminating is not None and terminating.obj["metadata"].get("deletionTimestamp"):
            self._finalizing.add((resources.NAMESPACES.key, "", change.namespace))
        if (self._suspects or self._finalizing) and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_DELAY, self._work)

    def _namespace(self, name: str, meta: dict[str, Any]) -> None:
        if meta.get("deletionTimestamp"):
            self._finalizing.add((resources.NAMESPACES.key, "", name))
        elif self._store.get(resources.SERVICEACCOUNTS, name, "default") is None:
            body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
            self._registry.create(resources.SERVICEACCOUNTS, name, body)

    def _work(self) -> None:
        self._timer = None
        suspects, self._suspects = self._suspects, set()
        finalizing, self._finalizing = self._finalizing, set()
        for key in suspects:
            self._collect(key)
        for key in finalizing:
            self._finalize(key)

    @staticmethod
    def _resource(key: Key) -> Resource:
        return next(item for item in resources.RESOURCES if item.key == key[0])

    def _owner_exists(self, reference: dict[str, Any], namespace: str) -> bool:
        """Say whether an owner is there; an owner of an unknown kind counts as there."""
        resource = resources.by_kind(str(reference.get("apiVersion")), str(reference.get("kind")))
        if resource is None:
            return True
        stored = self._store.get(
            resource, namespace if resource.namespaced else "", str(reference.get("name"))
        )
        return stored is not None and stored.obj["metadata"]["uid"] == reference.get("uid")

    def _collect(self, key: Key) -> None:
        resource = self._resource(key)
        stored = self._store.get(resource, key[1], key[2])
        if stored is None or stored.obj["metadata"].get("deletionTimestamp"):
            return
        owners = stored.obj["metadata"].get("ownerReferences") or []
        if owners and not any(self._owner_exists(owner, key[1]) for owner in owners):
            self._delete(resource, stored.obj)

    def _delete(self, resource: Resource, obj: dict[str, Any]) -> None:
        meta = obj["metadata"]
        options = DeleteOptions(uid=meta["uid"], propagation="Background")
        self._registry.delete(resource, meta.get("namespace", ""), meta["name"], options)

    def _finalize(self, key: Key) -> None:
        resource = self._resource(key)
        stored = self._store.get(resource, key[1], key[2])
        if stored is None or not stored.obj["metadata"].get("deletionTimestamp"):
            return
        if resource is resources.NAMESPACES:
            self._empty_namespace(key[2])
            return
        meta = stored.obj["metadata"]
        finalizers = set(meta.get("finalizers") or ())
        waiting = False
        for dependent_key in tuple(self._dependents.get(meta["uid"], ())):
            dependent_resource = self._resource(dependent_key)
            dependent = self._store.get(dependent_resource, dependent_key[1], dependent_key[2])
            if dependent is None:
                continue
            if ORPHAN in finalizers:
                self._disown(dependent_resource, dependent.obj, meta["uid"])
            elif FOREGROUND in finalizers:
                if not dependent.obj["metadata"].get("deletionTimestamp"):
                    self._delete(dependent_resource, dependent.obj)
                waiting = waiting or self._blocks(dependent_resource, dependent_key, meta["uid"])
        if not waiting:
            left = [item for item in meta.get("finalizers") or () if item not in {FOREGROUND, ORPHAN}]
            self._rewrite(resource, stored.obj, {"finalizers": left})

    def _blocks(self, resource: Resource, key: Key, owner_uid: str) -> bool:
        stored = self._store.get(resource, key[1], key[2])
        references = stored.obj["metadata"].get("ownerReferences") or () if stored else ()
        return any(ref.get("uid") == owner_uid and ref.get("blockOwnerDeletion") for ref in references)

    def _disown(self, resource: Resource, obj: dict[str, Any], owner_uid: str) -> None:
        references = obj["metadata"].get("ownerReferences") or ()
        left = [item for item in references if item.get("uid") != owner_uid]
        self._rewrite(resource, obj, {"ownerReferences": left})

    def _rewrite(self, resource: Resource, obj: dict[str, Any], meta: dict[str, Any]) -> None:
        where = obj["metadata"]
        body = {**obj, "metadata": {**where, **meta}}
        self._registry.update(resource, where.get("namespace", ""), where["name"], body)

    def _empty_namespace(self, name: str) -> None:
        left = False
        for resource in resources.RESOURCES:
            if not resource.namespaced:
                continue
            for stored in tuple(self._store.all(resource, name)):
                if not stored.obj["metadata"].get("deletionTimestamp"):
                    try:
                        self._delete(resource, stored.obj)
                    except ApiError as error:
                        # Gone meanwhile, with an owner that was deleted a moment ago.
                        if error.code != 404:
                            raise
                left = left or self._store.get(resource, name, stored.obj["metadata"]["name"]) is not None
        if not left:
            self._store.remove(resources.NAMESPACES, "", name)
