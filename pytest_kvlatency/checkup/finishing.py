"""How other plugins end the session: each by itself, so that one that fails keeps no other from its part.

Within one call of a hook pytest leaves out whatever comes after an exception: a JUnit file that cannot be written would
cost the HTML report and the table of the terminal.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from _pytest.junitxml import xml_key

from pytest_kvlatency.report.files import ReportError, unwritten

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FINISHING_KEY: Final = pytest.StashKey["Finishing"]()
#: The package that writes the HTML report.
HTML: Final = "pytest_html"


class Finishing:
    """Keeps what went wrong in other plugins: the reports that could not be written, and any other exception."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._unwritten: list[ReportError] = []
        self._errors: list[Exception] = []

    def guard_configuration(self) -> None:
        """Have a run without its HTML report, where pytest-html cannot even prepare that, rather than no run."""
        for one in self._config.hook.pytest_configure.get_hookimpls():
            if _package(one.plugin) == HTML:
                self._guard(one)

    def guard_the_end(self) -> None:
        """From now on keep what implementations of ``pytest_sessionfinish`` raise."""
        for one in self._config.hook.pytest_sessionfinish.get_hookimpls():
            if not (one.wrapper or one.hookwrapper):
                self._guard(one)

    def take_unwritten(self) -> list[ReportError]:
        """Return the reports that could not be written; each once."""
        found, self._unwritten = self._unwritten, []
        return found

    def raise_first(self) -> None:
        """Raise what another plugin raised, unless it was only a report that could not be written."""
        if self._errors:
            raise self._errors[0]

    def _guard(self, one: Any) -> None:
        # Pluggy has no public way to it. The implementation belongs to this one run.
        one.function = self._guarded(one.plugin, one.function)

    def _guarded(self, plugin: object, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is raised again when all have had their turn
                report = self._report_of(plugin)
                if report is not None:
                    name, option, path = report
                    self._unwritten.append(unwritten(Path(path), error, name=name, option=option))
                    self._silence(plugin)
                if report is None or not isinstance(error, OSError):
                    self._errors.append(error)
                return None

        return call

    def _report_of(self, plugin: object) -> tuple[str, str, str] | None:
        """Name, option and path of the report that a plugin writes; None of one that writes none."""
        if plugin is self._config.stash.get(xml_key, None):
            return "JUnit", "--junitxml", str(self._config.option.xmlpath)
        if _package(plugin) == HTML:
            return "HTML", "--html", str(self._config.option.htmlpath)
        return None

    def _silence(self, plugin: object) -> None:
        """Have a plugin not say that it has written its report."""
        saying: Sequence[Any] = self._config.hook.pytest_terminal_summary.get_hookimpls()
        for one in saying:
            if one.plugin is plugin:
                one.function = lambda *_: None


class Early:
    """Comes first when plugins are configured; a plugin of its own, for this package's other hooks come in order."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Guard pytest-html's configuration in runs that give an option of this plugin; of others it says nothing."""
        finishing = config.stash[FINISHING_KEY] = Finishing(config)
        if any(str(one).startswith("--kv-") for one in config.invocation_params.args):
            finishing.guard_configuration()


def _package(plugin: object) -> str:
    """The package that a plugin comes from, be it a module or an object."""
    name = getattr(plugin, "__name__", None) or type(plugin).__module__
    return str(name).partition(".")[0]
