"""Logging in on a serial console, whatever stands there: boot messages, a torn prompt, a shell, a running command."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.console import framing
from pytest_kvlatency.errors import CheckupTimeoutError, GuestError, KvLatencyError
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from pytest_kvlatency.console.spawn import ConsoleSpawn
    from pytest_kvlatency.deadline import Deadline

SLICE_SECONDS: Final = 0.1
TRANSCRIPT_END: Final = 4000
_SETTLE_SECONDS: Final = 0.03
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0
_ANSWER_SECONDS: Final = 1.5
_INTERRUPT_SECONDS: Final = 4.0
_MAX_REFUSALS: Final = 3
_KEPT: Final = 4096
# One word at most before it: "Last failed login:" is a message, not a prompt.
_LOGIN: Final = re.compile(r"(?:(?!Last )\S+ )?login: ?\Z")
_PASSWORD: Final = re.compile(r"(?i)password(?: for [^:]+)?: ?\Z")
_PROMPT: Final = re.compile(r"[#$] ?\Z")
_REFUSED: Final = re.compile(
    r"(?i)login incorrect|authentication failure|account (?:has |is )?(?:expired|locked)"
)


@dataclass(frozen=True, kw_only=True)
class LoginProfile:
    """Who logs in. ``password`` None: none is asked for. ``become_root`` stands before a command that needs root."""

    user: str = "root"
    password: str | None = None
    become_root: str = ""
    login_seconds: float = 240.0


class Login:
    """One dialogue from whatever the console shows to a shell that answers.

    Only Enter is typed as long as nothing is known: it does no harm to a boot loader, an init script or a prompt.
    """

    def __init__(self, spawn: ConsoleSpawn, profile: LoginProfile, name: str) -> None:
        self._spawn = spawn
        self._profile = profile
        self._name = name
        self.has_seen_shell = False
        #: Whether it was asked for a user's name: what stood there before is over.
        self.has_logged_in = False
        self._seen = ""
        self._refusals = 0
        self._is_answering = False
        self._has_interrupted = False
        self._began_at = self._heard_at = self._typed_at = time.monotonic()
        self._pause = _FIRST_PAUSE

    def run(self, limit: Deadline, *, known_session: bool) -> None:
        """Return when a shell answers. ``known_session``: a shell was here before, so ^C can only hit its command.

        Raises ``GuestError`` when ``limit`` is over or the login is refused, ``CheckupTimeoutError`` when it is over
        because the whole checkup's time is, and the guest was on its way; ``ConnectionLost``, ``InterruptedRunError``.
        """
        self._refusals = 0
        self._is_answering = False
        # A command that was just starting may have missed the first ^C.
        interrupt_after = _FIRST_PAUSE if known_session else _INTERRUPT_SECONDS
        quiet_since, last_answer = time.monotonic(), ""
        if known_session:
            self._interrupt()
        self._type("\n")
        while True:
            self._listen(limit, SLICE_SECONDS)
            self._count_refusals()
            kind = self._prompt(limit)
            if kind == "login":
                self._type(self._profile.user + "\n")
                self._is_answering = self.has_logged_in = True
            elif kind == "password" and not self._is_answering:
                # Somebody else's, or for a name that was made of stray characters: back to the name.
                self._type("\n")
            elif kind == "password":
                self._type((self._profile.password or "") + "\n")
                if self._profile.password is None:
                    self._refuse("it asks for a password, and the profile has none")
            elif kind == "shell":
                self.has_seen_shell = True
                if self._obeys(limit):
                    return
                self._interrupt("\n")
            elif self._is_idle(self._pause) or (
                self._is_idle(_FIRST_PAUSE) and time.monotonic() - quiet_since >= interrupt_after
            ):
                if self._seen.strip() and self._seen.strip() != last_answer:
                    quiet_since, last_answer = time.monotonic(), self._seen.strip()
                if time.monotonic() - quiet_since >= interrupt_after:
                    # Enter brought nothing new for long: a command of an earlier session is likely running. During
                    # a boot ^C hits nobody, for what boots has no controlling terminal.
                    self._interrupt()
                    interrupt_after = _INTERRUPT_SECONDS
                    quiet_since = time.monotonic()
                    if self._obeys(limit):
                        return
                elif self._is_answering and self._pause > _FIRST_PAUSE and self._obeys(limit):
                    return
                self._pause = min(self._pause * 1.6, _LONGEST_PAUSE)
                self._type("\n")

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
        if self._seen != before:
            self._heard_at = time.monotonic()
        return self._seen != before

    def _prompt(self, limit: Deadline) -> str:
        """Which prompt stands at the end of what was seen; it must stand for a moment, for more may follow it."""
        kind = self._last_line()
        if kind and self._listen(limit, _SETTLE_SECONDS):
            return ""
        return kind

    def _last_line(self) -> str:
        line = framing.without_escapes(self._seen).replace("\r", "\n").rsplit("\n", 1)[-1]
        if not line or "__KV" in line:
            return ""
        if _LOGIN.fullmatch(line):
            return "login"
        if _PASSWORD.search(line):
            return "password"
        return "shell" if _PROMPT.search(line) else ""

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
            if self._last_line() in {"login", "password"}:
                return False
        return False

    def _interrupt(self, then: str = "") -> None:
        self._has_interrupted = True
        self._type("\x03" + then)

    def _type(self, text: str) -> None:
        self._spawn.type_in(text)
        self._typed_at = time.monotonic()
        self._seen = ""

    def _is_idle(self, seconds: float) -> bool:
        """Whether nothing came for so long; or nothing was typed for very long, because something always comes."""
        now = time.monotonic()
        return now - max(self._heard_at, self._typed_at) >= seconds or now - self._typed_at >= _LONGEST_PAUSE

    def _count_refusals(self) -> None:
        match = _REFUSED.search(self._seen)
        if match and self._is_answering:
            self._seen = self._seen[match.end() :]
            self._refuse(f'it says "{match[0]}"')

    def _refuse(self, why: str) -> None:
        self._is_answering = False
        self._refusals += 1
        if self._refusals >= _MAX_REFUSALS:
            raise GuestError(
                f"the guest of VMI {self._name} refuses the login of {self._profile.user!r}: {why}",
                hint="the guest profile must fit the image: --kv-guest, --kv-image",
                transcript=transcript_end(self._spawn),
            )

    def _late(self, limit: Deadline, error: CheckupTimeoutError) -> KvLatencyError:
        """The cause of a login that took too long.

        The guest's, when it printed nothing at all, or had all the time that a login gets. Otherwise the checkup's
        time was too short to tell.
        """
        # Less than the checkup's whole time, where the console opened late.
        waited = format_duration(round((time.monotonic() - self._began_at) * 10) * 100_000_000)
        text = transcript_end(self._spawn)
        if not text.strip():
            return GuestError(
                f"the guest of VMI {self._name} printed nothing on its console within {waited}",
                hint="the image may not boot, or has no console on ttyS0",
            )
        if limit.is_cut_short:
            return CheckupTimeoutError(
                f"{error.reason}: its guest was still booting, or offered no login",
                hint="the end of its console output says how far it came; a slow guest needs more time: "
                "--kv-timeout, or spec.timeout of the ConfigMap",
                transcript=text,
            )
        return GuestError(
            f"no login on the console of VMI {self._name} within {waited}",
            hint="the end of its console output says how far it came",
            transcript=text,
        )


def transcript_end(spawn: ConsoleSpawn) -> str:
    """Return the end of what the console printed, clean."""
    return framing.clean(framing.untagged(spawn.transcript))[-TRANSCRIPT_END:]
