"""KubeVirt's webhooks for live migrations: what they complete, and what they refuse, in their words.

Sources: KubeVirt's ``migration-create-admitter.go``, ``migration-update-admitter.go`` and
``migration-create-mutator.go``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.lab.apiserver import resources
from pytest_kvlatency.lab.apiserver.statuses import ApiError, Cause
from pytest_kvlatency.lab.apiserver.validation import webhook

if TYPE_CHECKING:
    from pytest_kvlatency.lab.apiserver.store import Store

_CREATE: Final = "migration-create-validator.kubevirt.io"
_UPDATE: Final = "migration-update-validator.kubevirt.io"
_SELECTOR_LABEL: Final = "kubevirt.io/vmi-name"
_FINALIZER: Final = "kubevirt.io/migrationJobFinalize"
_FINAL: Final = ("Succeeded", "Failed")


def complete_migration(migration: dict[str, Any]) -> dict[str, Any]:
    """Return a new migration with the label of its VMI, and the finalizer by which its controller ends it."""
    meta = migration["metadata"]
    labels = {**(meta.get("labels") or {}), _SELECTOR_LABEL: _vmi_name(migration)[:63].rstrip("-.")}
    finalizers = list(meta.get("finalizers") or [])
    if _FINALIZER not in finalizers:
        finalizers.append(_FINALIZER)
    return {**migration, "metadata": {**meta, "labels": labels, "finalizers": finalizers}}


def check_migration(store: Store, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
    """Judge a migration that is about to be stored. Errors: 400, 422."""
    if old is not None:
        if old.get("spec") != new.get("spec"):
            text = "update of Migration object's spec is restricted"
            raise webhook(_UPDATE, [Cause(field="", detail=text, reason="FieldValueNotSupported")])
        return
    name = _vmi_name(new)
    if not name:
        text = "vmiName is missing"
        raise webhook(_CREATE, [Cause(field="spec.vmiName", detail=text, reason="FieldValueRequired")])
    namespace = new["metadata"]["namespace"]
    vmi = store.get(resources.VMIS, namespace, name)
    if vmi is None:
        raise _refusal(f'the VMI "{namespace}/{name}" does not exist')
    status = vmi.obj.get("status") or {}
    if status.get("phase") in _FINAL:
        raise _refusal("Cannot migrate VMI in finalized state.")
    for condition in status.get("conditions") or []:
        if condition["type"] == "LiveMigratable" and condition["status"] == "False":
            reason, message = condition.get("reason", ""), condition.get("message", "")
            raise _refusal(f"Cannot migrate VMI, Reason: {reason}, Message: {message}")
    for stored in store.all(resources.MIGRATIONS, namespace):
        if _vmi_name(stored.obj) == name and (stored.obj.get("status") or {}).get("phase") not in _FINAL:
            raise _refusal(
                f"in-flight migration detected. Active migration job ({stored.obj['metadata']['uid']}) is currently "
                f"already in progress for VMI {name}."
            )


def _vmi_name(migration: dict[str, Any]) -> str:
    spec = migration.get("spec")
    return str(spec.get("vmiName") or "") if isinstance(spec, dict) else ""


def _refusal(message: str) -> ApiError:
    return ApiError(400, f'admission webhook "{_CREATE}" denied the request: {message}')
