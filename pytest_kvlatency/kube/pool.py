"""Connections to one server: whom to trust there, with which certificate, and through which proxy."""

from __future__ import annotations

import ssl
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.ssl_ import create_urllib3_context

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.model import HttpProxy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.model import ServerEndpoint

# Idle connections kept; more than there are threads, for urllib3 warns about each one beyond it.
_POOL_SIZE: Final = 128


class _QuietConnection(HTTPSConnection):
    """A connection that the user chose not to verify: urllib3 need not warn at each one (warnings may be errors)."""

    def connect(self) -> None:
        super().connect()
        self.is_verified = True


class _QuietPool(HTTPSConnectionPool):
    ConnectionCls = _QuietConnection


def pool_of(server: ServerEndpoint) -> urllib3.PoolManager:
    """Make the connections' pool. Raises ``ConfigError`` for a proxy that cannot be used."""
    trust: dict[str, Any] = {
        "ssl_context": _ssl_context(server),
        "ca_certs": server.ca_file,
        "cert_file": server.cert_file,
        "key_file": server.key_file,
        "server_hostname": server.server_name,
        "maxsize": _POOL_SIZE,
    }
    pool = urllib3.PoolManager(**trust) if server.proxy is None else _proxied(server, server.proxy, trust)
    if not server.verify:
        pool.pool_classes_by_scheme = {"http": HTTPConnectionPool, "https": _QuietPool}
    return pool


def _proxied(server: ServerEndpoint, proxy: HttpProxy, trust: Mapping[str, Any]) -> urllib3.PoolManager:
    try:
        if proxy.url.lower().startswith("socks"):
            from urllib3.contrib.socks import SOCKSProxyManager  # noqa: PLC0415 - needs a package that few have

            return SOCKSProxyManager(proxy.url, headers=proxy.headers, **trust)
        return urllib3.ProxyManager(proxy.url, proxy_headers=proxy.headers, **trust)
    except (urllib3.exceptions.HTTPError, urllib3.exceptions.HTTPWarning, ImportError, ValueError) as error:
        # It may hold a password before the last @; so may the error.
        raise ConfigError(
            f"invalid proxy URL {proxy.url.rpartition('@')[2]!r} for {server.url}: expected http://HOST:PORT",
            hint="It comes from proxy-url in the kubeconfig, or from HTTPS_PROXY or HTTP_PROXY.",
        ) from (None if "@" in proxy.url else error)


def _ssl_context(server: ServerEndpoint) -> ssl.SSLContext:
    """As urllib3's own, but without Python 3.13's strict mode, which refuses CAs that kubectl accepts."""
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if server.verify else ssl.CERT_NONE)
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    # Reading them takes longer than a request does.
    if server.verify and not server.ca_file and server.url.lower().startswith("https:"):
        context.load_default_certs()
    return context


def proxy_for(url: str, named: str) -> HttpProxy | None:
    """The proxy for a server: the one that the kubeconfig names, else the environment's, unless NO_PROXY names it."""
    environment = urllib.request.getproxies()
    proxy = named or environment.get(urlsplit(url).scheme, "")
    if not named and proxy and "://" not in proxy:
        # As kubectl reads the environment.
        proxy = f"http://{proxy}"
    if not proxy or (environment.get("no") and _is_bypassed(url, environment["no"])):
        return None
    headers: Mapping[str, str] = {}
    # What is no URL is reported when it is used.
    with suppress(ValueError):
        parts = urlsplit(proxy)
        if parts.username:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers = urllib3.make_headers(proxy_basic_auth=login)
    return HttpProxy(url=proxy, headers=headers)


def _is_bypassed(url: str, no_proxy: str) -> bool:
    from kubernetes.client.rest import should_bypass_proxies  # noqa: PLC0415 - half a second, rarely needed

    return bool(should_bypass_proxies(url, no_proxy=no_proxy))
