"""The reader and the judge of the contract's cases: neither lets a wrong thing pass."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kvcontract import Observed, differences, load
from kvcontract.cases import GONE, UNCHANGED, Meanwhile, Step
from kvcontract.stage import Look

CONFIGMAP = {"metadata": {"name": "x", "uid": "u", "labels": {"a": "b"}}, "data": {"spec.timeout": "5m"}}
STATUS = {
    "status.startTimestamp": "2026-01-01T00:00:00Z",
    "status.completionTimestamp": "2026-01-01T00:00:09Z",
    "status.succeeded": "true",
    "status.failureReason": "",
    "status.result.maxLatencyNanoSec": "12",
}
STEP = Step(
    exit_status=0,
    status={
        "startTimestamp": "<time>",
        "completionTimestamp": "<time>",
        "succeeded": "true",
        "failureReason": "",
        "result.maxLatencyNanoSec": "<integer>",
    },
    created=2,
)


def written(**changes):
    data = {**CONFIGMAP["data"], **STATUS, **{f"status.{key}": value for key, value in changes.items()}}
    return {**CONFIGMAP, "data": {key: value for key, value in data.items() if value is not None}}


GOOD = Observed(
    exit_status=0,
    log='all is well\nstatus.succeeded "true" is written\n',
    before=CONFIGMAP,
    after=written(),
    left=(),
    created=2,
    created_before_start=False,
    is_written=True,
    meanwhile=None,
    status_seconds=None,
)


def test_a_good_run_differs_in_nothing():
    assert differences(STEP, GOOD) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"exit_status": 1}, "exit status 1 with status.succeeded 'true'"),
        ({"after": written(succeeded="false")}, "exit status 0 with status.succeeded 'false'"),
        ({"after": written(**{"result.maxLatencyNanoSec": None})}, "is missing, expected '<integer>'"),
        ({"after": written(**{"result.maxLatencyNanoSec": "1.5"})}, "is '1.5', expected '<integer>'"),
        ({"after": written(**{"result.maxLatencyNanoSec": "-1"})}, "is '-1', expected '<integer>'"),
        ({"after": written(startTimestamp="2026-01-01T00:00:00+00:00")}, "expected '<time>'"),
        ({"after": written(other="x")}, "status.other is 'x', and should not be there"),
        ({"after": {**written(), "metadata": {"uid": "u"}}}, "foreign parts were changed"),
        ({"after": {**written(), "data": {**written()["data"], "mine": "x"}}}, "foreign parts were changed"),
        ({"after": None}, "the ConfigMap is gone"),
        ({"left": ("vmi-1",)}, "VMIs were left: vmi-1"),
        ({"created": 3}, "VMIs created: 3, expected 2"),
        ({"created_before_start": True}, "before the start was written"),
        ({"log": GOOD.log + "\x1b[31mred"}, "an escape code"),
        ({"log": GOOD.log + "50%\r60%"}, "a carriage return"),
        ({"log": GOOD.log + "Traceback (most recent call last):"}, "Traceback"),
        ({"log": "all is well"}, "the log lacks 'status.succeeded"),
    ],
    ids=str,
)
def test_what_is_wrong_is_told(changes, told):
    assert any(told in one for one in differences(STEP, replace(GOOD, **changes)))


def test_a_reason_must_stand_in_the_log():
    after = written(succeeded="false", failureReason="run: too slow; teardown: y")
    step = replace(
        STEP, exit_status=1, status={**STEP.status, "succeeded": "false", "failureReason": "/run: .*/"}
    )
    seen = replace(GOOD, exit_status=1, after=after, log='status.succeeded "false"')
    assert differences(step, seen) == ["the log lacks the reason 'run: too slow'"]
    assert differences(step, replace(seen, log=seen.log + "\nrun: too slow")) == []


def test_the_log_of_a_case():
    step = replace(STEP, log=("all is", "/w[ei]ll/"), log_lacks=("nothing",))
    assert differences(step, GOOD) == []
    step = replace(STEP, log=("/^well/",), log_lacks=("/all .*well/",))
    assert len(differences(step, GOOD)) == 2


def test_unchanged_and_gone_are_meant():
    assert differences(replace(STEP, status=UNCHANGED), GOOD) != []
    assert differences(replace(STEP, status=GONE), GOOD) != []
    same = replace(GOOD, exit_status=4, after=CONFIGMAP, is_written=False)
    assert differences(replace(STEP, exit_status=4, status=UNCHANGED), same) == []
    told = differences(replace(STEP, status=UNCHANGED), replace(same, exit_status=0))
    assert told == ["exit status 0 of a run that reported nothing"]


def test_what_is_so_meanwhile():
    look = Look(status={"startTimestamp": "2026-01-01T00:00:00Z"}, owners=frozenset({"Pod/x"}))
    meanwhile = Meanwhile(when="run", status={"startTimestamp": "<time>"}, owner="Pod/x", within_seconds=5)
    step = replace(STEP, meanwhile=meanwhile)
    assert differences(step, replace(GOOD, meanwhile=look, status_seconds=1.0)) == []
    assert differences(step, GOOD) == ["it was never so that VMIs run"]
    stale = replace(look, status={**look.status, "succeeded": "true"}, owners=frozenset({"nobody"}))
    told = differences(step, replace(GOOD, meanwhile=stale, status_seconds=6.0))
    assert len(told) == 3


CASE = "cases:\n  - {case: x, tells: y, exit: 0, configmap: {data: {}}, status: {succeeded: 'true'}}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (CASE.replace("tells", "tell"), "tells is missing"),
        (CASE.replace("exit: 0,", "exit: 0, vmi: 2,"), "not known: vmi"),
        (CASE.replace("data: {}", "date: {}"), "not known: date"),
        (CASE.replace(", status: {succeeded: 'true'}", ""), "no status is expected"),
        (CASE.replace("status: {succeeded: 'true'}", "status: same"), "valid are keys, gone and unchanged"),
        (CASE.replace("'true'", "true"), "quote succeeded"),
        (CASE.replace("status:", "shape: whole, status:"), "no shape 'whole'"),
        (CASE.replace("configmap: {data: {}}, ", ""), "either configmap or manifest"),
        (CASE + CASE.partition("\n")[2], "cases of one name: x"),
        (CASE + "case: {}\n", "not known: case"),
    ],
)
def test_a_typo_in_a_case_is_an_error(tmp_path, text, told):
    (tmp_path / "statuses.yaml").write_text("success: {}\n")
    (tmp_path / "some.yaml").write_text(text)
    with pytest.raises(ValueError, match=told):
        load(tmp_path)


def test_the_cases_show_both_directions():
    steps = [step for case in load() for step in case.steps]
    for exit_status, succeeded in ((0, "true"), (1, "false"), (2, "false"), (4, "false"), (5, "false")):
        assert any(
            step.exit_status == exit_status
            and not isinstance(step.status, str)
            and step.status["succeeded"] == succeeded
            for step in steps
        )
