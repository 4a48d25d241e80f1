"""The stages of one check, one after the other from the start of its process to its end. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: What the guests, the network and the cluster take: no time of ours.
OTHERS = ("boot", "login", "sample", "delete")
#: Our own, in the order of time, with what happens in them.
OWN = {
    "python": "Python and pytest are loaded",
    "plugins": "pytest's plugins are loaded, the command line is read",
    "collection": "the package is loaded, the options are read, the check is collected",
    "client": "the client is loaded, until its first request",
    "cluster": "the cluster, its nodes and the network are read, the engine is loaded",
    "address": "each guest's address is read and checked",
    "verdict": "the VMIs are read again, the limits are judged",
    "reports": "the reports are written",
    "exit": "pytest and Python end",
}


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What was observed, in seconds of the wall clock.

    ``clock`` are those of the plugin ``stage_clock``; ``timings`` those of the check's document, which are spans.
    ``requests`` has the verb and the time of each, in the order of time.
    """

    began: float
    ended: float
    clock: Mapping[str, float]
    timings: Mapping[str, float]
    requests: Sequence[tuple[str, float]]


def seconds_of(moments: Moments) -> dict[str, float]:
    """How long each stage took, in the order of time: together exactly as long as the process."""
    clock, timings = moments.clock, moments.timings
    created = next(at for verb, at in moments.requests if verb == "create")
    asked_to_go = next(at for verb, at in moments.requests if verb == "delete")
    ends = {
        "python": clock["pytest"],
        "plugins": clock["configure"],
        "collection": clock["setup"],
        "client": moments.requests[0][1],
        "cluster": created,
        "boot": clock["prompt"],
        "login": created + timings["running"] + timings["login"],
        "address": clock["measure"],
        "sample": clock["measure"] + timings["measure"],
        "verdict": asked_to_go,
        "delete": asked_to_go + timings["delete"],
        "reports": clock["end"],
        "exit": moments.ended,
    }
    seconds, before = {}, moments.began
    for name, end in ends.items():
        # Two clocks and roundings: a stage that took no time may seem to end before it began.
        seconds[name] = max(0.0, end - before)
        before = max(before, end)
    return seconds
