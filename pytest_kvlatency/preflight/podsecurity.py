"""The namespace's Pod Security label against what virt-launcher pods are, where the namespace may be read.

What they are: ``docs/in-cluster.md`` names KubeVirt's changes.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.errors import PermissionDeniedError
from pytest_kvlatency.kube import paths
from pytest_kvlatency.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.preflight.scope import Scope

CHECK: Final = "pod security"
LABEL: Final = "pod-security.kubernetes.io/enforce"
#: Since then VMs run as non-root by default.
_NON_ROOT: Final = (0, 59)
_ORDER: Final = ("privileged", "baseline", "restricted")


def look(scope: Scope, deadline: Deadline) -> Iterator[Finding]:
    """One line: which standard is enforced, and whether virt-launcher pods meet it."""
    line = partial(Finding, check=CHECK, subject=f"of namespace {scope.namespace}")
    try:
        namespace = scope.get(f"{paths.CORE}/namespaces/{scope.namespace}", deadline)
    except PermissionDeniedError:
        yield line(outcome="skipped", message="not permitted to read the namespace")
        return
    if namespace is None:
        hint = f"kubectl create namespace {scope.namespace}"
        yield line(outcome="failed", message="the namespace does not exist", hint=hint)
        return
    enforced = (namespace["metadata"].get("labels") or {}).get(LABEL)
    if enforced not in _ORDER:
        message = f"no label {LABEL}; the cluster's own default may still refuse virt-launcher pods"
        yield line(outcome="ok", message=message)
        return
    met = _met(scope)
    if met is None:
        message = f"{enforced} is enforced; whether virt-launcher meets it depends on KubeVirt's version"
        yield line(outcome="skipped", message=message)
    elif _ORDER.index(enforced) <= _ORDER.index(met):
        yield line(outcome="ok", message=f"{enforced} is enforced, which virt-launcher pods meet")
    else:
        message = f"{enforced} is enforced, but virt-launcher pods of this KubeVirt only meet {met}"
        label = f"kubectl label namespace {scope.namespace} --overwrite {LABEL}={met}"
        yield line(outcome="failed", message=message, hint=f"{label}, or choose another --kv-namespace")


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
    profile = seccomp.get("virtualMachineInstanceProfile") or {}
    return "restricted" if profile.get("customProfile") else "baseline"
