"""Who owns which field (``metadata.managedFields``), and server-side apply, which rests on it. Pure.

A field is a path of steps in the notation of ``FieldsV1``: ``f:NAME``, ``k:{"KEY":…}`` for an item of a list that
merges by a key, ``v:VALUE`` for an item of a set. Rules and texts are those of ``structured-merge-diff`` and of the
API server's field manager.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.lab.apiserver import statuses as errors
from pytest_kvlatency.lab.apiserver.strategic import SETS, merge_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_kvlatency.lab.apiserver.resources import Resource

Path = tuple[str, ...]

#: What has no owner: it names the object, or is the server's.
_UNOWNED: Final = frozenset(
    {
        "name", "namespace", "generateName", "uid", "resourceVersion", "creationTimestamp", "generation",
        "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields",
    }
)  # fmt: skip
_ABSENT: Final = object()
_KUBECTL: Final = "kubectl"
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, kw_only=True)
class FieldManager:
    """Who writes: the manager's name, and the time as in metadata."""

    manager: str
    now: str
    subresource: str = ""


@dataclass(frozen=True, kw_only=True)
class _Owner:
    """One entry of ``managedFields``."""

    manager: str
    operation: str
    api_version: str
    time: str
    subresource: str
    fields: frozenset[Path]

    @property
    def words(self) -> str:
        """As a conflict names it."""
        where = f' with subresource "{self.subresource}"' if self.subresource else ""
        using = f" using {self.api_version}" if self.operation == "Update" else ""
        return f'"{self.manager}"{where}{using}'

    def is_same(self, other: _Owner) -> bool:
        """Whether both are one entry of the list."""
        return (self.manager, self.operation, self.subresource) == (
            other.manager,
            other.operation,
            other.subresource,
        )


def after_update(
    resource: Resource, old: Mapping[str, Any] | None, new: Mapping[str, Any], writer: FieldManager
) -> list[dict[str, Any]]:
    """Return ``managedFields`` after a create, update or patch: its author owns what it has changed."""
    present = frozenset(_fields(resource, new, writer.subresource))
    changed = frozenset(path for path in present if old is None or _at(old, path) != _at(new, path))
    mine = _Owner(
        manager=writer.manager,
        operation="Update",
        api_version=resource.api_version,
        time=writer.now,
        subresource=writer.subresource,
        fields=changed,
    )
    kept = []
    for owner in _owners(new):
        if owner.subresource != writer.subresource:
            kept.append(owner)
        elif owner.is_same(mine):
            mine = replace(
                mine,
                fields=(mine.fields | owner.fields) & present,
                time=writer.now if changed else owner.time,
            )
        else:
            kept.append(replace(owner, fields=(owner.fields - changed) & present))
    return _entries([*kept, mine])


def apply(
    resource: Resource,
    old: Mapping[str, Any] | None,
    config: Mapping[str, Any],
    writer: FieldManager,
    *,
    force: bool,
) -> dict[str, Any]:
    """Return the object after a server-side apply, with its ``managedFields``. Errors: 409 (another owns a field)."""
    wanted = frozenset(_fields(resource, config, ""))
    mine = _Owner(
        manager=writer.manager,
        operation="Apply",
        api_version=resource.api_version,
        time=writer.now,
        subresource="",
        fields=wanted,
    )
    live: Mapping[str, Any] = old or {}
    others = [owner for owner in _owners(live) if not owner.is_same(mine)]
    earlier = [owner for owner in _owners(live) if owner.is_same(mine)]
    before = frozenset[Path]().union(*(owner.fields for owner in earlier))
    if earlier and before == wanted:
        mine = earlier[0]
    disputed = [
        (owner, path)
        for owner in others
        for path in sorted(owner.fields & wanted)
        if _at(live, path) != _at(config, path)
    ]
    yielding = _last_applied(resource, live) if writer.manager == _KUBECTL else frozenset()
    refused = [(owner, path) for owner, path in disputed if path not in yielding]
    if refused and not force:
        raise _conflict(resource, str(live["metadata"]["name"]), refused)
    lost = frozenset(path for _, path in disputed)
    others = [replace(owner, fields=owner.fields - lost) for owner in others]
    owned = wanted.union(*(owner.fields for owner in others))
    merged = _merge(resource, "", live, config)
    for path in sorted(before - owned, key=len, reverse=True):
        merged = _without(merged, path)
    merged["metadata"] = {**merged.get("metadata", {}), "managedFields": _entries([*others, mine])}
    return dict(merged)


def _last_applied(resource: Resource, live: Mapping[str, Any]) -> frozenset[Path]:
    """Return the fields that still are as ``kubectl apply`` left them: its server-side form takes these over."""
    text = ((live.get("metadata") or {}).get("annotations") or {}).get(_LAST_APPLIED, "")
    try:
        config = json.loads(text)
    except ValueError:
        return frozenset()
    if not isinstance(config, dict):
        return frozenset()
    return frozenset(path for path in _fields(resource, config, "") if _at(config, path) == _at(live, path))


def _conflict(resource: Resource, name: str, disputed: Sequence[tuple[_Owner, Path]]) -> errors.ApiError:
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {owner.words}", "field": _words(path)}
        for owner, path in disputed
    ]
    if len(disputed) == 1:
        owner, path = disputed[0]
        told = f"1 conflict: conflict with {owner.words}: {_words(path)}"
    else:
        lines: list[str] = []
        for words in sorted({owner.words for owner, _ in disputed}):
            lines.append(f"conflicts with {words}:")
            lines += [f"- {_words(path)}" for owner, path in disputed if owner.words == words]
        told = f"{len(disputed)} conflicts: " + "\n".join(lines)
    details = {"name": name, "group": resource.group, "kind": resource.plural, "causes": causes}
    return errors.ApiError(
        409, f"Apply failed with {told}", details={key: value for key, value in details.items() if value}
    )


# An object's fields


def _fields(resource: Resource, obj: Mapping[str, Any], subresource: str) -> Iterator[Path]:
    """Yield the fields of an object, or of its status, that can be owned."""
    for key, value in obj.items():
        if key in ("apiVersion", "kind") or (
            resource.status and (key == "status") != (subresource == "status")
        ):
            continue
        if key == "metadata":
            value = {name: item for name, item in value.items() if name not in _UNOWNED}  # noqa: PLW2901
            if not value:
                continue
        yield from _inside(resource, key, value, (f"f:{key}",))


def _inside(resource: Resource, name: str, value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _inside(resource, key, item, (*path, f"f:{key}"))
        return
    if isinstance(value, list) and value:
        if name in SETS and not any(isinstance(item, (dict, list)) for item in value):
            yield from ((*path, _set_step(item)) for item in value)
            return
        key = _list_key(resource, name, value)
        if key is not None:
            for item in value:
                step = (*path, _key_step(key, item))
                yield step
                for field, inner in item.items():
                    yield from _inside(resource, field, inner, (*step, f"f:{field}"))
            return
    if resource.custom or value not in ({}, []):
        # Of a built-in kind what is empty is not stored at all.
        yield path


def _list_key(resource: Resource, name: str, items: list[Any]) -> str | None:
    """Return the key by which a list merges; None for one that is owned as a whole, as those of custom kinds are."""
    if not all(isinstance(item, dict) for item in items) or (resource.custom and name != "ownerReferences"):
        return None
    key = merge_key(name, items, [])
    return key if key is not None and all(key in item for item in items) else None


def _key_step(key: str, item: Mapping[str, Any]) -> str:
    return "k:" + json.dumps({key: item[key]}, separators=(",", ":"))


def _set_step(item: Any) -> str:
    return "v:" + json.dumps(item)


def _find(items: Any, step: str) -> int | None:
    """Return the place in a list of the item that a step means."""
    if not isinstance(items, list):
        return None
    wanted = json.loads(step[2:])
    for index, item in enumerate(items):
        if step.startswith("v:") and item == wanted:
            return index
        if step.startswith("k:") and isinstance(item, dict) and wanted.items() <= item.items():
            return index
    return None


def _at(obj: Any, path: Path) -> Any:
    """Return a field's value; for an item of a list only that it is there."""
    for step in path:
        if step.startswith("f:"):
            obj = obj.get(step[2:], _ABSENT) if isinstance(obj, dict) else _ABSENT
        else:
            index = _find(obj, step)
            obj = _ABSENT if index is None else obj[index]
        if obj is _ABSENT:
            return _ABSENT
    return True if path[-1].startswith("k:") else obj


def _without(obj: Any, path: Path) -> Any:
    """Return the object without a field; what is empty then goes too, as far as it is a list's item or a map."""
    step, rest = path[0], path[1:]
    if step.startswith("f:"):
        name = step[2:]
        if not isinstance(obj, dict) or name not in obj:
            return obj
        inner = _without(obj[name], rest) if rest else _ABSENT
        kept = {key: value for key, value in obj.items() if key != name}
        return kept if inner is _ABSENT or (rest and inner in ({}, [])) else {**kept, name: inner}
    index = _find(obj, step)
    if index is None:
        return obj
    inner = _without(obj[index], rest) if rest else _ABSENT
    return [*obj[:index], *([] if inner is _ABSENT else [inner]), *obj[index + 1 :]]


def _merge(resource: Resource, name: str, live: Any, config: Any) -> Any:
    if isinstance(config, dict) and isinstance(live, (dict, type(None))):
        merged = dict(live or {})
        for key, value in config.items():
            merged[key] = _merge(resource, key, merged.get(key), value)
        return merged
    if isinstance(config, list) and isinstance(live, list):
        if name in SETS:
            return [*live, *(item for item in config if item not in live)]
        key = _list_key(resource, name, [*config, *live]) if config else None
        if key is not None:
            merged_items = list(live)
            for item in config:
                index = _find(merged_items, _key_step(key, item))
                if index is None:
                    merged_items.append(item)
                else:
                    merged_items[index] = _merge(resource, "", merged_items[index], item)
            return merged_items
    return config


# The form of managedFields


def _owners(obj: Mapping[str, Any]) -> list[_Owner]:
    found = []
    for entry in (obj.get("metadata") or {}).get("managedFields") or []:
        if isinstance(entry, dict) and entry.get("manager"):
            fields = entry.get("fieldsV1")
            found.append(
                _Owner(
                    manager=str(entry["manager"]),
                    operation=str(entry.get("operation") or "Update"),
                    api_version=str(entry.get("apiVersion") or ""),
                    time=str(entry.get("time") or ""),
                    subresource=str(entry.get("subresource") or ""),
                    fields=frozenset(_flat(fields if isinstance(fields, dict) else {})),
                )
            )
    return found


def _flat(tree: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    for step, inner in tree.items():
        if step == ".":
            if path and path[-1].startswith("k:"):
                yield path
        elif isinstance(inner, dict) and inner:
            yield from _flat(inner, (*path, step))
        else:
            yield (*path, step)


def _entries(owners: Iterable[_Owner]) -> list[dict[str, Any]]:
    return [
        {
            "manager": owner.manager,
            "operation": owner.operation,
            "apiVersion": owner.api_version,
            "time": owner.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": _tree(owner.fields),
            **({"subresource": owner.subresource} if owner.subresource else {}),
        }
        for owner in owners
        if owner.fields
    ]


def _tree(fields: Iterable[Path]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path in sorted(fields):
        branch = tree
        for step in path:
            branch = branch.setdefault(step, {})
        if path[-1].startswith("k:"):
            branch["."] = {}
    return tree


def _words(path: Path) -> str:
    """A path as a conflict names it: ``.spec.containers[name="a"].image``."""
    text = ""
    for step in path:
        if step.startswith("f:"):
            text += f".{step[2:]}"
        elif step.startswith("v:"):
            text += f"[={step[2:]}]"
        else:
            keys = json.loads(step[2:])
            text += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in keys.items()) + "]"
    return text
