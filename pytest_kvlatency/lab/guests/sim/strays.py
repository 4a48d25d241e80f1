"""The fault stray-line: what ping did not print stands in the output of a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_kvlatency.lab.spec.labspec import FaultSpec

DEFAULT: Final = "64 bytes from 8.8.8.8: seq=1 ttl=64 time=888.888 ms"


class StrayLines:
    """Gives the lines of each sample, ``times`` samples long (without: always). Without a fault there are none."""

    def __init__(self, fault: FaultSpec | None = None) -> None:
        self._fault = fault
        self._struck = 0

    def next_sample(self, count: int) -> StrayLine:
        """The line of a ping that sends ``count`` requests; one alone is no sample."""
        fault = self._fault
        if fault is None or count < 2 or (fault.times is not None and self._struck >= fault.times):
            return StrayLine("")
        self._struck += 1
        line = str(fault.parameters.get("line", DEFAULT))
        return StrayLine(line, instead=int(fault.parameters.get("instead", 0)))


class StrayLine:
    """One line: in place of the reply number ``instead``, else after the first one, or at the end at the latest."""

    def __init__(self, line: str, *, instead: int = 0) -> None:
        self._line = line
        self._instead = instead
        self._replies = 0

    def around(self, reply: str, address: str) -> list[str]:
        """What is printed for ``reply``: that, with the stray line where its place is."""
        self._replies += 1
        if not self._line or self._replies != (self._instead or 1):
            return [reply]
        time = reply.partition("time=")[2].partition(" ")[0]
        stray = self.at_the_end(address)[0].replace("TIME", time)
        return [stray] if self._instead else [reply, stray]

    def at_the_end(self, address: str) -> list[str]:
        """The line if it has not been printed."""
        line, self._line = self._line, ""
        return [line.replace("ADDRESS", address)] if line else []
