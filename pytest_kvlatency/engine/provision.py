"""Brings one guest up: NAD, VMI, console, login, watchdog, address. Every step under the run's deadline."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_kvlatency.deadline import CLEANUP_SECONDS, Deadline
from pytest_kvlatency.engine import lifetime
from pytest_kvlatency.engine.departures import LEAVING_SECONDS
from pytest_kvlatency.engine.drafts import DraftParts, Drafts
from pytest_kvlatency.engine.guests import ReadyGuest, Stopwatch
from pytest_kvlatency.engine.leases import AddressBook
from pytest_kvlatency.engine.shells import shell_of
from pytest_kvlatency.engine.site import Site, architecture_of
from pytest_kvlatency.engine.steps import guest_words
from pytest_kvlatency.errors import GuestError, KvLatencyError, ProvisionError
from pytest_kvlatency.guest.address import GRACE_SECONDS, Taken, settle
from pytest_kvlatency.guest.boot import read_boot
from pytest_kvlatency.guest.profiles import login_words, profile_named
from pytest_kvlatency.kube.apierrors import MacRefused
from pytest_kvlatency.kube.evidence import collect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_kvlatency.console.shell import Shell
    from pytest_kvlatency.deadline import Stop
    from pytest_kvlatency.engine.artifacts import Artifacts
    from pytest_kvlatency.engine.blueprint import Blueprint
    from pytest_kvlatency.engine.consoles import Consoles
    from pytest_kvlatency.engine.leases import Lease
    from pytest_kvlatency.engine.leftovers import Leftovers
    from pytest_kvlatency.engine.lookout import LookOut
    from pytest_kvlatency.engine.steps import Say
    from pytest_kvlatency.engine.whereabouts import Whereabouts
    from pytest_kvlatency.guest.address import GuestAddress
    from pytest_kvlatency.guest.profiles import GuestProfile
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.nodes import NodeFacts
    from pytest_kvlatency.kube.state import VmiHandle, VmiState
    from pytest_kvlatency.kube.vmi import Vmis
    from pytest_kvlatency.model import Check
    from pytest_kvlatency.plan.checks import VmiKey

MAC_ATTEMPTS = 5
#: The same for all, so that what is refused for one reason is refused in the same words.
REHEARSED_NAME = "latency-check-preflight"
ADDRESS_ATTEMPTS = 5
EVIDENCE_SECONDS = 5.0
NO_RENEWAL = "its guest cannot write to /tmp or /run, so it powers itself off when the run's time is over"


@dataclass(kw_only=True, eq=False)
class Provisioner:
    """Makes guests. Thread-safe: several are brought up at the same time."""

    client: KubeClient
    vmis: Vmis
    leftovers: Leftovers
    look_out: LookOut
    consoles: Consoles
    blueprint: Blueprint
    artifacts: Artifacts
    whereabouts: Whereabouts

    def __post_init__(self) -> None:
        #: What is there for guests.
        self.site = Site(self.client, self.blueprint)
        self._drafts = Drafts(self.blueprint, self.client.now)
        self._addresses = AddressBook(
            self.blueprint.addresses, self.blueprint.guests_by_subnet, self.leftovers
        )

    def forget_pairs(self, keys: Iterable[VmiKey]) -> None:
        """Let the next guests of these ``auto`` pairs keep no distance from those of now, which are about to go."""
        self._drafts.forget_pairs(keys)

    def bring_up(self, key: VmiKey, check: Check, deadline: Deadline, say: Say) -> ReadyGuest:
        """Make the guest of ``key`` ready. A VMI that does not become ready is deleted, unless it may be kept.

        Raises ``KvLatencyError`` with the cause.
        """
        self.whereabouts.forget(key)
        say("reading the network", during=f"reading NAD {key.nad}", phase="reading its NAD")
        node = self.site.place(key, deadline)
        with self._parts(key, node, deadline, say) as parts:
            try:
                return self._bring_up(parts, check, deadline, say)
            except KvLatencyError as error:
                if isinstance(error, ProvisionError):
                    self._explain(error, node)
                error.guest_node = error.guest_node or key.node or ""
                self.whereabouts.see(key, error.guest_node)
                raise

    def _explain(self, error: ProvisionError, node: NodeFacts | None) -> None:
        """Say what was wrong with the node when it was read: that is better than the scheduler's words."""
        troubles = self.site.troubles(node)
        error.hint = "\n".join(filter(None, (*troubles.values(), error.hint)))
        if node is not None and troubles and error.node == node.name:
            error.summary = f"{node.name} {' and '.join(troubles)}"

    @contextmanager
    def _parts(
        self, key: VmiKey, node: NodeFacts | None, deadline: Deadline, say: Say
    ) -> Iterator[DraftParts]:
        """Read what the guest of ``key`` is made of; its address is its own inside. Raises ``KvLatencyError``."""
        profile = profile_named(key.guest.profile, self.blueprint.profiles)
        nad = self.site.network(key.nad, key.guest, deadline)
        architecture = architecture_of(key, profile, node)
        parts = DraftParts(key=key, profile=profile, nad=nad, architecture=architecture, lease=None)
        if nad.address_mode == "dhcp":
            yield parts
            return
        with self._addresses.leases(key.guest).lease(deadline, say) as lease:
            yield replace(parts, lease=lease)

    def _bring_up(self, parts: DraftParts, check: Check, deadline: Deadline, say: Say) -> ReadyGuest:
        """Create the VMI and make its guest ready.

        Also while the run's clock stands still this takes no longer than all of the run's time: so a VMI that is not
        Running and has expired is no longer needed by its run, and ``--kv-sweep`` may remove it.
        """
        run, deadline = deadline, deadline.limit(deadline.seconds)
        watch = Stopwatch()
        key, profile, lease = parts.key, parts.profile, parts.lease
        whose = guest_words(key)
        say("creating", during=f"creating {whose}")
        handle, mac = self._create(parts, check, deadline)
        create_seconds = watch.lap()
        shell = shell_of(self.client, self.vmis, handle, profile)
        watchdog = lifetime.Watchdog(shell, run, keeps=self.blueprint.keeps)
        notes = self._drafts.notes(profile, run)
        running_on = ""
        try:
            starting = f"waiting for {whose} to start"

            def changed(state: VmiState) -> None:
                self.whereabouts.see(key, state.node)
                say(state.phase or "waiting", during=starting)

            state = self.look_out.wait_running(handle, deadline, changed)
            running_seconds = watch.lap()
            running_on = state.node or ""
            _check_node(key, handle, state)
            with self.consoles.using(shell, deadline):
                say("booting and logging in", during=f"{whose} boots", phase="booting")
                shell.login(deadline)
                watchdog.start(deadline)
                if not watchdog.is_renewable:
                    notes.append(NO_RENEWAL)
                boot = read_boot(shell, deadline)
                login_seconds = watch.lap()
                say(
                    "configuring its address", during=f"{whose} gets its address", phase="getting its address"
                )
                address = self._settle(shell, state.mac or mac, lease, deadline, say)
        except BaseException as error:
            # Also one that is none of ours: the VMI would stay, and its console, to the end of the run.
            if isinstance(error, KvLatencyError):
                error.guest_node = error.guest_node or running_on
            self._give_up(handle, profile, shell, error)
            raise
        return ReadyGuest(
            key=key,
            handle=handle,
            profile=profile,
            nad=parts.nad,
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
            notes=[*parts.nad.warnings, *notes],
        )

    def rehearse(self, key: VmiKey, check: Check, deadline: Deadline) -> None:
        """Have the cluster judge the VMI of ``key`` as it would be created, and create nothing.

        Raises ``KvLatencyError`` with the cause for which it would not be created.
        """
        with self._parts(key, self.site.node(key, deadline), deadline, lambda *_, **__: None) as parts:
            for attempt in range(1, MAC_ATTEMPTS + 1):
                request = replace(self._drafts.request(parts, deadline), name=REHEARSED_NAME)
                try:
                    self.vmis.rehearse(request, deadline, change=self._drafts.change(check))
                except MacRefused:
                    if attempt == MAC_ATTEMPTS:
                        raise
                else:
                    return

    def _create(self, parts: DraftParts, check: Check, deadline: Deadline) -> tuple[VmiHandle, str]:
        """Create the VMI, with another MAC when the first is refused; the handle and the MAC asked for."""
        refused = ""
        for _ in range(MAC_ATTEMPTS):
            request = self._drafts.request(parts, deadline)
            if parts.lease is not None:
                parts.lease.hold(request.token)
            try:
                with self.leftovers.creating(deadline):
                    return self.vmis.create(request, deadline, change=self._drafts.change(check)), request.mac
            except MacRefused as error:
                refused = error.reason
        raise ProvisionError(
            f"{refused} ({MAC_ATTEMPTS} random MACs were refused)",
            summary=f"cannot create a VMI: {MAC_ATTEMPTS} random MACs were refused",
        )

    def _settle(
        self, shell: Shell, mac: str, lease: Lease | None, deadline: Deadline, say: Say
    ) -> GuestAddress:
        """See the address in the guest; one that another machine answers for is replaced by another."""
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
            f"{ADDRESS_ATTEMPTS} addresses in {lease.address.network} are already in use on this network",
            summary="the addresses of the guests are already in use on this network",
            hint="choose a range that is not in use there: --kv-subnet CIDR",
            is_local=False,
        )

    def _give_up(self, handle: VmiHandle, profile: GuestProfile, shell: Shell, error: BaseException) -> None:
        """Keep what tells why, and delete the VMI unless it is to be looked at."""
        if isinstance(error, KvLatencyError):
            error.transcript = error.transcript or shell.transcript_end
        keeps = self.blueprint.keeps
        if keeps:
            self.leftovers.keep([handle], login=login_words(profile))
            shell.leave(Deadline(LEAVING_SECONDS))
        self.save_evidence(handle, shell)
        shell.close()
        if not keeps:
            self.leftovers.delete([handle], Deadline(CLEANUP_SECONDS))

    def save_evidence(self, handle: VmiHandle, shell: Shell, *, stop: Stop | None = None) -> None:
        """Write the artifacts of a VMI, where they are asked for; what cannot be had is left out."""
        if self.artifacts.directory is not None:
            evidence = collect(self.client, handle, Deadline(EVIDENCE_SECONDS, stop=stop))
            self.artifacts.keep(handle.name, evidence=evidence, transcript=shell.transcript)


def _check_node(key: VmiKey, handle: VmiHandle, state: VmiState) -> None:
    """What counts is where the VMI really is."""
    if key.node is not None and state.node != key.node:
        # One that is to migrate only prefers its node, for its affinity cannot be edited later.
        full = f"see whether {key.node} is full, or run the check again" if key.journey else ""
        raise ProvisionError(
            f"VMI {handle} runs on {state.node}: expected {key.node}",
            hint=full,
            summary=f"a VMI for {key.node} runs on another node",
            node=key.node,
        )
