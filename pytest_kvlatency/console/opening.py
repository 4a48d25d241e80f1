"""Opening a VMI's console: which refusals are waited for, and which are causes at once."""

from __future__ import annotations

import math
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NoReturn, Protocol
from urllib.parse import unquote, urlsplit

from pytest_kvlatency.console.liveness import DELETED, check_alive
from pytest_kvlatency.console.outcomes import ConsoleRefused, ConsoleUnreachable
from pytest_kvlatency.console.transport import ConsoleTransport
from pytest_kvlatency.deadline import Backoff, Deadline
from pytest_kvlatency.errors import ConfigError, GuestError, PermissionDeniedError, ProvisionError
from pytest_kvlatency.shortage import PATIENCE_SECONDS, shortage

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kvlatency.console.liveness import ConsoleVmi
    from pytest_kvlatency.model import ConsoleEndpoint

_PATH: Final = re.compile(
    r"/namespaces/(?P<namespace>[^/]+)/virtualmachineinstances/(?P<name>[^/]+)/console$"
)
_TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
#: Said by what stands before a server that does not answer.
_UNANSWERED: Final = frozenset({502, 503, 504})
PAUSES: Final = Backoff(first=0.1, longest=5.0, factor=1.6)
PAUSES_WHILE_STARTING: Final = replace(PAUSES, longest=0.5)
# A token may have expired between making the endpoint and using it; the second endpoint has a fresh one.
_UNAUTHORIZED_ATTEMPTS: Final = 2
ROLE_RULE: Final = (
    'add to the Role: {apiGroups: ["subresources.kubevirt.io"], '
    'resources: ["virtualmachineinstances/console"], verbs: ["get"]}'
)


class ServerReach(Protocol):
    """What must be known of the way to the server, over all that this process asks of it."""

    def note_failure(self) -> None:
        """Remember an attempt that the server did not answer."""

    def note_answer(self) -> None:
        """Remember that the server answered."""

    @property
    def is_settled(self) -> bool:
        """Whether what the server refuses is refused for good."""


def open_console(
    endpoint: Callable[[], ConsoleEndpoint],
    probe: Callable[[], ConsoleVmi | None],
    reach: ServerReach,
    deadline: Deadline,
    *,
    connect: Callable[[ConsoleEndpoint, Deadline], ConsoleTransport] = ConsoleTransport.connect,
) -> ConsoleTransport:
    """Open the console that ``endpoint()`` names; it is asked anew for each attempt, for fresh credentials.

    ``probe()`` looks at the VMI (None: gone). What a server that could not be reached a moment ago denies may not be
    meant (``reach``), and is asked again. Raises ``ProvisionError``, ``GuestError``, ``PermissionDeniedError`` or
    ``ConfigError`` for what waiting cannot fix, and as ``Deadline.check`` does for the rest.
    """
    pause, unauthorized, lacking_since = PAUSES.first, 0, math.inf
    while True:
        target = endpoint()
        name = vmi_of(target.server.url)
        wish, pauses = 0.0, PAUSES
        try:
            transport = connect(target, deadline)
        except ConsoleRefused as refusal:
            unauthorized += refusal.status == 401
            is_doubted = refusal.is_denial and not reach.is_settled
            if not is_doubted and (not 0 < unauthorized < _UNAUTHORIZED_ATTEMPTS or refusal.status != 401):
                _raise_cause(refusal, name)
            reach.note_failure() if refusal.status in _UNANSWERED else reach.note_answer()
            last = f"{refusal.status} {refusal.message}".strip()
            wish = refusal.retry_after_seconds or 0.0
            if refusal.status == 400 or is_doubted:
                pauses = PAUSES_WHILE_STARTING
        except ConsoleUnreachable as error:
            if error.permanent:
                raise ConfigError(
                    f"cannot reach the console of VMI {name}: {error}", stage="setup"
                ) from error
            last = str(error)
            lacking = shortage(error)
            lacking_since = math.inf if lacking is None else min(lacking_since, time.monotonic())
            if lacking is None:
                reach.note_failure()
            elif time.monotonic() - lacking_since >= PATIENCE_SECONDS:
                raise lacking from None
        else:
            reach.note_answer()
            return transport
        check_alive(probe(), name)
        deadline.pause(
            max(wish, min(pause, pauses.longest)), f"the console of VMI {name} (last answer: {last})"
        )
        pause = pauses.after(pause)


def vmi_of(url: str) -> str:
    """``NAMESPACE/NAME`` of the VMI whose console ``url`` is."""
    match = _PATH.search(urlsplit(url).path)
    return f"{unquote(match['namespace'])}/{unquote(match['name'])}" if match else url


def _raise_cause(refusal: ConsoleRefused, name: str) -> None:
    """Raise for a refusal that waiting cannot fix; return for the others."""
    said = f"{refusal.status} {refusal.message}".strip()
    if refusal.status in {401, 403}:
        _raise_denied(refusal, name)
    if refusal.status == 400 and "no serial consoles" in refusal.message.lower():
        raise GuestError(
            f"VMI {name} has no serial console ({said})",
            summary="a VMI has no serial console",
            hint="the VMI must not have autoattachSerialConsole: false",
        ) from refusal
    if refusal.status == 400 or refusal.status in _TRANSIENT:
        return
    if refusal.is_route_missing:
        raise ProvisionError(
            "the API server does not serve the console API, subresources.kubevirt.io/v1 "
            f"virtualmachineinstances/console ({said})",
            hint="KubeVirt's API server is not installed or not registered: kubectl get apiservice "
            "v1.subresources.kubevirt.io",
        ) from refusal
    if refusal.status == 404:
        raise ProvisionError(f"VMI {name} is gone: its console answers {said}", summary=DELETED) from refusal
    raise ProvisionError(
        f"VMI {name}: cannot open the console: {said}", summary=f"cannot open the console of a VMI: {said}"
    ) from refusal


def _raise_denied(refusal: ConsoleRefused, name: str) -> NoReturn:
    namespace = name.partition("/")[0]
    if refusal.status == 401:
        raise PermissionDeniedError(
            f"the API server does not accept the credentials for the console of VMI {name} "
            f"(401 {refusal.message or 'Unauthorized'})",
            summary="the API server does not accept the credentials for consoles",
            hint="log in to the cluster again, or renew the token",
        ) from refusal
    raise PermissionDeniedError(
        "not allowed to get virtualmachineinstances/console in the API group subresources.kubevirt.io in namespace "
        f"{namespace} ({refusal.message or 'Forbidden'})",
        hint=ROLE_RULE,
    ) from refusal
