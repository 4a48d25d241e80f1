"""Credential plugins: programs that a kubeconfig names under ``exec``, which print a token or a certificate.

As in https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import base64
import json
import math
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.kube.configentry import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_GROUP: Final = "client.authentication.k8s.io"
_VERSIONS: Final = (f"{_GROUP}/v1", f"{_GROUP}/v1beta1")
_MODES: Final = ("Never", "IfAvailable", "Always")
_SECONDS: Final = 60.0
_SLICE_SECONDS: Final = 0.2
_LONGEST_WORDS: Final = 500
#: A shorter value would tear ordinary words apart.
_SHORTEST_SECRET: Final = 6
#: So long before they expire are credentials asked for anew.
_MARGIN: Final = timedelta(seconds=10)
_BY_HAND: Final = "Run it, or kubectl get nodes, by hand to see what it says."


@dataclass(frozen=True, kw_only=True)
class Credential:
    """What a plugin gave: a token, or a client certificate with its key (PEM), or all of them."""

    token: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    expires: datetime | None = None


class ExecPlugin:
    """Runs the plugin when there is no credential, or it is about to expire. Not thread-safe."""

    def __init__(self, user: Entry, cluster: Entry) -> None:
        """Read ``exec`` of a user; ``cluster`` is told to a plugin that wants to know. Raises ``ConfigError``."""
        self._user = user
        self._exec = user.mapping("exec")
        self._cluster = cluster
        command = self._exec.text("command")
        if not command:
            raise self._exec.wrong("command", "is missing")
        self._name = command if re.fullmatch(r"[^\s=]+", command) else "exec.command"
        if os.sep in command:
            command = str(self._exec.directory / command)
        self._command = (command, *self._exec.texts("args"))
        self._environment = {}
        for one in self._exec.mappings("env"):
            name = one.text("name")
            if not name or "=" in name or "\0" in name:
                raise one.wrong("name", "is not the name of an environment variable")
            self._environment[name] = one.text("value")
        self._version = self._exec.text("apiVersion")
        if self._version not in _VERSIONS:
            raise self._exec.wrong(
                "apiVersion",
                f"is not {' or '.join(_VERSIONS)}",
                hint="Update the plugin, and write the kubeconfig with it again.",
            )
        mode = self._exec.text("interactiveMode") or "IfAvailable"
        if mode not in _MODES:
            raise self._exec.wrong("interactiveMode", f"is not {', '.join(_MODES[:-1])} or {_MODES[-1]}")
        self._mode = mode
        self._known: Credential | None = None

    def credential(self, should_stop: Callable[[], bool] = lambda: False) -> Credential:
        """Return what is valid now; ``should_stop`` ends the plugin while it runs. Raises ``ConfigError``."""
        known = self._known
        if known is None or (
            known.expires is not None and datetime.now(timezone.utc) >= known.expires - _MARGIN
        ):
            known = self._known = self._read(self._run(should_stop))
        return known

    def _failed(self, what: str, *, hint: str = _BY_HAND) -> ConfigError:
        return ConfigError(
            f"{self._user.owner}: the credential plugin {self._name!r} returned no credentials: {what}",
            hint=hint,
        )

    def _run(self, should_stop: Callable[[], bool]) -> str:
        is_interactive = self._mode != "Never" and _is_terminal()
        if self._mode == "Always" and not is_interactive:
            raise self._failed(
                "it needs a terminal (exec.interactiveMode is Always)",
                hint="Log in with kubectl first, or run pytest -s on a terminal.",
            )
        environment = {
            **os.environ,
            **self._environment,
            "KUBERNETES_EXEC_INFO": json.dumps(self._info(is_interactive=is_interactive)),
        }
        try:
            process = subprocess.Popen(  # noqa: S603 - what the user's own kubeconfig names
                self._command,
                stdin=None if is_interactive else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                # Questions are asked there.
                stderr=None if is_interactive else subprocess.PIPE,
                env=environment,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except FileNotFoundError:
            raise self._failed(
                "it is not installed",
                hint=self._exec.text("installHint").strip()
                or "Install it, or correct exec.command in the kubeconfig.",
            ) from None
        except (OSError, ValueError) as error:
            told = getattr(error, "strerror", None) or "its arguments or environment are not text"
            raise self._failed(f"cannot start it: {told}") from None
        until = math.inf if is_interactive else time.monotonic() + _SECONDS
        with process:
            try:
                output, words = self._outcome(process, until, should_stop)
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise self._failed(_end(process.returncode) + self._said(words))
        return str(output)

    def _outcome(
        self, process: subprocess.Popen[str], until: float, should_stop: Callable[[], bool]
    ) -> tuple[str, str | None]:
        """Wait for the plugin's end; return what it printed, and its words where they are not on the terminal."""
        while True:
            try:
                return process.communicate(timeout=_SLICE_SECONDS)
            except subprocess.TimeoutExpired:
                if should_stop():
                    raise self._failed("the run was stopped") from None
                if time.monotonic() >= until:
                    raise self._failed(f"it did not end within {_SECONDS:.0f} s") from None

    def _given(self) -> list[str]:
        """What it is given that may be secret: values of options and of environment variables, the longest first."""
        found = list(self._environment.values())
        arguments = self._command[1:]
        for before, argument in zip(("", *arguments), arguments, strict=False):
            _, is_pair, value = argument.partition("=")
            if is_pair:
                found.append(value)
            elif before.startswith("-") and not argument.startswith("-"):
                found.append(argument)
        return sorted((one for one in found if len(one) >= _SHORTEST_SECRET), key=len, reverse=True)

    def _said(self, words: str | None) -> str:
        """The plugin's words for a message: on one line, bounded, and without what it was given."""
        text = " ".join((words or "").split())
        for secret in self._given():
            text = text.replace(secret, "[redacted]")
        if len(text) > _LONGEST_WORDS:
            text = f"… {text[-_LONGEST_WORDS:]}"
        return f": {text}" if text else ""

    def _info(self, *, is_interactive: bool) -> dict[str, Any]:
        spec: dict[str, Any] = {"interactive": is_interactive}
        if self._exec.flag("provideClusterInfo"):
            spec["cluster"] = _cluster_info(self._cluster)
        return {"apiVersion": self._version, "kind": "ExecCredential", "spec": spec}

    def _read(self, output: str) -> Credential:
        """Read the answer, which may hold a token: nothing of it is ever quoted. Raises ``ConfigError``."""
        try:
            answer = json.loads(output)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or answer.get("kind") != "ExecCredential":
            what = (
                "it printed nothing" if not output.strip() else "its output is not an ExecCredential in JSON"
            )
            raise self._failed(what)
        if answer.get("apiVersion") != self._version:
            raise self._failed(
                f"its output does not have the apiVersion {self._version} (exec.apiVersion)",
                hint="Update the plugin, or correct exec.apiVersion in the kubeconfig.",
            )
        status = answer.get("status")
        if not isinstance(status, dict):
            raise self._failed("its output has no status")
        # Not in the user's name: what is wrong there is wrong in the output.
        read = Entry(owner="", values=status, directory=Path(), prefix="status.")
        try:
            found = Credential(
                token=read.text("token").strip(),
                certificate=read.text("clientCertificateData"),
                key=read.text("clientKeyData"),
                expires=_time(read),
            )
        except ConfigError as error:
            raise self._failed(f"in its output {error.reason.removeprefix(': ')}") from None
        if bool(found.certificate) != bool(found.key):
            raise self._failed("its output has a certificate or a key without the other")
        if not found.token and not found.certificate:
            raise self._failed("its output has neither a token nor a client certificate")
        return found


def _is_terminal() -> bool:
    try:
        return sys.stdin is not None and sys.stdin.isatty()
    except ValueError:
        return False


def _end(status: int) -> str:
    return f"it was killed by signal {-status}" if status < 0 else f"it exited with status {status}"


def _time(status: Entry) -> datetime | None:
    text = status.text("expirationTimestamp")
    if not text:
        return None
    try:
        # To the second: Python 3.10 reads no other fractions than of 3 or 6 digits.
        found = datetime.fromisoformat(
            re.sub(r"\.\d+", "", text).replace("Z", "+00:00").replace("z", "+00:00")
        )
    except ValueError:
        raise status.wrong("expirationTimestamp", "is not a time in RFC 3339") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=timezone.utc)


def _cluster_info(cluster: Entry) -> Mapping[str, Any]:
    names = (
        "server",
        "tls-server-name",
        "insecure-skip-tls-verify",
        "certificate-authority-data",
        "proxy-url",
    )
    info = {name: cluster.values[name] for name in names if name in cluster}
    path = cluster.text("certificate-authority")
    if path and "certificate-authority-data" not in info:
        info["certificate-authority-data"] = base64.b64encode(
            (cluster.directory / path).read_bytes()
        ).decode()
    for extension in cluster.mappings("extensions"):
        if extension.text("name") == f"{_GROUP}/exec":
            info["config"] = extension.values.get("extension")
    return info
