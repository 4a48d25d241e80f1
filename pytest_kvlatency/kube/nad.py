"""A NetworkAttachmentDefinition: which binding its guests need, and where their addresses come from."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pytest_kvlatency.errors import ConfigError, PermissionDeniedError, ProvisionError
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.apierrors import KubeApiError
from pytest_kvlatency.kube.manifest import CORE_BINDINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.model import NadRef

AUTO: Final = "auto"
_OVN: Final = "ovn-k8s-cni-overlay"
#: Types whose guests KubeVirt attaches by a bridge: those of its user guide, and of projects that document it.
_BRIDGED: Final = frozenset({"bridge", "cnv-bridge", "ovs", _OVN, "kube-ovn"})
#: Types that hand a virtual function of the SR-IOV device plugin to the pod; accelerated-bridge puts its representor
#: on a bridge of the node, and ib-sriov is sriov's twin for InfiniBand.
_SRIOV: Final = frozenset({"sriov", "ib-sriov", "accelerated-bridge"})
#: Plugins that change an interface of another plugin and make none.
_META: Final = frozenset(
    {"tuning", "cnv-tuning", "sbr", "bandwidth", "portmap", "firewall", "vrf", "route-override", "rdma"}
)
#: Types that no core binding of KubeVirt serves: under a bridge no reply ever arrives (macvlan: KubeVirt issue 2925),
#: because the guest's own MAC is filtered out, or nothing is connected to what they make.
_UNSERVED: Final = frozenset(
    {
        *("macvlan", "ipvlan", "macvtap", "tap", "userspace", "dummy", "loopback", "kubevirt-passt-binding"),
        *_META,
    }
)
_SHOWN_CHARACTERS: Final = 60
#: Fields of an IPAM that hold a prefix or an address.
_PREFIXES: Final = frozenset({"subnet", "range", "address", "rangeStart", "ipRanges", "addresses"})
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
            error.hint = f"Choose the binding with --kv-binding, or:\n{error.hint}"
            raise
        warning = f"cannot read NAD {ref} ({error.reason}): assuming that it has no IPAM, because --kv-binding is set"
        return NadFacts(ref=ref, binding=binding, warnings=(warning,))
    except KubeApiError as error:
        if error.object_missing:
            raise ConfigError(
                f"NetworkAttachmentDefinition {ref} does not exist", hint=_others(client, ref, deadline)
            ) from error
        if error.api_missing:
            raise ProvisionError(
                f"cannot read NetworkAttachmentDefinition {ref}: {client.server} does not serve "
                "NetworkAttachmentDefinitions. Is Multus installed?",
                hint=error.hint,
            ) from error
        raise
    spec = nad.get("spec")
    if spec is not None and not isinstance(spec, dict):
        raise ConfigError(
            f"spec of NAD {ref} is {_kind(spec)}: expected a mapping with config", hint=_look_at(ref)
        )
    return judge(ref, (spec or {}).get("config"), binding=binding, subnet_is_ipv6=subnet_is_ipv6)


def check_binding(facts: NadFacts, known: frozenset[str] | None) -> None:
    """Raise ``ConfigError`` for a binding plugin that KubeVirt does not know; ``known`` is None where that is unknown.

    KubeVirt admits a VMI with any name there, and then makes no pod of it.
    """
    if known is None or facts.binding in (*CORE_BINDINGS, *known):
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
    """Say what a NAD's ``spec.config`` means. Pure. Raises ``ConfigError``.

    Multus takes a NAD without one from a file of each node: it is used, with a warning, only when a binding was given.
    """
    if config is None or config == "":
        return _from_a_file(ref, binding)
    plugins = _plugins(ref, config)
    makers = [plugin for plugin in plugins if plugin["type"] not in _META] or plugins
    # The first plugin makes the interface; those after it change it.
    kind = _shown(makers[0])
    for plugin in plugins:
        if plugin.get("type") == _OVN and plugin.get("role") == "primary":
            raise ConfigError(
                f"NAD {ref} is an OVN network with the role primary, which replaces the pod network of its namespace: "
                "expected a secondary network",
                hint="Choose a network with the role secondary.",
            )
    warnings: list[str] = []
    if binding == AUTO:
        chosen = "sriov" if kind in _SRIOV else "bridge"
        warnings += _doubts(ref, kind)
    else:
        chosen = binding
        if binding == "bridge" and kind in _UNSERVED | _SRIOV:
            warnings.append(f"NAD {ref} is of type {kind}: with the binding bridge replies may never arrive")
    has_ipam = any(_has_ipam(ref, plugin) for plugin in makers)
    mode = _address_mode(ref, makers, chosen, subnet_is_ipv6=subnet_is_ipv6) if has_ipam else "static"
    types = tuple(map(_shown, plugins))
    return NadFacts(ref=ref, binding=chosen, types=types, address_mode=mode, warnings=tuple(warnings))


def _from_a_file(ref: NadRef, binding: str) -> NadFacts:
    """Take a NAD whose configuration no API shows. Raises ``ConfigError`` without a binding."""
    why = f"NAD {ref} has no spec.config: Multus reads the file of network {ref.name!r} on each node"
    if binding == AUTO:
        raise ConfigError(
            f"{why}, so the binding for its guests is not known",
            hint="Choose the binding with --kv-binding: bridge, sriov, or a binding plugin.",
        )
    return NadFacts(
        ref=ref,
        binding=binding,
        warnings=(f"{why}; assuming that it has no IPAM, because --kv-binding is set",),
    )


def _doubts(ref: NadRef, kind: str) -> list[str]:
    """Say what is doubtful about the binding that was chosen for a type. Raises ``ConfigError`` where none can work."""
    if kind in _UNSERVED:
        raise ConfigError(
            f"NAD {ref} is of type {kind}, which KubeVirt's bridge and sriov bindings do not support. Use --kv-binding "
            "with a binding plugin of the cluster, or a NAD of type bridge or sriov"
        )
    if kind == "ib-sriov":
        return [f"NAD {ref} is of type {kind}: the guest image needs the drivers of an InfiniBand device"]
    if kind in _BRIDGED | _SRIOV:
        return []
    doubt = (
        f"NAD {ref} is of type {kind}, which KubeVirt does not document for its bindings: using bridge. "
        "If no reply arrives, choose another with --kv-binding"
    )
    return [doubt]


def _plugins(ref: NadRef, config: object) -> Sequence[Mapping[str, Any]]:
    if not isinstance(config, str):
        raise _wrong(ref, f"is {_kind(config)}: expected the JSON of a CNI configuration as text")
    if not config.strip():
        raise _wrong(ref, "is blank: expected the JSON of a CNI configuration")
    try:
        value = json.loads(config)
    except ValueError as error:
        raise _wrong(ref, f"is not valid JSON: {error}") from error
    except RecursionError:
        raise _wrong(ref, "is not valid JSON: it is nested too deeply") from None
    if not isinstance(value, dict):
        raise _malformed(ref, f"expected a JSON object, got {_kind(value)}")
    plugins = value.get("plugins", [value])
    if not isinstance(plugins, list) or not plugins or not all(isinstance(one, dict) for one in plugins):
        raise _malformed(ref, "plugins must be a list of at least one object")
    for one in plugins:
        kind = one.get("type")
        if kind in (None, ""):
            raise _malformed(ref, "type is missing")
        if not isinstance(kind, str):
            raise _malformed(ref, f"its type is {_kind(kind)}, expected the name of a plugin")
    return plugins


def _shown(plugin: Mapping[str, Any]) -> str:
    """A plugin's type, bounded: it is told in messages."""
    return str(plugin["type"])[:_SHOWN_CHARACTERS]


def _malformed(ref: NadRef, what: str) -> ConfigError:
    return _wrong(ref, f"is not a CNI configuration: {what}")


def _wrong(ref: NadRef, what: str) -> ConfigError:
    return ConfigError(f"spec.config of NAD {ref} {what}", hint=_look_at(ref))


def _look_at(ref: NadRef) -> str:
    return f"Check `kubectl get network-attachment-definitions -n {ref.namespace} {ref.name} -o yaml`."


def _kind(value: object) -> str:
    """What a value of JSON is, in words."""
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean"}
    return names.get(type(value), "a number")


def _has_ipam(ref: NadRef, plugin: Mapping[str, Any]) -> bool:
    """Whether a plugin gives addresses out. As the CNI plugins see it: without a type ``ipam`` means nothing.

    A ``static`` one without addresses waits for those that somebody asks for with the pod, and KubeVirt asks for none.
    """
    if plugin.get("type") == _OVN and plugin.get("subnets"):
        return True
    ipam = plugin.get("ipam")
    if ipam is None:
        return False
    if not isinstance(ipam, dict):
        raise _malformed(ref, f"its ipam is {_kind(ipam)}, expected an object")
    kind = ipam.get("type")
    if kind is not None and not isinstance(kind, str):
        raise _malformed(ref, f"the type of its ipam is {_kind(kind)}, expected the name of a plugin")
    return bool(kind) and (kind != "static" or bool(ipam.get("addresses")))


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
            f"NAD {ref} has IPAM for IPv6 only, and KubeVirt answers DHCP for IPv4 only: its guests "
            "get no addresses",
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


def _versions_in(ipam: object) -> Iterator[int]:
    # Not recursive: how deep it is nested is for the NAD's author to choose.
    left: list[tuple[str, object]] = [("", ipam)]
    while left:
        key, value = left.pop()
        if isinstance(value, dict):
            left += [
                (name, inner) for name, inner in value.items() if name not in ("routes", "dns", "exclude")
            ]
        elif isinstance(value, list):
            left += [(key, inner) for inner in value]
        elif isinstance(value, str) and key in _PREFIXES:
            version = _version(value)
            if version:
                yield version


def _version(text: str) -> int:
    """4 or 6 by the part before any ``/`` or ``-``; 0 when it is no address."""
    try:
        return ipaddress.ip_address(text.partition("/")[0].partition("-")[0].strip()).version
    except ValueError:
        return 0
