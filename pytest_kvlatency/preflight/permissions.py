"""Each rule that the plan needs, and those that only help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kvlatency.errors import PermissionDeniedError
from pytest_kvlatency.kube import reviews
from pytest_kvlatency.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.paths import Target
    from pytest_kvlatency.preflight.scope import Scope

CHECK = "permission"
HELPFUL = "they make a run faster, and its reasons more exact"


def look(scope: Scope, deadline: Deadline) -> Iterator[Finding]:
    """A line for each rule that is needed, and one for those that are not; the manifest for what is missing."""
    needed = reviews.needed(
        scope.namespace, [check.nad.namespace for check in scope.checks], scope.configmaps
    )
    if any(check.pair.is_move for check in scope.checks):
        needed = (*needed, *reviews.migrating(scope.namespace))
    useful = reviews.useful(scope.namespace)
    try:
        refused = set(reviews.refused(scope.client, (*needed, *useful), deadline))
    except PermissionDeniedError as error:
        yield Finding(check=CHECK, outcome="skipped", message=f"not permitted to ask: {error.reason}")
        return
    missing = [one for one in needed if one in refused]
    for one in needed:
        if one not in refused:
            yield Finding(check=CHECK, subject=str(one), outcome="ok", message="granted")
            continue
        # Once, and below the last of them.
        is_last = one is missing[-1]
        hint = reviews.way_out(needed, missing, reviews.account(scope.client, deadline)) if is_last else ""
        yield Finding(check=CHECK, subject=str(one), outcome="failed", message="not granted", hint=hint)
    yield _optional(useful, refused)


def _optional(useful: Sequence[Target], refused: set[Target]) -> Finding:
    left = [str(one) for one in useful if one in refused]
    message = f"not granted, and not needed ({HELPFUL}): {', '.join(left)}" if left else "all granted"
    return Finding(check="optional permissions", outcome="ok", message=message)
