"""The columns of numbers in pytest-html's table (4.x): their heads, and the cells of rows that have no numbers.

Every run that writes such a table loads this, also where no test has to do with VMs. The cells with numbers are made
where the numbers are, and lie on the reports of the items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

if TYPE_CHECKING:
    import pytest

#: The attribute of a report that holds the cells of its row: see ``Cells``.
CELLS: Final = "kvlatency_cells"
#: How pytest-html's cell of the test's id begins.
ID_CELL: Final = '<td class="col-testId">'
#: Key and title of each column of numbers, and the name of the number in an entry.
COLUMNS: Final = (
    ("kvLoss", "Loss %", "lossPercent"),
    ("kvMin", "Min ms", "minLatencyNanoSec"),
    ("kvAvg", "Avg ms", "avgLatencyNanoSec"),
    ("kvP50", "p50 ms", "p50LatencyNanoSec"),
    ("kvP99", "p99 ms", "p99LatencyNanoSec"),
    ("kvMax", "Max ms", "maxLatencyNanoSec"),
    ("kvGap", "Gap ms", "longestGap"),
)
# The header is made before anything is collected: the columns stay hidden until a row brings numbers.
_HIDE: Final = "<style>.kv-col{display:none}</style>"
_EMPTY: Final = '<td class="kv-col"></td>'


class Cells(TypedDict):
    """Cells of one row: the one of the test's id in place of pytest-html's, and those of our columns."""

    id: str
    columns: list[str]


class HtmlColumns:
    """The plugin that adds the columns to pytest-html's table; for runs that write one."""

    def pytest_html_results_table_header(self, cells: list[str]) -> None:
        """Add the columns' heads before the links."""
        new = [f'<th class="kv-col">{_HIDE}Nodes</th>', '<th class="kv-col">Cause</th>']
        new += [
            f'<th class="kv-col sortable" data-column-type="{key}">{title}</th>' for key, title, _ in COLUMNS
        ]
        _insert(new, cells)

    def pytest_html_results_table_row(
        self, report: pytest.TestReport | pytest.CollectReport, cells: list[str]
    ) -> None:
        """Add the numbers of one item; empty cells for items of others."""
        if not cells:
            return
        filled: Cells | None = getattr(report, CELLS, None)
        if filled is None:
            _insert([_EMPTY] * (2 + len(COLUMNS)), cells)
            return
        cells[:] = [filled["id"] if str(cell).startswith(ID_CELL) else cell for cell in cells]
        _insert(filled["columns"], cells)


def _insert(new: list[str], cells: list[str]) -> None:
    """Before the last column, which holds the links; at the end where another plugin took it out."""
    place = max(0, len(cells) - 1)
    cells[place:] = [*new, *cells[place:]]
