"""Prometheus's text format, version 0.0.4: families of samples to text. Pure.

There are no timestamps: the textfile collector of node_exporter refuses them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pytest_kvlatency.escape import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Type = Literal["gauge", "summary"]
Labels = tuple[tuple[str, str], ...]


@dataclass(kw_only=True)
class Family:
    """A metric with its samples. ``add`` raises ``ValueError`` for a second one with the same labels: a mistake."""

    name: str
    help: str
    type: Type = "gauge"
    _samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def add(self, labels: Mapping[str, str | None], value: float | None, *, suffix: str = "") -> None:
        """Add a sample, unless there is no ``value``: absent is absent, never 0. A label of None is left out."""
        if value is None:
            return
        key = (suffix, tuple((name, printable(text)) for name, text in labels.items() if text))
        if key in self._samples:
            raise ValueError(f"two samples of {self.name}{suffix} with the same labels: {dict(key[1])}")
        self._samples[key] = value

    def lines(self) -> Iterator[str]:
        """The family in the text format; nothing of one without samples."""
        if not self._samples:
            return
        yield f"# HELP {self.name} {_escaped(self.help)}"
        yield f"# TYPE {self.name} {self.type}"
        for (suffix, labels), value in self._samples.items():
            quoted = [(name, _escaped(text).replace('"', r"\"")) for name, text in labels]
            shown = ",".join(f'{name}="{text}"' for name, text in quoted)
            yield f"{self.name}{suffix}{f'{{{shown}}}' if shown else ''} {_number(value)}"


def text_of(families: Iterable[Family]) -> str:
    """The text of all families, in order."""
    return "".join(f"{line}\n" for family in families for line in family.lines())


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float) -> str:
    """A number that reads back as the same one: ``0.00024``, ``1714564800``, ``1``."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))
