"""What the API server and KubeVirt's webhooks refuse to store. Pure; errors are 422 in Kubernetes' words."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.lab.apiserver import resources
from pytest_kvlatency.lab.apiserver.statuses import ApiError, Cause, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kvlatency.lab.apiserver.resources import Resource

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_CONFIG_KEY = r"[-._a-zA-Z0-9]+"
_LABEL_VALUE = r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_MAC = r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}"
_MEBIBYTE = 1048576
_CREATE_WEBHOOK = "virtualmachineinstances-create-validator.kubevirt.io"
#: KubeVirt's limit on inline cloud-init data.
_CLOUD_INIT_LIMIT = 2048
#: Kinds whose names need only be a path segment, such as ``system:basic-user``.
_FREE_NAMES = {"roles", "rolebindings", "clusterroles", "clusterrolebindings"}


def _label_error(value: str) -> str | None:
    if len(value) > 63:
        return "must be no more than 63 characters"
    if re.fullmatch(_LABEL, value):
        return None
    return (
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
        f"and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
        f"'{_LABEL}')"
    )


def _subdomain_error(value: str) -> str | None:
    if len(value) > 253:
        return "must be no more than 253 characters"
    if re.fullmatch(_SUBDOMAIN, value):
        return None
    return (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "
        "must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
        f"'{_LABEL}(\\.{_LABEL})*')"
    )


def _name_error(resource: Resource, name: str) -> str | None:
    if resource.plural in _FREE_NAMES:
        if name in {".", ".."} or "/" in name or "%" in name:
            return "may not contain '/' or '%', and may not be '.' or '..'"
        return None
    if resource.plural in {"namespaces", "services"}:
        return _label_error(name)
    return _subdomain_error(name)


def _label_causes(labels: dict[str, Any]) -> Iterable[Cause]:
    for key, value in labels.items():
        if not re.fullmatch(_QUALIFIED, key.rpartition("/")[2]):
            yield Cause(
                field="metadata.labels",
                detail=f"Invalid value: {json.dumps(key)}: name part must consist of alphanumeric characters, "
                "'-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or "
                f"'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')",
            )
        if not isinstance(value, str) or len(value) > 63 or not re.fullmatch(_LABEL_VALUE, value):
            yield Cause(
                field="metadata.labels",
                detail=f"Invalid value: {json.dumps(value)}: a valid label must be an empty string or consist "
                "of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
                f"character, at most 63 characters (regex used for validation is '{_LABEL_VALUE}')",
            )


def _config_map_causes(obj: dict[str, Any]) -> Iterable[Cause]:
    data = obj.get("data") or {}
    binary = obj.get("binaryData") or {}
    for key in [*data, *binary]:
        if not re.fullmatch(_CONFIG_KEY, key):
            yield Cause(
                field=f"data[{key}]",
                detail=f"Invalid value: {json.dumps(key)}: a valid config key must consist of alphanumeric "
                f"characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used "
                f"for validation is '{_CONFIG_KEY}')",
            )
    for key, value in data.items():
        if not isinstance(value, str):
            raise ApiError(
                400,
                'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal '
                f"{'number' if isinstance(value, (int, float)) else type(value).__name__} into Go struct field "
                f"ConfigMap.data.{key} of type string",
            )
    if sum(len(value.encode()) for value in [*data.values(), *binary.values()]) > _MEBIBYTE:
        yield Cause(
            field="[]", detail=f"Too long: may not be more than {_MEBIBYTE} bytes", reason="FieldValueTooLong"
        )


def validate(resource: Resource, obj: dict[str, Any]) -> None:
    """Check an object that is about to be stored. Errors: 422, or 400 for a field of a wrong type."""
    meta = obj["metadata"]
    name = meta.get("name", "")
    causes: list[Cause] = []
    if not isinstance(name, str) or not name:
        text = "Required value: name or generateName is required"
        causes.append(Cause(field="metadata.name", detail=text, reason="FieldValueRequired"))
    elif error := _name_error(resource, name):
        causes.append(Cause(field="metadata.name", detail=f"Invalid value: {json.dumps(name)}: {error}"))
    causes.extend(_label_causes(meta.get("labels") or {}))
    if resource is resources.CONFIGMAPS:
        causes.extend(_config_map_causes(obj))
    if causes:
        raise invalid(resource.kind, resource.group, name, causes)
    if resource is resources.VMIS:
        _validate_vmi(obj)


def validate_update(resource: Resource, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Check that immutable fields stay. Errors: 422."""
    causes: list[Cause] = []
    name = old["metadata"]["name"]
    if resource is resources.CONFIGMAPS and old.get("immutable"):
        causes.extend(
            Cause(
                field=field,
                detail="Forbidden: field is immutable when `immutable` is set",
                reason="FieldValueForbidden",
            )
            for field in ("immutable", "data", "binaryData")
            if (old.get(field) or {}) != (new.get(field) or {})
        )
    if resource.plural in {"rolebindings", "clusterrolebindings"} and old.get("roleRef") != new.get(
        "roleRef"
    ):
        causes.append(
            Cause(
                field="roleRef",
                detail=f"Invalid value: {json.dumps(new.get('roleRef'))}: cannot change roleRef",
            )
        )
    if causes:
        raise invalid(resource.kind, resource.group, name, causes)


def webhook(name: str, causes: list[Cause]) -> ApiError:
    """Return the refusal of one of KubeVirt's validating webhooks; the message has every cause."""
    details = {
        "causes": [
            {"reason": cause.reason, "message": cause.detail, "field": cause.field} for cause in causes
        ]
    }
    said = ", ".join(cause.detail for cause in causes)
    return ApiError(422, f'admission webhook "{name}" denied the request: {said}', details=details)


def _names(items: Any) -> list[str]:
    return [str(item.get("name", "")) for item in items or [] if isinstance(item, dict)]


def _validate_vmi(obj: dict[str, Any]) -> None:
    spec = obj.get("spec")
    if not isinstance(spec, dict) or not isinstance(spec.get("domain"), dict):
        raise invalid(
            "VirtualMachineInstance",
            "kubevirt.io",
            obj["metadata"]["name"],
            [Cause(field="spec.domain", detail="Required value", reason="FieldValueRequired")],
        )
    devices = spec["domain"].get("devices") or {}
    if causes := list(_type_causes(spec, devices)):
        raise webhook(_CREATE_WEBHOOK, causes)
    interfaces = [item for item in devices.get("interfaces") or [] if isinstance(item, dict)]
    causes = [
        *_network_causes(_names(spec.get("networks")), interfaces),
        *_volume_causes(spec.get("volumes") or [], devices.get("disks") or []),
    ]
    if causes:
        raise webhook(_CREATE_WEBHOOK, causes)


def _type_causes(spec: dict[str, Any], devices: dict[str, Any]) -> Iterable[Cause]:
    """Names that are no text, such as YAML's ``n``, which is a boolean."""
    lists = {
        "spec.networks": spec.get("networks"),
        "spec.volumes": spec.get("volumes"),
        "spec.domain.devices.interfaces": devices.get("interfaces"),
        "spec.domain.devices.disks": devices.get("disks"),
    }
    for where, items in lists.items():
        for item in items or []:
            name = item.get("name", "") if isinstance(item, dict) else ""
            if not isinstance(name, str):
                kind = (
                    "boolean"
                    if isinstance(name, bool)
                    else "number"
                    if isinstance(name, (int, float))
                    else "object"
                )
                text = f'{where}.name in body must be of type string: "{kind}"'
                yield Cause(field=f"{where}.name", detail=text)


def _network_causes(networks: list[str], interfaces: list[dict[str, Any]]) -> Iterable[Cause]:
    seen: set[str] = set()
    for index, interface in enumerate(interfaces):
        name = str(interface.get("name", ""))
        where = f"spec.domain.devices.interfaces[{index}]"
        if name in seen:
            text = "Only one interface can be connected to one specific network"
            yield Cause(field=f"{where}.name", detail=text, reason="FieldValueDuplicate")
        seen.add(name)
        if name not in networks:
            yield Cause(field=f"{where}.name", detail=f"{where}.name '{name}' not found.")
        mac = interface.get("macAddress")
        if mac and not re.fullmatch(_MAC, str(mac)):
            text = f"interface {where}.name has malformed MAC address ({mac})."
            yield Cause(field=f"{where}.macAddress", detail=text)
    for index, name in enumerate(networks):
        if networks.index(name) != index:
            text = (
                f"Network with name {json.dumps(name)} already exists, every network must have a unique name"
            )
            yield Cause(field=f"spec.networks[{index}].name", detail=text, reason="FieldValueDuplicate")
        if name not in seen:
            text = f"spec.networks[{index}].name '{name}' not found."
            yield Cause(field=f"spec.networks[{index}].name", detail=text, reason="FieldValueRequired")


def _volume_causes(volumes: list[dict[str, Any]], disks: list[dict[str, Any]]) -> Iterable[Cause]:
    known = _names(volumes)
    for index, name in enumerate(_names(disks)):
        if name not in known:
            text = f"spec.domain.devices.disks[{index}].Name '{name}' not found."
            yield Cause(field=f"spec.domain.devices.disks[{index}].name", detail=text)
    for index, volume in enumerate(volumes):
        source = volume.get("cloudInitNoCloud") or volume.get("cloudInitConfigDrive") or {}
        for field in ("userData", "networkData"):
            if len(str(source.get(field, "")).encode()) > _CLOUD_INIT_LIMIT:
                where = f"spec.volumes[{index}].cloudInitNoCloud"
                text = f"{where} {field.lower()} exceeds {_CLOUD_INIT_LIMIT} byte limit"
                yield Cause(field=f"{where}.{field}", detail=text)
