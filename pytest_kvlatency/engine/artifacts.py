"""Files that help to understand a failure (``--kv-artifacts``): transcripts, VMI objects, events, boot logs."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from pytest_kvlatency.escape import Redactor, harmless

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_kvlatency.kube.evidence import Evidence

CONSOLE = "console.log"


class Artifacts:
    """Writes below one directory, a folder for each VMI; nothing without a directory. Thread-safe.

    What a guest printed is written whole, with its terminal sequences as escapes: ``cat`` commands no terminal.
    What cannot be written is in ``problems``: the run goes on, and says so at its end.
    """

    def __init__(self, directory: Path | None, redactor: Callable[[], Redactor] = Redactor) -> None:
        self.directory = directory
        self._redactor = redactor
        self.problems: list[str] = []
        self._lock = threading.Lock()

    def keep(self, vmi_name: str, *, evidence: Evidence | None = None, transcript: str = "") -> Path | None:
        """Write what is known of a VMI; return its folder."""
        if self.directory is None:
            return None
        folder = self.directory / vmi_name
        texts = {CONSOLE: transcript}
        if evidence is not None:
            texts["vmi.json"] = _json(evidence.vmi)
            texts["pod.json"] = _json(evidence.pod)
            texts["events.json"] = _json(None if evidence.events is None else list(evidence.events))
            texts["boot.log"] = evidence.console_log or ""
        redact = self._redactor()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in texts.items():
                if text:
                    (folder / name).write_text(harmless(redact(text)), encoding="utf-8", errors="replace")
        except OSError as error:
            with self._lock:
                self.problems.append(f"cannot write the artifacts of {vmi_name} to {folder}: {error}")
        return folder

    def transcript_file(self, vmi_name: str) -> Path | None:
        """The file that holds a VMI's console, if one was written."""
        if self.directory is None:
            return None
        file = self.directory / vmi_name / CONSOLE
        return file if file.exists() else None


def _json(value: object) -> str:
    # In ASCII, of which JSON leaves one control as it is.
    text = "" if value is None else json.dumps(value, indent=2, sort_keys=True) + "\n"
    return text.replace("\x7f", "\\u007f")
