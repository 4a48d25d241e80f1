"""Every cause a check can have, as a public exception. ``kind`` is the ``failureKind`` of the reports.

ERROR (set-up): ``ConfigError``, ``PermissionDeniedError``, ``ProvisionError``, ``GuestError``,
``CheckupTimeoutError``, ``InterruptedRunError``, ``TeardownError``. FAILED (call): ``ConnectivityError``,
``LimitExceeded`` (of a gap ``GapExceeded``) and ``RejectedMeasurementError``, which share ``CheckFailedError``.
"""

from __future__ import annotations

import contextlib
import copy
from operator import methodcaller
from typing import Final, Literal, TypeVar

FailureKind = Literal[
    "config",
    "permission",
    "provision",
    "guest",
    "connectivity",
    "loss",
    "latency",
    "gap",
    "assertion",
    "timeout",
    "interrupted",
    "teardown",
]
Stage = Literal["config", "setup", "run", "teardown"]
E = TypeVar("E", bound=BaseException)


class KvLatencyError(Exception):
    """A check could not be made, or the network did not meet its limits.

    ``reason`` is one line of cause, without its stage; ``hint`` the way out; ``transcript`` the end of the guest's
    console output, escaped by the code that shows it. ``stage`` prefixes the reason in reports (``setup: …``).

    ``summary`` is the cause as one sentence that is the same wherever it strikes: without VMI names, addresses and
    durations. ``node`` or ``network`` is what is to blame. All three may be empty. ``is_local``: it comes from the node
    where the guest is, if it strikes there alone. What the API server refuses may strike any guest, wherever it is.
    """

    kind: FailureKind = "config"
    stage: Stage = "setup"
    is_local: bool = False
    #: The guest that could not be brought up because of it: where it was to run, as far as that is known.
    guest_node: str = ""
    #: Where the source and the target of the pair that it ended were last seen, whether they were up or not; each may
    #: be empty.
    pair_nodes: tuple[str, str] = ("", "")

    def __init__(
        self,
        reason: str,
        *,
        hint: str = "",
        transcript: str = "",
        stage: Stage | None = None,
        summary: str = "",
        node: str = "",
        network: str = "",
        is_local: bool | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.transcript = transcript
        self.summary = summary
        self.node = node
        self.network = network
        if stage is not None:
            self.stage = stage
        if is_local is not None:
            self.is_local = is_local

    def __copy__(self: E) -> E:  # noqa: PYI019 - Python 3.10 has no Self
        """An equal error that was never raised: without traceback, cause and context."""
        # Not by its constructor: some types take other arguments, and none takes all that an error may hold.
        fresh = type(self).__new__(type(self), *self.args)
        fresh.args = self.args
        fresh.__dict__.update(self.__dict__)
        return fresh

    @property
    def failure_reason(self) -> str:
        """The reason as reports give it: with its stage in front."""
        return f"{self.stage}: {self.reason}"


class ConfigError(KvLatencyError):
    """Something asked for is wrong or does not exist: an option, a NAD, a ConfigMap's parameter."""

    kind: FailureKind = "config"
    stage: Stage = "config"


class PermissionDeniedError(KvLatencyError):
    """The cluster refused a request (401, 403); the reason names verb, resource and namespace."""

    kind: FailureKind = "permission"


class ProvisionError(KvLatencyError):
    """A VMI could not be brought up: unschedulable, image, quota, no KubeVirt, failed, gone."""

    kind: FailureKind = "provision"


class GuestError(KvLatencyError):
    """The VMI runs, but its guest cannot be used: no login, no address, no ping."""

    kind: FailureKind = "guest"
    is_local: bool = True


class CheckupTimeoutError(KvLatencyError):
    """The checkup's time was over; the reason says what it was waiting for."""

    kind: FailureKind = "timeout"
    is_local: bool = True


class InterruptedRunError(KvLatencyError):
    """The run was stopped from outside (SIGTERM, SIGINT, ``-x``) while this check waited."""

    kind: FailureKind = "interrupted"


class TeardownError(KvLatencyError):
    """Something that was created could not be removed; the reason names it."""

    kind: FailureKind = "teardown"
    stage: Stage = "teardown"


class CheckFailedError(KvLatencyError):
    """The check was made, and the network did not meet its limits."""

    kind: FailureKind = "connectivity"
    stage: Stage = "run"


class ConnectivityError(CheckFailedError):
    """Not a single reply came back."""


class LimitExceeded(CheckFailedError):  # noqa: N818 - the contract's name
    """A limit was exceeded. ``kind`` is ``latency``, ``loss`` or ``gap``."""

    def __init__(
        self, reason: str, *, kind: Literal["latency", "loss", "gap"] = "latency", hint: str = ""
    ) -> None:
        super().__init__(reason, hint=hint)
        self.kind = kind


class GapExceeded(LimitExceeded):
    """For longer than is accepted no reply came."""

    kind: FailureKind = "gap"

    def __init__(self, reason: str, *, hint: str = "") -> None:
        super().__init__(reason, kind="gap", hint=hint)


class RejectedMeasurementError(CheckFailedError):
    """An implementation of the hook ``pytest_kvlatency_measurement`` gave a reason against the measurement."""

    kind: FailureKind = "assertion"


class CommandError(GuestError):
    """A command in the guest ended with a non-zero status, and ``check=True`` was given.

    Its text has the last line of the output; ``output`` is the whole.
    """

    stage: Stage = "run"

    def __init__(self, *, command: str, exit_status: int, output: str) -> None:
        last = output.rstrip().rpartition("\n")[2].strip()[:200]
        said = f": {last}" if last else ""
        super().__init__(f"command {command!r} ended with exit status {exit_status}{said}", transcript=output)
        self.command = command
        self.exit_status = exit_status
        self.output = output


class NoValue(KvLatencyError):  # noqa: N818 - the contract's name
    """A number cannot be given, e.g. ``p99 needs 100 samples, got 50: --kv-sample-duration 10s``."""

    stage: Stage = "run"
    kind: FailureKind = "assertion"


def again(error: E) -> E:
    """An equal error, for code that raises one that others have raised or will raise.

    Each raise of the same object lengthens its traceback, so that a failure that many items share would cost the
    square of their number. An error of another kind than ours keeps the traceback that it has: it tells of a mistake.
    """
    if isinstance(error, KvLatencyError):
        return copy.copy(error)
    with contextlib.suppress(Exception):
        return copy.copy(error).with_traceback(error.__traceback__)
    return error


#: As ``__tracebackhide__`` of a module: pytest leaves its frames out of the traceback of an error of ours, and shows
#: them for a mistake.
HIDDEN: Final = methodcaller("errisinstance", KvLatencyError)
