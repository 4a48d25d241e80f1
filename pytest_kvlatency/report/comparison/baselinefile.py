"""The file of a baseline: read, and refused where it is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.report import json
from pytest_kvlatency.report.comparison.baseline import Baseline, Key, key_of
from pytest_kvlatency.report.schema.shape import flaw
from pytest_kvlatency.report.success import last_attempts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Entry = Mapping[str, Any]


def read(path: Path) -> Baseline:
    """Read the document. Raises ``ConfigError``, whose reason says why the file is no baseline."""
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError("is not JSON: expected the document of an earlier run (--kv-json)") from error
    wrong = flaw(document)
    if wrong:
        raise ConfigError(wrong)
    entries: dict[Key, Entry] = {}
    for entry in last_attempts(document["measurements"]):
        if "guest" not in entry:
            raise ConfigError(
                "was written by an older version, which did not say with which guests it measured. "
                "Run the check again with --kv-json for a new baseline"
            )
        key = key_of(entry)
        if key is not None and entry["samplesNanoSec"]:
            entries[key] = entry
    if not entries:
        raise ConfigError("has no measurement with round-trip times to compare with")
    cluster = document.get("cluster") or {}
    return Baseline(file=str(path), start=document["startTimestamp"], lab=cluster.get("lab"), entries=entries)
