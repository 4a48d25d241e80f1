"""How many consoles are open at once: a large matrix has more guests than an API server likes connections."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.shortage import at_once
from pytest_kvlatency.threads import Slots

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kvlatency.console.shell import Shell
    from pytest_kvlatency.deadline import Deadline

MAX_OPEN: Final = 100


def most_open() -> int:
    """How many consoles this process may have open at once: fewer where the limit on open files is low."""
    return at_once(MAX_OPEN)


class Consoles:
    """Lends consoles. While there are no more guests than may be open, each stays open between its uses."""

    def __init__(self, *, guests: int, limit: int | None = None) -> None:
        limit = most_open() if limit is None else limit
        self._stay_open = guests <= limit
        self._slots = Slots(limit)

    @contextmanager
    def using(self, shell: Shell, deadline: Deadline) -> Iterator[None]:
        """Use the console of ``shell`` inside, as soon as one may be open. Raises as ``Deadline.check`` does."""
        if self._stay_open:
            yield
            return
        with self._slots.taken(deadline, "a console to be free"):
            try:
                yield
            finally:
                shell.suspend()
