"""Who a request comes from: bearer tokens, ServiceAccount tokens and client certificates."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.lab.apiserver import resources
from pytest_kvlatency.lab.apiserver.rbac import AUTHENTICATED, MASTERS, User
from pytest_kvlatency.lab.apiserver.statuses import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_kvlatency.lab.apiserver.store import Store

AUDIENCE = "https://kubernetes.default.svc.cluster.local"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """An authenticated caller; ``own`` marks the lab's KubeVirt half, which no fault of the API strikes."""

    user: User
    own: bool = False


def _unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized")


def _encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def service_account_user(namespace: str, name: str, uid: str) -> User:
    """Return the user that a ServiceAccount is."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return User(name=f"system:serviceaccount:{namespace}:{name}", groups=groups, uid=uid)


class Authenticator:
    """Mints and checks credentials. Tokens are kept as digests, and never logged."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._opaque: dict[bytes, Identity] = {}

    def mint(self, user: str, groups: Sequence[str], *, own: bool = False) -> str:
        """Return a new token, valid as long as the server runs."""
        token = secrets.token_urlsafe(32)
        known = User(name=user, groups=tuple(dict.fromkeys([*groups, AUTHENTICATED])))
        identity = Identity(user=known, own=own and MASTERS in known.groups)
        self._opaque[hashlib.sha256(token.encode()).digest()] = identity
        return token

    def mint_service_account(
        self, namespace: str, name: str, uid: str, *, seconds: int, audiences: Sequence[str]
    ) -> tuple[str, int]:
        """Return a ServiceAccount's token, a JWT, and when it expires (seconds since the epoch)."""
        now = int(self._clock())
        claims = {
            "iss": AUDIENCE,
            "aud": list(audiences),
            "sub": f"system:serviceaccount:{namespace}:{name}",
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
            "jti": secrets.token_hex(8),
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}},
        }
        head = _encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
        body = f"{head}.{_encode(json.dumps(claims).encode())}"
        return f"{body}.{_encode(self._sign(body))}", now + seconds

    def _sign(self, text: str) -> bytes:
        return hmac.new(self._key, text.encode(), hashlib.sha256).digest()

    def by_token(self, token: str) -> Identity:
        """Return whose token it is. Errors: 401."""
        known = self._opaque.get(hashlib.sha256(token.encode()).digest())
        if known is not None:
            return known
        body, _, signature = token.rpartition(".")
        try:
            if not hmac.compare_digest(_decode(signature), self._sign(body)):
                raise _unauthorized()
            claims: dict[str, Any] = json.loads(_decode(body.partition(".")[2]))
        except (binascii.Error, ValueError) as error:
            raise _unauthorized() from error
        if claims["exp"] <= self._clock() or AUDIENCE not in claims["aud"]:
            raise _unauthorized()
        where = claims["kubernetes.io"]
        namespace, account = where["namespace"], where["serviceaccount"]
        stored = self._store.get(resources.SERVICEACCOUNTS, namespace, account["name"])
        if stored is None or stored.obj["metadata"]["uid"] != account["uid"]:
            raise _unauthorized()
        return Identity(user=service_account_user(namespace, account["name"], account["uid"]))

    def authenticate(self, authorization: str | None, peer: Mapping[str, Any] | None) -> Identity | None:
        """Return who asks, or None without credentials. ``peer`` is a verified client certificate. Errors: 401."""
        if authorization:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() != "bearer" or not token.strip():
                raise _unauthorized()
            return self.by_token(token.strip())
        if peer:
            fields = [item for rdn in peer.get("subject", ()) for item in rdn]
            name = next((value for key, value in fields if key == "commonName"), "")
            groups = tuple(value for key, value in fields if key == "organizationName")
            return Identity(user=User(name=name, groups=(*groups, AUTHENTICATED)))
        return None
