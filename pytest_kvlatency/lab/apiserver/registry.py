"""Create, update, patch and delete as Kubernetes does them, on top of the store."""

from __future__ import annotations

import base64
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.lab.apiserver import resources
from pytest_kvlatency.lab.apiserver import statuses as errors
from pytest_kvlatency.lab.apiserver.migrationwebhooks import complete_migration
from pytest_kvlatency.lab.apiserver.store import Store, Stored
from pytest_kvlatency.lab.apiserver.validation import validate, validate_update

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kvlatency.lab.apiserver.resources import Resource

    #: Raises the refusal of an object that is about to be stored: its old state (None: a new one), and its new one.
    Admission = Callable[[dict[str, Any] | None, dict[str, Any]], None]
    #: Returns the ``managedFields`` of an object that is about to be stored, from the same.
    Tracking = Callable[[dict[str, Any] | None, dict[str, Any]], list[dict[str, Any]]]

#: Kinds that have no ``metadata.generation``.
_UNVERSIONED = {
    "namespaces",
    "nodes",
    "configmaps",
    "secrets",
    "serviceaccounts",
    "events",
    "endpoints",
    "services",
    "resourcequotas",
    "limitranges",
    "persistentvolumeclaims",
    "leases",
    "roles",
    "rolebindings",
    "clusterroles",
    "clusterrolebindings",
}
#: Namespaces that may not be deleted.
PROTECTED = {"default", "kube-system", "kube-public"}
#: Metadata that belongs to the server, whatever a client sends.
_OWNED = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")
FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
#: Kubernetes' alphabet for generated names: no vowels, nothing that looks like another.
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True, kw_only=True)
class DeleteOptions:
    """What of ``DeleteOptions`` is honoured."""

    uid: str | None = None
    resource_version: str | None = None
    propagation: str | None = None
    grace_seconds: int | None = None
    dry_run: bool = False


def admit_all(old: dict[str, Any] | None, new: dict[str, Any]) -> None:
    """Admit every object: what the server writes itself is not judged."""


def untracked(old: dict[str, Any] | None, new: dict[str, Any]) -> list[dict[str, Any]]:
    """Leave the owners of fields as they are: what the server writes itself has no owner."""
    del old
    return list(new["metadata"].get("managedFields") or ())


def timestamp(seconds: float) -> str:
    """Return RFC 3339 in UTC with whole seconds, as in metadata."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _with_owners(obj: dict[str, Any], owners: list[dict[str, Any]]) -> dict[str, Any]:
    meta = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": {**meta, "managedFields": owners} if owners else meta}


class Registry:
    """The rules of writing. ``clock`` gives seconds since the epoch."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self.store = store
        self._clock = clock

    def now(self) -> str:
        """Return the present time as in metadata."""
        return timestamp(self._clock())

    def get(self, resource: Resource, namespace: str, name: str) -> Stored:
        """Return an object. Errors: 404."""
        found = self.store.get(resource, namespace, name)
        if found is None:
            raise errors.not_found(resource.plural, resource.group, name)
        return found

    # Creating

    def create(
        self,
        resource: Resource,
        namespace: str,
        body: dict[str, Any],
        *,
        dry_run: bool = False,
        admit: Admission = admit_all,
        track: Tracking = untracked,
    ) -> Stored:
        """Store a new object. Errors: 400, 403, 404 (namespace), 409, 422, and those of ``admit``."""
        body = self._checked(resource, namespace, body)
        meta = dict(body["metadata"])
        if meta.get("resourceVersion"):
            raise errors.bad_request("resourceVersion should not be set on objects to be created")
        if not meta.get("name") and meta.get("generateName"):
            suffix = "".join(secrets.choice(_ALPHABET) for _ in range(5))
            meta["name"] = str(meta["generateName"])[:58] + suffix
        for key in ("resourceVersion", *_OWNED, "selfLink", "managedFields"):
            meta.pop(key, None)
        if resource.namespaced:
            self._require_namespace(resource, namespace, str(meta.get("name") or ""))
            meta["namespace"] = namespace
        else:
            meta.pop("namespace", None)
        meta["uid"] = str(uuid.uuid4())
        meta["creationTimestamp"] = self.now()
        if resource.plural not in _UNVERSIONED:
            meta["generation"] = 1
        obj = self._defaulted(resource, {**body, "metadata": meta})
        if resource is resources.VMIS:
            # KubeVirt's webhook: whatever the client says of the status, a VMI begins as Pending.
            stamp = {"phase": "Pending", "phaseTransitionTimestamp": self.now()}
            obj["status"] = {"phase": "Pending", "phaseTransitionTimestamps": [stamp]}
        elif resource is resources.MIGRATIONS:
            obj = complete_migration(obj)
        validate(resource, obj)
        if self.store.get(resource, meta.get("namespace", ""), meta["name"]) is not None:
            raise errors.already_exists(resource.plural, resource.group, meta["name"])
        admit(None, obj)
        obj = _with_owners(obj, track(None, obj))
        return Stored(obj, self.store.rv) if dry_run else self.store.put(resource, obj)

    def _require_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        found = self.store.get(resources.NAMESPACES, "", namespace)
        if found is None:
            raise errors.not_found("namespaces", "", namespace)
        if found.obj["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise errors.forbidden(resource.plural, resource.group, name, why)

    @staticmethod
    def _checked(resource: Resource, namespace: str, body: Any) -> dict[str, Any]:
        """Return the body in the stored version. Errors: 400 when it is another kind or place."""
        if not isinstance(body, dict):
            raise errors.bad_request(f"a {resource.kind} is expected, not {type(body).__name__}")
        api_version, kind = body.get("apiVersion"), body.get("kind")
        if not resource.custom:
            # As the API server: the route says what a built-in kind is where the body does not.
            api_version, kind = api_version or resource.api_version, kind or resource.kind
        served = [resources.group_version(resource.group, version) for version in resource.versions]
        if kind != resource.kind or api_version not in served:
            raise errors.bad_request(
                f"the API version in the data ({api_version}) and kind ({kind}) do not match the expected "
                f"{resource.api_version}, Kind={resource.kind}"
            )
        meta = body.get("metadata")
        if meta is None:
            meta = {}
        if not isinstance(meta, dict):
            raise errors.bad_request(f"{resource.kind}.metadata: an object is expected")
        for key in ("labels", "annotations"):
            if not isinstance(meta.get(key) or {}, dict):
                raise errors.bad_request(f"{resource.kind}.metadata.{key}: an object is expected")
        if resource.namespaced and (meta.get("namespace") or namespace) != namespace:
            raise errors.bad_request(
                f"the namespace of the provided object does not match the namespace sent on the request"
                f" ({meta.get('namespace')!r}, {namespace!r})"
            )
        return {**body, "apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta}

    @staticmethod
    def _defaulted(resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
        meta = obj["metadata"]
        if resource is resources.NAMESPACES:
            labels = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta.get("name")}
            return {
                **obj,
                "metadata": {**meta, "labels": labels},
                "spec": {"finalizers": ["kubernetes"]},
                "status": {"phase": "Active"},
            }
        if resource is resources.PODS:
            return {**obj, "status": {"phase": "Pending", "qosClass": "BestEffort"}}
        if resource.plural == "secrets":
            data = dict(obj.get("data") or {})
            plain = obj.get("stringData") or {}
            data.update({key: base64.b64encode(str(text).encode()).decode() for key, text in plain.items()})
            rest = {key: value for key, value in obj.items() if key != "stringData"}
            return {**rest, "data": data, "type": obj.get("type") or "Opaque"}
        if resource.status and resource is not resources.NODES:
            return {key: value for key, value in obj.items() if key != "status"}
        return obj

    # Changing

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: dict[str, Any],
        *,
        subresource: str = "",
        dry_run: bool = False,
        admit: Admission = admit_all,
        track: Tracking = untracked,
    ) -> Stored:
        """Replace an object, or its status. Errors: 400, 404, 409, 422, and those of ``admit``."""
        body = self._checked(resource, namespace, body)
        old = self.get(resource, namespace, name)
        if (body["metadata"].get("name") or name) != name:
            raise errors.bad_request(
                f"the name of the object ({body['metadata']['name']}) does not match the name on the URL ({name})"
            )
        given = body["metadata"].get("resourceVersion")
        if given and given != old.obj["metadata"]["resourceVersion"]:
            raise errors.stale(resource.plural, resource.group, name)
        uid, known = body["metadata"].get("uid"), old.obj["metadata"]["uid"]
        if uid and uid != known:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {known}"
            raise errors.conflict(resource.plural, resource.group, name, why)
        return self._replace(
            resource, old, body, subresource=subresource, dry_run=dry_run, admit=admit, track=track
        )

    def _replace(
        self,
        resource: Resource,
        old: Stored,
        body: dict[str, Any],
        *,
        subresource: str,
        dry_run: bool,
        admit: Admission,
        track: Tracking,
    ) -> Stored:
        new = self._merged(resource, old.obj, body, subresource)
        validate_update(resource, old.obj, new)
        validate(resource, new)
        meta, before = new["metadata"], old.obj["metadata"]
        if meta.get("deletionTimestamp"):
            added = set(meta.get("finalizers") or ()) - set(before.get("finalizers") or ())
            if added:
                raise errors.invalid(
                    resource.kind,
                    resource.group,
                    meta["name"],
                    [
                        errors.Cause(
                            field="metadata.finalizers",
                            detail="Forbidden: no new finalizers can be added if the object is being deleted, "
                            f"found new finalizers {sorted(added)}",
                            reason="FieldValueForbidden",
                        )
                    ],
                )
        new = _with_owners(new, track(old.obj, new))
        meta = new["metadata"]
        if new == old.obj:
            return old
        admit(old.obj, new)
        if resource.plural not in _UNVERSIONED and self._spec_of(resource, new) != self._spec_of(
            resource, old.obj
        ):
            meta["generation"] = int(before.get("generation", 0)) + 1
        if dry_run:
            return Stored(new, old.rv)
        stored = self.store.put(resource, new)
        if (
            meta.get("deletionTimestamp")
            and not meta.get("finalizers")
            and resource is not resources.NAMESPACES
        ):
            return self.store.remove(resource, meta.get("namespace", ""), meta["name"])
        return stored

    @staticmethod
    def _spec_of(resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
        """Return what counts for the generation."""
        without = {"metadata", "status"} if resource.status else {"metadata"}
        return {key: value for key, value in obj.items() if key not in without}

    def _merged(
        self, resource: Resource, old: dict[str, Any], body: dict[str, Any], subresource: str
    ) -> dict[str, Any]:
        """Return the new state: what the request may change, from the body; all else from the old state."""
        if subresource == "status":
            return {**old, "status": body.get("status") or {}, "metadata": dict(old["metadata"])}
        before = old["metadata"]
        meta = {key: value for key, value in body["metadata"].items() if key != "selfLink"}
        for key in _OWNED:
            meta.pop(key, None)
            if key in before:
                meta[key] = before[key]
        meta.update(name=before["name"], resourceVersion=before["resourceVersion"])
        if "namespace" in before:
            meta["namespace"] = before["namespace"]
        if not meta.get("managedFields") and "managedFields" in before:
            # Clients that do not know of it must not delete it.
            meta["managedFields"] = before["managedFields"]
        for key in ("finalizers", "labels", "annotations", "ownerReferences", "managedFields"):
            if not meta.get(key):
                meta.pop(key, None)
        new = {**body, "metadata": meta}
        if resource.status:
            new.pop("status", None)
            if "status" in old:
                new["status"] = old["status"]
        if resource is resources.NAMESPACES:
            new["spec"] = old["spec"]
        if resource.plural == "secrets":
            new = self._defaulted(resource, new)
        return new

    # Deleting

    def delete(
        self, resource: Resource, namespace: str, name: str, options: DeleteOptions
    ) -> tuple[Stored, bool]:
        """Delete, or mark as being deleted; say whether the object is gone. Errors: 403, 404, 409."""
        old = self.get(resource, namespace, name)
        meta = old.obj["metadata"]
        for label, wanted, actual in (
            ("UID", options.uid, meta["uid"]),
            ("ResourceVersion", options.resource_version, meta["resourceVersion"]),
        ):
            if wanted is not None and wanted != actual:
                why = f"Precondition failed: {label} in precondition: {wanted}, {label} in object meta: {actual}"
                raise errors.conflict(resource.plural, resource.group, name, why)
        if resource is resources.NAMESPACES and name in PROTECTED:
            raise errors.forbidden("namespaces", "", name, "this namespace may not be deleted")
        finalizers = [item for item in meta.get("finalizers") or () if item not in {FOREGROUND, ORPHAN}]
        if options.propagation == "Foreground":
            finalizers.append(FOREGROUND)
        elif options.propagation == "Orphan":
            finalizers.append(ORPHAN)
        if options.dry_run:
            return old, not finalizers
        if not finalizers and resource is not resources.NAMESPACES:
            return self.store.remove(resource, namespace, name), True
        marked = {**meta, "finalizers": finalizers}
        if not finalizers:
            marked.pop("finalizers")
        if not meta.get("deletionTimestamp"):
            marked["deletionTimestamp"] = timestamp(self._clock() + (options.grace_seconds or 0))
            marked["deletionGracePeriodSeconds"] = options.grace_seconds or 0
            if "generation" in meta:
                marked["generation"] = int(meta["generation"]) + 1
        new = {**old.obj, "metadata": marked}
        if resource is resources.NAMESPACES:
            new["status"] = {**(old.obj.get("status") or {}), "phase": "Terminating"}
        return (old if new == old.obj else self.store.put(resource, new)), False
