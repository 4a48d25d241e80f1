"""Requests to the API server: retried while that can help, refused with the way out when it cannot."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import urllib3
import urllib3.exceptions

from pytest_kvlatency.errors import (
    CheckupTimeoutError,
    ConfigError,
    InterruptedRunError,
    KvLatencyError,
    PermissionDeniedError,
)
from pytest_kvlatency.kube import kubeconfig as config
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.answers import GATEWAYS_OWN, Meaning, is_of_the_api, may_be_obeyed, meaning
from pytest_kvlatency.kube.apierrors import ApiUnavailableError, KubeApiError
from pytest_kvlatency.kube.http import Answer, HttpTransport
from pytest_kvlatency.kube.patience import CONNECT_TIMEOUT, PATIENCE, READ_TIMEOUTS, Tries, Try, first_contact
from pytest_kvlatency.kube.reach import Reach
from pytest_kvlatency.kube.refusals import denied_user, refusal, unavailable_hint, words
from pytest_kvlatency.kube.reviews import Rules
from pytest_kvlatency.kube.serverclock import ServerClock
from pytest_kvlatency.kube.unanswered import problem_of
from pytest_kvlatency.model import ConsoleEndpoint
from pytest_kvlatency.shortage import PATIENCE_SECONDS, shortage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from pytest_kvlatency.deadline import Deadline, Stop


# Without a connection nothing was sent.
_UNSENT: Final = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
_MERGE_PATCH: Final = "application/merge-patch+json"


class KubeClient:
    """One cluster. Thread-safe. No method, message or ``repr`` of it gives a credential away."""

    def __init__(self, access: config.KubeConnection, *, stop: Stop | None = None) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._transport = self._new_transport(lambda: stop is not None and stop.is_set())
        self._secrets: set[str] = set()
        self._contacted = False
        #: What the run needs permission for.
        self.rules = Rules(self)
        #: Whether the server can be reached, as requests and consoles have found.
        self.reach = Reach()
        self._denied: set[tuple[str, str, str, str | None]] = set()
        self.stop = stop
        self.namespace = access.namespace
        #: The context of the kubeconfig; None in a pod.
        self.context = access.context
        #: Where the choice of cluster comes from, e.g. ``kubeconfig /home/me/.kube/config, context 'lab'``.
        self.origin = access.origin
        self._server_clock = ServerClock()

    @classmethod
    def connect(
        cls, *, kubeconfig: Path | None = None, context: str | None = None, stop: Stop | None = None
    ) -> KubeClient:
        """Find the cluster and its credentials; contacts nothing yet. Raises ``ConfigError``."""
        return cls(config.resolve(kubeconfig, context), stop=stop)

    def __repr__(self) -> str:
        return f"KubeClient({self.server!r})"

    @property
    def server(self) -> str:
        """URL of the API server, without anything that its user part may hold."""
        parts = urlsplit(self._transport.server.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")

    def now(self) -> datetime:
        """The time by the API server's clock, to the second; by this machine's where it has not said."""
        return self._server_clock.now()

    def secrets(self) -> frozenset[str]:
        """Return every credential used so far, only to take them out of texts."""
        return frozenset(self._secrets | self._transport.secrets())

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        deadline: Deadline,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str | None = None,
        ok_missing: bool = False,
        patience: float = PATIENCE,
        on_doubt: Callable[[], None] = lambda: None,
        on_reached: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        """Send a request until it is answered; return the JSON object of the answer (``{}`` when there is none).

        429, 500, 502, 503, 504, lost connections and time-outs are tried again with growing pauses (or as
        Retry-After says) for ``patience`` seconds at most, within the deadline. So a POST may be sent twice: the
        caller tells its own object from another's (409). ``ok_missing``: 404 gives ``{}``, if it speaks of the
        object; one of a proxy, or of a server that has just been started, proves nothing and is tried again too.
        ``on_doubt`` is called after each attempt that the server may have obeyed, or may obey yet, without an answer;
        ``on_reached`` after each for which there was a connection. A server that has answered nothing for longer than a
        restart takes is gone for good: each request gives up after a few tries then. One that could not be reached a
        moment ago may have been restarted, and knows neither roles nor tokens nor custom resources yet: what it denies
        (401, 403 of a missing permission, 404 of an API) is asked again until it has been there for some seconds.

        Where this process may open no more connections that is tried again for 5 s, while others close theirs.

        Raises ``PermissionDeniedError`` (401, or 403 of a missing permission), ``KubeApiError`` (other answers),
        its ``ApiUnavailableError`` (patience is over), ``ConfigError`` (the server was never reached),
        ``CheckupTimeoutError`` and ``InterruptedRunError`` (the deadline's).
        """
        wanted = paths.target(method, path)
        content = None if body is None else json.dumps(body).encode()
        headers = {}
        if content is not None:
            default = _MERGE_PATCH if method == "PATCH" else "application/json"
            headers["Content-Type"] = content_type or default
        url = f"{path}?{urlencode(query)}" if query else path
        tries = Tries(wanted=wanted, patience=patience, began=time.monotonic())
        while True:
            deadline.check(f"the API server ({wanted})")
            tried = self._try(method, url, content, headers, tries.read_timeout, deadline)
            if tried.is_reached:
                on_reached()
            answer = tried.answer
            if answer is not None and answer.status == 401 and not tries.has_renewed:
                tries.has_renewed = True
                self._renew(tried.transport)
                continue
            found = meaning(answer, ok_missing=ok_missing, is_settled=self.reach.is_settled)
            if answer is not None and found is Meaning.DONE:
                return answer.json() or {}
            if found is Meaning.MISSING:
                return {}
            if answer is not None and found is Meaning.REFUSED:
                raise self._refused(answer, tries, deadline)
            tries.is_denied = found is Meaning.DENIED_FOR_NOW
            if tried.is_reached and may_be_obeyed(answer):
                on_doubt()
            self._pause(tries, tried, deadline)
            tries.count += 1

    def _try(
        self,
        method: str,
        url: str,
        content: bytes | None,
        headers: Mapping[str, str],
        read_timeout: float,
        deadline: Deadline,
    ) -> Try:
        """Send a request once, and remember what that says of the server. Raises what does not get better."""
        transport = self._transport
        left = max(0.05, deadline.remaining())
        began = time.monotonic()
        try:
            timeout = urllib3.Timeout(connect=min(CONNECT_TIMEOUT, left), read=min(read_timeout, left))
            answer = transport.read(
                transport.open(method, url, body=content, headers=headers, timeout=timeout)
            )
        except urllib3.exceptions.HTTPError as error:
            lacking = self._note_no_answer(error, began)
            return Try(
                transport=transport,
                problem=problem_of(
                    error, server=self.server, origin=self.origin, proxy=self._transport.server.proxy
                ),
                lacking=lacking,
                first_contact=first_contact(error),
                # A certificate that cannot be opened is missed before anything is sent.
                is_reached=lacking is None and not isinstance(error, _UNSENT),
            )
        self._note_answer(answer, began)
        self._contacted = self._contacted or answer.status >= 300 or is_of_the_api(answer)
        problem = f"{answer.status} {words(answer)}".rstrip()
        return Try(transport=transport, answer=answer, problem=problem, first_contact=first_contact(None))

    def _note_no_answer(self, error: urllib3.exceptions.HTTPError, began: float) -> ConfigError | None:
        """Remember that an attempt begun at ``began`` failed; return what this process lacks, if that was why."""
        lacking = shortage(error)
        if lacking is None:
            self.reach.note_failure(began)
        return lacking

    def _note_answer(self, answer: Answer, began: float) -> None:
        """Remember whether the server itself answered an attempt begun at ``began``, and what time it is there."""
        if answer.status in GATEWAYS_OWN:
            self.reach.note_failure(began)
        else:
            self.reach.note_answer()
        self._server_clock.note(answer)

    def _pause(self, tries: Tries, tried: Try, deadline: Deadline) -> None:
        """Wait until the next attempt. Raises the cause when there is to be none."""
        spent = tries.seconds
        if tried.lacking is not None and spent >= PATIENCE_SECONDS:
            raise tried.lacking
        if not self._contacted and tried.lacking is None and spent >= tried.first_contact:
            raise ConfigError(
                f"cannot reach the API server {self.server}: {tried.problem}",
                hint=f"The cluster comes from {self.origin}: check its server, or choose another with "
                "--kv-kubeconfig or --kv-context.",
            )
        pause = tries.pause_after(tried.answer)
        if tries.is_last(tried.answer, pause, self.reach.silent_since, deadline.remaining()):
            raise self._given_up(tries, tried, deadline)
        try:
            deadline.pause(pause, f"the API server ({tries.wanted})")
        except CheckupTimeoutError as error:
            raise CheckupTimeoutError(f"{error.reason} (last error: {tried.problem})") from error

    def _refused(self, answer: Answer, tries: Tries, deadline: Deadline) -> KvLatencyError:
        """The error of an answer that is final; a missing permission is told with all others that the run lacks."""
        user = denied_user(answer)
        denial = self.rules.denial(tries.wanted, deadline, user=user) if user else None
        return denial or self._refusal(answer, tries.wanted, was_repeated=tries.count > 0)

    def _given_up(self, tries: Tries, tried: Try, deadline: Deadline) -> KvLatencyError:
        """The error of a request that was tried for as long as its caller has patience."""
        if tries.is_denied and tried.answer is not None:
            return self._refused(tried.answer, tries, deadline)
        return ApiUnavailableError(
            f"the API server {self.server} did not {tries.wanted}, tried {tries.count + 1} times in "
            f"{tries.seconds:.0f} s: {tried.problem}",
            status=tried.answer.status if tried.answer is not None else 0,
            message=tried.problem,
            hint=unavailable_hint(tries.wanted, tried.problem),
            summary=f"the API server does not serve requests: {tried.problem}",
        )

    def items(self, path: str, *, query: Mapping[str, str], deadline: Deadline) -> list[dict[str, Any]]:
        """GET a whole list, in pages of as many as ``query`` says by its ``limit``. Raises as ``request``."""
        found: list[dict[str, Any]] = []
        more = ""
        while True:
            asked = {**query, "continue": more} if more else query
            page = self.request("GET", path, query=asked, deadline=deadline)
            found += page.get("items") or []
            more = (page.get("metadata") or {}).get("continue") or ""
            if not more:
                return found

    def optional(
        self,
        path: str,
        *,
        deadline: Deadline,
        query: Mapping[str, str] | None = None,
        patience: float = 3.0,
        ok_missing: bool = False,
    ) -> dict[str, Any] | None:
        """GET what makes a diagnosis better, or a message kinder: None when it cannot be had.

        A permission that is missing once is not asked for again. ``ok_missing`` as in ``request``.
        """
        wanted = paths.target("GET", path)
        key = (wanted.verb, wanted.group, wanted.resource, wanted.namespace)
        if key in self._denied:
            return None
        try:
            return self.request(
                "GET", path, deadline=deadline, query=query, patience=patience, ok_missing=ok_missing
            )
        except PermissionDeniedError:
            if self.reach.is_settled:
                self._denied.add(key)
        except (KubeApiError, CheckupTimeoutError, InterruptedRunError):
            pass
        return None

    def optional_text(
        self, path: str, *, deadline: Deadline, query: Mapping[str, str] | None = None
    ) -> str | None:
        """GET text, such as a container's log: None when it cannot be had. One attempt."""
        url = f"{path}?{urlencode(query)}" if query else path
        left = deadline.remaining()
        if left <= 0:
            return None
        began = time.monotonic()
        timeout = urllib3.Timeout(connect=min(CONNECT_TIMEOUT, left), read=min(READ_TIMEOUTS[0], left))
        transport = self._transport
        try:
            answer = transport.read(transport.open("GET", url, headers={"Accept": "*/*"}, timeout=timeout))
        except urllib3.exceptions.HTTPError as error:
            self._note_no_answer(error, began)
            return None
        return answer.body.decode(errors="replace") if answer.status == 200 else None

    def stream(self, path: str, *, query: Mapping[str, str], read_timeout: float) -> urllib3.BaseHTTPResponse:
        """Open an answer that goes on, such as a watch; one attempt. Raises as ``request`` does, or ``HTTPError``."""
        began = time.monotonic()
        try:
            response = self._transport.open(
                "GET",
                f"{path}?{urlencode(query)}",
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=read_timeout),
            )
        except urllib3.exceptions.HTTPError as error:
            self._note_no_answer(error, began)
            raise
        if response.status != 200:
            answer = Answer(status=response.status, headers={}, body=response.read())
            response.release_conn()
            raise self._refusal(answer, paths.target("GET", path, watch="watch" in query))
        return response

    def console_endpoint(self, namespace: str, vmi_name: str) -> ConsoleEndpoint:
        """Return how to reach a VMI's console: server, credentials, trust and proxy as for any request.

        Ask for each connection anew: credentials are refreshed here.
        """
        transport = self._transport
        server = transport.server
        base = server.url.rstrip("/")
        scheme, _, rest = base.partition("://")
        path = paths.console(namespace, vmi_name)
        return ConsoleEndpoint(
            server=replace(server, url=f"{'wss' if scheme == 'https' else 'ws'}://{rest}{path}"),
            headers=transport.credentials(),
            impersonation=self._access.impersonation,
        )

    def _new_transport(self, should_stop: Callable[[], bool]) -> HttpTransport:
        return HttpTransport(self._access.load(should_stop), impersonation=self._access.impersonation)

    def _renew(self, used: HttpTransport) -> None:
        """Read credentials anew: a token file was rotated, or a token expired before its time."""
        with self._lock:
            if self._transport is used:
                self._secrets |= used.secrets()
                # Also when the run was stopped: what is left needs credentials to be removed.
                self._transport = self._new_transport(lambda: False)

    def _refusal(self, answer: Answer, wanted: paths.Target, *, was_repeated: bool = False) -> KvLatencyError:
        refused = refusal(answer, wanted, server=self.server, origin=self.origin)
        if isinstance(refused, KubeApiError):
            refused.was_repeated = was_repeated
        return refused
