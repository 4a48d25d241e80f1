"""``python -m pytest_kvlatency [pytest's arguments]``: the plugin's own check and nothing else.

Or ``merge FILE.json …``, which makes one document of those of the shards.
"""

from __future__ import annotations

import sys

from pytest_kvlatency.check import only
from pytest_kvlatency.signals import end_as_first_process


def main(arguments: list[str] | None = None) -> int:
    """Run the own check; the exit status is pytest's. Whatever lies in the working directory is left alone."""
    end_as_first_process()
    import pytest  # noqa: PLC0415 - takes its time, in which the process may be told to end

    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["merge"]:
        from pytest_kvlatency import merge_command  # noqa: PLC0415 - pytest's own run needs none of it

        return merge_command.main(given[1:])
    return int(pytest.main(only.isolated(given)))


if __name__ == "__main__":
    sys.exit(main())
