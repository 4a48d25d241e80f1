"""pytest's hooks, and nothing else: each hands over to the run's ``Checkup``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kvlatency import hookspecs
from pytest_kvlatency.checkup.checkup import CHECKUP_KEY, Checkup, checkup_of
from pytest_kvlatency.checkup.collected_first import First
from pytest_kvlatency.checkup.finishing import Early
from pytest_kvlatency.checkup.inputs import refuse_early
from pytest_kvlatency.config import marker, options
from pytest_kvlatency.fixtures import kv_check, kv_cluster, kv_latency, kv_pair, kv_ping, kv_settings
from pytest_kvlatency.report.outlets import Outlets
from pytest_kvlatency.report.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["kv_check", "kv_cluster", "kv_latency", "kv_pair", "kv_ping", "kv_settings"]


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options and their ini twins; refuse negative values before argparse takes them for options."""
    options.register(parser)
    config: pytest.Config | None = pluginmanager.get_plugin("pytestconfig")
    if config is not None:
        refuse_early(config)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the extension points."""
    pluginmanager.add_hookspecs(hookspecs)
    pluginmanager.register(Early(), "kvlatency-early")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and read the options; a wrong one ends the run here."""
    config.addinivalue_line("markers", marker.MARKER_HELP)
    checkup = config.stash[CHECKUP_KEY] = Checkup.configure(config)
    config.pluginmanager.register(First(config, _add_own_check), "kvlatency-first")
    config.pluginmanager.register(Outlets(config, checkup.access.redactor), "kvlatency-outlets")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Know what is to be ended, even where another plugin keeps this one from ``pytest_sessionfinish``."""
    checkup_of(session.config).ending.session = session


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each kvlatency test a parameter per check."""
    checkup_of(metafunc.config).collecting.parametrize(metafunc)


def _add_own_check(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Add the own check before anything is deselected, and before any other plugin looks at the items."""
    checkup = checkup_of(session.config)
    with checkup.role.refusing(), checkup.inputs.noting_refusals():
        checkup.collecting.add_own_check(session, items)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Take what survived selection as the plan."""
    checkup = checkup_of(session.config)
    with checkup.role.refusing(), checkup.inputs.noting_refusals():
        checkup.take_plan(session)


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say which values are not defaults, and where they come from."""
    return checkup_of(config).header()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Remove what killed runs left before anything is measured; or let a preflight take the place of all tests."""
    checkup = checkup_of(session.config)
    checkup.sweep_first(session)
    return checkup.run_preflight(session) or None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Measure once the item's fixtures are set up, unless one of them asked for it before."""
    checkup = checkup_of(item.config)
    with checkup.role.phase(), checkup.items.setting_up(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Run the body first, then hold the measurement against the limits."""
    checkup = checkup_of(item.config)
    with checkup.role.phase(), checkup.items.calling(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Let go of what the item was the last to need."""
    checkup = checkup_of(item.config)
    with checkup.role.phase(), checkup.items.tearing_down(item):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Word the plugin's own failures without a traceback, and keep how the item ended."""
    items = checkup_of(item.config).items
    with items.reporting(item, call):
        report = yield
    items.reported(item, call, report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Clean up and write every report, before JUnit and HTML write theirs and whatever other plugins do."""
    checkup = checkup_of(session.config)
    checkup.finish(session)
    with checkup.ending.others(session):
        return (yield)


def pytest_terminal_summary(terminalreporter: object, config: pytest.Config) -> None:
    """Show the table, and what could not be written or removed."""
    checkup = checkup_of(config)
    checkup.ending.settle()
    checkup.summarize(Screen(terminalreporter))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close what an unusual end has left open."""
    checkup = config.stash.get(CHECKUP_KEY, None)
    if checkup is not None:
        checkup.close()


@pytest.hookimpl(optionalhook=True)
def pytest_html_results_summary(prefix: list[str], postfix: list[str], session: pytest.Session) -> None:
    """Say what the run came to, and add the matrices; pytest-html ends the session after this plugin did."""
    document = checkup_of(session.config).reporting.document
    if document is not None:
        from pytest_kvlatency.report import html

        html.summary(prefix, postfix, document)


@pytest.hookimpl(optionalhook=True)
def pytest_html_results_table_header(cells: list[str]) -> None:
    """Add the numbers' columns."""
    from pytest_kvlatency.report import html

    html.header(cells)


@pytest.hookimpl(optionalhook=True)
def pytest_html_results_table_row(report: pytest.TestReport, cells: list[str]) -> None:
    """Add the numbers of one item."""
    from pytest_kvlatency.report import html

    html.row(report, cells)
