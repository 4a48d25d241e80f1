"""What the page says first: the verdict with its badges, and the causes as cards. HTML that needs no script. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.escape import for_html, printable
from pytest_kvlatency.report import checklistlines
from pytest_kvlatency.report.causes import causes_of
from pytest_kvlatency.report.gapnumbers import gaps_of
from pytest_kvlatency.report.page.entry import plural, what
from pytest_kvlatency.report.page.facts import badges
from pytest_kvlatency.report.terminal.summaryline import verdict as terminal_verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The colour of a kind of failure is that of its cells.
_LOOKS: Final = {"connectivity": "dead", "loss": "loss", "latency": "over", "gap": "over"}
#: An option in a sentence, which is not to be torn apart.
_OPTION: Final = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_AS_CODE: Final = r"<code>\g<0></code>"
_TITLE: Final = "KubeVirt VM latency"


def title(document: Mapping[str, Any]) -> str:
    """The window's title."""
    return f"{'passed' if document['succeeded'] else 'failed'}: {_TITLE}"


def verdict(document: Mapping[str, Any]) -> str:
    """One sentence, beside the badges."""
    look, word = ("good", "Passed") if document["succeeded"] else ("bad", "Failed")
    marks = "".join(f'<li class="badge {look}">{for_html(text)}</li>' for look, text in badges(document))
    shown = f'<ul class="badges" aria-label="Nature of the run">{marks}</ul>' if marks else ""
    return (
        f'<p class="kicker">{_TITLE}</p><h1><span class="verdict {look}">{word}</span> '
        f"<span>{for_html(sentence(document))}</span></h1>{shown}"
    )


def sentence(document: Mapping[str, Any]) -> str:
    """What the run came to, as the terminal says it."""
    if document["preflight"] is not None:
        return f"preflight: {checklistlines.verdict(document['preflight']).partition(': ')[2]}"
    if not document["measurements"]:
        return "nothing was measured"
    return "".join(span.text for span in terminal_verdict(document))


def causes(document: Mapping[str, Any]) -> str:
    """A card for each cause, the one that concerns the most pairs first; of a preflight its checklist."""
    found = causes_of(document)
    entries = {entry["nodeid"]: entry for entry in document["measurements"]}
    cards = "".join(_card(number, one, entries) for number, one in enumerate(found))
    parts = []
    if cards:
        heading = "1 cause" if len(found) == 1 else f"{len(found)} causes"
        parts.append(f'<h2>{heading}</h2><ol class="cards">{cards}</ol>')
    if document["preflight"] is not None:
        lines = "".join(map(_finding, document["preflight"]))
        parts.append(f'<h2>Preflight</h2><ul class="checklist">{lines}</ul>')
    if document["notes"]:
        notes = "".join(f"<li>{for_html(printable(note))}</li>" for note in document["notes"])
        parts.append(f'<h2>Notes</h2><ul class="notes">{notes}</ul>')
    return f'<section id="causes">{"".join(parts)}</section>' if parts else ""


def _finding(finding: Mapping[str, Any]) -> str:
    what = f"{finding['check']} {finding['subject']}".rstrip()
    hints = "".join(
        f'<p class="advice">{for_html(printable(line))}</p>' for line in finding["hint"].splitlines()
    )
    return (
        f'<li class="{for_html(finding["outcome"])}"><b>{for_html(finding["outcome"])}</b> '
        f"{for_html(printable(what))}: {for_html(printable(finding['message']))}{hints}</li>"
    )


def _card(number: int, cause: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]) -> str:
    look = _LOOKS.get(cause["kind"], "error")
    blamed = cause["node"] or (cause["pair"] or "").replace(":", " → ") or cause["network"] or ""
    where = f' <span class="blamed">{for_html(printable(blamed))}</span>' if blamed else ""
    count = len(cause["measurements"])
    concerns = ""
    if count:
        on = f" on {plural(len(cause['networks']), 'network')}" if len(cause["networks"]) != 1 else ""
        on = on or f" on {printable(cause['networks'][0])}"
        concerns = f'<p class="concerns" data-cause="{number}">{for_html(plural(count, "pair") + on)}</p>'
    lines = "".join(
        f"<p>{_OPTION.sub(_AS_CODE, for_html(printable(line)))}</p>"
        for line in (cause["advice"] or "").splitlines()
    )
    advice = f'<div class="advice">{lines}</div>' if lines else ""
    return (
        f'<li class="card"><p class="kind"><span class="swatch {look}"></span>{for_html(cause["kind"])}{where}</p>'
        f"<h3>{for_html(printable(cause['sentence']))}</h3>{_measured(cause, entries)}{advice}{concerns}</li>"
    )


def _measured(cause: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]) -> str:
    """What was measured against the limit: of several pairs by the worst of them."""
    if cause["kind"] not in ("latency", "loss", "gap"):
        return ""
    concerned = [entries[nodeid] for nodeid in cause["measurements"] if nodeid in entries]
    if not concerned:
        return ""
    worst = max(concerned, key=lambda entry: _measure(entry, cause["kind"]))
    words = what(worst) or ""
    return f'<p class="measured">{for_html(words if len(concerned) == 1 else f"worst: {words}")}</p>'


def _measure(entry: Mapping[str, Any], kind: str) -> float:
    """The number that a failure of this kind is about; 0 where there is none."""
    if kind == "gap":
        return gaps_of(entry)["longestGap"] or 0
    return float(entry["lossPercent" if kind == "loss" else "maxLatencyNanoSec"] or 0)
