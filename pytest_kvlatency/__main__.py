"""``python -m pytest_kvlatency [pytest's arguments]``: the plugin's own check and nothing else."""

from __future__ import annotations

import os
import sys

import pytest

from pytest_kvlatency.check import only


def main(arguments: list[str] | None = None) -> int:
    """Run the own check; the exit status is pytest's.

    Whatever lies in the working directory is left alone: no conftest file, no ini file (unless one is named by
    ``-c``), no test module.
    """
    given = sys.argv[1:] if arguments is None else arguments
    isolation = ["-p", only.NAME, "--noconftest", "--rootdir", os.curdir]
    if not any(one == "-c" or one.startswith(("-c=", "--config-file")) for one in given):
        isolation += ["-c", os.devnull]
    return int(pytest.main([*isolation, *given]))


if __name__ == "__main__":
    sys.exit(main())
