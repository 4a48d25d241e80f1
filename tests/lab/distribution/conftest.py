"""One lab of four nodes for all runs."""

from __future__ import annotations

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


@pytest.fixture
def run(lab: LabProcess, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(source: str, *arguments: str, is_asked: bool = True) -> Run:
        lines = source.splitlines()
        indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
        (tmp_path / "test_it.py").write_text("\n".join(line[indent:] for line in lines), encoding="utf-8")
        runs.append(Run(lab, tmp_path, arguments, is_asked=is_asked))
        return runs[-1]

    yield start
    for one in runs:
        one.close()
