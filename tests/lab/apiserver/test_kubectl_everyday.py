"""kubectl over time: watching, editing, applying again, waiting for an end."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from operator import itemgetter

import pytest
import yaml

from .helpers import MERGE, cms, config_map, vmis

MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, labels: {a: b}}\ndata: {one: '1', two: '2'}\n"
VMI = """
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: {name: v, labels: {team: red}}
spec:
  domain: {devices: {interfaces: [{name: net, bridge: {}}]}, resources: {requests: {memory: 128Mi}}}
  networks: [{name: net, multus: {networkName: default/blue-network}}]
"""
SECONDS = 100


@pytest.fixture
def watching(lab):
    """``watching(…)`` starts a kubectl that goes on; it is ended with the test."""
    started = []

    def start(*args):
        command = ["kubectl", f"--kubeconfig={lab.plane.kubeconfig}", *args]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=lab.kubectls
        )
        timer = threading.Timer(SECONDS, process.kill)
        timer.start()
        started.append((process, timer))
        return process

    yield start
    for process, timer in started:
        timer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


def test_get_watch_shows_each_change_under_one_heading(kubectl, ns, watching):
    kubectl("apply", "-n", ns, "-f", "-", stdin=VMI)
    process = watching("get", "vmi", "-n", ns, "-w")
    assert process.stdout.readline().split() == ["NAME", "PHASE", "IP", "NODENAME", "READY", "AGE"]
    assert process.stdout.readline().split()[0] == "v"
    for phase in ("Scheduling", "Running"):
        patch = json.dumps({"status": {"phase": phase, "nodeName": "worker1"}})
        kubectl("patch", "vmi", "v", "-n", ns, "--type=merge", "-p", patch)
        assert process.stdout.readline().split()[:3] == ["v", phase, "worker1"]
    kubectl("delete", "vmi", "v", "-n", ns)
    assert process.stdout.readline().split()[:2] == ["v", "Running"]


@pytest.mark.usefixtures("kubectl")
@pytest.mark.parametrize("output", ["json", "yaml", "name", "custom-columns=N:.metadata.name"])
def test_get_watch_in_other_forms(lab, ns, watching, output):
    lab.admin("POST", cms(ns), config_map("c"))
    process = watching("get", "cm", "c", "-n", ns, "--watch-only", "-o", output, "--output-watch-events")
    again = watching("get", "cm", "c", "-n", ns, "-w", "-o", output)
    assert again.stdout.readline()
    # A watch has begun when it shows what is there; one that shows only changes is given them until it does.
    shown = threading.Event()

    def change():
        number = 0
        while not shown.wait(0.1):
            number += 1
            lab.admin("PATCH", f"{cms(ns)}/c", {"data": {"note": str(number)}}, MERGE)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        assert process.stdout.readline()
    finally:
        shown.set()
        thread.join()


@pytest.mark.usefixtures("kubectl")
@pytest.mark.parametrize(
    ("where", "manifest", "what", "old", "new", "look", "expected"),
    [
        (cms, MAP, "cm/c", "one: '1'", "one: '7'", itemgetter("data"), {"one": "7", "two": "2"}),
        (cms, MAP, "cm/c", "one: '1'", "", itemgetter("data"), {"two": "2"}),
        (
            vmis,
            VMI,
            "vmi/v",
            "team: red",
            "team: blue",
            lambda it: it["metadata"]["labels"],
            {"team": "blue"},
        ),
    ],
)
def test_edit(lab, ns, where, manifest, what, old, new, look, expected):
    assert lab.admin("POST", where(ns), yaml.safe_load(manifest)).code == 201
    helper = lab.plane.directory / "editor.py"
    helper.write_text(
        "import sys, pathlib\n"
        "path = pathlib.Path(sys.argv[1])\n"
        f"text = path.read_text().replace('\"', \"'\")\n"
        f"path.write_text(text.replace({old!r}, {new!r}))\n"
    )
    environment = {**lab.kubectls, "KUBE_EDITOR": f"{sys.executable} -IS {helper}"}
    command = ["kubectl", f"--kubeconfig={lab.plane.kubeconfig}", "edit", "-n", ns, what]
    done = subprocess.run(
        command, env=environment, check=False, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.stdout.endswith(" edited\n"), done
    assert look(lab.admin("GET", f"{where(ns)}/{what.partition('/')[2]}").body) == expected


def test_apply_again_removes_what_is_no_longer_in_the_file(kubectl, ns):
    kubectl("apply", "-n", ns, "-f", "-", stdin=MAP)
    kubectl("patch", "cm", "c", "-n", ns, "-p", '{"data":{"someone-elses":"x"}}')
    changed = MAP.replace(", two: '2'", "").replace(", labels: {a: b}", "")
    assert kubectl("apply", "-n", ns, "-f", "-", stdin=changed).stdout == "configmap/c configured\n"
    shown = json.loads(kubectl("get", "cm", "c", "-n", ns, "-o", "json").stdout)
    assert shown["data"] == {"one": "1", "someone-elses": "x"}
    assert "labels" not in shown["metadata"]
    assert kubectl("apply", "-n", ns, "-f", "-", stdin=changed).stdout == "configmap/c unchanged\n"


def test_apply_again_on_a_custom_resource(kubectl, ns):
    unlabelled = VMI.replace(", labels: {team: red}", "")
    kubectl("apply", "-n", ns, "-f", "-", stdin=VMI)
    assert "configured" in kubectl("apply", "-n", ns, "-f", "-", stdin=unlabelled).stdout
    assert kubectl("get", "vmi", "v", "-n", ns, "-o", "jsonpath={.metadata.labels}").stdout == ""


def test_wait_for_a_deletion(kubectl, ns, watching):
    kubectl("apply", "-n", ns, "-f", "-", stdin=MAP)
    waiting = watching("wait", "cm/c", "-n", ns, "--for=delete", "--timeout=60s")
    kubectl("delete", "cm", "c", "-n", ns)
    output = waiting.communicate()[0]
    assert waiting.returncode == 0, output
    nothing = kubectl("wait", "cm/c", "-n", ns, "--for=delete", "--timeout=60s", check=False)
    assert nothing.returncode == 0, nothing


def test_delete_a_namespace_with_all_that_is_in_it(kubectl, ns):
    kubectl("create", "ns", f"{ns}-more")
    kubectl("apply", "-n", f"{ns}-more", "-f", "-", stdin=f"{MAP}---{VMI}")
    assert "deleted" in kubectl("delete", "ns", f"{ns}-more", "--timeout=60s").stdout
    assert "NotFound" in kubectl("get", "ns", f"{ns}-more", check=False).stderr
    assert kubectl("get", "cm,vmi", "-n", f"{ns}-more").stdout == ""


@pytest.mark.parametrize("strictness", ["strict", "warn", "ignore"])
def test_field_validation_is_accepted(kubectl, ns, strictness):
    kubectl("create", "-n", ns, f"--validate={strictness}", "-f", "-", stdin=MAP)
