"""How many consoles are open at once: a large matrix has more guests than an API server likes connections."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kvlatency.console.shell import Shell
    from pytest_kvlatency.deadline import Deadline

MAX_OPEN: Final = 100


class Consoles:
    """Lends consoles. While there are no more guests than may be open, each stays open between its uses."""

    def __init__(self, *, guests: int, limit: int = MAX_OPEN) -> None:
        self._stay_open = guests <= limit
        self._free = limit
        self._changed = threading.Condition()

    @contextmanager
    def using(self, shell: Shell, deadline: Deadline) -> Iterator[None]:
        """Use the console of ``shell`` inside, as soon as one may be open. Raises as ``Deadline.check`` does."""
        if self._stay_open:
            yield
            return
        with self._changed:
            while not self._free:
                deadline.check("a console to be free")
                self._changed.wait(min(0.2, deadline.remaining()))
            self._free -= 1
        try:
            yield
        finally:
            shell.suspend()
            with self._changed:
                self._free += 1
                self._changed.notify()
