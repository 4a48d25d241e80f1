"""How a command is put on the console's line, and found again in what comes back. Pure.

The typed line holds the marker in two pieces, so that its echo, wrapped or not, never reads as the marker. Start and
end markers are printed twice: a kernel message that tears one leaves the other whole.

What a command leaves in the background goes on printing while later commands run. So the output of a command that may
do so is tagged line by line with the token of that command, and stays so for as long as anything of it prints: it is
taken out of every other command's output.
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
_TAG: Final = re.compile(rf"{MARK}[0-9a-f]+\||\|{MARK}[0-9a-f]+")
_TAGGED: Final = re.compile(rf"{MARK}([0-9a-f]+)\|(.*?)\|{MARK}\1\r*\n", re.DOTALL)
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


def typed_lines(command: str, token: str, *, is_tagged: bool = False) -> list[str]:
    """Return the lines to type, each short enough for a terminal.

    The command runs in the session's own shell (``cd`` and variables stay) with no input; ``command eval`` keeps a
    syntax error from ending the line, and the trap reports a command that ends the shell. ``is_tagged``: its output,
    and that of the jobs which it leaves behind, goes through a pipe that tags each line with ``token``, where the
    guest has what that takes. The shell then waits for a line before it prompts, for the tagger may not be done.
    """
    pieces = _pieces(command)
    lines = []
    if len(pieces) == 1:
        source = f"'{pieces[0]}'"
    else:
        lines = [f" __kv='{pieces[0]}'", *(f" __kv=$__kv'{piece}'" for piece in pieces[1:])]
        source = '"$__kv"'
    begin = f" printf '\\n%s%s S\\n%s%s S\\n' {MARK} {token} {MARK} {token};"
    run = f' command eval " $(printf {source})" </dev/null'
    end = f" printf '\\n%s%s E %s\\n%s%s E %s\\n' {MARK} {token} $? {MARK} {token} $?"
    ended = f'printf "\\n%s%s X %s\\n" {MARK} {token}'
    # What asks for the next login discards what the terminal has not sent yet: setting its modes waits for that.
    sent = 'stty "$(stty -g </dev/tty)" </dev/tty'
    if not is_tagged:
        lines.append(f" trap '{ended} $?; {sent} 2>/dev/null' 0;{begin}{run};{end}; trap - 0")
        return lines
    # Some shells end within the command's redirections. A tagger that takes no more has printed everything.
    drain = f'trap "" PIPE TTOU; while [ -p /proc/self/fd/9 ] && echo; do :; done; {sent}'
    last = f"__kv=$?; [ -p /proc/self/fd/9 ] || exec 9>&1; {{ {ended} $__kv; {drain}; }} >&9 2>/dev/null"
    return [
        *lines,
        _tagging(token),
        f" trap '{last}' 0;{begin}{run} >&9 2>&1 9>&-;{end} >&9; trap - 0; exec 9>&-; read -r __kv",
    ]


def _tagging(token: str) -> str:
    """Return the line that starts the tagger, and opens the pipe to it as descriptor 9.

    The tagger is no job of the session, and what ends or stops others on the terminal leaves it alone. It ends when
    nothing has the pipe open for writing any more, or with the end of the login shell, so that this can wait until
    everything before has been printed.
    """
    pipe = f"/tmp/.kv-{token}"  # noqa: S108 - in the guest, which is ours
    mark = f"{MARK}{token}"
    tag = f"sed -e 's/^/{mark}|/' -e 's/$/|{mark}/' -e '/^{mark}|{mark} X /q'"
    return (
        f" if command -v sed && mkfifo -m 600 {pipe}; then"
        f" (trap '' HUP INT QUIT TTOU; {tag} <{pipe} >&3 3>&- 9>&- &); exec 9>{pipe}; rm -f {pipe};"
        " else exec 9>&3; fi 3>&1 >/dev/null 2>&1"
    )


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
    end = re.compile(rf"{MARK}{token} ([EX]) ([0-9]{{1,3}})(?:\|{MARK}{token})?\r*\n").search(text, start)
    if end is None:
        return None
    begin = 0
    for match in re.finditer(rf"{MARK}{token} S\r*\n", text[: end.start()]):
        begin = match.end()
    return Framed(
        output=clean(_own(text[begin : end.start()], token)).removesuffix("\n"),
        exit_status=int(end[2]),
        shell_ended=end[1] == "X",
    )


def clean(text: str) -> str:
    """``text`` without terminal sequences and other control characters; line ends are newlines."""
    text = _ESCAPES.sub("", text)
    text = re.sub(r"\r+\n", "\n", text).replace("\r", "\n")
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "", text)


def without_tagged(text: str) -> str:
    """``text`` without the lines that are tagged as some command's."""
    return _TAGGED.sub("", text)


def untagged(text: str) -> str:
    """``text`` as the guest's programs printed it: without the tags around their lines."""
    return _TAG.sub("", text)


def without_escapes(text: str) -> str:
    """``text`` without terminal sequences."""
    return _ESCAPES.sub("", text)


def _own(text: str, token: str) -> str:
    """Return what a command printed, without its tags and without the lines that are tagged as another's."""
    mark = f"{MARK}{token}"
    if f"{mark}|" in text:
        # The last line holds the end marker, so that its tag is open.
        others, _, last = text.rpartition(f"{mark}|")
        own = "".join(f"{one[2]}\n" for one in _TAGGED.finditer(others) if one[1] == token)
        if token not in without_tagged(others):
            return own + last
        # A kernel message has torn a tag: better too much than too little.
    return untagged(_TAGGED.sub(lambda one: f"{one[2]}\n" if one[1] == token else "", text))


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
