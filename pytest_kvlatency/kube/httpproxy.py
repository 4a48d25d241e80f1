"""Through which proxy a server is reached: the API server, or an issuer of logins."""

from __future__ import annotations

import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import urllib3

from pytest_kvlatency.model import HttpProxy

if TYPE_CHECKING:
    from collections.abc import Mapping


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
