"""Holds what was seen against what a case expects, and against what holds for every run. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from kvcontract.cases import GONE, UNCHANGED, Step

if TYPE_CHECKING:
    from kvcontract.stage import Observed

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_NODES: Final = frozenset({"worker1", "worker2", "worker3"})


def _is_list(text: str) -> bool:
    listed = json.loads(text)
    return isinstance(listed, list) and len(listed) > 1 and len(text.encode()) < 512 * 1024


#: What an expected value in angle brackets stands for; anything else is literal, or between slashes an expression.
_KINDS: Final[Mapping[str, Callable[[str], object]]] = {
    "<time>": _TIME.fullmatch,
    "<integer>": re.compile(r"0|[1-9]\d*").fullmatch,
    "<percent>": re.compile(r"\d{1,3}(\.\d+)?").fullmatch,
    "<node>": _NODES.__contains__,
    "<list>": _is_list,
}


def fits(value: str, expected: str) -> bool:
    """Whether a value is the expected one, or of the expected kind."""
    if expected in _KINDS:
        return bool(_KINDS[expected](value))
    if len(expected) > 1 and expected.startswith("/") and expected.endswith("/"):
        return re.fullmatch(expected[1:-1], value) is not None
    return value == expected


def is_in(log: str, expected: str) -> bool:
    """Whether a log has a text, or a match of an expression between slashes. Lines may be broken anywhere."""
    if len(expected) > 1 and expected.startswith("/") and expected.endswith("/"):
        return re.search(expected[1:-1], log) is not None
    return expected in log


def differences(step: Step, seen: Observed) -> list[str]:
    """Say what is not as it should be, one line each; empty when all is."""
    found = [*_of_exit(step, seen), *_of_status(step, seen), *_of_log(step, seen), *_of_meanwhile(step, seen)]
    return [*found, *_of_every_run(step, seen)]


def _of_exit(step: Step, seen: Observed) -> Iterator[str]:
    if seen.exit_status != step.exit_status:
        yield f"exit status: {seen.exit_status}, expected {step.exit_status}"
    if step.created is not None and seen.created != step.created:
        yield f"VMIs created: {seen.created}, expected {step.created}"


def _of_status(step: Step, seen: Observed) -> Iterator[str]:
    if step.status == GONE:
        if seen.after is not None:
            yield "the ConfigMap exists, and should not"
    elif seen.after is None:
        yield "the ConfigMap is gone"
    elif step.status == UNCHANGED:
        if seen.after != seen.before:
            yield f"the ConfigMap was changed: {seen.after} instead of {seen.before}"
    elif isinstance(step.status, Mapping):
        yield from _keys("", seen.status or {}, step.status)


def _keys(where: str, status: Mapping[str, str], expected: Mapping[str, str]) -> Iterator[str]:
    for key in sorted(expected.keys() - status.keys()):
        yield f"{where}status.{key} is missing, expected {expected[key]!r}"
    for key in sorted(status.keys() - expected.keys()):
        yield f"{where}status.{key} is {_short(status[key])}, and should not be there"
    for key in sorted(expected.keys() & status.keys()):
        if not fits(status[key], expected[key]):
            yield f"{where}status.{key} is {_short(status[key])}, expected {expected[key]!r}"


def _of_log(step: Step, seen: Observed) -> Iterator[str]:
    for text in step.log:
        if not is_in(seen.log, text):
            yield f"the log lacks {text!r}"
    for text in step.log_lacks:
        if is_in(seen.log, text):
            yield f"the log has {text!r}, and should not"


def _of_meanwhile(step: Step, seen: Observed) -> Iterator[str]:
    meanwhile = step.meanwhile
    if meanwhile is None:
        return
    look = seen.meanwhile
    if look is None:
        yield f"it was never so that VMIs {meanwhile.when}"
        return
    if meanwhile.status is not None:
        yield from _keys(f"when VMIs {meanwhile.when}: ", look.status, meanwhile.status)
    if meanwhile.owner is not None and look.owners != {meanwhile.owner}:
        yield f"owners of the VMIs: {sorted(look.owners)}, expected {meanwhile.owner}"
    if meanwhile.within_seconds is not None:
        took = seen.status_seconds
        if took is None or took > meanwhile.within_seconds:
            yield f"the status was written after {took} s, expected within {meanwhile.within_seconds} s"


def _of_every_run(step: Step, seen: Observed) -> Iterator[str]:
    """What holds whatever the case is."""
    status = seen.status or {}
    has_succeeded = status.get("succeeded") == "true"
    if step.status != UNCHANGED and has_succeeded != (seen.exit_status == 0):
        yield f"exit status {seen.exit_status} with status.succeeded {status.get('succeeded')!r}"
    if step.status == UNCHANGED and seen.exit_status == 0:
        yield "exit status 0 of a run that reported nothing"
    if seen.after is not None and seen.before is not None and _foreign(seen.after) != _foreign(seen.before):
        yield f"foreign parts were changed: {_foreign(seen.after)} instead of {_foreign(seen.before)}"
    if seen.left:
        yield f"VMIs were left: {', '.join(seen.left)}"
    if seen.created_before_start:
        yield "a VMI was created before the start was written"
    for wrong, name in (("\x1b", "an escape code"), ("\r", "a carriage return"), ("\x08", "a backspace")):
        if wrong in seen.log:
            yield f"the log has {name}: {seen.log[max(0, seen.log.index(wrong) - 60) :][:120]!r}"
    for wrong in ("Traceback (most recent call last)", "INTERNALERROR"):
        if wrong in seen.log:
            yield f"the log has {wrong!r}"
    reason = status.get("failureReason", "")
    first = reason.split("; ")[0]
    if seen.is_written and first and first not in seen.log:
        yield f"the log lacks the reason {_short(first)}"
    if seen.is_written and "completionTimestamp" in status:
        line = f'status.succeeded "{status["succeeded"]}"'
        if line not in seen.log:
            yield f"the log lacks {line!r}"


def _foreign(configmap: Mapping[str, object]) -> dict[str, object]:
    """All of a ConfigMap that is not the checkup's."""
    data = configmap.get("data") or {}
    assert isinstance(data, Mapping)
    metadata = configmap.get("metadata") or {}
    assert isinstance(metadata, Mapping)
    return {
        "data": {key: data[key] for key in data if not key.startswith("status.")},
        "binaryData": configmap.get("binaryData"),
        "immutable": configmap.get("immutable"),
        "labels": metadata.get("labels"),
        "annotations": metadata.get("annotations"),
        "uid": metadata.get("uid"),
    }


def _short(text: str) -> str:
    return repr(text) if len(text) < 500 else f"{text[:500]!r}… ({len(text)} characters)"
