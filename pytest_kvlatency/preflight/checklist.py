"""The checklist: every group of checks in its order; one that cannot be made is a line, and hides no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_kvlatency.errors import InterruptedRunError, KvLatencyError
from pytest_kvlatency.model import Finding
from pytest_kvlatency.preflight import admission, multus, networks, permissions, podsecurity
from pytest_kvlatency.preflight import node as nodes
from pytest_kvlatency.preflight import server as cluster
from pytest_kvlatency.preflight import size as plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.preflight.scope import Scope

    Group = Callable[[Scope, Deadline], Iterator[Finding]]

_GROUPS: Final[tuple[tuple[str, Group], ...]] = (
    ("cluster", cluster.look),
    ("permissions", permissions.look),
    ("networks", networks.look),
    ("namespace isolation", multus.look),
    ("nodes", nodes.look),
    ("pod security", podsecurity.look),
    ("admission", admission.look),
    ("plan", plan.look),
)


def unreachable(error: KvLatencyError) -> Finding:
    """The one line of a cluster that does not answer, or does not accept the credentials."""
    check = "credentials" if error.kind == "permission" else "cluster"
    return Finding(check=check, outcome="failed", message=error.reason, hint=error.hint)


def nothing_planned(*, is_of_others: bool) -> Finding:
    """The line of a plan without checks; ``is_of_others``: all of them are other shards'."""
    if is_of_others:
        return Finding(check="plan", outcome="ok", message="no pair of the plan falls to this shard")
    return Finding(check="plan", outcome="failed", message="no check was selected")


def go_through(scope: Scope, deadline: Deadline) -> Iterator[Finding]:
    """Give the lines as they are found. Creates nothing. Raises ``InterruptedRunError``."""
    for name, group in _GROUPS:
        try:
            yield from group(scope, deadline)
        except InterruptedRunError:
            raise
        except KvLatencyError as error:
            yield Finding(check=name, outcome="failed", message=error.reason, hint=error.hint)
