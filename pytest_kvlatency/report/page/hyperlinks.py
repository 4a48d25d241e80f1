"""Paths as links of a page."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote


def link(path: str | None, folder: Path | None) -> str | None:
    """A path as a link that no script can be: from the page's folder, where that is known."""
    if path is None:
        return None
    if folder is not None:
        try:
            path = os.path.relpath(Path(path).absolute(), folder)
        except ValueError:
            # Another drive: the whole path.
            path = str(Path(path).absolute())
    posix = "/" + path.lstrip("/") if path.startswith("/") else path
    return quote(posix.replace(os.sep, "/").encode("utf-8", "backslashreplace"))
