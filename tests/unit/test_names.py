"""Names of classes, files and constants: each has one meaning in the whole package."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from pathlib import Path

import pytest

import pytest_kvlatency

PACKAGE = Path(pytest_kvlatency.__file__).parent
LAB = PACKAGE / "lab"
#: The same thing seen from two sides: by a client and the API server, by a reader of output and the guest that
#: prints it, or by real and simulated guests.
SAME_MEANING = {"admission", "guest", "hypervisor", "impersonation", "iproute", "reviews"}
#: Every package may have them.
PYTHONS_OWN = {"__init__", "__main__"}

#: How finely a wait looks, which is each one's own affair: equal by chance.
OF_EACH_WAIT = {"PAUSES", "SLICE_SECONDS"}

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def trees():
    """The syntax tree of each file of the package."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}


def constants(tree):
    """Name and value of each public constant of a module, type variables apart."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            target = statement.targets[0]
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            target = statement.target
        else:
            continue
        value = ast.unparse(statement.value)
        is_public = isinstance(target, ast.Name) and target.id.isupper() and not target.id.startswith("_")
        if is_public and not value.startswith("TypeVar("):
            yield target.id, value


def test_no_two_classes_of_the_package_share_a_name(trees):
    times = Counter(
        node.name.lstrip("_")
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    )
    assert times, "the classes were not found"
    assert sorted(name for name, number in times.items() if number > 1) == []


def test_two_files_share_a_name_only_as_sides_of_one_thing_of_which_the_lab_is_one(trees):
    times = Counter(path.stem for path in trees)
    outside = Counter(path.stem for path in trees if LAB not in path.parents)
    shared = {name for name, number in times.items() if number > 1}
    assert shared - PYTHONS_OWN == SAME_MEANING
    assert sorted(name for name in SAME_MEANING if outside[name] > 1) == []


def test_no_public_constant_of_the_plugin_is_defined_twice_with_one_value(trees):
    places = defaultdict(list)
    for path, tree in trees.items():
        if LAB not in path.parents:
            for constant in constants(tree):
                places[constant].append(str(path.relative_to(PACKAGE)))
    assert places, "the constants were not found"
    twice = {name: paths for name, paths in places.items() if len(paths) > 1}
    assert {name: paths for name, paths in twice.items() if name[0] not in OF_EACH_WAIT} == {}
