"""From two ready guests to a measurement: warm-up, sample, verdict, and where the guests were afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from pytest_kvlatency.config.timeouts import least_ns
from pytest_kvlatency.console.liveness import check_alive
from pytest_kvlatency.engine.guests import Stopwatch, setup_timings
from pytest_kvlatency.engine.moving import interval_of, ping_through
from pytest_kvlatency.engine.vigil import Vigil
from pytest_kvlatency.errors import (
    CheckupTimeoutError,
    ConfigError,
    ConnectivityError,
    GuestError,
    InterruptedRunError,
    KvLatencyError,
    PermissionDeniedError,
)
from pytest_kvlatency.guest import measure as in_guest
from pytest_kvlatency.guest.address import loss_of
from pytest_kvlatency.guest.boot import read_boot_id
from pytest_kvlatency.kube.apierrors import KubeApiError
from pytest_kvlatency.model import Failure, Measurement, PingResult
from pytest_kvlatency.ping.command import Dialect, effective
from pytest_kvlatency.ping.gaps import gaps_of
from pytest_kvlatency.ping.verdict import judge, samples_needed
from pytest_kvlatency.threads import Threads
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.engine.guests import ReadyGuest
    from pytest_kvlatency.engine.move import Mover
    from pytest_kvlatency.engine.steps import Say
    from pytest_kvlatency.kube.vmi import Vmis
    from pytest_kvlatency.model import Check

#: A console that was closed meanwhile is opened and logged into again within it.
CONFIRM_SECONDS = 15.0
_SLOW_PING = "the guest's ping has no -i (BusyBox before 1.30): pinged once a second"
_CHANGED = "changed since it was set up"
_SILENT = "does not answer on its console either"
_LOOK_AT_THE_GUEST = "check the guest with virtctl console, and the events of its VMI"
#: Says nothing of the guest.
UNTOLD = (KubeApiError, PermissionDeniedError, ConfigError, InterruptedRunError)


class NotJudged(Exception):  # noqa: N818 - an outcome: a measurement comes with the cause
    """The target did not get where it was to go, or the sample was cut off: what was measured is not judged."""

    def __init__(self, measurement: Measurement, cause: KvLatencyError) -> None:
        super().__init__(cause.reason)
        self.measurement = measurement
        self.cause = cause


class Measurer:
    """Measures from source to target; both are owned by the caller."""

    def __init__(self, vmis: Vmis, mover: Mover) -> None:
        self._vmis = vmis
        self._mover = mover
        self._vigil = Vigil(vmis.get_state)

    def measure(
        self,
        check: Check,
        source: ReadyGuest,
        target: ReadyGuest,
        deadline: Deadline,
        say: Say,
        *,
        look_again: Sequence[ReadyGuest],
    ) -> Measurement:
        """Measure as ``check.ping`` says and judge by ``check.limits``. Raises ``KvLatencyError``, and ``NotJudged``.

        ``look_again`` are the guests whose nodes are read again afterwards: in a matrix not after each of its pairs,
        which would make requests grow with the square of the nodes. After a loss both are looked at.
        """
        watch = Stopwatch()
        shell, address = source.shell, target.address.address
        dialect = dialect_for(check, source, target, deadline)
        interval_ns = interval_of(check, source, dialect, deadline)
        require_samples(check, interval_ns)
        require_interval(check, interval_ns)
        if check.pair.is_move:
            self._mover.require_migratable(target, deadline)
        say(
            f"waiting for the first reply of {address}",
            during=f"waiting for the first reply of {target.node} to {source.node}",
            phase="first reply",
        )
        warming = check.ping
        if target.has_used_address:
            # The source may still know the MAC of the guest that had the address before, for some seconds.
            warming = replace(warming, warmup=max(1, warming.warmup))
        with self._vigil.over((source.handle, target.handle), deadline) as watched:
            warmup_seconds = in_guest.warm_up(shell, address, warming, dialect, watched)
            times = "" if check.pair.is_move else f", {effective(check.ping, dialect).count} times"
            say(
                f"pinging {address}{times}",
                during=f"pinging {target.node} from {source.node}",
                phase="pinging",
            )
            passage = None
            if check.pair.is_move:
                passage = ping_through(
                    self._mover, check, source, target, dialect, watched, say, interval_ns=interval_ns
                )
            result = passage.result if passage else self._sample(check, source, address, dialect, watched)
            is_cut_off = passage is not None and passage.is_cut_off
            silence = "" if is_cut_off else self._silence(result, source, address, dialect, watched)
        if result.has_lost:
            self._blame_the_source(source, deadline)
        seconds, there = watch.lap(), target.facts
        if passage and passage.migration:
            # Where it started is what was asked for, and where it is now is the migration's to say.
            target.node = passage.migration.target_node or target.node
        if is_cut_off:
            look_again = ()
        elif result.has_lost:
            look_again = (source, target)
        moved = self._look_again(look_again, deadline)
        measurement = unjudged(check, source, target, dialect, result, interval_ns)
        measurement = replace(
            measurement,
            target=there if passage else measurement.target,
            warmup_seconds=warmup_seconds if warming.warmup else None,
            silence=silence,
            migration=passage.migration if passage else None,
            timings=replace(setup_timings(source, target), measure=seconds),
            notes=(*moved, *(passage.notes if passage else ()), *measurement.notes),
        )
        if passage and passage.error:
            raise NotJudged(measurement, watched.cause or passage.error)
        return judged(measurement, check)

    @staticmethod
    def _blame_the_source(source: ReadyGuest, deadline: Deadline) -> None:
        """Raise ``GuestError`` when the source can no longer send. iputils does not report what the kernel refuses."""
        try:
            lost = loss_of(source.address, source.shell, deadline.limit(CONFIRM_SECONDS))
        except (GuestError, CheckupTimeoutError, *UNTOLD):
            # The sample is made: what the API server or the console does now does not change it.
            return
        if lost:
            raise _blamed(source, f"packets of VMI {source.handle}", f"has {_CHANGED}: {lost}")

    @staticmethod
    def confirm(target: ReadyGuest, deadline: Deadline) -> str:
        """After a loss: see that the target's guest lived, for one that hangs or boots answers no ping on any network.

        Its phase tells later, or never. Return a note when that is not known, or its owner uses its console: then
        what was measured stands. Raises ``GuestError`` for a guest that is silent on an open console, has booted since
        it was set up, or has lost its address, and ``ProvisionError`` when its VMI has ended.
        """
        if target.shell.is_in_use:
            return untold(target, "the test uses its console")
        try:
            target.shell.doubt()
            limit = deadline.limit(CONFIRM_SECONDS)
            boot_id = read_boot_id(target.shell, limit)
            lost = loss_of(target.address, target.shell, limit)
        except UNTOLD as error:
            return untold(target, error.reason)
        except (GuestError, CheckupTimeoutError) as error:
            if deadline.expired() or not target.shell.is_open or target.shell.is_in_use:
                # Too late, or a console that cannot be had: neither says anything of the guest.
                return untold(target, error.reason)
            silent = f"{_SILENT}: {error.reason}"
            packets = f"packets to VMI {target.handle}"
            raise _blamed(target, packets, silent, error.transcript, summary=_SILENT) from error
        if boot_id and target.boot_id and boot_id != target.boot_id:
            lost = "has rebooted since it was set up"
        elif lost:
            lost = f"has {_CHANGED}: {lost}"
        if lost:
            raise _blamed(target, f"packets to VMI {target.handle}", lost)
        return ""

    @staticmethod
    def _sample(
        check: Check, source: ReadyGuest, address: str, dialect: Dialect, deadline: Deadline
    ) -> PingResult:
        started_at = datetime.now(timezone.utc)
        try:
            return in_guest.take_sample(
                source.shell, address, check.ping, dialect, deadline, mtu=source.address.mtu
            )
        except ConnectivityError as error:
            # The kernel itself said that nobody is there, and ping gave up: as good as every packet lost.
            count = effective(check.ping, dialect).count
            return PingResult(
                transmitted=count, received=0, started_at=started_at, transcript=error.transcript
            )

    @staticmethod
    def _silence(
        result: PingResult, source: ReadyGuest, address: str, dialect: Dialect, deadline: Deadline
    ) -> str:
        """How far a sample got of which nothing at all came back; empty for another."""
        if result.received or result.answered_elsewhere:
            return ""
        interface = source.address.interface
        return in_guest.explain_silence(source.shell, interface, address, dialect, deadline)

    def _look_again(self, guests: Sequence[ReadyGuest], deadline: Deadline) -> list[str]:
        """Read the nodes again: a guest may have migrated. Raises ``ProvisionError`` when one is gone meanwhile."""
        notes: list[str] = []
        if not guests:
            return notes
        threads = Threads(len(guests), "kvlatency-look")
        limit = deadline.limit(CONFIRM_SECONDS)
        looks = [threads.submit(self._vmis.get_state, guest.handle, limit) for guest in guests]
        for guest, look in zip(guests, looks, strict=True):
            try:
                state = look.result()
            except (CheckupTimeoutError, *UNTOLD) as error:
                # The sample is made: what the API server does now does not change it.
                notes.append(f"could not tell on which node VMI {guest.handle} is now: {error.reason}")
                continue
            # What was lost after a guest had died is no loss of the network's.
            check_alive(state, str(guest.handle), uid=guest.handle.uid)
            if state is not None and state.node and state.node != guest.node:
                notes.append(f"VMI {guest.handle} moved from {guest.node} to {state.node} during the sample")
                guest.node = state.node
        return notes


def _blamed(
    guest: ReadyGuest, packets: str, what: str, transcript: str = "", *, summary: str = ""
) -> GuestError:
    """The error for packets whose loss is the guest's: ``what`` completes "its guest …", as ``summary`` does."""
    return GuestError(
        f"{packets} were lost, and its guest {what}",
        summary=f"packets were lost, and a guest {summary or what}",
        node=guest.node,
        hint=_LOOK_AT_THE_GUEST,
        transcript=transcript or guest.shell.transcript_end,
        stage="run",
    )


def untold(target: ReadyGuest, why: str) -> str:
    """The note on a target that may or may not have lived."""
    return f"could not tell whether the guest of VMI {target.handle} is alive: {why}"


def dialect_for(check: Check, source: ReadyGuest, target: ReadyGuest, deadline: Deadline) -> Dialect:
    """Which ping the source has. Raises as ``detect_dialect``, and as ``check_mtu`` for packets that do not fit."""
    if source.dialect is None:
        source.dialect = in_guest.detect_dialect(source.shell, deadline)
    mtus = {guest.handle.name: guest.address.mtu for guest in (source, target)}
    in_guest.check_mtu(check.ping, target.address.address, mtus)
    return source.dialect


def unjudged(
    check: Check,
    source: ReadyGuest,
    target: ReadyGuest,
    dialect: Dialect,
    result: PingResult,
    interval_ns: int,
) -> Measurement:
    """A sample between two guests as a measurement of where they are now; see ``judged``."""
    return Measurement(
        check=check,
        binding=source.nad.binding,
        source=source.facts,
        target=target.facts,
        result=result,
        interval_ns=interval_ns,
        gaps=gaps_of(result, interval_ns),
        notes=(*((_SLOW_PING,) if dialect is Dialect.BUSYBOX_OLD else ()), *result.warnings),
    )


def require_samples(check: Check, interval_ns: int) -> None:
    """Raise ``ConfigError`` when at this interval a sample is too short for a percentile limit (E90).

    ``interval_ns`` is what the guest's ping does of the interval that was asked for: nothing else is lost on the way.
    """
    needed = samples_needed(check.limits)
    actual = replace(check.ping, interval_ns=interval_ns, sample_duration_ns=least_ns(check))
    if actual.count >= needed:
        return
    raise ConfigError(
        f"--kv-max-p99 {format_duration(check.limits.max_p99_ns or 0)} needs {needed} samples, but this guest's ping "
        f"(BusyBox without -i) sends one every {format_duration(interval_ns)}, {actual.count} in all: use "
        f"--kv-sample-duration {format_duration(needed * interval_ns)}",
        hint="or use a guest image whose ping has -i (BusyBox 1.30 or later, or iputils): --kv-image",
        stage="setup",
    )


def require_interval(check: Check, interval_ns: int) -> None:
    """Raise ``ConfigError`` when pings are too far apart for the limit on the gap.

    A single lost request makes a gap of two intervals, and to one interval every gap is right.
    """
    limit = check.limits.max_gap_ns
    if limit is None or limit >= 2 * interval_ns:
        return
    asked = check.ping.interval_ns
    longest = format_duration(limit // 2 or 1)
    if interval_ns == asked:
        raise ConfigError(
            f"--kv-max-gap {format_duration(limit)} is shorter than two intervals of ping "
            f"({format_duration(interval_ns)}, --kv-interval). Use --kv-interval {longest} or shorter",
            stage="setup",
        )
    raise ConfigError(
        f"--kv-max-gap {format_duration(limit)} is shorter than two intervals of ping, but this guest's ping sends one "
        f"every {format_duration(interval_ns)} at best",
        hint=f"use a longer --kv-max-gap, at least {format_duration(2 * interval_ns)}",
        stage="setup",
    )


def judged(measurement: Measurement, check: Check) -> Measurement:
    """The measurement as it is for a check with limits of its own. Raises as ``require_…`` and ``judge`` do."""
    if measurement.result is None:
        return replace(measurement, check=check)
    interval_ns = measurement.interval_ns or check.ping.interval_ns
    require_samples(check, interval_ns)
    require_interval(check, interval_ns)
    failures = judge(
        measurement.result,
        check.limits,
        gaps=measurement.gaps,
        migration=measurement.migration,
        interval_ns=interval_ns,
    )
    if measurement.silence and failures:
        failures = (_explained(failures[0], check, measurement.silence), *failures[1:])
    return replace(measurement, check=check, failures=failures)


def _explained(failure: Failure, check: Check, silence: str) -> Failure:
    size = ""
    if check.ping.dont_fragment:
        size = f" of {check.ping.packet_size} bytes that must not be fragmented"
    return replace(failure, reason=f"{failure.reason}{size} ({silence})")
