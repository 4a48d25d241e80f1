"""The document's notes: networks and options that were asked for, and that nothing of the run used. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.config.options import BY_NAME, MARKER_OPTIONS
from pytest_kvlatency.config.values import show
from pytest_kvlatency.model import ANYWHERE, NodePair
from pytest_kvlatency.report.run import last_attempts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.report.run import ItemResult

_NO_SHAPE: Final = "no test measures a shape (mesh, ring, star, migrations, drain)"
_NO_TEST: Final = "no test of this run checks a network"


@dataclass(frozen=True, kw_only=True)
class Unused:
    """What of the options no test uses, as far as that is known before the run.

    ``texts`` are notes. ``networks`` are those that were asked for, as they were given, and ``why`` says why none of
    the tests uses them; where tests do, it is empty.
    """

    texts: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    why: str = ""


def unused(given: Settings, used: Sequence[Settings], asked: Collection[str], *, had_tests: bool) -> Unused:
    """Compare what was ``given`` with what the checks of the run ``used``, for the options that are ``asked`` for.

    ``had_tests`` says whether there were kvlatency tests before some were deselected: what those would have used is not
    forgotten, but left out on purpose.
    """
    networks = tuple(map(str, given.nad)) if "nad" in asked else ()
    if not used:
        return Unused(networks=networks, why="" if had_tests else _NO_TEST)
    texts = [
        text
        for option in MARKER_OPTIONS
        if option.name in asked and option.name != "nad"
        for text in _unused(given, used, option.name)
    ]
    is_nad_used = any(settings.sources["nad"].kind != "marker" for settings in used)
    why = "" if is_nad_used else _each(len(used), "name their own networks", "names its own network")
    return Unused(texts=tuple(texts), networks=networks, why=why)


def unmeasured(
    found: Unused, items: Iterable[ItemResult], plan: Mapping[str, Any] | None, *, namespace: str
) -> Iterator[str]:
    """Note each network that was asked for and not measured, unless the reasons of the run are about it.

    ``plan`` is the document's. ``namespace`` is the one of networks that are named without; empty while it is unknown.
    """
    facts = plan or {"nads": (), "shard": None}
    planned = {_full(name, namespace) for name in facts["nads"]}
    left_out: dict[str, list[bool]] = {}
    for item in last_attempts(items):
        if item.check is not None:
            left_out.setdefault(_full(str(item.check.nad), namespace), []).append(item.standing.is_left_out)
    for network in dict.fromkeys(_full(name, namespace) for name in found.networks):
        mine = left_out.get(network, [])
        if network not in planned:
            if found.why:
                yield f"{network} was not measured: {found.why}"
        elif facts["shard"] is None and mine and all(mine):
            were = f"all {len(mine)} of its tests leave" if len(mine) > 1 else "its only test leaves"
            yield f"{network} was not measured: {were} it out"


def _unused(given: Settings, used: Sequence[Settings], name: str) -> Iterator[str]:
    option, source = BY_NAME[name], given.sources[name]
    place = f" ({source.place})" if source.kind == "ConfigMap" else ""
    value = getattr(given, option.attribute)
    its_own = _each(len(used), f"set their own {name}", f"sets its own {name}")
    if option.repeatable:
        taken = {one for settings in used for one in getattr(settings, option.attribute)}
        for one in value:
            if one not in taken:
                yield f"{source.name} {show(option, one)}{place} was not used: {its_own}"
        return
    users = [settings for settings in used if getattr(settings, option.attribute) == value]
    what = (
        f"{source.name}{'' if option.is_switch and not place else f' {given.text(name)}'}{place} was not used"
    )
    if not users:
        yield f"{what}: {its_own}"
    elif name == "node_set" and not any(map(_has_shape, users)):
        yield f"{what}: {_NO_SHAPE}"


def _has_shape(settings: Settings) -> bool:
    """Whether the pairs are chosen, or a migration's destination is, among the node set."""
    return any(not isinstance(one, NodePair) or one.destination == ANYWHERE for one in settings.nodes)


def _each(count: int, many: str, one: str) -> str:
    return f"all {count} tests {many}" if count > 1 else f"the only test {one}"


def _full(name: str, namespace: str) -> str:
    return name if "/" in name or not namespace else f"{namespace}/{name}"
