"""What a command leaves in the background: it lives, its session lives, and its output is no other command's."""

import os

import pytest
from begun import until_gone

from pytest_kvlatency.console import detached
from pytest_kvlatency.deadline import Deadline

WHEN_IT_ENDS = "while kill -0 {} 2>/dev/null; do sleep 0.05; done"


@pytest.fixture
def run(shell):
    """Run a command as a test does with its guest; its output."""

    def run(command):
        done = shell.run(command, timeout_seconds=60, rerunnable=False, may_leave_jobs=True)
        # bash says which job was started, and which has ended.
        return "\n".join(line for line in done.output.splitlines() if not line.startswith("[1]"))

    return run


@pytest.mark.parametrize("way", ["may_leave_jobs", "an ordinary command"])
def test_a_job_that_ends_while_nothing_runs_does_not_end_its_shell(shell, way):
    tagged = way == "may_leave_jobs"
    before = shell.run("echo $$", rerunnable=False, may_leave_jobs=tagged).output
    shell.run("sleep 0.1 >/dev/null & job=$!", rerunnable=False, may_leave_jobs=tagged)
    until_gone(shell.run("echo $job").output)
    assert shell.run("echo $$", timeout_seconds=60, rerunnable=False, may_leave_jobs=tagged).output == before


def test_the_terminal_echoes_also_where_an_earlier_session_left_it_silent(make_guest, make_shell):
    guest = make_guest("busybox sh -i")
    guest.connect().write(b"stty -echo -icrnl\n")
    shell = make_shell(guest.connect)
    settings = shell.run("stty -a <&1").output.split()
    assert {"echo", "icanon", "icrnl"} <= set(settings)


def test_jobs_wait_and_kill_are_those_of_an_interactive_shell(shell):
    def run(command):
        return shell.run(command, timeout_seconds=60, rerunnable=False, may_leave_jobs=True)

    assert run("jobs").output == ""
    run("sleep 600 &")
    assert "sleep 600" in run("jobs").output
    assert run("kill %1").exit_status == 0
    run("wait")
    assert "Running" not in run("jobs").output
    run("(sleep 0.1; exit 7) & job=$!")
    assert run("wait $job").exit_status == 7


def test_what_a_job_prints_later_is_no_other_commands_output(shell, run, tmp_path):
    go = tmp_path / "go"
    os.mkfifo(go)
    run(f"(read x <{go}; echo from the job; printf 'and no newline') & job=$!")
    assert (
        run(f"echo before; echo >{go}; {WHEN_IT_ENDS.format('$job')}; printf after").splitlines()[-1]
        == "after"
    )
    assert "the job" not in shell.run("echo on").output
    assert "from the job\r\n" in shell.transcript
    assert "__KV" not in shell.transcript[shell.transcript.index("from the job") :][:30]


def test_a_job_that_prints_all_the_time_disturbs_no_command(shell, run):
    run("while :; do echo noise; sleep 0.01; done &")
    for _ in range(3):
        assert run("for i in 1 2 3; do echo $i; sleep 0.05; done; exit_status() { return 5; }") == "1\n2\n3"
        assert shell.run("for i in 1 2 3; do echo $i; sleep 0.05; done").output == "1\n2\n3"
    assert "noise\r\nnoise" in shell.transcript
    shell.suspend()
    assert run("echo back") == "back"
    run("kill $!")


def test_output_and_jobs_of_one_command_stay_together(run):
    assert run("(echo first) & wait; echo second").splitlines()[-2:] == ["first", "second"]


def test_a_job_under_nohup_writes_on_when_its_shell_has_ended(shell, run, tmp_path):
    go, log = tmp_path / "go", tmp_path / "log"
    os.mkfifo(go)
    run(f"nohup sh -c 'read x <{go}; echo done' >{log} 2>&1 & job=$!")
    pid = run("echo $job")
    shell.run("exit 3", timeout_seconds=60, rerunnable=False, may_leave_jobs=True)
    run(f"echo >{go}; {WHEN_IT_ENDS.format(pid)}")
    assert log.read_text(encoding="utf-8").endswith("done\n")


def test_a_command_that_ends_the_login_shell_keeps_its_output(shell, run):
    run("sleep 600 &")
    done = shell.run("seq 2000; exit 3", timeout_seconds=60, rerunnable=False, may_leave_jobs=True)
    assert done.exit_status == 3
    assert done.output.splitlines()[:2000] == [str(number) for number in range(1, 2001)]
    assert run("echo back") == "back"


def test_long_lines_and_much_output_come_back_whole(run):
    assert run("echo " + "x" * 9000) == "x" * 9000
    assert run("seq 3000") == "\n".join(map(str, range(1, 3001)))
    assert run("printf 'no newline'") == "no newline"
    assert run("printf '\\n\\none\\n\\n'") == "\n\none"


def test_directory_variables_and_descriptors_last(run, tmp_path):
    run(f"cd {tmp_path}; kept='a b'; exec 5>there")
    assert run('pwd; echo "$kept"; echo text >&5; cat there') == f"{tmp_path}\na b\ntext"


def test_without_what_tagging_takes_commands_run_all_the_same(shell, run):
    shell.run("mkfifo() { return 1; }")
    assert run("echo one; echo two >&2") == "one\ntwo"
    assert shell.run("echo out; exit 3", rerunnable=False, may_leave_jobs=True).exit_status == 3
    assert run("echo back") == "back"


def test_a_measurement_outlasts_the_end_of_a_job(shell):
    shell.run("sleep 0.2 >/dev/null &")
    done = detached.run_detached(
        shell, "echo begin; sleep 0.5; echo end", purpose="a job", timeout_seconds=60, deadline=Deadline(60)
    )
    # bash tells in between that the job has ended.
    said = [line for line in done.output.splitlines() if not line.startswith("[1]")]
    assert (said, done.exit_status) == (["begin", "end"], 0)


def test_nothing_is_left_in_the_guest(shell, run):
    run("echo on")
    assert shell.run("ls /tmp/.kv-????????").exit_status != 0
