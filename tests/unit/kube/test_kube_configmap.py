from __future__ import annotations

import pytest
from kubescript import status_object

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.kube.apierrors import (
    ConfigMapImmutableError,
    ConfigMapMissingError,
    ConfigMapTooLargeError,
)
from pytest_kvlatency.kube.configmap import ConfigMapData, ConfigMaps
from pytest_kvlatency.model import ConfigMapRef

REF = ConfigMapRef(namespace="checks", name="checkup")
PATH = "/api/v1/namespaces/checks/configmaps/checkup"
FORBIDDEN = status_object(
    403, "Forbidden", 'configmaps "checkup" is forbidden: User "sa" cannot patch resource'
)


def configmap(version="1", uid="u", **more):
    return {
        "kind": "ConfigMap",
        "metadata": {"name": "checkup", "uid": uid, "resourceVersion": version},
        "data": {"spec.timeout": "5m", "status.result.old": "1"},
        **more,
    }


@pytest.fixture
def maps(client):
    return ConfigMaps(client)


def test_a_patch_holds_only_what_changes(server, maps, deadline):
    server.answer(f"GET {PATH}", configmap())
    server.answer(f"PATCH {PATH}", configmap("2"))
    last = maps.read(REF, deadline)
    maps.write_status(last, {"status.succeeded": "true", "status.result.old": None}, deadline)
    assert server.seen[-1].headers["Content-Type"] == "application/merge-patch+json"
    assert server.seen[-1].body == {
        "metadata": {"uid": "u"},
        "data": {"status.succeeded": "true", "status.result.old": None},
    }


def test_E57_without_patch_an_update_reads_again_on_a_conflict(server, maps, deadline):
    other = configmap("5")
    other["data"] = {"spec.timeout": "9m", "status.result.old": "1", "somebody": "else"}
    server.answer(f"GET {PATH}", configmap(), other)
    server.answer(f"PATCH {PATH}", FORBIDDEN)
    server.answer(f"PUT {PATH}", status_object(409, "Conflict", "modified"), configmap("6"))
    last = maps.read(REF, deadline)
    maps.write_status(last, {"status.succeeded": "true", "status.result.old": None}, deadline)
    sent = server.seen[-1].body
    assert sent["metadata"]["resourceVersion"] == "5"
    assert sent["data"] == {"spec.timeout": "9m", "somebody": "else", "status.succeeded": "true"}
    maps.write_status(last, {"status.succeeded": "true"}, deadline)
    assert len(server.asked("PATCH")) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (status_object(404, "NotFound", "x", name="checkup"), ConfigMapMissingError),
        (status_object(413, "RequestEntityTooLarge", "x"), ConfigMapTooLargeError),
        (
            status_object(422, "Invalid", "[]: Too long: must have at most 1048576 bytes"),
            ConfigMapTooLargeError,
        ),
        (
            status_object(422, "Invalid", "field is immutable when `immutable` is set"),
            ConfigMapImmutableError,
        ),
    ],
)
def test_E57_what_cannot_be_written_is_typed(server, maps, deadline, answer, error):
    server.answer(f"GET {PATH}", configmap())
    server.answer(f"PATCH {PATH}", answer)
    with pytest.raises(error) as caught:
        maps.write_status(maps.read(REF, deadline), {"status.succeeded": "true"}, deadline)
    assert isinstance(caught.value, ConfigError)


def test_E57_a_patch_that_meets_the_changes_of_others_is_tried_again(server, maps, deadline):
    conflict = status_object(409, "Conflict", "the object has been modified")
    server.answer(f"GET {PATH}", configmap())
    server.answer(f"PATCH {PATH}", conflict, conflict, configmap("3"))
    maps.write_status(maps.read(REF, deadline), {"status.succeeded": "true"}, deadline)
    assert len(server.asked("PATCH")) == 3


def test_E57_a_patch_does_not_reach_one_made_anew(server, maps, deadline):
    server.answer(f"GET {PATH}", configmap(), configmap("9", uid="other"))
    server.answer(f"PATCH {PATH}", status_object(409, "Conflict", "Precondition failed: UID"))
    with pytest.raises(ConfigMapMissingError, match="was deleted and recreated"):
        maps.write_status(maps.read(REF, deadline), {"status.succeeded": "true"}, deadline)
    assert len(server.asked("PATCH")) == 1


def test_E57_one_made_anew_is_not_written_to(server, maps, deadline):
    server.answer(f"GET {PATH}", configmap(), configmap("9", uid="other"))
    server.answer(f"PATCH {PATH}", FORBIDDEN)
    server.answer(f"PUT {PATH}", status_object(409, "Conflict", "modified"))
    with pytest.raises(ConfigMapMissingError, match="was deleted and recreated"):
        maps.write_status(maps.read(REF, deadline), {"status.succeeded": "true"}, deadline)


def test_E57_immutable_is_known_before_writing(server, maps, deadline):
    server.answer(f"GET {PATH}", configmap(immutable=True))
    with pytest.raises(ConfigMapImmutableError):
        maps.write_status(maps.read(REF, deadline), {"status.succeeded": "true"}, deadline)
    assert server.asked("PATCH") == []


def test_E57_no_data_is_empty_and_missing_is_told(server, maps, deadline):
    server.answer(f"GET {PATH}", configmap(data=None), status_object(404, "NotFound", "x", name="checkup"))
    assert maps.read(REF, deadline).data == {}
    with pytest.raises(ConfigMapMissingError, match="checks/checkup does not exist"):
        maps.read(REF, deadline)


def test_only_status_keys_can_be_written(server, maps, deadline):
    server.answer(f"GET {PATH}", configmap())
    with pytest.raises(ValueError, match=r"spec\.timeout"):
        maps.write_status(maps.read(REF, deadline), {"spec.timeout": "1s"}, deadline)


@pytest.mark.parametrize("is_done", [True, False])
def test_E78_what_others_changed_is_judged_before_it_is_written_to(server, maps, deadline, is_done):
    conflict = status_object(409, "Conflict", "the object has been modified")
    server.answer(f"GET {PATH}", configmap("1"), configmap("5"))
    server.answer(f"PATCH {PATH}", conflict, configmap("6"))
    last = maps.read(REF, deadline)
    judged = []

    def judge(current):
        judged.append(current.resource_version)
        return is_done

    written = maps.write_status(last, {"status.succeeded": "true"}, deadline, judge=judge, manager="me")
    sent = [one for one in server.seen if one.method == "PATCH"]
    assert judged == ["5"]
    assert [one.body["metadata"]["resourceVersion"] for one in sent] == (["1"] if is_done else ["1", "5"])
    assert all(one.path == f"{PATH}?fieldManager=me" for one in sent)
    assert written.resource_version == ("5" if is_done else "6")


def test_E78_the_owners_of_a_key_are_read():
    entry = {"manager": "me", "fieldsV1": {"f:data": {"f:status.succeeded": {}}}}
    fields = {"f:metadata": {}}
    whole = {"metadata": {"managedFields": [entry, {"manager": "other", "fieldsV1": fields}]}}
    data = ConfigMapData(ref=REF, data={}, uid="u", resource_version="1", whole=whole)
    assert data.owners("status.succeeded") == {"me"}
    assert data.owners("status.startTimestamp") == set()
