"""The record of requests: one JSON object a line. It never holds a credential."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.apiserver.registry import timestamp

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_kvlatency.lab.apiserver.reqinfo import RequestInfo


class AuditLog:
    """Appends to a file, each line at once and whole."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def record(
        self,
        info: RequestInfo,
        *,
        user: str | None,
        code: int,
        at: float,
        impersonator: str | None = None,
        dry_run: bool = False,
    ) -> None:
        """Note a request; ``code`` 0 means that the connection ended without an answer.

        ``impersonator`` is who acted as ``user``.
        """
        line = {
            "time": timestamp(at)[:-1] + f".{int(at % 1 * 1000):03d}Z",
            "user": user,
            "verb": info.verb,
            "apiGroup": info.group if info.resource else None,
            "resource": info.resource or None,
            "subresource": info.subresource or None,
            "namespace": info.namespace or None,
            "name": info.name or None,
            "code": code,
        }
        if impersonator is not None:
            line["impersonatedBy"] = impersonator
        if dry_run:
            line["dryRun"] = True
        if not info.resource:
            line["path"] = info.path
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
