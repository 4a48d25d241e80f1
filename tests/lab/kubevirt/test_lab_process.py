"""The lab as a process: its command line, and how a test run starts and ends one."""

from __future__ import annotations

import functools
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from begun import begun, until_gone

from pytest_kvlatency.lab import cli
from pytest_kvlatency.lab.process import LabProcess, LabStartError
from pytest_kvlatency.lab.spec.faults import FAULTS

ROOT = Path(__file__).resolve().parents[3]
UP = [sys.executable, "-m", "pytest_kvlatency.lab", "up"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
SECONDS = 60


def run_up(*arguments, **more):
    return subprocess.run(
        [*UP, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=ENVIRONMENT,
        **more,
    )


def test_start_and_stop(tmp_path):
    lab = LabProcess.start("sim", tmp_path / "lab", SECONDS)
    try:
        assert lab.kubeconfig.is_file()
        assert lab.info["guests"] == "sim"
        assert lab.info["description"] == "simulated guests"
        assert lab.info["kubeconfig"] == str(lab.kubeconfig)
        assert "kubeconfig: " in lab.output
        assert lab.running
        assert os.getpgid(lab.info["pid"]) == lab.info["pid"] != os.getpgid(0)
    finally:
        lab.stop()
    assert not lab.running
    assert lab.kubeconfig.is_file(), "its parent lives, and may want the records"
    lab.stop()


def test_a_start_that_fails_says_why(tmp_path):
    with pytest.raises(LabStartError, match="is not auto, sim, qemu or a lab file"):
        LabProcess.start("nonsense", tmp_path, SECONDS)


def test_a_start_that_takes_too_long_leaves_no_process(tmp_path):
    with pytest.raises(LabStartError, match=r"was not ready after 0\.001 s"):
        LabProcess.start("sim", tmp_path, 0.001)


def test_a_stale_lab_file_is_not_taken_for_the_new_labs(tmp_path):
    (tmp_path / "lab.json").write_text(json.dumps({"pid": 1}))
    with pytest.raises(LabStartError, match="did not start"):
        LabProcess.start("nonsense", tmp_path, SECONDS)


def test_E60_the_lab_dies_with_a_parent_that_is_killed(tmp_path):
    code = f"""
        import time
        from pathlib import Path
        from pytest_kvlatency.lab.process import LabProcess
        lab = LabProcess.start("sim", Path({str(tmp_path / "lab")!r}), {SECONDS})
        print(lab.info["pid"], flush=True)
        time.sleep({SECONDS})
    """
    with begun(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    until_gone(pid)
    # Nobody else would remove its credentials.
    assert not (tmp_path / "lab").exists()


def test_starting_a_lab_imports_nothing_of_it():
    code = (
        "import sys, pytest_kvlatency.lab.process; "
        "sys.exit(any(name in sys.modules for name in ('aiohttp', 'cryptography', 'kubernetes')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, env=ENVIRONMENT).returncode == 0


@pytest.mark.parametrize(
    ("before", "survives"),
    [(("env", "--default-signal=HUP"), False), (("nohup",), True)],
    ids=["plain", "nohup"],
)
def test_up_outlives_its_terminal_only_under_nohup(tmp_path, before, survives):
    with begun(
        [*before, *UP, "sim", "--dir", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=ENVIRONMENT,
    ) as lab:
        assert lab.stdout is not None
        assert lab.stdout.readline().startswith("guests: ")
        assert lab.stdout.readline() == f"kubeconfig: {tmp_path}/kubeconfig\n"
        lab.send_signal(signal.SIGHUP)
        if survives:
            assert "SIGHUP" in _ignored(lab.pid)
            lab.send_signal(signal.SIGTERM)
        assert lab.wait(SECONDS) == 0


def _ignored(pid):
    """Names of the signals that a process ignores."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(int(line.split()[1], 16) for line in lines if line.startswith("SigIgn"))
    return {number.name for number in signal.Signals if mask & 1 << number - 1}


def test_up_without_a_directory_makes_one_and_removes_it_at_ctrl_c():
    with begun([*UP, "sim"], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as lab:
        assert lab.stdout is not None
        lab.stdout.readline()
        path = Path(lab.stdout.readline().removeprefix("kubeconfig: ").strip())
        assert path.is_file()
        lab.send_signal(signal.SIGINT)
        assert lab.wait(SECONDS) == 0
    assert not path.parent.exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nonsense"], '"nonsense" is not auto, sim, qemu or a lab file'),
        (["nowhere.yaml"], 'the lab file "nowhere.yaml" does not exist'),
        (["sim", "--dir", "/dev/null/x"], "--dir /dev/null/x: "),
    ],
)
def test_what_the_user_can_mend_is_told_without_a_traceback(arguments, text, capsys):
    assert cli.main(["up", *arguments]) == 2
    told = capsys.readouterr().err
    assert text in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], ["kubectl", "export KUBECONFIG", "up|setup"]),
        (["up", "--help"], ["DIR/kubeconfig", "default/blue-network", *FAULTS]),
        (["setup", "--help"], ["Debian and Ubuntu", "QEMU"]),
    ],
)
def test_help_tells_all_there_is(arguments, words, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(arguments)
    told = capsys.readouterr().out
    assert [word for word in words if word not in told] == []


def test_without_qemu_the_lab_says_why_and_how_to_get_it(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import shutil\n"
        "real = shutil.which\n"
        "shutil.which = lambda name, *more, **named: None if 'qemu' in name else real(name, *more, **named)\n"
    )
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    with begun(UP, stdout=subprocess.PIPE, text=True, env=environment) as lab:
        assert lab.stdout is not None
        line = lab.stdout.readline()
        lab.terminate()
    assert line.startswith("guests: simulated guests (not QEMU: real guests need ")
    assert "To install what is missing: python -m pytest_kvlatency.lab setup" in line


def test_a_missing_extra_is_named(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "real = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'aiohttp' else real(name, *rest)\n"
    )
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [*UP, "sim"], check=False, capture_output=True, text=True, timeout=SECONDS, env=environment
    )
    assert done.returncode == 2
    assert "the lab needs aiohttp: pip install 'pytest-kvlatency[lab]'" in done.stderr


def test_a_lab_whose_output_no_thread_can_read_is_ended(tmp_path, monkeypatch):
    started = []
    popen = subprocess.Popen

    def start(*arguments, **more):
        started.append(popen(*arguments, **more))
        return started[-1]

    def start_thread(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", start)
        patch.setattr(threading.Thread, "start", start_thread)
        with pytest.raises(RuntimeError, match="new thread"):
            LabProcess.start("sim", tmp_path / "lab", SECONDS)
    until_gone(started[0].pid)


def test_a_lab_that_would_run_out_of_open_files_says_how_many_it_needs(tmp_path):
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, (100, 100))
    done = run_up("sim", "--dir", str(tmp_path / "lab"), preexec_fn=limit)
    assert done.returncode == 2
    assert done.stderr == (
        "error: a lab of 3 nodes needs 112 open files, but the limit is 100: raise it (ulimit -n 1024)\n"
    )
