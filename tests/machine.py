"""What the set-ups of real tools do to this machine: run its programs, and install its packages by its own apt."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path


class SetupError(Exception):
    """What is needed cannot be had here; the text says why and what to do."""


def checked(command, **more):
    """Run a command; return what it prints."""
    try:
        ran = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive", **more.pop("env", {})},
            **more,
        )
    except FileNotFoundError as error:
        raise SetupError(f"{command[0]} is not installed") from error
    if ran.returncode:
        tail = "\n".join((ran.stderr.strip() or ran.stdout.strip()).splitlines()[-15:])
        raise SetupError(f"{' '.join(command)} failed with status {ran.returncode}:\n{tail}")
    return ran.stdout


def install(packages):
    """Install packages of Debian or Ubuntu; nothing where there are none to install."""
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise SetupError(
            f"this knows only how to install Debian and Ubuntu packages; install {', '.join(packages)}"
        )
    wait = ["-o", "DPkg::Lock::Timeout=300"]
    command = ["apt-get", *wait, "install", "-y", "-q", "--no-install-recommends", *packages]
    with _one_at_a_time():
        try:
            checked(command)
        except SetupError:
            # There are no lists, or they name files that are gone.
            checked(["apt-get", "update"])
            checked(command)


@contextlib.contextmanager
def _one_at_a_time():
    """Wait for another set-up that installs something: apt waits for packages in use, but not for its lists."""
    with (Path(tempfile.gettempdir()) / "kvlatency-set-up.lock").open("a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
