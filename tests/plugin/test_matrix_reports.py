"""A mesh over four nodes with one slow link, from the command line to the terminal and the HTML report."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pytest_kvlatency.lab.process import LabProcess

LAB = """
guests: sim
nodes: 4
networks:
  default/blue-network: {latency: 100us}
links:
  - {between: [worker2, worker4], network: default/blue-network, latency: 60ms}
seed: 7
boot: 100ms
time_scale: 20
"""
ARGUMENTS = (
    "-p", "pytest_html", "-p", "pytest_metadata", "--kv-nad", "default/blue-network", "--kv-nodes", "mesh",
    "--kv-sample-duration", "1s", "--kv-max-latency", "100ms", "--html", "report.html", "--self-contained-html",
)  # fmt: skip


@pytest.fixture(scope="module")
def four_nodes(
    running_lab: Callable[[Path, str], AbstractContextManager[LabProcess]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    with running_lab(tmp_path_factory.mktemp("lab4"), LAB) as process:
        yield process.kubeconfig


@pytest.fixture
def run(pytester: pytest.Pytester, four_nodes: Path) -> pytest.RunResult:
    return pytester.runpytest_inprocess("--kv-kubeconfig", str(four_nodes), *ARGUMENTS)


def test_both_matrices_show_exactly_the_delayed_pair(
    run: pytest.RunResult, pytester: pytest.Pytester
) -> None:
    run.assert_outcomes(passed=5, failed=1)
    lines = run.outlines
    assert "default/blue-network: 4 nodes, 6 pairs: 5 ok, 1 over the limit" in lines
    start = next(n for n, line in enumerate(lines) if line.split() == [f"worker{n}" for n in range(1, 5)])
    rows = [line.split() for line in lines[start + 1 : start + 5]]
    over = {row[0]: cell for row in rows for cell in row[1:] if cell.endswith("!")}
    # Measured in one direction, which fills both cells.
    assert over["worker4"] == f"={over['worker2']}"
    assert sorted(over) == ["worker2", "worker4"]
    assert not any(line.startswith("worker") and "pairs" in line for line in lines), "no node stands out"

    text = (pytester.path / "report.html").read_text(encoding="utf-8")
    (section,) = re.findall(r'<section id="kv-matrix">.*?</section>', text, re.DOTALL)
    links = re.findall(r'<a href="#([\w-]+)" title="([^"]*)" aria-label="[^"]*">([^<]*)</a>', section)
    assert len(links) == 2 * 6
    assert {title.split(": ")[0] for _, title, value in links if "!" in value} == {
        "worker2 → worker4",
        "worker4 → worker2",
    }
    # Each link leads to a row of the table of results, which pytest-html keeps as JSON.
    (blob,) = re.findall(r'data-jsonblob="([^"]*)"', text)
    tests = json.loads(html.unescape(blob))["tests"]
    rows_by_anchor = {
        re.findall(r'id="(kv-[\w-]+)"', "".join(test["resultsTableRow"]))[0]: nodeid
        for nodeid, attempts in tests.items()
        for test in attempts
    }
    assert {anchor for anchor, _, _ in links} == set(rows_by_anchor)
    slow = next(anchor for anchor, _, value in links if "!" in value)
    assert rows_by_anchor[slow].endswith("worker2:worker4]")
    assert not re.search(r'(?:src|href)="https?:', section), "it opens offline"
