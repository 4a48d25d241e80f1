"""A kubeconfig that cannot be used ends the run before anything runs: exit status 4, and said once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

OWN = ("--kv-nad", "default/blue-network")
PAIR = (*OWN, "--kv-nodes", "worker1:worker2")
FOUR = (*OWN, "--kv-nodes", "mesh", "--kv-node-set", "worker1,worker2,worker3")
SUITE = """
import pytest

@pytest.mark.kvlatency(nad="default/blue-network", nodes=["worker1:worker2", "worker1:worker3"])
def test_pairs(kv_latency): ...

def test_plain():
    print("THIS RAN")
"""
NOWHERE = "ERROR: the kubeconfig '/nowhere' (--kv-kubeconfig) does not exist"


def has_run_nothing(result: pytest.RunResult, line: str) -> None:
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([line])
    said = [one for one in (*result.outlines, *result.errlines) if one == line]
    assert len(said) == 1
    result.stdout.no_fnmatch_line("*THIS RAN*")
    result.stdout.no_fnmatch_line("*ERROR at setup*")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(PAIR, id="a-pair"),
        pytest.param(FOUR, id="a-mesh-of-named-nodes"),
        pytest.param((*OWN, "--kv-nodes", "mesh"), id="a-mesh"),
        pytest.param(("--kv-configmap", "default/config"), id="a-configmap"),
    ],
)
def test_the_own_check_ends_with_a_usage_error(pytester: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    result = pytester.runpytest_inprocess("--kv-kubeconfig", "/nowhere", "--kv-json", "out.json", *arguments)
    has_run_nothing(result, NOWHERE)
    document = json.loads((pytester.path / "out.json").read_text("utf-8"))
    assert document["succeeded"] is False
    assert "the kubeconfig '/nowhere' (--kv-kubeconfig) does not exist" in document["failureReason"]


def test_a_suite_ends_with_a_usage_error_before_any_of_its_tests_runs(
    pytester: pytest.Pytester, kubeconfig: Path
) -> None:
    pytester.makepyfile(SUITE)
    has_run_nothing(pytester.runpytest_inprocess("-s", "--kv-kubeconfig", "/nowhere"), NOWHERE)
    result = pytester.runpytest_inprocess("-s", f"--kv-kubeconfig={kubeconfig}", "--kv-context", "prod")
    has_run_nothing(
        result, f"ERROR: kubeconfig {kubeconfig} (--kv-kubeconfig) has no context 'prod' (--kv-context)"
    )
    result.stderr.fnmatch_lines(["Choose another with --kv-context; it has: lab."])


def test_a_credential_plugin_that_fails_is_a_usage_error_too(
    pytester: pytest.Pytester, kubeconfig: Path
) -> None:
    program = "{apiVersion: client.authentication.k8s.io/v1, command: 'false', interactiveMode: Never}"
    text = kubeconfig.read_text("utf-8")
    token = text.partition("token: ")[2].split()[0]
    path = pytester.makefile(".kubeconfig", failing=text.replace(f"token: {token}", f"exec: {program}"))
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_inprocess("-s", "--kv-kubeconfig", str(path))
    has_run_nothing(
        result,
        f"ERROR: kubeconfig {path}, user 'admin': the credential plugin 'false' returned no credentials: "
        "it exited with status 1",
    )


def test_workers_of_xdist_end_in_order_with_one_usage_error(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(SUITE)
    pytester.makeconftest(
        """
        def note(config, what):
            if hasattr(config, "workerinput"):
                (config.rootpath / f"{what}-{config.workerinput['workerid']}").touch()

        def pytest_collection_finish(session):
            note(session.config, "collected")

        def pytest_unconfigure(config):
            note(config, "ended")
        """
    )
    result = pytester.runpytest_subprocess("-n", "2", "--kv-kubeconfig", "/nowhere")
    has_run_nothing(result, NOWHERE)
    collected, ended = (
        {file.name.partition("-")[2] for file in pytester.path.glob(f"{what}-*")}
        for what in ("collected", "ended")
    )
    assert collected
    assert collected <= ended


def test_what_runs_no_check_does_not_look_at_the_kubeconfig(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    nowhere = ("--kv-kubeconfig", "/nowhere")
    assert pytester.runpytest_inprocess("--collect-only", *nowhere).ret == pytest.ExitCode.OK
    pytester.runpytest_inprocess("-k", "plain", *nowhere).assert_outcomes(passed=1, deselected=2)
    pytester.makepyfile("import pytest\n\n@pytest.mark.skip\ndef test_skipped(kv_latency): ...\n")
    pytester.runpytest_inprocess(*OWN, *nowhere).assert_outcomes(skipped=1)


def test_a_server_that_cannot_be_reached_is_an_error_of_each_check(pytester: pytest.Pytester) -> None:
    path = pytester.makefile(
        ".kubeconfig",
        away="""
        current-context: lab
        contexts: [{name: lab, context: {cluster: lab}}]
        clusters: [{name: lab, cluster: {server: "https://127.0.0.1:1"}}]
        """,
    )
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_inprocess("--kv-kubeconfig", str(path))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(errors=2, passed=1)
