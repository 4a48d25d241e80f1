"""With ``-v``, the numbers of a measurement beside the word for how its test ended: ``PASSED 0.62/0.74 ms``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

#: Where a report has the numbers. They come from another process with it, where pytest-xdist distributes tests.
NUMBERS: Final = "kvlatency_numbers"


class StatusWords:
    """Adds to the words of reports that have numbers, in the line of each test; the summary's lines stay as they were.

    Whatever other plugins make of a report stands: categories, which are counted, letters and colours.
    """

    def __init__(self) -> None:
        self._is_over = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Leave the words of the short summary alone: programs read ``FAILED NODEID`` there."""
        self._is_over = True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_report_teststatus(self, report: object) -> Generator[None, Any, Any]:
        """Put the numbers behind the word."""
        status = yield
        numbers = getattr(report, NUMBERS, "")
        if not numbers or self._is_over or not isinstance(status, tuple) or len(status) != 3:
            return status
        category, letter, word = status
        # The word alone, or with its colours.
        said, *colours = word if isinstance(word, tuple) else (word,)
        if not said:
            return status
        said = f"{said} {numbers}"
        return category, letter, (said, *colours) if colours else said
