"""Reads what a lab consists of: a keyword (``auto``, ``sim``, ``qemu``) or a YAML file. PyYAML only for a file."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from pytest_kvlatency.lab.spec.faults import FAULTS
from pytest_kvlatency.lab.spec.labspec import (
    DEFAULT_KUBEVIRT,
    FaultSpec,
    GuestKind,
    LabSpec,
    LinkQuality,
    LinkSpec,
    MigrationSpec,
    NetworkSpec,
    NodeSpec,
    Taint,
)
from pytest_kvlatency.lab.spec.reader import NAME, SpecReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEYWORDS: Final[tuple[GuestKind, ...]] = get_args(GuestKind)
SUFFIXES: Final = (".yaml", ".yml")
DEFAULT: Final = LabSpec(
    nodes=tuple(NodeSpec(name=f"worker{number}") for number in (1, 2, 3)),
    networks=(NetworkSpec(name="default/blue-network"),),
)
#: More nodes than this are a slip of the keyboard.
MAX_NODES: Final = 5000
_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_DIALECTS: Final = ("busybox", "iputils", "busybox-old", "iputils-old")
_ARCHITECTURES: Final = ("amd64", "arm64", "s390x")


class LabSpecError(ValueError):
    """A lab's specification is wrong; the text names every problem, its place, its value and what is valid."""


def parse_spec(arg: str) -> LabSpec:
    """Return the lab that ``--kv-lab=arg`` names. Raises ``LabSpecError``, also for a file that cannot be read."""
    for keyword in KEYWORDS:
        if arg == keyword:
            return replace(DEFAULT, guests=keyword)
    path = Path(arg)
    if path.suffix not in SUFFIXES:
        raise LabSpecError(
            f'"{arg}" is not auto, sim, qemu or a lab file (*.yaml). '
            f"To run the tests of that path in the lab, write --kv-lab=sim {arg}"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LabSpecError(
            f'the lab file "{arg}" does not exist: expected auto, sim, qemu or a file'
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise LabSpecError(f'cannot read the lab file "{arg}": {error}') from error
    return load(text, arg)


def load(text: str, source: str) -> LabSpec:
    """Read a lab from YAML; ``source`` names the file in errors. Raises ``LabSpecError`` with all problems."""
    from pytest_kvlatency.lab.spec.yaml import DuplicateKeyError, YamlError, safe_load  # noqa: PLC0415

    try:
        document = safe_load(text)
    except DuplicateKeyError as error:
        raise LabSpecError(f"{source}: {error}") from error
    except YamlError as error:
        # YAML's own words are several lines, and every line of this text is a problem of its own.
        raise LabSpecError(f"{source}: is not valid YAML: {' '.join(str(error).split())}") from error
    reader = SpecReader()
    spec = _captured(reader, _lab(reader, {} if document is None else document), Path(source).parent)
    if reader.problems:
        raise LabSpecError("\n".join(f"{source}: {problem}" for problem in reader.problems))
    return spec


_QUALITY: Final[Mapping[str, tuple[str, Callable[[SpecReader, str, Any], Any]]]] = {
    "latency": ("latency_ns", SpecReader.duration),
    "jitter": ("jitter_ns", SpecReader.duration),
    "loss": ("loss", SpecReader.probability),
    "duplicate": ("duplicate", SpecReader.probability),
    "partition": ("partition", SpecReader.boolean),
    "block_icmp": ("block_icmp", SpecReader.boolean),
    "mtu": ("mtu", lambda reader, place, value: reader.integer(place, value, 68, 65535)),
}
_MIGRATION_TIMES: Final = {
    "preparation_gap": "preparation_gap_seconds",
    "downtime": "downtime_seconds",
    "duration": "seconds",
    "pending_timeout": "pending_seconds",
}
_VERSION: Final = re.compile(r"v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?")
_MIGRATION_LIMITS: Final = ("parallel", "parallel_outbound")
_TOP: Final = (
    "guests", "nodes", "networks", "links", "faults", "seed", "time_scale", "boot", "dialect", "accelerator", "agent",
    "bindings", "deletion", "migration", "kubevirt_version",
)  # fmt: skip


def _lab(reader: SpecReader, document: object) -> LabSpec:
    top = reader.mapping("", document, _TOP)
    given: dict[str, Any] = {}
    if "guests" in top:
        given["guests"] = reader.choice("guests", top["guests"], KEYWORDS)
    if "seed" in top:
        given["seed"] = reader.integer("seed", top["seed"], 0, 2**63 - 1)
    if "time_scale" in top:
        given["time_scale"] = reader.number(
            "time_scale",
            top["time_scale"],
            lambda n: 0 < n <= 1e6,
            "number above 0, such as 10 (ten times as fast)",
        )
    if "boot" in top:
        given["boot_seconds"] = reader.duration("boot", top["boot"]) / 1e9
    if "accelerator" in top:
        given["accelerator"] = reader.choice("accelerator", top["accelerator"], ("kvm", "tcg"))
    if "dialect" in top:
        given["dialect"] = reader.choice("dialect", top["dialect"], _DIALECTS)
    if "agent" in top:
        given["agent"] = reader.boolean("agent", top["agent"])
    if "bindings" in top:
        names = enumerate(reader.items("bindings", top["bindings"]))
        given["bindings"] = tuple(reader.name(f"bindings[{index}]", item) or "" for index, item in names)
    if "deletion" in top:
        given["deletion_seconds"] = reader.duration("deletion", top["deletion"]) / 1e9
    if "kubevirt_version" in top:
        given["kubevirt_version"] = _version(reader, top["kubevirt_version"])
    if "migration" in top:
        given["migration"] = _migration(reader, top["migration"])
    nodes = _nodes(reader, top["nodes"]) if "nodes" in top else DEFAULT.nodes
    networks = _networks(reader, top["networks"]) if "networks" in top else DEFAULT.networks
    node_names = tuple(node.name for node in nodes)
    network_names = tuple(network.name for network in networks)
    links = tuple(
        _link(reader, f"links[{index}]", item, node_names, network_names)
        for index, item in enumerate(reader.items("links", top.get("links", [])))
    )
    faults = tuple(
        _fault(reader, f"faults[{index}]", item, node_names, network_names)
        for index, item in enumerate(reader.items("faults", top.get("faults", [])))
    )
    return LabSpec(nodes=nodes, networks=networks, links=links, faults=faults, **given)


def _version(reader: SpecReader, value: object) -> str:
    if isinstance(value, str) and _VERSION.fullmatch(value):
        return value
    reader.wrong("kubevirt_version", value, f"is not a version: expected one such as {DEFAULT_KUBEVIRT}")
    return DEFAULT_KUBEVIRT


def _captured(reader: SpecReader, spec: LabSpec, folder: Path) -> LabSpec:
    """Return ``spec`` with the paths of its captures, which are relative to ``folder``, where the lab file is."""
    networks: list[NetworkSpec] = []
    for network in spec.networks:
        if network.capture is None:
            networks.append(network)
            continue
        place, path = f"networks[{network.name}].capture", str((folder / network.capture).absolute())
        if spec.guests == "sim":
            reader.wrong(
                place,
                network.capture,
                "needs real guests, because simulated guests send no frames (guests: qemu)",
            )
        if any(path == other.capture for other in networks):
            reader.wrong(place, network.capture, "is also the capture of another network")
        networks.append(replace(network, capture=path))
    return replace(spec, networks=tuple(networks))


def _migration(reader: SpecReader, value: object) -> MigrationSpec:
    """Read what a live migration adds to the gaps, how long it takes, and how many there may be at a time."""
    keys = reader.mapping("migration", value, (*_MIGRATION_TIMES, *_MIGRATION_LIMITS))
    given: dict[str, Any] = {}
    for key, name in _MIGRATION_TIMES.items():
        if key in keys:
            given[name] = reader.duration(f"migration.{key}", keys[key]) / 1e9
    for key in _MIGRATION_LIMITS:
        if key in keys:
            given[key] = reader.integer(f"migration.{key}", keys[key], 1, 1_000_000)
    return MigrationSpec(**given)


def _nodes(reader: SpecReader, value: object) -> tuple[NodeSpec, ...]:
    if isinstance(value, int) and not isinstance(value, bool):
        count = reader.integer("nodes", value, 1, MAX_NODES) or 0
        return tuple(NodeSpec(name=f"worker{number}") for number in range(1, count + 1))
    if not isinstance(value, list) or not value:
        reader.wrong("nodes", value, f"is not a list of nodes or an integer from 1 to {MAX_NODES}")
        return ()
    found: dict[str, NodeSpec] = {}
    for index, item in enumerate(value):
        place = f"nodes[{index}]"
        node = _node(reader, place, {"name": item} if isinstance(item, str) else item)
        if node is not None and node.name in found:
            reader.wrong(place, node.name, "appears twice")
        elif node is not None:
            found[node.name] = node
    return tuple(found.values())


def _node(reader: SpecReader, place: str, value: object) -> NodeSpec | None:
    keys = reader.mapping(place, value, ("name", "labels", "taints", "unschedulable", "arch"))
    if "name" not in keys:
        if isinstance(value, dict):
            reader.wrong(place, value, "has no name")
        return None
    name = reader.name(f"{place}.name", keys["name"])
    given: dict[str, Any] = {}
    if "labels" in keys:
        given["labels"] = reader.strings(f"{place}.labels", keys["labels"])
    if "unschedulable" in keys:
        given["unschedulable"] = reader.boolean(f"{place}.unschedulable", keys["unschedulable"])
    if "arch" in keys:
        given["arch"] = reader.choice(f"{place}.arch", keys["arch"], _ARCHITECTURES)
    taints = [
        _taint(reader, f"{place}.taints[{index}]", item)
        for index, item in enumerate(reader.items(f"{place}.taints", keys.get("taints", [])))
    ]
    return None if name is None else NodeSpec(name=name, taints=tuple(t for t in taints if t), **given)


def _taint(reader: SpecReader, place: str, value: object) -> Taint | None:
    """Read ``{key, value, effect}`` or kubectl's ``KEY[=VALUE]:EFFECT``."""
    if isinstance(value, str):
        head, colon, effect = value.rpartition(":")
        key, _, text = head.partition("=")
        if not colon or not key or effect not in _EFFECTS:
            reader.wrong(
                place,
                value,
                f"is not a taint: expected KEY[=VALUE]:EFFECT, with one of the effects {', '.join(_EFFECTS)}",
            )
            return None
        value = {"key": key, "value": text, "effect": effect}
    keys = reader.mapping(place, value, ("key", "value", "effect"))
    name = reader.string(f"{place}.key", keys.get("key", ""))
    effect = reader.choice(f"{place}.effect", keys.get("effect", "NoSchedule"), _EFFECTS)
    text = keys.get("value", "")
    if not isinstance(text, str):
        reader.wrong(f"{place}.value", text, "is not a string: quote true, false and numbers")
        return None
    return Taint(key=name, value=text, effect=effect) if name and effect else None


def _networks(reader: SpecReader, value: object) -> tuple[NetworkSpec, ...]:
    if not isinstance(value, dict):
        reader.wrong("networks", value, "is not a mapping of NAMESPACE/NAME to a network")
        return ()
    return tuple(
        _network(reader, f"networks[{name}]", name, {} if item is None else item)
        for name, item in value.items()
    )


def _network(reader: SpecReader, place: str, name: object, value: object) -> NetworkSpec:
    parts = name.split("/") if isinstance(name, str) else []
    if len(parts) != 2 or not all(NAME.fullmatch(part) for part in parts):
        reader.wrong(
            "networks", name, "is not a network's name: expected NAMESPACE/NAME, such as default/blue-network"
        )
    keys = reader.mapping(place, value, ("type", *_QUALITY, "guest_mtu", "config", "ipam", "capture"))
    given: dict[str, Any] = {"quality": LinkQuality(**_quality(reader, place, keys))}
    if "config" in keys:
        config = keys["config"]
        if isinstance(config, dict):
            given["type"] = config.get("type", "bridge")
            config = json.dumps(config)
        if not isinstance(config, str):
            reader.wrong(f"{place}.config", config, "is not a string or a mapping")
        given["config"] = config
    if "type" in keys:
        given["type"] = reader.string(f"{place}.type", keys["type"])
    if "guest_mtu" in keys:
        given["guest_mtu"] = reader.integer(f"{place}.guest_mtu", keys["guest_mtu"], 68, 65535)
    if "ipam" in keys:
        given["dhcp_range"] = _cidr(reader, f"{place}.ipam", keys["ipam"])
    if "capture" in keys:
        given["capture"] = reader.string(f"{place}.capture", keys["capture"])
    return NetworkSpec(name=str(name), **given)


def _cidr(reader: SpecReader, place: str, value: object) -> str | None:
    try:
        network = ipaddress.ip_network(str(value))
    except ValueError:
        reader.wrong(place, value, "is not a network: expected a CIDR such as 192.168.10.0/24")
        return None
    return str(network)


def _quality(reader: SpecReader, place: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of ``LinkQuality`` that are given."""
    return {
        _QUALITY[key][0]: _QUALITY[key][1](reader, f"{place}.{key}", value)
        for key, value in keys.items()
        if key in _QUALITY
    }


def _link(
    reader: SpecReader, place: str, value: object, nodes: tuple[str, ...], networks: tuple[str, ...]
) -> LinkSpec:
    keys = reader.mapping(place, value, ("between", "network", *_QUALITY))
    between = keys.get("between")
    if not isinstance(between, list) or len(between) != 2:
        reader.wrong(
            f"{place}.between", between, "is not a list of two nodes: expected two of " + ", ".join(nodes)
        )
        between = ["", ""]
    else:
        for end in between:
            reader.choice(f"{place}.between", end, nodes, "is not a node")
    network = keys.get("network")
    if network is not None:
        reader.choice(f"{place}.network", network, networks, "is not a network")
    first, second = (str(end) for end in between)
    return LinkSpec(between=(first, second), network=network, overrides=_quality(reader, place, keys))


def _fault(
    reader: SpecReader, place: str, value: object, nodes: tuple[str, ...], networks: tuple[str, ...]
) -> FaultSpec:
    name = value.get("fault") if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in FAULTS:
        if isinstance(value, dict):
            reader.wrong(
                f"{place}.fault", name, f"is not a fault: expected one of {', '.join(sorted(FAULTS))}"
            )
        else:
            reader.wrong(place, value, "is not a mapping: expected {fault: NAME, …}")
        return FaultSpec(fault="")
    own = tuple(parameter for parameter, _ in FAULTS[name].parameters)
    narrowing = ("node", "network", "vmi") if FAULTS[name].by_vmi else ("vmi",)
    keys = reader.mapping(place, value, ("fault", *narrowing, "after", "times", *own))
    given: dict[str, Any] = {}
    if "node" in keys:
        given["node"] = reader.choice(f"{place}.node", keys["node"], nodes, "is not a node")
    if "network" in keys:
        given["network"] = reader.choice(f"{place}.network", keys["network"], networks, "is not a network")
    if "vmi" in keys:
        given["vmi"] = reader.string(f"{place}.vmi", keys["vmi"])
    if "after" in keys:
        given["after_seconds"] = reader.duration(f"{place}.after", keys["after"]) / 1e9
    if "times" in keys:
        given["times"] = reader.integer(f"{place}.times", keys["times"], 1, 2**31)
    return FaultSpec(fault=name, parameters=_parameters(reader, place, keys, own, nodes), **given)


def _parameters(
    reader: SpecReader, place: str, keys: Mapping[str, Any], own: tuple[str, ...], nodes: tuple[str, ...]
) -> dict[str, Any]:
    """Return the fault's own parameters, checked where their form is fixed; durations stay Go's text."""
    found = {parameter: keys[parameter] for parameter in own if parameter in keys}
    for parameter, value in found.items():
        where = f"{place}.{parameter}"
        if parameter == "code":
            reader.integer(where, value, 400, 599)
        elif parameter in {"every", "instead"}:
            reader.integer(where, value, 1, 1_000_000)
        elif parameter == "retry_after":
            reader.number(where, value, lambda n: n >= 0, "number of seconds")
        elif parameter in {"delay", "back_off", "down", "denies"}:
            reader.duration(where, value)
        elif parameter == "to":
            reader.choice(where, value, nodes, "is not a node")
        elif parameter == "reason":
            reader.choice(where, value, ("ErrImagePull", "ImagePullBackOff"))
        else:
            reader.string(where, value)
    return found
