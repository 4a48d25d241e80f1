"""The auth provider ``oidc`` of a kubeconfig: an id token, renewed by its refresh token (RFC 6749, section 6)."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus, urlencode

import urllib3

from pytest_kvlatency.errors import PermissionDeniedError
from pytest_kvlatency.kube import pem
from pytest_kvlatency.kube.pool import pool_of, proxy_for
from pytest_kvlatency.model import ServerEndpoint

if TYPE_CHECKING:
    from pytest_kvlatency.kube.configentry import Entry

_DISCOVERY: Final = "/.well-known/openid-configuration"
_TIMEOUT: Final = urllib3.Timeout(connect=5.0, read=20.0)
_MARGIN_SECONDS: Final = 10.0
_LOG_IN: Final = "Log in with the program that wrote the kubeconfig, then try again."
#: Tokens that were renewed, by the refresh token of the file: an issuer may accept each refresh token once only.
_RENEWED: Final[dict[str, tuple[str, str]]] = {}
_LOCK: Final = threading.Lock()


class OidcLogin:
    """Gives the id token, renewed where it has expired."""

    def __init__(self, user: Entry) -> None:
        """Read ``auth-provider.config`` of a user. Raises ``ConfigError``."""
        self._user = user
        self._config = user.mapping("auth-provider").mapping("config")
        names = ("id-token", "refresh-token", "client-id", "client-secret", "idp-issuer-url")
        self._values = {name: self._config.text(name) for name in names}

    @property
    def secrets(self) -> set[str]:
        """What must stand in no report."""
        names = ("id-token", "refresh-token", "client-secret")
        return {self._values[name] for name in names} | set(_RENEWED.get(self._values["refresh-token"], ()))

    def token(self) -> str:
        """Return an id token that is valid now. Raises ``PermissionDeniedError``, ``ConfigError``."""
        values = self._values
        with _LOCK:
            renewed = _RENEWED.get(values["refresh-token"])
            token, refresh = renewed or (values["id-token"], values["refresh-token"])
            if token and not _is_expired(token):
                return token
            if not refresh:
                raise self._expired("")
            for name in ("idp-issuer-url", "client-id"):
                if not values[name]:
                    raise self._config.wrong(name, "is missing, and the login has expired", hint=_LOG_IN)
            found = self._renew(refresh)
            _RENEWED[values["refresh-token"]] = found
            return found[0]

    def _expired(self, why: str) -> PermissionDeniedError:
        return PermissionDeniedError(
            f"{self._user.owner}: the login has expired: log in again{why}", hint=_LOG_IN
        )

    def _renew(self, refresh: str) -> tuple[str, str]:
        issuer = self._values["idp-issuer-url"].rstrip("/")
        discovered = self._ask("GET", f"{issuer}{_DISCOVERY}")[1]
        endpoint = discovered.get("token_endpoint")
        if not isinstance(endpoint, str) or not endpoint:
            raise self._expired(" (the issuer names no token endpoint)")
        secret = self._values["client-secret"]
        identity = {"client_id": self._values["client-id"], **({"client_secret": secret} if secret else {})}
        form = {"grant_type": "refresh_token", "refresh_token": refresh}
        answer: dict[str, Any] = {}
        # By header first, as the standard wants it; then in the form, where some issuers look.
        for headers, more in ((self._basic(), {}), ({}, identity)) if secret else (({}, identity),):
            status, answer = self._ask("POST", endpoint, form={**form, **more}, headers=headers)
            if status < 300 or answer.get("error") == "invalid_grant":
                break
        token = answer.get("id_token")
        if not isinstance(token, str) or not token:
            code = str(answer.get("error") or "")
            said = f"the issuer answered {code}" if re.fullmatch(r"[a-z_]{1,40}", code) else ""
            raise self._expired(f" ({said or 'the issuer gave no id_token'})")
        return token, str(answer.get("refresh_token") or refresh)

    def _basic(self) -> dict[str, str]:
        pair = ":".join(quote_plus(self._values[name]) for name in ("client-id", "client-secret"))
        return {"Authorization": urllib3.make_headers(basic_auth=pair)["authorization"]}

    def _ask(
        self,
        method: str,
        url: str,
        *,
        form: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """Send one request to the issuer; return its status, and the JSON object of its answer."""
        sent = {"Accept": "application/json", **(headers or {})}
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            with self._pool(url) as pool:
                answer = pool.request(
                    method,
                    url,
                    body=None if form is None else urlencode(form),
                    headers=sent,
                    timeout=_TIMEOUT,
                    retries=False,
                    redirect=False,
                )
                found = json.loads(answer.data)
        except urllib3.exceptions.HTTPError as error:
            # Its text may hold the address, which may hold a password.
            cause = error.__cause__ or error.__context__
            told = getattr(cause, "strerror", None) or type(error).__name__
            where = f"{self._config.prefix}idp-issuer-url"
            raise self._expired(f" (cannot renew it: cannot reach {where}: {told})") from None
        except ValueError:
            raise self._expired(
                f" (cannot renew it: {self._config.prefix}idp-issuer-url does not answer as an issuer)"
            ) from None
        return answer.status, found if isinstance(found, dict) else {}

    def _pool(self, url: str) -> urllib3.PoolManager:
        authority = pem.file_of(self._config, "idp-certificate-authority")
        if authority:
            pem.check_authority(self._config, "idp-certificate-authority", authority)
        return pool_of(ServerEndpoint(url=url, ca_file=authority, proxy=proxy_for(url, "")))


def _is_expired(token: str) -> bool:
    """Whether a JWT says so itself; what cannot be read is left to the API server."""
    part = token.split(".")[1:2]
    try:
        claims = json.loads(base64.urlsafe_b64decode(part[0] + "=" * (-len(part[0]) % 4)))
        return float(claims["exp"]) - _MARGIN_SECONDS <= time.time()
    except (IndexError, ValueError, TypeError, KeyError):
        return False
