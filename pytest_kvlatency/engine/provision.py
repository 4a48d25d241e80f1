"""Brings one guest up: NAD, VMI, console, login, watchdog, address. Every step under the run's deadline."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.console.opening import open_console
from pytest_kvlatency.console.shell import Shell
from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.engine import lifetime
from pytest_kvlatency.engine.guests import ReadyGuest, Stopwatch
from pytest_kvlatency.engine.leases import Leases
from pytest_kvlatency.engine.steps import guest_words
from pytest_kvlatency.errors import (
    ConfigError,
    GuestError,
    KvLatencyError,
    PermissionDeniedError,
    ProvisionError,
    again,
)
from pytest_kvlatency.guest.address import GRACE_SECONDS, Taken, settle
from pytest_kvlatency.guest.boot import read_boot
from pytest_kvlatency.guest.profiles import login_words, profile_named
from pytest_kvlatency.guest.watchdog import boot_command
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.manifest import (
    EXPIRES_FORMAT,
    MAX_INLINE_BYTES,
    VmiRequest,
    fresh_mac,
    fresh_name,
    network_data,
    user_data,
)
from pytest_kvlatency.kube.nad import NadFacts, check_binding, read_nad
from pytest_kvlatency.kube.nodes import SeenNodes, look, obstacles, refusal
from pytest_kvlatency.kube.vmi import MacRefused
from pytest_kvlatency.plan.addresses import AddressPlan
from pytest_kvlatency.plan.checks import vmi_keys
from pytest_kvlatency.threads import result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_kvlatency.console.transport import Transport
    from pytest_kvlatency.engine.artifacts import Artifacts
    from pytest_kvlatency.engine.consoles import Consoles
    from pytest_kvlatency.engine.leases import Lease
    from pytest_kvlatency.engine.leftovers import Leftovers
    from pytest_kvlatency.engine.lookout import LookOut
    from pytest_kvlatency.engine.steps import Say
    from pytest_kvlatency.guest.address import GuestAddress
    from pytest_kvlatency.guest.profiles import GuestProfile
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.nodes import NodeFacts
    from pytest_kvlatency.kube.owner import OwnerReference
    from pytest_kvlatency.kube.state import VmiHandle, VmiState
    from pytest_kvlatency.kube.vmi import Vmis
    from pytest_kvlatency.model import Check, GuestSpec, NadRef
    from pytest_kvlatency.plan.addresses import AddressShare
    from pytest_kvlatency.plan.checks import VmiKey

PAIR_LABEL = "pytest-kvlatency/pair"
MAC_ATTEMPTS = 5
#: The same for all, so that what is refused for one reason is refused in the same words.
REHEARSED_NAME = "latency-check-preflight"
ADDRESS_ATTEMPTS = 5
CLEANUP_SECONDS = 60.0
EVIDENCE_SECONDS = 5.0
LEAVING_SECONDS = 3.0
NO_WATCHDOG = "its user data has no room for a watchdog, so the guest gets one only after the login"
NO_RENEWAL = "its guest cannot write to /tmp or /run, so it powers itself off when the run's time is over"


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """What every VMI of the run has in common. ``guests_by_subnet``: how many this process needs in which.

    ``binding_plugins`` are those that KubeVirt knows; None where that is unknown. ``nodes`` is what was read of nodes.
    With ``has_manifest_hooks`` a VMI may tolerate more, or be placed otherwise, than is known here.
    """

    run_id: str
    addresses: AddressShare
    guests_by_subnet: Mapping[str | None, int]
    namespace: str
    owner: OwnerReference | None
    image_pull_secret: str | None
    tolerations: tuple[Mapping[str, Any], ...]
    keeps: bool
    profiles: Mapping[str, GuestProfile]
    change_manifest: Callable[[dict[str, Any], Check], None]
    binding_plugins: frozenset[str] | None = None
    nodes: SeenNodes = field(default_factory=SeenNodes)
    has_manifest_hooks: bool = False


class Provisioner:
    """Makes guests. Thread-safe: several are brought up at the same time."""

    def __init__(
        self,
        *,
        client: KubeClient,
        vmis: Vmis,
        leftovers: Leftovers,
        look_out: LookOut,
        consoles: Consoles,
        blueprint: Blueprint,
        artifacts: Artifacts,
    ) -> None:
        self._client = client
        self._vmis = vmis
        self._leftovers = leftovers
        self._look_out = look_out
        self._consoles = consoles
        self._blueprint = blueprint
        self._artifacts = artifacts
        self._lock = threading.Lock()
        self._generations: Counter[str] = Counter()
        self._nads: dict[tuple[NadRef, GuestSpec], Future[NadFacts]] = {}
        self._addresses: dict[str | None, Leases] = {}
        self._nodes = dict(blueprint.nodes.by_name)

    def forget_pairs(self, keys: Iterable[VmiKey]) -> None:
        """Let the next guests of these ``auto`` pairs keep no distance from those of now, which are about to go."""
        with self._lock:
            self._generations.update({_pair_words(key) for key in keys if key.is_auto})

    def bring_up(self, key: VmiKey, check: Check, deadline: Deadline, say: Say) -> ReadyGuest:
        """Make the guest of ``key`` ready. A VMI that does not become ready is deleted, unless it may be kept.

        Raises ``KvLatencyError`` with the cause.
        """
        say("reading the network", during=f"reading NAD {key.nad}")
        node = self._place(key, deadline)
        profile = profile_named(key.guest.profile, self._blueprint.profiles)
        nad = self.network(key.nad, key.guest, deadline)
        with ExitStack() as leased:
            lease = None
            if nad.address_mode != "dhcp":
                lease = leased.enter_context(self._leases(key.guest).lease(deadline, say))
            try:
                return self._bring_up(key, check, profile, nad, lease, node, deadline, say)
            except ProvisionError as error:
                error.hint = "\n".join(filter(None, (*self._troubles(node), error.hint)))
                raise

    def _bring_up(
        self,
        key: VmiKey,
        check: Check,
        profile: GuestProfile,
        nad: NadFacts,
        lease: Lease | None,
        node: NodeFacts | None,
        deadline: Deadline,
        say: Say,
    ) -> ReadyGuest:
        """Create the VMI and make its guest ready.

        Also while the run's clock stands still this takes no longer than all of the run's time: so a VMI that is not
        Running and has expired is no longer needed by its run, and ``--kv-sweep`` may remove it.
        """
        run, deadline = deadline, deadline.limit(deadline.seconds)
        watch = Stopwatch()
        whose = guest_words(key)
        say("creating", during=f"creating {whose}")
        architecture = _architecture(key, profile, node)
        handle, mac = self._create(key, check, profile, nad, lease, architecture, deadline)
        create_seconds = watch.lap()
        shell = self._shell(handle, profile)
        watchdog = lifetime.Watchdog(shell, run, keeps=self._blueprint.keeps)
        notes = self._user_data(profile, run)[1]
        try:
            starting = f"waiting for {whose} to start"
            state = self._look_out.wait_running(
                handle, deadline, lambda phase: say(phase or "waiting", during=starting)
            )
            running_seconds = watch.lap()
            _check_node(key, handle, state)
            with self._consoles.using(shell, deadline):
                say("booting and logging in", during=f"{whose} boots")
                shell.login(deadline)
                watchdog.start(deadline)
                if not watchdog.is_renewable:
                    notes.append(NO_RENEWAL)
                boot = read_boot(shell, deadline)
                login_seconds = watch.lap()
                say("configuring its address", during=f"{whose} gets its address")
                address = self._settle(shell, state.mac or mac, lease, deadline, say)
        except BaseException as error:
            # Also one that is none of ours: the VMI would stay, and its console, to the end of the run.
            self._give_up(handle, profile, shell, error)
            raise
        return ReadyGuest(
            key=key,
            handle=handle,
            profile=profile,
            nad=nad,
            shell=shell,
            watchdog=watchdog,
            address=address,
            node=state.node or "",
            software_emulation=boot.is_emulated,
            create_seconds=create_seconds,
            running_seconds=running_seconds,
            login_seconds=login_seconds,
            boot_id=boot.id,
            has_used_address=lease is not None and lease.is_used,
            notes=[*nad.warnings, *notes],
        )

    def rehearse(self, key: VmiKey, check: Check, deadline: Deadline) -> None:
        """Have the cluster judge the VMI of ``key`` as it would be created, and create nothing.

        Raises ``KvLatencyError`` with the cause for which it would not be created.
        """
        profile = profile_named(key.guest.profile, self._blueprint.profiles)
        nad = self.network(key.nad, key.guest, deadline)
        architecture = _architecture(key, profile, self._node(key, deadline))
        with ExitStack() as leased:
            lease = None
            if nad.address_mode != "dhcp":
                lease = leased.enter_context(self._leases(key.guest).lease(deadline, _say_nothing))
            for attempt in range(1, MAC_ATTEMPTS + 1):
                request = self._request(key, profile, nad, lease, fresh_mac(), deadline)
                request = replace(request, name=REHEARSED_NAME, architecture=architecture)
                try:
                    self._vmis.rehearse(request, deadline, change=self._changer(check))
                except MacRefused:
                    if attempt == MAC_ATTEMPTS:
                        raise
                else:
                    return

    def network(self, ref: NadRef, guest: GuestSpec, deadline: Deadline) -> NadFacts:
        """Read a NAD once, before the first of its VMIs is created. Raises ``KvLatencyError``."""
        with self._lock:
            future = self._nads.get((ref, guest))
            is_first = future is None
            if future is None:
                future = self._nads[ref, guest] = Future()
        if is_first:
            try:
                subnet = guest.subnet
                facts = read_nad(
                    self._client,
                    ref,
                    binding=guest.binding,
                    subnet_is_ipv6=subnet is not None and ip_network(subnet).version == 6,
                    deadline=deadline,
                )
                check_binding(facts, self._blueprint.binding_plugins)
            except BaseException as error:
                with self._lock:
                    # A rerun asks again.
                    del self._nads[ref, guest]
                future.set_exception(again(error))
                raise
            future.set_result(facts)
        return result_of(future)

    def _leases(self, guest: GuestSpec) -> Leases:
        with self._lock:
            known = self._addresses.get(guest.subnet)
            if known is None:
                share = self._blueprint.addresses
                # A subnet of a marker's holds the guests of its tests only. Each part of it must hold this process's.
                own = self._blueprint.guests_by_subnet.get(guest.subnet, 0) * share.part[1]
                plan = AddressPlan(
                    run_id=share.run_id,
                    guests=max(2, share.guests if guest.subnet is None else own),
                    part=share.part,
                    subnet=None if guest.subnet is None else ip_network(guest.subnet),
                )
                known = self._addresses[guest.subnet] = Leases(plan, self._leftovers)
            return known

    def _create(
        self,
        key: VmiKey,
        check: Check,
        profile: GuestProfile,
        nad: NadFacts,
        lease: Lease | None,
        architecture: str | None,
        deadline: Deadline,
    ) -> tuple[VmiHandle, str]:
        """Create the VMI, with another MAC when the first is refused; the handle and the MAC asked for."""
        refused = ""
        for _ in range(MAC_ATTEMPTS):
            mac = fresh_mac()
            request = self._request(key, profile, nad, lease, mac, deadline)
            request = replace(request, architecture=architecture)
            if lease is not None:
                lease.hold(request.token)
            try:
                with self._leftovers.creating(deadline):
                    return self._vmis.create(request, deadline, change=self._changer(check)), mac
            except MacRefused as error:
                refused = error.reason
        raise ProvisionError(f"{refused} ({MAC_ATTEMPTS} random MACs were refused)")

    def refusal(self, check: Check) -> KvLatencyError | None:
        """Why no guest need be made for a check: no VM can start on one of its nodes, as far as that is known."""
        return self._refused(check.pair.nodes)

    def ask_again(self, check: Check) -> None:
        """Read the check's nodes anew before its next guest is made."""
        with self._lock:
            for name in check.pair.nodes:
                self._nodes.pop(name, None)

    def look_again(self, check: Check, deadline: Deadline) -> None:
        """Read the check's nodes anew now. Raises as ``KubeClient.request`` when the run is stopped."""
        self.ask_again(check)
        for key in vmi_keys(check):
            self._node(key, deadline)

    def _refused(self, names: Sequence[str]) -> KvLatencyError | None:
        blueprint = self._blueprint
        with self._lock:
            known = {name: self._nodes[name] for name in names if name in self._nodes}
        if blueprint.has_manifest_hooks:
            known = {name: node for name, node in known.items() if node is None}
        seen = SeenNodes(by_name=known, listed=blueprint.nodes.listed)
        return refusal(seen, names, tolerations=blueprint.tolerations)

    def _place(self, key: VmiKey, deadline: Deadline) -> NodeFacts | None:
        """The node that is named, where it may be read. Raises ``KvLatencyError`` where no VM can start there."""
        node = self._node(key, deadline)
        refused = None if key.node is None else self._refused([key.node])
        if refused is not None:
            raise refused
        return node

    def _node(self, key: VmiKey, deadline: Deadline) -> NodeFacts | None:
        """The node that is named, where there is one that may be read: once, and again for a rerun."""
        if key.node is None:
            return None
        with self._lock:
            if key.node in self._nodes:
                return self._nodes[key.node]
        for node in look(self._client, key.node, deadline):
            with self._lock:
                self._nodes[key.node] = node
            return node
        return None

    def _troubles(self, node: NodeFacts | None) -> list[str]:
        """What was wrong with a node when it was read, and may have passed."""
        if node is None:
            return []
        found = obstacles(node, tolerations=self._blueprint.tolerations)
        return [f"{node.name} {one.what}: {one.hint}" for one in found]

    def _changer(self, check: Check) -> Callable[[dict[str, Any]], dict[str, Any]]:
        def change(manifest: dict[str, Any]) -> dict[str, Any]:
            self._blueprint.change_manifest(manifest, check)
            return manifest

        return change

    def _request(
        self,
        key: VmiKey,
        profile: GuestProfile,
        nad: NadFacts,
        lease: Lease | None,
        mac: str,
        deadline: Deadline,
    ) -> VmiRequest:
        blueprint = self._blueprint
        side = "target" if key.slot in ("target", "twin") else "source"
        return VmiRequest(
            name=fresh_name(f"latency-check-{side}" if key.is_auto else "latency-check"),
            namespace=blueprint.namespace,
            nad=key.nad,
            binding=nad.binding,
            mac=mac,
            image=key.guest.image or profile.image,
            memory=profile.memory,
            network_data=network_data(mac, None if lease is None else str(lease.address)),
            user_data=self._user_data(profile, deadline)[0],
            run_id=blueprint.run_id,
            node=key.node,
            anti_affinity_label=(PAIR_LABEL, self._pair_label(key)) if key.is_auto else None,
            image_pull_secret=blueprint.image_pull_secret,
            tolerations=blueprint.tolerations,
            owner=blueprint.owner,
            expires_at=None if blueprint.keeps else self._expires_at(deadline),
        )

    def _shell(self, handle: VmiHandle, profile: GuestProfile) -> Shell:
        def probe() -> VmiState | None:
            return self._vmis.get_state(handle, Deadline(EVIDENCE_SECONDS * 6, stop=self._client.stop))

        def connect(deadline: Deadline) -> Transport:
            try:
                return open_console(
                    lambda: self._client.console_endpoint(handle.namespace, handle.name),
                    probe,
                    self._client.reach,
                    deadline,
                )
            except PermissionDeniedError as error:
                wanted = paths.target("GET", paths.console(handle.namespace, handle.name))
                denial = self._client.rules.denial(wanted, deadline)
                if denial is None:
                    raise
                raise denial from error

        return Shell(connect, profile.login, name=str(handle), probe=probe)

    def _settle(
        self,
        shell: Shell,
        mac: str,
        lease: Lease | None,
        deadline: Deadline,
        say: Say,
    ) -> GuestAddress:
        """See the address in the guest; one that a stranger answers for is replaced by another."""
        if lease is None:
            return settle(shell, mac, None, deadline=deadline)
        notes: list[str] = []
        grace = GRACE_SECONDS
        for _ in range(ADDRESS_ATTEMPTS):
            try:
                address = settle(shell, mac, lease.address, deadline=deadline, grace_seconds=grace)
            except Taken as error:
                # Cloud-init knows nothing of the next one: it is configured over the console at once.
                grace = 0.0
                notes.append(f"{error.address} is already in use on this network: using another address")
                lease.replace(deadline, say)
            else:
                return replace(address, notes=(*notes, *address.notes))
        raise GuestError(
            f"{ADDRESS_ATTEMPTS} addresses in {lease.network} are already in use on this network",
            hint="choose a range that is not in use there: --kv-subnet CIDR",
        )

    def _pair_label(self, key: VmiKey) -> str:
        """One value for both guests of one pair: two NADs' pairs need two nodes, not four."""
        words = _pair_words(key)
        with self._lock:
            generation = self._generations[words]
        digest = hashlib.sha256(f"{words}|{generation}".encode()).hexdigest()[:8]
        return f"{self._blueprint.run_id}-{digest}"

    def _user_data(self, profile: GuestProfile, deadline: Deadline) -> tuple[str, list[str]]:
        """The profile's user data, with a watchdog where there is room for one; and a note where there is none."""
        seconds = lifetime.boot_seconds(deadline, keeps=self._blueprint.keeps)
        whole = user_data(profile.user_data, boot_command=boot_command(seconds))
        if len(whole.encode()) <= MAX_INLINE_BYTES:
            return whole, []
        return user_data(profile.user_data), [NO_WATCHDOG]

    def _expires_at(self, deadline: Deadline) -> str:
        """When a VMI that is created now expires, by the API server's clock."""
        expires = self._client.now() + timedelta(seconds=lifetime.expiry_seconds(deadline))
        return expires.strftime(EXPIRES_FORMAT)

    def _give_up(self, handle: VmiHandle, profile: GuestProfile, shell: Shell, error: BaseException) -> None:
        """Keep what tells why, and delete the VMI unless it is to be looked at."""
        if isinstance(error, KvLatencyError):
            error.transcript = error.transcript or shell.transcript_end
        keeps = self._blueprint.keeps
        if keeps:
            self._leftovers.keep([handle], login=login_words(profile))
            shell.leave(Deadline(LEAVING_SECONDS))
        if self._artifacts.directory is not None:
            evidence = self._leftovers.evidence(handle, Deadline(EVIDENCE_SECONDS))
            self._artifacts.keep(handle.name, evidence=evidence, transcript=shell.transcript)
        shell.close()
        if not keeps:
            self._leftovers.delete([handle], Deadline(CLEANUP_SECONDS))


def _check_node(key: VmiKey, handle: VmiHandle, state: VmiState) -> None:
    """What counts is where the VMI really is."""
    if key.node is not None and state.node != key.node:
        raise ProvisionError(f"VMI {handle} runs on {state.node}: expected {key.node}")


def _architecture(key: VmiKey, profile: GuestProfile, node: NodeFacts | None) -> str | None:
    """The named node's architecture, where that is known. Raises ``ConfigError`` where no image is for it."""
    found = None if node is None else node.architecture
    if found and key.guest.image is None and found not in profile.architectures:
        raise ConfigError(
            f"node {key.node} is {found}, but the image of guest profile {profile.name} is for "
            f"{', '.join(profile.architectures)}",
            hint=f"choose an image for {found} with --kv-image, or other nodes with --kv-nodes",
            stage="setup",
        )
    return found


def _say_nothing(how_far: str, *, during: str = "") -> None:
    """Say no word: nobody watches."""


def _pair_words(key: VmiKey) -> str:
    return f"{key.nad}|{key.guest}"
