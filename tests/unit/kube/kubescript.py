"""What the tests of the Kubernetes side share: a script of answers, Status objects, a request for a VMI."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_kvlatency.kube.manifest import VmiRequest, network_data, user_data
from pytest_kvlatency.model import NadRef

if TYPE_CHECKING:
    from collections.abc import Callable

#: The last answer on its connection.
LAST_ANSWER = (200, {}, {"Connection": "close"})

REQUEST = VmiRequest(
    name="latency-check-source-abcde",
    namespace="checks",
    nad=NadRef(namespace="default", name="blue-network"),
    binding="bridge",
    mac="02:00:00:00:00:01",
    image="quay.io/x@sha256:1",
    network_data=network_data("02:00:00:00:00:01", "198.18.0.1/24"),
    user_data=user_data(),
    run_id="r1",
)


@dataclass
class Seen:
    method: str
    path: str
    headers: dict
    body: object


@dataclass
class ScriptedServer:
    """``answers`` maps ``METHOD path`` to a list of (status, body, headers); the last one repeats.

    After ``stop()`` it refuses connections; those that are open go on until they were told to close.
    """

    url: str = ""
    stop: Callable[[], None] = field(default=lambda: None, repr=False)
    answers: dict = field(default_factory=dict)
    seen: list = field(default_factory=list)

    def answer(self, request, *answers):
        self.answers[request] = [entry if isinstance(entry, tuple) else (200, entry) for entry in answers]

    def asked(self, method=None):
        return [f"{one.method} {one.path}" for one in self.seen if method in (None, one.method)]


def status_object(code, reason, message="", **details):
    return (
        code,
        {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": code,
            "reason": reason,
            "message": message,
            "details": details,
        },
    )
