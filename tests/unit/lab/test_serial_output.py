"""What is kept of a guest's serial console, and what an open console gets."""

from __future__ import annotations

from pytest_kvlatency.lab.guests.serialoutput import SerialOutput


def test_the_log_of_a_serial_console_is_its_last_256_kib():
    output = SerialOutput()
    printed = b""
    for letter in (b"a", b"b", b"c", b"d"):
        output.add(letter * 200_000)
        printed += letter * 200_000
        assert output.log == printed[-256 * 1024 :]


def test_an_open_console_gets_what_is_printed_until_another_one_replaces_it_or_it_is_closed():
    output, first, second = SerialOutput(), [], []
    output.add(b"before")
    output.attach(first.append)
    output.add(b"one")
    output.attach(second.append)
    output.detach(first.append)
    output.add(b"two")
    output.detach(second.append)
    output.add(b"after")
    assert (first, second) == ([b"one"], [b"two"])
