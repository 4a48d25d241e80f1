"""The own check is there before any other plugin looks at what was collected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Add = Callable[[pytest.Session, list[pytest.Item]], None]


class First:
    """Has ``add`` called with the collected items before any other plugin's ``pytest_collection_modifyitems``.

    Of several hooks that want to be first, the one that was registered last is. A conftest file is registered when its
    folder is collected, so this looks again after each collector.
    """

    def __init__(self, config: pytest.Config, add: Add) -> None:
        self._config = config
        self._adding = _Adding(add)

    def pytest_collectreport(self) -> None:
        """Become the first again, if another one is."""
        plugins = self._config.pluginmanager
        # The last one is called first.
        if self._config.hook.pytest_collection_modifyitems.get_hookimpls()[-1].plugin is not self._adding:
            if plugins.is_registered(self._adding):
                plugins.unregister(self._adding)
            plugins.register(self._adding, "kvlatency-adding")


class _Adding:
    def __init__(self, add: Add) -> None:
        self._add = add

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Add, then let all others see."""
        self._add(session, items)
        return (yield)
