"""Which cluster, as whom: kubeconfig, context, or the pod's own ServiceAccount, in the usual order."""

from __future__ import annotations

import logging
import os
import re
import threading
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import urllib3
import yaml

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.kube.entry import Entry
from pytest_kvlatency.kube.impersonation import headers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kubernetes.client import Configuration

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# Idle connections kept; more than there are threads, for urllib3 warns about each one beyond it.
_POOL_SIZE: Final = 128
# An entry of a kubeconfig as Python writes it, credentials and all.
_ENTRY: Final = re.compile(r"\{.*\}", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Access:
    """How to reach one cluster. ``load`` makes the client's configuration anew, credentials included.

    ``origin`` says where it comes from, for messages: it never holds a credential.
    """

    origin: str
    namespace: str
    load: Callable[[], Configuration]
    #: The headers that say as whom the user acts; a name may come several times.
    impersonation: tuple[tuple[str, str], ...] = ()


def resolve(kubeconfig: Path | None, context: str | None, environ: Mapping[str, str] = os.environ) -> Access:
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
    if found and (context is not None or not pod or _merged(found).current):
        return _from_files(found, context, f"kubeconfig {where}")
    if context is not None:
        raise ConfigError(
            f"there is no kubeconfig to hold the context {context!r} (--kv-context): {where} does not exist",
            hint="Name the kubeconfig with --kv-kubeconfig or $KUBECONFIG.",
        )
    if pod:
        return _in_cluster()
    raise ConfigError(
        f"no cluster is configured: tried {where} (no such file) "
        f"and the pod's own ServiceAccount ({SERVICE_ACCOUNT}: not in a pod)",
        hint="Name a kubeconfig with --kv-kubeconfig or $KUBECONFIG, or use --kv-lab to run without a cluster.",
    )


@dataclass(frozen=True, kw_only=True)
class _Merged:
    """kubeconfigs merged as kubectl does it: the first one to name a thing wins."""

    current: str
    contexts: Mapping[str, Mapping[str, Any]]
    clusters: Mapping[str, Mapping[str, Any]]
    users: Mapping[str, Mapping[str, Any]]


def _merged(files: list[Path]) -> _Merged:
    current = ""
    maps: dict[str, dict[str, Mapping[str, Any]]] = {"context": {}, "cluster": {}, "user": {}}
    for path in files:
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the kubeconfig {path} cannot be read: {error}") from error
        except yaml.YAMLError as error:
            # The error quotes the file, which may hold tokens: only the place is told.
            mark = getattr(error, "problem_mark", None)
            place = f" (line {mark.line + 1})" if mark is not None else ""
            raise ConfigError(f"the kubeconfig {path} is not valid YAML{place}") from None
        if not isinstance(data, dict):
            raise ConfigError(f"the kubeconfig {path} is no kubeconfig: it holds no mapping")
        current = current or str(data.get("current-context") or "")
        for kind, known in maps.items():
            for name, found in _entries(data, kind, path):
                known.setdefault(name, found)
    return _Merged(current=current, contexts=maps["context"], clusters=maps["cluster"], users=maps["user"])


def _entries(data: Mapping[str, Any], kind: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give the contexts, clusters or users of a file by name. Raises ``ConfigError``."""
    listed = data.get(f"{kind}s") or []
    if not isinstance(listed, list):
        raise ConfigError(f"the kubeconfig {path} is no kubeconfig: its {kind}s are no list")
    for entry in listed:
        if isinstance(entry, dict) and entry.get("name"):
            found = entry.get(kind) or {}
            if not isinstance(found, dict):
                raise ConfigError(
                    f"the kubeconfig {path} is no kubeconfig: its {kind} {entry['name']!r} is no mapping"
                )
            yield str(entry["name"]), found


def _from_files(files: list[Path], context: str | None, origin: str) -> Access:
    merged = _merged(files)
    valid = ", ".join(sorted(merged.contexts)) or "none"
    if context is None and not merged.current:
        raise ConfigError(
            f"{origin} has no current context",
            hint=f"Choose one with --kv-context; it has: {valid}.",
        )
    name = context if context is not None else merged.current
    if name not in merged.contexts:
        option = " (--kv-context)" if context is not None else " (its current context)"
        raise ConfigError(
            f"{origin} has no context {name!r}{option}",
            hint=f"Choose another with --kv-context; it has: {valid}.",
        )
    chosen = merged.contexts[name]
    cluster = merged.clusters.get(str(chosen.get("cluster")))
    if cluster is None:
        raise ConfigError(
            f"{origin}: context {name!r} names the cluster {chosen.get('cluster')!r}, which is not in it"
        )
    user = merged.users.get(str(chosen.get("user")), {})
    owner = f"{origin}, user {str(chosen.get('user'))!r}"
    impersonation = headers_of(Entry(owner=owner, values=user, directory=Path()))

    def load() -> Configuration:
        from kubernetes.client import Configuration  # noqa: PLC0415 - half a second, spared where no check runs
        from kubernetes.config import ConfigException, load_kube_config  # noqa: PLC0415

        configuration = Configuration()
        try:
            with root_errors() as complaints:
                load_kube_config(  # type: ignore[no-untyped-call]
                    config_file=os.pathsep.join(map(str, files)),
                    context=name,
                    client_configuration=configuration,
                    persist_config=False,
                )
        except (ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            # The client quotes whole entries, and trips over values of another type than it expects.
            told = _ENTRY.sub("{…}", str(error))
            raise ConfigError(f"{origin}, context {name!r}, cannot be used: {told}") from None
        if "exec" in user and not configuration.api_key and not configuration.cert_file:
            words = f": {complaints[-1]}" if complaints else ""
            command = (user.get("exec") or {}).get("command")
            raise ConfigError(
                f"{origin}: the credential plugin {command!r} of context {name!r} gave no credentials{words}",
                hint="Run it, or kubectl get nodes, by hand to see what it says.",
            )
        return _finished(configuration, proxy=cluster.get("proxy-url"))

    return Access(
        origin=f"{origin}, context {name!r}",
        namespace=str(chosen.get("namespace") or "default"),
        load=load,
        impersonation=impersonation,
    )


def pod_namespace() -> str | None:
    """Return the namespace of the pod that this process runs in, or None outside one."""
    try:
        return (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _in_cluster() -> Access:
    def load() -> Configuration:
        from kubernetes.client import Configuration  # noqa: PLC0415 - as above
        from kubernetes.config import ConfigException, load_incluster_config  # noqa: PLC0415

        configuration = Configuration()
        try:
            load_incluster_config(  # type: ignore[no-untyped-call]
                client_configuration=configuration
            )
        except (ConfigException, OSError) as error:
            raise ConfigError(f"the pod's ServiceAccount cannot be used: {error}") from error
        return _finished(configuration, proxy=None)

    return Access(origin="the pod's ServiceAccount", namespace=pod_namespace() or "default", load=load)


def _finished(configuration: Configuration, *, proxy: str | None) -> Configuration:
    """Set what the oldest supported client leaves out, and turn its own retries off."""
    configuration.retries = False
    configuration.connection_pool_maxsize = _POOL_SIZE
    environment = urllib.request.getproxies()
    if proxy:
        configuration.proxy = str(proxy)
    elif not configuration.proxy:
        configuration.proxy = environment.get(urlsplit(configuration.host).scheme)
    if not proxy and configuration.proxy and "://" not in configuration.proxy:
        # As kubectl reads the environment.
        configuration.proxy = f"http://{configuration.proxy}"
    if configuration.no_proxy is None:
        configuration.no_proxy = environment.get("no")
    if configuration.proxy and configuration.proxy_headers is None:
        # What is no URL is told of when it is used: NO_PROXY may name the server.
        with suppress(ValueError):
            parts = urlsplit(configuration.proxy)
            if parts.username:
                login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
                configuration.proxy_headers = urllib3.make_headers(proxy_basic_auth=login)
    return configuration


@contextmanager
def root_errors() -> Iterator[list[str]]:
    """Collect what this thread logs straight to the root logger, where the client reports failed plugins.

    It goes nowhere else: a root logger without handlers would get one on stderr for good.
    """
    messages: list[str] = []
    thread = threading.get_ident()
    root = logging.getLogger()

    def keep(record: logging.LogRecord) -> bool:
        if record.thread != thread:
            return True
        messages.append(record.getMessage())
        return False

    handler = logging.NullHandler()
    root.addHandler(handler)
    root.addFilter(keep)
    try:
        yield messages
    finally:
        root.removeFilter(keep)
        root.removeHandler(handler)
