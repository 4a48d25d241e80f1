"""Guests that are kept: somebody can sit down at their consoles, whatever ended the run."""

from __future__ import annotations

import re
import signal

import pytest
from virtctl import check_usable

from pytest_kvlatency.kube import paths

NAMESPACE = "checks"
PAIR = ("--kv-nodes", "worker1:worker2")
LONG = ("--kv-sample-duration", "20m", "--kv-timeout", "40m")
ALIKE = """
from dataclasses import replace

from pytest_kvlatency.guest.profiles import FEDORA

def pytest_kvlatency_guest_profiles():
    return [replace(FEDORA, name="mine")]
"""


@pytest.fixture
def kept(cluster):
    """Look at the consoles of the VMIs that are left, and remove these."""

    def look():
        names = cluster.vmis()
        try:
            for name in names:
                check_usable(cluster.admin, NAMESPACE, name)
        finally:
            for name in names:
                cluster.request("DELETE", paths.vmi(NAMESPACE, name))
        return names

    return look


#: How the run says that a person logs in, by guest profile; the password of one that a hook registered is not printed.
LOGINS = {
    "alpine": "user root, no password",
    "fedora": "user fedora, password fedora",
    "mine": "user fedora, with the password of guest profile 'mine'",
}


def test_a_finished_run_leaves_consoles_that_a_person_can_use(cluster, run, kept, tmp_path):
    (tmp_path / "conftest.py").write_text(ALIKE, encoding="utf-8")
    test = "@pytest.mark.kvlatency(guest={0!r})\ndef test_{0}(kv_latency): pass\n"
    (tmp_path / "test_own.py").write_text("import pytest\n" + "".join(map(test.format, LOGINS)))
    done = run(
        cluster, "--kv-nad", "checks/blue-network", *PAIR, "--kv-keep", "always", "--kv-sample-duration", "1s"
    )
    assert done.status == 0, done.output
    left = []
    for one, words in zip(done.document["measurements"], LOGINS.values(), strict=True):
        for name in (one["sourceVmi"], one["targetVmi"]):
            line = f"kept VMI checks/{name}: virtctl console -n checks {name} ({words}; to delete it: kubectl delete vmi"
            assert line in done.output
            left.append(name)
    assert sorted(kept()) == sorted(left)


def test_E72_a_run_that_is_stopped_while_it_pings_leaves_such_consoles_too(cluster, start, kept):
    name = cluster.make_configmap("blue-network")
    checkup = start(
        cluster, "--kv-configmap", f"checks/{name}", *PAIR, "--kv-keep", "failed", "-p", "patient", *LONG
    )
    checkup.until(" pinging")
    checkup.send(signal.SIGINT)
    cluster.until_configmap(name, lambda status: "completionTimestamp" in status)
    assert checkup.end() == 2
    assert len(kept()) == 2


def test_a_bring_up_that_fails_after_the_login_leaves_such_consoles_too(cluster, run, kept):
    done = run(cluster, "--kv-nad", "checks/taken-network", *PAIR, "--kv-keep", "failed")
    assert done.status == 1
    assert "are already in use on this network" in done.output
    # The first guest that fails decides the check. The other is kept too, unless it was still on its way.
    names = kept()
    assert sorted(re.findall("kept VMI checks/([^:]+):", done.output)) == sorted(names)
    assert names


def test_a_guest_that_hears_nothing_does_not_delay_the_end(cluster, start):
    name = cluster.make_configmap("boot-network")
    checkup = start(cluster, "--kv-configmap", f"checks/{name}", *PAIR, "--kv-keep", "always")
    checkup.until(" booting")
    checkup.send(signal.SIGTERM)
    cluster.until_configmap(name, lambda status: "completionTimestamp" in status)
    assert checkup.end() == 2
    for vmi in cluster.vmis():
        cluster.request("DELETE", paths.vmi(NAMESPACE, vmi))
