"""Shards of one plan, against the lab: run one after the other and merged they are the whole plan."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kvlatency.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Checkup

MESH = ("--kv-nad", "default/blue-network", "--kv-nodes", "mesh", "--kv-sample-duration", "1s")
NODES = ("--kv-node-set", "worker1,worker2,worker3")
COLLECT = ("--collect-only", "-q")


@pytest.fixture(autouse=True)
def no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JOB_COMPLETION_INDEX", "KVLATENCY_SHARDS"):
        monkeypatch.delenv(name, raising=False)


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def measured(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    return sorted((entry["nodeid"], entry["nodes"], entry["outcome"]) for entry in document["measurements"])


def test_three_shards_merged_are_the_whole_plan(checkup: Checkup) -> None:
    directory = checkup.pytester.path
    assert checkup.run(*MESH, "--kv-json", "whole.json").ret == 0
    guests: dict[str, set[str]] = {}
    for index in range(3):
        result = checkup.run(*MESH, "--kv-shard", f"{index}/3", "--kv-json", f"{index}.json")
        assert result.ret == 0
        result.assert_outcomes(passed=1, deselected=2)
        result.stdout.fnmatch_lines([f"kvlatency: shard {index}/3 has 1 of 3 pairs (plan *)"])
        document = read(directory / f"{index}.json")
        assert document["plan"]["shard"] == f"{index}/3"
        for entry in document["measurements"]:
            for side in ("source", "target"):
                guests.setdefault(entry[f"{side}Address"], set()).add(entry[f"{side}Vmi"])
    assert all(len(vmis) == 1 for vmis in guests.values())
    assert len({address.rpartition(".")[0] for address in guests}) == 1
    assert (
        main(["merge", *(str(directory / f"{index}.json") for index in (2, 0, 1)), "--json", "all.json"]) == 0
    )
    whole, merged = read(directory / "whole.json"), read(directory / "all.json")
    assert measured(merged) == measured(whole)
    assert merged["plan"] == whole["plan"]
    assert merged["cluster"] == whole["cluster"]


def test_an_empty_shard_passes_and_writes_its_document(checkup: Checkup) -> None:
    counts = []
    for index in range(3):
        arguments = (
            "--kv-nad",
            "default/blue-network",
            "--kv-nodes",
            "worker1:worker2",
            "--kv-sample-duration",
            "1s",
        )
        result = checkup.run(*arguments, "--kv-shard", f"{index}/3", "--kv-json", f"{index}.json")
        assert result.ret == 0
        document = read(checkup.pytester.path / f"{index}.json")
        assert document["succeeded"] is True
        counts.append(len(document["measurements"]))
        if not counts[-1]:
            result.stdout.fnmatch_lines(["*1 deselected*", "kvlatency: shard * has 0 of 1 pairs*"])
    assert sorted(counts) == [0, 0, 1]


def test_a_selection_that_leaves_nothing_is_no_empty_shard(checkup: Checkup) -> None:
    result = checkup.run(*MESH, "--kv-shard", "0/3", "-k", "nothing", "--kv-json", "none.json")
    assert result.ret != 0
    assert read(checkup.pytester.path / "none.json")["failureReason"] == "config: no check was selected"


def selected(result: pytest.RunResult) -> set[str]:
    return {line for line in result.outlines if "::" in line}


def test_parts_are_cut_after_selection(pytester: pytest.Pytester) -> None:
    chosen = [
        selected(
            pytester.runpytest_inprocess(*MESH, *NODES, *COLLECT, "-k", "worker3", "--kv-shard", f"{index}/2")
        )
        for index in range(2)
    ]
    assert [len(one) for one in chosen] == [1, 1]
    assert chosen[0] | chosen[1] == {
        "kvlatency::check[default/blue-network-worker1:worker3]",
        "kvlatency::check[default/blue-network-worker2:worker3]",
    }


def test_the_order_of_the_items_does_not_matter(pytester: pytest.Pytester) -> None:
    first = pytester.runpytest_inprocess(*MESH, *NODES, *COLLECT, "--kv-shard", "1/3")
    pytester.makeconftest("def pytest_collection_modifyitems(items): items.reverse()")
    assert selected(pytester.runpytest_inprocess(*MESH, *NODES, *COLLECT, "--kv-shard", "1/3")) == selected(
        first
    )


def test_other_tests_run_in_every_shard_and_items_without_network_in_the_first(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile("def test_other(): pass\ndef test_mine(kv_latency): pass")
    for index in range(2):
        result = pytester.runpytest_inprocess("--kv-shard", f"{index}/2")
        result.assert_outcomes(passed=1, skipped=1 - index, deselected=index)


def test_an_indexed_job_says_which_shard_it_is(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "2")
    assert len(selected(pytester.runpytest_inprocess(*MESH, *NODES, *COLLECT))) == 3
    monkeypatch.setenv("KVLATENCY_SHARDS", "3")
    result = pytester.runpytest_inprocess(*MESH, *NODES, "--collect-only")
    result.stdout.fnmatch_lines(["kvlatency: --kv-shard = 2/3 (JOB_COMPLETION_INDEX and KVLATENCY_SHARDS)"])
    result = pytester.runpytest_inprocess(*MESH, *NODES, "--collect-only", "--kv-shard", "0/1")
    result.stdout.fnmatch_lines(["kvlatency: --kv-shard = 0/1 (command line)"])


@pytest.mark.parametrize(
    ("index", "count", "text"),
    [
        (None, "3", "*KVLATENCY_SHARDS: '3' stands without JOB_COMPLETION_INDEX*"),
        ("0", "many", "*KVLATENCY_SHARDS: 'many' is no number of shards*"),
        ("3", "3", "*JOB_COMPLETION_INDEX: '3' is no shard of 3; valid is a number from 0 to 2*"),
    ],
)
def test_a_job_that_is_told_wrong(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, index: str | None, count: str, text: str
) -> None:
    if index is not None:
        monkeypatch.setenv("JOB_COMPLETION_INDEX", index)
    monkeypatch.setenv("KVLATENCY_SHARDS", count)
    result = pytester.runpytest_inprocess(*MESH, *NODES, "--collect-only")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([text])
    # Whoever says it explicitly needs no environment.
    assert pytester.runpytest_inprocess(*MESH, *NODES, "--collect-only", "--kv-shard", "0/3").ret == 0
