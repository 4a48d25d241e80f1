"""What a run lacks permission for is asked once, after the first denial; and told as it is where that cannot be."""

from __future__ import annotations

import pytest
from kubescript import status_object

from pytest_kvlatency.errors import PermissionDeniedError
from pytest_kvlatency.kube.reviews import needed

VMIS = "/apis/kubevirt.io/v1/namespaces/checks/virtualmachineinstances"
REVIEWS = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
GRANTED, REFUSED = {"status": {"allowed": True}}, {"status": {"allowed": False}}


def denied(verb, resource="virtualmachineinstances", group="kubevirt.io"):
    message = (
        f'{resource} is forbidden: User "jane" cannot {verb} resource "{resource}" in API group "{group}" in the '
        'namespace "checks"'
    )
    return status_object(403, "Forbidden", message)


@pytest.fixture(autouse=True)
def _rules(client):
    client.rules.need(needed("checks", ["nets"]))


def refused(client, deadline, method="GET", path=f"{VMIS}/x"):
    with pytest.raises(PermissionDeniedError) as caught:
        client.request(method, path, body=None if method == "GET" else {}, deadline=deadline)
    return caught.value


def test_E54_all_that_is_missing_is_one_reason_that_is_asked_for_once(server, client, deadline):
    server.answer(REVIEWS, REFUSED)
    server.answer(f"GET {VMIS}/x", denied("get"))
    server.answer(f"DELETE {VMIS}/y", denied("delete"))
    first, second = refused(client, deadline), refused(client, deadline, "DELETE", f"{VMIS}/y")
    assert (
        first.reason
        == second.reason
        == (
            "jane may not get, create, delete virtualmachineinstances.kubevirt.io in namespace checks; "
            "get virtualmachineinstances.subresources.kubevirt.io/console in namespace checks; "
            "get network-attachment-definitions.k8s.cni.cncf.io in namespace nets"
        )
    )
    assert first.hint.count("kind: RoleBinding") == 2, "one for each namespace"
    assert len([one for one in server.asked() if one == REVIEWS]) == 5


def test_E54_a_rule_that_no_run_needs_asks_for_no_others(server, client, deadline):
    server.answer("GET /api/v1/namespaces/checks/pods", denied("list", "pods", ""))
    found = refused(client, deadline, path="/api/v1/namespaces/checks/pods")
    assert found.reason == "jane may not list pods in namespace checks"
    assert server.asked("POST") == []


@pytest.mark.parametrize(
    "answer",
    [denied("create", "selfsubjectaccessreviews", "authorization.k8s.io"), GRANTED],
    ids=["refused", "granted"],
)
def test_E54_a_denial_that_the_reviews_do_not_explain_is_told_alone(server, client, deadline, answer):
    server.answer(REVIEWS, answer)
    server.answer(f"GET {VMIS}/x", denied("get"))
    assert (
        refused(client, deadline).reason
        == "jane may not get virtualmachineinstances.kubevirt.io x in namespace checks"
    )


def test_E54_a_rule_that_is_taken_away_later_is_asked_for_again(server, client, deadline):
    server.answer(REVIEWS, GRANTED)
    server.answer(f"GET {VMIS}/x", denied("get"))
    refused(client, deadline)
    server.answer(REVIEWS, REFUSED)
    assert refused(client, deadline).reason.startswith("jane may not get, create, delete ")


def test_E54_an_account_that_may_do_nothing_is_not_asked_for_as_anonymous(server, client, deadline):
    message = 'x is forbidden: User "system:anonymous" cannot get resource "virtualmachineinstances" in API group ""'
    server.answer(f"GET {VMIS}/x", status_object(403, "Forbidden", message))
    assert "anonymous request" in refused(client, deadline).reason
    assert server.asked("POST") == []
