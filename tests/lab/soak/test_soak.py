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


def soak(directory, *arguments):
    """Run the soak in a process of its own; give its exit status, its output, and what each row of its table counts."""
    done = subprocess.run(
        [sys.executable, SOAK, "--seed", "7", "--nodes", "4", "--dir", directory / "soak", *arguments],
        check=False,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=240,
    )
    found = {
        title: {kind for kind, count in zip(KINDS, counts.split(), strict=True) if count != "0"}
        for title, counts in re.findall(r"^(\S.*?) {2,}\d+((?: +\d+)+)$", done.stdout, re.MULTILINE)
    }
    assert "all" in found, done.stdout + done.stderr
    return done, found


@pytest.fixture(scope="module")
def sabotaged(tmp_path_factory):
    cases = ("interrupt-2", "api-11", "twins-1")
    only = [word for case in cases for word in ("--only", case)]
    return soak(tmp_path_factory.mktemp("sabotaged"), *only, "--plugin", "sabotage")


def test_a_soak_of_a_sound_plugin_finds_nothing(tmp_path):
    done, found = soak(tmp_path, "--only", "drop-20", "--only", "interrupt-2")
    assert (done.returncode, found["all"]) == (0, set()), done.stdout
    assert "4 drops" in done.stdout


@pytest.mark.parametrize(
    ("case", "title", "kinds"),
    [
        ("interrupt-2", "interrupts at random moments", {"left VMIs", "incomplete ConfigMaps"}),
        ("api-11", "10% of the API requests fail", {"wrong verdicts"}),
        ("twins-1", "two runs at once, one ConfigMap", {"double starts"}),
    ],
    ids=["interrupt", "api", "twins"],
)
def test_a_soak_finds_what_is_wrong_and_says_how_to_repeat_it(sabotaged, case, title, kinds):
    done, found = sabotaged
    assert done.returncode == 1, done.stdout
    assert kinds <= found[title] <= found["all"], done.stdout
    assert f"--seed 7 --only {case} --nodes 4 --plugin sabotage" in done.stdout


def test_a_case_that_does_not_exist_is_refused(tmp_path):
    done = subprocess.run(
        [sys.executable, SOAK, "--only", "flood-3"], check=False, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "there is no case 'flood-3'" in done.stderr
