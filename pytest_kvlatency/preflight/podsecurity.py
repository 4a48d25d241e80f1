"""The namespace's Pod Security label against what virt-launcher pods are, where the namespace may be read.

What they are: ``docs/in-cluster.md`` names KubeVirt's changes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.errors import PermissionDeniedError
from pytest_kvlatency.kube import paths
from pytest_kvlatency.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.model import FindingOutcome
    from pytest_kvlatency.preflight.scope import Scope

CHECK: Final = "pod security"
LABEL: Final = "pod-security.kubernetes.io/enforce"
#: Since then VMs run as non-root by default.
_NON_ROOT: Final = (0, 59)
_ORDER: Final = ("privileged", "baseline", "restricted")


def look(scope: Scope, deadline: Deadline) -> Iterator[Finding]:
    """One line: which standard is enforced, and whether virt-launcher pods meet it."""
    try:
        namespace = scope.get(f"{paths.CORE}/namespaces/{scope.namespace}", deadline)
    except PermissionDeniedError:
        yield _line(scope, "skipped", "not permitted to read the namespace")
        return
    if namespace is None:
        yield _line(
            scope, "failed", "the namespace does not exist", f"kubectl create namespace {scope.namespace}"
        )
        return
    enforced = (namespace["metadata"].get("labels") or {}).get(LABEL)
    if enforced not in _ORDER:
        yield _line(
            scope, "ok", f"no label {LABEL}; the cluster's own default may still refuse virt-launcher pods"
        )
        return
    met = _met(scope)
    if met is None:
        yield _line(
            scope,
            "skipped",
            f"{enforced} is enforced; whether virt-launcher meets it depends on KubeVirt's version",
        )
    elif _ORDER.index(enforced) <= _ORDER.index(met):
        yield _line(scope, "ok", f"{enforced} is enforced, which virt-launcher pods meet")
    else:
        yield _line(
            scope,
            "failed",
            f"{enforced} is enforced, but virt-launcher pods of this KubeVirt only meet {met}",
            f"kubectl label namespace {scope.namespace} --overwrite {LABEL}={met}, or choose another --kv-namespace",
        )


def _line(scope: Scope, outcome: FindingOutcome, message: str, hint: str = "") -> Finding:
    return Finding(
        check=CHECK, subject=f"of namespace {scope.namespace}", outcome=outcome, message=message, hint=hint
    )


def _met(scope: Scope) -> str | None:
    """The strictest standard that virt-launcher pods meet; None where it cannot be known."""
    version = re.match(r"v?(\d+)\.(\d+)", scope.facts.kubevirt_version or "")
    configuration = scope.facts.configuration
    if version is None or configuration is None:
        return None
    gates = (configuration.get("developerConfiguration") or {}).get("featureGates") or ()
    if (int(version[1]), int(version[2])) < _NON_ROOT or "Root" in gates:
        return "privileged"
    seccomp = configuration.get("seccompConfiguration") or {}
    return (
        "restricted"
        if (seccomp.get("virtualMachineInstanceProfile") or {}).get("customProfile")
        else "baseline"
    )
