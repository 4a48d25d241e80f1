"""What a request means that got no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import urllib3.exceptions

from pytest_kvlatency.errors import ConfigError

if TYPE_CHECKING:
    from pytest_kvlatency.model import HttpProxy


def problem_of(
    error: urllib3.exceptions.HTTPError, *, server: str, origin: str, proxy: HttpProxy | None
) -> str:
    """Words for a request without an answer; raises for what does not get better.

    Not from the error: its frames hold the credentials that were sent, and pytest's --showlocals would show them.
    """
    told = _error_words(error)
    if "CERTIFICATE_VERIFY_FAILED" in told or "certificate verify failed" in told:
        raise ConfigError(
            f"the certificate of the API server {server} is not trusted: {told}",
            hint=f"The certificate authority comes from {origin}: check certificate-authority there.",
        ) from None
    if "Tunnel connection failed: 407" in told:
        through = urlsplit("" if proxy is None else proxy.url)
        raise ConfigError(
            f"the proxy {through.hostname}:{through.port} requires authentication (407): cannot reach the API server "
            f"{server}",
            hint=f"The proxy comes from proxy-url in {origin}, or from HTTPS_PROXY: check its user and "
            "password there.",
        ) from None
    if isinstance(error, (urllib3.exceptions.LocationParseError, urllib3.exceptions.URLSchemeUnknown)):
        raise ConfigError(f"the API server's address {server!r} is not a URL (from {origin})") from None
    return told


def _error_words(error: BaseException) -> str:
    """What a failed connection says, without urllib3's wrapping and the objects' addresses in it."""
    cause: BaseException = error
    while True:
        inner = cause.__cause__ or cause.__context__
        if not isinstance(inner, (OSError, urllib3.exceptions.HTTPError)):
            break
        cause = inner
    text = getattr(cause, "strerror", None) or str(cause)
    return text.rpartition(">: ")[2] or type(cause).__name__
