from __future__ import annotations

import ipaddress
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.plan.addresses import POOL, AddressPlan


@given(run_id=st.text(max_size=20), guests=st.integers(0, 600), parts=st.integers(1, 9))
@settings(max_examples=50)
def test_E20_addresses_of_a_run_never_collide_and_are_guests_addresses(
    run_id: str, guests: int, parts: int
) -> None:
    plans = [AddressPlan(run_id=run_id, guests=guests, part=(index, parts)) for index in range(parts)]
    assert len({plan.network for plan in plans}) == 1
    network = plans[0].network
    assert network.subnet_of(POOL)  # type: ignore[arg-type]
    taken = [plan.take() for plan in plans for _ in range(-(-guests // parts))]
    assert len({one.ip for one in taken}) == len(taken)
    for one in taken:
        assert one.network == network
        assert one.ip not in (network.network_address, network.broadcast_address)


@pytest.mark.parametrize(
    ("guests", "prefix"), [(2, 24), (254, 24), (255, 23), (510, 23), (511, 22), (1000, 22)]
)
def test_the_block_is_as_small_as_holds_the_guests_and_at_least_a_24(guests: int, prefix: int) -> None:
    assert AddressPlan(run_id="x", guests=guests).network.prefixlen == prefix


def test_different_runs_take_different_blocks() -> None:
    assert len({AddressPlan(run_id=f"run-{number}", guests=2).network for number in range(64)}) > 32


def test_E20_every_usable_address_can_be_an_alternative_and_then_it_is_over() -> None:
    plan = AddressPlan(run_id="x", guests=2, subnet=ipaddress.IPv4Network("192.0.2.0/29"))
    taken = {str(plan.take().ip) for _ in range(6)}
    assert taken == {f"192.0.2.{number}" for number in range(1, 7)}
    with pytest.raises(ConfigError, match=r"no address is left in 192\.0\.2\.0/29") as caught:
        plan.take()
    assert caught.value.hint == "Use a larger subnet"


def test_an_address_that_is_given_back_is_used_again_when_no_fresh_one_is_left() -> None:
    plan = AddressPlan(run_id="x", guests=2, subnet=ipaddress.IPv4Network("192.0.2.0/30"))
    first, second = plan.take(), plan.take()
    plan.give_back(first)
    assert plan.take() == first != second


def test_E26_an_ipv6_prefix_gives_ipv6_addresses_but_never_the_routers_anycast() -> None:
    network = ipaddress.IPv6Network("fd00::/126")
    plan = AddressPlan(run_id="x", guests=3, subnet=network)
    assert {str(plan.take()) for _ in range(3)} == {"fd00::1/126", "fd00::2/126", "fd00::3/126"}
    wide = AddressPlan(run_id="x", guests=2, subnet=ipaddress.IPv6Network("fd00::/64"))
    assert wide.take().ip in ipaddress.IPv6Network("fd00::/64")


@pytest.mark.parametrize(("subnet", "valid"), [("192.0.2.0/30", "/29"), ("fd00::/127", "/125")])
def test_a_subnet_that_cannot_hold_the_guests_says_which_can(subnet: str, valid: str) -> None:
    with pytest.raises(ConfigError) as caught:
        AddressPlan(run_id="x", guests=4, subnet=ipaddress.ip_network(subnet))
    assert caught.value.reason.startswith(f"the subnet {subnet} has ")
    assert "this run needs 4" in caught.value.reason
    assert caught.value.hint.endswith(f"at most {valid}")


def test_threads_never_get_the_same_address() -> None:
    plan = AddressPlan(run_id="x", guests=200)
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda _: plan.take(), range(200)))
    assert len(set(taken)) == 200


def test_a_part_that_does_not_exist_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="part 2 of 2"):
        AddressPlan(run_id="x", guests=2, part=(2, 2))
