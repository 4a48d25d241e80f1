"""A VMI on its way: what is certain to keep it from running, as early as that is known."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.errors import ProvisionError
from pytest_kvlatency.kube import evidence
from pytest_kvlatency.kube.diagnosis import Trouble, stuck, trouble, warnings_of
from pytest_kvlatency.kube.podlook import PodNews
from pytest_kvlatency.kube.pulling import pull_after

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.deadline import Stop
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.pulling import Pull
    from pytest_kvlatency.kube.state import VmiHandle, VmiState

# Seconds for a look at the events when the run's own time is over.
_LAST_LOOK: Final = 3.0


class VmiProgress:
    """One VMI on its way: its latest state, since when it is in its phase, and since when in which trouble."""

    def __init__(self, handle: VmiHandle) -> None:
        self.handle = handle
        self.state: VmiState | None = None
        self.phase_since = time.monotonic()
        self.pull: Pull | None = None
        self._trouble: Trouble | None = None
        self._trouble_since = 0.0
        self._pod_news = PodNews()
        self._pod_trouble_since = 0.0

    def see(self, state: VmiState | None) -> bool:
        """Take a new state; return whether phase or node changed. Raises ``ProvisionError`` on a certain cause."""
        now = time.monotonic()
        before = self.state
        self.pull = pull_after(self.pull, state)
        found = trouble(self.handle, state, self.pull)
        if found is None or self._trouble is None or found.key != self._trouble.key:
            self._trouble_since = now
        self._trouble = found
        self.state = state
        changed = state is not None and (
            before is None or before.phase != state.phase or before.node != state.node
        )
        if changed:
            self.phase_since = now
        self.judge()
        return changed

    @property
    def awaits_pod(self) -> bool:
        """Whether its pod is on its way, and may suffer from what the VMI's object does not show."""
        if self.state is None or self.state.deleting or self.state.phase != "Scheduling":
            return False
        return self._trouble is None or (self.pull is not None and not self.pull.words)

    @property
    def is_pod_suspect(self) -> bool:
        """Whether its pod has shown something lately that another look may make the cause."""
        found = self._pod_news.trouble
        lasts = 0.0 if found is None or found.lasts is None else found.lasts
        return time.monotonic() - self._pod_trouble_since < 2 * lasts

    @property
    def pod_state(self) -> str:
        """What a container of its pod waits for, in words; empty when none does as far as was seen."""
        found = self._pod_news.trouble
        return "" if found is None or self._pod_news.occurrence else found.reason

    def learn(self, news: PodNews) -> None:
        """Take what its pod shows. Raises ``ProvisionError`` once that has lasted long enough to be the cause."""
        now, before = time.monotonic(), self._pod_news
        self._pod_news = news
        if self.pull is not None and not self.pull.words and news.pull_words:
            self.pull = replace(self.pull, words=news.pull_words)
            self._trouble = trouble(self.handle, self.state, self.pull)
            self.judge()
        found = news.trouble
        if found is None:
            return
        if before.trouble is None or before.trouble.key != found.key:
            self._pod_trouble_since = now
        elif news.occurrence and news.occurrence == before.occurrence:
            # It has not happened again: it may be over.
            return
        _raise_lasting(found, now - self._pod_trouble_since)

    def judge(self) -> None:
        """Raise ``ProvisionError`` when the trouble has lasted long enough to be the cause."""
        if self._trouble is not None:
            _raise_lasting(self._trouble, time.monotonic() - self._trouble_since)

    @property
    def summary(self) -> str:
        """Why it does not run yet, as far as that is known, in words that name no VMI."""
        if self._trouble is not None:
            return self._trouble.summary
        phase = "" if self.state is None else self.state.phase
        return f"a VMI stayed {phase}" if phase else "a VMI did not start"

    @property
    def hint(self) -> str:
        """What to do about that; empty where it is not known."""
        return "" if self._trouble is None else self._trouble.hint

    @property
    def is_local(self) -> bool:
        """Whether it may come from the VMI's node that it does not run yet."""
        return self._trouble is None or self._trouble.is_local

    @property
    def due(self) -> float | None:
        """Seconds until the present trouble becomes the cause; None when there is none."""
        found = self._trouble
        if found is None or found.lasts is None:
            return None
        return max(0.0, found.lasts - (time.monotonic() - self._trouble_since))


def _raise_lasting(found: Trouble, lasted: float) -> None:
    if found.lasts is not None and lasted >= found.lasts:
        told = f" (for {lasted:.0f} s)" if found.lasts else ""
        raise ProvisionError(
            f"{found.reason}{told}",
            hint=found.hint,
            summary=found.summary,
            node=found.node,
            is_local=found.is_local,
        )


def explain_late(client: KubeClient, late: Sequence[VmiProgress], stop: Stop) -> list[str]:
    """Say of each where it stands now that its time is over, with its pod's warnings where these may be read.

    Takes at most 3 s for all of them.
    """
    look = Deadline(_LAST_LOOK, stop=stop)
    events = {
        namespace: evidence.events_in(client, namespace, look)
        for namespace in dict.fromkeys(one.handle.namespace for one in late)
    }
    texts = []
    for one in late:
        found = events[one.handle.namespace]
        warnings = None if found is None else warnings_of(found, one.handle)
        text = stuck(one.handle, one.state, time.monotonic() - one.phase_since, warnings, one.pull)
        texts.append("; ".join(filter(None, (text, one.pod_state))))
    return texts
