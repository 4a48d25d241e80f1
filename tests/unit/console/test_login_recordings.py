"""The login against recorded dialogues (``tests/unit/data/login``), and what it types where nothing is known yet."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from consolefakes import IMPATIENT, ScriptedTransport

from pytest_kvlatency.console import framing, prompts
from pytest_kvlatency.console.login import Login, LoginProfile, Patience
from pytest_kvlatency.console.spawn import ConsoleSpawn
from pytest_kvlatency.deadline import Backoff, Deadline, Stop
from pytest_kvlatency.errors import CheckupTimeoutError, GuestError, InterruptedRunError

FOLDER = Path(__file__).parents[1] / "data" / "login"
ACCEPTED = sorted(path.stem for path in FOLDER.glob("*.txt") if not path.stem.startswith("demand-"))
DEMANDS = {
    "demand-fedora": "You are required to change your password immediately (administrator enforced).",
    "demand-centos-7": "You are required to change your password immediately (root enforced)",
    "demand-expired": "WARNING: Your password has expired.",
    "demand-without-a-password": "You are required to change your password immediately (administrator enforced).",
}


class Recording:
    """Plays a file to whoever types what it holds; a shell that knows printf stands at its end."""

    def __init__(self, name):
        lines = (FOLDER / f"{name}.txt").read_text(encoding="ascii").splitlines()
        self.steps = [(line[0], line[2:].encode().decode("unicode_escape").encode()) for line in lines]
        self.unexpected = []
        self.last = b""
        self.banner = self._printed()

    def _printed(self):
        printed = b""
        while self.steps and self.steps[0][0] == "<":
            printed += self.steps.pop(0)[1]
        self.last = printed.rpartition(b"\n")[2] or self.last
        return printed

    def __call__(self, line):
        if self.steps and line.encode() == self.steps[0][1]:
            self.steps.pop(0)
            return self._printed()
        if not line:
            return b"\r\n" + self.last
        if not self.steps and "printf" in line:
            return f"\r\n{framing.probe_answer(line.rsplit(' ', 1)[-1])}\r\n".encode() + self.last
        self.unexpected.append(line)
        return b"\r\n" + self.last


def log_in(answer, *, banner=b"", password="s3cret", seconds=60.0, deadline=None, patience=IMPATIENT):
    transport = ScriptedTransport(banner, answer)
    spawn = ConsoleSpawn("default/guest")
    spawn.attach(transport)
    profile = LoginProfile(user="fedora", password=password)
    dialogue = Login(spawn, profile, "default/guest", patience=patience)
    dialogue.run(deadline or Deadline(seconds), known_session=False)
    return transport


@pytest.mark.parametrize("name", ACCEPTED)
def test_E84_a_recorded_login_succeeds(name):
    recording = Recording(name)
    log_in(recording, banner=recording.banner)
    assert recording.steps == recording.unexpected == []


@pytest.mark.parametrize("name", DEMANDS)
def test_E84_a_demand_for_a_new_password_is_named_at_once(name):
    recording = Recording(name)
    with pytest.raises(GuestError) as caught:
        log_in(recording, banner=recording.banner)
    assert caught.value.reason == (
        "the guest of VMI default/guest requires a new password for 'fedora' at the first login: "
        f'it says "{DEMANDS[name]}"'
    )
    assert "chpasswd: {expire: false}" in caught.value.hint
    assert recording.steps == recording.unexpected == []


class Refusing:
    """A guest that refuses the login ``times`` times, in its words; ``said`` comes after the first refusal."""

    def __init__(self, times, words=b"Login incorrect", said=b""):
        self.times, self.words, self.said = times, words, said
        self.names = self.passwords = 0
        self.asks = "name"

    def __call__(self, line):
        if self.asks == "shell":
            if "printf" in line:
                return f"\r\n{framing.probe_answer(line.rsplit(' ', 1)[-1])}\r\n$ ".encode()
            return b"\r\n$ "
        if self.asks == "name":
            if not line:
                return b"guest login: "
            self.names += 1
            self.asks = "password"
            return b"Password: "
        self.passwords += 1
        self.asks = "shell" if self.passwords > self.times else "name"
        if self.asks == "shell":
            return b"\r\n$ "
        said, self.said = self.said, b""
        return b"\r\n" + self.words + b"\r\n" + said + b"\r\nguest login: "


def test_E84_a_refusal_is_not_final_while_cloud_init_may_still_set_the_password():
    guest = Refusing(6)
    log_in(guest, patience=Patience(retries=Backoff(first=0.1, longest=0.2)))
    assert guest.passwords == 7


def test_E15_after_cloud_init_is_done_several_refusals_are_final():
    guest = Refusing(
        99, said=b"[   41.2] cloud-init[927]: Cloud-init v. 23.1.2 finished at Mon, 23 Nov 2026\r\n"
    )
    with pytest.raises(GuestError, match=r'login of \'fedora\': it says "Login incorrect" \(3 times within'):
        log_in(guest)


def test_E84_refusals_are_spaced_and_the_cause_when_the_time_of_the_login_is_over():
    guest = Refusing(99)
    with pytest.raises(GuestError, match=r'refuses the login of \'fedora\': it says "Login incorrect"'):
        log_in(guest, seconds=3.0, patience=Patience(retries=Backoff(first=0.5, longest=20.0)))
    assert 2 <= guest.passwords <= 3


def test_E84_a_checkup_that_ends_after_one_refusal_says_so():
    patience = Patience(retries=Backoff(first=20.0, longest=20.0))
    with pytest.raises(CheckupTimeoutError, match="its guest has refused the login of 'fedora' so far"):
        log_in(Refusing(99), deadline=Deadline(1.0).limit(240), patience=patience)


@pytest.mark.parametrize("words", [b"Anmeldung falsch", b"", b"\xe3\x83\xad\xe3\x82\xb0"])
def test_E84_a_refusal_in_any_language_is_one(words):
    guest = Refusing(2, words=words)
    log_in(guest)
    assert guest.passwords == 3


def test_E84_a_guest_that_asks_for_the_password_again_and_again_is_not_answered_for_ever():
    asked = []

    def answer(line):
        asked.append(line)
        if line == "s3cret":
            return b"\r\nPassword: "
        return b"Password: " if line == "fedora" else b"\r\nguest login: "

    with pytest.raises(GuestError, match="it asks for the password again"):
        log_in(answer, seconds=2.0)
    assert asked.count("s3cret") <= 6


def test_E02_a_message_with_a_colon_is_not_answered_with_the_password():
    lines = []

    def answer(line):
        lines.append(line)
        if line == "fedora":
            return b"Last failed login: "
        if "printf" in line:
            return f"\r\n{framing.probe_answer(line.rsplit(' ', 1)[-1])}\r\n$ ".encode()
        return b"\r\n$ " if "fedora" in lines else b"guest login: "

    log_in(answer)
    assert "s3cret" not in lines


# --- nothing is known yet


class BootLoader(ScriptedTransport):
    """Waits in silence, prints, and takes any key but Enter for an order; ``echo`` as its console has it."""

    def __init__(self, banner=b"", answer=lambda line: b"", *, echo=False):
        self.keys = b""
        super().__init__(banner, answer, echo=echo)

    def write(self, data):
        self.keys += data.strip(b"\n")
        super().write(data)


PROGRESS = [
    pytest.param(b"", lambda line: b"", id="silence"),
    pytest.param(b"SeaBIOS (version 1.16)\r\n", lambda line: b"", id="a banner"),
    pytest.param(b"Loading kernel ######", lambda line: b"#", id="progress that grows"),
    pytest.param(
        b"\r\nLoading initrd #",
        lambda line: b"\r\nLoading %d #" % time.monotonic_ns(),
        id="progress in lines",
    ),
    pytest.param(b"Press any key to enter the menu: ", lambda line: b"", id="a question"),
    pytest.param(b"", lambda line: b"grub> ", id="a prompt of its own"),
]


@pytest.mark.parametrize(("banner", "answer"), PROGRESS)
def test_a_boot_loader_gets_nothing_but_enter(banner, answer):
    loader = BootLoader(banner, answer)
    spawn = ConsoleSpawn("default/guest")
    spawn.attach(loader)
    dialogue = Login(spawn, LoginProfile(), "default/guest", patience=IMPATIENT)
    with pytest.raises(GuestError):
        dialogue.run(Deadline(5 * IMPATIENT.interrupt_seconds), known_session=False)
    assert loader.keys == b""


def test_an_echo_tells_a_terminal_whose_command_can_be_interrupted():
    stop = Stop()

    class Terminal(BootLoader):
        def write(self, data):
            super().write(data)
            if b"\x03" in data:
                stop.set("a key")

    spawn = ConsoleSpawn("default/guest")
    spawn.attach(Terminal(echo=True))
    dialogue = Login(spawn, LoginProfile(), "default/guest", patience=IMPATIENT)
    with pytest.raises(InterruptedRunError, match="a key"):
        dialogue.run(Deadline(60, stop=stop), known_session=False)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("guest login: ", "login"),
        ("Last login: ", ""),
        ("Password:", "password"),
        ("[sudo] password for fedora: ", "password"),
        ("Passwort: ", "question"),
        ("Mot de passe :", "question"),
        ("\u30d1\u30b9\u30ef\u30fc\u30c9\uff1a", "question"),
        ("Last failed login: ", ""),
        ("12:30:", ""),
        ("root@host:~# ", "shell"),
        ("\x1b[?2004h[fedora@guest ~]$ ", "shell"),
        ("# ", "shell"),
        ("####", ""),
        ("guest login: root\r\n", ""),
        ("", ""),
    ],
)
def test_what_a_line_asks_for(text, kind):
    assert prompts.prompt_at_end("before\r\n" + text) == kind
