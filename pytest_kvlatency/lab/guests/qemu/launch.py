"""Runs a program that dies with the process which started it: ``python -I -S launch.py PARENT-PID PROGRAM ARGUMENT…``.

A program of its own and not a ``preexec_fn``, because Python code between fork and exec is unsafe in a process that
has threads. Linux only (prctl(2), PR_SET_PDEATHSIG); the setting survives exec.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for the signal, make sure that the parent still lives, and become the program."""
    parent = int(sys.argv[1])
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() == parent:
        os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
