"""The process behind ``forking``: it has loaded what a checkup or a lab loads, and forks for each request."""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
from pathlib import Path

#: What a checkup in a pod loads besides, which takes as long as the rest of it.
IN_PODS = ("kubernetes.config", "kubernetes.client.rest")
LAB = ("cli", "labserver")
MESSAGE_BYTES = 1 << 20


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
    for name in IN_PODS:
        importlib.import_module(name)


def settle():
    # What is left in a buffer would be printed by each process that is forked.
    sys.stdout.flush()
    sys.stderr.flush()
    gc.collect()
    gc.freeze()


def serve(requests):
    """Answer requests until their sender is gone; return one of them in the process that was forked for it."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, MESSAGE_BYTES, 3)
        if not message:
            return None
        guardian = os.fork()
        if guardian == 0:
            requests.close()
            if not guard(descriptors[0]):
                return json.loads(message), descriptors[1:]
        for one in descriptors:
            os.close(one)
        os.waitpid(guardian, 0)


def guard(news):
    """Fork the process, wait for it, and say which it is and how it ended; return False in the process itself."""
    if os.fork():
        # The server waits for this one only; the guardian is an orphan.
        os._exit(0)
    process = os.fork()
    if process == 0:
        os.close(news)
        return False
    with os.fdopen(news, "w", buffering=1) as told:
        print(process, file=told)
        # A reader of its output waits until all who have that open are gone.
        os.closerange(3, news)
        os.closerange(news + 1, 64)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), file=told)
    os._exit(0)


def become(request, descriptors):
    """Take on what the request says a process is started with; return the name of the module to run."""
    for target, one in zip((0, 1, 2), (descriptors[0], descriptors[1], descriptors[1]), strict=True):
        os.dup2(one, target)
    for one in descriptors:
        os.close(one)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request["new session"]:
        os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    # Read from the environment again: TMPDIR may be another one.
    tempfile.tempdir = None
    interpreter, option, module, *arguments = sys.orig_argv[:] = request["command"]
    assert (interpreter, option) == (sys.executable, "-m")
    sys.argv[:] = [module, *arguments]
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    paths = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    sys.path[:0] = [str(Path.cwd()), *(str(Path(one).absolute()) for one in paths)]
    return module


def main():
    requests = socket.socket(fileno=int(sys.argv[1]))
    # Its own directory, where nothing of a checkup's lies.
    del sys.path[0]
    {"checkups": load_checkup, "labs": load_lab}[sys.argv[2]]()
    settle()
    # An interrupt of the tests is not the end of what they clean up with.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = serve(requests)
    if asked is not None:
        runpy.run_module(become(*asked), run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
