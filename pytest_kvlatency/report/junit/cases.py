"""JUnit's test cases, one for each test: its last attempt, with the earlier ones inside. Pure.

Readers know no attempts: of cases with one name GitLab shows the first, Jenkins counts all. For earlier attempts Maven
has elements that Jenkins shows and others ignore: ``rerunFailure`` in a case that failed in the end, ``flakyFailure``
in one that passed, and the same for errors.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from pytest_kvlatency.escape import for_xml
from pytest_kvlatency.report.entries import is_failed
from pytest_kvlatency.report.junit import wording
from pytest_kvlatency.report.junit.properties import case_properties, is_own

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Entry = Mapping[str, Any]

#: The element that tells how an item ended; one that passed has none.
_RESULTS: Final = {
    "failed": "failure", "error": "error", "skipped": "skipped", "xfailed": "skipped", "notrun": "skipped",
}  # fmt: skip
_SKIPS: Final = {"skipped": "pytest.skip", "xfailed": "pytest.xfail", "notrun": "pytest.skip"}
_TELLING: Final = ("failure", "error", "skipped")
_OUTPUTS: Final = ("system-out", "system-err")


def attempts_of(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """The document's entries by their items, each item's in the order of its attempts."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry["nodeid"], []).append(entry)
    return found


def address(nodeid: str, prefix: str | None = None) -> tuple[str, str]:
    """``classname`` and ``name`` of an item, as pytest forms them."""
    head, bracket, parameters = nodeid.partition("[")
    first, *names = head.split("::")
    parts = [re.sub(r"\.py$", "", first.replace("/", ".")), *names]
    parts[-1] += bracket + parameters
    return for_xml(".".join([*([prefix] if prefix else []), *parts[:-1]])), for_xml(parts[-1])


def case(attempts: Sequence[Entry], prefix: str | None = None) -> ET.Element:
    """The case of one test, from the document alone; ``prefix`` is that of class names (``--junit-prefix``)."""
    last = attempts[-1]
    classname, name = address(last["nodeid"], prefix)
    made = ET.Element("testcase", {"classname": classname, "name": name})
    return _filled(made, attempts, user=[], telling=_telling(last), outputs=[])


def amended(found: Sequence[ET.Element], attempts: Sequence[Entry]) -> ET.Element:
    """The case of one test, from what pytest has made of it: one element, or several, which become one.

    pytest's are the attributes, the user's properties, the output, and the text of failures, which has the traceback.
    """
    last, wanted = attempts[-1], _RESULTS.get(attempts[-1]["outcome"])
    made = ET.Element("testcase", dict(found[-1].attrib))
    fitting = [element for element in found if wanted and element.find(wanted) is not None][-1:]
    kept = [*fitting, *(element for element in found[-1:] if element not in fitting)]
    telling = [child for element in kept for child in element if child.tag in _TELLING]
    for child in telling:
        _reword(child, last if child.tag == wanted else None)
    if wanted and not fitting:
        telling += _telling(last)
    outputs = [child for element in kept for child in element if child.tag in _OUTPUTS]
    properties = found[-1].iterfind("properties/property")
    # With reruns pytest has what each attempt has given.
    user = {(one.get("name", ""), one.get("value")): one for one in properties}
    users = [one for (name, _), one in user.items() if not is_own(name)]
    return _filled(made, attempts, user=users, telling=telling, outputs=outputs)


def without_properties(made: ET.Element) -> ET.Element:
    """A case as strict readers want it, who know properties of suites only."""
    for found in made.findall("properties"):
        made.remove(found)
    return made


def _filled(
    made: ET.Element,
    attempts: Sequence[Entry],
    *,
    user: Sequence[ET.Element],
    telling: Sequence[ET.Element],
    outputs: Sequence[ET.Element],
) -> ET.Element:
    last = attempts[-1]
    made.set("time", f"{(last['timings'] or {}).get('measure') or 0.0:.3f}")
    properties = ET.SubElement(made, "properties")
    properties.extend(user)
    for name, value in case_properties(last):
        ET.SubElement(properties, "property", {"name": name, "value": value})
    has_failed = any(child.tag in ("failure", "error") for child in telling)
    made.extend(telling)
    made.extend(_earlier(entry, has_failed=has_failed) for entry in attempts[:-1] if is_failed(entry))
    made.extend(outputs)
    return made


def _telling(entry: Entry) -> list[ET.Element]:
    """The element that tells how an attempt ended, from the document; none where it passed."""
    tag = _RESULTS.get(entry["outcome"])
    if tag is None:
        return []
    kind = _SKIPS.get(entry["outcome"]) or _type(entry)
    made = ET.Element(tag, {"type": kind, "message": wording.message(entry)})
    made.text = wording.details(entry)
    return [made]


def _reword(element: ET.Element, entry: Entry | None) -> None:
    """Have pytest's element say first why the test failed; ``entry`` is None where the document does not have it."""
    if element.tag == "skipped":
        return
    if entry is None or not entry["failureReason"]:
        element.set("message", wording.plain(element.get("message", "")))
    else:
        element.set("message", wording.message(entry))
        element.set("type", _type(entry))


def _earlier(entry: Entry, *, has_failed: bool) -> ET.Element:
    what = "Failure" if entry["outcome"] == "failed" else "Error"
    attributes = {"type": _type(entry), "message": wording.message(entry)}
    made = ET.Element(f"{'rerun' if has_failed else 'flaky'}{what}", attributes)
    ET.SubElement(made, "stackTrace").text = wording.details(entry)
    return made


def _type(entry: Entry) -> str:
    return for_xml(entry["failureKind"] or "assertion")
