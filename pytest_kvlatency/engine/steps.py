"""What the engine does for a guest or a check, in words: for the progress line, and for what ends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pytest_kvlatency.errors import Stage
    from pytest_kvlatency.plan.checks import VmiKey


class Say(Protocol):
    """Says how far something is. ``during`` completes a sentence: "interrupted by SIGTERM while …"."""

    def __call__(self, how_far: str, *, during: str = "") -> None:
        """Show it; without ``during`` the sentence stays as it was."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """``how_far`` is for the progress line; ``stage`` and ``during`` for the reason of what ends there."""

    stage: Stage
    during: str
    how_far: str = ""


def guest_words(key: VmiKey) -> str:
    """A guest as people call it: ``worker1's guest``; of an ``auto`` pair, whose nodes are not known, by its part."""
    if key.node is None:
        return f"the {key.slot} guest"
    return f"{key.node}'s {'second ' if key.slot == 'twin' else ''}guest"
