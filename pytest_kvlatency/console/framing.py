"""How a command is put on the console's line, and found again in what comes back. Pure.

The typed line holds the marker in two pieces, so that its echo, wrapped or not, never reads as the marker. Start and
end markers are printed twice: a kernel message that tears one leaves the other whole.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK: Final = "__KV"
# A terminal's line holds 4095 bytes, BusyBox's line editor 1023.
_PIECE: Final = 500
_PLAIN: Final = re.compile(rb"[A-Za-z0-9 _./:;,=+@#$^&*()\[\]{}<>|?~\"-]")
_ESCAPES: Final = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|\Z)"
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\|\Z)"
    r"|\x1b\[[0-?]*[ -/]*(?:[@-~]|\Z)"
    r"|\x1b[ -/]*(?:[0-~]|\Z)"
)


@dataclass(frozen=True, kw_only=True)
class Framed:
    """What stood between the markers. ``shell_ended``: the command ended the login shell itself."""

    output: str
    exit_status: int
    shell_ended: bool


def new_token() -> str:
    """Eight random characters, new for each command: nothing older can be taken for its end."""
    return secrets.token_hex(4)


def quote(command: str) -> str:
    """``command`` as a printf format in single quotes: printable, on one line, whatever the command holds."""
    return "'" + "".join(_escaped(command)) + "'"


def typed_lines(command: str, token: str) -> list[str]:
    """Return the lines to type, each short enough for a terminal.

    The command runs in the session's own shell (``cd`` and variables stay) with no input; ``command eval`` keeps a
    syntax error from ending the line, and the trap reports a command that ends the shell.
    """
    pieces = _pieces(command)
    lines = []
    if len(pieces) == 1:
        source = f"'{pieces[0]}'"
    else:
        lines = [f" __kv='{pieces[0]}'", *(f" __kv=$__kv'{piece}'" for piece in pieces[1:])]
        source = '"$__kv"'
    lines.append(
        f" trap 'printf \"\\n%s%s X %s\\n\" {MARK} {token} $?' 0;"
        f" printf '\\n%s%s S\\n%s%s S\\n' {MARK} {token} {MARK} {token};"
        f' command eval " $(printf {source})" </dev/null;'
        f" printf '\\n%s%s E %s\\n%s%s E %s\\n' {MARK} {token} $? {MARK} {token} $?; trap - 0"
    )
    return lines


def probe_line(token: str) -> str:
    """Return a line that makes any shell print ``probe_answer``."""
    return f" printf '\\n%s%s P\\n' {MARK} {token}"


def probe_answer(token: str) -> str:
    """Return what a shell prints for ``probe_line``, and its echo never holds."""
    return f"{MARK}{token} P"


def has_begun(text: str, token: str) -> bool:
    """Whether the command's start marker is in ``text``."""
    return f"{MARK}{token} S" in text


def find(text: str, token: str, *, start: int = 0) -> Framed | None:
    """The command's frame in ``text``; the end marker is looked for from ``start`` on. None: not there yet."""
    end = re.compile(rf"{MARK}{token} ([EX]) ([0-9]{{1,3}})\r*\n").search(text, start)
    if end is None:
        return None
    begin = 0
    for match in re.finditer(rf"{MARK}{token} S\r*\n", text[: end.start()]):
        begin = match.end()
    return Framed(
        output=clean(text[begin : end.start()]).removesuffix("\n"),
        exit_status=int(end[2]),
        shell_ended=end[1] == "X",
    )


def clean(text: str) -> str:
    """``text`` without terminal sequences and other control characters; line ends are newlines."""
    text = _ESCAPES.sub("", text)
    text = re.sub(r"\r+\n", "\n", text).replace("\r", "\n")
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "", text)


def without_escapes(text: str) -> str:
    """``text`` without terminal sequences."""
    return _ESCAPES.sub("", text)


def _escaped(command: str) -> Iterator[str]:
    for index, byte in enumerate(command.encode("utf-8", "surrogateescape")):
        one = bytes((byte,))
        # printf takes a format that begins with a dash for an option.
        is_plain = _PLAIN.fullmatch(one) and (index or one != b"-")
        yield one.decode("ascii") if is_plain else f"\\{byte:03o}"


def _pieces(command: str) -> list[str]:
    """The escaped command in pieces that fit their lines; no escape is cut in two."""
    pieces: list[str] = []
    piece: list[str] = []
    length = 0
    for unit in _escaped(command):
        if length + len(unit) > _PIECE:
            pieces.append("".join(piece))
            piece, length = [], 0
        piece.append(unit)
        length += len(unit)
    pieces.append("".join(piece))
    return pieces
