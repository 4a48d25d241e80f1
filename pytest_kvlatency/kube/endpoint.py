"""Where a server is, whom to trust there, and through which proxy: the API server, or an issuer of logins."""

from __future__ import annotations

import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import urllib3

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class HttpProxy:
    """A proxy on the way; ``headers`` hold its password."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True)
class ServerEndpoint:
    """One server: its URL, its certificate authority (None is the system's), and the client's certificate, as files.

    ``server_name`` is the name that its certificate must have, where that is not the URL's.
    """

    url: str
    verify: bool = True
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None
    proxy: HttpProxy | None = None


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
