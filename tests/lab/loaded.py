"""The process behind ``forking``: it has loaded what a checkup or a lab loads, and forks for each request."""

from __future__ import annotations

import atexit
import ctypes
import functools
import gc
import importlib
import os
import runpy
import signal
import socket
import sys
from pathlib import Path

import forkedworkers
import forks

#: What a checkup in a pod loads besides, which takes as long as the rest of it.
IN_PODS = ("kubernetes.config", "kubernetes.client.rest")
WITH_WORKERS = ("xdist.dsession", "xdist.remote")
LAB = ("cli", "labserver")
#: linux/sched.h and linux/mount.h; Python has them since 3.12.
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 1 << 17, 1 << 12, 1 << 14, 1 << 18


def load_lab():
    for name in LAB:
        importlib.import_module(f"pytest_kvlatency.lab.{name}")


def load_checkup():
    """Load pytest with its plugins as a run does, so that their assertions are rewritten, and then the rest."""
    pytest = importlib.import_module("pytest")
    pytest.main(["--markers"])
    sys.path.insert(0, str(Path(__file__).parents[1]))
    importlib.import_module("lazy").load()
    importlib.import_module("plain").remember_what_is_installed()
    del sys.path[0]
    for name in IN_PODS + WITH_WORKERS:
        importlib.import_module(name)


def settle():
    # What is left in a buffer would be printed by each process that is forked.
    sys.stdout.flush()
    sys.stderr.flush()
    gc.collect()
    gc.freeze()


def contain(directory):
    """Let this process find a directory at ``/run``, where ``/var/run`` leads, in a mount namespace of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    for failed in (
        libc.unshare(CLONE_NEWNS),
        libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None),
        libc.mount(directory.encode(), b"/run", None, MS_BIND, None),
    ):
        assert not failed, os.strerror(ctypes.get_errno())


def become(request, descriptors):
    """Take on what the request says a process is started with; return what runs its module or script."""
    forks.take(descriptors)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request["new session"]:
        os.setsid()
    if request["/run"]:
        contain(request["/run"])
    forks.enter(request)
    interpreter, *words = sys.orig_argv
    assert interpreter == sys.executable
    is_module = words[0] == "-m"
    sys.argv[:] = words[is_module:]
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    paths = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    sys.path[:0] = [str(Path.cwd()), *(str(Path(one).absolute()) for one in paths)]
    if is_module:
        return functools.partial(runpy.run_module, sys.argv[0], run_name="__main__", alter_sys=True)
    # The first process of a container does not end by a SIGTERM that it does not handle.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return functools.partial(runpy.run_path, sys.argv[0], run_name="__main__")


#: What this process ends with, once that is known.
_statuses = []


def leave():
    """End before the interpreter takes apart what all processes share: that copies it, and costs a tenth of a checkup."""
    for status in _statuses:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main():
    # What is registered first is called last.
    atexit.register(leave)
    requests = socket.socket(fileno=int(sys.argv[1]))
    # Its own directory, where nothing of a checkup's lies.
    del sys.path[0]
    {"checkups": load_checkup, "labs": load_lab}[sys.argv[2]]()
    settle()
    # An interrupt of the tests is not the end of what they clean up with.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = forks.serve(requests)
    if asked is not None:
        run = become(*asked)
        try:
            forkedworkers.get_ready()
            run()
        except SystemExit as ended:
            if isinstance(ended.code, int):
                _statuses.append(ended.code)
            raise


if __name__ == "__main__":
    main()
