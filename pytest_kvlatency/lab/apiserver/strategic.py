"""Strategic merge patches, with the merge keys of the kinds that the control plane knows. Pure.

The rules are those of Kubernetes' API conventions: lists of objects merge by a key that belongs to the field,
other lists are replaced, and ``$patch``, ``$retainKeys``, ``$setElementOrder`` and
``$deleteFromPrimitiveList`` direct the rest.
"""

from __future__ import annotations

from typing import Any

#: The merge key by the field's name; the names are unambiguous among the kinds served here.
MERGE_KEYS = {
    "conditions": "type",
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "secrets": "name",
    "ownerReferences": "uid",
    "hostAliases": "ip",
    "taints": "key",
    "topologySpreadConstraints": "topologyKey",
}
#: ``ports`` has another key in a container than in a Service.
_PORT_KEYS = ("containerPort", "port")
#: Lists of plain values that are sets.
SETS = {"finalizers"}


def merge_key(field: str, items: list[Any], current: list[Any]) -> str | None:
    """Return the key by which the items of a list field merge; None for one that is replaced."""
    if field == "addresses":
        return "type"
    if field == "ports":
        return next((key for key in _PORT_KEYS if any(key in item for item in [*items, *current])), None)
    return MERGE_KEYS.get(field)


def _merge_list(field: str, current: list[Any], patch: list[Any]) -> list[Any]:
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if not (isinstance(item, dict) and item.get("$patch") == "replace")]
    if not all(isinstance(item, dict) for item in [*patch, *current]):
        return [*current, *(item for item in patch if item not in current)] if field in SETS else patch
    key = merge_key(field, patch, current)
    if key is None:
        return patch
    result = list(current)
    for item in patch:
        index = next((i for i, old in enumerate(result) if old.get(key) == item.get(key)), None)
        if item.get("$patch") == "delete":
            if index is not None:
                del result[index]
        elif index is None:
            result.append(strategic_merge({}, item))
        else:
            result[index] = strategic_merge(result[index], item)
    return result


def _ordered(field: str, items: list[Any], order: list[Any]) -> list[Any]:
    """Sort as ``$setElementOrder`` says; what it does not name stays behind."""
    if items and isinstance(items[0], dict):
        key = merge_key(field, items, []) or "name"
        rank = {entry.get(key): place for place, entry in enumerate(order)}
        return sorted(items, key=lambda item: rank.get(item.get(key), len(rank)))
    ranks = {entry: place for place, entry in enumerate(order)}
    return sorted(items, key=lambda item: ranks.get(item, len(ranks)))


def strategic_merge(target: Any, patch: dict[str, Any]) -> Any:
    """Return ``target`` with a strategic merge patch applied; neither argument is changed."""
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if directive == "delete":
        return {}
    result: dict[str, Any] = dict(target) if isinstance(target, dict) else {}
    if isinstance(kept := patch.get("$retainKeys"), list):
        result = {key: value for key, value in result.items() if key in kept}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.partition("/")[2]
            result[field] = [item for item in result.get(field) or [] if item not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = strategic_merge(result.get(key), value)
        elif isinstance(value, list):
            current = result.get(key)
            result[key] = _merge_list(key, current if isinstance(current, list) else [], value)
        else:
            result[key] = value
    for key, value in patch.items():
        field = key.partition("/")[2]
        if key.startswith("$setElementOrder/") and field in result:
            result[field] = _ordered(field, result[field], value)
    return result
