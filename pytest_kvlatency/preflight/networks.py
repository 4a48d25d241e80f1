"""Each network of the plan: whether it is there, how guests are attached, and where their addresses come from."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.errors import InterruptedRunError, KvLatencyError, PermissionDeniedError
from pytest_kvlatency.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.nad import NadFacts
    from pytest_kvlatency.model import GuestSpec, NadRef
    from pytest_kvlatency.preflight.scope import Scope

CHECK: Final = "network"
_ADDRESSES: Final = {
    "static": "no IPAM, so this tool assigns the addresses of the guests",
    "dhcp": "IPAM, so the guests get their addresses by DHCP",
}


def look(scope: Scope, deadline: Deadline) -> Iterator[Finding]:
    """A line for each network, and for each of its notes; several where guests are attached in several ways."""
    found = (
        _network(scope, *one, deadline) for one in dict.fromkeys((key.nad, key.guest) for key in scope.vmis)
    )
    yield from dict.fromkeys(line for lines in found for line in lines)


def _network(scope: Scope, ref: NadRef, guest: GuestSpec, deadline: Deadline) -> list[Finding]:
    line = partial(Finding, check=CHECK, subject=str(ref))
    try:
        facts = scope.provisioner.site.network(ref, guest, deadline)
    except InterruptedRunError:
        raise
    except PermissionDeniedError:
        return [line(outcome="skipped", message="not permitted to read")]
    except KvLatencyError as error:
        return [line(outcome="failed", message=error.reason, hint=error.hint)]
    lines = [line(outcome="ok", message=_words(facts))] if facts.types else []
    return lines + [line(outcome="warning", message=text) for text in facts.warnings]


def _words(facts: NadFacts) -> str:
    types = ", ".join(filter(None, facts.types))
    return f"type {types}, binding {facts.binding}; {_ADDRESSES[facts.address_mode]}"
