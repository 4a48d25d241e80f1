"""Where values come from: one ``Layer`` per source, and the ``Source`` that each value keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

SourceKind = Literal["marker", "command line", "ConfigMap", "ini", "hook", "environment", "default"]
#: Which source wins: the first that gives a value.
PRECEDENCE: Final[tuple[SourceKind, ...]] = (
    "marker", "command line", "ConfigMap", "ini", "hook", "environment", "default",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where one value came from.

    ``name`` is the option as it is spelled there (``--kv-nad``, ``kv_nad``, ``spec.param.nodes``, ``nad``), ``detail``
    the place: an ini file's name, ``ConfigMap default/x``, ``kvlatency marker of test_x.py::test_y``.
    """

    kind: SourceKind
    name: str
    detail: str = ""

    @property
    def place(self) -> str:
        """The place in a few words: ``command line``, ``pytest.ini``, ``ConfigMap default/x``."""
        return self.detail or self.kind

    @property
    def origin(self) -> str:
        """The place as it follows "from" in a message."""
        if self.kind == "command line":
            return "the command line"
        if self.kind == "ini":
            return f"{self.name} in {self.place}"
        return self.place if self.kind == "ConfigMap" else f"the {self.place}"

    @property
    def label(self) -> str:
        """How a message about one value begins: the option's name there; for an ini file, the option itself."""
        return "--" + self.name.replace("_", "-") if self.kind == "ini" else self.name

    def __str__(self) -> str:
        return f"{self.name} ({self.place})"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong, in one line, and the sources of the values that take part in it."""

    text: str
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What one source says: raw values by option name; an option it does not mention is left to the next source.

    A raw value is text, a list of texts for a repeatable option, or a bool for a switch; markers and hooks may give
    numbers too. ``names`` has the spelling of an option where it is not the source's usual one. ``problems`` were
    found while reading the source: ``resolve`` raises them together with its own.
    """

    kind: SourceKind
    values: Mapping[str, object]
    detail: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
