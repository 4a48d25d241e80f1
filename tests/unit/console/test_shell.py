"""The shell session against real shells on a pseudo-terminal."""

import os
import shutil
from pathlib import Path

import pexpect
import pytest
from consolefakes import LossyTransport

from pytest_kvlatency.console import detached
from pytest_kvlatency.deadline import Deadline, Stop
from pytest_kvlatency.errors import CheckupTimeoutError, GuestError, InterruptedRunError
from pytest_kvlatency.threads import Threads

COMMANDS = {
    "echo hi": ("hi", 0),
    "false": ("", 1),
    "exit_status() { return 42; }; exit_status": ("", 42),
    """echo 'a"b' "c'd" '%s' \\\\ `echo x` $((1+2)) '!x'""": ("""a"b c'd %s \\ x 3 !x""", 0),
    "printf 'no newline'": ("no newline", 0),
    "for i in 1 2 3\ndo\n\techo line $i\ndone": ("line 1\nline 2\nline 3", 0),
    "cat <<END\nhere is\na document\nEND\n": ("here is\na document", 0),
    "echo one # a comment": ("one", 0),
    "echo é €": ("é €", 0),
    "echo " + "x" * 9000 + " | wc -c | tr -d ' '": ("9001", 0),
    "seq 3 | while read i; do echo n$i; done": ("n1\nn2\nn3", 0),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_gives_its_output_and_status(shell, command):
    result = shell.run(command, deadline=Deadline(60))
    assert (result.output, result.exit_status) == COMMANDS[command]


@pytest.mark.parametrize("command", ['echo "open', "(", "if", "echo $(", "case x"])
def test_a_syntax_error_is_an_exit_status_and_hangs_nothing(shell, command):
    assert shell.run(command, deadline=Deadline(60)).exit_status in {1, 2}
    assert shell.run("echo on", deadline=Deadline(60)).output == "on"


def test_directory_and_variables_last(shell, tmp_path):
    shell.run(f"cd {tmp_path}; kept='a b'")
    assert shell.run('pwd; echo "$kept"').output == f"{tmp_path}\na b"


@pytest.mark.parametrize("command", ["cat", "read x; echo got=$x", "head -1"])
def test_a_command_has_no_input_to_take_from_the_session(shell, command):
    assert shell.run(command, timeout_seconds=60).output in {"", "got="}
    assert shell.run("echo on").output == "on"


def test_a_command_may_leave_a_background_job(shell):
    assert shell.run("sleep 30 & echo started", timeout_seconds=60).output.endswith("started")
    assert shell.run("kill %1 2>/dev/null; echo on").output.startswith("on")


@pytest.mark.parametrize("command", ["exit 3", "set -e; (exit 3)"])
def test_a_command_that_ends_the_login_shell_has_a_status_and_the_session_comes_back(shell, command):
    assert shell.run(command, timeout_seconds=60).exit_status == 3
    assert shell.run("echo back", timeout_seconds=60).output == "back"


@pytest.mark.parametrize("text", ["# ", "$ ", "guest login: ", "Password: "])
def test_E07_prompts_in_the_output_are_output(shell, text):
    assert shell.run(f"printf '{text}\\n{text}'").output == f"{text}\n{text}"


def test_E06_a_long_command_wraps_at_80_columns_and_comes_back_clean(make_guest, make_shell):
    shell = make_shell(make_guest("bash --norc -i", columns=80).connect)
    words = " ".join(f"word{index}" for index in range(400))
    assert shell.run(f"echo {words}").output == words


@pytest.mark.parametrize("options", ["-f -i", "-f -i -o vi"])
def test_a_zsh_is_told_to_be_a_sh(make_guest, make_shell, options):
    shell = make_shell(make_guest(f"zsh {options}").connect)
    assert shell.run("for i in 1 2\ndo echo $i; done; (exit 3)").exit_status == 3


# What zsh does: `command` runs no builtins, until `emulate sh`.
NO_BUILTINS = """
command() {{
  if [ "$1" = eval ] && [ -z "$is_sh" ]; then echo "command not found: eval"; return 127; fi
  builtin command "$@"
}}
emulate() {{ is_sh={is_sh}; }}
"""


@pytest.fixture
def without_builtins(make_guest, make_shell, tmp_path):
    def make(is_sh):
        (tmp_path / "rc").write_text(NO_BUILTINS.format(is_sh=is_sh))
        return make_shell(make_guest(f"bash --rcfile {tmp_path}/rc -i").connect)

    return make


def test_a_shell_that_must_be_told_to_be_a_sh_is(without_builtins):
    assert without_builtins("yes").run("echo on").output == "on"


def test_a_shell_that_is_none_is_a_cause(without_builtins):
    with pytest.raises(
        GuestError, match="does not run commands as sh does: command not found: eval"
    ) as caught:
        without_builtins("").run("echo on")
    assert "login shell" in caught.value.hint


def test_E13_bytes_that_are_no_text_break_nothing(shell):
    assert shell.run(r"printf '\377\376 h\303\251 \360\237'").output == "\ufffd\ufffd h\u00e9 \ufffd"
    assert shell.run("echo on").output == "on"


def test_a_command_that_does_not_end_is_interrupted_and_named(shell):
    with pytest.raises(
        GuestError, match=r"^the first ping of 198\.18\.0\.2 did not end within 2s on VMI"
    ) as caught:
        shell.run("echo before; sleep 60", purpose="the first ping of 198.18.0.2", timeout_seconds=2)
    assert "before" in caught.value.transcript
    assert shell.run("echo on").output == "on"


def test_a_command_ends_with_the_checkup_s_time(make_guest, make_shell):
    shell = make_shell(make_guest().connect)
    shell.run("true")
    with pytest.raises(CheckupTimeoutError, match=r"^timed out after 300ms waiting for a command on VMI"):
        shell.run("sleep 60", deadline=Deadline(0.3))
    assert shell.run("echo on").output == "on"


def test_E59_a_stop_ends_a_command(make_guest, make_shell):
    shell = make_shell(make_guest().connect)
    stop = Stop()
    shell.run("true")
    stop.set("SIGTERM")
    with pytest.raises(InterruptedRunError, match="SIGTERM"):
        shell.run("sleep 60", stop=stop)


def test_the_console_is_a_pexpect_spawn_and_the_session_survives_its_use(shell):
    console = shell.console
    console.sendline("echo 'us''er' $((40 + 2))")
    console.expect(r"user (\d+)\r?\n", timeout=60)
    assert console.match[1] == "42"
    console.sendline("sleep 60")
    assert shell.run("echo on", timeout_seconds=60).output == "on"
    console.sendline("echo 'unfinished")
    assert shell.run("echo on", timeout_seconds=60).output == "on"
    with pytest.raises(pexpect.TIMEOUT):
        console.expect("never", timeout=0.1)
    console.close()
    assert not console.isalive()
    with pytest.raises(pexpect.EOF):
        console.read_nonblocking(1, timeout=1)
    assert shell.run("echo on", timeout_seconds=60).output == "on"
    assert shell.console is console
    assert console.isalive()


def test_E55_a_session_in_doubt_is_logged_into_again_when_its_guest_went_down_under_it(
    make_guest, make_shell
):
    # What is typed between two shells is lost, as in a guest that boots.
    guest = make_guest("dash -i; read lost")
    shell = make_shell(guest.connect)
    assert shell.run("first=1; echo on").output == "on"
    os.write(guest.master, b"exit\n")
    shell.doubt()
    assert shell.run('echo "on$first"', timeout_seconds=60).output == "on"


#: A closing quote, the line's end, the piece that starts, and half of the start marker.
DAMAGE = {
    "quote": b"E %s\\n%s%s E %s\\n'",
    "end": b"trap - 0\n",
    "start": b"printf '\\n%s%s S",
    "marker": b" S\\n",
}


@pytest.mark.parametrize("lost", DAMAGE)
@pytest.mark.parametrize("command", ["bash --norc -i", "busybox sh -i", "dash -i"])
def test_E08_a_line_that_does_not_arrive_whole_is_typed_again(
    make_guest, make_shell, monkeypatch, command, lost
):
    transport = LossyTransport(make_guest(command))
    shell = make_shell(lambda deadline: transport)
    shell.run("true")
    monkeypatch.setattr("pytest_kvlatency.console.shell._HEARD_SECONDS", 0.5)
    transport.lost = DAMAGE[lost]
    assert shell.run("echo on", timeout_seconds=60).output == "on"
    assert transport.lost == b""


def test_E08_one_that_may_not_run_twice_is_not(make_guest, make_shell, monkeypatch):
    transport = LossyTransport(make_guest())
    shell = make_shell(lambda deadline: transport)
    shell.run("true")
    monkeypatch.setattr("pytest_kvlatency.console.shell._HEARD_SECONDS", 0.1)
    transport.lost = b"trap - 0\n"
    with pytest.raises(GuestError, match="did not end within 1s"):
        shell.run("echo on", timeout_seconds=1, rerunnable=False)
    assert shell.run("echo on", timeout_seconds=60).output == "on"


def test_a_guest_that_hears_nothing_is_a_cause_and_not_waited_for_as_one_that_boots(
    make_guest, make_shell, monkeypatch
):
    guest = make_guest()
    shell = make_shell(guest.connect, login_seconds=600.0)
    shell.run("true")
    monkeypatch.setattr("pytest_kvlatency.console.shell._HEARD_SECONDS", 0.1)
    monkeypatch.setattr("pytest_kvlatency.console.shell.COMMAND_SECONDS", 0.5)
    guest.connection.write = lambda data: None
    with pytest.raises(GuestError, match="no login on the console of VMI default/guest within 500ms"):
        shell.run("echo on")


def test_commands_of_two_threads_run_one_after_the_other(shell):
    assert not shell.is_in_use
    threads = Threads(2, "test")
    results = [threads.submit(shell.run, f"sleep 0.2; echo {number}") for number in range(2)]
    assert [one.result(timeout=60).output for one in results] == ["0", "1"]
    assert not shell.is_in_use
    shell.console.send("half a line")
    assert shell.is_in_use
    assert shell.run("echo on").output == "on"
    assert not shell.is_in_use


def test_a_command_waits_for_anothers_end_no_longer_than_it_may(make_guest, make_shell):
    shell = make_shell(make_guest().connect)
    shell.run("true")
    stop = Stop()
    long = Threads(1, "test").submit(lambda: shell.run("sleep 60", stop=stop))
    while not shell.is_in_use:
        assert not long.done()
    with pytest.raises(CheckupTimeoutError, match="another command on VMI default/guest"):
        shell.run("true", deadline=Deadline(0.3))
    stop.set("SIGTERM")
    assert isinstance(long.exception(timeout=60), InterruptedRunError)


def test_E09_a_suspended_session_is_opened_again_unnoticed(shell):
    shell.run("kept=1")
    shell.suspend()
    assert shell.run("echo kept=$kept").output == "kept=1"


def test_E09_a_console_that_is_dead_after_idling_is_opened_again(make_guest, make_shell, monkeypatch):
    guest = make_guest()
    shell = make_shell(guest.connect)
    shell.run("true")
    monkeypatch.setattr("pytest_kvlatency.console.shell._IDLE_SECONDS", 0.0)
    monkeypatch.setattr("pytest_kvlatency.console.shell._PROOF_SECONDS", 0.3)
    dead = guest.connection
    dead.write = lambda data: None
    dead.read = lambda timeout: b""
    assert shell.run("echo on", rerunnable=False).output == "on"
    assert guest.connection is not dead


def test_E10_a_detached_command_outlives_the_console(shell, tmp_path):
    deadline = Deadline(60)
    job = detached.start(
        shell,
        f"echo begin; echo x >>{tmp_path}/count; sleep 0.5; echo end; exit 4",
        purpose="a job",
        deadline=deadline,
    )
    shell.guest.connection.is_open = False
    result = detached.collect(shell, job, purpose="a job", timeout_seconds=60, deadline=deadline)
    assert (result.output, result.exit_status) == ("begin\nend", 4)
    again = detached.collect(shell, job, purpose="a job", timeout_seconds=60, deadline=deadline)
    assert again == result
    assert (tmp_path / "count").read_text() == "x\n"


def test_a_guest_keeps_the_files_of_its_last_measurement_only(shell):
    def measure():
        # Where its files are, as the script that starts the command calls it.
        return detached.run_detached(
            shell, "echo $d", purpose="a job", timeout_seconds=60, deadline=Deadline(60)
        ).output

    gone, kept = [*(measure() for _ in range(2))], measure()
    shell.close()
    assert Path(kept, "out").read_text() == f"{kept}\n"
    assert not any(Path(one).exists() for one in gone)
    shutil.rmtree(kept)


def test_E10_without_a_writable_directory_the_command_runs_in_the_foreground(make_guest, make_shell):
    shell = make_shell(make_guest().connect)
    shell.run("mkdir() { return 1; }")
    result = detached.run_detached(
        shell, "echo done; exit 5", purpose="a job", timeout_seconds=60, deadline=Deadline(60)
    )
    assert (result.output, result.exit_status) == ("done", 5)


def test_a_console_that_opens_after_its_shell_was_closed_is_closed_again(make_guest, make_shell):
    guest, stop = make_guest(), Stop()

    def connect(deadline):
        # The run ends while the connection is being made.
        stop.set("SIGTERM")
        shell.close()
        return guest.connect()

    shell = make_shell(connect)
    with pytest.raises(InterruptedRunError, match="SIGTERM"):
        shell.login(Deadline(60, stop=stop))
    assert not guest.connection.is_open
    assert not shell.is_open
