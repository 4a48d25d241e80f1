"""A report's text to its file."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kvlatency.errors import KvLatencyError

if TYPE_CHECKING:
    from pytest_kvlatency.errors import FailureKind, Stage


class ReportError(KvLatencyError):
    """A report could not be written; the reason names its path and why."""

    kind: FailureKind = "teardown"
    stage: Stage = "teardown"


def write(text: str, path: str | os.PathLike[str], *, name: str, option: str) -> None:
    """Write the report to ``path``, whole or not at all: readers never see half of it. Makes missing folders.

    ``name`` (``JSON``) and ``option`` (``--kv-json``) are for the words of an error. Raises ``ReportError``.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_file():
            # A pipe or a device (/dev/stdout) cannot be replaced, only written to.
            with target.open("w", encoding="utf-8") as stream:
                stream.write(text)
        else:
            _replace(target, text)
    except OSError as error:
        raise unwritten(target, error, name=name, option=option) from error


def unwritten(path: Path, error: Exception, *, name: str, option: str) -> ReportError:
    """The error of a report that cannot be written."""
    return ReportError(
        f"cannot write the {name} report to {path}: {getattr(error, 'strerror', None) or error}",
        hint=f"choose another {option} PATH",
    )


def unmade(path: Path, error: Exception, *, option: str) -> ReportError:
    """The error of a report that could not even be made, which is a fault of the one who makes it."""
    return ReportError(
        f"cannot make the report {path} ({option}): {type(error).__name__}: {error}",
        hint="this is a fault of pytest-kvlatency. What --kv-json writes has all that was found out",
    )


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
