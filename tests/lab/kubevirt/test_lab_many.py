"""Many VMIs by many hands at once, against the lab as a process; and what it tells a client of itself."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import forking
import pytest
import urllib3
import yaml
from labtools import vmi

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.kube.client import KubeClient
from pytest_kvlatency.kube.clusterfacts import describe

VMIS = "/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances"
COUNT, HANDS, SECONDS = 40, 20, 120


@pytest.fixture
def lab(tmp_path):
    process = forking.lab("sim", tmp_path / "lab")
    yield process
    process.stop()


def test_many_vmis_by_many_hands(lab):
    token = yaml.safe_load(lab.kubeconfig.read_text())["users"][0]["user"]["token"]
    pool = urllib3.PoolManager(
        ca_certs=str(lab.directory / "ca.crt"), retries=False, timeout=SECONDS, maxsize=HANDS, block=True,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )  # fmt: skip
    base = lab.info["server"] + VMIS
    end = time.monotonic() + SECONDS

    def until(name, met):
        while True:
            answer = pool.request("GET", f"{base}/{name}")
            found = json.loads(answer.data) if answer.status == 200 else None
            if met(found):
                return found
            assert time.monotonic() < end, found
            time.sleep(0.1)

    def one(number):
        name = f"vmi-{number}"
        made = pool.request("POST", base, body=json.dumps(vmi(name)))
        assert made.status == 201, made.data
        ran = until(name, lambda it: it["status"]["phase"] not in {"Pending", "Scheduling", "Scheduled"})
        assert pool.request("DELETE", f"{base}/{name}").status == 200
        until(name, lambda it: it is None)
        return ran["status"]["phase"], ran["status"]["nodeName"]

    with ThreadPoolExecutor(HANDS) as hands:
        ended = list(hands.map(one, range(COUNT)))
    pool.clear()
    assert {phase for phase, _ in ended} == {"Running"}
    assert {node for _, node in ended} == {"worker1", "worker2", "worker3"}
    assert json.loads(urllib_get(lab, token, "/api/v1/namespaces/default/pods"))["items"] == []
    # Warnings and tracebacks would stand in between.
    assert [line.partition(":")[0] for line in lab.output.splitlines()] == ["guests", "kubeconfig"]


def urllib_get(lab, token, path):
    pool = urllib3.PoolManager(ca_certs=str(lab.directory / "ca.crt"), retries=False, timeout=SECONDS)
    answer = pool.request("GET", lab.info["server"] + path, headers={"Authorization": f"Bearer {token}"})
    pool.clear()
    return answer.data


def test_a_client_learns_that_it_is_a_lab_and_what_its_guests_are(lab):
    client = KubeClient.connect(kubeconfig=lab.kubeconfig)
    try:
        facts = describe(client, Deadline(SECONDS))
    finally:
        client.close()
    assert facts.lab == {"guests": "simulated guests", "timeScale": None}
    assert facts.kubevirt_version == "v1.6.2"
