"""Faults of the API, each where and as often as it should be."""

from __future__ import annotations

import time

import pytest
import urllib3

from pytest_kvlatency.lab.apiserver.faultgate import seconds
from pytest_kvlatency.lab.spec.labspec import FaultSpec

from .helpers import MERGE, cms, config_map, vmi, vmis


def _fault(name, **more):
    return FaultSpec(fault=name, parameters=more.pop("parameters", {}), **more)


def test_E62_errors_come_as_often_as_asked_and_only_where(start):
    parameters = {"code": 429, "verb": "get", "resource": "configmaps", "retry_after": 1}
    lab = start(faults=[_fault("api-error", times=2, parameters=parameters)])
    assert lab.admin("POST", cms("default"), config_map()).code == 201
    for _ in range(2):
        refused = lab.admin("GET", f"{cms('default')}/a")
        assert (refused.code, refused.body["reason"]) == (429, "TooManyRequests")
        assert (refused.headers["Retry-After"], refused.body["details"]["retryAfterSeconds"]) == ("1", 1)
    assert lab.admin("GET", f"{cms('default')}/a").code == 200


def test_the_labs_own_part_is_spared(start):
    lab = start(faults=[_fault("api-error", parameters={"code": 500})])
    own = lab.user("system:kubevirt", "system:masters")
    assert own("GET", cms("default")).code == 200
    assert lab.user("eve")("GET", "/apis/kubevirt.io/v1/kubevirts").code == 500


def test_E57_a_conflict_as_if_someone_was_faster(start):
    lab = start(faults=[_fault("api-conflict", times=1, parameters={"resource": "configmaps"})])
    lab.admin("POST", cms("default"), config_map())
    patch = {"data": {"a": "b"}}
    refused = lab.admin("PATCH", f"{cms('default')}/a", patch, MERGE)
    assert (refused.code, refused.body["reason"]) == (409, "Conflict")
    assert lab.admin("PATCH", f"{cms('default')}/a", patch, MERGE).code == 200


def test_E62_a_reset_instead_of_an_answer(start):
    lab = start(faults=[_fault("api-reset", times=1, parameters={"verb": "create"})])
    with pytest.raises(urllib3.exceptions.ProtocolError):
        lab.admin("POST", cms("default"), config_map())
    assert lab.audit()[-1]["code"] == 0
    assert lab.admin("POST", cms("default"), config_map()).code == 201


def test_E62_a_restart_ends_every_connection_then_denies_and_then_is_over(start):
    parameters = {"verb": "create", "resource": "configmaps", "down": "300ms", "denies": "4s"}
    lab = start(faults=[_fault("api-restart", parameters=parameters)])
    user = lab.client(lab.plane._authenticator.mint("eve", []))
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "eve"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "eve"}],
    }
    assert lab.admin("POST", f"/apis/{group}/v1/clusterrolebindings", binding).code == 201
    watch = user.events(f"{vmis('default')}?watch=true")
    lab.admin("POST", vmis("default"), vmi())
    assert next(watch)["type"] == "ADDED"
    with pytest.raises(urllib3.exceptions.ProtocolError):
        user("POST", cms("default"), config_map())
    with pytest.raises(urllib3.exceptions.ProtocolError):
        list(watch)

    def until(code):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                answer = user("GET", cms("default"))
            except urllib3.exceptions.ProtocolError:
                pass
            else:
                if answer.code == code:
                    return answer
            time.sleep(0.05)
        raise AssertionError(f"{code} never came")

    assert 'User "eve" cannot list resource "configmaps"' in until(403).body["message"]
    assert lab.admin("GET", cms("default")).code == 200, "administrators need no role"
    until(200)
    assert user("POST", cms("default"), config_map()).code == 201, "once, unless `times` says more"


def test_E62_a_slow_answer_still_comes(start):
    lab = start(faults=[_fault("api-slow", times=1, parameters={"delay": "300ms"})])
    began = time.monotonic()
    assert lab.admin("GET", cms("default")).code == 200
    assert time.monotonic() - began >= 0.3


def test_E52_quota_refuses_a_vmi(start):
    lab = start(faults=[_fault("quota", vmi="bad-*")])
    assert lab.admin("POST", vmis("default"), vmi("good")).code == 201
    refused = lab.admin("POST", vmis("default"), vmi("bad-1"))
    assert (refused.code, refused.body["reason"]) == (403, "Forbidden")
    assert (
        'virtualmachineinstances.kubevirt.io "bad-1" is forbidden: exceeded quota: '
        in refused.body["message"]
    )


def test_E71_a_mac_address_that_is_taken(start):
    lab = start(faults=[_fault("mac-collision", times=1)])
    refused = lab.admin("POST", vmis("default"), vmi())
    assert "kubemacpool" in refused.body["message"]
    assert "failed to allocate requested mac address" in refused.body["message"]
    assert lab.admin("POST", vmis("default"), vmi()).code == 201


def test_E53_kubevirt_or_multus_may_be_missing(start):
    lab = start(faults=[_fault("kubevirt-missing"), _fault("nad-api-missing")])
    assert lab.admin("POST", vmis("default"), vmi()).body == "404 page not found\n"
    assert lab.admin("GET", "/apis/kubevirt.io").code == 404
    assert lab.admin("GET", "/apis/k8s.cni.cncf.io/v1").code == 404
    names = {group["name"] for group in lab.admin("GET", "/apis").body["groups"]}
    assert not names & {"kubevirt.io", "k8s.cni.cncf.io"}


def test_faults_may_begin_later(start):
    lab = start(faults=[_fault("api-error", after_seconds=3600.0)])
    assert lab.admin("GET", cms("default")).code == 200


@pytest.mark.parametrize(("text", "value"), [("2s", 2.0), ("1m500ms", 60.5), (0.25, 0.25)])
def test_durations(text, value):
    assert seconds(text) == pytest.approx(value)


def test_a_wrong_delay_is_said_at_once(tmp_path, start):
    with pytest.raises(ValueError, match="'soon' is not a duration"):
        start(faults=[_fault("api-slow", parameters={"delay": "soon"})])
