"""Whether Multus lets the VMIs' namespace use networks of others, where Multus' configuration may be read."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.errors import InterruptedRunError, KvLatencyError, PermissionDeniedError
from pytest_kvlatency.kube import paths
from pytest_kvlatency.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.preflight.scope import Scope

CHECK: Final = "namespace isolation"
#: Where Multus' own manifests, and OpenShift, put it: namespace, ConfigMap, key.
PLACES: Final = (
    ("kube-system", "multus-daemon-config", "daemon-config.json"),
    ("kube-system", "multus-cni-config", "cni-conf.json"),
    ("openshift-multus", "multus-daemon-config", "daemon-config.json"),
)
#: Open to all even under isolation, where no ``globalNamespaces`` are given.
_GLOBAL: Final = "default"


def look(scope: Scope, deadline: Deadline) -> Iterator[Finding]:
    """A line for each namespace of networks that is not the VMIs' own."""
    others = sorted({check.nad.namespace for check in scope.checks} - {scope.namespace})
    if not others:
        return
    configuration, why_not = _configuration(scope, deadline)
    for namespace in others:
        subject = f"of Multus, networks of {namespace} for VMIs in {scope.namespace}"
        line = partial(Finding, check=CHECK, subject=subject)
        if configuration is None:
            yield line(outcome="skipped", message=why_not)
        elif not configuration.get("namespaceIsolation"):
            yield line(outcome="ok", message="off")
        elif namespace in _open(configuration):
            yield line(outcome="ok", message=f"on, with {namespace} open to all")
        else:
            message = f"on, so Multus attaches networks of {scope.namespace} and {', '.join(_open(configuration))} only"
            hint = f"Create the network in namespace {scope.namespace}, or use --kv-namespace {namespace}."
            yield line(outcome="failed", message=message, hint=hint)


def _open(configuration: Mapping[str, Any]) -> list[str]:
    named = str(configuration.get("globalNamespaces") or _GLOBAL).split(",")
    return [name.strip() for name in named if name.strip()]


def _configuration(scope: Scope, deadline: Deadline) -> tuple[dict[str, Any] | None, str]:
    """Multus' configuration, or why it cannot be had."""
    why_not = "Multus' configuration is in none of the usual ConfigMaps"
    for namespace, name, key in PLACES:
        try:
            found = scope.get(paths.namespaced(paths.CORE, namespace, "configmaps", name), deadline)
            value = json.loads(((found or {}).get("data") or {}).get(key) or "null")
        except PermissionDeniedError:
            why_not = "not permitted to read Multus' configuration"
        except InterruptedRunError:
            raise
        except (KvLatencyError, ValueError) as error:
            why_not = f"cannot read Multus' configuration: {error}"
        else:
            if isinstance(value, dict):
                return value, ""
    return None, why_not
