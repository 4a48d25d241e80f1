"""The documents of shards to one; and what is refused."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kvlatency.__main__ import main
from pytest_kvlatency.merging import MergeError, merge
from pytest_kvlatency.model import Check, Failure, NadRef, NodePair
from pytest_kvlatency.report.document import ItemResult, RunResult, build, plan_facts

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
PAIRS = [("w1", "w2"), ("w1", "w10"), ("w2", "w10")]


def item(pair: tuple[str, str], *, failed: bool = False, attempt: int = 1) -> ItemResult:
    check = Check(nad=NadRef(namespace="default", name="blue"), pair=NodePair(source=pair[0], target=pair[1]))
    failures = (Failure(kind="latency", stage="run", reason="too slow"),) if failed else ()
    outcome = "failed" if failed else "passed"
    return ItemResult(
        nodeid=f"kvlatency::check[{check.id}]",
        outcome=outcome,
        check=check,
        failures=failures,
        attempt=attempt,
    )


def document(index: int, count: int = 3, *, failed: bool = False, digest: str = "d" * 64) -> dict[str, Any]:
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
            items=tuple(item(pair, failed=failed) for pair in mine),
        )
    )


def documents(count: int = 3) -> list[tuple[str, object]]:
    return [(f"{index}.json", document(index, count)) for index in range(count)]


def problems(given: list[tuple[str, object]]) -> tuple[str, ...]:
    with pytest.raises(MergeError) as caught:
        merge(given, version="2")
    return caught.value.problems


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
        "shard 1 of 3 comes 2 times: 1.json, copy.json",
    )


def test_another_plan() -> None:
    first, *_ = problems([*documents()[:2], ("2.json", document(2, digest="e" * 64))])
    assert first.startswith("2.json is of another plan (eeeeeeeeeeee) than 0.json (dddddddddddd)")


def test_another_number_of_shards() -> None:
    assert "5.json is shard 1/5, and others are of 3 shards" in problems(
        [*documents(), ("5.json", document(1, 5))]
    )


def test_pairs_that_come_twice_or_not_at_all() -> None:
    other = document(1)
    other["measurements"] = deepcopy(document(0)["measurements"])
    (text,) = problems([documents()[0], ("1.json", other), documents()[2]])
    assert text.startswith("1.json has 1 items that another document has too, such as kvlatency::check[")
    few = documents()
    for _, each in few:
        each["plan"]["pairs"] = 4  # type: ignore[index]
    assert problems(few) == ("the shards have 3 pairs, and the plan has 4",)


def changed(**changes: object) -> dict[str, Any]:
    return {**document(2), **changes}


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ([], "2.json is no document of pytest-kvlatency"),
        ({"a": 1}, "2.json is no document of pytest-kvlatency"),
        (changed(schema="kvlatency/v2"), "2.json has the schema 'kvlatency/v2'; valid is 'kvlatency/v1'"),
        ({"schema": "kvlatency/v1"}, "2.json is incomplete: it has no cluster, completionTimestamp"),
        (changed(plan=None, failureReason="config: no"), "its run ended before there was one (config: no)"),
        (changed(plan={"digest": 1}), "2.json is incomplete: its plan must have"),
        (changed(plan={**document(2)["plan"], "shard": None}), "2.json is not of a shard"),
        (
            changed(plan={**document(2)["plan"], "shard": "7/3"}),
            "2.json says it is shard '7/3', which is no shard",
        ),
        (changed(measurements=[{"nodeid": "x"}]), "2.json is incomplete: each of its measurements must have"),
        (changed(measurements=[]), "2.json is incomplete: it has 0 of its shard's 1 pairs"),
    ],
)
def test_what_is_no_document_of_a_shard(wrong: object, text: str) -> None:
    (found,) = problems([*documents()[:2], ("2.json", wrong)])
    assert text in found


def test_the_command_writes_the_document_and_tells_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for name, one in [*documents()[:2], ("2.json", document(2, failed=True))]:
        files.append(str(tmp_path / name))
        (tmp_path / name).write_text(json.dumps(one), encoding="utf-8")
    assert main(["merge", *files, "--json", str(tmp_path / "all.json")]) == 1
    merged = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert len(merged["measurements"]) == 3
    out = capsys.readouterr().out
    assert "run: too slow" in out
    assert "kvlatency: 3 shards, 3 pairs (plan dddddddddddd)" in out
    (tmp_path / "2.json").write_text(json.dumps(document(2)), encoding="utf-8")
    assert main(["merge", *files]) == 0


def test_the_command_says_everything_that_is_wrong_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "0.json").write_text(json.dumps(document(0)), encoding="utf-8")
    (tmp_path / "text").write_text("not\x1b JSON", encoding="utf-8")
    names = [str(tmp_path / name) for name in ("0.json", "0.json", "none.json", "text")]
    assert main(["merge", *names, "--json", str(tmp_path / "all.json")]) == 4
    error = capsys.readouterr().err
    assert "none.json cannot be read: No such file or directory" in error
    assert "text cannot be read: it is no JSON" in error
    assert "shard 0 of 3 comes 2 times" in error
    assert not (tmp_path / "all.json").exists()


def test_a_wrong_command_line_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["merge"])
    assert caught.value.code == 4


def test_a_document_that_cannot_be_written_fails(tmp_path: Path) -> None:
    files = []
    for name, one in documents():
        files.append(str(tmp_path / name))
        (tmp_path / name).write_text(json.dumps(one), encoding="utf-8")
    assert main(["merge", *files, "--json", str(tmp_path / "0.json" / "all.json")]) == 1
