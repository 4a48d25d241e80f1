"""Untrusted text made harmless and short: for terminals, HTML, XML and files; and secrets taken out."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

REDACTED: Final = "[redacted]"
#: Characters that are kept of a text in many lines, such as a ping's output: its beginning, and rather more of its end.
TEXT_HEAD: Final = 4_000
TEXT_TAIL: Final = 12_000
#: Characters that are kept of one line, such as a reason.
LINE_HEAD: Final = 3_000
LINE_TAIL: Final = 1_000
#: A shorter "secret" would tear ordinary words apart.
_SHORTEST_SECRET: Final = 6
# C0, DEL and C1 controls; bidirectional overrides and isolates, which reorder what is read; line separators.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
# What XML 1.0 does not allow even as a character reference (section 2.2, production Char).
_NO_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def shortened(text: str) -> str:
    """A line of which only so much is left as a reader can use; what was in the middle is counted."""
    return _without_middle(text, LINE_HEAD, LINE_TAIL, " ")


def excerpt(text: str) -> str:
    """As ``shortened``, of a text in many lines."""
    return _without_middle(text, TEXT_HEAD, TEXT_TAIL, "\n")


def printable(text: str) -> str:
    """One line in which no character commands a terminal: each control is shown as its escape, in hexadecimal.

    The middle of a very long one is left out.
    """
    return _UNPRINTABLE.sub(_escape, shortened(text))


def printable_lines(text: str) -> str:
    """As ``printable``, line by line; the middle of a very long text is left out."""
    return harmless(excerpt(text))


def harmless(text: str) -> str:
    """The whole text, with each control shown as its escape; a line's own end (LF or CRLF) stays a line feed."""
    return "\n".join(_UNPRINTABLE.sub(_escape, line.removesuffix("\r")) for line in text.split("\n"))


def for_html(text: str) -> str:
    """Text for HTML, between tags or in a quoted attribute; controls are shown as their escapes."""
    return html.escape(harmless(text), quote=True)


def for_xml(text: str) -> str:
    """Text that XML 1.0 can hold: what it cannot is shown as its escape. Mark-up is left to the XML writer."""
    return _NO_XML.sub(_escape, text)


def _without_middle(text: str, head: int, tail: int, separator: str) -> str:
    cut = len(text) - head - tail
    if cut <= 0:
        return text
    return f"{text[:head]}{separator}[{cut} characters cut]{separator}{text[-tail:]}"


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class Redactor:
    """Takes the cluster's credentials out of text, wherever they stand. What the guest says of its own is left."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {secret.strip() for secret in secrets}
        ordered = sorted((one for one in known if len(one) >= _SHORTEST_SECRET), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __bool__(self) -> bool:
        """Whether any secret is known."""
        return self._pattern is not None

    def __call__(self, text: str) -> str:
        """Return ``text`` with every secret replaced."""
        return text if self._pattern is None else self._pattern.sub(REDACTED, text)

    def mapping(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """As ``data``, for a document."""
        return {self(str(key)): self.data(item) for key, item in value.items()}

    def data(self, value: object) -> object:
        """Return plain data (of a document) with every secret replaced in every text, keys included."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {self(str(key)): self.data(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.data(item) for item in value]
        return value
