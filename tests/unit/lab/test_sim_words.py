"""The pure parts of the simulated guests: ping's words, fragments, network data, noise, the login."""

import re
from ipaddress import ip_address

import pytest

from pytest_kvlatency.lab.guests.sim.loginprompt import LoginPrompt
from pytest_kvlatency.lab.guests.sim.network import fragments
from pytest_kvlatency.lab.guests.sim.noise import Noise
from pytest_kvlatency.lab.guests.sim.pingtext import BusyBoxWords, Counters, IputilsWords
from pytest_kvlatency.lab.guests.sim.wiring import apply_network_data

ADDRESS = ip_address("198.18.0.2")


@pytest.mark.parametrize(
    ("microseconds", "busybox", "iputils"),
    [
        (64, "0.064", "0.064"),
        (999, "0.999", "0.999"),
        (1325, "1.325", "1.33"),
        (9994, "9.994", "9.99"),
        (12345, "12.345", "12.3"),
        (99949, "99.949", "99.9"),
        (486321, "486.321", "486"),
    ],
)
def test_E33_times_of_both_dialects(microseconds, busybox, iputils):
    assert f" time={busybox} ms" in BusyBoxWords().reply(ADDRESS, 56, 0, microseconds, duplicate=False)
    assert f" time={iputils} ms" in IputilsWords().reply(ADDRESS, 56, 1, microseconds, duplicate=False)


def test_E31_busybox_cuts_the_loss_and_iputils_does_not():
    counters = Counters(transmitted=200, received=199, rtts_us=[100, 200, 301], elapsed_ms=1990)
    assert BusyBoxWords().statistics("h", counters) == (
        "\n--- h ping statistics ---\n200 packets transmitted, 199 packets received, 0% packet loss\n"
        "round-trip min/avg/max = 0.100/0.200/0.301 ms"
    )
    assert IputilsWords().statistics("h", counters) == (
        "\n--- h ping statistics ---\n200 packets transmitted, 199 received, 0.5% packet loss, time 1990ms\n"
        "rtt min/avg/max/mdev = 0.100/0.200/0.301/0.082 ms"
    )


def test_E30_E32_errors_pipe_and_duplicates():
    counters = Counters(transmitted=5, errors=5, pipe=4, elapsed_ms=4100)
    assert (
        IputilsWords()
        .statistics("h", counters)
        .endswith("5 packets transmitted, 0 received, +5 errors, 100% packet loss, time 4100ms\npipe 4")
    )
    counters = Counters(transmitted=3, received=3, duplicates=2, rtts_us=[1, 2, 3])
    assert "3 packets received, 2 duplicates, 0% packet loss" in BusyBoxWords().statistics("h", counters)
    assert "3 received, +2 duplicates, 0% packet loss" in IputilsWords().statistics("h", counters)


@pytest.mark.parametrize(
    ("size", "mtu", "version", "expected"),
    [
        (56, 1500, 4, (1, 84)),
        (1472, 1500, 4, (1, 1500)),
        (1473, 1500, 4, (2, 1500)),
        (4000, 1500, 4, (3, 1500)),
        (1452, 1500, 6, (1, 1500)),
        (1453, 1500, 6, (2, 1488)),
    ],
)
def test_fragments(size, mtu, version, expected):
    assert fragments(size, mtu, version) == expected


def test_network_data_with_an_invalid_address_is_complained_about():
    text = "version: 2\nethernets: {x: {addresses: [nonsense]}}"
    complaint = apply_network_data(None, text)
    assert complaint.startswith("failed to apply network config: 'nonsense'")


def test_E12_noise_loses_nothing_of_what_it_disturbs():
    text = b"".join(b"64 bytes from 198.18.0.2: seq=%d ttl=64 time=0.512 ms\r\n" % n for n in range(20))
    noisy = Noise(4, lambda: 12.5).apply(text)
    assert noisy != text
    assert re.sub(rb"\[ *12\.500000\] [^\r]*\r\n", b"", noisy) == text


class Typist:
    def __init__(self, passwords):
        self.text = ""
        self.rest = None
        self.pending = []
        self.login = LoginPrompt(
            hostname="vm",
            passwords=passwords,
            emit=self.emit,
            later=lambda seconds, action: self.pending.append(action),
            accepted=self.accepted,
        )

    def emit(self, text):
        self.text += text

    def accepted(self, rest, *, sends_returns):
        self.rest, self.sends_returns = rest, sends_returns


def test_login_hands_on_what_was_typed_ahead():
    typist = Typist({"root": ""})
    typist.login.feed(b"\r\nrop\x7fot\r\nls\r")
    assert typist.rest == b"ls\r"
    assert typist.text.startswith("\r\nvm login: ")


def test_login_refused_after_a_while():
    typist = Typist({})
    typist.login.feed(b"root\rsecret\rignored")
    assert typist.text == "root\r\nPassword: \r\n"
    typist.pending.pop()()
    assert typist.text.endswith("Login incorrect\r\nvm login: ")
    assert typist.rest is None
