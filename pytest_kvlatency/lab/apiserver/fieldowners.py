"""Who wrote which key of a ConfigMap (``metadata.managedFields``), of those who gave a ``fieldManager``. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def owned(old: Mapping[str, Any], new: Mapping[str, Any], *, manager: str, time: str) -> list[dict[str, Any]]:
    """Return the entries after an update: what it has written is the manager's, and nobody else's any more.

    As on a real API server a manager that owns nothing any more is forgotten.
    """
    before, after = old.get("data") or {}, new.get("data") or {}
    written = {key for key in after if key not in before or after[key] != before[key]}
    entries = {
        entry["manager"]: {*entry["fieldsV1"]["f:data"]}
        for entry in old["metadata"].get("managedFields") or []
    }
    times = {entry["manager"]: entry["time"] for entry in old["metadata"].get("managedFields") or []}
    for name, fields in entries.items():
        entries[name] = {one for one in fields if one[2:] in after and one[2:] not in written}
    if manager and written:
        entries[manager] = entries.get(manager, set()) | {f"f:{key}" for key in written}
        times[manager] = time
    return [
        {
            "manager": name,
            "operation": "Update",
            "apiVersion": "v1",
            "time": times[name],
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {one: {} for one in sorted(fields)}},
        }
        for name, fields in entries.items()
        if fields
    ]
