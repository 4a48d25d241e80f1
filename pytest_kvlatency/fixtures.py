"""The fixtures, and the way from a configuration to the run's ``Checkup``, which is made when it is first needed.

Each fixture is a thin view on the ``Checkup``; the contract stands in their docstrings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kvlatency.checkup.checkup import Checkup
    from pytest_kvlatency.checkup.cluster_session import Cluster
    from pytest_kvlatency.checkup.pair import Pair, Ping
    from pytest_kvlatency.checkup.streaming import Streams
    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.model import Check
    from pytest_kvlatency.ping.latency import Latency
    from pytest_kvlatency.ping.livemigration import LiveMigration

CHECKUP_KEY = pytest.StashKey["Checkup"]()
#: The name of the plugin whose hooks are called for each item, and the plugin while no item concerns kvlatency.
ITEM_HOOKS = "kvlatency-items"
ASLEEP_KEY = pytest.StashKey[object]()


def _hides(excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
    """As ``errors.HIDDEN``, which is loaded only when something was raised."""
    from pytest_kvlatency.errors import KvLatencyError

    return excinfo.errisinstance(KvLatencyError)


__tracebackhide__ = _hides


def checkup_of(config: pytest.Config) -> Checkup:
    """The run that belongs to a configuration. Raises ``pytest.UsageError`` for wrong options."""
    checkup = config.stash.get(CHECKUP_KEY, None)
    if checkup is None:
        from pytest_kvlatency.checkup.checkup import Checkup

        checkup = config.stash[CHECKUP_KEY] = Checkup.configure(config)
        if (asleep := config.stash.get(ASLEEP_KEY, None)) is not None:
            config.pluginmanager.register(asleep, ITEM_HOOKS)
        checkup.attend()
    return checkup


@pytest.fixture(scope="session")
def kv_settings(pytestconfig: pytest.Config) -> Settings:
    """The run's settings, read-only; a conftest changes defaults by the hook ``pytest_kvlatency_settings``."""
    return checkup_of(pytestconfig).planning.settings()


@pytest.fixture(scope="session")
def kv_cluster(pytestconfig: pytest.Config) -> Cluster:
    """The cluster of the run: ``client``, ``namespace``, ``server``, ``versions`` (``kubernetes``, ``kubevirt``)."""
    return checkup_of(pytestconfig).measuring.kv_cluster()


@pytest.fixture
def kv_check(request: pytest.FixtureRequest) -> Check:
    """This item's check: ``nad``, ``pair``, ``limits``, ``ping``."""
    return checkup_of(request.config).measurements.check_of(request.node)


@pytest.fixture
def kv_pair(request: pytest.FixtureRequest, kv_check: Check) -> Iterator[Pair]:
    """Both guests of this item's check, ``source`` and ``target``, owned until the item's teardown."""
    with checkup_of(request.config).measurements.owning_pair(request.node, kv_check) as pair:
        yield pair


@pytest.fixture
def kv_latency(request: pytest.FixtureRequest, kv_check: Check) -> Latency:
    """The measurement of this item's pair: ``avg_ms``, ``p99_ms``, ``loss_percent`` and so on."""
    del kv_check
    return checkup_of(request.config).measurements.latency_of(request.node)


@pytest.fixture
def kv_migration(request: pytest.FixtureRequest, kv_check: Check) -> LiveMigration:
    """The live migration of this item's target: ``preparation_gap_ms``, ``switchover_gap_ms``, ``phases`` and so on.

    For nodes such as ``worker1:worker2>worker3``.
    """
    del kv_check
    return checkup_of(request.config).measurements.migration_of(request.node)


@pytest.fixture
def kv_ping(request: pytest.FixtureRequest, kv_pair: Pair) -> Ping:
    """Measure this pair again with other ping parameters: ``kv_ping(packet_size=1400, sample_duration="2s")``.

    Reported under ``extra``, without limits.
    """
    del kv_pair
    return checkup_of(request.config).measurements.ping_of(request.node)


@pytest.fixture
def kv_stream(request: pytest.FixtureRequest, kv_pair: Pair) -> Streams:
    """Ping this pair while your test does something to it, such as a reboot: how long is the network gone.

    ``with kv_stream(interval="10ms") as stream: …``; then ``stream.longest_gap_ms``, ``stream.lost``,
    ``stream.samples_ns``. Reported under ``extra``, without limits.
    """
    del kv_pair
    return checkup_of(request.config).measurements.stream_of(request.node)
