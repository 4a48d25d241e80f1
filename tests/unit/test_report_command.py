"""``python -m pytest_kvlatency report``: reports of earlier runs, from their documents."""

from __future__ import annotations

import json
import re
import shlex
import xml.etree.ElementTree as ET
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import documentschema
import pytest
from test_merging import document, documents, saved

from pytest_kvlatency.__main__ import main
from pytest_kvlatency.report.schema.shape import flaw

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIONS = ("--html", "--junitxml", "--markdown", "--csv", "--prometheus", "--json")


def whole() -> dict[str, Any]:
    """The document of a run without shards."""
    made = document(0, 1)
    made["plan"]["shard"] = None
    return made


def rich() -> dict[str, Any]:
    """A document with something in every place."""
    made = document(0, 1, failed=True)
    made["plan"]["shard"] = None
    change = {"baselineNanoSec": 900_000, "deltaPercent": 11.1, "significant": True, "regressed": True}
    made["measurements"][0].update(
        comparison={
            **dict.fromkeys(("p50", "p90", "p99"), change),
            "significant": True, "regressed": True, "maxRegressionPercent": 10, "reason": "slower",
        },
        lostSequence=[0], round=1, startTimestamp="2026-11-30T02:45:32.123Z", advice="do it", notes=["odd"],
        failedNode="w1", sourceNode="w1", targetNode="w2", timings={"measure": 1.5, **dict.fromkeys(
            ("create", "running", "login", "delete"), None
        )}, transcript="PING", transcriptFile="kept/console.log",
    )  # fmt: skip
    first = made["measurements"][0]
    skipped = ("nodeid", "outcome", "attempt", "comparison", "extra", "transcriptFile")
    first["extra"] = [{name: one for name, one in first.items() if name not in skipped}]
    finding = {
        "check": "KubeVirt",
        "subject": "",
        "outcome": "failed",
        "message": "none",
        "hint": "install it",
    }
    baseline = {
        "file": "old.json", "startTimestamp": "2026-11-29T02:45:32Z", "maxRegressionPercent": 10,
        "newPairs": ["default/blue w1:w2"], "vanishedPairs": ["default/blue w8:w9"],
    }  # fmt: skip
    made.update(
        namespace="checks", swept=["kv-1"], preflight=[finding], baseline=baseline, notes=["a note"],
        settings={"nad": {"option": "--kv-nad", "value": ["blue"], "source": "command line"}},
    )  # fmt: skip
    made["cluster"].update(context="admin", lab={"guests": "sim", "timeScale": 20})
    return made


def report(*arguments: object) -> int:
    return main(["report", *map(str, arguments)])


def test_every_report_is_made_of_one_whole_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file,) = saved(tmp_path, [("run.json", whole())])
    paths = {option: tmp_path / "out" / option.strip("-") for option in OPTIONS}
    assert report(file, *(word for pair in paths.items() for word in pair)) == 0
    texts = {option: path.read_text("utf-8") for option, path in paths.items()}
    assert texts["--html"].startswith("<!doctype html>") or "<html" in texts["--html"]
    assert len(list(ET.fromstring(texts["--junitxml"]).iter("testcase"))) == 3
    assert texts["--markdown"].startswith("## ✅")
    assert paths["--csv"].read_bytes().count(b"\r\n") == 4
    assert "kvlatency_up{" in texts["--prometheus"]
    assert json.loads(texts["--json"])["measurements"] == whole()["measurements"]
    assert "3 pairs" in capsys.readouterr().out


def test_the_summary_of_a_lab_says_that_it_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(*saved(tmp_path, [("lab.json", rich())]))
    assert "lab: sim" in capsys.readouterr().out.splitlines()
    report(*saved(tmp_path, [("old.json", {**rich(), "cluster": None})]))
    assert "lab:" not in capsys.readouterr().out


def test_without_a_report_the_summary_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = document(0, 1, failed=True)
    failed["plan"]["shard"] = None
    assert report(*saved(tmp_path, [("run.json", failed)])) == 1
    assert "latency exceeds the limit on default/blue: 3 pairs" in capsys.readouterr().out


@pytest.mark.parametrize("option", OPTIONS)
def test_a_report_can_go_to_standard_output_alone(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], option: str
) -> None:
    files = saved(tmp_path, documents())
    assert report(*files, option, "-") == 0
    printed = capfdbinary.readouterr().out
    assert report(*files, option, tmp_path / "out") == 0
    assert printed == (tmp_path / "out").read_bytes()


def test_only_one_report_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        report("run.json", "--csv", "-", "--markdown", "-")
    assert caught.value.code == 4
    assert (
        "only one report can go to standard output, not both --markdown and --csv" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--csv", "out", "--html", "./out"], "--html and --csv name the same file, './out'. Use a file for each"),
        (["--csv", "run.json"], "--csv run.json would replace a document that is to be read"),
    ],
)  # fmt: skip
def test_no_report_replaces_another_or_a_document(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    says: str,
) -> None:
    saved(tmp_path, [("run.json", whole())])
    text = (tmp_path / "run.json").read_bytes()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        report("run.json", *options)
    assert caught.value.code == 4
    assert says in capsys.readouterr().err
    assert (tmp_path / "run.json").read_bytes() == text
    assert [one.name for one in tmp_path.iterdir()] == ["run.json"]


def test_the_document_of_a_preflight_or_of_a_run_without_a_plan_has_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = {
        "check": "KubeVirt",
        "subject": "",
        "outcome": "failed",
        "message": "none",
        "hint": "install it",
    }
    made = {**whole(), "succeeded": False, "plan": None, "preflight": [finding], "measurements": []}
    (file,) = saved(tmp_path, [("run.json", made)])
    assert report(file) == 1
    assert "install it" in capsys.readouterr().out
    for option in OPTIONS:
        assert report(file, option, tmp_path / "out") == 1


def test_the_document_of_one_shard_is_not_taken_for_the_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(*saved(tmp_path, documents()[:1]), "--csv", tmp_path / "out") == 4
    assert "shards 1, 2 of 3 are missing" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def older(made: dict[str, Any]) -> dict[str, Any]:
    """As the first version wrote it."""
    schema = documentschema.public()
    old = schema["required"], schema["$defs"]["measurement"]["required"]
    entries = [{name: one[name] for name in one if name in old[1]} for one in made["measurements"]]
    return {**{name: made[name] for name in made if name in old[0]}, "measurements": entries}


@pytest.mark.parametrize("option", OPTIONS)
def test_documents_of_older_versions_have_every_report(tmp_path: Path, option: str) -> None:
    (file,) = saved(tmp_path, [("run.json", older(whole()))])
    assert report(file, option, tmp_path / "out") == 0
    shards = [(name, older(one)) for name, one in documents() if isinstance(one, dict)]
    assert report(*saved(tmp_path, shards), option, tmp_path / "all") == 0
    assert (tmp_path / "out").stat().st_size > 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not valid JSON"),
        ('{"schema": "kvlatency/v1", "x": NaN}', "not valid JSON: NaN is out of range"),
        ('{"schema": "kvlatency/v1", "x": 1e999}', "not valid JSON: 1e999 is out of range"),
        (
            f'{{"schema": "kvlatency/v1", "x": 1{"0" * 40}}}',
            "not valid JSON: 10000000000000000000… is out of",
        ),
        ("[]", "is not a document of pytest-kvlatency: expected what --kv-json wrote"),
        ('{"status.succeeded": "true"}', "is not a document of pytest-kvlatency"),
        ('{"schema": "kvlatency/v2"}', "has the schema 'kvlatency/v2': expected 'kvlatency/v1'"),
        ('{"schema": "kvlatency/v1"}', "is not a whole document: it has no cluster, completionTimestamp"),
        (None, "No such file or directory"),
    ],
)
def test_what_is_no_document_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, says: str
) -> None:
    file = tmp_path / "run.wrong"
    if content is not None:
        file.write_text(content)
    assert report(file, "--markdown", tmp_path / "out") == 4
    error = capsys.readouterr().err
    assert error.startswith("python -m pytest_kvlatency report: error: ")
    assert str(file) in error
    assert says in error
    assert not (tmp_path / "out").exists()


def places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the values of a document stand, but not more than two of a list."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield (*path, name)
            yield from places(one, (*path, name))
    elif isinstance(value, list):
        for number, one in enumerate(value[:1]):
            yield (*path, number)
            yield from places(one, (*path, number))


@pytest.mark.once
@pytest.mark.parametrize("wrong", ["odd", -1.5, [3], {"a": 1}, None], ids=repr)
def test_a_value_of_a_wrong_kind_is_refused_or_reported_but_never_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: object
) -> None:
    refused = 0
    library = documentschema.library()
    right = rich()
    for number, path in enumerate(places(right)):
        made: Any = deepcopy(right)
        inner = made
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = wrong
        found = flaw(made)
        assert (not found) is library.is_valid(made), (path, found)
        if found:
            refused += 1
            said = r"is not a whole document: .*(expected| has no )|has the schema|is not a document"
            assert re.match(said, found)
            continue
        # Not a name of those that are held to the schema when the test is over.
        (file,) = saved(tmp_path, [(f"{number}.wrong", made)])
        outputs = [word for option in OPTIONS for word in (option, tmp_path / option)]
        status = report(file, *outputs)
        error = capsys.readouterr().err
        assert status in (0, 1) or "says it is shard" in error, path
        assert (error == "") is (status != 4), path
    assert refused > 60


def test_a_wrong_value_is_named_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = whole()
    made["measurements"][1]["limits"]["maxLossPercent"] = "none"
    (file,) = saved(tmp_path, [("run.wrong", made)])
    assert report(file) == 4
    says = (
        "is not a whole document: measurements[1].limits.maxLossPercent is 'none': expected a number or null"
    )
    assert f"error: {file} {says}\n" in capsys.readouterr().err


def test_the_surroundings_have_no_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    files = saved(tmp_path, documents())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "conftest.py").write_text("raise RuntimeError\n")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--neither-this")
    assert report(*files, "--junitxml", "all.xml", "--html", "all.html", "--self-contained-html") == 0
    assert capfd.readouterr().err == ""


DOCS = Path(__file__).parents[2] / "docs"
SHELL = re.compile(r"<!-- checked: report -->\n```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("command", SHELL.findall((DOCS / "ci.md").read_text("utf-8")))
def test_the_commands_of_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    (tmp_path / "reports").mkdir()
    saved(tmp_path / "reports", [("latency.json", whole())])
    monkeypatch.chdir(tmp_path)
    program, *arguments = shlex.split(command)
    assert (program, arguments[:2]) == ("python", ["-m", "pytest_kvlatency"])
    assert main(arguments[2:]) == 0
    names = {one for one in arguments if one.startswith("reports/")}
    assert {f"reports/{one.name}" for one in (tmp_path / "reports").iterdir()} == names
