"""Names of the lab's classes and files: each has one meaning in the whole package."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

import pytest_kvlatency

PACKAGE = Path(pytest_kvlatency.__file__).parent
LAB = PACKAGE / "lab"
#: The same thing seen from two sides: by a client and the API server, by a reader of output and the guest that
#: prints it, or by real and simulated guests.
SAME_MEANING = {
    "admission",
    "guest",
    "hypervisor",
    "impersonation",
    "iproute",
    "reviews",
    "__init__",
    "__main__",
}


def class_names(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name.lstrip("_") for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


@pytest.mark.once
def test_no_class_of_the_lab_shares_its_name_with_another_class_of_the_package():
    by_file = {path: class_names(path) for path in PACKAGE.rglob("*.py")}
    times = Counter(name for names in by_file.values() for name in names)
    labs = {name for path, names in by_file.items() if LAB in path.parents for name in names}
    assert labs, "the lab's classes were not found"
    assert sorted(name for name in labs if times[name] > 1) == []


def test_a_file_of_the_lab_shares_its_name_only_with_the_other_side_of_the_same_thing():
    times = Counter(path.stem for path in PACKAGE.rglob("*.py"))
    labs = {path.stem for path in LAB.rglob("*.py")}
    assert sorted(name for name in labs - SAME_MEANING if times[name] > 1) == []
