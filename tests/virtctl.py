"""A person at ``virtctl console``: the raw console as it was left, typed on byte by byte, a carriage return for Enter."""

from __future__ import annotations

import contextlib
import re
import time

from pytest_kvlatency.console.transport import ConsoleTransport
from pytest_kvlatency.deadline import Deadline

SECONDS = 60


class Person:
    """Connected to the console of a VMI; ``client`` says where that is."""

    def __init__(self, client, namespace, vmi):
        self._console = ConsoleTransport.connect(client.console_endpoint(namespace, vmi), Deadline(SECONDS))
        self.seen = ""

    def types(self, text):
        for character in text:
            self._console.write(character.encode())

    def sees(self, pattern):
        """Wait until what was printed since the last match matches; return the match."""
        until = time.monotonic() + SECONDS
        while not (match := re.search(pattern, self.seen)):
            assert time.monotonic() < until, f"{pattern!r} never came: {self.seen!r}"
            self.seen += self._console.read(0.2).decode(errors="replace")
        self.seen = self.seen[match.end() :]
        return match

    def leaves(self):
        self._console.close()


@contextlib.contextmanager
def console(client, namespace, vmi):
    """Be at the console inside."""
    person = Person(client, namespace, vmi)
    try:
        yield person
    finally:
        person.leaves()


def check_usable(client, namespace, vmi, *, prompt=r"[#$] (?:\x1b\[6n)?"):
    """See a prompt, an echo and an answer, and a terminal as getty left it; return its settings."""
    with console(client, namespace, vmi) as person:
        person.types("\r")
        person.sees(prompt)
        person.types("echo hea''rd\r")
        person.sees("echo hea''rd")
        person.sees("\nheard\r\n")
        # Enter works in programs that read the terminal themselves, too.
        person.types("echo rea''dy; read line\r")
        person.sees("ready\r\n")
        person.types("typed\r")
        person.sees("typed\r\n")
        person.types("echo =$line=; stty -a; echo en''d\r")
        person.sees("=typed=")
        settings = person.sees(r"(?s)(.*)end\r\n")[1].replace(";", " ").split()
    assert {"echo", "icanon", "icrnl", "isig", "onlcr"} <= set(settings), settings
    assert "4096" not in settings
    return settings
