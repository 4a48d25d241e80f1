"""The one table of options: flags, ini twins, ConfigMap keys, parsers, defaults and help.

pytest is met only through the objects handed in (``register``, ``layers``), so that this stays light and pure.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pytest_kvlatency.config import parsers
from pytest_kvlatency.config.sources import Layer, Problem
from pytest_kvlatency.model import AUTO
from pytest_kvlatency.units import format_duration, parse_duration, parse_percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Unit = Literal["ms", "s"]
#: What an Indexed Job gives its pods, and what its author adds: Kubernetes has no variable for the completions.
INDEX_VARIABLE: Final = "JOB_COMPLETION_INDEX"
SHARDS_VARIABLE: Final = "KVLATENCY_SHARDS"
_HOOK: Final = "hook pytest_kvlatency_settings"


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option, wherever it is given.

    ``parse`` turns text into the value and raises ``ValueError`` (see ``parsers``); a repeatable option's value is
    a tuple of such. ``field`` is its name in ``Settings``. ``unit`` is the one that the ConfigMap key names: the value
    is a bare number there. ``removable``: ``none`` takes an inherited value away, and leaves ``removed``.
    """

    name: str
    parse: Callable[[str], Any]
    help: str
    field: str = ""
    metavar: str | None = None
    default: Any = None
    has_ini: bool = True
    configmap: str | None = None
    unit: Unit | None = None
    marker: bool = False
    repeatable: bool = False
    is_switch: bool = False
    removable: bool = False
    number: bool = False
    optional_value: str | None = None
    show: Callable[[Any], str] = str

    @property
    def flag(self) -> str:
        """The option on the command line: ``--kv-max-latency``."""
        return "--kv-" + self.name.replace("_", "-")

    @property
    def dest(self) -> str:
        """Its name in pytest's namespace of options."""
        return "kv_" + self.name

    @property
    def ini(self) -> str | None:
        """Its name in an ini file: ``kv_max_latency``; None for a path or a switch."""
        return self.dest if self.has_ini and not self.is_switch else None

    @property
    def attribute(self) -> str:
        """Its name in ``Settings``, with the unit: ``max_latency_ns``."""
        return self.field or self.name

    @property
    def removed(self) -> Any:
        """The value that ``none`` leaves."""
        return () if self.repeatable else None


def _switch(text: str) -> bool:
    if text.strip().lower() not in ("true", "false"):
        raise ValueError("is neither true nor false")
    return text.strip().lower() == "true"


def _show_switch(value: bool) -> str:  # noqa: FBT001 - one value of an option, as all others are shown
    return "true" if value else "false"


def _show_parallel(value: int | None) -> str:
    return "auto" if value is None else str(value)


def _show_percent(value: float) -> str:
    return f"{value:g}"


OPTIONS: Final[tuple[Option, ...]] = (
    Option(
        name="nad", metavar="[NS/]NAME", parse=parsers.nad, default=(), repeatable=True, marker=True,
        configmap="networkAttachmentDefinitions",
        help="network (NetworkAttachmentDefinition) to check; repeat for several. Without NS/: the checkup's namespace",
    ),
    Option(
        name="nodes", metavar="SPEC", parse=parsers.nodes, default=(AUTO,), repeatable=True, marker=True,
        configmap="nodes",
        help="which node pairs; repeat for several. auto (default): two different nodes of the scheduler's choice; "
        "SRC:DST: that pair; mesh, ring, star:HUB: over the node set",
    ),
    Option(
        name="node_set", metavar="NAMES", parse=parsers.node_set, marker=True, configmap="nodeSet",
        help="nodes for mesh, ring and star: names with commas, or a label selector (default: all schedulable)",
    ),
    Option(
        name="max_latency", metavar="DUR", field="max_latency_ns", parse=parse_duration, marker=True,
        removable=True, configmap="maxDesiredLatencyMilliseconds", unit="ms", show=format_duration,
        help="highest round-trip time accepted (default: no limit)",
    ),
    Option(
        name="max_avg", metavar="DUR", field="max_avg_ns", parse=parse_duration, marker=True, removable=True,
        configmap="maxAvgMilliseconds", unit="ms", show=format_duration,
        help="highest mean of the round-trip times accepted (default: no limit)",
    ),
    Option(
        name="max_p99", metavar="DUR", field="max_p99_ns", parse=parse_duration, marker=True, removable=True,
        configmap="maxP99Milliseconds", unit="ms", show=format_duration,
        help="highest 99th percentile of the round-trip times accepted; needs 100 samples (default: no limit)",
    ),
    Option(
        name="max_loss", metavar="PERCENT", field="max_loss_percent", parse=parse_percent, default=0.0,
        marker=True, removable=True, number=True, configmap="maxLossPercent", show=_show_percent,
        help="packet loss accepted, in percent (default: 0)",
    ),
    Option(
        name="sample_duration", metavar="DUR", field="sample_duration_ns", parse=parsers.positive_duration,
        default=5_000_000_000, marker=True, configmap="sampleDurationSeconds", unit="s", show=format_duration,
        help="how long to ping (default: 5s)",
    ),
    Option(
        name="interval", metavar="DUR", field="interval_ns", parse=parsers.interval, default=100_000_000,
        marker=True, configmap="interval", show=format_duration, help="time between two pings (default: 100ms)",
    ),
    Option(
        name="packet_size", metavar="BYTES", parse=parsers.packet_size, default=56, marker=True, number=True,
        configmap="packetSize", help="ICMP payload (default: 56)",
    ),
    Option(
        name="dont_fragment", parse=_switch, default=False, marker=True, is_switch=True, show=_show_switch,
        configmap="dontFragment", help="forbid the fragmentation of pings",
    ),
    Option(
        name="warmup", metavar="N", parse=parsers.warmup, default=1, marker=True, number=True,
        configmap="warmup", help="replies waited for, at most 30s, before the sample starts (default: 1)",
    ),
    Option(
        name="timeout", metavar="DUR", field="timeout_ns", parse=parsers.positive_duration, removable=True,
        show=format_duration, configmap="spec.timeout",
        help="time for the whole checkup, set-up included (default: 5m, and what the plan needs)",
    ),
    Option(
        name="parallel", metavar="N", parse=parsers.parallel, configmap="parallel", number=True, show=_show_parallel,
        help="pairs measured at once; auto (default): as many as share no node; 1: strictly one by one",
    ),
    Option(
        name="namespace", metavar="NS", parse=parsers.namespace,
        help="where the VMIs are created (default: the kubeconfig context's namespace)",
    ),
    Option(
        name="configmap", metavar="NS/NAME", parse=parsers.configmap, removable=True,
        help="read the parameters from this ConfigMap and report to it; env: the one that CONFIGMAP_NAMESPACE and "
        "CONFIGMAP_NAME name",
    ),
    Option(
        name="kubeconfig", metavar="PATH", parse=parsers.path, has_ini=False,
        help="which cluster (default: KUBECONFIG, ~/.kube/config, then in-cluster)",
    ),
    Option(
        name="context", metavar="NAME", parse=parsers.some_text("the name of a context of the kubeconfig"),
        help="which context of the kubeconfig",
    ),
    Option(
        name="subnet", metavar="CIDR", parse=parsers.subnet, marker=True, removable=True, configmap="subnet",
        help="the guests' addresses; an IPv6 prefix measures over IPv6 (default: a block of 198.18.0.0/15)",
    ),
    Option(
        name="binding", metavar="NAME", parse=parsers.word("a binding"), default="auto", marker=True,
        configmap="binding",
        help="how VMIs are bound to the network; auto (default): sriov for SR-IOV NADs, else bridge; another "
        "NAME: a binding plugin",
    ),
    Option(
        name="guest", metavar="PROFILE", parse=parsers.word("a guest profile"), default="alpine", marker=True,
        configmap="guest",
        help="how the guest is booted and logged into: alpine (default), fedora, or a profile that a hook registered",
    ),
    Option(
        name="image", metavar="REF", parse=parsers.image, marker=True, configmap="image",
        help="container disk of the guests (default: the profile's)",
    ),
    Option(
        name="image_pull_secret", metavar="NAME", parse=parsers.secret, configmap="imagePullSecret",
        help="Secret to pull the container disk with",
    ),
    Option(
        name="toleration", metavar="KEY[=VALUE][:EFFECT]", field="tolerations", parse=parsers.toleration, default=(),
        repeatable=True, removable=True, configmap="tolerations",
        help="toleration for tainted nodes; repeat for several",
    ),
    Option(
        name="keep", metavar="WHEN", parse=parsers.keep, default="never", configmap="keep",
        help="never (default), failed or always: leave the VMIs for a look, and print how to reach them",
    ),
    Option(
        name="artifacts", metavar="DIR", parse=parsers.path, has_ini=False,
        help="directory for console transcripts, VMI objects and events of failures",
    ),
    Option(
        name="json", metavar="PATH", parse=parsers.path, has_ini=False,
        help="write the whole result as JSON to this file",
    ),
    Option(
        name="shard", metavar="I/N", parse=parsers.shard,
        help="take the I-th of N parts of the pairs, counted from 0 (default: JOB_COMPLETION_INDEX of an Indexed Job, "
        f"when {SHARDS_VARIABLE} says how many there are)",
    ),
    Option(
        name="baseline", metavar="FILE", parse=parsers.path, has_ini=False,
        help="compare with the JSON document of an earlier run",
    ),
    Option(
        name="max_regression", metavar="PERCENT", field="max_regression_percent", parse=parsers.regression,
        removable=True, number=True, show=_show_percent,
        help="how much worse than the baseline is accepted, in percent",
    ),
    Option(
        name="sweep", parse=_switch, default=False, is_switch=True, show=_show_switch, configmap="sweep",
        help="first remove VMIs that earlier, killed runs left in the namespace; without a network, that is all",
    ),
    Option(
        name="preflight", parse=_switch, default=False, is_switch=True, show=_show_switch, configmap="preflight",
        help="create nothing and run no test: print a checklist of all that can be known without a VM, and exit 0 or 1",
    ),
    Option(
        name="lab", metavar="SPEC", parse=parsers.some_text("auto, sim, qemu or a lab file"), optional_value="auto",
        removable=True, help="run in the embedded lab instead of a cluster: auto, sim, qemu or a FILE.yaml",
    ),
)  # fmt: skip

BY_NAME: Final[Mapping[str, Option]] = {option.name: option for option in OPTIONS}
MARKER_OPTIONS: Final = tuple(option for option in OPTIONS if option.marker)
#: The marker as messages and ``--markers`` quote it.
SIGNATURE: Final = f"kvlatency(*, {', '.join(f'{option.name}=…' for option in MARKER_OPTIONS)})"


@dataclass(frozen=True, kw_only=True)
class NotYet:
    """What this version refuses of an option: the values, and what it takes instead (empty: nothing of it)."""

    refuses: Callable[[Any], bool] = bool
    instead: str = ""

    @property
    def note(self) -> str:
        """For the help."""
        return f"this version takes {self.instead}" if self.instead else "not in this version"


#: Refused in one place, so that nothing is ever accepted and ignored.
NOT_YET: Final[Mapping[str, NotYet]] = {
    "baseline": NotYet(),
    "max_regression": NotYet(refuses=lambda value: value is not None),
}


#: The settings' names in ini files.
INI_NAMES: Final = frozenset(option.ini for option in OPTIONS if option.ini is not None)


def register(parser: Any) -> None:
    """Add every option and its ini twin to pytest's ``parser``. Defaults are None: ``resolve`` knows the real ones."""
    group = parser.getgroup("kvlatency", "KubeVirt VM latency")
    for option in OPTIONS:
        note = f" ({NOT_YET[option.name].note})" if option.name in NOT_YET else ""
        text = (option.help + note).replace("%", "%%")
        if option.is_switch:
            group.addoption(option.flag, dest=option.dest, action="store_true", default=None, help=text)
        else:
            extra = {} if option.optional_value is None else {"nargs": "?", "const": option.optional_value}
            action = "append" if option.repeatable else "store"
            group.addoption(
                option.flag,
                dest=option.dest,
                action=action,
                default=None,
                metavar=option.metavar,
                help=text,
                **extra,
            )
        if option.ini is not None:
            kind = "linelist" if option.repeatable else "string"
            parser.addini(option.ini, f"default of {option.flag}", type=kind, default=None)


def layers(config: Any, file: str = "", values: Mapping[str, object] | None = None) -> list[Layer]:
    """Return what the command line, the ini file and the hook ``pytest_kvlatency_settings`` say.

    ``values`` are those of an ini file, by their names there, that pytest itself does not read; ``file`` is its name.
    """
    given = {
        option.name: value for option in OPTIONS if (value := config.getoption(option.dest, None)) is not None
    }
    found = [Layer(kind="command line", values=given)]
    found += _ini_layers(config, file, values or {})
    found += [hook_layer(values) for values in config.hook.pytest_kvlatency_settings(config=config)]
    if not any("shard" in layer.values for layer in found):
        found += environment_layer(os.environ)
    return found


def environment_layer(environ: Mapping[str, str]) -> list[Layer]:
    """Return the shard that the pod of an Indexed Job is; nothing unless the number of shards is told."""
    count, index = environ.get(SHARDS_VARIABLE, "").strip(), environ.get(INDEX_VARIABLE, "").strip()
    if not count:
        return []
    text = ""
    if not re.fullmatch(r"[1-9][0-9]{0,5}", count):
        text = f"{SHARDS_VARIABLE}: {count!r} is no number of shards; valid is a whole number such as 50"
    elif not index:
        text = f"{SHARDS_VARIABLE}: {count!r} stands without {INDEX_VARIABLE}, which an Indexed Job gives its pods; "
        text += "valid are both, or --kv-shard I/N"
    elif not re.fullmatch(r"[0-9]{1,6}", index) or int(index) >= int(count):
        text = f"{INDEX_VARIABLE}: {index!r} is no shard of {count}; valid is a number from 0 to {int(count) - 1}: "
        text += f"give the Job as many completions as {SHARDS_VARIABLE} says"
    values = {} if text else {"shard": f"{index}/{count}"}
    detail = f"{INDEX_VARIABLE} and {SHARDS_VARIABLE}"
    problems = (Problem(text=f"{text} (from the environment)"),) if text else ()
    return [Layer(kind="environment", values=values, detail=detail, problems=problems)]


def hook_layer(values: object) -> Layer:
    """Return what one implementation of the hook ``pytest_kvlatency_settings`` gave."""
    if isinstance(values, dict) and all(isinstance(name, str) for name in values):
        return Layer(kind="hook", values=values, detail=_HOOK)
    valid = "a dict from option names to values, such as {'max_latency': '10ms'}"
    text = f"the {_HOOK} gave {values!r}; valid is {valid}"
    return Layer(kind="hook", values={}, detail=_HOOK, problems=(Problem(text=text),))


def _ini_layers(config: Any, other_file: str, others: Mapping[str, object]) -> Iterator[Layer]:
    overridden = {str(one).partition("=")[0].strip() for one in config.getoption("override_ini", None) or ()}
    by_place: dict[str, dict[str, object]] = {}
    file = "the ini file" if config.inipath is None else config.inipath.name
    for option in OPTIONS:
        if option.ini is None:
            continue
        value = config.getini(option.ini)
        place = "-o on the command line" if option.ini in overridden else file
        if value is None or value == []:
            value, place = _as_pytest_reads(others.get(option.ini), option), other_file
        if value is None or value == []:
            continue
        by_place.setdefault(place, {})[option.name] = value
    for place, values in by_place.items():
        yield Layer(kind="ini", values=values, detail=place)


def _as_pytest_reads(value: object, option: Option) -> object:
    """A raw value of an ini file, of the type that the option is registered with."""
    if value is None:
        return None
    if not option.repeatable:
        return value if isinstance(value, str) else str(value)
    lines = value if isinstance(value, list) else str(value).splitlines()
    return [text for one in lines if (text := str(one).strip())]
