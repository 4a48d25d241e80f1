"""What the end of a console's output asks for, and what it says of a login. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

from pytest_kvlatency.console import framing

if TYPE_CHECKING:
    Prompt = Literal["", "login", "password", "question", "shell"]

# One word at most before it: "Last failed login:" is a message, not a prompt.
_LOGIN: Final = re.compile(r"(?:(?!Last )\S+ )?login: ?\Z")
_PASSWORD: Final = re.compile(r"(?i)password(?: for [^:]+)?: ?\Z")
# A colon of any script: in another language the prompt for the password ends in one all the same.
_QUESTION: Final = re.compile(r"(?!Last )\S[^:\uff1a]*[:\uff1a] ?\Z")
# Not a bar of progress.
_SHELL: Final = re.compile(r"(?!#+\Z).*[#$] ?\Z")
_REFUSED: Final = re.compile(
    r"(?i)login incorrect|authentication failure|account (?:has |is )?(?:expired|locked)"
)
# login(1) of shadow and util-linux, PAM's pam_unix, and BusyBox's `passwd`, which they start.
_CHANGE: Final = re.compile(
    r"(?i)you are required to change your password|your password has expired|password change required"
    r"|(?:\(current\) unix|current|old|new) password: ?\Z|changing password for"
)
_SET_UP: Final = re.compile(r"(?i)cloud-init\b.*\bfinished\b")


def prompt_at_end(text: str) -> Prompt:
    """Which prompt ``text`` ends in. ``question``: something that ends in a colon, in whatever language."""
    line = last_line(text)
    if not line or framing.MARK in line:
        return ""
    if _LOGIN.fullmatch(line):
        return "login"
    if _PASSWORD.search(line):
        return "password"
    if _SHELL.match(line):
        return "shell"
    return "question" if _QUESTION.fullmatch(line) else ""


def last_line(text: str) -> str:
    """The line that the cursor is on, without terminal sequences."""
    return framing.without_escapes(text).replace("\r", "\n").rsplit("\n", 1)[-1]


def refusal(text: str) -> re.Match[str] | None:
    """Where ``text`` says that a login was refused."""
    return _REFUSED.search(text)


def demand_for_a_new_password(text: str) -> str:
    """The line of ``text`` that asks for a new password before anybody may go on; empty if none does."""
    lines = framing.clean(text).split("\n")
    return next((line.strip() for line in lines if _CHANGE.search(line)), "")


def is_an_echo(text: str) -> bool:
    """Whether ``text``, all that came since Enter was typed, is no more than that Enter."""
    plain = framing.without_escapes(text)
    return "\n" in plain and not plain.strip()


def is_set_up(text: str) -> bool:
    """Whether cloud-init says in ``text`` that it is done, so that passwords are set."""
    return bool(_SET_UP.search(text))
