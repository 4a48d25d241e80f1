"""The VMIs of workers that ended without deleting them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kvlatency.engine.leftovers import Leftovers
from pytest_kvlatency.kube.vmi import Vmis

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.state import VmiHandle


class Orphans:
    """Known by name and uid only: nothing is listed, so the Role of every other run suffices. Thread-safe."""

    def __init__(self, client: KubeClient) -> None:
        self._vmis = Vmis(client)
        self._leftovers = Leftovers(self._vmis)

    def adopt(self, handles: Iterable[VmiHandle]) -> None:
        """Take care of these from now on."""
        for handle in handles:
            self._vmis.adopt(handle)

    def delete_now(self, deadline: Deadline) -> None:
        """Ask for their deletion; others may follow."""
        self._leftovers.delete(self._leftovers.outstanding, deadline)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left."""
        return self._leftovers.is_clean

    @property
    def left_over(self) -> str:
        """The VMIs that are not known to be gone, in words."""
        return self._leftovers.words

    def delete_all(self, deadline: Deadline) -> None:
        """Ask for every deletion at once."""
        self._leftovers.close(deadline)

    def wait_gone(self, deadline: Deadline) -> None:
        """Wait until all is gone. Raises ``TeardownError``."""
        self._leftovers.wait_gone(deadline)

    def shut_down(self) -> None:
        """Nothing is open."""
