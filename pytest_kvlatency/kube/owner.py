"""The pod that runs the checkup as owner of its VMIs, so that they go when its object goes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def owner_from_environment(
    environ: Mapping[str, str], *, pod_namespace: str | None, vmi_namespace: str
) -> dict[str, str] | None:
    """Return the reference to the pod named by ``POD_UID`` and ``POD_NAME`` (else ``HOSTNAME``), or None.

    None outside a pod, and where the pod is not in the VMIs' namespace: an owner that does not exist there would
    get the VMIs collected at once. ``HOSTNAME`` is no pod's name in an Indexed Job, which sets
    ``JOB_COMPLETION_INDEX``.
    """
    uid = environ.get("POD_UID", "")
    name = environ.get("POD_NAME", "")
    if not name and not environ.get("JOB_COMPLETION_INDEX"):
        name = environ.get("HOSTNAME", "")
    if not uid or not name or pod_namespace != vmi_namespace:
        return None
    return {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}
