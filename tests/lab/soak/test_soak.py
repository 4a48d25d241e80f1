"""The soak finds what is wrong with checkups: each kind of fault is planted once, in a few of its cases."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SOAK = HERE.parents[1] / "soak"
KINDS = ["left VMIs", "incomplete ConfigMaps", "wrong verdicts", "double starts", "hung or crashed"]


@pytest.fixture
def soak(tmp_path):
    """Run the soak in a process of its own; give its exit status, its output, and the counts of its last row."""

    def run(*arguments, sabotage=None):
        plugin = [] if sabotage is None else ["--plugin", "sabotage"]
        environment = {**os.environ, "SABOTAGE": sabotage or "", "PYTHONPATH": str(HERE)}
        done = subprocess.run(
            [sys.executable, SOAK, "--dir", tmp_path / "soak", *plugin, *arguments],
            check=False,
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
        )
        row = re.search(r"^all +\d+((?: +\d+)+)$", done.stdout, re.MULTILINE)
        assert row, done.stdout + done.stderr
        found = dict(zip(KINDS, map(int, row.group(1).split()), strict=True))
        return done, {kind: count for kind, count in found.items() if count}

    return run


def test_a_soak_of_a_sound_plugin_finds_nothing(soak):
    done, found = soak("--seed", "7", "--only", "drop-20", "--only", "interrupt-2")
    assert (done.returncode, found) == (0, {}), done.stdout
    assert "32 drops" in done.stdout


@pytest.mark.parametrize(
    ("sabotage", "case", "kinds"),
    [
        ("nothing is cleaned up", "interrupt-2", {"left VMIs", "incomplete ConfigMaps"}),
        ("every limit is met", "api-11", {"wrong verdicts"}),
        ("every run starts", "twins-1", {"double starts"}),
    ],
)
def test_a_soak_finds_what_is_wrong_and_says_how_to_repeat_it(soak, sabotage, case, kinds):
    done, found = soak("--seed", "7", "--only", case, sabotage=sabotage)
    assert done.returncode == 1, done.stdout
    assert kinds <= found.keys(), done.stdout
    assert f"--seed 7 --only {case} --plugin sabotage" in done.stdout


def test_a_case_that_does_not_exist_is_refused(tmp_path):
    done = subprocess.run(
        [sys.executable, SOAK, "--only", "flood-3"], check=False, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "there is no case 'flood-3'" in done.stderr
