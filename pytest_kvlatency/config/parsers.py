"""One option's text to its value. Every parser raises ``ValueError`` whose text goes on after the value.

``'10xs' is not a duration; valid is …``: the caller puts the option and the value in front, and the source behind.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast, get_args

from pytest_kvlatency.model import AUTO, NodePair
from pytest_kvlatency.units import DURATION_HELP, format_duration, parse_duration, parse_percent

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Keep = Literal["never", "failed", "always"]
Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]

#: iputils prints no time for a smaller payload: it has no room for the time stamp.
MIN_PACKET_SIZE: Final = 16
#: 65,535 bytes less 20 of IPv4's header and 8 of ICMP's.
MAX_PACKET_SIZE: Final = 65507
MIN_INTERVAL_NS: Final = 1_000_000

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
# Image references.
IMAGE_HELP: Final = "Expected [REGISTRY/]NAME, then :TAG or @sha256:DIGEST"
_DIGESTS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_REGISTRY: Final = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
)
_REPOSITORY: Final = re.compile(
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
)
_LONGEST_REPOSITORY: Final = 255
_WORD: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
#: One requirement of a label selector: key and values, or a key that is there or not.
_REQUIREMENT: Final = re.compile(
    r"(?P<key>[^\s!=()<>]+)\s*(?:[<>]\s*-?[0-9]+|(?:==?|!=)\s*(?P<value>[^\s!=()]*)|\s(?:in|notin)\s*\((?P<values>[^()]+)\))"
    r"|!?\s*(?P<alone>[^\s!=()<>]+)"
)
_OUTER_COMMA: Final = re.compile(r",(?![^()]*\))")
NAME_HELP: Final = "lower-case letters, digits, '-' and '.'"
NAD_HELP: Final = "NAME or NAMESPACE/NAME"
NODES_HELP: Final = "auto, SRC:DST, mesh, ring or star:HUB"
TOLERATION_HELP: Final = (
    "KEY[=VALUE][:EFFECT], such as dedicated=tests:NoSchedule; "
    "an EFFECT is NoSchedule, PreferNoSchedule or NoExecute"
)
SELECTOR_HELP: Final = (
    "a label selector such as zone=b, zone!=b or 'zone in (a,b)', with commas between several"
)
SUBNET_HELP: Final = "a network such as 192.0.2.0/24 or fd00::/64"


@dataclass(frozen=True, kw_only=True)
class NadName:
    """A NAD as it was named; ``namespace`` None is the checkup's."""

    namespace: str | None
    name: str

    def __str__(self) -> str:
        return self.name if self.namespace is None else f"{self.namespace}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """Every pair of nodes of the node set."""

    def __str__(self) -> str:
        return "mesh"


@dataclass(frozen=True, kw_only=True)
class Ring:
    """Each node of the node set with the next one."""

    def __str__(self) -> str:
        return "ring"


@dataclass(frozen=True, kw_only=True)
class Star:
    """``hub`` with every other node of the node set."""

    hub: str

    def __str__(self) -> str:
        return f"star:{self.hub}"


NodesSpec = NodePair | Mesh | Ring | Star


@dataclass(frozen=True, kw_only=True)
class NodeSet:
    """Nodes by name, or by a label selector; exactly one of the two is given."""

    names: tuple[str, ...] = ()
    selector: str | None = None

    def __str__(self) -> str:
        return ",".join(self.names) if self.selector is None else self.selector


@dataclass(frozen=True, kw_only=True)
class Toleration:
    """What a VMI tolerates; ``value`` None is any value of the key, ``effect`` None any effect."""

    key: str
    value: str | None = None
    effect: Effect | None = None

    def to_dict(self) -> dict[str, str]:
        """As Kubernetes spells it (``v1.Toleration``)."""
        spelled = {"key": self.key, "operator": "Exists" if self.value is None else "Equal"}
        if self.value is not None:
            spelled["value"] = self.value
        if self.effect is not None:
            spelled["effect"] = self.effect
        return spelled

    def __str__(self) -> str:
        return (
            self.key
            + ("" if self.value is None else f"={self.value}")
            + (f":{self.effect}" if self.effect else "")
        )


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Part ``index`` (from 0) of ``count`` parts."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


duration = parse_duration
percent = parse_percent


def switch(text: str) -> bool:
    """``true`` or ``false``."""
    if text.strip().lower() not in ("true", "false"):
        raise ValueError("is neither true nor false")
    return text.strip().lower() == "true"


def positive_duration(text: str) -> int:
    """Nanoseconds of a duration above 0."""
    value = parse_duration(text)
    if value <= 0:
        raise ValueError(f"is not longer than 0; valid is {DURATION_HELP}")
    return value


def interval(text: str) -> int:
    """Nanoseconds of a duration of at least a millisecond."""
    value = parse_duration(text)
    if value < MIN_INTERVAL_NS:
        raise ValueError(f"is too short; valid is a duration of at least {format_duration(MIN_INTERVAL_NS)}")
    return value


def whole(text: str, *, what: str, low: int, high: int | None = None) -> int:
    """A whole number from ``low`` to ``high``."""
    valid = f"a whole number from {low}" + ("" if high is None else f" to {high}")
    if not _WHOLE.fullmatch(text.strip()):
        raise ValueError(f"is no {what}; valid is {valid}")
    value = int(text)
    if value < low or (high is not None and value > high):
        raise ValueError(f"is out of range; valid is {valid}")
    return value


def packet_size(text: str) -> int:
    """Bytes of ICMP payload; a smaller one would carry no time stamp, so ping could give no round-trip time."""
    return whole(text, what="number of bytes", low=MIN_PACKET_SIZE, high=MAX_PACKET_SIZE)


def warmup(text: str) -> int:
    """A number of replies, 0 for none."""
    return whole(text, what="number of replies", low=0)


def parallel(text: str) -> int | None:
    """At most how many pairs at once; None is ``auto``."""
    if text.strip() == "auto":
        return None
    try:
        return whole(text, what="number of pairs", low=1)
    except ValueError as error:
        raise ValueError(str(error).replace("valid is", "valid is auto or")) from error


def regression(text: str) -> float:
    """A percentage without upper end."""
    value = text.strip().removesuffix("%").strip()
    if not _NUMBER.fullmatch(value):
        raise ValueError("is no percentage; valid is a number from 0, such as 20 or 20%")
    return float(value)


def nad(text: str) -> NadName:
    """``NAME`` or ``NAMESPACE/NAME``."""
    if not text.strip():
        raise ValueError(f"is empty; valid is {NAD_HELP}")
    namespace, slash, name = text.strip().rpartition("/")
    if (slash and not is_label(namespace)) or not is_subdomain(name):
        raise ValueError(f"is no name of a NetworkAttachmentDefinition; valid is {NAD_HELP}, of {NAME_HELP}")
    return NadName(namespace=namespace if slash else None, name=name)


def nodes(text: str) -> NodesSpec:
    """``auto``, ``SRC:DST``, ``mesh``, ``ring`` or ``star:HUB``."""
    value = text.strip()
    simple: dict[str, NodesSpec] = {"auto": AUTO, "mesh": Mesh(), "ring": Ring()}
    if value in simple:
        return simple[value]
    source, colon, target = value.partition(":")
    if not colon or not source or not target:
        raise ValueError(f"{_why_no_nodes(value)}; valid is {NODES_HELP}")
    wrong = next((name for name in (source, target) if not is_subdomain(name)), None)
    if wrong is not None:
        raise ValueError(
            f"has {wrong!r} where a node's name is due; valid is {NODES_HELP}, with names of {NAME_HELP}"
        )
    return Star(hub=target) if source == "star" else NodePair(source=source, target=target)


def _why_no_nodes(value: str) -> str:
    if not value:
        return "is empty"
    if value in {"star", "star:"}:
        return "names no hub"
    return "names one node only" if is_subdomain(value.strip(":")) else "is no node pair"


def node_set(text: str) -> NodeSet:
    """Comma-separated names, or a label selector, which contains ``=`` or parentheses."""
    value = text.strip()
    if "=" in value or "(" in value:
        wrong = next((one for one in _OUTER_COMMA.split(value) if not _is_requirement(one)), None)
        if wrong is not None:
            raise ValueError(
                f"has {wrong.strip()!r} where a label's requirement is due; valid is {SELECTOR_HELP}"
            )
        return NodeSet(selector=value)
    names = tuple(dict.fromkeys(part.strip() for part in value.split(",")))
    if not all(is_subdomain(name) for name in names):
        raise ValueError(
            "is no set of nodes; valid is names with commas between them, or a label selector with a ="
        )
    return NodeSet(names=names)


def namespace(text: str) -> str:
    """A namespace's name."""
    if not is_label(text.strip()):
        raise ValueError("is no name of a namespace; valid are up to 63 lower-case letters, digits and '-'")
    return text.strip()


def configmap(text: str) -> str:
    """``NS/NAME`` or ``env``."""
    value = text.strip()
    space, slash, name = value.partition("/")
    if value != "env" and not (slash and is_label(space) and is_subdomain(name)):
        raise ValueError("is no ConfigMap; valid is NAMESPACE/NAME, or env")
    return value


def secret(text: str) -> str:
    """A Secret's name."""
    if not is_subdomain(text.strip()):
        raise ValueError(f"is no name of a Secret; valid are {NAME_HELP}")
    return text.strip()


def image(text: str) -> str:
    """A container image by the grammar of the distribution project, as the nodes read it; the registry judges the rest.

    Source: github.com/distribution/reference, and opencontainers/go-digest for what digests there are.
    """
    value = text.strip()
    if wrong := _wrong_image(value):
        raise ValueError(f"is not an image reference: {wrong}. {IMAGE_HELP}")
    return value


def _wrong_image(value: str) -> str:
    """What is wrong with a reference; empty when nothing is."""
    if not value:
        return "it is empty"
    if found := re.search(r"\s", value):
        return f"it contains {found[0]!r}"
    rest, at, digest = value.partition("@")
    if at:
        algorithm, _, digits = digest.partition(":")
        length = _DIGESTS.get(algorithm)
        if length is None:
            return f"the digest {digest!r} is not one of {', '.join(_DIGESTS)}"
        if not re.fullmatch(f"[0-9a-f]{{{length}}}", digits):
            return f"a {algorithm} digest has {length} hexadecimal digits in lower case, not {digits!r}"
    if "://" in rest:
        return "it is a URL"
    path, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        path, colon, tag = rest, "", ""
    if colon and not _TAG.fullmatch(tag):
        return f"the tag {tag!r} is not valid" if tag else "the tag is empty"
    host, slash, name = path.partition("/")
    # Without a dot, a port or an upper-case letter it is the beginning of a name on Docker Hub.
    is_host = bool(slash) and (host == "localhost" or bool(re.search(r"[.:A-Z]", host)))
    if not is_host:
        host, name = "", path
    if host and not _REGISTRY.fullmatch(host):
        return f"the registry {host!r} is not valid"
    if not _REPOSITORY.fullmatch(name):
        is_case = _REPOSITORY.fullmatch(name.lower()) is not None
        return (
            f"the repository {name!r} must be in lower case"
            if is_case
            else f"the repository {name!r} is not valid"
        )
    return (
        f"the repository is longer than {_LONGEST_REPOSITORY} characters"
        if len(name) > _LONGEST_REPOSITORY
        else ""
    )


def binding(text: str) -> str:
    """A binding of KubeVirt's, or the name of a binding plugin."""
    return _word(text, "a binding")


def guest(text: str) -> str:
    """A guest profile's name."""
    return _word(text, "a guest profile")


def context(text: str) -> str:
    """A context's name, which may hold anything."""
    return _some_text(text, "the name of a context of the kubeconfig")


def lab(text: str) -> str:
    """What lab to run; the lab itself judges a file."""
    return _some_text(text, "auto, sim, qemu or a lab file")


def path(text: str) -> Path:
    """A path; whether it can be used is found out by who uses it."""
    if not text.strip():
        raise ValueError("is empty; valid is a path")
    return Path(text).expanduser()


def subnet(text: str) -> Network:
    """An IPv4 or IPv6 network with room for two guests."""
    value = text.strip()
    if "/" not in value:
        raise ValueError(f"has no prefix length; valid is {SUBNET_HELP}")
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError as error:
        raise ValueError(f"is no network; valid is {SUBNET_HELP}") from error
    if ipaddress.ip_interface(value).ip != network.network_address:
        raise ValueError(f"has host bits set; valid is {network}")
    if network.max_prefixlen - network.prefixlen < 2:
        longest = network.max_prefixlen - 2
        raise ValueError(f"has no room for two guests; valid is a prefix length of at most /{longest}")
    first = network.network_address
    if (
        network.is_multicast
        or network.is_loopback
        or first.is_unspecified
        or (network.version == 4 and network.is_reserved)
        or (network.version == 6 and network.is_link_local)
    ):
        raise ValueError(f"holds no addresses for guests; valid is {SUBNET_HELP}")
    return network


def toleration(text: str) -> Toleration:
    """``KEY[=VALUE][:EFFECT]``."""
    rest, colon, effect = text.strip().partition(":")
    key, equals, value = rest.partition("=")
    if not _is_qualified(key) or (value and not _WORD.fullmatch(value)):
        raise ValueError(f"is no toleration; valid is {TOLERATION_HELP}")
    if colon and effect not in get_args(Effect):
        raise ValueError(f"has the effect {effect!r}; valid is {TOLERATION_HELP}")
    return Toleration(
        key=key,
        value=value if equals else None,
        effect=cast("Effect", effect) if colon else None,
    )


def keep(text: str) -> Keep:
    """When the VMIs are left for a look."""
    if text.strip() not in get_args(Keep):
        raise ValueError("is not understood; valid is never, failed or always")
    return cast("Keep", text.strip())


def shard(text: str) -> Shard:
    """``I/N``, counted from 0."""
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
    if match is None or not int(match[1]) < int(match[2]):
        raise ValueError("is no shard; valid is I/N with I from 0 to N-1, such as 0/4")
    return Shard(index=int(match[1]), count=int(match[2]))


def _word(text: str, what: str) -> str:
    """A name that others define."""
    if not _WORD.fullmatch(text.strip()):
        raise ValueError(f"is no name of {what}; valid are letters, digits, '-', '_' and '.'")
    return text.strip()


def _some_text(text: str, what: str) -> str:
    if not text.strip():
        raise ValueError(f"is empty; valid is {what}")
    return text.strip()


def is_label(text: str) -> bool:
    """Whether ``text`` is an RFC 1123 label, as namespaces' names are."""
    return _LABEL.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """Whether ``text`` is an RFC 1123 subdomain, as most objects' names are."""
    return len(text) <= 253 and _SUBDOMAIN.fullmatch(text) is not None


def _is_qualified(key: str) -> bool:
    """Whether ``key`` is a label's key: a word, perhaps with a domain and a slash before it."""
    domain, slash, name = key.rpartition("/")
    return _WORD.fullmatch(name) is not None and (not slash or is_subdomain(domain))


def _is_requirement(text: str) -> bool:
    """Whether ``text`` is one requirement of a label selector, as a server takes it."""
    match = _REQUIREMENT.fullmatch(text.strip())
    if match is None or not _is_qualified(match["key"] or match["alone"]):
        return False
    values = (match["values"] or match["value"] or "").split(",")
    return all(not one.strip() or _WORD.fullmatch(one.strip()) is not None for one in values)
