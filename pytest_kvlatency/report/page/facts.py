"""What the run was: its badges, the cluster, the limits, the time, and every setting with its source. Pure HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import for_html, printable
from pytest_kvlatency.report.places import is_move
from pytest_kvlatency.report.schema import moment
from pytest_kvlatency.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LIMITS: Final = (
    ("maxLatencyNanoSec", "max"),
    ("maxAvgLatencyNanoSec", "mean"),
    ("maxP99LatencyNanoSec", "p99"),
    ("maxLossPercent", "loss"),
    ("maxGapNanoSec", "gap"),
)


def badges(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a reader must not miss: that it is a lab, that its clock is compressed, that guests are emulated."""
    found = []
    lab = (document["cluster"] or {}).get("lab")
    if lab is not None:
        found.append(("lab", "LAB"))
        scale = lab.get("timeScale")
        if scale is not None and scale != 1:
            found.append(("lab", f"TIME COMPRESSED {scale:g} TIMES"))
    if any(entry["softwareEmulation"] for entry in document["measurements"]):
        found.append(("emulation", "SOFTWARE EMULATION"))
    return found


def tool(document: Mapping[str, Any]) -> str:
    """Name and version of what wrote the document."""
    return printable(f"{document['tool']['name']} {document['tool']['version']}, {document['schema']}")


def facts(document: Mapping[str, Any]) -> str:
    """The facts as a list, and the settings in a fold."""
    rows = "".join(
        f"<div><dt>{name}</dt><dd>{for_html(printable(value))}</dd></div>"
        for name, value in _facts(document)
        if value
    )
    return f'<section id="run"><h2>Run</h2><dl class="facts">{rows}</dl>{_settings(document)}</section>'


def _facts(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    cluster = document["cluster"] or {}
    yield "Cluster", cluster.get("server") or ""
    yield "Context", cluster.get("context") or ""
    yield "Namespace", document.get("namespace") or ""
    yield "Kubernetes", cluster.get("kubernetesVersion") or ""
    yield "KubeVirt", cluster.get("kubevirtVersion") or ""
    yield "Guests", _guests(document, cluster.get("lab"))
    yield "Limits", ", ".join(_limits(document)) or "none"
    yield "Sample", _sample(document)
    yield "Started", document["startTimestamp"].replace("T", " ").replace("Z", " UTC")
    yield "Took", _took(document)
    yield "Baseline", _baseline(document)
    plan = document["plan"] or {}
    if plan.get("shard"):
        yield "Shard", f"{plan['shard']}: {plan['shardPairs']} of {plan['pairs']} pairs"


def _guests(document: Mapping[str, Any], lab: Mapping[str, Any] | None) -> str:
    profiles = {one["guest"]["profile"]: None for one in document["measurements"] if one.get("guest")}
    return "; ".join([*profiles, *([lab["guests"]] if lab else [])])


def _limits(document: Mapping[str, Any]) -> list[str]:
    """Each limit of the run's items: of several that differ, from the least to the most."""
    found = []
    for key, name in _LIMITS:
        limits = ((one["limits"] or {}).get(key) for one in document["measurements"])
        values = sorted({one for one in limits if one is not None})
        if values:
            ends = [f"{one:g}%" if key == "maxLossPercent" else format_duration(one) for one in values]
            found.append(f"{name} ≤ {ends[0]}" + (f" to {ends[-1]}" if len(ends) > 1 else ""))
    return found


def _sample(document: Mapping[str, Any]) -> str:
    pings = {
        (one["ping"]["sampleDurationSec"], one["ping"]["intervalSec"], one["ping"]["packetSizeBytes"])
        for one in document["measurements"]
        if one["ping"] and not is_move(one)
    }
    if not pings and any(map(is_move, document["measurements"])):
        return "before, during and after each migration"
    if not pings:
        return ""
    if len(pings) > 1:
        return "differs from check to check"
    duration, interval, size = next(iter(pings))
    return f"{duration:g} s, {size} bytes every {interval * 1000:g} ms"


def _took(document: Mapping[str, Any]) -> str:
    start, end = (moment(document[name]) for name in ("startTimestamp", "completionTimestamp"))
    minutes, seconds = divmod(int((end - start).total_seconds()), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _settings(document: Mapping[str, Any]) -> str:
    settings = document.get("settings")
    if not settings:
        return ""
    rows = "".join(
        f'<tr class="{"default" if one["source"] == "default" else "given"}"><th scope="row">'
        f"{for_html(printable(one['option']))}</th><td>{for_html(_value(one['value']))}</td>"
        f"<td>{for_html(printable(one['source']))}</td></tr>"
        for one in settings.values()
    )
    given = sum(one["source"] != "default" for one in settings.values())
    return (
        f"<details><summary>Settings: {given} given, {len(settings) - given} by default</summary>"
        '<div class="scroll" role="region" tabindex="0" aria-label="Settings"><table class="plain"><thead><tr>'
        '<th scope="col">option</th><th scope="col">value</th><th scope="col">source</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def _value(value: str | list[str]) -> str:
    return printable(value if isinstance(value, str) else ", ".join(value))


def _baseline(document: Mapping[str, Any]) -> str:
    """The document that the run was compared with; what came of that stands in the notes."""
    baseline = document.get("baseline")
    if not baseline:
        return ""
    limit = baseline["maxRegressionPercent"]
    allowed = "" if limit is None else f", at most {limit:g}% slower"
    when = baseline["startTimestamp"].replace("T", " ").replace("Z", " UTC")
    return f"{baseline['file'] or 'a document'} of {when}{allowed}"
