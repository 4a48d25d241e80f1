"""The own check as its users start it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def checkup(directory, lab, *arguments):
    """Run the own check in a directory against a lab of this specification."""
    (directory / "lab.yaml").write_text(lab, encoding="utf-8")
    given = ["-p", "no:cacheprovider", "--kv-lab=lab.yaml", "--kv-nad", "default/blue-network", *arguments]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest_kvlatency", *given],
        cwd=directory,
        env={**inherited, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
