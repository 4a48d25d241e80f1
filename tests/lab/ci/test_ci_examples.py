"""The CI examples: their structure, the syntax of every script, and their commands, run against the lab."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import forking
import pytest
import yaml
from plain import plain

from pytest_kvlatency.__main__ import main

ROOT = Path(__file__).parents[3]
CI = ROOT / "examples" / "ci"
#: The nodes are called as kind calls them.
LAB = """
guests: sim
nodes: [kv-worker, kv-worker2]
networks:
  default/blue-network: {latency: 200us}
  default/slow-network: {latency: 30ms}
seed: 7
boot: 100ms
time_scale: 20
"""


def text_of(name):
    return (CI / name).read_text(encoding="utf-8")


def load(name):
    return yaml.safe_load(text_of(name))


GITHUB = load("github-actions.yaml")
GITLAB = load("gitlab-ci.yaml")
TASK = load("tekton-task.yaml")


def github_step(job, name):
    (step,) = [one for one in GITHUB["jobs"][job]["steps"] if one.get("name") == name]
    return step["run"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    directory = tmp_path_factory.mktemp("lab")
    (directory / "lab.yaml").write_text(LAB, encoding="utf-8")
    process = forking.lab(directory / "lab.yaml", directory / "run")
    yield process
    process.stop()


@pytest.fixture
def bash(lab, tmp_path):
    """Run a step's script as a runner does, in a checkout; the cluster is the lab."""
    shutil.copytree(ROOT / "conftest_example", tmp_path / "conftest_example")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")

    def run(text, **variables):
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            **plain(),
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "KUBECONFIG": str(lab.kubeconfig),
            **variables,
        }
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment,
            timeout=200,
        )

    return run


def cases(path):
    return ET.parse(path).getroot().findall(".//testcase")


# --- what can be said of the files


@pytest.mark.parametrize("name", ["github-actions.yaml", "gitlab-ci.yaml", "tekton-task.yaml", "kind.yaml"])
def test_each_file_says_at_its_top_what_has_never_been_run(name):
    head = " ".join(line.strip("# ") for line in text_of(name).splitlines() if line.startswith("#"))
    assert text_of(name).startswith("#")
    assert "never been run" in head


def scripts():
    for job, content in GITHUB["jobs"].items():
        for number, step in enumerate(content["steps"]):
            if "run" in step:
                yield pytest.param(step["run"], id=f"github-{job}-{number}")
    for job in ("smoke", "network"):
        for part in ("before_script", "script"):
            for number, line in enumerate(GITLAB[job][part]):
                yield pytest.param(line, id=f"gitlab-{job}-{part}-{number}")


@pytest.mark.parametrize("script", list(scripts()))
def test_scripts_are_valid_bash(script):
    # What GitHub fills in before bash sees it would be a way to inject commands.
    assert "${{" not in script
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_actions_and_downloads_are_pinned_by_version():
    used = re.findall(r"uses: (\S+)", text_of("github-actions.yaml"))
    assert used
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+\.\d+\.\d+", one) for one in used), used
    versions = {key: one for key, one in GITHUB["jobs"]["network"]["env"].items() if key.endswith("_VERSION")}
    assert all(re.fullmatch(r"v\d+\.\d+\.\d+", one) for one in versions.values())
    whole = json.dumps(GITHUB)
    assert "latest" not in whole
    for name in versions:
        assert f"${name}" in whole or f"env.{name}" in whole
    for url in re.findall(r"https://[^\s\"\\]+", whole):
        assert re.search(r"\$[A-Z_]+_VERSION", url), url


def test_reports_are_where_each_system_looks_for_them():
    for job in GITHUB["jobs"].values():
        last = job["steps"][-1]
        assert last["uses"].startswith("actions/upload-artifact@")
        assert (last["if"], last["with"]["path"]) == ("always()", "reports")
        assert "--junitxml reports/" in json.dumps(job["steps"])
    for name in ("smoke", "network"):
        artifacts = GITLAB[name]["artifacts"]
        assert artifacts["when"] == "always"
        assert f"--junitxml {artifacts['reports']['junit']}" in " ".join(GITLAB[name]["script"])


def test_the_workflow_names_files_that_exist():
    for path in re.findall(r"examples/ci/[\w.]+", text_of("github-actions.yaml")):
        assert (ROOT / path).is_file()
    assert GITHUB["jobs"]["network"]["env"]["CLUSTER"] == "kv"
    assert [one["role"] for one in load("kind.yaml")["nodes"]] == ["control-plane", "worker", "worker"]


# --- the commands, run


def test_the_smoke_stage_of_both_runs_the_suite_without_a_cluster(bash, tmp_path):
    script, variables = github_step("smoke", "Run the suite"), GITHUB["jobs"]["smoke"]["env"]
    assert ("\n".join(GITLAB["smoke"]["script"]), GITLAB["smoke"]["variables"]) == (script, variables)
    done = bash(script, KUBECONFIG="/nowhere", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(cases(tmp_path / "reports" / "smoke.xml")) > 1


def test_githubs_check_and_summary(bash, tmp_path):
    done = bash(github_step("network", "Check the network"), **GITHUB["jobs"]["network"]["env"])
    assert done.returncode == 0, done.stdout + done.stderr
    (case,) = cases(tmp_path / "reports" / "junit.xml")
    assert "kv-worker:kv-worker2" in case.get("name")
    assert (tmp_path / "reports" / "latency.html").is_file()
    summary = tmp_path / "summary.md"
    done = bash(github_step("network", "Summary"), GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"\| default/blue-network \| kv-worker → kv-worker2 \| ok \| 50/50 \| 0% \| [\d.]+ \| [\d.]+ \|",
        summary.read_text(encoding="utf-8"),
    )


@pytest.mark.parametrize("network", ["blue", "slow"])
def test_gitlabs_check(bash, tmp_path, network):
    variables = {**GITLAB["network"]["variables"], "NETWORK": f"default/{network}-network"}
    done = bash("\n".join(GITLAB["network"]["script"]), **variables)
    assert done.returncode == (0 if network == "blue" else 1), done.stdout + done.stderr
    (case,) = cases(tmp_path / "reports" / "junit.xml")
    assert (case.find("failure") is None) is (network == "blue")
    markdown = tmp_path / "latency.md"
    main(["report", str(tmp_path / "reports" / "latency.json"), "--markdown", str(markdown)])
    shown = markdown.read_text(encoding="utf-8")
    assert ("## ✅ Network check passed" in shown) is (network == "blue")
    assert f"| default/{network}-network | kv-worker" in shown
    assert "| 50/50 | 0% |" in shown


# --- Tekton


def test_the_task_declares_what_it_uses():
    spec = TASK["spec"]
    assert (TASK["apiVersion"], TASK["kind"]) == ("tekton.dev/v1", "Task")
    used = set(re.findall(r"\$\(([^)]*)\)", json.dumps({**spec, "params": None})))
    declared = {f"params.{one['name']}{'[*]' * (one['type'] == 'array')}" for one in spec["params"]}
    declared |= {f"workspaces.{one['name']}.path" for one in spec["workspaces"]}
    declared |= {f"results.{one['name']}.path" for one in spec["results"]}
    # Of the steps, those that go on after a failure are asked for their status.
    declared |= {
        f"steps.step-{one['name']}.exitCode.path" for one in spec["steps"] if one.get("onError") == "continue"
    }
    assert used == declared
    for one in spec["steps"]:
        assert ("script" in one) != ("command" in one)
        assert set(one["computeResources"]) == {"requests", "limits"}
    assert spec["stepTemplate"]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


class Tekton:
    """Runs the Task's steps with its variables filled in."""

    def __init__(self, lab, directory, params):
        self._lab = lab
        self._directory = directory
        (directory / "reports").mkdir()
        self._values = {f"params.{one['name']}": one["default"] for one in TASK["spec"]["params"]}
        self._values |= {f"params.{name}": value for name, value in params.items()}
        self._values["workspaces.reports.path"] = str(directory / "reports")
        self._values["steps.step-check.exitCode.path"] = str(directory / "exitCode")
        self._values |= {
            f"results.{one['name']}.path": str(directory / one["name"]) for one in TASK["spec"]["results"]
        }

    def _filled(self, text):
        return re.sub(r"\$\(([^)]*)\)", lambda name: self._values[name[1]], text)

    def _run(self, command, environment):
        own = {"PATH": os.environ["PATH"], "HOME": str(self._directory), "PYTHONPATH": str(ROOT)}
        own |= {**plain(), "KUBECONFIG": str(self._lab.kubeconfig)} | environment
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=self._directory, env=own, timeout=200
        )

    def run(self):
        check, results = TASK["spec"]["steps"]
        assert check["command"][0] == "python"
        arguments = []
        for one in check["args"]:
            arguments += (
                self._values["params.arguments"] if one == "$(params.arguments[*])" else [self._filled(one)]
            )
        done = self._run([sys.executable, *check["command"][1:], *arguments], {})
        (self._directory / "exitCode").write_text(str(done.returncode))
        first, _, script = results["script"].partition("\n")
        assert first == "#!/usr/bin/env python"
        environment = {one["name"]: self._filled(one["value"]) for one in results["env"]}
        last = self._run([sys.executable, "-c", script], environment)
        assert last.stderr == ""
        return last.returncode, done.stdout + done.stderr

    def result(self, name):
        return (self._directory / name).read_text()


@pytest.mark.parametrize("network", ["blue", "no-such"])
def test_the_tasks_steps_give_results_and_hand_the_status_on(lab, tmp_path, network):
    more = ["--kv-sample-duration=1s", "--html", str(tmp_path / "reports" / "latency.html")]
    tekton = Tekton(lab, tmp_path, {"network": f"default/{network}-network", "arguments": more})
    status, output = tekton.run()
    is_good = network == "blue"
    assert status == (0 if is_good else 1), output
    assert tekton.result("succeeded") == ("true" if is_good else "false")
    assert bool(tekton.result("max-latency-ns")) is is_good
    assert ("default/no-such-network does not exist" in tekton.result("failure-reason")) is not is_good
    assert (tekton.result("failure-reason") == "") is is_good
    assert len(cases(tmp_path / "reports" / "junit.xml")) == 1
    assert (tmp_path / "reports" / "latency.html").is_file()


def test_the_task_says_so_when_the_check_never_began(lab, tmp_path):
    tekton = Tekton(lab, tmp_path, {"max-latency": "10"})
    status, output = tekton.run()
    assert status == 4
    assert "--kv-max-latency" in output
    assert (tekton.result("succeeded"), tekton.result("max-latency-ns")) == ("false", "")
    assert tekton.result("failure-reason")
