"""What is measured for an item: what its set-up needs, and what its fixtures and its body ask for."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NoReturn

import pytest

from pytest_kvlatency.checkup.attempt import ATTEMPT_KEY
from pytest_kvlatency.checkup.collection import NO_NAD
from pytest_kvlatency.checkup.hooks import judgements
from pytest_kvlatency.checkup.testitem import CHECK_KEY, is_kv_item
from pytest_kvlatency.config.nearest import unknown_argument
from pytest_kvlatency.config.problems import SettingsError
from pytest_kvlatency.errors import HIDDEN, ConfigError, KvLatencyError
from pytest_kvlatency.model import Limits
from pytest_kvlatency.ping.latency import Latency
from pytest_kvlatency.report.junit.properties import item_properties
from pytest_kvlatency.report.numbers import numbers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from pytest_kvlatency.checkup.attempt import ItemAttempt
    from pytest_kvlatency.checkup.collection import Collection
    from pytest_kvlatency.checkup.measuring_session import MeasuringSession
    from pytest_kvlatency.checkup.pair import Pair, Ping
    from pytest_kvlatency.checkup.planning import Planning
    from pytest_kvlatency.checkup.streaming import StreamedLatency, Streams
    from pytest_kvlatency.engine.attempts import Attempt
    from pytest_kvlatency.model import Check, Failure, Measurement, PingParameters
    from pytest_kvlatency.ping.livemigration import LiveMigration

NO_LIMITS: Final = Limits(max_loss_percent=None)
STREAM_OPTIONS: Final = frozenset({"interval", "packet_size", "dont_fragment"})
#: It lasts as long as its block: no interval is too long for a sample that it does not have.
STREAM_VALUES: Final = {"sample_duration": "1h", "timeout": "none"}
PING_OPTIONS: Final = frozenset({"sample_duration", "interval", "packet_size", "dont_fragment", "warmup"})
#: The names of an item's JUnit properties that are ours.
PROPERTIES_KEY = pytest.StashKey["frozenset[str]"]()
__tracebackhide__ = HIDDEN


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """Measures for items. An item has one measurement by its set-up, and a new one each time that its body asks."""

    measuring: MeasuringSession
    planning: Planning
    collection: Collection

    def check_of(self, item: pytest.Item) -> Check:
        """The item's check; skips the item when there is no network to check.

        Raises ``ConfigError`` when there is one, and the item never said that it needs it.
        """
        check = item.stash.get(CHECK_KEY, None)
        if check is None:
            if not is_kv_item(item) and self.planning.settings().nad:
                raise ConfigError(
                    f"{item.nodeid} requests a check with request.getfixturevalue, but was collected without one. "
                    "Request the fixture as an argument or with usefixtures, or mark the test with kvlatency"
                )
            skip_without_network()
        return check

    def measure_for_set_up(self, item: pytest.Item) -> Measurement:
        """The measurement of the item's set-up: what was measured ahead, unless the item owns its guests.

        It is made once, when a fixture or the end of the set-up first asks.
        """
        attempt = item.stash[ATTEMPT_KEY]
        if attempt.measurement is not None:
            return attempt.measurement
        return self._measure(item, attempt, partial(self.measuring.measure, item))

    def measure_for_body(self, item: pytest.Item) -> Measurement:
        """Measure anew: what the body has done meanwhile is part of what it wants to measure.

        The measurement of the set-up, which nobody had asked for, goes to ``extra``.
        """
        attempt = item.stash[ATTEMPT_KEY]
        if attempt.measurement is not None:
            attempt.extra.append(attempt.measurement)
            attempt.measurement = None
        return self._measure(item, attempt, self.measuring.measure_anew)

    def latency_of(self, item: pytest.Item) -> Latency:
        """What ``kv_latency`` gives: to the set-up by name, or to the body by ``request.getfixturevalue``."""
        return Latency(self._measured(item))

    def migration_of(self, item: pytest.Item) -> LiveMigration:
        """What ``kv_migration`` gives. Raises ``ConfigError`` for a pair of which no guest migrates."""
        from pytest_kvlatency.ping.livemigration import LiveMigration

        pair = self.check_of(item).pair
        if not pair.is_move:
            with _failing(item.stash[ATTEMPT_KEY]):
                raise ConfigError(
                    f"kv_migration needs a pair whose target migrates, but the nodes of this test are {pair}: use "
                    "nodes such as worker1:worker2>worker3",
                    stage="setup",
                )
        return LiveMigration(self._measured(item))

    def _measured(self, item: pytest.Item) -> Measurement:
        """The item's measurement, made for its set-up or its body."""
        is_set_up = item.stash[ATTEMPT_KEY].is_set_up
        return self.measure_for_body(item) if is_set_up else self.measure_for_set_up(item)

    def stream_of(self, item: pytest.Item) -> Streams:
        """What ``kv_stream`` gives."""
        from pytest_kvlatency.checkup.streaming import Streams

        return Streams(lambda parameters: self.stream(item, parameters))

    def stream(
        self, item: pytest.Item, parameters: dict[str, object]
    ) -> AbstractContextManager[StreamedLatency]:
        """Ping between the item's owned guests inside; kept under ``extra``. Raises ``ConfigError`` as it is called."""
        from pytest_kvlatency.checkup.streaming import streaming

        attempt = item.stash[ATTEMPT_KEY]
        check = self.check_of(item)
        ping = self._parameters(item, "kv_stream", parameters, STREAM_OPTIONS, fixed=STREAM_VALUES)
        ping = replace(ping, sample_duration_ns=check.ping.sample_duration_ns)
        if attempt.guests is None:
            raise ConfigError("the pair cannot be used after its test has ended", stage="run")
        facts = self.measuring.state.results.cluster_facts
        if facts is not None and facts.clock_refusal is not None:
            raise facts.clock_refusal
        return streaming(
            replace(check, limits=NO_LIMITS, ping=ping),
            attempt.guests,
            self.measuring.state.stop,
            is_interval_given="interval" in parameters,
            failing=lambda: _failing(attempt),
            keep=attempt.extra.append,
        )

    @contextmanager
    def owning_pair(self, item: pytest.Item, check: Check) -> Iterator[Pair]:
        """Own both guests until the item's teardown."""
        from pytest_kvlatency.checkup.pair import Pair, PairGuest

        attempt = item.stash[ATTEMPT_KEY]
        try:
            with _failing(attempt):
                self.measuring.count(check, holder=attempt)
                source, target = attempt.guests = self.measuring.own_pair(check, holder=attempt)
            stop = self.measuring.state.stop
            yield Pair(nad=check.nad, source=PairGuest(source, stop), target=PairGuest(target, stop))
        finally:
            # Whatever ends it, and also while it is still waited for.
            attempt.guests = None
            self.measuring.release(attempt)

    def ping_of(self, item: pytest.Item) -> Ping:
        """What ``kv_ping`` gives."""
        from pytest_kvlatency.checkup.pair import Ping

        return Ping(lambda parameters: self.measure_again(item, parameters))

    def measure_again(self, item: pytest.Item, parameters: dict[str, object]) -> Latency:
        """Measure the item's owned pair with other ping parameters, where it is now; kept under ``extra``."""
        attempt = item.stash[ATTEMPT_KEY]
        check = self.check_of(item)
        ping = self._parameters(item, "kv_ping", parameters, PING_OPTIONS)
        unlimited = replace(check, limits=NO_LIMITS)
        tried = self.measuring.measure_owned(unlimited, ping, holder=attempt, confirm=False, moves=False)
        attempt.extra.append(tried.measurement)
        if tried.error is not None:
            attempt.fail(tried.error)
        return Latency(tried.measurement)

    # --- inside

    def _parameters(
        self,
        item: pytest.Item,
        call: str,
        parameters: Mapping[str, object],
        options: frozenset[str],
        *,
        fixed: Mapping[str, object] = MappingProxyType({}),
    ) -> PingParameters:
        """The ping parameters of an item, changed as a call says, and as is ``fixed`` for all of its kind.

        Raises ``ConfigError`` for a wrong argument.
        """
        known = {name: value for name, value in parameters.items() if name in options}
        wrong = [unknown_argument(call, name, options) for name in parameters if name not in known]
        try:
            ping = self.collection.settings_of(item, call=call, arguments={**fixed, **known}).ping
        except SettingsError as error:
            raise ConfigError("; ".join([*wrong, *error.messages])) from None
        if wrong:
            raise ConfigError("; ".join(wrong))
        return ping

    def _measure(
        self, item: pytest.Item, attempt: ItemAttempt, measure: Callable[..., Attempt]
    ) -> Measurement:
        """Measure the item's check: by ``measure``, unless the item owns its guests."""
        check = self.check_of(item)
        with _failing(attempt):
            self.measuring.count(check, holder=attempt)
            if attempt.guests is not None:
                tried = self.measuring.measure_owned(check, check.ping, holder=attempt, confirm=True)
            else:
                tried = measure(check, holder=attempt)
        return self._keep(item, attempt, tried)

    def _keep(self, item: pytest.Item, attempt: ItemAttempt, tried: Attempt) -> Measurement:
        """Keep a measurement as the item's, with what others judge of it; raise why there are no numbers."""
        measured = attempt.measurement = tried.measurement
        self._describe(item, attempt)
        if tried.error is not None:
            attempt.end_with(tried.error)
        if measured.result is not None:
            failures = (*measured.failures, *self._regressions(attempt), *judgements(item, measured))
            measured = attempt.measurement = replace(measured, failures=failures)
        return measured

    def _regressions(self, attempt: ItemAttempt) -> tuple[Failure, ...]:
        """What the baseline has against the attempt's measurement."""
        results = self.measuring.state.results
        if results.comparator is None:
            return ()
        return results.comparator.failures(results.raw_entry(attempt.result()))

    def _describe(self, item: pytest.Item, attempt: ItemAttempt) -> None:
        """Give the numbers to JUnit, instead of those of an earlier attempt."""
        names = item.stash.get(PROPERTIES_KEY, frozenset[str]())
        kept = [one for one in item.user_properties if one[0] not in names]
        properties = item_properties(numbers_of(attempt.measurement))
        item.user_properties[:] = [*kept, *properties]
        item.stash[PROPERTIES_KEY] = frozenset(name for name, _ in properties)


def skip_without_network() -> NoReturn:
    """Skip the item that is being run: there is no network to check."""
    # The underscore is pytest's: it makes the report name the test instead of this line.
    raise pytest.skip.Exception(NO_NAD, _use_item_location=True)


@contextmanager
def _failing(attempt: ItemAttempt) -> Iterator[None]:
    """Enter what is raised inside among the attempt's failures."""
    try:
        yield
    except KvLatencyError as error:
        attempt.fail(error)
