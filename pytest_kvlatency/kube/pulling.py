"""A pull of an image that fails, as the VMI's object, or a pod, shows it from one look to the next. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_kvlatency.kube.state import VmiState

#: kubelet tries again after 10 s, 20 s, 40 s, …; in between it says that it backs off.
FAILED: Final = "ErrImagePull"
BACKED_OFF: Final = "ImagePullBackOff"
TRIES: Final = 3
#: By then kubelet has tried three times, whether that was seen or not.
LASTS: Final = 60.0
# What registries and container runtimes say when another try gets the same answer.
_HOPELESS: Final = re.compile(
    r"not found|unauthorized|manifest unknown|access (to the resource )?(is )?denied|authentication required|"
    r"no basic auth credentials|invalid reference|does not exist|name unknown|403 Forbidden",
    re.IGNORECASE,
)
# Kubernetes 1.31 and later repeat the last failure.
_BACK_OFF: Final = re.compile(
    r'Back-off pulling image "[^"]*"(?:: ErrImagePull)?(?:: )?(?P<words>.*)', re.DOTALL
)


@dataclass(frozen=True, kw_only=True)
class Pull:
    """How far it is: ``reason`` is the present one, ``tries`` how many failures were seen at least.

    ``words`` are those of the last failure; empty when only the back-off was seen.
    """

    reason: str
    tries: int
    words: str = ""

    @property
    def lasts(self) -> float:
        """Seconds that it must last to be the cause: none once three tries, or the registry's words, settle it."""
        return 0.0 if self.tries >= TRIES or _HOPELESS.search(self.words) else LASTS

    @property
    def last_words(self) -> str:
        """The end of what the registry said; what comes before it repeats the reference, up to three times."""
        return self.words.rpartition(": ")[2] or self.reason

    def __str__(self) -> str:
        words = self.words or "the registry's answer is unknown"
        tried = f", tried {self.tries} times" if self.tries > 1 else ""
        return f"{words} ({self.reason}{tried})"


def pull_after(before: Pull | None, state: VmiState | None) -> Pull | None:
    """Add what a VMI's state shows to what was known ``before``; None where no pull fails."""
    condition = None if state is None else state.denied("Synchronized")
    return None if condition is None else pull_of(before, condition.reason, condition.message)


def pull_of(before: Pull | None, reason: str, message: str) -> Pull | None:
    """As ``pull_after``, by why a container waits."""
    if reason not in (FAILED, BACKED_OFF):
        return None
    words, tries = (before.words, before.tries) if before is not None else ("", 1)
    if reason == FAILED:
        words = message or words
        tries += before is not None and before.reason != FAILED
    else:
        told = _BACK_OFF.fullmatch(message)
        words = (message if told is None else told["words"]) or words
    return Pull(reason=reason, tries=tries, words=words)
