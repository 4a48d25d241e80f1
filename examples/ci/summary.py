"""Turn the JSON document of ``--kv-json`` into a table in Markdown, for a CI job's summary: summary.py FILE.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def milliseconds(nanoseconds: int | None) -> str:
    """A latency as it is shown; what was not measured stays empty."""
    return "" if nanoseconds is None else f"{nanoseconds / 1e6:.3f}"


def cell(text: object) -> str:
    """Text that cannot end its cell, nor become markup."""
    shown = " ".join(str("" if text is None else text).split())
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;").replace("`", "&#96;")


def row(one: dict[str, Any]) -> str:
    """One measurement as a row of the table."""
    cells = (
        one["nad"],
        f"{one['sourceNode'] or '?'} → {one['targetNode'] or '?'}",
        "" if one["lossPercent"] is None else f"{one['lossPercent']:g}%",
        milliseconds(one["avgLatencyNanoSec"]),
        milliseconds(one["maxLatencyNanoSec"]),
        "ok" if one["succeeded"] else one["failureReason"] or one["outcome"],
    )
    return "| " + " | ".join(map(cell, cells)) + " |"


def main(path: str) -> None:
    """Print the table."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError:
        print(f"The check left no document ({path}): see the log.")
        return
    print("### The network holds" if document["succeeded"] else "### The network was not shown to hold")
    print()
    print("| network | nodes | loss | avg ms | max ms | verdict |")
    print("| --- | --- | --- | --- | --- | --- |")
    for one in document["measurements"]:
        print(row(one))
    if document["failureReason"]:
        print()
        print(cell(document["failureReason"]))


if __name__ == "__main__":
    main(sys.argv[1])
