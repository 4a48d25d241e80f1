"""What a lab consists of, as frozen data. ``file`` reads it from YAML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The version of KubeVirt that the lab behaves like.
DEFAULT_KUBEVIRT: Final = "v1.6.2"
GuestKind = Literal["auto", "sim", "qemu"]


@dataclass(frozen=True, kw_only=True)
class Taint:
    """A node's taint, as in ``v1.Taint``."""

    key: str
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


@dataclass(frozen=True, kw_only=True)
class NodeSpec:
    """A worker node. ``labels`` come on top of the usual ones (hostname, arch, os, kubevirt.io/schedulable)."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    arch: str = "amd64"


@dataclass(frozen=True, kw_only=True)
class LinkQuality:
    """What a link does to each frame, each way.

    ``latency_ns`` is one way, so an RTT moves by twice as much; ``jitter_ns`` is the standard deviation
    around it; ``loss`` and ``duplicate`` are probabilities in 0..1; ``partition`` drops everything;
    ``block_icmp`` passes ARP and neighbour discovery but no echo; frames longer than ``mtu`` bytes of
    IP payload vanish (None: none do).
    """

    latency_ns: int = 0
    jitter_ns: int = 0
    loss: float = 0.0
    duplicate: float = 0.0
    partition: bool = False
    block_icmp: bool = False
    mtu: int | None = None


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """A NAD (``name`` is ``NAMESPACE/NAME``) and the quality of the network behind it, between any two nodes.

    ``config`` is the NAD's ``spec.config`` verbatim where a file gives one, else it is made from ``type``.
    ``guest_mtu`` is the MTU the guests' interfaces get. ``dhcp_range`` (CIDR) is set when the NAD has IPAM:
    the addresses from which a CNI would choose, answered over DHCP. ``capture`` is the file that gets the frames of
    real guests.
    """

    name: str
    type: str = "bridge"
    quality: LinkQuality = LinkQuality()
    config: str | None = None
    guest_mtu: int = 1500
    dhcp_range: str | None = None
    capture: str | None = None


@dataclass(frozen=True, kw_only=True)
class LinkSpec:
    """The link between two nodes (equal: guests of one node), on one network (``None``: on all).

    ``overrides`` holds only what the entry gives: fields of ``LinkQuality`` by name. The rest is the network's.
    """

    between: tuple[str, str]
    network: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FaultSpec:
    """A fault by name, and where and when it strikes.

    ``node``, ``network`` and ``vmi`` (a glob on the VMI's name) narrow it to what they name; ``times`` bounds
    how often it strikes (``None``: always); ``after_seconds`` counts from the event that the fault
    belongs to (see the fault's entry in ``faults.FAULTS``). ``parameters`` holds the fault's own.
    """

    fault: str
    node: str | None = None
    network: str | None = None
    vmi: str | None = None
    after_seconds: float = 0.0
    times: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MigrationSpec:
    """What a live migration does to the network of the guest that migrates, beyond what it takes by itself.

    For ``preparation_gap_seconds`` after the target was set up, frames to the guest go to the target, where they are
    lost. For ``downtime_seconds`` the guest is paused at the switch-over. Both are the guests' time.

    Without them a migration takes about ``seconds`` until it has succeeded. At most ``parallel`` are under way in the
    cluster, and ``parallel_outbound`` out of one node; a target pod that fits nowhere is given up after
    ``pending_seconds``.
    """

    preparation_gap_seconds: float = 0.0
    downtime_seconds: float = 0.0
    seconds: float = 2.0
    parallel: int = 5
    parallel_outbound: int = 2
    pending_seconds: float = 300.0

    @property
    def copy_seconds(self) -> float:
        """How long the guest's memory is copied while it runs on, before the switch-over."""
        return 0.4 * self.seconds


@dataclass(frozen=True, kw_only=True)
class LabSpec:
    """A whole lab. ``time_scale`` > 1 compresses the simulated guests' time (boot and pings run that much faster).

    ``boot_seconds`` is how long a simulated guest boots (guest time); ``dialect`` is the ping a simulated guest
    has, and ``accelerator`` what it says that it runs under; ``agent`` says whether guests report their addresses as
    a guest agent would. ``bindings`` are the binding plugins that KubeVirt knows; ``deletion_seconds`` is how long a
    launcher pod takes to go once its VMI is deleted. ``migration`` is what a live migration adds;
    ``kubevirt_version`` is what KubeVirt says of itself.
    """

    guests: GuestKind = "auto"
    nodes: tuple[NodeSpec, ...] = ()
    networks: tuple[NetworkSpec, ...] = ()
    links: tuple[LinkSpec, ...] = ()
    faults: tuple[FaultSpec, ...] = ()
    seed: int | None = None
    time_scale: float = 1.0
    boot_seconds: float = 0.5
    dialect: Literal["busybox", "iputils", "busybox-old", "iputils-old"] = "busybox"
    accelerator: Literal["kvm", "tcg"] = "kvm"
    agent: bool = True
    bindings: tuple[str, ...] = ()
    deletion_seconds: float = 0.0
    migration: MigrationSpec = MigrationSpec()
    kubevirt_version: str = DEFAULT_KUBEVIRT
