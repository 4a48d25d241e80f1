"""The document as a JSON file (``--kv-json``)."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.errors import KvLatencyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.errors import FailureKind, Stage


class ReportError(KvLatencyError):
    """A report could not be written; the reason names its path and why."""

    kind: FailureKind = "teardown"
    stage: Stage = "teardown"


def write(document: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write ``document`` to ``path``, whole or not at all: readers never see half of it. Makes missing folders.

    Raises ``ReportError``.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_file():
            # A pipe or a device (/dev/stdout) cannot be replaced, only written to.
            with target.open("w", encoding="utf-8") as stream:
                stream.write(dumps(document))
        else:
            _replace(target, dumps(document))
    except OSError as error:
        raise ReportError(
            f"cannot write the JSON report to {target}: {error.strerror or error}",
            hint="choose another --kv-json PATH",
        ) from error


def dumps(document: Mapping[str, Any]) -> str:
    """JSON text, in pure ASCII: no encoding and no terminal can spoil it."""
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _replace(target: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
