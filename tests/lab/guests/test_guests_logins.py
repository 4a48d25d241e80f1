"""Logins that need patience, another language or somebody's decision; and boot loaders before them. End to end."""

from __future__ import annotations

import pytest

LAB = """
guests: sim
nodes: [worker1, worker2]
seed: 6
time_scale: 20
boot: 200ms
networks:
  default/late: {}
  default/expired: {}
  default/loader: {}
  default/all: {}
faults:
  - {fault: password-late, network: default/late, node: worker1, after: 90s}
  - {fault: password-prompt, network: default/late, node: worker2}
  - {fault: password-expired, network: default/expired}
  - {fault: boot-loader, network: default/loader, after: 2m}
  - {fault: boot-loader, network: default/all, after: 2m}
  - {fault: password-late, network: default/all, after: 30s}
  - {fault: password-prompt, network: default/all, prompt: "Mot de passe : "}
"""
FEDORA = ("--kv-guest", "fedora", "--kv-nodes", "worker1:worker2")


@pytest.fixture(scope="module")
def late(measured):
    """One guest's password is set late, and the other asks for it in German."""
    return measured("late", args=FEDORA)["late worker1:worker2"]


@pytest.mark.edge_case(
    "E84",
    happens="The login is refused until cloud-init has set the password.",
    does="Tries again, at growing intervals, until the time of the login is over or cloud-init is done.",
)
def test_E84_a_password_that_cloud_init_sets_late_is_tried_again(late):
    assert (late["outcome"], late["received"]) == ("passed", 10)


@pytest.mark.edge_case(
    "E84",
    happens="The guest demands a new password at the first login.",
    does="Fails at once with the kind `guest`, and says how cloud-init is told not to:",
    says="requires a new password for 'fedora'",
)
def test_E84_a_forced_change_of_the_password_is_named_at_once(check, leftovers):
    run = check("expired", args=FEDORA)
    run.result.assert_outcomes(errors=1)
    assert run.only["failureKind"] == "guest"
    assert "requires a new password for 'fedora' at the first login" in run.only["failureReason"]
    assert (
        "You are required to change your password immediately (administrator enforced)."
        in run.only["failureReason"]
    )
    assert "chpasswd: {expire: false}" in run.stdout
    assert run.stdout.count("Current password: ") <= 4
    assert leftovers() == []


@pytest.mark.edge_case(
    "E84",
    happens="The prompt for the password is in another language.",
    does="Answers whatever ends in a colon after the user's name, and measures.",
)
def test_E84_a_prompt_in_another_language_is_answered(late):
    assert late["outcome"] == "passed"


def test_only_enter_is_typed_into_a_boot_loader_that_is_silent(check):
    run = check("loader", args=("--kv-nodes", "worker1:worker2"))
    run.result.assert_outcomes(passed=1)


def test_E84_all_of_them_at_once(check):
    run = check("all", args=FEDORA)
    run.result.assert_outcomes(passed=1)
