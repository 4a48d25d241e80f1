"""The words of the project as frozen data: what is to be checked, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pytest_kvlatency.errors import FailureKind, KvLatencyError, Stage

Outcome = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed", "notrun"]
LimitName = Literal["max_latency_ns", "max_avg_ns", "max_p99_ns", "max_loss_percent", "max_gap_ns"]
FindingOutcome = Literal["ok", "failed", "skipped", "warning"]


@dataclass(frozen=True, kw_only=True, order=True)
class NadRef:
    """A NetworkAttachmentDefinition. ``namespace`` is empty until it is known which one the checkup's is."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, kw_only=True)
class ConfigMapRef:
    """A ConfigMap by its full name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


#: The destination of a guest that may migrate to whichever node the cluster chooses.
ANYWHERE: Final = "?"


@dataclass(frozen=True, kw_only=True)
class NodePair:
    """Two nodes by name, or, with both ``None``, two different ones of the scheduler's choice (``auto``).

    With a ``destination`` the target guest migrates there during the sample: a node's name, or ``ANYWHERE``.
    """

    source: str | None = None
    target: str | None = None
    destination: str | None = None

    @property
    def is_auto(self) -> bool:
        """Whether the scheduler chooses."""
        return self.source is None

    @property
    def is_move(self) -> bool:
        """Whether the target guest migrates during the sample."""
        return self.destination is not None

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that are named, each once."""
        named = (self.source, self.target, self.destination)
        return tuple(dict.fromkeys(one for one in named if one is not None and one != ANYWHERE))

    def __str__(self) -> str:
        moves = f">{self.destination}" if self.is_move else ""
        return "auto" if self.source is None else f"{self.source}:{self.target}{moves}"


AUTO = NodePair()


@dataclass(frozen=True, kw_only=True)
class NodeChoice:
    """The nodes of a mesh and the like. ``left_out`` says of each other one why no VM can start there."""

    names: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """What was left out, and why; empty where nothing was."""
        return f"nodes left out, where no VM can start: {some(self.left_out)}" if self.left_out else ""


def some(texts: Sequence[str], most: int = 5) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return f"{', '.join(texts[:most])}{more}"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is accepted; ``None`` is no limit. A number equal to its limit is within it."""

    max_latency_ns: int | None = None
    max_avg_ns: int | None = None
    max_p99_ns: int | None = None
    max_loss_percent: float | None = 0.0
    max_gap_ns: int | None = None


#: How far apart pings are that look for gaps, where the guest's ping allows it.
STREAM_INTERVAL_NS: Final = 10_000_000


@dataclass(frozen=True, kw_only=True)
class PingParameters:
    """How to ping. ``packet_size`` is the ICMP payload in bytes; ``warmup`` the replies waited for before."""

    sample_duration_ns: int = 5_000_000_000
    interval_ns: int = 100_000_000
    packet_size: int = 56
    dont_fragment: bool = False
    warmup: int = 1

    @property
    def count(self) -> int:
        """Pings of the sample: duration over interval, at least one."""
        return max(1, self.sample_duration_ns // self.interval_ns)


@dataclass(frozen=True, kw_only=True)
class GuestSpec:
    """What a VMI is made of, apart from NAD and node. Guests with equal specs can be shared.

    ``image`` None is the profile's own; ``binding`` may be ``auto``; ``subnet`` None is a block of 198.18.0.0/15.
    """

    profile: str = "alpine"
    image: str | None = None
    binding: str = "auto"
    subnet: str | None = None


@dataclass(frozen=True, kw_only=True)
class Check:
    """One NAD and one node pair, with limits and ping parameters: what one test item asks.

    ``among`` are the nodes among which a target that may migrate anywhere finds its destination; none: all.
    """

    nad: NadRef
    pair: NodePair
    limits: Limits = Limits()
    ping: PingParameters = PingParameters()
    guest: GuestSpec = GuestSpec()
    among: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The id of its test item: ``default/blue-network-worker1:worker2``."""
        return f"{self.nad}-{self.pair}"

    @property
    def measurement_key(self) -> MeasurementKey:
        """Checks with equal keys can share one measurement: they differ in limits only."""
        return (self.nad, self.pair, self.ping, self.guest, self.among)


MeasurementKey = tuple[NadRef, NodePair, PingParameters, GuestSpec, tuple[str, ...]]


class SecretText(str):
    """Text that is sent, and that nothing shows which puts values into words: a stack, a log of calls, an assertion."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'[redacted]'"


@dataclass(frozen=True, kw_only=True)
class HttpProxy:
    """A proxy on the way; ``headers`` hold its password."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class ServerEndpoint:
    """One server: its URL, its certificate authority (None is the system's), and the client's certificate, as files.

    ``server_name`` is the name that its certificate must have, where that is not the URL's.
    """

    url: str
    verify: bool = True
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None
    proxy: HttpProxy | None = None


@dataclass(frozen=True, kw_only=True)
class ConsoleEndpoint:
    """Where and how to reach a VMI's console: what the REST client would use for the same server.

    ``server`` has the console's own URL. ``headers`` hold credentials and are asked for anew for each connection by the
    one who makes this; ``impersonation`` are more of them, of which a name may come several times.
    """

    server: ServerEndpoint
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    impersonation: tuple[tuple[str, str], ...] = ()


#: So many requests of a sample are told apart: a guest's words alone must not fill the memory.
MOST_LISTED: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class PingResult:
    """What one run of ping said. ``samples_ns`` are the RTTs in order of their sequence numbers.

    Duplicates and late replies (after ping had closed its count) are counted, and are no samples. ``lost`` are the
    requests without a reply, counted from 0; None where it could not be read which they are. ``replied_at_ns`` says
    when each reply of ``samples_ns`` came, counted from when ping began; None where nothing took note of it.
    ``overflowed`` are replies that came, and for which ping had no room: they are not received, and no loss of the
    network's. ``sent_every_ns`` is the interval that ping says it kept; None where it does not say.
    ``started_at`` (aware) and ``duration_seconds`` are by the tool's own clock. ``answered_elsewhere`` are other
    addresses that answered in place of the target: what they answered is not received.
    """

    transmitted: int
    received: int
    duplicates: int = 0
    late: int = 0
    errors: int = 0
    overflowed: int = 0
    samples_ns: tuple[int, ...] = ()
    lost: tuple[int, ...] | None = None
    replied_at_ns: tuple[int, ...] | None = None
    sent_every_ns: int | None = None
    started_at: datetime | None = None
    duration_seconds: float = 0.0
    answered_elsewhere: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    transcript: str = field(default="", repr=False)

    @property
    def has_lost(self) -> bool:
        """Whether a packet was lost."""
        return self.received < self.transmitted

    @property
    def lost_sequence(self) -> tuple[int, ...] | None:
        """The lost requests, as many as the counters say; known in any case when all or none were lost."""
        if self.received >= self.transmitted:
            return ()
        if self.received <= 0 and self.transmitted <= MOST_LISTED:
            return tuple(range(self.transmitted))
        return self.lost

    @property
    def loss_percent(self) -> float:
        """Loss by the counters, in percent; 100 when nothing was transmitted."""
        if self.transmitted <= 0:
            return 100.0
        return 100.0 * (self.transmitted - min(self.received, self.transmitted)) / self.transmitted


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A time without a reply: from one reply to the next, counted from when ping began.

    ``lost`` are the requests of it that were never answered; late answers are none of them.
    """

    begins_ns: int
    length_ns: int
    lost: int = 0

    @property
    def ends_ns(self) -> int:
        """When the next reply came."""
        return self.begins_ns + self.length_ns


@dataclass(frozen=True, kw_only=True)
class Gaps:
    """The longest gap of a sample. Its length is right to one ``interval_ns``: the interval that ping really kept."""

    longest: Gap | None
    interval_ns: int


@dataclass(frozen=True, kw_only=True)
class MigrationPhase:
    """A phase of a migration, in nanoseconds since its creation, by the clock of the guest that pings.

    It began between ``not_before_ns``, the last look that showed another one, and ``seen_ns``. ``timestamp`` is the
    cluster's own, in whole seconds; None where it has none.
    """

    name: str
    not_before_ns: int
    seen_ns: int
    timestamp: str | None = None


@dataclass(frozen=True, kw_only=True)
class RttSummary:
    """The round-trip times of a part of a sample."""

    count: int
    min_ns: int
    avg_ns: int
    max_ns: int


@dataclass(frozen=True, kw_only=True)
class Migration:
    """A live migration of the target guest during a sample, and what the guest that stayed saw of it.

    ``requested_node`` is a node or ``ANYWHERE``; ``target_node`` where the guest is in the end. ``created_ns`` and
    ``ended_ns`` count from when ping began, right to ``clock_error_ns``; what has not happened is None. ``mode`` is
    KubeVirt's (``PreCopy``). ``preparation_gap`` begins before the phase Running, ``switchover_gap`` after it.
    ``lost_in_gaps`` are the requests that were lost because of the migration: no loss of the network's.
    """

    name: str
    uid: str
    source_node: str
    requested_node: str
    target_node: str | None
    succeeded: bool
    failure_reason: str = ""
    mode: str | None = None
    created_at: datetime | None = None
    created_ns: int | None = None
    ended_ns: int | None = None
    clock_error_ns: int | None = None
    phases: tuple[MigrationPhase, ...] = ()
    preparation_gap: Gap | None = None
    switchover_gap: Gap | None = None
    rtt_before: RttSummary | None = None
    rtt_after: RttSummary | None = None
    lost_in_gaps: int = 0


@dataclass(frozen=True, kw_only=True)
class GuestFacts:
    """One end of a measurement as it really was; ``software_emulation`` None: the guest does not tell."""

    vmi_name: str
    namespace: str
    node: str
    address: str
    interface: str = ""
    mac: str = ""
    notes: tuple[str, ...] = ()
    software_emulation: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Seconds each stage took; ``None`` where it did not happen (or not yet). For both ends: the longer."""

    create: float | None = None
    running: float | None = None
    login: float | None = None
    measure: float | None = None
    delete: float | None = None


@dataclass(frozen=True, kw_only=True)
class Exceeded:
    """The limit of ``Limits`` that a measurement does not hold to, and what of it was judged.

    Both numbers are in the unit of the limit: nanoseconds, or percent. ``measured`` may be of a part of the sample:
    what a migration loses, or is late in its gaps, is not judged.
    """

    limit: LimitName
    measured: float
    accepted: float


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a check is not good: kind, one line of reason (without its stage), way out and transcript's end.

    ``summary``, ``node``, ``network``, ``is_local``, ``guest_node`` and ``pair_nodes`` are those of ``KvLatencyError``;
    ``exceeded`` is None for what is not about a limit.
    """

    kind: FailureKind
    stage: Stage
    reason: str
    hint: str = ""
    transcript: str = ""
    summary: str = ""
    node: str = ""
    network: str = ""
    is_local: bool = False
    guest_node: str = ""
    pair_nodes: tuple[str, str] = ("", "")
    exceeded: Exceeded | None = None

    @property
    def failure_reason(self) -> str:
        """With its stage in front, as in every report."""
        return f"{self.stage}: {self.reason}"


def failure_of(error: KvLatencyError) -> Failure:
    """An error as data. Limits are judged before there is an error: none says which one."""
    names = {one.name for one in fields(Failure)} - {"exceeded"}
    return Failure(**{name: getattr(error, name) for name in names})


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What came of one check: the numbers, where there are any, and the network's verdict.

    ``result`` is None when nothing was measured. ``failures`` is empty exactly when the verdict is good. ``silence``
    says, when not one reply came back, how far the requests got. ``interval_ns`` is the interval that the guest's ping
    kept, which may be longer than the one asked for. ``round`` is the one of the plan's rounds, counted from 1, in
    which it was measured; None for what was measured because somebody asked.
    """

    check: Check
    binding: str | None = None
    source: GuestFacts | None = None
    target: GuestFacts | None = None
    result: PingResult | None = None
    interval_ns: int | None = None
    round: int | None = None
    warmup_seconds: float | None = None
    silence: str = ""
    gaps: Gaps | None = None
    migration: Migration | None = None
    failures: tuple[Failure, ...] = ()
    timings: Timings = Timings()
    notes: tuple[str, ...] = ()

    @property
    def has_lost(self) -> bool:
        """Whether a packet of the sample was lost."""
        return self.result is not None and self.result.has_lost

    @property
    def succeeded(self) -> bool:
        """The network's verdict."""
        return self.result is not None and not self.failures


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of a preflight's checklist.

    ``check`` is what was looked at (``network``), ``subject`` which one (``default/blue-network``; empty where there is
    only one). ``skipped`` is what could not be looked at; ``warning`` does not fail the preflight.
    """

    check: str
    subject: str = ""
    outcome: FindingOutcome
    message: str
    hint: str = ""

    @property
    def text(self) -> str:
        """As one line, without the outcome."""
        return f"{self.check} {self.subject}".rstrip() + f": {self.message}"
