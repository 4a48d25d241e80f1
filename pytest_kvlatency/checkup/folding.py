"""Failures of one cause as one block at the end of the terminal's report; every other report has each in full."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_kvlatency.escape import printable
from pytest_kvlatency.report.causes import numbers_by_test
from pytest_kvlatency.report.failure import WORDED, CrashLine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_kvlatency.checkup.results import Results
    from pytest_kvlatency.report.terminal.writer import Writer

_KINDS: Final = ("error", "failed")
#: What failed in its call has numbers and a transcript of its own: so many of one cause are all shown.
_FEW: Final = 3
#: So many tests are named of those that are like the one that is shown.
_MOST_NAMED: Final = 5


class FoldedRepr:
    """The text of one failure, and of which other tests it is the text too."""

    def __init__(self, shown: pytest.TestReport, others: Sequence[pytest.TestReport]) -> None:
        self._shown = shown
        self._others = [printable(one.nodeid) for one in others]
        crash = getattr(shown.longrepr, "reprcrash", None)
        message = str(shown.longrepr).partition("\n")[0] if crash is None else crash.message
        self.reprcrash = CrashLine(message=f"{1 + len(others)} alike: {message}")

    def toterminal(self, tw: Writer) -> None:
        """Write the failure as it is alone, and the other tests below."""
        # ``getattr``: of a worker the text is all there is.
        words: Any = self._shown.longrepr
        if hasattr(words, "toterminal"):
            words.toterminal(tw)
        else:
            tw.line(str(words))
        tw.line()
        tw.line(f"the same for {len(self._others)} more:")
        for name in self._others[:_MOST_NAMED]:
            tw.line(f"  {name}")
        if len(self._others) > _MOST_NAMED:
            tw.line(f"  and {len(self._others) - _MOST_NAMED} more (-v shows each)")

    def __str__(self) -> str:
        return str(self._shown.longrepr)


class Folding:
    """A plugin that has the terminal's reporter show one failure of each cause, unless the run is verbose."""

    def __init__(self, config: pytest.Config, results: Results) -> None:
        self._config = config
        self._results = results

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: object) -> Iterator[None]:
        """Fold before the reporter writes anything, and give it all of its reports back for its counts."""
        stats: dict[str, list[Any]] | None = getattr(terminalreporter, "stats", None)
        document = self._results.document
        if not isinstance(stats, dict) or document is None or self._config.get_verbosity() > 0:
            return (yield)
        before: dict[str, list[Any]] = {kind: stats[kind] for kind in _KINDS if kind in stats}
        of_test = {nodeid: numbers[-1] for nodeid, numbers in numbers_by_test(document).items()}
        stats |= {kind: folded(reports, of_test) for kind, reports in before.items()}
        try:
            return (yield)
        finally:
            stats.update(before)


def folded(reports: Sequence[Any], of_test: Mapping[str, int]) -> list[Any]:
    """One report for all of one cause and phase, in the place of the first; the rest as they are."""
    groups: dict[tuple[int, str], list[Any]] = {}
    for one in reports:
        key = _key(one, of_test)
        if key is not None:
            groups.setdefault(key, []).append(one)
    kept: list[Any] = []
    for one in reports:
        key = _key(one, of_test)
        group = [one] if key is None else groups[key]
        if len(group) <= (_FEW if one.when == "call" else 1):
            kept.append(one)
        elif one is group[0]:
            kept.append(_with_others(one, group[1:]))
    return kept


def _key(report: Any, of_test: Mapping[str, int]) -> tuple[int, str] | None:
    """The cause and the phase of a failure that the plugin has worded; None for any other."""
    if not getattr(report, WORDED, False) or report.nodeid not in of_test:
        return None
    return of_test[report.nodeid], report.when


def _with_others(report: pytest.TestReport, others: Sequence[pytest.TestReport]) -> pytest.TestReport:
    shown = copy.copy(report)
    shown.longrepr = FoldedRepr(report, others)  # type: ignore[assignment]
    return shown
