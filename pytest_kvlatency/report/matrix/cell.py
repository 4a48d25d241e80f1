"""One cell of a matrix: what became of a pair, its mark and its words. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal

from pytest_kvlatency.escape import printable
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What became of a pair, the best first.
State = Literal["missing", "ok", "over", "loss", "error", "dead"]
STATES: Final[tuple[State, ...]] = ("missing", "ok", "over", "loss", "error", "dead")
#: One character for each state but ``ok``.
MARKS: Final[Mapping[State, str]] = {"over": "!", "loss": "L", "dead": "x", "error": "E", "missing": "-"}
WORST_MARK: Final = "*"
#: What each mark means, in the order of a legend.
MEANINGS: Final = {
    WORST_MARK: "the worst",
    "!": "over the limit",
    "L": "too much loss",
    "x": "no connectivity",
    "E": "error",
    "-": "not measured",
}
#: What is said of each state that is a failure.
WORDS: Final[Mapping[State, str]] = {
    "dead": "without connectivity",
    "loss": "with too much loss",
    "over": "over the limit",
    "error": "in error",
}
_REASON_CHARACTERS: Final = 200
#: What stands before a reason.
STAGE: Final = re.compile(r"(?:config|setup|run|teardown): ")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One pair. ``max_ns`` is its worst round-trip time, ``limit_ns`` the limit of that; None where there is none."""

    source: str
    target: str
    state: State
    max_ns: int | None = None
    limit_ns: int | None = None
    is_limited: bool = False
    kind: str | None = None
    reason: str = ""
    nodeid: str = ""
    attempt: int = 1
    #: None where nothing was sent.
    loss_percent: float | None = None

    @property
    def is_failed(self) -> bool:
        """Whether the pair has no numbers, or they are beyond a limit."""
        return self.state not in ("ok", "missing")

    @property
    def badness(self) -> tuple[int, int]:
        """Sorts the worst last: by what became of it, then by time."""
        return STATES.index(self.state), self.max_ns or 0

    @property
    def anchor(self) -> str:
        """What the HTML row of the item's attempt is called."""
        return anchor(self.nodeid, self.attempt)

    def touches(self, node: str) -> bool:
        """Whether the node is one of the two."""
        return node in (self.source, self.target)


def anchor(nodeid: str, attempt: int) -> str:
    """A name for the HTML row of one attempt at an item: of letters and digits, whatever the id holds."""
    digest = sha256(nodeid.encode("utf-8", "backslashreplace")).hexdigest()[:16]
    return f"kv-{digest}-{attempt}"


def milliseconds(nanoseconds: int) -> str:
    """Milliseconds as precise as is of use: about three digits, and never finer than a microsecond."""
    value = nanoseconds / 1e6
    digits = next((n for bound, n in ((0.0995, 3), (9.995, 2), (99.95, 1)) if value < bound), 0)
    return f"{value:.{digits}f}"


def described(cell: Cell) -> str:
    """A pair in words, for those who do not see the table."""
    parts = [] if cell.max_ns is None else [f"worst {format_duration(cell.max_ns)}"]
    if cell.loss_percent and cell.state != "dead":
        parts.append(f"{cell.loss_percent:.3g}% lost")
    if cell.limit_ns is not None:
        parts.append(f"limit {format_duration(cell.limit_ns)}")
    words = {"ok": "ok", "missing": "not measured", **WORDS}
    parts.append(words[cell.state])
    if cell.is_failed and cell.reason:
        parts.append(short(cell.reason))
    return f"{cell.source} → {cell.target}: {', '.join(parts)}"


def short(reason: str) -> str:
    """A reason on one line, without its stage."""
    text = printable(STAGE.sub("", reason, count=1))
    return text if len(text) <= _REASON_CHARACTERS else f"{text[: _REASON_CHARACTERS - 1]}…"
