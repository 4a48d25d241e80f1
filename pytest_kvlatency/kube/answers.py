"""What an answer of the API server means for the request: done, refused, or to be asked again. Pure."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.kube.refusals import is_admission, words

if TYPE_CHECKING:
    from pytest_kvlatency.kube.http import Answer

#: Answered by what stands before the server, such as a load balancer, while the server does not answer.
GATEWAYS_OWN: Final = frozenset({502, 503, 504})
_RETRIED: Final = GATEWAYS_OWN | {429, 500}
#: The request was not carried out, and will not be.
_NOT_OBEYED: Final = frozenset({401, 403, 429, 503})


class Meaning(Enum):
    """What is to be done about an answer."""

    DONE = "the request is answered"
    MISSING = "there is no such object, and that is fine"
    REFUSED = "trying again changes nothing"
    #: Permission, credentials or API, as a server that has just been started may deny them.
    DENIED_FOR_NOW = "denied, by a server that may not know better yet"
    TROUBLE = "trying again may help"


def meaning(answer: Answer | None, *, ok_missing: bool, is_settled: bool) -> Meaning:
    """Say what is to be done, also where there was no answer.

    ``ok_missing``: 404 of the object is an answer; ``is_settled``: the server was reached whenever it was lately tried.
    """
    if answer is None:
        return Meaning.TROUBLE
    if 200 <= answer.status < 300 and is_of_the_api(answer):
        return Meaning.DONE
    if answer.status == 404 and ok_missing and is_of_the_api(answer):
        return Meaning.MISSING
    if not _is_lasting(answer) or _may_be_a_middlemans(answer, ok_missing=ok_missing):
        return Meaning.TROUBLE
    if not is_settled and _is_denial(answer):
        return Meaning.DENIED_FOR_NOW
    return Meaning.REFUSED


def is_of_the_api(answer: Answer) -> bool:
    """Whether the API itself speaks: in JSON, and of what is missing as a Status object."""
    if answer.status == 404:
        return (answer.json() or {}).get("kind") == "Status"
    return answer.json() is not None or not answer.body.strip()


def may_be_obeyed(answer: Answer | None) -> bool:
    """Whether a request that reached the server may have been carried out, or may be yet."""
    if answer is None:
        return True
    # What is refused because a webhook is down is over: nothing was stored.
    is_unasked = answer.status == 500 and "failed calling webhook" in words(answer)
    return answer.status not in _NOT_OBEYED and not is_unasked


def _is_lasting(answer: Answer) -> bool:
    said = words(answer)
    if answer.status in _RETRIED:
        # A webhook that errs on the object answers 500 too, and would do so again.
        return "denied the request" in said
    # Admission plugins of a server that is just starting.
    return not (answer.status == 403 and "not yet ready to handle request" in said)


def _may_be_a_middlemans(answer: Answer, *, ok_missing: bool) -> bool:
    """Whether somebody on the way may have answered in the server's stead: another try may reach the server."""
    return answer.status < 300 or (answer.status == 404 and ok_missing)


def _is_denial(answer: Answer) -> bool:
    """Whether it says what only a server can say that knows its roles, tokens and APIs."""
    if answer.status == 404:
        return not is_of_the_api(answer)
    return answer.status == 401 or (answer.status == 403 and not is_admission(words(answer)))
