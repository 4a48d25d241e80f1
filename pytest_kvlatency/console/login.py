"""Logging in on a serial console, whatever stands there: boot messages, a torn prompt, a shell, a running command."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.console import framing, prompts
from pytest_kvlatency.deadline import Backoff, Deadline
from pytest_kvlatency.errors import CheckupTimeoutError, GuestError, KvLatencyError
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from pytest_kvlatency.console.spawn import ConsoleSpawn

SLICE_SECONDS: Final = 0.1
TRANSCRIPT_END: Final = 4000
_SETTLE_SECONDS: Final = 0.03
_PAUSES: Final = Backoff(first=0.5, longest=5.0, factor=1.6)
_RETRIES: Final = Backoff(first=2.0, longest=20.0)
_ANSWER_SECONDS: Final = 1.5
_MAX_REFUSALS: Final = 3
_KEPT: Final = 4096
# An echo comes at once, but a machine may be slow.
_ECHO_SECONDS: Final = 1.0
# Twice: what a boot loader prints by chance at that moment is taken for an echo once at most.
_ECHOES: Final = 2
# A message may end in a colon too, and go on.
_QUESTION_SECONDS: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class LoginProfile:
    """Who logs in. ``password`` None: none is asked for. ``become_root`` stands before a command that needs root."""

    user: str = "root"
    password: str | None = None
    become_root: str = ""
    login_seconds: float = 240.0


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long the dialogue waits for a guest. Times are seconds.

    ``pauses`` lie between two presses of Enter, ``retries`` between a refused login and the next: PAM punishes a
    refusal with 2 s, and some images lock an account after several.
    After ``interrupt_seconds`` without anything new a command of an earlier session is taken to be running, and
    interrupted.
    """

    pauses: Backoff = _PAUSES
    retries: Backoff = _RETRIES
    interrupt_seconds: float = 4.0


PATIENCE: Final = Patience()


class Login:
    """One dialogue from whatever the console shows to a shell that answers.

    Only Enter is typed until the guest has printed something that tells what it is: a login prompt, a shell's prompt
    twice, or the echo of Enter twice. Enter does no harm to a boot loader; anything else may stop the boot.
    """

    def __init__(
        self, spawn: ConsoleSpawn, profile: LoginProfile, name: str, *, patience: Patience = PATIENCE
    ) -> None:
        self._spawn = spawn
        self._patience = patience
        self._profile = profile
        self._name = name
        self.has_seen_shell = False
        #: Whether it was asked for a user's name: what stood there before is over.
        self.has_logged_in = False
        self._seen = ""
        self._is_known = False
        self._echoes = 0
        self._echo_is_due = False
        self._suspected = ""
        self._is_answering = False
        self._has_sent_password = False
        self._refusals = 0
        self._refusals_since_set_up = 0
        self._is_set_up = False
        self._refused_because = ""
        self._retry_at = 0.0
        self._has_interrupted = False
        self._began_at = self._heard_at = self._typed_at = time.monotonic()
        self._pause = self._patience.pauses.first

    def run(self, limit: Deadline, *, known_session: bool) -> None:
        """Return when a shell answers. ``known_session``: a shell was here before, so ^C can only hit its command.

        Raises ``GuestError`` when ``limit`` is over, the login is refused for good or a new password is demanded,
        ``CheckupTimeoutError`` when it is over because the whole checkup's time is, and the guest was on its way;
        ``ConnectionLost``, ``InterruptedRunError``.
        """
        self._is_known = known_session
        # A command that was just starting may have missed the first ^C.
        interrupt_after = self._patience.pauses.first if known_session else self._patience.interrupt_seconds
        quiet_since, last_answer = time.monotonic(), ""
        if known_session:
            self._interrupt()
        self._press_enter()
        while True:
            self._listen(limit, SLICE_SECONDS)
            self._read_between_prompts()
            kind = self._prompt(limit)
            if kind == "login":
                self._answer_login()
            elif kind == "password" and not self._is_answering:
                # Somebody else's, or for a name that was made of stray characters: back to the name.
                self._press_enter()
            elif kind == "password":
                self._send_password()
            elif kind == "question" and self._is_answering and self._profile.password is not None:
                if self._is_idle(_QUESTION_SECONDS):
                    self._answer_question()
            elif kind == "shell" and self._is_really_a_shell():
                self.has_seen_shell = True
                if self._obeys(limit):
                    return
                self._interrupt("\n")
            elif kind == "shell":
                self._press_enter()
            elif self._is_idle(self._pause) or (
                self._is_idle(self._patience.pauses.first)
                and time.monotonic() - quiet_since >= interrupt_after
            ):
                if self._seen.strip() and self._seen.strip() != last_answer:
                    quiet_since, last_answer = time.monotonic(), self._seen.strip()
                if self._is_known and time.monotonic() - quiet_since >= interrupt_after:
                    # Enter brought nothing new for long: a command of an earlier session is likely running. During
                    # a boot ^C hits nobody, for what boots has no controlling terminal.
                    self._interrupt()
                    interrupt_after = self._patience.interrupt_seconds
                    quiet_since = time.monotonic()
                    if self._obeys(limit):
                        return
                elif self._is_answering and self._pause > self._patience.pauses.first and self._obeys(limit):
                    return
                self._pause = self._patience.pauses.after(self._pause)
                self._press_enter()

    # --- what the prompts ask for

    def _answer_login(self) -> None:
        """Type the user's name, unless it is too early to be refused again."""
        if self._has_sent_password:
            # In whatever language it was refused.
            self._refuse("it asks for the user again")
        if time.monotonic() >= self._retry_at:
            self._type(self._profile.user + "\n")
            self._is_answering = self.has_logged_in = self._is_known = True

    def _answer_question(self) -> None:
        """Take it for the prompt for the password, once."""
        if not self._has_sent_password:
            self._send_password()
            return
        self._refuse(f'it keeps asking "{prompts.last_line(self._seen).strip()}"')
        self._press_enter()

    def _send_password(self) -> None:
        if self._has_sent_password:
            self._refuse("it asks for the password again")
            self._press_enter()
            return
        self._type((self._profile.password or "") + "\n")
        self._has_sent_password = True
        if self._profile.password is None:
            self._refuse("it asks for a password, and the profile has none")

    def _is_really_a_shell(self) -> bool:
        """Whether a line that reads like a shell's prompt is one: a boot loader's progress may end in # too."""
        line = prompts.last_line(self._seen)
        self._is_known = self._is_known or line == self._suspected
        self._suspected = line
        return self._is_known

    def _read_between_prompts(self) -> None:
        """See what the guest says of the login."""
        self._is_set_up = self._is_set_up or prompts.is_set_up(self._seen)
        if not self._is_answering:
            return
        if demand := prompts.demand_for_a_new_password(self._seen):
            raise GuestError(
                f"the guest of VMI {self._name} requires a new password for {self._profile.user!r} at the first "
                f'login: it says "{demand}"',
                summary=f"a guest requires a new password for {self._profile.user!r} at the first login",
                hint="a password that cloud-init sets expires at once, unless the user_data of the guest profile "
                "contains chpasswd: {expire: false}",
                transcript=transcript_end(self._spawn),
            )
        if match := prompts.refusal(self._seen):
            self._seen = self._seen[match.end() :]
            self._refuse(f'it says "{match[0]}"')

    def _refuse(self, why: str) -> None:
        """Count a refusal. A password may be set only later, by cloud-init: so it is tried again until that is done."""
        self._is_answering = self._has_sent_password = False
        self._refused_because = why
        self._refusals += 1
        self._refusals_since_set_up += self._is_set_up
        is_final = self._profile.password is None or self._refusals_since_set_up >= _MAX_REFUSALS - 1
        if is_final and self._refusals >= _MAX_REFUSALS:
            raise self._refused()
        if self._profile.password is not None:
            self._retry_at = time.monotonic() + self._patience.retries.nth(self._refusals - 1)

    def _refused(self) -> GuestError:
        return GuestError(
            f"the guest of VMI {self._name} refuses the login of {self._profile.user!r}: {self._refused_because} "
            f"({self._refusals} times within {self._waited()})",
            summary=f"a guest refuses the login of {self._profile.user!r}",
            hint="use a guest profile that matches the image: --kv-guest, --kv-image",
            transcript=transcript_end(self._spawn),
        )

    # --- the console

    def _listen(self, limit: Deadline, seconds: float) -> bool:
        """Whether something came."""
        try:
            limit.check(f"the login on VMI {self._name}")
        except CheckupTimeoutError as error:
            raise self._late(limit, error) from None
        text = self._spawn.receive(min(seconds, limit.remaining()))
        before = self._seen
        # What a job of an earlier command prints says nothing of who reads the terminal.
        self._seen = framing.without_tagged(before + text)[-_KEPT:]
        if self._seen == before:
            return False
        self._heard_at = time.monotonic()
        if self._echo_is_due and prompts.is_an_echo(self._seen):
            self._echo_is_due = False
            self._echoes += self._heard_at - self._typed_at <= _ECHO_SECONDS
            self._is_known = self._is_known or self._echoes >= _ECHOES
        return True

    def _prompt(self, limit: Deadline) -> str:
        """Which prompt stands at the end of what was seen; it must stand for a moment, for more may follow it."""
        kind = prompts.prompt_at_end(self._seen)
        if kind and self._listen(limit, _SETTLE_SECONDS):
            return ""
        return kind

    def _obeys(self, limit: Deadline) -> bool:
        """Whether a shell answers, and goes on answering.

        bash that is interrupted between the fork and the exec of a command prompts again, answers one line, and then
        waits for that command, which missed the interrupt.
        """
        return self._answers(limit) and (not self._has_interrupted or self._answers(limit))

    def _answers(self, limit: Deadline) -> bool:
        """Whether a shell answers. False as soon as a login prompt shows, or when nothing came for a moment."""
        token = framing.new_token()
        self._type(framing.probe_line(token) + "\n")
        until = time.monotonic() + _ANSWER_SECONDS
        while time.monotonic() < until:
            self._listen(limit, SLICE_SECONDS)
            if framing.probe_answer(token) in self._seen:
                return True
            if prompts.prompt_at_end(self._seen) in {"login", "password"}:
                return False
        return False

    def _interrupt(self, then: str = "") -> None:
        self._has_interrupted = True
        self._type("\x03" + then)

    def _press_enter(self) -> None:
        self._type("\n")
        self._echo_is_due = True

    def _type(self, text: str) -> None:
        self._spawn.type_in(text)
        self._typed_at = time.monotonic()
        self._seen = ""
        self._echo_is_due = False

    def _is_idle(self, seconds: float) -> bool:
        """Whether nothing came for so long; or nothing was typed for very long, because something always comes."""
        now = time.monotonic()
        return (
            now - max(self._heard_at, self._typed_at) >= seconds
            or now - self._typed_at >= self._patience.pauses.longest
        )

    def _waited(self) -> str:
        """How long it took so far. Less than the checkup's whole time, where the console opened late."""
        return format_duration(round((time.monotonic() - self._began_at) * 10) * 100_000_000)

    def _late(self, limit: Deadline, error: CheckupTimeoutError) -> KvLatencyError:
        """The cause of a login that took too long.

        The guest's, when it refused the login several times, printed nothing at all, or had all the time that a login
        gets. Otherwise the checkup's time was too short to tell.
        """
        if self._refusals >= _MAX_REFUSALS or (self._refusals and not limit.is_cut_short):
            return self._refused()
        waited = self._waited()
        text = transcript_end(self._spawn)
        if not text.strip():
            return GuestError(
                f"the guest of VMI {self._name} printed nothing on its console within {waited}",
                summary="a guest printed nothing on its console",
                hint="the image may not boot, or has no console on ttyS0",
            )
        state = "is still booting, or offers no login"
        if self._refusals:
            state = f"has refused the login of {self._profile.user!r} so far: {self._refused_because}"
        if limit.is_cut_short:
            return CheckupTimeoutError(
                f"{error.reason}: its guest {state}",
                summary=f"the time was over: a guest {state}",
                hint="the end of its console output shows how far it got; a slow guest needs more time: "
                "--kv-timeout, or spec.timeout of the ConfigMap",
                transcript=text,
            )
        return GuestError(
            f"no login on the console of VMI {self._name} within {waited}",
            summary="a guest offers no login on its console",
            hint="the end of its console output shows how far it got",
            transcript=text,
        )


def transcript_end(spawn: ConsoleSpawn) -> str:
    """Return the end of what the console printed, clean."""
    return framing.clean(framing.untagged(spawn.transcript))[-TRANSCRIPT_END:]
