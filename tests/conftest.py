"""What all tests share."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import documentschema
import pytest
from plain import needs, plain, plainly_installed

from pytest_kvlatency.report import document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest_plugins = ["pytester"]

# Where a script starts the tests in its background they ignore SIGINT, and so would every shell that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Every document that is made in a process of tests; those of other processes are read from their files below.
document.build = documentschema.checked(document.build)


#: Marks of few tests, each of which stands in the file of its tests.
_RARE_MARKS = ("once", "smoke")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Load no file of which ``-m`` asks for no test: collecting all takes longer than those few."""
    mark = config.option.markexpr
    if mark not in _RARE_MARKS or not collection_path.match("test_*.py"):
        return None
    return f"mark.{mark}" not in collection_path.read_text(encoding="utf-8") or None


@pytest.hookimpl(hookwrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Let one worker after the other collect: the first compiles the tests, and the others load what it compiled."""
    if not hasattr(session.config, "workerinput"):
        yield
        return
    environment = os.open(sys.prefix, os.O_RDONLY)
    try:
        fcntl.flock(environment, fcntl.LOCK_EX)
        yield
    finally:
        os.close(environment)


def pytest_collection_finish() -> None:
    """Leave what was collected out of every later collection of garbage: it stays until the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def pytester(
    pytester: pytest.Pytester, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    """Let its runs find the plugins of a plain installation, and those that an option or the mark ``keeps`` names."""
    kept = [name for mark in request.node.iter_markers("keeps") for name in mark.args]
    run_here, run_apart = pytester.inline_run, pytester.run

    @contextlib.contextmanager
    def environment(arguments: tuple[Any, ...]) -> Iterator[None]:
        with monkeypatch.context() as patch:
            for name, value in plain(*kept, arguments=arguments).items():
                patch.setenv(name, f"{value} {os.environ.get(name, '')}")
            yield

    def inline_run(*arguments: Any, **more: Any) -> Any:
        found = plainly_installed(*kept, arguments=arguments)
        # Workers are processes of their own.
        with found, environment(arguments) if needs("xdist", arguments) else contextlib.nullcontext():
            return run_here(*arguments, **more)

    def run(*command: Any, **more: Any) -> Any:
        with environment(command):
            return run_apart(*command, **more)

    monkeypatch.setattr(pytester, "inline_run", inline_run)
    monkeypatch.setattr(pytester, "run", run)
    return pytester


#: The directories that have been looked through.
_CHECKED: set[Path] = set()


@pytest.fixture(autouse=True, scope="session")
def documents_of_shared_runs_match_their_schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hold every document of runs that several tests look at to the schema, once all tests are over."""
    yield
    for path in tmp_path_factory.getbasetemp().iterdir():
        if path not in _CHECKED and path.is_dir() and not path.is_symlink():
            documentschema.check_files(path)


@pytest.fixture(autouse=True)
def documents_match_their_schema(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold every document that a test or its runs wrote to its directory to the schema."""
    path = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if path is not None:
        _CHECKED.add(path)
        documentschema.check_files(path)
