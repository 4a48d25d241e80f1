"""Who may use which guest now. A measurement, or a test with ``kv_pair``, owns both its guests at once."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    from pytest_kvlatency.deadline import Deadline

Key = TypeVar("Key", bound="Hashable")


class Ownership(Generic[Key]):
    """All-or-nothing locks over keys, so that two owners of overlapping pairs cannot block each other for ever."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._owned: set[Key] = set()

    def acquire(self, keys: Iterable[Key], deadline: Deadline) -> None:
        """Own all of ``keys`` as soon as all are free. Raises as ``Deadline.check`` does."""
        wanted = set(keys)
        with self._condition:
            while wanted & self._owned:
                deadline.check("the guests to be free")
                self._condition.wait(min(0.2, deadline.remaining()))
            self._owned |= wanted

    def release(self, keys: Iterable[Key]) -> None:
        """Give ``keys`` back."""
        with self._condition:
            self._owned -= set(keys)
            self._condition.notify_all()

    @contextmanager
    def owning(self, keys: Iterable[Key], deadline: Deadline) -> Iterator[None]:
        """Own ``keys`` inside."""
        held = tuple(keys)
        self.acquire(held, deadline)
        try:
            yield
        finally:
            self.release(held)
