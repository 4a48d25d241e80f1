"""Lets a checkup that was forked fork its workers, too, instead of starting an interpreter for each.

A process that does nothing else is forked before the checkup begins. Its forks are in the session and the process
group of the checkup, as its children would be, and do what an interpreter would be told.
"""

from __future__ import annotations

import os
import signal
import sys
import types

import forks
from execnet import gateway_base, gateway_io

OPTIONS = ("-n", "--numprocesses")
#: What may be sent to all processes of a checkup is not for the one that forks.
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Worker(forks.Fork):
    """A worker, as ``subprocess.Popen`` gives one."""

    def __init__(self, requests, command):
        given, giving = os.pipe()
        reading, writing = os.pipe()
        request = {"command": command, "cwd": os.getcwd(), "env": dict(os.environ)}  # noqa: PTH109
        try:
            super().__init__(requests, request, (given, writing, 2))
        finally:
            os.close(given)
            os.close(writing)
        self.stdin = open(giving, "wb")  # noqa: PTH123, SIM115
        self.stdout = open(reading, "rb")  # noqa: PTH123, SIM115


def get_ready():
    """Have the workers of this process forked, if it is about to run pytest with any."""
    if not any(word.startswith(OPTIONS) for word in sys.argv[1:]):
        return
    ours, theirs = forks.pair()
    if os.fork() == 0:
        ours.close()
        _fork_workers(theirs)
        sys.exit(0)
    theirs.close()

    class ForkedIO(gateway_io.Popen2IOMaster):
        def __init__(self, command, execmodel):
            self.popen = Worker(ours, command)
            gateway_base.Popen2IO.__init__(self, self.popen.stdin, self.popen.stdout, execmodel)

    gateway_io.Popen2IOMaster = ForkedIO
    # What xdist takes for the path of a process that starts: it read that of the one that has loaded it.
    workermanage = sys.modules["xdist.workermanage"]
    workermanage._sys_path[:] = sys.path


def _fork_workers(requests):
    """Fork a worker for each request and do its work there; return once it is done, or no more can come."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    with open(os.devnull, "r+b", buffering=0) as nothing:  # noqa: PTH123
        for stream in range(3):
            os.dup2(nothing.fileno(), stream)
    asked = forks.serve(requests)
    if asked is None:
        return
    request, descriptors = asked
    forks.take(descriptors)
    for number, handler in before.items():
        signal.signal(number, handler)
    forks.enter(request)
    option, code = request["command"][-2:]
    sys.argv[:] = [option]
    sys.path[0] = ""
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    exec(code, vars(main))
