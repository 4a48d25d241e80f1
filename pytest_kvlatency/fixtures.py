"""The fixtures. Each is a thin view on the run's ``Checkup``; the contract stands in their docstrings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kvlatency.errors import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kvlatency.checkup.checkup import Checkup
    from pytest_kvlatency.checkup.cluster import Cluster
    from pytest_kvlatency.checkup.items import Ping
    from pytest_kvlatency.checkup.pair import Pair
    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.model import Check
    from pytest_kvlatency.ping.latency import Latency

__tracebackhide__ = HIDDEN


def _checkup(config: pytest.Config) -> Checkup:
    from pytest_kvlatency.checkup.checkup import checkup_of

    return checkup_of(config)


@pytest.fixture(scope="session")
def kv_settings(pytestconfig: pytest.Config) -> Settings:
    """The run's settings, read-only; a conftest changes defaults by the hook ``pytest_kvlatency_settings``."""
    return _checkup(pytestconfig).settings()


@pytest.fixture(scope="session")
def kv_cluster(pytestconfig: pytest.Config) -> Cluster:
    """The cluster of the run: ``client``, ``namespace``, ``server``, ``versions`` (``kubernetes``, ``kubevirt``)."""
    return _checkup(pytestconfig).cluster()


@pytest.fixture
def kv_check(request: pytest.FixtureRequest) -> Check:
    """This item's check: ``nad``, ``pair``, ``limits``, ``ping``."""
    return _checkup(request.config).items.check_of(request.node)


@pytest.fixture
def kv_pair(request: pytest.FixtureRequest, kv_check: Check) -> Iterator[Pair]:
    """Both guests of this item's check, ``source`` and ``target``, owned until the item's teardown."""
    with _checkup(request.config).items.owning_pair(request.node, kv_check) as pair:
        yield pair


@pytest.fixture
def kv_latency(request: pytest.FixtureRequest, kv_check: Check) -> Latency:
    """The measurement of this item's pair: ``avg_ms``, ``p99_ms``, ``loss_percent`` and so on."""
    return _checkup(request.config).items.latency_of(request.node, kv_check)


@pytest.fixture
def kv_ping(request: pytest.FixtureRequest, kv_pair: Pair) -> Ping:
    """Measure this pair again with other ping parameters: ``kv_ping(packet_size=1400, sample_duration="2s")``.

    Reported under ``extra``, without limits.
    """
    del kv_pair
    return _checkup(request.config).items.ping_of(request.node)
