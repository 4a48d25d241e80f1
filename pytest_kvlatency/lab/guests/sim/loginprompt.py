"""getty and login: from the prompt to a user who is in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

_WRONG_PASSWORD_SECONDS = 2.0


class Accepted(Protocol):
    """What is called when the user is in."""

    def __call__(self, typed_ahead: bytes, /, *, sends_returns: bool) -> None:
        """Start the shell. ``sends_returns``: the user's name ended in a carriage return, as Enter does it."""


class LoginPrompt:
    """Reads what is typed at the prompt. ``passwords`` maps each user to a password ("": none is asked).

    ``is_expired``: after the right one another must be chosen, which never succeeds.
    """

    def __init__(
        self,
        *,
        hostname: str,
        passwords: dict[str, str],
        emit: Callable[[str], None],
        later: Callable[[float, Callable[[], None]], None],
        accepted: Accepted,
        password_prompt: str = "Password: ",  # noqa: S107 - the words before it
        is_expired: bool = False,
    ) -> None:
        self._hostname = hostname
        self._passwords = passwords
        self._emit = emit
        self._later = later
        self._accepted = accepted
        self._line = bytearray()
        self._user: str | None = None
        self._waiting = False
        self._sends_returns = True
        self._password_prompt = password_prompt
        self._is_expired = is_expired
        self._is_changing = False

    def set_passwords(self, passwords: dict[str, str]) -> None:
        """From now on these are right."""
        self._passwords = passwords

    @property
    def prompt(self) -> str:
        """The prompt that getty prints."""
        return f"{self._hostname} login: "

    def feed(self, data: bytes) -> None:
        """Take what is typed; what follows the line that lets the user in is the shell's."""
        for position, byte in enumerate(data):
            if self._waiting:
                # login(1) throws away what is typed while it punishes a wrong password.
                return
            if byte in b"\r\n":
                line = self._line.decode(errors="replace").strip()
                self._line.clear()
                self._emit("\r\n")
                if self._user is None:
                    self._sends_returns = byte == 13
                if self._entered(line):
                    rest = data[position + 1 :]
                    rest = rest[1:] if byte == 13 and rest[:1] == b"\n" else rest
                    self._accepted(rest, sends_returns=self._sends_returns)
                    return
            elif byte in {0x03, 0x04, 0x1C}:
                self._line.clear()
                self._user, self._is_changing = None, False
                self._emit("\r\n" + self.prompt)
            elif byte in {0x08, 0x7F}:
                if self._line:
                    self._line.pop()
                    self._emit("" if self._user is not None else "\b \b")
            elif byte == 0x15:
                self._line.clear()
            elif byte >= 0x20:
                self._line.append(byte)
                if self._user is None:
                    self._emit(chr(byte))

    def _entered(self, line: str) -> bool:
        if self._user is None:
            if not line:
                self._emit(self.prompt)
                return False
            if self._passwords.get(line) == "":
                return True
            self._user = line
            self._emit(self._password_prompt)
            return False
        if self._is_changing:
            self._emit("Current password: ")
            return False
        user, self._user = self._user, None
        if line and self._passwords.get(user) == line:
            if self._is_expired:
                self._user, self._is_changing = user, True
                self._emit(
                    "You are required to change your password immediately (administrator enforced).\r\n"
                    "Current password: "
                )
            return not self._is_expired
        self._waiting = True
        self._later(_WRONG_PASSWORD_SECONDS, self._refuse)
        return False

    def _refuse(self) -> None:
        self._waiting = False
        self._emit("\r\nLogin incorrect\r\n" + self.prompt)
