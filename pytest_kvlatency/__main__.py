"""``python -m pytest_kvlatency [pytest's arguments]``: the plugin's own check and nothing else.

Or ``report DOC.json …``, which makes reports from the documents of earlier runs; or ``schema``, which prints the JSON
Schema of documents.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from pytest_kvlatency.checkup import own_run as only
from pytest_kvlatency.checkup.signals import end_as_first_process


def main(arguments: list[str] | None = None) -> int:
    """Run the own check; the exit status is pytest's. Of the working directory only ``kv_*`` settings count."""
    end_as_first_process()
    if arguments is None:
        _look_for_modules_elsewhere()
        _load_pytest()
    import pytest

    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["report"]:
        from pytest_kvlatency.report.command import entrypoint as report_command

        return report_command.main(given[1:])
    if given == ["schema"]:
        from pytest_kvlatency.report import schema

        sys.stdout.write(schema.text())
        return 0
    return int(pytest.main(only.isolated(given)))


def _look_for_modules_elsewhere() -> None:
    """Take the working directory, which ``python -m`` puts first, from where modules are looked for.

    A ``kubernetes.py`` that lies there is not the one that is meant. The package itself may have come from there.
    """
    if sys.path[:1] != [str(Path.cwd())] or getattr(sys.flags, "safe_path", False):
        return
    del sys.path[0]
    package_root = str(Path(__file__).resolve().parents[1])
    if package_root not in sys.path:
        sys.path.append(package_root)


def _load_pytest() -> None:
    """Load pytest without looking for garbage meanwhile, nor ever again in what was loaded: it stays to the end."""
    gc.disable()
    import pytest  # noqa: F401

    gc.freeze()
    gc.enable()


if __name__ == "__main__":
    sys.exit(main())
