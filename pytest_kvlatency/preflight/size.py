"""What the plan comes to: VMIs, pairs, rounds, time, addresses; and the guests' image."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.model import Finding
from pytest_kvlatency.plan import checks as plan
from pytest_kvlatency.plan.addresses import POOL, AddressPlan
from pytest_kvlatency.plan.moves import sample_seconds
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.preflight.scope import Scope

_CHOSEN: Final = "chosen by each run (to choose one: --kv-subnet)"


def look(scope: Scope, deadline: Deadline) -> Iterator[Finding]:
    """What would be run, how the guests are addressed, and whether their image may change."""
    del deadline
    yield Finding(check="plan", outcome="ok", message=_size(scope))
    yield from _addresses(scope)
    yield from _images(scope)


def _size(scope: Scope) -> str:
    rounds = plan.rounds(scope.checks, parallel=scope.parallel)
    pinging = round(1e9 * sum(max(map(sample_seconds, one)) for one in rounds))
    migrations = sum(check.pair.is_move for check in scope.checks)
    moving = f" with {_count(migrations, 'live migration')}" if migrations else ""
    timeout = format_duration(round(scope.timeout_seconds * 1e9))
    size = f"{_count(len(scope.vmis), 'VMI')}, {_count(len(scope.checks), 'pair')}{moving}"
    return (
        f"{size} in {_count(len(rounds), 'round')}, {format_duration(pinging)} of pinging, "
        f"at most {timeout} in all (--kv-timeout)"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _addresses(scope: Scope) -> Iterator[Finding]:
    """A line for each subnet. One that the run takes from those for benchmarks is known before only to a shard."""
    share = scope.addresses
    for subnet, guests in plan.guests_by_subnet(scope.checks).items():
        try:
            block = AddressPlan(
                run_id="" if share is None else share.run_id,
                guests=max(2, guests if share is None or subnet is not None else share.guests),
                subnet=None if subnet is None else ip_network(subnet),
                part=(0, 1) if share is None else share.part,
            ).network
        except ConfigError as error:
            yield Finding(check="addresses", outcome="failed", message=error.reason, hint=error.hint)
            continue
        where = str(block) if subnet or share else f"a /{block.prefixlen} of {POOL}, {_CHOSEN}"
        # A guest that asks by DHCP needs none.
        message = f"at most {_count(guests, 'guest')} in {where}"
        yield Finding(check="addresses", outcome="ok", message=message)


def _images(scope: Scope) -> Iterator[Finding]:
    for image in dict.fromkeys(map(scope.image_of, scope.vmis)):
        if "@sha256:" in image:
            yield Finding(check="image", subject=image, outcome="ok", message="pinned by its digest")
        else:
            message = "not pinned by a digest: two runs may boot different guests"
            yield Finding(check="image", subject=image, outcome="warning", message=message)
