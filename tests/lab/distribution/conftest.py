"""One lab of four nodes for all runs."""

from __future__ import annotations

from contextlib import contextmanager
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from administrator import Administrator
from xdistruns import LAB, Run, lab_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_kvlatency.lab.process import LabProcess


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabProcess]:
    with lab_of(LAB, tmp_path_factory.mktemp("lab")) as process:
        yield process


@pytest.fixture
def administrator(lab: LabProcess, tmp_path: Path) -> Administrator:
    return Administrator(lab, tmp_path, "default")


@contextmanager
def starting(lab: LabProcess, directory: Callable[[], Path]) -> Iterator[Callable[..., Run]]:
    """Start runs of a test file, and of other files ``beside`` it; in the end, stop those that go on."""
    runs: list[Run] = []

    def start(source: str, *arguments: str, is_asked: bool = True, **beside: str) -> Run:
        place = directory()
        for name, text in {"test_it": source, **beside}.items():
            (place / f"{name}.py").write_text(dedent(text), encoding="utf-8")
        runs.append(Run(lab, place, arguments, is_asked=is_asked))
        return runs[-1]

    yield start
    for one in runs:
        one.close()


@pytest.fixture
def run(lab: LabProcess, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    with starting(lab, lambda: tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def run_once(lab: LabProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Run]]:
    """Start runs that several tests look at."""
    with starting(lab, lambda: tmp_path_factory.mktemp("run")) as start:
        yield start
