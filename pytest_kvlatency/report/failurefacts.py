"""What went wrong with one measurement, in sentences that are the same wherever it strikes. Pure.

A fault has no VMI names, addresses or durations: equal faults of many measurements are one cause (``causes``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import excerpt, shortened
from pytest_kvlatency.report.numbers import LIMITS, rounded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_kvlatency.model import Exceeded, Failure, GuestFacts, Measurement

#: What is wrong between two nodes, for documents that do not say it themselves.
BETWEEN: Final = {
    "connectivity": "no replies",
    "loss": "packets are lost",
    "latency": "latency exceeds the limit",
    "gap": "the longest gap exceeds the limit",
}
# As this package names VMIs; a namespace may stand before it.
_VMI: Final = re.compile(r"(?:VMI )?(?:\b[a-z0-9-]+/)?\blatency-check-[a-z0-9]{5}\b")
_LASTED: Final = re.compile(r" \(for [0-9]+ s\)")


def fault_of(failure: Failure, measurement: Measurement | None = None) -> dict[str, Any]:
    """A failure as the document has it under ``failures``."""
    source = measurement.source if measurement else None
    target = measurement.target if measurement else None
    sentence = (
        failure.summary or BETWEEN.get(failure.kind) or _nameless(failure.reason, _names(source, target))
    )
    return {
        "kind": failure.kind,
        "stage": failure.stage,
        "sentence": shortened(sentence),
        "node": failure.node or None,
        "network": failure.network or None,
        "local": failure.is_local,
        "exceeded": None if failure.exceeded is None else _exceeded(failure.exceeded),
        "advice": excerpt(failure.hint) or None,
    }


def shortfall_of(reason: str, *, is_cut_short: bool = False) -> dict[str, Any]:
    """That checks were not measured, as a fault of the run's own; ``reason`` is from ``success.shortfalls``."""
    return _fault("interrupted" if is_cut_short else "config", "run", reason.removeprefix("run: "))


def faults_of(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What went wrong with a failed measurement; of an older document all that it says, as one fault."""
    known: Sequence[dict[str, Any]] | None = entry.get("failures")
    if known:
        return list(known)
    if entry["failureKind"] is None or not entry["failureReason"]:
        return [_fault("assertion", "run", f"the test ended as {entry['outcome']}")]
    kind = entry["failureKind"]
    stage, _, reason = entry["failureReason"].partition(": ")
    names = [
        (name, f"the {end} {what}")
        for end in ("source", "target")
        for key, what in ((f"{end}Vmi", "VMI"), (f"{end}Address", "guest"))
        if (name := entry.get(key))
    ]
    return [_fault(kind, stage, BETWEEN.get(kind) or _nameless(reason, names))]


def _fault(kind: str, stage: str, sentence: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "stage": stage,
        "sentence": sentence,
        "node": None,
        "network": None,
        "local": False,
        "exceeded": None,
        "advice": None,
    }


def _exceeded(limit: Exceeded) -> dict[str, Any]:
    return {
        "limit": LIMITS[limit.limit],
        "measured": rounded(limit.measured),
        "accepted": rounded(limit.accepted),
    }


def _names(*ends: GuestFacts | None) -> list[tuple[str, str]]:
    found = []
    for end, guest in zip(("source", "target"), ends, strict=True):
        if guest is not None:
            found += [(guest.vmi_name, f"the {end} VMI"), (guest.address, f"the {end} guest")]
    return [(name, words) for name, words in found if name]


def _nameless(text: str, names: Sequence[tuple[str, str]]) -> str:
    """The text with other words for these names, for those of other VMIs, and without how long it lasted."""
    for name, words in names:
        text = re.sub(
            rf"(?:\bVMI )?(?<![\w.:/-])(?:[a-z0-9-]+/)?{re.escape(name)}(?![\w:-]|\.\w)", words, text
        )
    return _LASTED.sub("", _VMI.sub("the VMI", text))
