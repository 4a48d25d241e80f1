"""Which plugins of pytest a checkup under test finds: those of a plain installation, not those that test it.

Hypothesis alone takes longer to load than pytest itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Names of the entry points, by the plugin that a test may keep.
_PLUGINS = {
    "forked": ("pytest_forked",),
    "hypothesis": ("hypothesispytest",),
    "rerunfailures": ("rerunfailures",),
    "timeout": ("timeout",),
    "xdist": ("xdist", "xdist.looponfail"),
}
_OPTIONS = {"-n": "xdist", "-n1": "xdist", "-n2": "xdist", "--forked": "forked", "--reruns": "rerunfailures"}


def plain(*kept: str, arguments: Sequence[object] = ()) -> dict[str, str]:
    """Give the environment variables for it. ``kept`` names plugins that stay, as do those of an option among these."""
    words = {str(one).partition("=")[0] for one in arguments}
    stay = {*kept, *(plugin for option, plugin in _OPTIONS.items() if option in words)}
    assert stay <= _PLUGINS.keys(), stay
    left_out = [name for plugin, names in _PLUGINS.items() if plugin not in stay for name in names]
    return {"PYTEST_ADDOPTS": " ".join(f"-p no:{name}" for name in left_out)}
