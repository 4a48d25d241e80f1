"""Signals outside of a run: who heeds SIGTERM before a checkup does."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from pytest_kvlatency.checkup.signals import end_as_first_process

pytestmark = pytest.mark.smoke


def test_a_process_that_is_not_the_first_keeps_its_handler():
    before = signal.getsignal(signal.SIGTERM)
    end_as_first_process()
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_is_read_before_the_first_handler_is_little():
    """Until ``main`` runs a first process loses its signals; so neither pytest nor a client is imported before."""
    code = "import sys, pytest_kvlatency.__main__; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert not {"pytest", "_pytest", "kubernetes", "urllib3", "yaml"} & set(loaded.split())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_E77_the_first_process_of_a_container_ends_by_a_signal(number):
    namespace = ["unshare", "--map-root-user", "--pid", "--fork"]
    if subprocess.run([*namespace, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no process namespace can be made here")
    code = (
        # Tests may run under nohup, which would have it ignored.
        f"import os, signal, pytest_kvlatency.checkup.signals as own; signal.signal({number.value}, signal.SIG_DFL); "
        "own.end_as_first_process(); "
        f"assert os.getpid() == 1; os.kill(1, {number.value}); signal.pause()"
    )
    ended = subprocess.run(
        [*namespace, sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (128 + number, f"kvlatency: ended by {number.name}\n")
