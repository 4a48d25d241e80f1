"""Which cluster, as whom: kubeconfig, context, or the pod's own ServiceAccount, in the usual order."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import yaml

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.kube import pem
from pytest_kvlatency.kube.configentry import Entry
from pytest_kvlatency.kube.credentials import ClusterLogin, certificate_of, source_of
from pytest_kvlatency.kube.impersonation import headers_of
from pytest_kvlatency.kube.pool import proxy_for
from pytest_kvlatency.model import ServerEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, kw_only=True)
class KubeConnection:
    """How to reach one cluster. ``load`` makes the client's configuration and gets the credentials, both anew.

    It gives up when the function that it is given says so: a credential plugin may take its time.
    ``origin`` says where it comes from, for messages: it never holds a credential. ``context`` is the kubeconfig's;
    None in a pod.
    """

    origin: str
    namespace: str
    load: Callable[[Callable[[], bool]], ClusterLogin]
    #: The headers that say as whom the user acts; a name may come several times.
    impersonation: tuple[tuple[str, str], ...] = ()
    context: str | None = None


def resolve(
    kubeconfig: Path | None, context: str | None, environ: Mapping[str, str] = os.environ
) -> KubeConnection:
    """Find the cluster: the options, else ``$KUBECONFIG``, else ``~/.kube/config``, else the pod's own.

    Raises ``ConfigError`` that says what was tried. Reads files, contacts nothing.
    """
    if kubeconfig is not None:
        path = kubeconfig.expanduser()
        if not path.is_file():
            raise ConfigError(
                f"the kubeconfig {str(path)!r} (--kv-kubeconfig) "
                f"{'is not a file' if path.exists() else 'does not exist'}",
                hint="Name an existing kubeconfig with --kv-kubeconfig.",
            )
        return _from_files([path], context, f"kubeconfig {path} (--kv-kubeconfig)")
    listed = environ.get("KUBECONFIG", "")
    if listed:
        files = [Path(part).expanduser() for part in listed.split(os.pathsep) if part]
        where = f"$KUBECONFIG ({listed})"
    else:
        files = [Path("~/.kube/config").expanduser()]
        where = str(files[0])
    found = [path for path in files if path.is_file()]
    pod = bool(environ.get("KUBERNETES_SERVICE_HOST")) and (SERVICE_ACCOUNT / "token").is_file()
    if found and (context is not None or not pod or _merged(found)[0]):
        return _from_files(found, context, f"kubeconfig {where}")
    if context is not None:
        raise ConfigError(
            f"cannot use the context {context!r} (--kv-context): the kubeconfig {where} does not exist",
            hint="Name the kubeconfig with --kv-kubeconfig or $KUBECONFIG.",
        )
    if pod:
        return _in_cluster()
    raise ConfigError(
        f"no cluster is configured: tried {where} (no such file) "
        f"and the pod's own ServiceAccount ({SERVICE_ACCOUNT}: not in a pod)",
        hint="Name a kubeconfig with --kv-kubeconfig or $KUBECONFIG, or use --kv-lab to run without a cluster.",
    )


def _merged(files: list[Path]) -> tuple[str, dict[str, dict[str, Entry]]]:
    """The current context, and every context, cluster and user, by kind and name.

    Merged as kubectl does it: the first file to name a thing wins. Raises ``ConfigError``.
    """
    current = ""
    entries: dict[str, dict[str, Entry]] = {"context": {}, "cluster": {}, "user": {}}
    for path in files:
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError) as error:
            told = getattr(error, "strerror", None) or "it is not UTF-8"
            raise ConfigError(f"cannot read the kubeconfig {path}: {told}") from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            # The error quotes the file, which may hold tokens: only the place is told.
            mark = getattr(error, "problem_mark", None)
            place = f" (line {mark.line + 1})" if mark is not None else ""
            raise ConfigError(f"the kubeconfig {path} is not valid YAML{place}") from None
        if not isinstance(data, dict):
            raise ConfigError(f"the kubeconfig {path} is not a kubeconfig: expected a YAML mapping")
        top = Entry(owner=f"kubeconfig {path}", values=data, directory=path.absolute().parent)
        current = current or top.text("current-context")
        for kind, known in entries.items():
            for name, found in _entries(top, kind):
                known.setdefault(name, found)
    return current, entries


def _entries(top: Entry, kind: str) -> Iterator[tuple[str, Entry]]:
    """Give the contexts, clusters or users of a file by name. Raises ``ConfigError``."""
    for entry in top.mappings(f"{kind}s"):
        name = entry.text("name")
        if name:
            owner = f"{top.owner}, {kind} {name!r}"
            values = replace(entry, owner=owner, prefix="").mapping(kind).values
            yield name, Entry(owner=owner, values=values, directory=top.directory)


def _from_files(files: list[Path], context: str | None, origin: str) -> KubeConnection:
    current, entries = _merged(files)
    contexts = entries["context"]
    valid = ", ".join(sorted(contexts)) or "none"
    if context is None and not current:
        raise ConfigError(
            f"{origin} has no current context", hint=f"Choose one with --kv-context; it has: {valid}."
        )
    name = context if context is not None else current
    if name not in contexts:
        option = " (--kv-context)" if context is not None else " (its current context)"
        raise ConfigError(
            f"{origin} has no context {name!r}{option}",
            hint=f"Choose another with --kv-context; it has: {valid}.",
        )
    chosen = contexts[name]
    cluster = entries["cluster"].get(chosen.text("cluster"))
    if cluster is None:
        raise ConfigError(
            f"{origin}: context {name!r} names the cluster {chosen.text('cluster')!r}, which is not in it"
        )
    # kubectl sends no credentials either where there is no such user.
    user = entries["user"].get(
        chosen.text("user"), Entry(owner=origin, values={}, directory=chosen.directory)
    )
    return KubeConnection(
        origin=f"{origin}, context {name!r}",
        namespace=chosen.text("namespace") or "default",
        load=lambda should_stop: _log_in(user, cluster, should_stop),
        impersonation=headers_of(user),
        context=name,
    )


def _log_in(user: Entry, cluster: Entry, should_stop: Callable[[], bool]) -> ClusterLogin:
    """Make the client's configuration, and get the credentials of this moment. Raises ``KvLatencyError``."""
    url = _server(cluster)
    authority = pem.file_of(cluster, "certificate-authority") if url.startswith("https://") else None
    if authority is not None:
        pem.check_authority(cluster, "certificate-authority", authority)
    source = source_of(user, cluster)
    certificate, key = certificate_of(user, source, should_stop) or (None, None)
    # Now, so that what cannot be used is reported before anything else is done.
    source.authorization()
    server = ServerEndpoint(
        url=url,
        verify=not cluster.flag("insecure-skip-tls-verify"),
        ca_file=authority,
        cert_file=certificate,
        key_file=key,
        server_name=cluster.text("tls-server-name") or None,
        proxy=proxy_for(url, cluster.text("proxy-url")),
    )
    return ClusterLogin(server=server, authorization=source.authorization, secrets=source.secrets)


def _server(cluster: Entry) -> str:
    """The URL of the API server. Raises ``ConfigError``."""
    server = cluster.text("server").rstrip("/")
    if not server:
        raise cluster.wrong("server", "is missing")
    try:
        parts = urlsplit(server)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise cluster.wrong("server", "is not a URL such as https://HOST:6443")
    return server


def pod_namespace() -> str | None:
    """Return the namespace of the pod that this process runs in, or None outside one."""
    try:
        return (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _in_cluster() -> KubeConnection:
    def load(_: Callable[[], bool]) -> ClusterLogin:
        from kubernetes.client import Configuration  # noqa: PLC0415 - half a second, spared outside of pods
        from kubernetes.config import ConfigException, load_incluster_config  # noqa: PLC0415

        configuration = Configuration()
        try:
            load_incluster_config(  # type: ignore[no-untyped-call]
                client_configuration=configuration
            )
        except (ConfigException, OSError) as error:
            raise ConfigError(f"cannot use the pod's ServiceAccount: {error}") from None

        def authorization() -> str:
            try:
                # Read anew where the token is about to expire.
                settings = configuration.auth_settings()
            except (ConfigException, OSError) as error:
                raise ConfigError(f"cannot use the pod's ServiceAccount: {error}") from None
            return str(settings.get("BearerToken", {}).get("value") or "").strip()

        url = configuration.host
        server = ServerEndpoint(url=url, ca_file=configuration.ssl_ca_cert, proxy=proxy_for(url, ""))
        return ClusterLogin(server=server, authorization=authorization)

    return KubeConnection(
        origin="the pod's ServiceAccount", namespace=pod_namespace() or "default", load=load
    )
