"""Processes that tests start."""

from __future__ import annotations

import subprocess
import sys

import pytest
from begun import begun

FOR_EVER = "import signal; print('ready', flush=True)\nwhile True: signal.pause()"


def test_what_a_test_has_found_is_heard_though_a_process_would_go_on():
    command = [sys.executable, "-c", FOR_EVER]
    with pytest.raises(AssertionError, match="found"), begun(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"something else\n", "found"
    assert process.returncode == -9
