"""What a wrong word most likely stands for, for messages that ask "Did you mean …?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, choices: Iterable[str], *, most: int = 1) -> tuple[str, ...]:
    """Up to ``most`` of the choices that a word nearly is, or is a part of, the nearest first."""
    import difflib  # noqa: PLC0415 - needed only to word an error

    wanted = _plain(word)
    if not wanted:
        return ()
    known = {_plain(one): one for one in choices}
    close = difflib.get_close_matches(wanted, known, n=most)
    parts = [one for one in known if wanted in one.split("_")]
    return tuple(known[one] for one in dict.fromkeys((*close, *parts)))[:most]


def did_you_mean(word: str, choices: Iterable[str], *, most: int = 1) -> str:
    """``Did you mean a?`` or ``Did you mean a, b or c?``; empty where none is near."""
    found = nearest(word, choices, most=most)
    return f"Did you mean {either(found)}?" if found else ""


def guessed(wrong: str, guesses: Iterable[str], *, expected: str, also: str = "") -> str:
    """What is wrong; then the first guess, or else what is expected. All guesses are right, the likeliest first."""
    guess = next(iter(guesses), "")
    shown = repr(guess) if guess.endswith("?") else guess
    return f"{wrong}. Did you mean {shown}?{also}" if guess else f"{wrong}: expected {expected}"


def unknown_argument(call: str, name: str, known: Iterable[str]) -> str:
    """Word an argument that a call does not have: ``kv_ping has no argument 'size'. Did you mean packet_size?``."""
    names = sorted(known)
    guess = did_you_mean(name, names)
    return f"{call} has no argument {name!r}" + (f". {guess}" if guess else f": expected {either(names)}")


def either(names: Iterable[str]) -> str:
    """``a, b or c``."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _plain(word: str) -> str:
    return word.strip().lower().replace("-", "_")
