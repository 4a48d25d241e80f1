"""What the engine does for a guest or a check, in words: for the progress line, and for what ends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pytest_kvlatency.errors import Stage
    from pytest_kvlatency.plan.checks import VmiKey


class Say(Protocol):
    """Says how far something is. ``during`` completes a sentence: "interrupted by SIGTERM while …".

    ``phase`` is for the progress line: a word or two in place of ``how_far``.
    """

    def __call__(self, how_far: str, *, during: str = "", phase: str = "") -> None:
        """Show it; without ``during`` the sentence stays as it was."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """``how_far`` says where it stands; ``stage`` and ``during`` are for the reason of what ends there.

    ``who`` is whom the progress line names, in ``phase`` since ``since``, by the monotonic clock.
    """

    stage: Stage
    during: str
    how_far: str = ""
    who: str = ""
    phase: str = ""
    since: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Wait:
    """What is waited for, as the progress line says it: a node, or a pair of them, and for how long in which phase."""

    who: str
    phase: str
    seconds: float


def guest_place(key: VmiKey) -> str:
    """Where a guest is to be, for the progress line: its node; of an ``auto`` pair its part."""
    return f"{key.slot} guest" if key.node is None else key.node


def pair_place(source: str | None, target: str | None) -> str:
    """Where a measurement is made, for the progress line: ``worker1→worker2``; ``auto`` while that is not known."""
    return f"{source}→{target}" if source and target else "auto"


def guest_words(key: VmiKey) -> str:
    """A guest as people call it: ``worker1's guest``; of an ``auto`` pair, whose nodes are not known, by its part."""
    if key.node is None:
        return f"the {key.slot} guest"
    return f"{key.node}'s {'second ' if key.slot == 'twin' else ''}guest"
