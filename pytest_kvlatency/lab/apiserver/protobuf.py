r"""Kubernetes' protobuf bodies, for the few kinds that ``kubectl create`` and ``kubectl auth`` send that way.

A body is the magic ``k8s\0`` and a ``runtime.Unknown``: 1 a TypeMeta (1 apiVersion, 2 kind), 2 the object. The
field numbers are those of the ``generated.proto`` files of k8s.io/api and k8s.io/apimachinery. Answers are
always JSON, which those clients accept.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"

#: Message -> field number -> (JSON name, type). Types: ``s`` string, ``b`` bytes, ``i`` integer, ``?`` boolean,
#: ``-`` dropped, a message's name; ``*`` before a type: repeated; ``%s``, ``%b``: a map of strings or bytes.
_MESSAGES: dict[str, dict[int, tuple[str, str]]] = {
    "Meta": {
        1: ("name", "s"),
        2: ("generateName", "s"),
        3: ("namespace", "s"),
        4: ("selfLink", "-"),
        5: ("uid", "s"),
        6: ("resourceVersion", "s"),
        7: ("generation", "-"),
        8: ("creationTimestamp", "-"),
        9: ("deletionTimestamp", "-"),
        10: ("deletionGracePeriodSeconds", "-"),
        11: ("labels", "%s"),
        12: ("annotations", "%s"),
        13: ("ownerReferences", "*Owner"),
        14: ("finalizers", "*s"),
        17: ("managedFields", "-"),
    },
    "Owner": {
        1: ("kind", "s"),
        3: ("name", "s"),
        4: ("uid", "s"),
        5: ("apiVersion", "s"),
        6: ("controller", "?"),
        7: ("blockOwnerDeletion", "?"),
    },
    "DeleteOptions": {
        1: ("gracePeriodSeconds", "i"),
        2: ("preconditions", "Preconditions"),
        3: ("orphanDependents", "?"),
        4: ("propagationPolicy", "s"),
        5: ("dryRun", "*s"),
    },
    "Preconditions": {1: ("uid", "s"), 2: ("resourceVersion", "s")},
    "Namespace": {1: ("metadata", "Meta"), 2: ("spec", "-"), 3: ("status", "-")},
    "ConfigMap": {1: ("metadata", "Meta"), 2: ("data", "%s"), 3: ("binaryData", "%b"), 4: ("immutable", "?")},
    "Secret": {
        1: ("metadata", "Meta"),
        2: ("data", "%b"),
        3: ("type", "s"),
        4: ("stringData", "%s"),
        5: ("immutable", "?"),
    },
    "ServiceAccount": {
        1: ("metadata", "Meta"),
        3: ("imagePullSecrets", "*LocalReference"),
        4: ("automountServiceAccountToken", "?"),
    },
    "LocalReference": {1: ("name", "s")},
    "Role": {1: ("metadata", "Meta"), 2: ("rules", "*Rule")},
    "ClusterRole": {1: ("metadata", "Meta"), 2: ("rules", "*Rule")},
    "Rule": {
        1: ("verbs", "*s"),
        2: ("apiGroups", "*s"),
        3: ("resources", "*s"),
        4: ("resourceNames", "*s"),
        5: ("nonResourceURLs", "*s"),
    },
    "RoleBinding": {1: ("metadata", "Meta"), 2: ("subjects", "*Subject"), 3: ("roleRef", "RoleRef")},
    "ClusterRoleBinding": {1: ("metadata", "Meta"), 2: ("subjects", "*Subject"), 3: ("roleRef", "RoleRef")},
    "Subject": {1: ("kind", "s"), 2: ("apiGroup", "s"), 3: ("name", "s"), 4: ("namespace", "s")},
    "RoleRef": {1: ("apiGroup", "s"), 2: ("kind", "s"), 3: ("name", "s")},
    "TokenRequest": {1: ("metadata", "Meta"), 2: ("spec", "TokenSpec"), 3: ("status", "-")},
    "TokenSpec": {1: ("audiences", "*s"), 3: ("boundObjectRef", "Bound"), 4: ("expirationSeconds", "i")},
    "Bound": {1: ("kind", "s"), 2: ("apiVersion", "s"), 3: ("name", "s"), 4: ("uid", "s")},
    "TokenReview": {1: ("metadata", "Meta"), 2: ("spec", "TokenReviewSpec"), 3: ("status", "-")},
    "TokenReviewSpec": {1: ("token", "s"), 2: ("audiences", "*s")},
    "SelfSubjectReview": {1: ("metadata", "Meta"), 2: ("status", "-")},
    "SelfSubjectAccessReview": {1: ("metadata", "Meta"), 2: ("spec", "AccessSpec"), 3: ("status", "-")},
    "SubjectAccessReview": {1: ("metadata", "Meta"), 2: ("spec", "AccessSpec"), 3: ("status", "-")},
    "LocalSubjectAccessReview": {1: ("metadata", "Meta"), 2: ("spec", "AccessSpec"), 3: ("status", "-")},
    "SelfSubjectRulesReview": {1: ("metadata", "Meta"), 2: ("spec", "RulesSpec"), 3: ("status", "-")},
    "RulesSpec": {1: ("namespace", "s")},
    "AccessSpec": {
        1: ("resourceAttributes", "ResourceAttributes"),
        2: ("nonResourceAttributes", "PathAttributes"),
        3: ("user", "s"),
        4: ("groups", "*s"),
        6: ("uid", "s"),
    },
    "ResourceAttributes": {
        1: ("namespace", "s"),
        2: ("verb", "s"),
        3: ("group", "s"),
        4: ("version", "s"),
        5: ("resource", "s"),
        6: ("subresource", "s"),
        7: ("name", "s"),
    },
    "PathAttributes": {1: ("path", "s"), 2: ("verb", "s")},
    "Job": {1: ("metadata", "Meta"), 2: ("spec", "JobSpec"), 3: ("status", "-")},
    "JobSpec": {
        1: ("parallelism", "i"),
        2: ("completions", "i"),
        3: ("activeDeadlineSeconds", "i"),
        6: ("template", "PodTemplate"),
        7: ("backoffLimit", "i"),
        8: ("ttlSecondsAfterFinished", "i"),
    },
    "PodTemplate": {1: ("metadata", "Meta"), 2: ("spec", "PodSpec")},
    "PodSpec": {
        2: ("containers", "*Container"),
        3: ("restartPolicy", "s"),
        4: ("terminationGracePeriodSeconds", "i"),
        6: ("dnsPolicy", "s"),
        8: ("serviceAccountName", "s"),
        9: ("serviceAccount", "s"),
        10: ("nodeName", "s"),
        11: ("hostNetwork", "?"),
        12: ("hostPID", "?"),
        13: ("hostIPC", "?"),
        16: ("hostname", "s"),
        17: ("subdomain", "s"),
        19: ("schedulerName", "s"),
        24: ("priorityClassName", "s"),
    },
    "Container": {
        1: ("name", "s"),
        2: ("image", "s"),
        3: ("command", "*s"),
        4: ("args", "*s"),
        5: ("workingDir", "s"),
        8: ("resources", "-"),
        13: ("terminationMessagePath", "s"),
        14: ("imagePullPolicy", "s"),
        16: ("stdin", "?"),
        17: ("stdinOnce", "?"),
        18: ("tty", "?"),
        20: ("terminationMessagePolicy", "s"),
    },
}


class UnsupportedBodyError(ValueError):
    """The body holds a kind or a field that is not known here."""


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield each field's number and its integer or bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag & 7 == 0:
            number, at = _varint(data, at)
            yield tag >> 3, number
        elif tag & 7 == 2:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise IndexError("a field is longer than its message")
            yield tag >> 3, data[at : at + length]
            at += length
        else:
            raise UnsupportedBodyError(f"wire type {tag & 7}")


def _scalar(kind: str, value: int | bytes) -> Any:
    if isinstance(value, int):
        if kind == "?":
            return bool(value)
        return value - (1 << 64) if value >= 1 << 63 else value
    if kind == "s":
        return value.decode()
    return base64.b64encode(value).decode() if kind == "b" else _message(kind, value)


def _message(name: str, data: bytes) -> dict[str, Any]:
    """Decode a message; empty strings and messages are left out, as they are in JSON."""
    known = _MESSAGES[name]
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        if number not in known:
            raise UnsupportedBodyError(f"field {number} of {name}")
        key, kind = known[number]
        if kind == "-":
            continue
        if kind.startswith("%"):
            entry = dict(_fields(value)) if isinstance(value, bytes) else {}
            entries = found.setdefault(key, {})
            entries[_scalar("s", entry.get(1, b""))] = _scalar(kind[1:], entry.get(2, b""))
        elif kind.startswith("*"):
            found.setdefault(key, []).append(_scalar(kind[1:], value))
        else:
            decoded = _scalar(kind, value)
            if decoded not in ("", {}):
                found[key] = decoded
    return found


def decode(raw: bytes) -> dict[str, Any]:
    """Return the object. Raises ``UnsupportedBodyError`` where it cannot be decoded faithfully."""
    if not raw.startswith(_MAGIC):
        raise UnsupportedBodyError("not Kubernetes' envelope")
    try:
        envelope = dict(_fields(raw[len(_MAGIC) :]))
        meta = dict(_fields(_bytes(envelope.get(1, b""))))
        kind = _bytes(meta.get(2, b"")).decode()
        if kind not in _MESSAGES or not kind[:1].isupper():
            raise UnsupportedBodyError(f"kind {kind!r}")
        body = _message(kind, _bytes(envelope.get(2, b"")))
    except (IndexError, UnicodeDecodeError) as error:
        raise UnsupportedBodyError(f"malformed: {error}") from error
    return {"apiVersion": _bytes(meta.get(1, b"")).decode(), "kind": kind, **body}


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise UnsupportedBodyError("a number where a message is expected")
    return value
