"""pytest's hooks: each hands over to the run's ``Checkup``, once there is one.

The plugin is loaded in every pytest run of those who have it installed. Until something of the run turns out to concern
it (an option, an ini value, a marker, a fixture, a word of a worker of pytest-xdist), only this module, the fixtures,
the hooks' specifications and the table of options are loaded, and there is no ``Checkup``.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kvlatency import hookspecs
from pytest_kvlatency.config import options
from pytest_kvlatency.fixtures import (
    ASLEEP_KEY,
    CHECKUP_KEY,
    ITEM_HOOKS,
    checkup_of,
    kv_check,
    kv_cluster,
    kv_latency,
    kv_migration,
    kv_pair,
    kv_ping,
    kv_settings,
    kv_stream,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_kvlatency.checkup.checkup import Checkup

__all__ = [
    "kv_check",
    "kv_cluster",
    "kv_latency",
    "kv_migration",
    "kv_pair",
    "kv_ping",
    "kv_settings",
    "kv_stream",
]


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options and their ini twins; refuse negative values before argparse takes them for options."""
    config: pytest.Config | None = pluginmanager.get_plugin("pytestconfig")
    options.register(parser)
    if config is not None and _is_asked(config):
        from pytest_kvlatency.checkup.inputs import refuse_early

        refuse_early(config)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the extension points."""
    pluginmanager.add_hookspecs(hookspecs)
    # Now: hooks wrap those of plugins that were registered before.
    pluginmanager.register(ItemHooks(), ITEM_HOOKS)
    config: pytest.Config | None = pluginmanager.get_plugin("pytestconfig")
    if config is not None and _is_asked(config):
        from pytest_kvlatency.checkup.finishing import Early

        pluginmanager.register(Early(), "kvlatency-early")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and read the options if there are any; a wrong one ends the run here."""
    config.addinivalue_line("markers", options.MARKER_HELP)
    if _is_asked(config) or _has_values(config):
        checkup_of(config)
    if getattr(config.option, "htmlpath", None):
        from pytest_kvlatency.report.htmlcolumns import HtmlColumns

        config.pluginmanager.register(HtmlColumns(), "kvlatency-html")


def _is_asked(config: pytest.Config) -> bool:
    """Whether the command line speaks of kvlatency: by an option, by ``python -m pytest_kvlatency``, by an id."""
    given = [*map(str, config.invocation_params.args), os.environ.get("PYTEST_ADDOPTS", "")]
    return any("--kv-" in one or "kvlatency" in one or _may_be_placeholder(one) for one in given)


def _may_be_placeholder(argument: str) -> bool:
    """Whether an argument may be an id that stands for several (see ``plan.placeholders``)."""
    return argument.endswith("]") and any(one in argument for one in (*options.SHAPES, "configmap-"))


def _has_values(config: pytest.Config) -> bool:
    """Whether options have values in a worker, an ini file, a hook or the environment."""
    if config.hook.pytest_kvlatency_settings.get_hookimpls() or os.environ.get(options.SHARDS_VARIABLE):
        return True
    return any(
        getattr(config.option, one.dest, None) is not None
        or (one.ini is not None and config.getini(one.ini) not in (None, []))
        for one in options.OPTIONS
    )


def _checkup(config: pytest.Config) -> Checkup | None:
    """The run, if it concerns this plugin."""
    return config.stash.get(CHECKUP_KEY, None)


class ItemHooks:
    """What is called for each item: a plugin of its own, which a run that has nothing to do with kvlatency can lose."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        """Measure once the item's fixtures are set up, unless one of them asked for it before."""
        checkup = _checkup(item.config)
        if checkup is None:
            return (yield)
        with checkup.role.phase(), checkup.phases.setting_up(item):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Run the body first, then hold the measurement against the limits."""
        checkup = _checkup(item.config)
        if checkup is None:
            return (yield)
        with checkup.role.phase(), checkup.phases.calling(item):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        """Let go of what the item was the last to need."""
        checkup = _checkup(item.config)
        if checkup is None:
            return (yield)
        with checkup.role.phase(), checkup.phases.tearing_down(item):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Word the plugin's own failures without a traceback, and keep how the item ended."""
        checkup = _checkup(item.config)
        if checkup is None:
            return (yield)
        with checkup.phases.reporting(item, call):
            report = yield
        checkup.phases.reported(item, call, report)
        return report


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give a worker of pytest-xdist, which alone collects, a channel by which it wakes this process.

    What it sends arrives in another thread, and the ``Checkup`` is made in the main thread: as an event of xdist, which
    calls the method that the event names.
    """
    if _checkup(node.config) is not None or not node.gateway.spec.popen:
        return
    channel = node.gateway.newchannel()
    node.config.pluginmanager.get_plugin("dsession").worker_needs_kvlatency = _wake
    channel.setcallback(lambda _: node.notify_inproc("needs_kvlatency", node=node, channel=channel))
    node.workerinput[options.WORKER_INPUT] = {"channel": channel}


def _wake(node: Any, channel: Any) -> None:
    """Have the ``Checkup``, and tell a worker the way to it. Raises ``pytest.UsageError``."""
    checkup_of(node.config)
    node.config.pluginmanager.get_plugin("kvlatency-controller").pytest_configure_node(node)
    # A worker that has died meanwhile needs it no more.
    with suppress(OSError):
        channel.send(node.workerinput[options.WORKER_INPUT])


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Know what is to be ended, even where another plugin keeps this one from ``pytest_sessionfinish``."""
    if checkup := _checkup(session.config):
        checkup.teardown.session = session


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each kvlatency test a parameter per check."""
    is_marked = metafunc.definition.get_closest_marker(options.MARKER) is not None
    if is_marked or not options.CHECK_FIXTURES.isdisjoint(metafunc.fixturenames):
        checkup_of(metafunc.config).collection.parametrize(metafunc)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Notice marked tests that are not functions: no hook was called for them before."""
    is_asleep = _checkup(session.config) is None
    if is_asleep and any(one.get_closest_marker(options.MARKER) is not None for one in items):
        checkup_of(session.config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Take what survived selection as the plan."""
    if checkup := _checkup(session.config):
        with checkup.role.refusing(), checkup.state.inputs.noting_refusals():
            checkup.selection.take(session)


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say which values are not defaults, and where they come from."""
    checkup = _checkup(config)
    return [] if checkup is None else checkup.terminal_report.header()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Remove what killed runs left before anything is measured; or let a preflight take the place of all tests."""
    checkup = _checkup(session.config)
    if checkup is None:
        plugins = session.config.pluginmanager
        if plugins.has_plugin(ITEM_HOOKS):
            session.config.stash[ASLEEP_KEY] = plugins.unregister(name=ITEM_HOOKS)
        return None
    checkup.sweep.go_first(session)
    return checkup.preflight.take_place(session) or None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Clean up and write every report, before JUnit and HTML write theirs and whatever other plugins do."""
    checkup = _checkup(session.config)
    if checkup is None:
        return (yield)
    checkup.teardown.finish(session)
    with checkup.teardown.others(session):
        return (yield)


def pytest_terminal_summary(terminalreporter: object, config: pytest.Config) -> None:
    """Show the table, and what could not be written or removed."""
    if checkup := _checkup(config):
        from pytest_kvlatency.report.screen import Screen

        checkup.teardown.settle()
        checkup.terminal_report.write(Screen(terminalreporter))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close what an unusual end has left open."""
    if checkup := _checkup(config):
        checkup.close()


@pytest.hookimpl(optionalhook=True)
def pytest_html_results_summary(prefix: list[str], postfix: list[str], session: pytest.Session) -> None:
    """Say what the run came to, and add the matrices; pytest-html ends the session after this plugin did."""
    checkup = _checkup(session.config)
    document = None if checkup is None else checkup.state.results.document
    if checkup is not None and document is not None:
        from pytest_kvlatency.report import html

        page = html.link_to_page(checkup.state.inputs.given.html, session.config.option.htmlpath)
        html.summary(prefix, postfix, document, page=page)
