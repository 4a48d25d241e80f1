"""What the fixture ``kv_latency`` gives: one measurement's numbers, for a test's own assertions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from pytest_kvlatency.errors import NoValue
from pytest_kvlatency.ping.statistics import SAMPLES_NEEDED, statistics_of
from pytest_kvlatency.units import format_duration, to_ms

if TYPE_CHECKING:
    from pytest_kvlatency.model import Measurement, PingResult

# pytest leaves this module's frames out of the traceback of a test: the test's own line tells.
__tracebackhide__ = True
_LATENCIES: Final = ("min", "avg", "max", "p50", "p90", "p99", "stddev")
_NAMES: Final[tuple[str, ...]] = (
    *(f"{name}_{unit}" for name in _LATENCIES for unit in ("ns", "ms")),
    "transmitted",
    "received",
    "duplicates",
    "loss_percent",
    "duration_seconds",
    "samples_ns",
    "longest_gap_ns",
    "longest_gap_ms",
    "source_node",
    "target_node",
)


def in_milliseconds(name: str) -> float:
    """The twin of the property ``name``, which gives nanoseconds: to a type checker what it gives."""

    def milliseconds(numbers: object) -> float:
        return to_ms(getattr(numbers, name))

    return cast("float", property(milliseconds, doc=f"``{name}`` in milliseconds."))


class Latency:
    """The numbers of one measurement. A number that cannot be given raises ``NoValue``; ``get`` gives None then.

    ``…_ns`` are integers in nanoseconds, ``…_ms`` their twins as floats in milliseconds. The warm-up is no part.
    """

    #: What ``get`` knows.
    _names: tuple[str, ...] = _NAMES

    def __init__(self, measurement: Measurement) -> None:
        self._measurement = measurement
        self._statistics = statistics_of(measurement.result.samples_ns if measurement.result else ())

    @property
    def min_ns(self) -> int:
        """The shortest round-trip time."""
        return self._latency("min")

    @property
    def avg_ns(self) -> int:
        """The mean."""
        return self._latency("avg")

    @property
    def max_ns(self) -> int:
        """The longest round-trip time."""
        return self._latency("max")

    @property
    def p50_ns(self) -> int:
        """The median, by nearest rank."""
        return self._latency("p50")

    @property
    def p90_ns(self) -> int:
        """The 90th percentile, by nearest rank; needs 10 samples."""
        return self._latency("p90")

    @property
    def p99_ns(self) -> int:
        """The 99th percentile, by nearest rank; needs 100 samples."""
        return self._latency("p99")

    @property
    def stddev_ns(self) -> int:
        """The standard deviation of the sample (of a population)."""
        return self._latency("stddev")

    @property
    def transmitted(self) -> int:
        """Requests sent."""
        return self._result().transmitted

    @property
    def received(self) -> int:
        """Requests answered; duplicates do not count."""
        return self._result().received

    @property
    def duplicates(self) -> int:
        """Replies that came more than once."""
        return self._result().duplicates

    @property
    def loss_percent(self) -> float:
        """Requests without an answer, in percent, by the counters."""
        return self._result().loss_percent

    @property
    def duration_seconds(self) -> float:
        """How long the sample took by the tool's own clock."""
        return self._result().duration_seconds

    @property
    def samples_ns(self) -> tuple[int, ...]:
        """Every round-trip time, in the order in which the requests were sent."""
        return self._result().samples_ns

    @property
    def longest_gap_ns(self) -> int:
        """The longest time without a reply, right to the interval between two requests."""
        self._result()
        gaps = self._measurement.gaps
        if gaps is None or gaps.longest is None:
            raise NoValue("the longest gap needs two replies, and to know which requests were lost")
        return gaps.longest.length_ns

    min_ms = in_milliseconds("min_ns")
    avg_ms = in_milliseconds("avg_ns")
    max_ms = in_milliseconds("max_ns")
    p50_ms = in_milliseconds("p50_ns")
    p90_ms = in_milliseconds("p90_ns")
    p99_ms = in_milliseconds("p99_ns")
    stddev_ms = in_milliseconds("stddev_ns")
    longest_gap_ms = in_milliseconds("longest_gap_ns")

    @property
    def source_node(self) -> str:
        """The node on which the source really ran."""
        return self._node("source")

    @property
    def target_node(self) -> str:
        """The node on which the target really ran."""
        return self._node("target")

    def get(self, name: str) -> object:
        """Return the number ``name``, or None where it would raise ``NoValue``. ``AttributeError``: no such number."""
        if name not in self._names:
            raise AttributeError(
                f"{type(self).__name__!r} object has no number {name!r}: expected one of {', '.join(self._names)}"
            )
        try:
            value: object = getattr(self, name)
        except NoValue:
            return None
        return value

    def __repr__(self) -> str:
        where = f"{self._measurement.check.nad} {self.get('source_node')} -> {self.get('target_node')}"
        if self._measurement.result is None:
            return f"<Latency {where}: not measured>"
        parts = [f"{self.received}/{self.transmitted} received"]
        for name in ("min", "avg", "p99", "max"):
            value = self.get(f"{name}_ns")
            if isinstance(value, int):
                parts.append(f"{name} {format_duration(value)}")
        return f"<Latency {where}: {', '.join(parts)}>"

    def _result(self) -> PingResult:
        if self._measurement.result is None:
            why = "; ".join(failure.reason for failure in self._measurement.failures)
            raise NoValue("nothing was measured" + (f": {why}" if why else ""))
        return self._measurement.result

    def _latency(self, name: str) -> int:
        value: int | None = getattr(self._statistics, f"{name}_ns")
        if value is not None:
            return value
        result = self._result()
        if not result.samples_ns:
            raise NoValue(f"{name} needs replies, got none of {result.transmitted}")
        needed = SAMPLES_NEEDED[int(name.removeprefix("p"))]
        ping = self._measurement.check.ping
        duration_ns = needed * (self._measurement.interval_ns or ping.interval_ns)
        got = f"{name} needs {needed} samples, got {self._statistics.count}"
        if duration_ns <= ping.sample_duration_ns:
            raise NoValue(f"{got} of {result.transmitted} requests")
        raise NoValue(f"{got}: --kv-sample-duration {format_duration(duration_ns)}")

    def _node(self, side: str) -> str:
        guest = self._measurement.source if side == "source" else self._measurement.target
        if guest is None:
            raise NoValue(f"the {side} guest was never started")
        return guest.node
