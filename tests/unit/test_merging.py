"""The documents of shards to one; and what is refused."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kvlatency.__main__ import main
from pytest_kvlatency.model import Check, Failure, Measurement, NadRef, NodePair, PingResult
from pytest_kvlatency.report.command.merging import MergeError, merge
from pytest_kvlatency.report.document import build, plan_facts
from pytest_kvlatency.report.run import ItemResult, RunResult

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_kvlatency.model import Outcome

START = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
PAIRS = [("w1", "w2"), ("w1", "w10"), ("w2", "w10")]


def item(pair: tuple[str, str], *, failed: bool = False, attempt: int = 1) -> ItemResult:
    check = Check(nad=NadRef(namespace="default", name="blue"), pair=NodePair(source=pair[0], target=pair[1]))
    failures = (Failure(kind="latency", stage="run", reason="too slow"),) if failed else ()
    outcome = "failed" if failed else "passed"
    result = PingResult(transmitted=1, received=1, samples_ns=(1_000_000,))
    return ItemResult(
        nodeid=f"kvlatency::check[{check.id}]",
        outcome=outcome,
        check=check,
        measurement=Measurement(check=check, result=result, failures=failures),
        attempt=attempt,
    )


def left(pair: tuple[str, str], outcome: Outcome) -> ItemResult:
    """A check that was not measured."""
    return replace(item(pair), outcome=outcome, measurement=None)


def document(
    index: int,
    count: int = 3,
    *,
    failed: bool = False,
    digest: str = "d" * 64,
    outcome: Outcome | None = None,
    cut_short_by: str = "",
) -> dict[str, Any]:
    """One shard's; with an ``outcome`` none of its checks was measured."""
    mine = [pair for number, pair in enumerate(PAIRS) if number % count == index]
    cluster = {
        "server": f"https://host:{index}",
        "kubernetesVersion": "v1.31.0",
        "kubevirtVersion": None,
        "lab": None,
    }
    plan = plan_facts(
        digest=digest,
        shard=f"{index}/{count}",
        pairs=len(PAIRS),
        shard_pairs=len(mine),
        nads=["default/blue"],
    )
    return build(
        RunResult(
            version="1",
            start=START + timedelta(seconds=index),
            completion=START + timedelta(minutes=1, seconds=index),
            cluster=cluster if mine else None,
            plan=plan,
            items=tuple(
                item(pair, failed=failed) if outcome is None else left(pair, outcome) for pair in mine
            ),
            cut_short_by=cut_short_by,
        )
    )


def documents(count: int = 3) -> list[tuple[str, object]]:
    return [(f"{index}.json", document(index, count)) for index in range(count)]


def problems(given: list[tuple[str, object]]) -> tuple[str, ...]:
    with pytest.raises(MergeError) as caught:
        merge(given, version="2")
    return caught.value.problems


def test_the_document_of_a_preflight_is_not_merged() -> None:
    given = documents()
    checklist = [{"check": "KubeVirt", "subject": "", "outcome": "ok", "message": "v1.6.2", "hint": ""}]
    given[1] = ("1.json", {**document(1), "preflight": checklist})
    assert (
        "1.json is the document of a preflight, which measures nothing. Merge the documents of the runs"
        in problems(given)
    )


def test_a_document_of_a_version_without_preflights_is_merged() -> None:
    given = [document(index) for index in range(3)]
    for one in given:
        del one["preflight"]
    merged = merge([(f"{index}.json", one) for index, one in enumerate(given)], version="2")
    assert merged["succeeded"] is True


def test_all_shards_make_the_document_of_the_whole_plan() -> None:
    merged = merge(documents()[::-1], version="2")
    assert list(merged) == list(document(0))
    assert merged["succeeded"] is True
    assert merged["failureReason"] is None
    assert merged["tool"]["version"] == "2"
    assert (merged["startTimestamp"], merged["completionTimestamp"]) == (
        "2024-05-01T12:00:00Z",
        "2024-05-01T12:01:02Z",
    )
    assert merged["plan"] == {
        "digest": "d" * 64, "shard": None, "pairs": 3, "shardPairs": 3, "nads": ["default/blue"],
    }  # fmt: skip
    assert [entry["nodes"] for entry in merged["measurements"]] == ["w1:w2", "w1:w10", "w2:w10"]
    # What the shards say differently is not known.
    assert merged["cluster"]["server"] is None
    assert merged["cluster"]["kubernetesVersion"] == "v1.31.0"


def test_empty_shards_are_shards() -> None:
    merged = merge(documents(5), version="2")
    assert merged["succeeded"] is True
    assert len(merged["measurements"]) == 3


def test_one_failed_shard_fails_the_plan() -> None:
    merged = merge([*documents()[:2], ("2.json", document(2, failed=True))], version="2")
    assert merged["succeeded"] is False
    assert merged["failureReason"] == "run: too slow"


def test_E73_a_shard_whose_checks_were_not_run_fails_the_plan() -> None:
    cut = {"outcome": "notrun", "cut_short_by": "stopping after 1 failures"}
    merged = merge([*documents()[:2], ("2.json", document(2, **cut))], version="2")  # type: ignore[arg-type]
    assert merged["succeeded"] is False
    assert merged["failureReason"] == (
        "run: 1 of 1 checks was not run: stopping after 1 failures; run: 1 of 3 checks was not run"
    )


def test_E73_a_shard_of_skipped_checks_fails_alone_and_not_the_plan() -> None:
    skipped = document(2, outcome="skipped")
    assert skipped["succeeded"] is False
    merged = merge([*documents()[:2], ("2.json", skipped)], version="2")
    assert (merged["succeeded"], merged["failureReason"]) == (True, None)


def test_E73_a_plan_of_skipped_checks_does_not_succeed() -> None:
    parts = [(f"{index}.json", document(index, 5, outcome="skipped")) for index in range(5)]
    merged = merge(parts, version="2")
    assert merged["succeeded"] is False
    assert merged["failureReason"] == "run: nothing was measured: all 3 checks were skipped"


def test_E73_a_document_that_calls_a_run_without_measurements_a_success_is_not_believed() -> None:
    wrong = {**document(2, outcome="notrun"), "succeeded": True, "failureReason": None}
    merged = merge([*documents()[:2], ("2.json", wrong)], version="2")
    assert (merged["succeeded"], merged["failureReason"]) == (False, "run: 1 of 3 checks was not run")


def test_notes_of_all_shards_are_kept_each_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    parts = documents()
    for index, (_, part) in enumerate(parts):
        part["notes"] = ["of all", f"of {index}"]  # type: ignore[index]
    del parts[2][1]["notes"]  # type: ignore[attr-defined]
    assert merge(parts, version="2")["notes"] == ["of all", "of 0", "of 1"]
    assert main(["report", *saved(tmp_path, parts), "--html", str(tmp_path / "all.html")]) == 0
    assert "note: of 1" in capsys.readouterr().out.splitlines()
    assert "<li>of 1</li>" in (tmp_path / "all.html").read_text("utf-8")


def test_attempts_stay_together() -> None:
    whole = document(0)
    again = {**whole["measurements"][0], "attempt": 2}
    whole["measurements"].append(again)
    merged = merge([("0.json", whole), *documents()[1:]], version="2")
    assert [entry["attempt"] for entry in merged["measurements"]] == [1, 2, 1, 1]


def test_a_missing_shard() -> None:
    assert problems([documents()[0], documents()[2]]) == ("shard 1 of 3 is missing (counted from 0)",)
    (text,) = problems(documents(9)[:1])
    assert text == "shards 1, 2, 3, 4, 5 and 3 more of 9 are missing (counted from 0)"


def test_a_doubled_shard() -> None:
    assert problems([*documents(), ("copy.json", document(1))]) == (
        "shard 1 of 3 is given 2 times: 1.json, copy.json",
    )


def test_another_plan() -> None:
    first, *_ = problems([*documents()[:2], ("2.json", document(2, digest="e" * 64))])
    assert first.startswith("2.json is of another plan (eeeeeeeeeeee) than 0.json (dddddddddddd)")


def test_another_number_of_shards() -> None:
    assert "5.json is shard 1/5, but the others are of 3 shards" in problems(
        [*documents(), ("5.json", document(1, 5))]
    )


def test_pairs_that_come_twice_or_not_at_all() -> None:
    other = document(1)
    other["measurements"] = deepcopy(document(0)["measurements"])
    (text,) = problems([documents()[0], ("1.json", other), documents()[2]])
    assert text.startswith("1.json has 1 items in common with another document, such as kvlatency::check[")
    few = documents()
    for _, each in few:
        each["plan"]["pairs"] = 4  # type: ignore[index]
    assert problems(few) == ("the shards have 3 pairs, but the plan has 4",)


def changed(**changes: object) -> dict[str, Any]:
    return {**document(2), **changes}


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ([], "2.json is not a document of pytest-kvlatency: expected what --kv-json wrote"),
        ({"a": 1}, "2.json is not a document of pytest-kvlatency: expected what --kv-json wrote"),
        (changed(schema="kvlatency/v2"), "2.json has the schema 'kvlatency/v2': expected 'kvlatency/v1'"),
        (
            {"schema": "kvlatency/v1"},
            "2.json is not a whole document: it has no cluster, completionTimestamp",
        ),
        (changed(plan=None, failureReason="config: no"), "its run ended before there was one (config: no)"),
        (changed(plan={"digest": 1}), "2.json is not a whole document: plan has no nads, pairs"),
        (
            changed(plan={**document(2)["plan"], "shard": None}),
            "2.json is not the document of a shard: it already covers the whole plan",
        ),
        (
            changed(plan={**document(2)["plan"], "shard": "7/3"}),
            "2.json says it is shard '7/3', which is not a shard: expected I/N ",
        ),
        (
            changed(measurements=[{"nodeid": "x"}]),
            "2.json is not a whole document: measurements[0] has no attempt, ",
        ),
        (changed(measurements=[]), "2.json is incomplete: it has 0 of its shard's 1 pairs"),
    ],
)
def test_what_is_no_document_of_a_shard(wrong: object, text: str) -> None:
    (found,) = problems([*documents()[:2], ("2.json", wrong)])
    assert text in found


@pytest.mark.parametrize("option", ["--json", "--kv-json"])
def test_the_command_writes_the_document_and_tells_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    files = []
    for name, one in [*documents()[:2], ("2.json", document(2, failed=True))]:
        files.append(str(tmp_path / name))
        (tmp_path / name).write_text(json.dumps(one), encoding="utf-8")
    assert main(["report", *files, option, str(tmp_path / "all.json")]) == 1
    merged = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert len(merged["measurements"]) == 3
    out = capsys.readouterr().out
    assert "latency exceeds the limit between w2 and w10" in out
    assert "kvlatency: 3 shards, 3 pairs (plan dddddddddddd)" in out
    (tmp_path / "2.json").write_text(json.dumps(document(2)), encoding="utf-8")
    assert main(["report", *files]) == 0


def test_the_command_says_everything_that_is_wrong_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "0.json").write_text(json.dumps(document(0)), encoding="utf-8")
    (tmp_path / "text").write_text("not\x1b JSON", encoding="utf-8")
    names = [str(tmp_path / name) for name in ("0.json", "0.json", "none.json", "text")]
    assert main(["report", *names, "--json", str(tmp_path / "all.json")]) == 4
    error = capsys.readouterr().err
    assert "none.json: No such file or directory" in error
    assert "text: not valid JSON" in error
    assert "shard 0 of 3 is given 2 times" in error
    assert not (tmp_path / "all.json").exists()


def test_a_wrong_command_line_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["report"])
    assert caught.value.code == 4


def test_a_document_that_cannot_be_written_fails(tmp_path: Path) -> None:
    files = []
    for name, one in documents():
        files.append(str(tmp_path / name))
        (tmp_path / name).write_text(json.dumps(one), encoding="utf-8")
    assert main(["report", *files, "--json", str(tmp_path / "0.json" / "all.json")]) == 1


# --- the reports


def test_several_reports_are_written_and_one_that_cannot_be_hides_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = saved(tmp_path, documents())
    (tmp_path / "file").touch()
    out = {name: tmp_path / "out" / name for name in ("all.json", "all.xml", "all.html")}
    nowhere = tmp_path / "file" / "folder" / "report"
    outputs = {"--json": out["all.json"], "--junitxml": out["all.xml"], "--html": out["all.html"]}
    names = {"--json": "JSON", "--junitxml": "JUnit", "--html": "HTML"}
    for spoilt in outputs:
        given = [str(word) for option, path in outputs.items() for word in (option, path)]
        given[given.index(spoilt) + 1] = str(nowhere)
        assert main(["report", *files, *given]) == 1
        said = f"error: cannot write the {names[spoilt]} report to {nowhere}: Not a directory"
        assert capsys.readouterr().err == f"python -m pytest_kvlatency report: {said}\n"
        for option, path in outputs.items():
            assert path.exists() == (option != spoilt)
            path.unlink(missing_ok=True)


def saved(directory: Path, given: list[tuple[str, object]]) -> list[str]:
    for name, one in given:
        (directory / name).write_text(json.dumps(one), encoding="utf-8")
    return [str(directory / name) for name, _ in given]


UGLY = "<script>alert('x')</script>\x1b[31m]]>&"


def attempt(
    name: str,
    outcome: Outcome,
    *failures: Failure,
    attempt: int = 1,
    samples: tuple[int, ...] = (1_000_000, 2_000_000),
) -> ItemResult:
    check = Check(nad=NadRef(namespace="default", name="blue"), pair=NodePair(source=name, target="w0"))
    result = PingResult(
        transmitted=2, received=len(samples), samples_ns=samples, duration_seconds=1.5, transcript=UGLY
    )
    return ItemResult(
        nodeid=f"tests/test_net.py::TestBlue::test_it[{check.id}]",
        outcome=outcome,
        check=check,
        measurement=Measurement(check=check, result=result) if samples else None,
        failures=failures,
        attempt=attempt,
    )


SLOW = Failure(kind="latency", stage="run", reason="too slow")
OUTCOMES = (
    attempt("passed", "passed"),
    attempt("failed", "failed", SLOW),
    attempt("body", "failed", Failure(kind="assertion", stage="run", reason=f"AssertionError: {UGLY}")),
    attempt(
        "error", "error", Failure(kind="guest", stage="setup", reason="no login", transcript=UGLY), samples=()
    ),
    attempt("left", "error", Failure(kind="teardown", stage="teardown", reason="stuck")),
    attempt("skipped", "skipped", samples=()),
    attempt("xfailed", "xfailed", SLOW),
    attempt("xpassed", "xpassed"),
    attempt("notrun", "notrun", samples=()),
    attempt("again", "failed", SLOW),
    attempt("again", "passed", attempt=2),
)


@pytest.fixture
def merged(tmp_path: Path) -> list[str]:
    """The only shard's document, with every outcome there is."""
    plan = plan_facts(digest="d" * 64, shard="0/1", pairs=10, shard_pairs=10, nads=["default/blue"])
    cluster = {
        "server": f"https://{UGLY}",
        "kubernetesVersion": "v1.31.0",
        "kubevirtVersion": None,
        "lab": None,
    }
    whole = build(
        RunResult(
            version="1",
            start=START,
            completion=START + timedelta(minutes=90),
            cluster=cluster,
            plan=plan,
            items=OUTCOMES,
        )
    )
    return saved(tmp_path, [("0.json", whole)])


def test_junit_tells_of_each_item_how_it_ended(merged: list[str], tmp_path: Path) -> None:
    assert main(["report", *merged, "--junitxml", str(tmp_path / "all.xml")]) == 1
    root = ET.parse(tmp_path / "all.xml").getroot()
    assert root.tag == "testsuites"
    (suite,) = root
    counts = {name: suite.get(name) for name in ("failures", "errors", "skipped")}
    assert counts == {"failures": "2", "errors": "2", "skipped": "3"}
    assert suite.get("tests") == "10"
    assert len(list(suite.iter("testcase"))) == 10
    assert (suite.get("timestamp"), suite.get("time")) == ("2024-05-01T12:00:00+00:00", "5400.000")
    facts = {one.get("name"): one.get("value") for one in suite.iterfind("properties/property")}
    assert facts["cluster.kubernetesVersion"] == "v1.31.0"
    cases = {
        str(case.get("name")).partition("blue-")[2].partition(":")[0]: case for case in suite.iter("testcase")
    }
    assert {case.get("classname") for case in cases.values()} == {"tests.test_net.TestBlue"}
    assert cases["passed"].get("name") == "test_it[default/blue-passed:w0]"

    def told(name: str) -> list[tuple[str, str | None, str | None]]:
        return [(one.tag, one.get("message"), one.text) for one in cases[name] if one.tag != "properties"]

    assert told("passed") == told("xpassed") == []
    assert told("again") == [("flakyFailure", "too slow", None)]
    ((tag, message, text),) = told("failed")
    assert (tag, message) == ("failure", "too slow")
    assert text is not None
    assert text.startswith(
        "too slow\n\nthe end of the guest's console:\n  | <script>alert('x')</script>\\x1b[31m"
    )
    ((tag, message, _),) = told("body")
    assert (tag, message) == ("failure", "AssertionError: <script>alert('x')</script>\\x1b[31m]]>&")
    ((tag, message, text),) = told("error")
    assert (tag, message) == ("error", "no login")
    ((tag, message, text),) = told("left")
    assert (tag, message) == ("error", "stuck")
    assert [told(name)[0][:2] for name in ("skipped", "xfailed", "notrun")] == [
        ("skipped", "skipped"),
        ("skipped", "too slow"),
        ("skipped", "not run"),
    ]
    properties = {one.get("name"): one.get("value") for one in cases["again"].iter("property")}
    assert (properties["received"], properties["maxLatencyNanoSec"]) == ("2", "2000000")
    assert [one.get("name") for one in cases["again"].iter("property")].count("received") == 1
    assert [one.get("name") for one in cases["error"].iter("property")] == [
        "nad", "sourceNode", "targetNode", "attempt", "failureKind", "limits.maxLossPercent",
    ]  # fmt: skip
