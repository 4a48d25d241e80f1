"""What the schema of Jenkins' xUnit plugin (junit-10.xsd) allows, as far as pytest's files have it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree import ElementTree as ET

RERUNS = ("rerunFailure", "rerunError", "flakyFailure", "flakyError")
TELLING = ("failure", "error", "skipped")
OUTPUTS = ("system-out", "system-err")
#: Children, required attributes, other attributes.
ELEMENTS = {
    "testsuites": (("testsuite",), (), ("name", "time", "tests", "failures", "errors")),
    "testsuite": (
        ("testsuite", "properties", "testcase", *OUTPUTS),
        ("name", "tests", "failures", "errors"),
        (
            "group",
            "time",
            "skipped",
            "timestamp",
            "hostname",
            "id",
            "package",
            "file",
            "log",
            "url",
            "version",
        ),
    ),
    "testcase": ((*TELLING, *RERUNS, *OUTPUTS), ("name",), ("time", "classname", "group")),
    "properties": (("property",), (), ()),
    "property": ((), ("name", "value"), ()),
    **dict.fromkeys(TELLING, ((), (), ("type", "message"))),
    **dict.fromkeys(RERUNS, (("stackTrace", *OUTPUTS), ("type",), ("message",))),
    **dict.fromkeys((*OUTPUTS, "stackTrace"), ((), (), ())),
}
# Of a suite; a case's is any text.
TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]{0,9})?")


def violations(root: ET.Element) -> Iterator[str]:
    """What the schema does not allow, a line each."""
    for element in root.iter():
        children, required, optional = ELEMENTS[element.tag]
        names = set(element.attrib)
        for child in element:
            if child.tag not in children:
                yield f"{child.tag} in {element.tag}"
        yield from (f"{element.tag} without {name}" for name in required if name not in names)
        yield from (f"{element.tag} with {name}" for name in sorted(names.difference(required, optional)))
        if element.tag == "testsuite" and not TIME.fullmatch(element.get("time", "")):
            yield f"time {element.get('time')}"
        in_order = [child.tag for child in element]
        if element.tag in RERUNS and in_order != sorted(in_order, key=("stackTrace", *OUTPUTS).index):
            yield f"{element.tag} has {in_order}"
