"""What becomes of an echo between simulated guests while it is under way."""

from __future__ import annotations

import asyncio
from ipaddress import ip_interface
from typing import TYPE_CHECKING

import pytest

from pytest_kvlatency.lab.fabric.links import LinkTable
from pytest_kvlatency.lab.guests.sim.clock import Clock
from pytest_kvlatency.lab.guests.sim.network import Networks, SimInterface, Stack
from pytest_kvlatency.lab.spec.labspec import LabSpec, LinkQuality, LinkSpec, NetworkSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_kvlatency.lab.guests.sim.network import Answered

BLUE = "default/blue"
TARGET = ip_interface("198.18.0.2/24")
SPEC = LabSpec(
    networks=(NetworkSpec(name=BLUE, quality=LinkQuality(latency_ns=60_000_000_000)),),
    links=tuple(LinkSpec(between=(one, "w9"), overrides={"partition": True}) for one in ("w1", "w2")),
    seed=7,
)


class StillLoop(asyncio.SelectorEventLoop):
    """A loop whose time stands still, so that only the moments that a test names count."""

    def time(self) -> float:
        return 0.0


class Pair:
    """A guest on w1 that sends one request to a guest on w2."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        networks = Networks(LinkTable(SPEC), 7)
        self.clock = Clock(loop, 1.0)
        self.source = self._stack(networks, "w1", "198.18.0.1/24")
        self.target = self._stack(networks, "w2", str(TARGET))
        self.sent = self.clock.now()
        route = self.source.route(TARGET.ip, self.sent)
        assert route is not None
        self.route = route
        self.echo = self.source.echo(route, TARGET.ip, 56, self.sent)

    def _stack(self, networks: Networks, node: str, address: str) -> Stack:
        interface = SimInterface(name="eth0", mac="", vmi_mac="", network=BLUE, mtu=1500, lease=None)
        stack = Stack(networks=networks, node=node, interfaces=[interface], taken=None)
        stack.clock = self.clock
        stack.configure(interface, ip_interface(address), 0.0)
        return stack

    def answer(self) -> Answered | None:
        """What the request gets when it arrives."""
        return self.source.answer(self.route, TARGET.ip, self.sent + self.echo.arrives)

    def is_received(self, then: Callable[[Pair], object]) -> bool:
        """Whether the reply gets through if ``then`` happens while it is under way."""
        answer = self.answer()
        assert answer is not None
        then(self)
        return self.source.receives(self.route, TARGET.ip, answer, self.sent + self.echo.returns[0])


def move(stack: Stack) -> None:
    """Put a guest where none of the others is reached."""
    stack.node = "w9"


def take_down(stack: Stack) -> None:
    """Put its interface down."""
    stack.interfaces[0].up = False


def confuse(stack: Stack) -> None:
    """Have what is sent to it go elsewhere, for much longer than the way takes."""
    stack.go_deaf(3600.0)


EVENTS = [move, take_down, Stack.clear, confuse]


@pytest.fixture
def pair() -> Iterator[Pair]:
    loop = StillLoop()
    yield Pair(loop)
    loop.close()


def test_a_request_and_its_reply_arrive_where_nothing_happens(pair: Pair) -> None:
    assert pair.is_received(lambda _: None)


@pytest.mark.parametrize("event", EVENTS)
def test_what_happens_to_the_target_meets_a_request_on_its_way(
    pair: Pair, event: Callable[[Stack], object]
) -> None:
    event(pair.target)
    assert pair.answer() is None


@pytest.mark.parametrize("event", EVENTS)
def test_what_happens_to_the_target_does_not_meet_a_reply_on_its_way(
    pair: Pair, event: Callable[[Stack], object]
) -> None:
    assert pair.is_received(lambda it: event(it.target))


@pytest.mark.parametrize("event", [move, take_down, confuse])
def test_what_happens_to_the_source_meets_a_reply_on_its_way(
    pair: Pair, event: Callable[[Stack], object]
) -> None:
    assert not pair.is_received(lambda it: event(it.source))


def test_an_address_asked_for_in_a_gap_is_found_by_the_first_probe_that_arrives_after_it(pair: Pair) -> None:
    pair.source.interfaces[0].neighbours.clear()
    # It ends between the arrivals of the first probe and of the second, which are a second apart.
    pair.target.go_deaf(60.5)
    again = pair.source.echo(pair.route, TARGET.ip, 56, pair.sent)
    assert again.unreachable is None
    assert again.arrives == pytest.approx(1.0 + 120.0 + 60.0, abs=0.01)
