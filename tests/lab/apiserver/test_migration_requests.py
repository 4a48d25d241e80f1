"""Requests for live migrations: what KubeVirt's webhooks complete and refuse, who may migrate, and what kubectl shows."""

from __future__ import annotations

import pytest

from .helpers import MERGE, vmi, vmis

GROUP = "/apis/kubevirt.io/v1"
REFUSED = 'admission webhook "migration-create-validator.kubevirt.io" denied the request: '


def migrations(ns):
    return f"{GROUP}/namespaces/{ns}/virtualmachineinstancemigrations"


def migration(name="move", **spec):
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstanceMigration",
        "metadata": {"name": name},
        "spec": spec,
    }


@pytest.fixture
def guest(lab, ns):
    """A VMI that could migrate; returns what changes its status."""
    assert lab.admin("POST", vmis(ns), vmi("guest")).code == 201

    def change(status):
        changed = lab.admin("PATCH", f"{vmis(ns)}/guest", {"status": status}, MERGE)
        assert changed.code == 200

    change({"phase": "Running", "conditions": [{"type": "LiveMigratable", "status": "True"}]})
    return change


def test_a_migration_gets_the_label_of_its_vmi_and_a_finalizer(lab, ns, guest):
    made = lab.admin("POST", migrations(ns), {**migration(vmiName="guest"), "status": {"phase": "Succeeded"}})
    assert made.code == 201
    assert made.body["metadata"]["labels"] == {"kubevirt.io/vmi-name": "guest"}
    assert made.body["metadata"]["finalizers"] == ["kubevirt.io/migrationJobFinalize"]
    assert "status" not in made.body
    lab.admin("PATCH", f"{migrations(ns)}/move", {"metadata": {"finalizers": []}}, MERGE)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            {
                "conditions": [
                    {"type": "LiveMigratable", "status": "False", "reason": "NoReason", "message": "none"}
                ]
            },
            "Cannot migrate VMI, Reason: NoReason, Message: none",
        ),
        ({"phase": "Failed"}, "Cannot migrate VMI in finalized state."),
    ],
)
def test_a_vmi_that_cannot_migrate_is_refused(lab, ns, guest, status, words):
    guest(status)
    refused = lab.admin("POST", migrations(ns), migration(vmiName="guest"))
    assert (refused.code, refused.body["message"]) == (400, REFUSED + words)


def test_a_migration_of_no_vmi_is_refused(lab, ns):
    missing = lab.admin("POST", migrations(ns), migration(vmiName="guest"))
    assert (missing.code, missing.body["message"]) == (
        400,
        f'{REFUSED}the VMI "{ns}/guest" does not exist',
    )
    unnamed = lab.admin("POST", migrations(ns), migration())
    assert (unnamed.code, unnamed.body["message"]) == (422, f"{REFUSED}vmiName is missing")


def test_a_second_migration_is_refused_until_the_first_is_final(lab, ns, guest):
    first = lab.admin("POST", migrations(ns), migration(vmiName="guest"))
    second = lab.admin("POST", migrations(ns), migration("again", vmiName="guest"))
    words = (
        f"in-flight migration detected. Active migration job ({first.body['metadata']['uid']}) is currently already "
        "in progress for VMI guest."
    )
    assert (second.code, second.body["message"]) == (400, REFUSED + words)
    lab.admin("PATCH", f"{migrations(ns)}/move/status", {"status": {"phase": "Failed"}}, MERGE)
    assert lab.admin("POST", migrations(ns), migration("again", vmiName="guest")).code == 201
    for name in ("move", "again"):
        lab.admin("PATCH", f"{migrations(ns)}/{name}", {"metadata": {"finalizers": []}}, MERGE)


def test_the_spec_of_a_migration_cannot_be_changed(lab, ns, guest):
    lab.admin("POST", migrations(ns), migration(vmiName="guest"))
    changed = lab.admin("PATCH", f"{migrations(ns)}/move", {"spec": {"vmiName": "other"}}, MERGE)
    assert changed.code == 422
    assert "update of Migration object's spec is restricted" in changed.body["message"]
    lab.admin("PATCH", f"{migrations(ns)}/move", {"metadata": {"finalizers": []}}, MERGE)


@pytest.mark.parametrize(
    ("role", "may"), [("admin", False), ("edit", False), ("view", False), ("kubevirt.io:migrate", True)]
)
def test_only_the_role_for_migrations_may_migrate(lab, ns, guest, role, may):
    user = lab.user(f"{ns}-{role.replace(':', '-')}")
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "binding"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "name": f"{ns}-{role.replace(':', '-')}"}],
    }
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings"
    assert lab.admin("POST", path, binding).code == 201
    made = user("POST", f"{migrations(ns)}?dryRun=All", migration(vmiName="guest"))
    assert user("GET", migrations(ns)).code == 200
    if may:
        assert made.code == 201
    else:
        assert made.code == 403
        assert 'cannot create resource "virtualmachineinstancemigrations"' in made.body["message"]


def test_kubectl_shows_and_explains_migrations(lab, ns, guest, kubectl):
    lab.admin("POST", migrations(ns), migration(vmiName="guest"))
    lab.admin("PATCH", f"{migrations(ns)}/move/status", {"status": {"phase": "Running"}}, MERGE)
    table = kubectl("get", "vmim", "-n", ns).stdout.splitlines()
    assert table[0].split() == ["NAME", "PHASE", "VMI", "AGE"]
    assert table[1].split()[:3] == ["move", "Running", "guest"]
    assert "addedNodeSelector" in kubectl("explain", "vmim.spec").stdout
    lab.admin("PATCH", f"{migrations(ns)}/move", {"metadata": {"finalizers": []}}, MERGE)
