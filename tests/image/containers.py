"""A node that runs containers: the kernel's namespaces by an OCI runtime, and no network but the API server.

A container gets a network namespace of its own that holds a loopback interface and nothing else. One port of it leads
to the API server, through sockets of this process: whatever else a container tries to reach is refused or unreachable.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import itertools
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 120
API_HOST, API_PORT = "127.0.0.1", 6443
_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
#: What a container may do as root unless it drops it.
DEFAULT_CAPABILITIES = tuple(
    f"CAP_{name}"
    for name in (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A file or directory of the node at ``path`` in the container; without a source an empty tmpfs."""

    path: str
    source: Path | None = None
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Security:
    """Who the process is, and what it may do."""

    uid: int
    gid: int = 0
    groups: tuple[int, ...] = ()
    read_only: bool = True
    capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = True


class Network:
    """A network namespace with nothing in it but a way to one address of this process's own."""

    def __init__(self, address):
        self._address = address
        self._ready = {}
        maker = threading.Thread(target=self._make)
        maker.start()
        maker.join()
        if "error" in self._ready:
            raise self._ready["error"]
        self._namespace, self._listener = self._ready["namespace"], self._ready["listener"]
        self.first_contact = None
        self._ends = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def path(self):
        """Where an OCI runtime finds the namespace."""
        return f"/proc/{os.getpid()}/fd/{self._namespace}"

    def _make(self):
        """In a thread of its own: the namespace is that thread's, and outlives it by what is open."""
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            if libc.unshare(_CLONE_NEWNET):
                number = ctypes.get_errno()
                self._ready["error"] = OSError(number, f"no network namespace: {os.strerror(number)}")
                return
            self._ready["namespace"] = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            listener = socket.socket()
            name, flags = struct.unpack(
                "16sh14x", fcntl.ioctl(listener, _SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
            )
            fcntl.ioctl(listener, _SIOCSIFFLAGS, struct.pack("16sh14x", name, flags | _IFF_UP))
            listener.bind((API_HOST, API_PORT))
            listener.listen(128)
            self._ready["listener"] = listener
        except OSError as error:
            self._ready["error"] = error

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                inside, _ = self._listener.accept()
                self.first_contact = self.first_contact or time.time()
                try:
                    outside = socket.create_connection(self._address, 10)
                except OSError:
                    inside.close()
                    continue
                outside.settimeout(None)
                self._ends |= {inside, outside}
                for one, other in ((inside, outside), (outside, inside)):
                    threading.Thread(target=_pump, args=(one, other), daemon=True).start()

    def close(self):
        # A thread that waits in accept() is woken by shutdown() only.
        for one in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        os.close(self._namespace)


def _pump(source, target):
    """Hand on what comes until it ends; an end is handed on too."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class Node:
    """Runs containers of one image's files; ``api`` is the host and port of the API server."""

    def __init__(self, directory, api):
        self.directory = Path(directory)
        self._api = api
        self._numbers = itertools.count()
        self._running = []

    def empty_dir(self):
        """A directory that anybody may write to, as an emptyDir is."""
        made = self.directory / f"empty-{next(self._numbers)}"
        made.mkdir()
        made.chmod(0o777)
        return made

    def start(self, image, arguments, *, environment, mounts, security, hostname, cwd=None):
        """Start a process with just these arguments and this environment; return the running ``Container``."""
        bundle = self.directory / f"bundle-{next(self._numbers)}"
        bundle.mkdir()
        tree = image.tree
        if not security.read_only:
            # What is written stays this container's own.
            tree = bundle / "tree"
            subprocess.run(["cp", "-a", "--reflink=auto", str(image.tree), str(tree)], check=True)
        network = Network(self._api)
        where = cwd or image.config.get("WorkingDir") or "/"
        whole = _bundle(tree, arguments, environment, mounts, security, hostname, where, network.path)
        (bundle / "config.json").write_text(json.dumps(whole), encoding="utf-8")
        container = Container(bundle, network)
        self._running.append(container)
        return container

    def close(self):
        for one in self._running:
            one.kill()
            one.network.close()
            shutil.rmtree(one.bundle, ignore_errors=True)
        self._running.clear()


def _bundle(tree, arguments, environment, mounts, security, hostname, cwd, network):
    """The OCI runtime's configuration, as a kubelet's runtime writes it."""
    caps = list(security.capabilities)
    fixed = [
        _mount("/proc", "proc"),
        _mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
        _mount("/dev/shm", "tmpfs", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
        _mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"),
    ]
    return {
        "ociVersion": "1.0.0",
        "process": {
            "terminal": False,
            "user": {"uid": security.uid, "gid": security.gid, "additionalGids": list(security.groups)},
            "args": list(arguments),
            "env": [f"{name}={value}" for name, value in environment.items()],
            "cwd": cwd,
            # A process that is not root has none of them effective, whatever is in its bounding set.
            "capabilities": {"bounding": caps}
            if security.uid
            else dict.fromkeys(("bounding", "effective", "permitted"), caps),
            "noNewPrivileges": security.no_new_privileges,
        },
        "root": {"path": str(tree), "readonly": security.read_only},
        "hostname": hostname,
        "mounts": fixed + [_user_mount(one) for one in mounts],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]
            + [{"type": "network", "path": network}],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }


def _mount(path, kind, *options):
    return {"destination": path, "type": kind, "source": kind, "options": list(options)}


def _user_mount(mount):
    if mount.source is None:
        return _mount(mount.path, "tmpfs", "nosuid", "nodev", "mode=1777")
    options = ["rbind", "rprivate", *(["ro"] if mount.read_only else [])]
    return {"destination": mount.path, "type": "bind", "source": str(mount.source), "options": options}


class Container:
    """A running container: its output as it comes, signals on the way, and how it ended."""

    def __init__(self, bundle, network):
        self.bundle = bundle
        self.network = network
        self._pid_file = bundle / "pid"
        self.started = time.time()
        # crun wants cgroups of one version; it is to use none at all, so it need not see the other.
        hide = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"'
        self._process = subprocess.Popen(
            [
                *("unshare", "--mount", "--propagation", "private", "sh", "-c", hide, "sh"),
                *("crun", "--cgroup-manager=disabled", "--root", str(bundle / "state"), "run"),
                *("--bundle", str(bundle), "--pid-file", str(self._pid_file), bundle.name),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._changed = threading.Condition()
        self._said = b""
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with self._process.stdout as stream:
            while piece := stream.read1(65536):
                with self._changed:
                    self._said += piece
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def output(self):
        """All that it printed so far, carriage returns and escapes included."""
        return self._said.decode("utf-8", "surrogateescape")

    @property
    def pid(self):
        """Its first process as the node sees it: in the container that is process 1."""
        until = time.monotonic() + TIMEOUT
        while not (self._pid_file.is_file() and (text := self._pid_file.read_text())):
            assert time.monotonic() < until, self.output
            assert self._process.poll() is None, self.output
            time.sleep(0.005)
        return int(text)

    @property
    def status(self):
        """The exit status, 128 and the signal's number where one ended it; None while it runs."""
        return self._process.poll()

    def until(self, pattern):
        """Wait until the output matches."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or re.search(pattern, self.output), TIMEOUT)
            assert re.search(pattern, self.output), f"{pattern!r} never came:\n{self.output}"

    def send(self, number):
        """Signal its first process, and no other, as a kubelet does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, seconds=TIMEOUT):
        """Wait for its end; return the exit status."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the container does not end within {seconds} s:\n{self.output}") from None
        self._reader.join(TIMEOUT)
        return status

    def stop(self, grace_seconds):
        """SIGTERM, and SIGKILL once the grace period is over; return the exit status and the seconds it took."""
        began = time.monotonic()
        self.send(signal.SIGTERM)
        try:
            self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
        return self.wait(), time.monotonic() - began

    def kill(self):
        if self._process.poll() is None:
            self.send(signal.SIGKILL)
            self._process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
