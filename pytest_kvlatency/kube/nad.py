"""A NetworkAttachmentDefinition: which binding its guests need, and where their addresses come from."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pytest_kvlatency.errors import ConfigError, PermissionDeniedError, ProvisionError
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.errors import KubeApiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.model import NadRef

AUTO: Final = "auto"
# Types that no core binding of KubeVirt serves: under a bridge no reply ever arrives (KubeVirt issue 2925).
_UNSERVED: Final = ("macvlan", "ipvlan", "macvtap")
_CORE_BINDINGS: Final = ("bridge", "sriov")
_OVN: Final = "ovn-k8s-cni-overlay"
AddressMode = Literal["static", "dhcp"]


@dataclass(frozen=True, kw_only=True)
class NadFacts:
    """What the NAD means for a guest. ``binding`` is ``bridge``, ``sriov`` or a binding plugin's name.

    ``types`` are its CNI plugins', empty where they are not known. ``address_mode``: ``static`` is assigned by us,
    ``dhcp`` is answered by KubeVirt with the CNI's address.
    """

    ref: NadRef
    binding: str
    types: tuple[str, ...] = ()
    address_mode: AddressMode = "static"
    warnings: tuple[str, ...] = ()


def read_nad(
    client: KubeClient, ref: NadRef, *, binding: str, subnet_is_ipv6: bool, deadline: Deadline
) -> NadFacts:
    """Read the NAD and judge it. Raises ``ConfigError``, ``PermissionDeniedError``, ``ProvisionError`` (no NAD API).

    A NAD that may not be read is used, with a warning, only when a binding was given.
    """
    path = paths.namespaced(paths.NAD_API, ref.namespace, "network-attachment-definitions", ref.name)
    try:
        nad = client.request("GET", path, deadline=deadline)
    except PermissionDeniedError as error:
        if binding == AUTO:
            error.hint += "\nOr say with --kv-binding how its guests are attached."
            raise
        warning = f"NAD {ref} may not be read ({error.reason}); it is taken to have no IPAM, as --kv-binding was given"
        return NadFacts(ref=ref, binding=binding, warnings=(warning,))
    except KubeApiError as error:
        if error.object_missing:
            raise ConfigError(
                f"NetworkAttachmentDefinition {ref} does not exist", hint=_others(client, ref, deadline)
            ) from error
        if error.api_missing:
            raise ProvisionError(
                f"NetworkAttachmentDefinition {ref} cannot be read: {client.server} serves no "
                "NetworkAttachmentDefinitions; is Multus installed?",
                hint=error.hint,
            ) from error
        raise
    text = (nad.get("spec") or {}).get("config")
    return judge(ref, text, binding=binding, subnet_is_ipv6=subnet_is_ipv6)


def check_binding(facts: NadFacts, known: frozenset[str] | None) -> None:
    """Raise ``ConfigError`` for a binding plugin that KubeVirt does not know; ``known`` is None where that is unknown.

    KubeVirt admits a VMI with any name there, and then makes no pod of it.
    """
    if known is None or facts.binding in (*_CORE_BINDINGS, *known):
        return
    raise ConfigError(
        f"KubeVirt has no binding plugin {facts.binding!r} (registered: {', '.join(sorted(known)) or 'none'})",
        hint="Choose another --kv-binding, or register it in the KubeVirt object "
        "(spec.configuration.network.binding).",
    )


def _others(client: KubeClient, ref: NadRef, deadline: Deadline) -> str:
    """Say which NADs there are, where that may be known."""
    path = paths.namespaced(paths.NAD_API, ref.namespace, "network-attachment-definitions")
    listed = client.optional(path, deadline=deadline)
    if listed is None:
        return f"Check `kubectl get network-attachment-definitions -n {ref.namespace}`."
    names = sorted(item["metadata"]["name"] for item in listed.get("items") or [])
    if not names:
        return f"Namespace {ref.namespace} has no NetworkAttachmentDefinition."
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return f"Namespace {ref.namespace} has: {shown}."


def judge(ref: NadRef, config: object, *, binding: str, subnet_is_ipv6: bool) -> NadFacts:
    """Say what a NAD's ``spec.config`` means. Pure. Raises ``ConfigError``."""
    plugins = _plugins(ref, config)
    types = tuple(str(plugin.get("type", "")) for plugin in plugins)
    for plugin in plugins:
        if plugin.get("type") == _OVN and plugin.get("role") == "primary":
            raise ConfigError(
                f"NAD {ref} is an OVN network of role primary: it replaces the pod network of its namespace and "
                "is no secondary network",
                hint="Name a network of role secondary.",
            )
    warnings: list[str] = []
    unserved = [name for name in types if name in _UNSERVED]
    if unserved and binding == AUTO:
        raise ConfigError(
            f"NAD {ref} is of type {unserved[0]}, which KubeVirt's bridge and sriov bindings do not serve; valid is "
            "--kv-binding with a binding plugin of the cluster, or a NAD of type bridge or sriov",
        )
    if unserved and binding == "bridge":
        warnings.append(
            f"NAD {ref} is of type {unserved[0]}: with the binding bridge replies may never arrive"
        )
    chosen = binding if binding != AUTO else "sriov" if "sriov" in types else "bridge"
    has_ipam = any(_has_ipam(plugin) for plugin in plugins)
    mode = _address_mode(ref, plugins, chosen, subnet_is_ipv6=subnet_is_ipv6) if has_ipam else "static"
    return NadFacts(ref=ref, binding=chosen, types=types, address_mode=mode, warnings=tuple(warnings))


def _plugins(ref: NadRef, config: object) -> Sequence[Mapping[str, Any]]:
    where = f"spec.config of NAD {ref}"
    hint = f"Check `kubectl get network-attachment-definitions -n {ref.namespace} {ref.name} -o yaml`."
    if not isinstance(config, str) or not config.strip():
        raise ConfigError(f"{where} is empty; it must hold a CNI configuration", hint=hint)
    try:
        value = json.loads(config)
    except ValueError as error:
        raise ConfigError(f"{where} is not valid JSON: {error}", hint=hint) from error
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is no CNI configuration: it holds no JSON object", hint=hint)
    plugins = value.get("plugins", [value])
    if not isinstance(plugins, list) or not plugins or not all(isinstance(one, dict) for one in plugins):
        raise ConfigError(f"{where} is no CNI configuration: its plugins are no list of objects", hint=hint)
    if not any(isinstance(one.get("type"), str) and one["type"] for one in plugins):
        raise ConfigError(f"{where} is no CNI configuration: it names no type", hint=hint)
    return plugins


def _has_ipam(plugin: Mapping[str, Any]) -> bool:
    return bool(plugin.get("ipam")) or (plugin.get("type") == _OVN and bool(plugin.get("subnets")))


def _address_mode(
    ref: NadRef, plugins: Sequence[Mapping[str, Any]], binding: str, *, subnet_is_ipv6: bool
) -> AddressMode:
    """Where the address comes from on a network with IPAM. Raises ``ConfigError`` where it cannot be had."""
    if binding == "sriov":
        return "static"
    way_out = "Use a NAD without IPAM (no ipam, no subnets)"
    if binding != "bridge":
        raise ConfigError(
            f"NAD {ref} has IPAM, and KubeVirt hands its addresses to guests with the binding bridge only, "
            f"not {binding!r}",
            hint=f"{way_out}, or --kv-binding bridge.",
        )
    versions = {version for plugin in plugins for version in _ip_versions(plugin)}
    if versions == {6}:
        raise ConfigError(
            f"NAD {ref} has IPAM for IPv6 only, and KubeVirt answers DHCP for IPv4 only: its guests cannot "
            "have their addresses",
            hint=f"{way_out}, and --kv-subnet with an IPv6 prefix.",
        )
    if subnet_is_ipv6:
        raise ConfigError(
            f"NAD {ref} has IPAM, and --kv-subnet is an IPv6 prefix: with the binding bridge its guests get an "
            "IPv4 address by DHCP",
            hint=f"Leave --kv-subnet out, or use {way_out[4:]}.",
        )
    return "dhcp"


def _ip_versions(plugin: Mapping[str, Any]) -> Iterator[int]:
    """IP versions of every prefix that a plugin's IPAM names; none for one that does not say (such as dhcp)."""
    if plugin.get("type") == _OVN and isinstance(plugin.get("subnets"), str):
        # Each may end with the prefix length of a node's part: 10.128.0.0/14/23.
        yield from filter(None, map(_version, plugin["subnets"].split(",")))
    yield from _versions_in(plugin.get("ipam"))


def _versions_in(value: object, key: str = "") -> Iterator[int]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in ("routes", "dns", "exclude"):
                yield from _versions_in(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _versions_in(inner, key)
    elif isinstance(value, str) and key in (
        "subnet",
        "range",
        "address",
        "rangeStart",
        "ipRanges",
        "addresses",
    ):
        version = _version(value)
        if version:
            yield version


def _version(text: str) -> int:
    """4 or 6 by the part before any ``/`` or ``-``; 0 when it is no address."""
    try:
        return ipaddress.ip_address(text.partition("/")[0].partition("-")[0].strip()).version
    except ValueError:
        return 0
