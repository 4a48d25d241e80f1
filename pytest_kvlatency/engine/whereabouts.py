"""Where guests are: also one that is still on its way when the other guest of its pair is lost."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pytest_kvlatency.plan.checks import vmi_keys

if TYPE_CHECKING:
    from pytest_kvlatency.model import Check
    from pytest_kvlatency.plan.checks import VmiKey


class Whereabouts:
    """The node on which each guest was last seen, whether it is up, lost or on its way. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nodes: dict[VmiKey, str] = {}

    def forget(self, key: VmiKey) -> None:
        """A guest is brought up anew: it may come to another node."""
        with self._lock:
            self._nodes.pop(key, None)

    def see(self, key: VmiKey, node: str | None) -> None:
        """A guest was seen on a node; None or empty: it has none yet, which takes nothing back."""
        if node:
            with self._lock:
                self._nodes[key] = node

    def of(self, check: Check) -> tuple[str, str]:
        """The nodes of a check's source and target; each is empty while the guest was not seen on any."""
        with self._lock:
            source, target = (self._nodes.get(key, "") for key in vmi_keys(check))
        return source, target
