"""JSON patch as the lab's API server applies it; all else about patches is tested on the server."""

import pytest

from pytest_kvlatency.lab.apiserver.patch import json_patch
from pytest_kvlatency.lab.apiserver.statuses import ApiError

DOCUMENT = {"flag": True, "one": 1, "list": ["a", "b"], "map": {"x": 1, "y": 2}}


def code_of(*operations):
    with pytest.raises(ApiError) as caught:
        json_patch(DOCUMENT, list(operations))
    return caught.value.code


@pytest.mark.parametrize(
    ("path", "value"), [("/flag", 1), ("/one", True), ("/one", 1.0), ("/map", {"x": True, "y": 2})]
)
def test_a_test_tells_true_from_one_as_json_does(path, value):
    assert code_of({"op": "test", "path": path, "value": value}) == 422


def test_a_test_takes_keys_in_any_order():
    operation = {"op": "test", "path": "/map", "value": {"y": 2, "x": 1}}
    assert json_patch(DOCUMENT, [operation]) == DOCUMENT


@pytest.mark.parametrize("index", ["²", "٣", "x", "-", "2", "9"])
def test_an_item_that_does_not_exist_is_refused(index):
    assert code_of({"op": "remove", "path": f"/list/{index}"}) == 422


@pytest.mark.parametrize(
    ("index", "expected"), [("0", ["z", "a", "b"]), ("01", ["a", "z", "b"]), ("-", ["a", "b", "z"])]
)
def test_an_index_is_read_as_the_api_server_reads_it(index, expected):
    assert json_patch(DOCUMENT, [{"op": "add", "path": f"/list/{index}", "value": "z"}])["list"] == expected


@pytest.mark.parametrize(
    "operation",
    [
        3,
        {"op": "add"},
        {"op": [], "path": "/one"},
        {"op": "swap", "path": "/one"},
        {"op": "add", "path": "one", "value": 1},
    ],
)
def test_what_is_no_operation_is_a_bad_request(operation):
    assert code_of(operation) == 400


def test_a_patch_that_fails_leaves_the_document_as_it_was():
    before = {"list": ["a"]}
    with pytest.raises(ApiError):
        json_patch(before, [{"op": "remove", "path": "/list/0"}, {"op": "remove", "path": "/none"}])
    assert before == {"list": ["a"]}
