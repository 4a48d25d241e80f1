"""What keeps two measurements from being compared: other pings, other guests, other ground under them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PING: Final = (
    ("sampleDurationSec", "--kv-sample-duration"),
    ("intervalSec", "--kv-interval"),
    ("packetSizeBytes", "--kv-packet-size"),
    ("warmup", "--kv-warmup"),
)
_EMULATION: Final = {True: "under software emulation", False: "with hardware virtualization"}


def before_the_run(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Differences of ``ping`` and ``guest`` of two entries, each as ``… then, … now``; these are known beforehand."""
    for name, option in _PING:
        if then["ping"][name] != now["ping"][name]:
            yield _said(f"{option} {_shown(name, then)}", _shown(name, now))
    fragments = {True: "--kv-dont-fragment", False: "no --kv-dont-fragment"}
    if then["ping"]["dontFragment"] != now["ping"]["dontFragment"]:
        yield _said(fragments[then["ping"]["dontFragment"]], fragments[now["ping"]["dontFragment"]])
    for name, option in (("profile", "--kv-guest"), ("image", "--kv-image")):
        before, after = (one["guest"] or {} for one in (then, now))
        if before.get(name) != after.get(name):
            yield _said(f"{option} {before.get(name) or 'unknown'}", str(after.get(name) or "unknown"))
            # Another profile has another image.
            return


def afterwards(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Differences that only the guests tell."""
    before, after = then.get("softwareEmulation"), now.get("softwareEmulation")
    if before is not None and after is not None and before != after:
        yield _said(f"the guests ran {_EMULATION[before]}", _EMULATION[after])
    if then.get("binding") != now.get("binding"):
        yield _said(f"--kv-binding {then.get('binding')}", str(now.get("binding")))


def of_the_ground(then: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> Iterator[str]:
    """Differences of the documents' ``cluster.lab``."""
    words = ["a cluster" if lab is None else f"a lab ({lab.get('guests')})" for lab in (then, now)]
    if words[0] != words[1]:
        yield _said(f"it was measured in {words[0]}", f"in {words[1]}")


def _shown(name: str, entry: Mapping[str, Any]) -> str:
    value = entry["ping"][name]
    return format_duration(round(value * 1e9)) if name.endswith("Sec") else str(value)


def _said(then: str, now: str) -> str:
    return f"{then} then, {now} now"
