"""What is refused of a write that its author may make: rights beyond his own, and what KubeVirt's webhooks refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kvlatency.lab.apiserver import resources
from pytest_kvlatency.lab.apiserver.escalation import Escalation
from pytest_kvlatency.lab.apiserver.migrationwebhooks import check_migration
from pytest_kvlatency.lab.apiserver.statuses import Cause
from pytest_kvlatency.lab.apiserver.validation import webhook

if TYPE_CHECKING:
    from pytest_kvlatency.lab.apiserver.rbac import Authorizer, User
    from pytest_kvlatency.lab.apiserver.resources import Resource
    from pytest_kvlatency.lab.apiserver.store import Store


class Admission:
    """Judges the writes of clients; the lab's own parts, as KubeVirt's ServiceAccounts, are not judged."""

    def __init__(self, authorizer: Authorizer, store: Store) -> None:
        self._escalation = Escalation(authorizer)
        self._store = store

    def check(self, user: User, resource: Resource, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        """Judge an object that is about to be stored. Errors: 400, 403, 404, 422."""
        self._escalation.check(user, resource, old, new)
        if resource is resources.MIGRATIONS:
            check_migration(self._store, old, new)
        if resource is resources.VMIS and old is not None and old.get("spec") != new.get("spec"):
            # virt-api admits only KubeVirt's own accounts (``vmi-update-admitter.go``).
            cause = Cause(
                field="", detail="update of VMI object is restricted", reason="FieldValueNotSupported"
            )
            raise webhook("virtualmachineinstances-update-validator.kubevirt.io", [cause])
