"""What the machine gives no more of, told from everything else that can go wrong."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.shortage import shortage, told

THREADS = RuntimeError("can't start new thread")
FILES = OSError(errno.EMFILE, os.strerror(errno.EMFILE), "/some/file")


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FILES, "too many open files: the limit of this process is "),
        (OSError(errno.ENFILE, "x"), "too many open files on this machine"),
        (caused(ValueError("no connection"), FILES), "too many open files"),
        (THREADS, "this process cannot start more threads"),
    ],
)
def test_a_limit_of_the_machine_is_a_cause_with_the_way_out(error: Exception, words: str) -> None:
    found = shortage(error)
    assert found is not None
    assert found.reason.startswith(words)
    assert found.failure_reason.startswith("setup: ")
    assert "--kv-parallel" in found.hint


@pytest.mark.parametrize("error", [OSError(errno.ECONNREFUSED, "x"), RuntimeError("x"), ValueError("x")])
def test_whatever_else_goes_wrong_stays_what_it_is(error: Exception) -> None:
    assert shortage(error) is None
    with pytest.raises(type(error)) as caught, told():
        raise error
    assert caught.value is error


def test_what_comes_of_a_limit_is_raised_as_the_cause() -> None:
    with pytest.raises(ConfigError, match="too many open files") as caught, told():
        raise FILES
    assert caught.value.__suppress_context__


AT_ONCE = """
import resource
from pytest_kvlatency.engine.consoles import most_open
for limit in (12, 64, 256, 1024, 4096):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, 4096))
    print(most_open())
"""


def test_fewer_consoles_are_open_at_once_where_fewer_files_may_be() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE], timeout=60, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["2", "8", "72", "100", "100"]
