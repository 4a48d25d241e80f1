"""Replies by the requests that they answer. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from pytest_kvlatency.ping.lines import Reply, Time


@dataclass(frozen=True, kw_only=True)
class Replies:
    """Replies by their requests, counted from 0: the first one of each, and those that came again."""

    first: Mapping[int, Reply]
    again: tuple[tuple[int, Reply], ...]

    @classmethod
    def of(cls, numbered: Iterable[tuple[int, Reply]]) -> Replies:
        """Enter replies with their requests, in the order in which they were printed."""
        first: dict[int, Reply] = {}
        again: list[tuple[int, Reply]] = []
        for index, reply in numbered:
            if reply.is_duplicate or index in first:
                again.append((index, reply))
            else:
                first[index] = reply
        return cls(first=first, again=tuple(again))

    def without(self, others: Collection[Reply]) -> Replies:
        """The same without some of the replies; what came again stays so."""
        return self._those(lambda _, reply: reply not in others)

    def cut(self, count: int) -> Replies:
        """The replies to the first ``count`` requests."""
        return self._those(lambda index, _: index < count)

    def _those(self, stays: Callable[[int, Reply], bool]) -> Replies:
        return Replies(
            first={index: reply for index, reply in self.first.items() if stays(index, reply)},
            again=tuple(one for one in self.again if stays(*one)),
        )

    @property
    def times(self) -> list[Time]:
        """The times that first replies have."""
        return [reply.time for reply in self.first.values() if reply.time is not None]

    @property
    def times_again(self) -> list[Time]:
        """The times that the others have."""
        return [reply.time for _, reply in self.again if reply.time is not None]
