"""The pieces of a live migration's objects: its status, and what it says in the VMI's. Pure, apart from time stamps.

Fields, phases, labels and texts are KubeVirt's (virt-controller's ``migration.go``, virt-handler's ``migration*.go``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.lab.kubevirt import pod as pods
from pytest_kvlatency.lab.kubevirt.labobjects import limits_of
from pytest_kvlatency.lab.kubevirt.timestamp import now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.lab.spec.labspec import MigrationSpec

FINALIZER: Final = "kubevirt.io/migrationJobFinalize"
FINAL_PHASES: Final = ("Succeeded", "Failed")
_ADDED_SELECTOR: Final = (1, 6)
ABORTED: Final = "Live migration aborted"


def vmi_name(migration: Mapping[str, Any]) -> str:
    """Return the name of the VMI that migrates."""
    return str((migration.get("spec") or {}).get("vmiName") or "")


def phase_of(migration: Mapping[str, Any]) -> str:
    """Return the phase; empty before the controller has seen the migration."""
    return str((migration.get("status") or {}).get("phase") or "")


def target_manifest(vmi: Mapping[str, Any], migration: Mapping[str, Any], *, version: str) -> dict[str, Any]:
    """Return the pod to which the VMI migrates: as the first one, and never on a node where the VMI has a pod.

    Before v1.6 KubeVirt's ``version`` does not know ``addedNodeSelector``.
    """
    pod = pods.launcher_manifest(vmi)
    meta, uid = pod["metadata"], migration["metadata"]["uid"]
    meta["labels"]["kubevirt.io/migrationJobUID"] = uid
    meta["annotations"]["kubevirt.io/migrationJobName"] = migration["metadata"]["name"]
    is_known = tuple(map(int, version.removeprefix("v").split(".")[:2])) >= _ADDED_SELECTOR
    added = (migration.get("spec") or {}).get("addedNodeSelector") or {} if is_known else {}
    pod["spec"]["nodeSelector"] = {**added, **pod["spec"]["nodeSelector"]}
    apart = {
        "labelSelector": {"matchLabels": {"kubevirt.io/created-by": vmi["metadata"]["uid"]}},
        "topologyKey": "kubernetes.io/hostname",
    }
    affinity = dict(pod["spec"].get("affinity") or {})
    anti = dict(affinity.get("podAntiAffinity") or {})
    key = "requiredDuringSchedulingIgnoredDuringExecution"
    pod["spec"]["affinity"] = {**affinity, "podAntiAffinity": {**anti, key: [*(anti.get(key) or []), apart]}}
    return pod


def first_state(
    migration: Mapping[str, Any],
    limits: MigrationSpec,
    *,
    source: str,
    source_pod: str,
    target: str,
    target_pod: str,
) -> dict[str, Any]:
    """Return the VMI's ``migrationState`` as it is when the target pod runs."""
    return {
        "migrationUid": migration["metadata"]["uid"],
        "sourceNode": source,
        "sourcePod": source_pod,
        "targetNode": target,
        "targetNodeAddress": "10.244.255.2",
        "targetPod": target_pod,
        "migrationConfiguration": {
            "allowAutoConverge": False,
            "allowPostCopy": False,
            "completionTimeoutPerGiB": 150,
            **limits_of(limits),
            "progressTimeout": 150,
        },
    }


def ended_state(
    state: Mapping[str, Any], *, failure_reason: str | None = None, aborted: bool = False
) -> dict[str, Any]:
    """Return a ``migrationState`` that has ended; ``completed`` says only that, ``failed`` says how."""
    ended = {**state, "completed": True, "endTimestamp": now()}
    if failure_reason is not None:
        ended |= {"failed": True, "failureReason": failure_reason}
    if aborted:
        ended |= {"abortRequested": True, "abortStatus": "Succeeded"}
    return ended
