"""One shell session per guest: logged in once, resynchronised and reconnected as often as it takes."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.console import framing
from pytest_kvlatency.console.liveness import check_alive
from pytest_kvlatency.console.login import PATIENCE, Login, LoginProfile, Patience, transcript_end
from pytest_kvlatency.console.outcomes import ConnectionLost
from pytest_kvlatency.console.spawn import ConsoleSpawn
from pytest_kvlatency.console.tty import Terminal, preparation
from pytest_kvlatency.deadline import Backoff, Deadline
from pytest_kvlatency.errors import GuestError, KvLatencyError
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kvlatency.console.liveness import ConsoleVmi
    from pytest_kvlatency.console.transport import ConsoleTransport
    from pytest_kvlatency.deadline import Stop

SLICE_SECONDS: Final = 0.2
COMMAND_SECONDS: Final = 60.0
MAX_LOSSES: Final = 3
# At most so many connections that end without a byte: with growing pauses, about a minute.
_MAX_BARREN: Final = 24
# Load balancers drop what was idle for this long, some without a word: prove the connection before using it.
_IDLE_SECONDS: Final = 15.0
_PROOF_SECONDS: Final = 3.0
# A shell says at once that it begins. One that has not for so long did not get the whole line: the console lost some
# of it, or another program read the line from the terminal.
_HEARD_SECONDS: Final = 10.0
_NO_SUCH_COMMAND: Final = 127
PAUSES: Final = Backoff(first=0.1, longest=3.0)


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """What a command printed (clean, without the newlines at its end) and its exit status."""

    output: str
    exit_status: int


class _Unheard(Exception):  # noqa: N818 - an outcome: what was typed is typed once more
    """What was typed did not begin."""


class Shell:
    """The session of one guest. Threads use it one after the other.

    ``connect`` opens its console (a new connection each time) and raises causes; ``probe`` looks at the VMI after a
    connection was lost. ``name`` is ``NAMESPACE/NAME`` of the VMI, for messages. ``patience`` is that of its logins.
    """

    def __init__(
        self,
        connect: Callable[[Deadline], ConsoleTransport],
        profile: LoginProfile,
        *,
        name: str,
        probe: Callable[[], ConsoleVmi | None] | None = None,
        patience: Patience = PATIENCE,
    ) -> None:
        self.name = name
        self.profile = profile
        #: The guest's directory of a background command that has been read to the end; the next one removes it.
        self.spent = ""
        self._connect = connect
        self._probe = probe
        self._patience = patience
        self._spawn = ConsoleSpawn(name)
        self._uid = ""
        self._has_session = False
        self._is_ready = False
        self._found: Terminal | None = None
        self._used_at = time.monotonic()
        self._typed = False
        self._was_unheard = False
        self._is_closed = False
        self._use = threading.Lock()

    @property
    def transcript(self) -> str:
        """All that the console printed, bounded."""
        return framing.untagged(self._spawn.transcript)

    @property
    def transcript_end(self) -> str:
        """The end of it, clean: for error messages."""
        return transcript_end(self._spawn)

    @property
    def is_open(self) -> bool:
        """Whether its console is connected."""
        return self._spawn.isalive()

    @property
    def is_in_use(self) -> bool:
        """Whether a command runs now, or something was typed on its console since the last one."""
        return self._use.locked() or self._spawn.is_dirty

    @property
    def console(self) -> ConsoleSpawn:
        """The pexpect spawn, open and logged in. What is typed there is cleaned up before the next ``run``."""
        if not (self._is_ready and self._spawn.isalive()):
            deadline = Deadline(math.inf, stop=self._spawn.stop)
            self._attempt(deadline, self._make_ready, is_rerunnable=True)
        return self._spawn

    def login(self, deadline: Deadline) -> None:
        """Log in, unless this is done. Raises ``GuestError``, or a cause of the console's."""
        self._spawn.stop = deadline.stop
        self._attempt(deadline, self._make_ready, is_rerunnable=True)

    def run(
        self,
        command: str,
        *,
        purpose: str = "a command",
        timeout_seconds: float = COMMAND_SECONDS,
        deadline: Deadline | None = None,
        stop: Stop | None = None,
        rerunnable: bool = True,
        may_leave_jobs: bool = False,
    ) -> CommandResult:
        """Run a shell command (several lines and any quoting are fine; its input is empty).

        ``purpose`` says in an error what was waited for ("the ping of 198.18.0.2"), in the place of shell code.
        ``cd``, variables and background jobs last until the next login. A command that was typed when the console was
        lost is run again, unless ``rerunnable`` is false. ``may_leave_jobs``: what the command starts may go on
        printing when it has ended. That is no part of any other command's output then; and the command has a pipe in
        place of the terminal. Raises ``GuestError`` when it does not end within ``timeout_seconds`` or the console is
        lost too often, ``ProvisionError`` when the VMI is gone, and as ``deadline.check`` does.
        """

        def once(one: Deadline) -> CommandResult:
            self._make_ready(one)
            return self._type_and_wait(
                command, purpose, timeout_seconds, one, is_rerunnable=rerunnable, is_tagged=may_leave_jobs
            )

        whole = deadline if deadline is not None else Deadline(math.inf, stop=stop)
        return self._attempt(whole, once, is_rerunnable=rerunnable)

    def doubt(self) -> None:
        """Have the session prove itself before its next use: its guest may have rebooted under an open console."""
        self._used_at = -math.inf

    def suspend(self) -> None:
        """Close the console of an idle guest; the next command opens it again."""
        self._spawn.detach()
        self._is_ready = False

    def close(self) -> None:
        """Close the console for good: a use that is under way, or comes yet, closes what it opens when it ends."""
        self._is_closed = True
        self.suspend()

    def leave(self, deadline: Deadline) -> None:
        """Close the console of a guest that stays, for people to use: the terminal as it was found, at a prompt.

        Never raises: a guest that cannot be reached now stays as it is.
        """
        self._spawn.stop = None
        with contextlib.suppress(KvLatencyError):
            if self._has_session:
                self._attempt(deadline, self._restore, is_rerunnable=True)
        self.close()

    def _attempt(
        self, deadline: Deadline, action: Callable[[Deadline], CommandResult], *, is_rerunnable: bool
    ) -> CommandResult:
        """Do ``action``, again after a lost connection, within bounds; when nobody else uses the session."""
        while not self._use.acquire(timeout=SLICE_SECONDS):
            deadline.check(f"another command on VMI {self.name}")
        # Of this use only: the next one of the console may outlive what this one was for.
        before, self._spawn.stop = self._spawn.stop, deadline.stop
        try:
            return self._attempt_alone(deadline, action, is_rerunnable=is_rerunnable)
        finally:
            self._spawn.stop = before
            if self._is_closed:
                self.suspend()
            self._use.release()

    def _attempt_alone(
        self, deadline: Deadline, action: Callable[[Deadline], CommandResult], *, is_rerunnable: bool
    ) -> CommandResult:
        losses, barren, pauses = 0, 0, iter(PAUSES)
        self._was_unheard = False
        while True:
            self._typed = False
            try:
                return action(deadline)
            except _Unheard:
                self._was_unheard = True
                self._is_ready = False
            except ConnectionLost as error:
                # One that never brought a byte is KubeVirt's answer while the serial port cannot be reached yet.
                losses += self._spawn.has_received
                barren += not self._spawn.has_received
                self.suspend()
                may_go_on = losses <= MAX_LOSSES and barren <= _MAX_BARREN
                self._raise_lost(
                    losses + barren, error, may_go_on=may_go_on, may_rerun=is_rerunnable or not self._typed
                )
                deadline.pause(next(pauses), f"the console of VMI {self.name} to come back")

    def _raise_lost(self, losses: int, error: ConnectionLost, *, may_go_on: bool, may_rerun: bool) -> None:
        """Raise the cause of a lost connection when there is one, or when it was lost too often."""
        if self._probe is not None:
            state = self._probe()
            check_alive(state, self.name, uid=self._uid)
            self._uid = self._uid or (state.uid if state else "")
        if may_go_on and may_rerun:
            return
        times = f"{losses} times" if losses > 1 else "once"
        consequence = "" if may_rerun else "; it is not safe to rerun the command that was running"
        raise GuestError(
            f"the console of VMI {self.name} was lost {times} while its guest runs: another client opened the console "
            f"(virtctl console, a web console), or something on the way drops the connection ({error}){consequence}",
            summary="the console of a guest was lost while it runs: another client opened it, or something on the way "
            "drops the connection",
            hint="close other consoles of this VMI while it is measured",
            transcript=self.transcript_end,
        ) from error

    def _make_ready(self, deadline: Deadline) -> CommandResult:
        """Connect, log in and resynchronise, as far as needed."""
        done = CommandResult(output="", exit_status=0)
        if self._is_ready and not self._spawn.is_dirty and self._spawn.isalive() and self._is_alive(deadline):
            return done
        if not self._spawn.isalive():
            self._spawn.attach(self._connect(deadline))
        self._is_ready = False
        dialogue = Login(self._spawn, self.profile, self.name, patience=self._patience)
        # A guest that was just heard boots no more.
        seconds = COMMAND_SECONDS if self._was_unheard else self.profile.login_seconds
        try:
            # In doubt a boot loader may stand there again.
            is_known = self._has_session and not math.isinf(self._used_at)
            dialogue.run(deadline.limit(seconds), known_session=is_known)
        finally:
            self._has_session = self._has_session or dialogue.has_seen_shell
        self._spawn.is_dirty = False
        self._is_ready = True
        self._used_at = time.monotonic()
        prepared = self._prepare(deadline)
        if dialogue.has_logged_in or self._found is None:
            self._found = Terminal.read(prepared.output)
        return prepared

    def _restore(self, deadline: Deadline) -> CommandResult:
        """Undo what was done to the terminal."""
        self._make_ready(deadline)
        command, purpose = (self._found or Terminal()).restoration, "the restoration of the terminal"
        result = self._type_and_wait(command, purpose, COMMAND_SECONDS, deadline, is_rerunnable=True)
        self._found, self._has_session = None, False
        return result

    def _prepare(self, deadline: Deadline) -> CommandResult:
        """Make the session quiet, and see that it runs commands at all. What it prints is for ``Terminal.read``."""
        command, purpose = preparation(self.profile.become_root), "the first command"
        result = self._type_and_wait(command, purpose, COMMAND_SECONDS, deadline, is_rerunnable=True)
        if result.exit_status == _NO_SUCH_COMMAND:
            # zsh runs no builtin by `command`, unless it is told to be a sh. Other shells fail once more.
            self._spawn.type_in(" emulate sh\n")
            result = self._type_and_wait(command, purpose, COMMAND_SECONDS, deadline, is_rerunnable=True)
        if result.exit_status == _NO_SUCH_COMMAND:
            raise GuestError(
                f"the login shell of VMI {self.name} does not run commands as sh does: {result.output[:200]}",
                summary="the login shell of a guest does not run commands as sh does",
                hint="use a guest image whose user has BusyBox sh, dash or bash as the login shell",
                transcript=self.transcript_end,
            )
        return result

    def _is_alive(self, deadline: Deadline) -> bool:
        """Whether an open connection still is one; raises ``ConnectionLost`` when it certainly is not."""
        while self._spawn.receive(0.0):
            pass
        if time.monotonic() - self._used_at < _IDLE_SECONDS:
            return True
        token, seen = framing.new_token(), ""
        self._spawn.type_in(framing.probe_line(token) + "\n")
        until = time.monotonic() + _PROOF_SECONDS
        while time.monotonic() < until:
            deadline.check(f"the console of VMI {self.name}")
            seen += self._spawn.receive(SLICE_SECONDS)
            if framing.probe_answer(token) in seen:
                return True
        self.suspend()
        return False

    def _type_and_wait(
        self,
        command: str,
        purpose: str,
        seconds: float,
        deadline: Deadline,
        *,
        is_rerunnable: bool,
        is_tagged: bool = False,
    ) -> CommandResult:
        token = framing.new_token()
        self._typed = not is_rerunnable
        # Until it has ended: whatever ends this wait, pytest-timeout for one, may leave it running.
        self._is_ready = False
        for line in framing.typed_lines(command, token, is_tagged=is_tagged):
            self._spawn.type_in(line + "\n")
        limit = deadline.limit(seconds)
        text = ""
        while True:
            self._check(purpose, seconds, limit, deadline)
            if (
                is_rerunnable
                and not self._was_unheard
                and limit.spent() >= _HEARD_SECONDS
                and not framing.has_begun(text, token)
            ):
                raise _Unheard
            more = self._spawn.receive(min(SLICE_SECONDS, limit.remaining()))
            if not more:
                continue
            searched = max(0, len(text) - 64)
            text += more
            framed = framing.find(text, token, start=searched)
            if framed is None:
                continue
            self._used_at = time.monotonic()
            self._is_ready = not framed.shell_ended
            self._has_session = self._has_session and self._is_ready
            if self._is_ready and is_tagged:
                self._spawn.type_in("\n")
            return CommandResult(output=framed.output.rstrip("\n"), exit_status=framed.exit_status)

    def _check(self, purpose: str, seconds: float, limit: Deadline, deadline: Deadline) -> None:
        """Raise when the time is over, and leave the shell to be resynchronised."""
        if not limit.expired() and not deadline.stop.is_set():
            return
        self._is_ready = False
        self._spawn.type_in("\x03")
        deadline.check(f"{purpose} on VMI {self.name}")
        raise GuestError(
            f"{purpose} did not end within {format_duration(round(seconds * 1e9))} on VMI {self.name}",
            summary="a command in a guest did not end in time",
            hint="give it more time, or check what it waits for",
            transcript=self.transcript_end,
            stage="run",
        )
