"""Certificates and keys as files, for the ``ssl`` module loads them from nowhere else."""

from __future__ import annotations

import atexit
import base64
import binascii
import os
import shutil
import ssl
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_kvlatency.kube.configentry import Entry

_LOCK: Final = threading.Lock()
_FILES: Final[dict[str, Path]] = {}


def file_of(entry: Entry, name: str) -> str | None:
    """The file of a field that is a path, or is given as data in ``NAME-data``, which wins. Raises ``ConfigError``."""
    data = entry.text(f"{name}-data")
    if data:
        try:
            return written(base64.b64decode(data, validate=False).decode())
        except (binascii.Error, UnicodeDecodeError):
            raise entry.wrong(f"{name}-data", "is not a base64-encoded PEM file") from None
    path = entry.text(name)
    if not path:
        return None
    found = entry.directory / path
    if not found.is_file():
        raise entry.wrong(name, "names a file that does not exist")
    return str(found)


def written(text: str) -> str:
    """Keep a text in a private file until the process ends; return its path."""
    with _LOCK:
        known = _FILES.get(text)
        if known is not None and known.is_file():
            return str(known)
        directory = Path(tempfile.mkdtemp(prefix="kvlatency-credentials-"))
        atexit.register(_remove, directory, os.getpid())
        path = _FILES[text] = directory / "file.pem"
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        return str(path)


def check_authority(entry: Entry, name: str, path: str) -> None:
    """Raise ``ConfigError`` for what is no certificate authority."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError, ValueError):
        raise entry.wrong(name, "is not a PEM certificate") from None


def check_pair(certificate: str, key: str) -> str:
    """Say what is wrong with a certificate and its key; empty when they fit."""

    def refuse() -> str:
        raise ValueError

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password=refuse)
    except ValueError:
        return "has an encrypted key"
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return "does not belong to its key"
        return "is not a PEM certificate, or its key is not a PEM key"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def _remove(directory: Path, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(directory, ignore_errors=True)
