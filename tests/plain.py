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


def plain(*kept: str, arguments: Sequence[object] = ()) -> dict[str, str]:
    """Give the environment variables for it. ``kept`` names plugins that stay; xdist stays where it is asked for."""
    stay = {*kept, "xdist"} if "-n" in arguments else {*kept}
    assert stay <= _PLUGINS.keys(), stay
    left_out = [name for plugin, names in _PLUGINS.items() if plugin not in stay for name in names]
    return {"PYTEST_ADDOPTS": " ".join(f"-p no:{name}" for name in left_out)}
