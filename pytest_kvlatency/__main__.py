"""``python -m pytest_kvlatency [pytest's arguments]``: the plugin's own check and nothing else."""

from __future__ import annotations

import sys

import pytest

from pytest_kvlatency.check import only


def main(arguments: list[str] | None = None) -> int:
    """Run the own check; the exit status is pytest's. Whatever lies in the working directory is left alone."""
    given = sys.argv[1:] if arguments is None else arguments
    return int(pytest.main(only.isolated(given)))


if __name__ == "__main__":
    sys.exit(main())
