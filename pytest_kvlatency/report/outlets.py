"""Where pytest itself puts values into words: its debug log, and the stacks of an interrupt or an internal error.

Reports of tests are redacted where they are made; these come on other ways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kvlatency.escape import Redactor


class Outlets:
    """A plugin that takes the cluster's credentials out of them."""

    def __init__(self, config: pytest.Config, redactor: Callable[[], Redactor]) -> None:
        self._redactor = redactor
        if getattr(config.option, "debug", None):
            self._guard_debug_log(config)

    def _guard_debug_log(self, config: pytest.Config) -> None:
        # pytest has set it before any plugin is configured, and has no public way to it.
        tracer = config.trace.root
        write: Callable[[str], object] | None = getattr(tracer, "_writer", None)
        if write is not None:
            tracer.setwriter(lambda text: write(self._redactor()(text)))

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Guard the stack that ``--full-trace`` shows."""
        original = excinfo.getrepr

        def getrepr(*arguments: Any, **options: Any) -> Any:
            words = original(*arguments, **options)
            self.pytest_internalerror(words)
            return words

        excinfo.getrepr = getrepr  # type: ignore[method-assign]

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excrepr: Any) -> None:
        """Guard a stack in words."""
        text = str(excrepr)
        redacted = self._redactor()(text)
        if redacted == text:
            return

        def toterminal(tw: Any) -> None:
            for line in redacted.splitlines():
                tw.line(line)

        excrepr.toterminal = toterminal
