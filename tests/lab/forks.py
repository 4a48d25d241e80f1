"""Both sides of a process that forks on request: the one that asks, and the one that forks.

A request is what the new process is told, with descriptors for it. It is the child of a guardian, which says which
process it is and how it ended; so neither side needs to wait for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading

MESSAGE_BYTES = 1 << 20


class Fork:
    """A process that was asked for, as ``subprocess.Popen`` gives one. Streams are those who ask."""

    def __init__(self, requests, request, descriptors):
        news, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(requests, [json.dumps(request).encode()], [theirs.fileno(), *descriptors])
        self._news = news.makefile("r")
        news.close()
        self.pid = int(self._news.readline())
        self.returncode = None
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        with self._news:
            # Nothing is said where the guardian was killed, which is not the process's own doing.
            self.returncode = int(self._news.readline() or -signal.SIGKILL)
        self._ended.set()

    def poll(self):
        return self.returncode if self._ended.is_set() else None

    def wait(self, timeout=None):
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired("what was forked", timeout)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def pair():
    """Sockets for the one that asks and for the one that forks."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_BYTES)
    return ours, theirs


def serve(requests):
    """Answer requests until their sender is gone; return one and its descriptors in the process forked for it."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, MESSAGE_BYTES, 4)
        if not message:
            return None
        guardian = os.fork()
        if guardian == 0:
            requests.close()
            if not _guard(descriptors[0]):
                return json.loads(message), descriptors[1:]
        for one in descriptors:
            os.close(one)
        os.waitpid(guardian, 0)


def _guard(news):
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


def take(descriptors):
    """Make these the standard streams of this process."""
    for target, one in enumerate(descriptors):
        os.dup2(one, target)
    for one in descriptors:
        os.close(one)


def enter(request):
    """Take on the directory, the environment and the command line of a request."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    # Read from the environment again: TMPDIR may be another one.
    tempfile.tempdir = None
    sys.orig_argv[:] = request["command"]
