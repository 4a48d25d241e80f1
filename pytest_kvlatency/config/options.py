"""The one table of options: flags, ini twins, ConfigMap keys, parsers by name, defaults as text, and help.

It is loaded in every pytest run of those who have the plugin installed: it imports nothing of this package, and what
its texts mean is known elsewhere (``values``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Unit = Literal["ms", "s"]
#: The title of the options in the help. It explains once what stands in several of them.
GROUP: Final = "KubeVirt VM latency (DUR is a duration, such as 10ms, 1.5s or 5m)"
#: The name of the marker.
MARKER: Final = "kvlatency"
#: The fixtures that stand for a check: a test that uses one is a kvlatency test, marked or not.
CHECK_FIXTURES: Final = frozenset(
    {"kv_check", "kv_pair", "kv_latency", "kv_migration", "kv_ping", "kv_stream"}
)
#: What an id has in place of nodes where it stands for all pairs of a shape; with a colon a node follows.
SHAPES: Final = ("mesh", "ring", "star:", "migrations", "drain:")
#: Where a worker of pytest-xdist finds what the controller gives it.
WORKER_INPUT: Final = "kvlatency"
#: What an Indexed Job gives its pods, and what its author adds: Kubernetes has no variable for the completions.
INDEX_VARIABLE: Final = "JOB_COMPLETION_INDEX"
SHARDS_VARIABLE: Final = "KVLATENCY_SHARDS"


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option, wherever it is given.

    ``parser`` names the function of ``parsers`` that turns text into the value; a repeatable option's value is a tuple
    of such. ``default`` is text, as one would type it. ``field`` is its name in ``Settings``. ``unit`` is the one that
    the ConfigMap key names: the value is a bare number there. ``removable``: ``none`` takes an inherited value away.
    ``writes``: the value is a path that the run writes to.
    """

    name: str
    parser: str
    help: str
    field: str = ""
    metavar: str | None = None
    default: str | tuple[str, ...] | None = None
    has_ini: bool = True
    configmap: str | None = None
    unit: Unit | None = None
    marker: bool = False
    repeatable: bool = False
    is_switch: bool = False
    removable: bool = False
    number: bool = False
    writes: bool = False
    optional_value: str | None = None

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


OPTIONS: Final[tuple[Option, ...]] = (
    Option(
        name="nad", metavar="[NS/]NAME", parser="nad", default=(), repeatable=True, marker=True,
        configmap="networkAttachmentDefinitions",
        help="network (NetworkAttachmentDefinition) to check; repeat for several. Without NS/: the checkup's namespace",
    ),
    Option(
        name="nodes", metavar="SPEC", parser="nodes", default=("auto",), repeatable=True, marker=True,
        configmap="nodes",
        help="node pairs to measure; repeat for several. auto (default): two different nodes of the scheduler's "
        "choice; SRC:DST: that pair; 'SRC:DST>NEW' (in a shell with quotes): the VM on DST live-migrates to NEW "
        "meanwhile, or with ? to any node; mesh, ring, star:HUB, migrations, drain:NODE: over the node set",
    ),
    Option(
        name="node_set", metavar="NAMES", parser="node_set", marker=True, configmap="nodeSet",
        help="nodes for mesh, ring, star, migrations and drain: names with commas, or a label selector (default: all "
        "schedulable)",
    ),
    Option(
        name="max_latency", metavar="DUR", field="max_latency_ns", parser="duration", marker=True,
        removable=True, configmap="maxDesiredLatencyMilliseconds", unit="ms",
        help="highest round-trip time accepted (default: no limit)",
    ),
    Option(
        name="max_avg", metavar="DUR", field="max_avg_ns", parser="duration", marker=True, removable=True,
        configmap="maxAvgMilliseconds", unit="ms",
        help="highest mean of the round-trip times accepted (default: no limit)",
    ),
    Option(
        name="max_p99", metavar="DUR", field="max_p99_ns", parser="duration", marker=True, removable=True,
        configmap="maxP99Milliseconds", unit="ms",
        help="highest 99th percentile of the round-trip times accepted; needs 100 samples (default: no limit)",
    ),
    Option(
        name="max_loss", metavar="PERCENT", field="max_loss_percent", parser="percent", default="0",
        marker=True, removable=True, number=True, configmap="maxLossPercent",
        help="packet loss accepted, in percent (default: 0)",
    ),
    Option(
        name="max_gap", metavar="DUR", field="max_gap_ns", parser="duration", marker=True, removable=True,
        configmap="maxGapMilliseconds", unit="ms",
        help="longest time accepted from one reply to the next, such as the pause of a live migration (default: no "
        "limit)",
    ),
    Option(
        name="sample_duration", metavar="DUR", field="sample_duration_ns", parser="sample_duration",
        default="5s", marker=True, configmap="sampleDurationSeconds", unit="s",
        help="how long to ping (default: 5s)",
    ),
    Option(
        name="interval", metavar="DUR", field="interval_ns", parser="interval", default="100ms",
        marker=True, configmap="interval", help="time between two pings (default: 100ms)",
    ),
    Option(
        name="packet_size", metavar="BYTES", parser="packet_size", default="56", marker=True, number=True,
        configmap="packetSize", help="ICMP payload (default: 56)",
    ),
    Option(
        name="dont_fragment", parser="switch", default="false", marker=True, is_switch=True,
        configmap="dontFragment", help="forbid the fragmentation of pings",
    ),
    Option(
        name="warmup", metavar="N", parser="warmup", default="1", marker=True, number=True,
        configmap="warmup", help="how many replies to wait for, at most 30s, before the sample starts (default: 1)",
    ),
    Option(
        name="timeout", metavar="DUR", field="timeout_ns", parser="timeout", removable=True,
        configmap="spec.timeout",
        help="time for the whole checkup, set-up included (default: 5m plus what the plan needs)",
    ),
    Option(
        name="parallel", metavar="N", parser="parallel", configmap="parallel", number=True,
        help="pairs measured at once; auto (default): as many as share no node; 1: strictly one by one",
    ),
    Option(
        name="namespace", metavar="NS", parser="namespace",
        help="namespace in which the VMIs are created (default: the kubeconfig context's namespace)",
    ),
    Option(
        name="configmap", metavar="NS/NAME", parser="configmap", removable=True,
        help="read the parameters from this ConfigMap and report to it; env: the one that CONFIGMAP_NAMESPACE and "
        "CONFIGMAP_NAME name",
    ),
    Option(
        name="kubeconfig", metavar="PATH", parser="path", has_ini=False,
        help="kubeconfig of the cluster (default: KUBECONFIG, ~/.kube/config, then in-cluster)",
    ),
    Option(
        name="context", metavar="NAME", parser="context",
        help="context of the kubeconfig (default: its current one)",
    ),
    Option(
        name="subnet", metavar="CIDR", parser="subnet", marker=True, removable=True, configmap="subnet",
        help="addresses of the guests; an IPv6 prefix measures over IPv6 (default: a block of 198.18.0.0/15)",
    ),
    Option(
        name="binding", metavar="NAME", parser="binding", default="auto", marker=True,
        configmap="binding",
        help="how VMIs are bound to the network; auto (default): sriov for SR-IOV NADs, else bridge; another "
        "NAME: a binding plugin",
    ),
    Option(
        name="guest", metavar="PROFILE", parser="guest", default="alpine", marker=True,
        configmap="guest",
        help="how the guest is booted and logged into: alpine (default), fedora, or a profile that a hook registered",
    ),
    Option(
        name="image", metavar="REF", parser="image", marker=True, configmap="image",
        help="container disk of the guests (default: the profile's)",
    ),
    Option(
        name="image_pull_secret", metavar="NAME", parser="secret", configmap="imagePullSecret",
        help="Secret to pull the container disk with",
    ),
    Option(
        name="toleration", metavar="KEY[=VALUE][:EFFECT]", field="tolerations", parser="toleration", default=(),
        repeatable=True, removable=True, configmap="tolerations",
        help="toleration for tainted nodes; repeat for several",
    ),
    Option(
        name="keep", metavar="WHEN", parser="keep", default="never", configmap="keep",
        help="never (default), failed or always: keep the VMIs so that you can log in, and print how to reach them",
    ),
    Option(
        name="artifacts", metavar="DIR", parser="path", has_ini=False, writes=True,
        help="directory for console transcripts, VMI objects and events of failures",
    ),
    Option(
        name="json", metavar="PATH", parser="path", has_ini=False, writes=True,
        help="write the whole result as JSON to this file",
    ),
    Option(
        name="html", metavar="FILE", parser="path", has_ini=False, writes=True,
        help="write the result as one HTML page that opens offline: causes, heat maps, and each pair's pings",
    ),
    Option(
        name="prometheus", metavar="FILE", parser="path", has_ini=False, writes=True,
        help="write the result as metrics in Prometheus's text format to this file",
    ),
    Option(
        name="shard", metavar="I/N", parser="shard",
        help="take the I-th of N parts of the pairs, counted from 0 (default: JOB_COMPLETION_INDEX of an Indexed Job, "
        f"when {SHARDS_VARIABLE} says how many there are)",
    ),
    Option(
        name="baseline", metavar="FILE", parser="path", has_ini=False,
        help="compare with the JSON document (--kv-json) of an earlier run",
    ),
    Option(
        name="max_regression", metavar="PERCENT", field="max_regression_percent", parser="regression",
        removable=True, number=True,
        help="how much slower than the baseline a pair may be, in percent (default: changes are only reported)",
    ),
    Option(
        name="sweep", parser="switch", default="false", is_switch=True, configmap="sweep",
        help="first remove VMIs that earlier, killed runs left in the namespace; without a network, that is all",
    ),
    Option(
        name="preflight", parser="switch", default="false", is_switch=True, configmap="preflight",
        help="create nothing and run no test: print a checklist of everything that can be checked without a "
        "VM, and exit 0 or 1",
    ),
    Option(
        name="lab", metavar="SPEC", parser="lab", optional_value="auto",
        removable=True, help="run in the embedded lab instead of a cluster: auto, sim, qemu or a FILE.yaml",
    ),
)  # fmt: skip

BY_NAME: Final[Mapping[str, Option]] = {option.name: option for option in OPTIONS}
MARKER_OPTIONS: Final = tuple(option for option in OPTIONS if option.marker)
#: The marker as messages and ``--markers`` quote it.
SIGNATURE: Final = f"kvlatency(*, {', '.join(f'{option.name}=…' for option in MARKER_OPTIONS)})"
#: The line of ``pytest --markers``.
MARKER_HELP: Final = (
    f"{SIGNATURE}: measure the latency between two KubeVirt virtual machines on a network, for each network and pair "
    "of nodes, and fail the test when a limit is exceeded. The arguments are those of the --kv- options"
)


#: The settings' names in ini files.
INI_NAMES: Final = frozenset(option.ini for option in OPTIONS if option.ini is not None)


def register(parser: Any) -> None:
    """Add every option and its ini twin to pytest's ``parser``; without defaults, which are the weakest source."""
    group = parser.getgroup("kvlatency", GROUP)
    for option in OPTIONS:
        text = option.help.replace("%", "%%")
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
