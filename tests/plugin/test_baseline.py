"""--kv-baseline: a run beside an earlier one, from the command line to every report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Checkup

BLUE = ("--kv-nad", "default/blue-network")
# The lab's time runs 20 times as fast: 60 pings take 0.3 s.
SAMPLE = ("--kv-sample-duration=6s", "--kv-warmup=0")
PAIRS = ("--kv-nodes=worker1:worker2", "--kv-nodes=worker2:worker3")


def run(checkup: Checkup, *arguments: str) -> pytest.RunResult:
    return checkup.run(*SAMPLE, "--kv-json=result.json", *arguments)


#: The text of the document of one run against a lab, by the lab's kubeconfig.
EARLIER: dict[Path, str] = {}


def baseline(checkup: Checkup, share: float = 1) -> Path:
    """The document of a run like the one to come, in which every time was this share of what it is."""
    if checkup.kubeconfig not in EARLIER:
        run(checkup, *BLUE, *PAIRS)
        path = checkup.pytester.path / "result.json"
        EARLIER[checkup.kubeconfig] = path.read_text("utf-8")
        path.unlink()
    return keep(checkup, json.loads(EARLIER[checkup.kubeconfig]), share)


def keep(checkup: Checkup, document: dict[str, Any], share: float = 1) -> Path:
    for one in document["measurements"]:
        one["samplesNanoSec"] = [round(share * value) for value in one["samplesNanoSec"]]
    path: Path = checkup.pytester.path / "old.json"
    path.write_text(json.dumps(document))
    return path


def refused(result: pytest.RunResult, said: str) -> None:
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {said}"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_regression_fails_its_check_and_stands_in_every_report(checkup: Checkup) -> None:
    baseline(checkup, 0.5)
    result = run(
        checkup, *BLUE, *PAIRS, "--kv-baseline=old.json", "--kv-max-regression=20",
        "--kv-prometheus=out.prom", "--junitxml=out.xml", "--kv-html=out.html",
    )  # fmt: skip
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=2)
    first = checkup.document["measurements"][0]
    assert (first["outcome"], first["failureKind"], first["succeeded"]) == ("failed", "latency", False)
    change = first["comparison"]["p50"]
    assert change["regressed"] is True
    assert change["baselineNanoSec"] * 1.5 < first["p50LatencyNanoSec"]
    said = "of the baseline, over the limit of 20% (99% confidence)"
    assert first["failureReason"].startswith('run: actual p50 latency "')
    assert said in first["failureReason"]
    assert checkup.document["baseline"]["maxRegressionPercent"] == 20
    assert [one["sentence"] for one in checkup.document["causes"]] == [
        "slower than the baseline allows on default/blue-network"
    ]
    result.stdout.fnmatch_lines(
        ["*compared with old.json (*): of 2 pairs 2 slower, 0 faster; most default/blue-network*"]
    )
    result.stdout.fnmatch_lines(["*Δp50 +*% > +20%*"])
    folder = checkup.pytester.path
    junit = (folder / "out.xml").read_text("utf-8")
    assert said in junit
    assert f'name="comparison.p50.baselineNanoSec" value="{change["baselineNanoSec"]}"' in junit
    assert "old.json" in (folder / "out.html").read_text("utf-8")
    found = {
        (one.name, one.labels.get("statistic")): one.value
        for family in text_string_to_metric_families((folder / "out.prom").read_text("utf-8"))
        for one in family.samples
        if one.labels.get("pair") == "worker1:worker2"
    }
    assert found["kvlatency_regressed", None] == 1
    assert found["kvlatency_baseline_change_ratio", "p50"] == pytest.approx(change["deltaPercent"] / 100)
    assert found["kvlatency_baseline_rtt_seconds", "p50"] == change["baselineNanoSec"] / 1e9


def test_without_a_limit_a_change_is_reported_and_fails_nothing(checkup: Checkup) -> None:
    document = json.loads(baseline(checkup, 0.5).read_text())
    document["measurements"][1]["nodeid"] = "kvlatency::check[default/blue-network-worker3:worker2]"
    document["measurements"][1] |= {
        "nodes": "worker3:worker2",
        "sourceNode": "worker3",
        "targetNode": "worker2",
    }
    keep(checkup, document)
    result = run(checkup, *BLUE, *PAIRS, "--kv-baseline=old.json")
    assert result.ret == pytest.ExitCode.OK
    compared, new = (one["comparison"] for one in checkup.document["measurements"])
    assert (compared["significant"], compared["regressed"]) == (True, False)
    assert new["reason"] == "new: the baseline has no such measurement"
    assert checkup.document["baseline"]["newPairs"] == ["default/blue-network worker2:worker3"]
    assert checkup.document["baseline"]["vanishedPairs"] == ["default/blue-network worker3:worker2"]
    result.stdout.fnmatch_lines(
        [
            "kvlatency: note: compared with old.json (*): of 1 pair 1 slower, 0 faster; most *",
            "kvlatency: note: not in the baseline: default/blue-network worker2:worker3",
            "kvlatency: note: in the baseline, and not in this run: default/blue-network worker3:worker2",
        ]
    )


def test_under_xdist_a_regression_fails_its_check_and_the_same_network_does_not(checkup: Checkup) -> None:
    document = json.loads(baseline(checkup).read_text())
    faster = document["measurements"][1]
    faster["samplesNanoSec"] = [value // 2 for value in faster["samplesNanoSec"]]
    keep(checkup, document)
    result = run(checkup, *BLUE, *PAIRS, "--kv-baseline=old.json", "--kv-max-regression=20", "-n1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    found = {
        one["nodes"]: (one["failureKind"], one["comparison"]["significant"], one["comparison"]["regressed"])
        for one in checkup.document["measurements"]
    }
    assert found == {"worker1:worker2": (None, False, False), "worker2:worker3": ("latency", True, True)}


def test_a_baseline_with_other_pings_is_refused_before_anything_is_created(checkup: Checkup) -> None:
    baseline(checkup)
    result = run(checkup, *BLUE, *PAIRS, "--kv-baseline=old.json", "--kv-interval=50ms")
    where = "default/blue-network worker1:worker2"
    refused(
        result,
        f"--kv-baseline old.json cannot be compared with this run, {where}: --kv-interval 100ms then, 50ms now",
    )
    assert not (checkup.pytester.path / "result.json").exists() or not checkup.document["measurements"]


def test_a_baseline_of_other_ground_or_guests_fails_the_checks(checkup: Checkup) -> None:
    document = json.loads(baseline(checkup).read_text())
    for one in document["measurements"]:
        one["softwareEmulation"] = True
    keep(checkup, document)
    result = run(checkup, *BLUE, *PAIRS, "--kv-baseline=old.json", "--kv-max-regression=20")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert checkup.outcomes == [("failed", "config")] * 2
    document["cluster"]["lab"] = None
    keep(checkup, document)
    result = run(checkup, *BLUE, *PAIRS, "--kv-baseline=old.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert checkup.outcomes == [("error", "config")] * 2
    reason = checkup.document["measurements"][0]["failureReason"]
    assert "it was measured in a cluster then, in a lab (simulated guests" in reason


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "--kv-baseline: 'old.json' cannot be read: No such file or directory*(from the command line)"),
        ("{", "--kv-baseline: 'old.json' is not JSON*"),
        (
            '{"schema": "kvlatency/v2"}',
            "--kv-baseline: 'old.json' has the schema 'kvlatency/v2': expected 'kvlatency/v1'*",
        ),
    ],
)
def test_a_file_that_is_no_baseline_is_a_usage_error(checkup: Checkup, text: str | None, said: str) -> None:
    if text is not None:
        (checkup.pytester.path / "old.json").write_text(text)
    refused(checkup.run(*BLUE, "--kv-baseline=old.json"), said)


def test_a_regression_is_an_exceeded_limit_which_a_suite_may_expect(checkup: Checkup) -> None:
    checkup.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.kvlatency(nad="default/blue-network", nodes="worker1:worker2")
        @pytest.mark.xfail(raises=__import__("pytest_kvlatency.errors").errors.LimitExceeded)
        def test_known(kv_latency):
            pass
        """
    )
    run(checkup)
    keep(checkup, checkup.document, 0.5)
    run(checkup, "--kv-baseline=old.json", "--kv-max-regression=20").assert_outcomes(xfailed=1)
