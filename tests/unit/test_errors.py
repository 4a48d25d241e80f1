"""The exceptions that users name in their own tests."""

from __future__ import annotations

import traceback
from concurrent.futures import Future

import pytest

import pytest_kvlatency
from pytest_kvlatency import errors
from pytest_kvlatency.config.problems import SettingsError
from pytest_kvlatency.config.sources import Problem
from pytest_kvlatency.errors import again
from pytest_kvlatency.kube.apierrors import ApiUnavailableError, KubeApiError
from pytest_kvlatency.threads import result_of


def test_every_cause_can_be_imported_from_the_package() -> None:
    causes = {
        name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)
    }
    assert causes <= set(pytest_kvlatency.__all__)
    assert all(getattr(pytest_kvlatency, name) is getattr(errors, name) for name in causes)


def repeated() -> KubeApiError:
    error = KubeApiError("no", status=409, api_reason="Conflict", message="busy", hint="wait")
    error.was_repeated = True
    return error


EVERY_SHAPE = [
    errors.ConfigError("no NAD", hint="make one", transcript="login:", stage="setup"),
    errors.ProvisionError("gone"),
    errors.LimitExceeded("too many lost", kind="loss", hint="look"),
    errors.CommandError(command="ls", exit_status=2, output="no such file"),
    errors.NoValue("p99 needs 100 samples"),
    SettingsError([Problem(text="no unit"), Problem(text="no pair")]),
    ApiUnavailableError("away", status=503, message="busy"),
    repeated(),
]


@pytest.mark.parametrize("error", EVERY_SHAPE, ids=lambda error: type(error).__name__)
def test_an_error_that_is_raised_again_is_equal_and_begins_anew(error: errors.KvLatencyError) -> None:
    with pytest.raises(type(error)):
        raise error from ValueError("the cause")
    fresh = again(error)
    assert type(fresh) is type(error)
    assert fresh is not error
    assert (str(fresh), fresh.args, vars(fresh)) == (str(error), error.args, vars(error))
    assert (fresh.kind, fresh.stage, fresh.hint) == (error.kind, error.stage, error.hint)
    assert fresh.__traceback__ is None
    assert fresh.__cause__ is None
    assert fresh.__context__ is None
    fresh.transcript = "of its own"
    assert error.transcript != "of its own"


class DemandingError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


@pytest.mark.parametrize(
    "error", [errors.ConfigError("shared"), KeyError("a mistake"), OSError(2, "no such file", "name")]
)
def test_a_failure_that_many_wait_for_costs_the_last_no_more_than_the_first(error: Exception) -> None:
    shared: Future[None] = Future()
    shared.set_exception(error)
    lengths, texts = set(), set()
    for _ in range(50):
        with pytest.raises(type(error)) as caught:
            result_of(shared)
        lengths.add(len(list(traceback.walk_tb(caught.value.__traceback__))))
        texts.add(str(caught.value))
        assert caught.value.__context__ is None
    assert len(lengths) == 1
    assert texts == {str(error)}


def test_a_mistake_keeps_the_place_where_it_was_made() -> None:
    def mistake() -> None:
        raise KeyError("a mistake")

    shared: Future[None] = Future()
    with pytest.raises(KeyError) as made:
        mistake()
    shared.set_exception(made.value)
    for _ in range(2):
        with pytest.raises(KeyError) as caught:
            result_of(shared)
        assert [one.name for one in caught.traceback][-1] == "mistake"


def test_an_error_that_cannot_be_copied_is_raised_itself() -> None:
    error = DemandingError("one", "two")
    assert again(error) is error
