"""Two guests of one network that have one address: a ping between them says nothing of the network."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_kvlatency.engine.guests import check_distinct
from pytest_kvlatency.errors import ConfigError

BLUE = "default/blue"


def guest(name, address, *, node="worker1", nad=BLUE):
    return SimpleNamespace(
        key=SimpleNamespace(nad=nad),
        handle=f"ns/{name}",
        node=node,
        address=SimpleNamespace(address=address),
    )


SOURCE = guest("source", "10.0.0.2")
TARGET = guest("target", "10.0.0.3", node="worker2")


def test_E21_an_address_that_source_and_target_share_is_a_config_error():
    with pytest.raises(
        ConfigError, match=r"gave the address 10\.0\.0\.2 twice: to VMI ns/source on worker1, and"
    ) as one:
        check_distinct((SOURCE, guest("target", "10.0.0.2", node="worker2")), [])
    assert "host-local" in one.value.hint


def test_E21_so_is_one_that_a_guest_beside_them_has():
    with pytest.raises(
        ConfigError, match=r"10\.0\.0\.3 twice: to VMI ns/target on worker2, and to VMI ns/twin on"
    ):
        check_distinct((SOURCE, TARGET), [SOURCE, TARGET, guest("twin", "10.0.0.3")])


@pytest.mark.parametrize(
    "others",
    [
        [SOURCE, TARGET, guest("third", "10.0.0.4")],
        [SOURCE, TARGET, guest("elsewhere", "10.0.0.3", nad="default/red")],
    ],
    ids=["another address", "another network"],
)
def test_others_do_not_matter(others):
    check_distinct((SOURCE, TARGET), others)
