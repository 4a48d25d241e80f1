"""How the user of a kubeconfig says who it is: token, token file, password, plugin, OpenID Connect, certificate."""

from __future__ import annotations

import base64
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.kube import pem
from pytest_kvlatency.kube.execplugin import ExecPlugin
from pytest_kvlatency.kube.oidc import OidcLogin

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kvlatency.kube.configentry import Entry
    from pytest_kvlatency.model import ServerEndpoint

#: Providers that were part of clients once, and what takes their place.
_GONE: Final = {
    "gcp": "Install gke-gcloud-auth-plugin, and run: gcloud container clusters get-credentials CLUSTER",
    "azure": "Install kubelogin, and run: kubelogin convert-kubeconfig",
    "openstack": "Install client-keystone-auth, and name it under exec.",
}
#: What a header can hold of a token (RFC 6750, section 2.1, and whatever else is printed in ASCII).
_TOKEN: Final = re.compile(r"[!-~]+")
#: So long is a token that was read from a file taken for its content.
_FILE_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class ClusterLogin:
    """One way into a cluster. ``server`` says where it is and whom to trust, and holds the client certificate.

    ``authorization`` gives the value of that header for this moment, empty where none is sent; it raises
    ``KvLatencyError``. ``secrets`` are credentials that may be quoted by others.
    """

    server: ServerEndpoint
    authorization: Callable[[], str]
    secrets: Callable[[], set[str]] = set


class CredentialSource:
    """Where the header ``Authorization`` comes from. This one sends none: there may be a client certificate."""

    def authorization(self) -> str:
        """As ``ClusterLogin.authorization``."""
        return ""

    def secrets(self) -> set[str]:
        """As ``ClusterLogin.secrets``."""
        return set()


def source_of(user: Entry, cluster: Entry) -> CredentialSource:
    """Read how a user logs in, in the order in which ``kubectl`` takes it. Raises ``ConfigError``."""
    if user.text("tokenFile") or user.text("token"):
        return _Token(user)
    if user.text("username") or user.text("password"):
        return _Password(user)
    if "exec" in user:
        return _Plugin(user, cluster)
    if "auth-provider" in user:
        return _Provider(user)
    return CredentialSource()


def certificate_of(
    user: Entry, source: CredentialSource, should_stop: Callable[[], bool]
) -> tuple[str, str] | None:
    """Return the files of the client certificate and its key; None without one. Raises ``ConfigError``.

    A plugin is run for it, until ``should_stop``.
    """
    if isinstance(source, _Plugin):
        found = source.plugin.credential(should_stop)
        if found.certificate:
            pair = pem.written(found.certificate), pem.written(found.key)
            problem = pem.check_pair(*pair)
            if problem:
                raise user.wrong("exec", f"returned a client certificate that {problem}")
            return pair
    certificate, key = pem.file_of(user, "client-certificate"), pem.file_of(user, "client-key")
    if certificate is None:
        return None
    if key is None:
        raise user.wrong("client-certificate", "is set without client-key")
    problem = pem.check_pair(certificate, key)
    if problem:
        raise user.wrong("client-certificate", problem)
    return certificate, key


class _Token(CredentialSource):
    """A token, or a file of one, which wins: it may be rotated while the run lasts."""

    def __init__(self, user: Entry) -> None:
        self._user = user
        self._inline = user.text("token").strip()
        path = user.text("tokenFile")
        self._file = user.directory / path if path else None
        self._last = ""
        self._read_at = 0.0

    def authorization(self) -> str:
        if self._file is None:
            return _bearer(self._user, "token", self._inline)
        if not self._last or time.monotonic() - self._read_at >= _FILE_SECONDS:
            self._last = self._read() or self._last
            self._read_at = time.monotonic()
        if self._last:
            return _bearer(self._user, "tokenFile", self._last)
        if not self._inline:
            raise self._user.wrong(
                "tokenFile", "names a file that does not exist, cannot be read, or is empty"
            )
        return _bearer(self._user, "token", self._inline)

    def _read(self) -> str:
        try:
            return "" if self._file is None else self._file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            return ""

    def secrets(self) -> set[str]:
        return {self._inline, self._last}


class _Password(CredentialSource):
    def __init__(self, user: Entry) -> None:
        self._pair = (user.text("username"), user.text("password"))

    def authorization(self) -> str:
        encoded = base64.b64encode(":".join(self._pair).encode()).decode()
        return f"Basic {encoded}"

    def secrets(self) -> set[str]:
        return {self._pair[1]}


class _Plugin(CredentialSource):
    def __init__(self, user: Entry, cluster: Entry) -> None:
        self._user = user
        self.plugin = ExecPlugin(user, cluster)

    def authorization(self) -> str:
        token = self.plugin.credential().token
        return _bearer(self._user, "exec", token) if token else ""

    def secrets(self) -> set[str]:
        return {self.plugin.credential().token}


class _Provider(CredentialSource):
    def __init__(self, user: Entry) -> None:
        name = user.mapping("auth-provider").text("name")
        if name in _GONE:
            raise user.wrong(
                "auth-provider.name",
                f"is {name!r}: Kubernetes removed that provider, use an exec plugin",
                hint=_GONE[name],
            )
        if name != "oidc":
            raise user.wrong("auth-provider.name", "is not 'oidc': use an exec plugin for any other provider")
        self._user = user
        self._oidc = OidcLogin(user)

    def authorization(self) -> str:
        return _bearer(self._user, "auth-provider", self._oidc.token())

    def secrets(self) -> set[str]:
        return self._oidc.secrets


def _bearer(user: Entry, field: str, token: str) -> str:
    if not _TOKEN.fullmatch(token):
        raise user.wrong(field, "is not a valid token: expected ASCII without spaces")
    return f"Bearer {token}"
