"""Each VMI of the plan, judged by the cluster's own admission in a dry run: webhooks, quota, policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_kvlatency.errors import InterruptedRunError, KvLatencyError
from pytest_kvlatency.model import Finding, some
from pytest_kvlatency.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.model import Check, FindingOutcome
    from pytest_kvlatency.plan.checks import VmiKey
    from pytest_kvlatency.preflight.scope import Scope

CHECK: Final = "admission"
_AT_ONCE: Final = 8
_NAMED: Final = 3
#: What an API server says of a webhook that may have side effects (``apiserver/pkg/admission/plugin/webhook``).
_NO_DRY_RUN: Final = "does not support dry run"

_Verdict = tuple["FindingOutcome", str, str]


def look(scope: Scope, deadline: Deadline) -> Iterator[Finding]:
    """One line for all VMIs of which the same is to be said. One request for each VMI, several at once."""
    threads = Threads(_AT_ONCE, "kvlatency-rehearse")
    asked = [
        (key, threads.submit(_verdict, scope, key, check, deadline)) for key, check in scope.vmis.items()
    ]
    by_verdict: dict[_Verdict, list[VmiKey]] = {}
    for key, answer in asked:
        by_verdict.setdefault(answer.result(), []).append(key)
    for (outcome, message, hint), keys in by_verdict.items():
        yield Finding(check=CHECK, subject=_subject(keys), outcome=outcome, message=message, hint=hint)


def _verdict(scope: Scope, key: VmiKey, check: Check, deadline: Deadline) -> _Verdict:
    try:
        scope.provisioner.site.network(key.nad, key.guest, deadline)
    except InterruptedRunError:
        raise
    except KvLatencyError:
        # Its own line says why.
        return "skipped", f"network {key.nad} cannot be used", ""
    try:
        scope.provisioner.rehearse(key, check, deadline)
    except InterruptedRunError:
        raise
    except KvLatencyError as error:
        if error.kind == "permission":
            return "skipped", f"not permitted to create VMIs in namespace {scope.namespace}", ""
        if _NO_DRY_RUN in error.reason:
            return "skipped", error.reason, ""
        return "failed", error.reason, error.hint
    return "ok", "accepted by webhooks, quota and policies (dryRun=All)", ""


def _subject(keys: Sequence[VmiKey]) -> str:
    names = [f"{key.slot or key.node} on {key.nad}" for key in keys]
    return f"of {len(keys)} {'VMI' if len(keys) == 1 else 'VMIs'} ({some(names, _NAMED)})"
