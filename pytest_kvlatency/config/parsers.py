"""One option's text to its value. Every parser raises ``ValueError`` whose text goes on after the value.

``'10' has no unit. Did you mean 10ms?``: the caller puts the option and the value in front, and the source behind. A
text that begins with ``invalid`` and a noun takes the value after that noun (see ``phrase``).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

from pytest_kvlatency.config import imagereference, nodespecs
from pytest_kvlatency.config.kubenames import NAME_HELP, is_label, is_subdomain
from pytest_kvlatency.config.nearest import either, guessed, nearest
from pytest_kvlatency.model import NadRef
from pytest_kvlatency.units import format_duration, parse_duration, parse_percent

if TYPE_CHECKING:
    from collections.abc import Callable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Keep = Literal["never", "failed", "always"]
Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]

#: iputils prints no time for a smaller payload: it has no room for the time stamp.
MIN_PACKET_SIZE: Final = 16
#: 65,535 bytes less 20 of IPv4's header and 8 of ICMP's.
MAX_PACKET_SIZE: Final = 65507
MIN_INTERVAL_NS: Final = 1_000_000

_WORD: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
#: One requirement of a label selector: key and values, or a key that is there or not.
_REQUIREMENT: Final = re.compile(
    r"(?P<key>[^\s!=()<>]+)\s*(?:[<>]\s*-?[0-9]+|(?:==?|!=)\s*(?P<value>[^\s!=()]*)|\s(?:in|notin)\s*\((?P<values>[^()]+)\))"
    r"|!?\s*(?P<alone>[^\s!=()<>]+)"
)
_OUTER_COMMA: Final = re.compile(r",(?![^()]*\))")
NAD_HELP: Final = "NAME or NAMESPACE/NAME"
TOLERATION_HELP: Final = "KEY[=VALUE][:EFFECT], such as dedicated=tests:NoSchedule"
SELECTOR_HELP: Final = "requirements such as zone=b, zone!=b or 'zone in (a,b)', with commas between several"
SUBNET_HELP: Final = "a network such as 192.0.2.0/24 or fd00::/64"


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


def phrase(value: object, text: str) -> str:
    """A value and what is wrong with it: ``'10' has no unit``, ``invalid packet size 'x': …``."""
    noun = re.match("invalid [^:.]+", text)
    return f"{value!r} {text}" if noun is None else f"{noun[0]} {value!r}{text[noun.end() :]}"


duration = parse_duration
image = imagereference.parse
nodes = nodespecs.nodes
percent = parse_percent


def switch(text: str) -> bool:
    """``true`` or ``false``."""
    value = text.strip().lower()
    if value not in ("true", "false"):
        likely = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"}
        guess = likely.get(value) or next(iter(nearest(value, ("true", "false"))), "")
        raise ValueError("is neither true nor false" + (f". Did you mean {guess}?" if guess else ""))
    return value == "true"


def timeout(text: str) -> int:
    """Nanoseconds of a duration above 0; a small number without unit is most likely meant in minutes."""
    number = text.strip()
    return _above_0(text, usual="m" if _WHOLE.fullmatch(number) is None or int(number) <= 60 else "s")


def _above_0(text: str, *, usual: str) -> int:
    value = parse_duration(text, usual=usual)
    if value <= 0:
        raise ValueError(f"is too short: expected a duration above 0, such as 5{usual}")
    return value


def interval(text: str) -> int:
    """Nanoseconds of a duration of at least a millisecond."""
    value = parse_duration(text)
    if value < MIN_INTERVAL_NS:
        raise ValueError(f"is too short: expected a duration of at least {format_duration(MIN_INTERVAL_NS)}")
    return value


def whole(text: str, *, what: str, low: int, high: int | None = None, other: str = "") -> int:
    """An integer from ``low`` to ``high``; ``other`` is what the caller takes beside that."""
    value = text.strip()
    if _is_between(value, low, high):
        return int(value)
    written = re.fullmatch(r"([0-9]{1,3}(?:[,_ ][0-9]{3})+|[0-9]+(?=\s*[A-Za-z]))\s*[A-Za-z]*", value)
    guess = re.sub("[,_ ]", "", written[1]) if written else ""
    if _is_between(guess, low, high):
        raise ValueError(f"invalid {what}. Did you mean {guess}?")
    expected = f"an integer of at least {low}" if high is None else f"an integer from {low} to {high}"
    raise ValueError(f"invalid {what}: expected {other}{expected}")


def _is_between(value: str, low: int, high: int | None) -> bool:
    return bool(_WHOLE.fullmatch(value)) and low <= int(value) and (high is None or int(value) <= high)


def parallel(text: str) -> int | None:
    """At most how many pairs at once; None is ``auto``."""
    if text.strip() == "auto":
        return None
    return whole(text, what="number of pairs", low=1, other="auto, or ")


def regression(text: str) -> float:
    """A percentage without upper end."""
    value = text.strip().removesuffix("%").strip()
    if not _NUMBER.fullmatch(value):
        raise ValueError("is not a percentage: expected a number such as 20 or 20%")
    return float(value)


def nad(text: str) -> NadRef:
    """``NAME`` or ``NAMESPACE/NAME``."""
    value = text.strip()
    if not value:
        raise ValueError(f"is empty: expected {NAD_HELP}")
    expected = f"{NAD_HELP}, of {NAME_HELP}"
    namespace, _, name = _name_of(
        value, what="a NetworkAttachmentDefinition", is_one=_is_nad, expected=expected
    ).rpartition("/")
    return NadRef(namespace=namespace, name=name)


def _is_nad(value: str) -> bool:
    namespace, slash, name = value.rpartition("/")
    return is_subdomain(name) and (not slash or is_label(namespace))


def _name_of(text: str, *, what: str, is_one: Callable[[str], bool], expected: str) -> str:
    """The name of an object of Kubernetes'. One has neither capitals nor underscores nor spaces."""
    value = text.strip()
    if not is_one(value):
        dashed = re.sub(r"[_\s]+", "-", value.lower())
        guesses = filter(is_one, (dashed, dashed.replace(":", "/")))
        raise ValueError(guessed(f"is not the name of {what}", guesses, expected=expected))
    return value


def node_set(text: str) -> NodeSet:
    """Comma-separated names, or a label selector, which contains ``=`` or parentheses."""
    value = text.strip()
    if "=" in value or "(" in value:
        wrong = next((one for one in _OUTER_COMMA.split(value) if not _is_requirement(one)), None)
        if wrong is not None:
            raise ValueError(
                f"is not a label selector: cannot read {wrong.strip()!r}. Expected {SELECTOR_HELP}"
            )
        return NodeSet(selector=value)
    names = tuple(dict.fromkeys(part.strip() for part in value.split(",")))
    if not all(is_subdomain(name) for name in names):
        listed = ",".join(filter(None, re.split(r"[,;:\s]+", value.lower())))
        expected = "names such as worker1,worker2, or a label selector such as zone=b"
        guesses = [listed] if listed and all(map(is_subdomain, listed.split(","))) else []
        raise ValueError(guessed("is not a set of nodes", guesses, expected=expected))
    return NodeSet(names=names)


def _is_configmap(value: str) -> bool:
    space, _, name = value.partition("/")
    return value == "env" or (is_label(space) and is_subdomain(name))


def path(text: str) -> Path:
    """A path; whether it can be used is found out by who uses it."""
    if not text.strip():
        raise ValueError("is empty: expected a path")
    return Path(text).expanduser()


def subnet(text: str) -> Network:
    """An IPv4 or IPv6 network with room for two guests."""
    value = text.strip()
    if "/" not in value:
        try:
            likely = ipaddress.ip_network(f"{value}/{24 if '.' in value else 64}", strict=False)
        except ValueError:
            raise ValueError(f"is not a network: expected {SUBNET_HELP}") from None
        raise ValueError(f"has no prefix length. Did you mean {likely}?")
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError as error:
        raise ValueError(f"is not a network: expected {SUBNET_HELP}") from error
    if ipaddress.ip_interface(value).ip != network.network_address:
        raise ValueError(f"has host bits set. Did you mean {network}?")
    if network.max_prefixlen - network.prefixlen < 2:
        longest = network.max_prefixlen - 2
        raise ValueError(f"has no room for two guests: expected a prefix length of at most /{longest}")
    if kind := _reserved(network):
        raise ValueError(f"is {kind}, which guests cannot use: expected {SUBNET_HELP}")
    return network


def _reserved(network: Network) -> str:
    """What a network's addresses are for, where they are for no guest."""
    kinds = {
        "a multicast range": network.is_multicast,
        "a loopback range": network.is_loopback,
        "the unspecified range": network.network_address.is_unspecified,
        "a reserved range": network.version == 4 and network.is_reserved,
        "a link-local range": network.version == 6 and network.is_link_local,
    }
    return next((kind for kind, is_it in kinds.items() if is_it), "")


def toleration(text: str) -> Toleration:
    """``KEY[=VALUE][:EFFECT]``."""
    rest, colon, effect = text.strip().partition(":")
    key, equals, value = rest.partition("=")
    if not _is_qualified(key) or (value and not _WORD.fullmatch(value)):
        raise ValueError(f"is not a toleration: expected {TOLERATION_HELP}")
    if colon and effect not in get_args(Effect):
        guesses = [f"{rest}:{one}" for one in nearest(effect, get_args(Effect))]
        expected = either(get_args(Effect))
        raise ValueError(guessed(f"has an unknown effect {effect!r}", guesses, expected=expected))
    return Toleration(
        key=key,
        value=value if equals else None,
        effect=cast("Effect", effect) if colon else None,
    )


def keep(text: str) -> Keep:
    """When the VMIs are kept."""
    if text.strip() not in get_args(Keep):
        expected = either(get_args(Keep))
        raise ValueError(guessed("invalid value", nearest(text, get_args(Keep)), expected=expected))
    return cast("Keep", text.strip())


def shard(text: str) -> Shard:
    """``I/N``, counted from 0."""
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
    if match is None or not int(match[1]) < int(match[2]):
        written = re.fullmatch(r"([0-9]{1,6})(?:\s*[/:-]\s*|\s+of\s+)([0-9]{1,6})", text.strip())
        index, count = (int(written[1]), int(written[2])) if written else (0, 0)
        # Someone who counts from 1 has a last one, N/N.
        guesses = [f"{min(index, count - 1)}/{count}"] if 0 < count >= index else []
        expected = "I/N with I from 0 to N-1, such as 0/4"
        raise ValueError(guessed("is not a shard", guesses, expected=expected))
    return Shard(index=int(match[1]), count=int(match[2]))


def _word(text: str, *, what: str) -> str:
    """A name that others define."""
    if not _WORD.fullmatch(text.strip()):
        raise ValueError(f"is not {what}: expected letters, digits, '-', '_' and '.'")
    return text.strip()


def _some_text(text: str, *, what: str) -> str:
    if not text.strip():
        raise ValueError(f"is empty: expected {what}")
    return text.strip()


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


#: A number without a unit is most likely meant in seconds.
sample_duration = partial(_above_0, usual="s")
#: Bytes of ICMP payload; a smaller one would carry no time stamp, so ping could give no round-trip time.
packet_size = partial(whole, what="packet size", low=MIN_PACKET_SIZE, high=MAX_PACKET_SIZE)
#: Replies, 0 for none.
warmup = partial(whole, what="number of replies", low=0)
namespace = partial(
    _name_of, what="a namespace", is_one=is_label, expected="up to 63 lower-case letters, digits and '-'"
)
configmap = partial(_name_of, what="a ConfigMap", is_one=_is_configmap, expected="NAMESPACE/NAME, or env")
secret = partial(_name_of, what="a Secret", is_one=is_subdomain, expected=NAME_HELP)
#: A binding of KubeVirt's, or the name of a binding plugin.
binding = partial(_word, what="the name of a binding")
guest = partial(_word, what="the name of a guest profile")
#: It may hold anything.
context = partial(_some_text, what="the name of a context of the kubeconfig")
#: The lab itself judges a file.
lab = partial(_some_text, what="auto, sim, qemu or a lab file")
