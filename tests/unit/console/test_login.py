"""The login dialogue against recorded prompts."""

import pytest
from consolefakes import IMPATIENT, ScriptedTransport

from pytest_kvlatency.console import framing
from pytest_kvlatency.console.login import Login, LoginProfile
from pytest_kvlatency.console.spawn import ConsoleSpawn
from pytest_kvlatency.deadline import Deadline, Stop
from pytest_kvlatency.errors import CheckupTimeoutError, GuestError, InterruptedRunError

ALPINE_BOOT = (
    b"\r\n   OpenRC 0.48 is starting up Linux 6.1.64-0-virt (x86_64)\r\n\r\n * Mounting /proc ... [ ok ]\r\n"
    b"\r\nWelcome to Alpine Linux 3.18\r\nKernel 6.1.64-0-virt on an x86_64 (/dev/ttyS0)\r\n\r\nlocalhost login: "
)
MOTD = b"\r\nWelcome to Alpine!\r\n\r\nlocalhost:~# \x1b[6n"
FEDORA_BOOT = (
    b"[  OK  ] Reached target multi-user.target.\r\n\r\nFedora Linux 38 (Cloud Edition)\r\n"
    b"Kernel 6.2.9-300.fc38.x86_64 on an x86_64 (ttyS0)\r\n\r\neth0: 198.18.0.1\r\nguest login: "
)
FEDORA_PROMPT = b"\x1b[?2004h\x1b]0;fedora@guest:~\x07[fedora@guest ~]$ "
FAILED_LOGIN = (
    b"Last failed login: Mon Nov 23 20:00:00 UTC 2026 on ttyS0\r\n"
    b"There was 1 failed login attempt since the last successful login.\r\n"
)


class Guest:
    """A getty, a login and a shell that knows printf."""

    def __init__(
        self, *, user="root", password=None, prompt=MOTD, torn=0, refuse=False, hostname=b"localhost"
    ):
        self.user, self.password, self.prompt = user, password, prompt
        self.torn, self.refuse = torn, refuse
        self.login = b"\r\n" + hostname + b" login: "
        self.state = "name"
        self.junk = []

    def __call__(self, line):
        if self.state == "name":
            if not line:
                return self._prompt_for_a_name()
            if line != self.user:
                self.junk.append(line)
            if self.password is None and line == self.user and not self.refuse:
                self.state = "shell"
                return self.prompt
            self.state = "password"
            return b"Password: "
        if self.state == "password":
            if line == self.password and not self.refuse:
                self.state = "shell"
                return FAILED_LOGIN + self.prompt
            self.state = "name"
            return b"\r\nLogin incorrect" + self.login
        if "printf" in line:
            token = line.rsplit(" ", 1)[-1]
            return f"\r\n{framing.probe_answer(token)}\r\n".encode() + self.prompt
        return self.prompt

    def _prompt_for_a_name(self):
        if self.torn:
            self.torn -= 1
            return b"\r\nlocalhost lo[   14.2] cloud-init[287]: Cloud-init v. 22.2 finished\r\ngin: [   14.3] more\r\n"
        return self.login


def log_in(guest, banner=b"", *, seconds=60.0, user="root", password=None, known=False, stop=None, **options):
    transport = ScriptedTransport(banner, guest, **options)
    spawn = ConsoleSpawn("default/guest")
    spawn.attach(transport)
    profile = LoginProfile(user=user, password=password)
    dialogue = Login(spawn, profile, "default/guest", patience=IMPATIENT)
    dialogue.run(Deadline(seconds, stop=stop), known_session=known)
    return transport


def test_alpine_logs_root_in_without_a_password():
    guest = Guest()
    log_in(guest, ALPINE_BOOT)
    assert guest.state == "shell"
    assert guest.junk == []


def test_fedora_logs_in_with_a_password():
    guest = Guest(user="fedora", password="fedora", prompt=FEDORA_PROMPT)
    log_in(guest, FEDORA_BOOT, user="fedora", password="fedora")
    assert guest.state == "shell"
    assert guest.junk == []


def test_a_prompt_that_was_printed_before_the_console_was_opened_is_asked_for_again():
    guest = Guest()
    log_in(guest)
    assert guest.state == "shell"


@pytest.mark.parametrize("times", [1, 2])
def test_E01_a_torn_prompt_is_asked_for_again(times):
    guest = Guest(torn=times)
    log_in(guest, b"localhost lo[   12.3] cloud-init: noise\r\n")
    assert guest.state == "shell"
    assert guest.junk == []


def test_E02_last_failed_login_is_no_prompt():
    guest = Guest(user="fedora", password="fedora", prompt=FEDORA_PROMPT)
    transport = log_in(guest, FAILED_LOGIN + b"Last login: ", user="fedora", password="fedora")
    assert guest.junk == []
    assert transport.typed.count("fedora") == 2


@pytest.mark.parametrize("hostname", [b"latency-check-source-x7k2m", b"localhost", b"guest.example", b"a"])
def test_E03_the_host_name_does_not_matter(hostname):
    guest = Guest(hostname=hostname)
    log_in(guest)
    assert guest.state == "shell"


@pytest.mark.parametrize("prompt", [b"\r\nlocalhost:~# ", b"\r\n$ ", FEDORA_PROMPT, b"\r\nsh-5.1# \x1b[6n"])
def test_E04_a_shell_that_stands_there_already_is_used(prompt):
    guest = Guest(prompt=prompt)
    guest.state = "shell"
    transport = log_in(guest)
    assert "root" not in transport.typed


def test_E04_a_running_command_of_an_earlier_session_is_interrupted(make_guest, make_shell):
    guest = make_guest()
    guest.connect().write(b"sleep 600\n")
    shell = make_shell(guest.connect, patience=IMPATIENT)
    assert shell.run("echo free", deadline=Deadline(60)).output == "free"


def test_E04_a_shell_that_answers_once_and_then_waits_for_the_command_is_interrupted_again():
    class HalfInterrupted(ScriptedTransport):
        """bash, interrupted while it was starting a command that missed the interrupt."""

        interrupts = 0

        def write(self, data):
            self.interrupts += data.count(b"\x03")
            super().write(data)

    guest = Guest()
    guest.state = "shell"
    heard = []

    def answer(line):
        if transport.interrupts < 2 and any("printf" in earlier for earlier in heard):
            return b""
        heard.append(line)
        return guest(line)

    transport = HalfInterrupted(b"", answer)
    spawn = ConsoleSpawn("default/guest")
    spawn.attach(transport)
    dialogue = Login(spawn, LoginProfile(), "default/guest", patience=IMPATIENT)
    dialogue.run(Deadline(60.0), known_session=True)
    assert transport.interrupts == 2
    assert sum("printf" in line for line in heard) == 3


def test_E04_an_unfinished_line_and_quote_are_given_up(make_guest, make_shell):
    guest = make_guest()
    guest.connect().write(b"echo 'unfinished\nand more")
    shell = make_shell(guest.connect, patience=IMPATIENT)
    assert shell.run("echo free", deadline=Deadline(60)).output == "free"


def test_E13_a_boot_log_of_bytes_that_are_no_text_breaks_nothing():
    guest = Guest()
    log_in(guest, b"\xff\xfe\xc3(boot\x00\r\n" + ALPINE_BOOT)
    assert guest.state == "shell"


def test_E15_a_refused_login_is_a_cause_with_the_transcript():
    with pytest.raises(
        GuestError, match="refuses the login of 'fedora': it says \"Login incorrect\""
    ) as caught:
        log_in(Guest(user="fedora", password="x", refuse=True), user="fedora", password="wrong", seconds=2.0)
    assert "Login incorrect" in caught.value.transcript


def test_E15_a_password_that_the_profile_lacks_is_a_cause():
    with pytest.raises(GuestError, match="asks for a password, and the profile has none"):
        log_in(Guest(user="root", password="secret"))


def test_E04_the_password_prompt_of_somebody_else_s_login_is_no_refusal():
    guest = Guest()
    guest.state = "password"
    log_in(guest, b"stranger\r\nPassword: ")
    assert guest.state == "shell"


def test_E15_a_silent_guest_is_a_cause():
    with pytest.raises(GuestError, match=r"printed nothing on its console within 300ms") as caught:
        log_in(lambda line: b"", seconds=0.3, echo=False)
    assert caught.value.kind == "guest"


def test_E15_a_guest_that_never_offers_a_login_is_a_cause_with_the_transcript():
    with pytest.raises(GuestError, match="no login on the console") as caught:
        log_in(lambda line: b"", b"Kernel panic - not syncing\r\n", seconds=1.0, echo=False)
    assert "Kernel panic" in caught.value.transcript


def end_of_the_checkup(banner):
    """Log in while the time of the whole checkup, rather than that of the login, runs out."""
    spawn = ConsoleSpawn("default/guest")
    spawn.attach(ScriptedTransport(banner, lambda line: b"", echo=False))
    dialogue = Login(spawn, LoginProfile(), "default/guest", patience=IMPATIENT)
    dialogue.run(Deadline(1.0).limit(240), known_session=False)


def test_E15_a_guest_that_still_boots_when_the_checkups_time_is_over_is_no_broken_guest():
    with pytest.raises(CheckupTimeoutError) as caught:
        end_of_the_checkup(b"[    0.512] Run /init as init process\r\n")
    assert caught.value.reason == (
        "timed out after 1s waiting for the login on VMI default/guest: "
        "its guest is still booting, or offers no login"
    )
    assert "spec.timeout" in caught.value.hint
    assert "Run /init" in caught.value.transcript


def test_E15_a_silent_guest_is_the_cause_whichever_time_is_over():
    with pytest.raises(GuestError, match=r"printed nothing on its console within 1s"):
        end_of_the_checkup(b"")


def test_E59_a_stop_ends_the_login():
    stop = Stop()
    stop.set("SIGTERM")
    with pytest.raises(InterruptedRunError):
        log_in(lambda line: b"", stop=stop)


def test_only_enter_is_typed_while_nothing_is_known():
    transport = ScriptedTransport(b"SeaBIOS (version 1.16)\r\n", lambda line: b"")
    spawn = ConsoleSpawn("default/guest")
    spawn.attach(transport)
    with pytest.raises(GuestError):
        Login(spawn, LoginProfile(), "default/guest").run(Deadline(1.5), known_session=False)
    assert set(transport.typed) == {""}
