"""The line that shows how far a run is, for as many columns as there are. Pure text.

What gives way where it does not fit stands in one table: ``STEPS``.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pytest_kvlatency.escape import printable
from pytest_kvlatency.report.matrix.cell import milliseconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.engine.steps import Wait

Part = Literal["round", "pair", "waiting", "worst", "left", "failed"]
#: What gives way, in this order, until the line fits. How many pairs are measured stays in any case. Numbers outlast
#: names, and what goes on now outlasts the worst so far; the name of what is waited for is shortened before it goes.
STEPS: Final[tuple[tuple[Part, Literal["goes", "is shortened"]], ...]] = (
    ("round", "goes"),
    ("pair", "goes"),
    ("waiting", "is shortened"),
    ("waiting", "goes"),
    ("worst", "goes"),
    ("left", "goes"),
    ("failed", "goes"),
)
_GAP: Final = "  "
_SHORTEST_NAME: Final = 8
_ARROW: Final = "→"
#: For terminals whose encoding has no such characters.
_PLAIN: Final = str.maketrans({"→": "->", "…": "~"})
_MINUTE: Final = 60
_HOUR: Final = 3600


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run stands.

    ``measured`` counts what the engine has measured, of ``total`` items, and ``failed`` those of them that fail.
    ``worst`` is the highest round-trip time so far, in nanoseconds, and the pair that had it. ``round`` is the first
    that is not over, and how many there are. ``seconds_left`` None: it cannot be said yet.
    """

    measured: int
    total: int
    failed: int = 0
    worst: tuple[int, str] | None = None
    round: tuple[int, int] | None = None
    seconds_left: float | None = None
    waiting: Sequence[Wait] = ()


@dataclass(frozen=True)
class Piece:
    """A part of a line, and the colour in which pytest's writer shows it; None is its usual one."""

    text: str
    colour: str | None = None


def progress_line(progress: Progress, width: int | None = None, *, is_plain: bool = False) -> list[Piece]:
    """The line for ``width`` columns; None: for as many as it takes. ``is_plain``: in ASCII."""
    gone: set[str] = set()
    name_width: int | None = None
    steps = iter(STEPS)
    while True:
        pieces = _pieces(progress, gone, name_width, is_plain=is_plain)
        excess = 0 if width is None else line_width(pieces) - width
        if excess <= 0:
            return pieces
        step = next(steps, None)
        if step is None:
            return [Piece(fitting(pieces[0].text, width or 0, is_plain=is_plain), pieces[0].colour)]
        part, how = step
        if how == "goes":
            gone.add(part)
        elif progress.waiting:
            name = text_width(_shown(_longest(progress.waiting).who, is_plain=is_plain))
            # A name that is short already stays whole: what it is part of gives way then.
            if name - excess >= _SHORTEST_NAME * len(_longest(progress.waiting).who.split(_ARROW)):
                name_width = name - excess


def words_line(text: str, width: int | None = None, *, is_plain: bool = False) -> list[Piece]:
    """Any other text as such a line."""
    said = _shown(text, is_plain=is_plain)
    return [Piece(said if width is None else fitting(said, width, is_plain=is_plain))]


def line_width(pieces: Sequence[Piece]) -> int:
    """How many columns the pieces of a line take."""
    return sum(text_width(piece.text) for piece in pieces)


def text_width(text: str) -> int:
    """How many columns a text takes on a terminal; it holds no control characters."""
    return sum(map(_columns, text))


def fitting(text: str, width: int, *, is_plain: bool = False) -> str:
    """``text`` without its middle, so that it takes ``width`` columns at most: names differ at both of their ends."""
    if text_width(text) <= width:
        return text
    mark = "~" if is_plain else "…"
    tail = ""
    for character in reversed(text):
        if text_width(tail) + _columns(character) > max(0, width - 1) // 2:
            break
        tail = character + tail
    head = ""
    for character in text:
        if text_width(head) + _columns(character) > width - 1 - text_width(tail):
            break
        head += character
    return (head + mark + tail)[: max(0, width)]


def span(seconds: float) -> str:
    """A time that goes on, as a person says it: ``8 s``, ``3 min``, ``1 h 20 min``."""
    whole = int(seconds)
    if whole < 2 * _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def about(seconds: float) -> str:
    """A time that is estimated, no more exactly than an estimate is: ``~7 s``, ``~25 s``, ``~4 min``."""
    whole = round(seconds)
    if whole > 10:
        whole = 5 * round(seconds / 5)
    if whole > 90:
        whole = _MINUTE * round(seconds / _MINUTE)
    return f"~{span(max(1, whole))}"


def _pieces(progress: Progress, gone: set[str], name_width: int | None, *, is_plain: bool) -> list[Piece]:
    said = [Piece(f"{progress.measured}/{progress.total}")]
    if progress.failed and "failed" not in gone:
        said.append(Piece(f"{progress.failed} failed", "red"))
    if progress.worst is not None and "worst" not in gone:
        latency, pair = progress.worst
        name = "" if "pair" in gone else f" {_shown(pair, is_plain=is_plain)}"
        said.append(Piece(f"worst {milliseconds(latency)} ms{name}"))
    if progress.round is not None and "round" not in gone:
        said.append(Piece("round {}/{}".format(*progress.round)))
    if progress.seconds_left is not None and "left" not in gone:
        said.append(Piece(f"{about(progress.seconds_left)} left"))
    if progress.waiting and "waiting" not in gone:
        said.append(Piece(_waiting(progress.waiting, name_width, is_plain=is_plain)))
    gaps = [Piece(_GAP)] * len(said)
    return [piece for pair in zip(gaps, said, strict=True) for piece in pair][1:]


def _waiting(waiting: Sequence[Wait], name_width: int | None, *, is_plain: bool) -> str:
    """What is waited for, and since when; of several the longest, and how many others there are."""
    longest = _longest(waiting)
    who = _shown(longest.who, is_plain=is_plain)
    if name_width is not None:
        who = _named(longest.who, name_width, is_plain=is_plain)
    others = len({one.who for one in waiting}) - 1
    more = f", +{others}" if others else ""
    since = f" {span(longest.seconds)}" if longest.seconds >= 1 else ""
    return f"waiting: {who} {_shown(longest.phase, is_plain=is_plain)}{since}{more}"


def _named(who: str, width: int, *, is_plain: bool) -> str:
    """A node, or a pair of whose nodes each keeps its share."""
    arrow = _shown(_ARROW, is_plain=is_plain)
    names = [_shown(one, is_plain=is_plain) for one in who.split(_ARROW)]
    left = width - text_width(arrow) * (len(names) - 1)
    found = []
    for place, name in enumerate(names):
        # What the first one does not need the second one has.
        others = sum(map(text_width, names[place + 1 :]))
        share = max(left // (len(names) - place), left - others)
        found.append(fitting(name, share, is_plain=is_plain))
        left -= text_width(found[-1])
    return arrow.join(found)


def _longest(waiting: Sequence[Wait]) -> Wait:
    return max(waiting, key=lambda one: one.seconds)


def _shown(text: str, *, is_plain: bool) -> str:
    said = printable(text).replace("\t", " ")
    return said.translate(_PLAIN).encode("ascii", "backslashreplace").decode("ascii") if is_plain else said


def _columns(character: str) -> int:
    """As a terminal counts: combining and formatting characters take no column, wide ones two."""
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"F", "W"} else 1
