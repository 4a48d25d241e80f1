"""Shards of one plan, against the lab: run one after the other and merged they are the whole plan."""

from __future__ import annotations

import json
import shlex
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kvlatency.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Checkup, Maps

MESH = ("--kv-nad", "default/blue-network", "--kv-nodes", "mesh", "--kv-sample-duration", "500ms")
NODES = ("--kv-node-set", "worker1,worker2,worker3")
COLLECT = ("--collect-only", "-q")


@pytest.fixture(autouse=True)
def no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JOB_COMPLETION_INDEX", "KVLATENCY_SHARDS"):
        monkeypatch.delenv(name, raising=False)


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def again(result: pytest.RunResult) -> list[str]:
    """The arguments that run the pair again that failed."""
    line = next(one for one in result.outlines if "to run just this pair again: " in one)
    program, *arguments = shlex.split(line.partition("again: ")[2])
    assert program == "pytest"
    return arguments


def measured(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    return sorted((entry["nodeid"], entry["nodes"], entry["outcome"]) for entry in document["measurements"])


THREE = (*MESH, "--kv-nad", "default/cut-network", "--kv-nad", "default/no-such-network", "--kv-warmup", "0")


@pytest.fixture(scope="module")
def made() -> list[Path]:
    """Where the runs of ``merged`` are, once they are over."""
    return []


@pytest.fixture
def merged(made: list[Path], request: pytest.FixtureRequest) -> Path:
    """The reports of a plan that is run as a whole, and in three shards, which are merged into ``all``."""
    if not made:
        checkup = request.getfixturevalue("checkup")
        whole = ("--kv-json", "whole.json", "--junitxml", "whole.xml", "--kv-html", "whole.html")
        checkup.run(*THREE, *whole).assert_outcomes(passed=3, failed=3, errors=3)
        for index in range(3):
            reports = ("--kv-json", f"{index}.json", "--junitxml", f"{index}.xml")
            result = checkup.run(*THREE, "--kv-shard", f"{index}/3", *reports)
            assert result.parseoutcomes()["deselected"] == 6
            result.stdout.fnmatch_lines([f"kvlatency: shard {index}/3 has 3 of 9 pairs (plan *)"])
        reports = ("--json", "all.json", "--junitxml", "all.xml", "--html", "all.html")
        assert main(["report", "2.json", "0.json", "1.json", *reports]) == 1
        made.append(checkup.pytester.path)
    return made[0]


def test_three_shards_merged_are_the_whole_plan(merged: Path) -> None:
    guests: dict[str, set[str]] = {}
    for index in range(3):
        document = read(merged / f"{index}.json")
        assert document["plan"]["shard"] == f"{index}/3"
        for entry in document["measurements"]:
            if entry["nad"] == "default/blue-network":
                assert entry["outcome"] == "passed"
                for side in ("source", "target"):
                    guests.setdefault(entry[f"{side}Address"], set()).add(entry[f"{side}Vmi"])
    assert all(len(vmis) == 1 for vmis in guests.values())
    assert len({address.rpartition(".")[0] for address in guests}) == 1
    whole, every = read(merged / "whole.json"), read(merged / "all.json")
    assert len(measured(every)) == 9
    assert measured(every) == measured(whole)
    assert every["plan"] == whole["plan"]
    assert every["cluster"] == whole["cluster"]


def cases(path: Path) -> dict[tuple[str | None, str | None], list[str | None]]:
    """JUnit's cases by name, with the names of their properties; and the suite's."""
    tree = ET.parse(path)
    found = {
        (case.get("classname"), case.get("name")): [one.get("name") for one in case.iter("property")]
        for case in tree.iter("testcase")
    }
    return {**found, ("suite", None): [one.get("name") for one in tree.iterfind("*/properties/property")]}


def told(path: Path) -> list[tuple[str, str | None]]:
    return sorted((one.tag, one.get("message")) for case in ET.parse(path).iter("testcase") for one in case)


def test_the_reports_of_merged_shards_are_those_of_a_single_run(merged: Path) -> None:
    assert cases(merged / "all.xml") == cases(merged / "whole.xml")
    assert len(cases(merged / "all.xml")) == 9 + 1
    assert told(merged / "all.xml") == told(merged / "whole.xml")
    assert [tag for tag, _ in told(merged / "all.xml")].count("failure") == 3
    assert [tag for tag, _ in told(merged / "all.xml")].count("error") == 3
    pages = [(merged / name).read_text("utf-8") for name in ("all.html", "whole.html")]
    assert all(text.count('class="heat"') == pages[0].count('class="heat"') for text in pages)


def test_an_empty_shard_passes_and_writes_its_document(checkup: Checkup) -> None:
    counts = []
    for index in range(2):
        shard = ("--kv-shard", f"{index}/2", "--kv-json", f"{index}.json")
        result = checkup.run(*MESH[:2], "--kv-nodes", "worker1:worker2", *MESH[4:], *shard)
        assert result.ret == 0
        document = read(checkup.pytester.path / f"{index}.json")
        assert document["succeeded"] is True
        counts.append(len(document["measurements"]))
        if not counts[-1]:
            result.stdout.fnmatch_lines(["*1 deselected*", "kvlatency: shard * has 0 of 1 pairs*"])
    assert sorted(counts) == [0, 1]


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


@pytest.mark.parametrize("by", ["option", "ini", "job"])
def test_the_command_to_run_a_pair_again_is_of_no_shard(
    checkup: Checkup, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    given: tuple[str, ...] = ()
    if by == "option":
        given = ("--kv-shard", "0/3")
    elif by == "ini":
        checkup.pytester.makeini("[pytest]\nkv_shard = 0/3\n")
    else:
        monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
        monkeypatch.setenv("KVLATENCY_SHARDS", "3")
    absent = ("--kv-nad", "default/no-such-network", "--kv-nodes", "mesh")
    result = checkup.run(*absent, *NODES, *given)
    result.assert_outcomes(errors=1, deselected=2)
    (failed,) = [line.split()[1] for line in result.outlines if line.startswith("ERROR ")]
    alone = checkup.pytester.runpytest_inprocess(*again(result), *COLLECT)
    assert selected(alone) == {failed}


@pytest.mark.parametrize(
    ("index", "count", "text"),
    [
        (None, "3", "*KVLATENCY_SHARDS: '3' is set without JOB_COMPLETION_INDEX, *"),
        (
            "0",
            "many",
            "*KVLATENCY_SHARDS: invalid number of shards 'many': expected an integer from 1 to 999999*",
        ),
        ("3", "3", "*JOB_COMPLETION_INDEX: '3' is not a shard of 3: expected 0 to 2. Give the Job *"),
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


PARAMETERS = {
    "spec.timeout": "5m",
    "spec.param.networkAttachmentDefinitionNamespace": "default",
    "spec.param.networkAttachmentDefinitionName": "blue-network",
    "spec.param.nodes": "mesh",
    "spec.param.sampleDurationSeconds": "1",
}


def test_a_shard_only_reads_the_configmap_and_reports_to_its_own(checkup: Checkup, maps: Maps) -> None:
    maps.make("mesh", PARAMETERS)
    maps.make("mesh-1", {})
    assert checkup.run("--kv-configmap", "default/mesh", "--kv-shard", "1/3").ret == 0
    assert maps.data("mesh") == PARAMETERS
    own = maps.data("mesh-1")
    assert own["status.succeeded"] == "true"
    assert int(own["status.result.maxLatencyNanoSec"]) > 0
    again = checkup.run("--kv-configmap", "default/mesh", "--kv-shard", "1/3")
    assert again.ret == pytest.ExitCode.USAGE_ERROR
    again.stderr.fnmatch_lines(
        ["*ConfigMap default/mesh-1 already holds the result of a run. To run it again: *"]
    )


def test_the_command_to_run_a_pair_again_asks_no_configmap_that_is_used_up(
    checkup: Checkup, maps: Maps
) -> None:
    maps.make("over", {**PARAMETERS, "spec.param.nodes": "worker1:worker2"})
    checkup.pytester.makeini("[pytest]\nkv_configmap = default/over\n")
    checkup.pytester.makepyfile("def test_net(kv_latency): pass")
    result = checkup.run("--kv-max-latency", "1us")
    result.assert_outcomes(failed=1)
    checkup.pytester.runpytest_inprocess(*again(result)).assert_outcomes(failed=1)


def test_a_shard_without_a_configmap_of_its_own(checkup: Checkup, maps: Maps) -> None:
    maps.make("lonely", PARAMETERS)
    result = checkup.run("--kv-configmap", "default/lonely", "--kv-shard", "2/3")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*ConfigMap default/lonely-2, to which shard 2/3 reports, does not exist*"])


def test_wrong_parameters_are_told_to_the_shards_own_configmap(checkup: Checkup, maps: Maps) -> None:
    maps.make("wrong", {**PARAMETERS, "spec.param.sampleDurationSeconds": "soon"})
    maps.make("wrong-0", {})
    assert (
        checkup.run("--kv-configmap", "default/wrong", "--kv-shard", "0/3").ret == pytest.ExitCode.USAGE_ERROR
    )
    assert "status.succeeded" not in maps.data("wrong")
    own = maps.data("wrong-0")
    assert own["status.succeeded"] == "false"
    assert own["status.failureReason"].startswith("config: spec.param.sampleDurationSeconds: 'soon'")
