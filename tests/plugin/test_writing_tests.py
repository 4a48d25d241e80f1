"""The page for authors of suites: its lists are those of the code, and each hook that it shows does what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pytest_kvlatency
from pytest_kvlatency import hookspecs
from pytest_kvlatency.checkup.streaming import StreamedLatency
from pytest_kvlatency.ping.livemigration import LiveMigration

if TYPE_CHECKING:
    from conftest import Checkup

pytestmark = pytest.mark.once

PAGE = (Path(__file__).parents[2] / "docs" / "writing-tests.md").read_text(encoding="utf-8")
BLUE = ("--kv-nad", "default/blue-network", "--kv-nodes", "worker1:worker2")

#: Describes public attributes by their annotations, as they are written, and methods by their signatures.
DESCRIBE = """
import inspect, json
from pytest_kvlatency.guest.profiles import GuestProfile

FOUND = {}

def describe(cls, value=None):
    fields = getattr(cls, "__dataclass_fields__", {})
    found = FOUND[cls.__name__] = {name: field.type for name, field in fields.items()}
    for name in {*dir(cls), *getattr(value, "__dict__", {})} - {*fields}:
        attribute = getattr(cls, name, None)
        if name.startswith("_"):
            continue
        if isinstance(attribute, property):
            found[name] = attribute.fget.__annotations__["return"]
        elif callable(attribute):
            signature = inspect.signature(attribute)
            parameters = [one.replace(annotation=one.empty) for one in signature.parameters.values()][1:]
            call = signature.replace(parameters=parameters, return_annotation=signature.empty)
            found[f"{name}{call}"] = signature.return_annotation
        else:
            found[name] = type(getattr(value, name)).__name__

def pytest_kvlatency_measurement(measurement):
    for one in (measurement, measurement.result, measurement.source, *measurement.failures):
        describe(type(one))

def pytest_unconfigure():
    describe(GuestProfile)
    with open("found.json", "w") as file:
        json.dump(FOUND, file)
"""
VALUES = """
import pytest
from conftest import describe

@pytest.mark.xfail(strict=True)
@pytest.mark.kvlatency(nad="default/blue-network", max_latency="1us")
def test_it(kv_settings, kv_cluster, kv_check, kv_pair, kv_latency, kv_ping):
    check = [kv_check, kv_check.nad, kv_check.pair, kv_check.limits, kv_check.ping, kv_check.guest]
    pair = [kv_pair, kv_pair.source, kv_pair.source.run("true"), kv_latency, kv_ping]
    for value in (kv_settings, kv_cluster, *check, *pair):
        describe(type(value), value)
"""


def _tables() -> dict[str, list[list[str]]]:
    """The rows of the last table below each heading that ends in a class's or hook's name."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in re.sub(r"^```.*?^```$", "", PAGE, flags=re.DOTALL | re.MULTILINE).splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ").split(": ")[-1].strip("`")
        elif line.startswith("| ") and not line.startswith("| ---"):
            cells = re.split(r"(?<!\\) \| ", line.strip("| "))
            found.setdefault(heading, []).append([cell.replace("\\|", "|") for cell in cells])
    return found


def _code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_page_lists_every_attribute_with_its_type(checkup: Checkup) -> None:
    checkup.pytester.makeconftest(DESCRIBE)
    checkup.pytester.makepyfile(VALUES)
    checkup.quick().assert_outcomes(xfailed=1)
    found = json.loads((checkup.pytester.path / "found.json").read_text("utf-8"))
    assert found.pop("Ping") == {}, "kv_ping is only to be called"
    code = {(of, name, kind) for of, attributes in found.items() for name, kind in attributes.items()}
    page = {
        (heading, name, kind)
        for heading, rows in _tables().items()
        for names, (kind, *_) in map(_cells, rows[1:])
        for name in names
        if rows[0][0] == "attribute"
    }
    assert sorted(code - page) == [], "the code has what docs/writing-tests.md does not list"
    assert sorted(page - code) == [], "docs/writing-tests.md lists what the code does not have"


def _cells(row: list[str]) -> tuple[list[str], list[str]]:
    return _code(row[0]), _code(row[1]) or [""]


@pytest.mark.parametrize("kind", [LiveMigration, StreamedLatency])
def test_the_page_lists_every_number_of_a_migration_and_of_a_stream(kind: type) -> None:
    _, *rows = _tables()[kind.__name__]
    page = {name for row in rows for name in _code(row[0]) if not name.endswith("()")}
    assert page == {name for name, value in vars(kind).items() if isinstance(value, property)} - {
        "_migration"
    }


def test_the_page_lists_every_fixture_with_its_scope(pytester: pytest.Pytester) -> None:
    (head, *rows) = _tables()["Fixtures"]
    assert head[:2] == ["fixture", "scope"]
    result = pytester.runpytest_inprocess("--fixtures", "-v")
    scopes = {
        name: scope or "function"
        for name, scope in re.findall(r"^(kv_\w+)(?: \[(\w+) scope\])? --", result.stdout.str(), re.MULTILINE)
    }
    assert {_code(row[0])[0]: row[1] for row in rows} == scopes
    assert all(re.search(rf"^### `{name}`", PAGE, re.MULTILINE) for name in scopes)


def test_the_page_lists_every_argument_of_the_marker(pytester: pytest.Pytester) -> None:
    printed = pytester.runpytest_inprocess("--markers").stdout.str()
    signature = re.search(r"@pytest\.mark\.kvlatency\(\*, ([^)]*)\)", printed)
    assert signature is not None
    head, *rows = _tables()["The marker"]
    assert head[0] == "argument"
    assert {name for row in rows for name in _code(row[0])} == set(re.findall(r"(\w+)=", signature[1]))
    for row in rows:
        assert _code(row[2]) == [f"--kv-{name.replace('_', '-')}" for name in _code(row[0])]


def test_the_page_lists_every_exception_with_its_base_and_kind() -> None:
    head, *rows = _tables()["Exceptions"]
    assert head[:3] == ["exception", "base", "kind"]
    assert {_code(row[0])[0] for row in rows} == set(pytest_kvlatency.__all__)
    for name, base, kind, _ in rows:
        error = getattr(pytest_kvlatency, name.strip("`"))
        assert error.__base__.__name__ == base.strip("`")
        # The one error whose kind is that of each.
        kinds = ["latency", "loss", "gap"] if name == "`LimitExceeded`" else [error.kind]
        assert kind == "any" or _code(kind) == kinds


def test_the_page_shows_every_hook_with_its_signature_and_an_example() -> None:
    hooks = [name for name in vars(hookspecs) if name.startswith("pytest_kvlatency_")]
    assert len(hooks) == 4
    for name in hooks:
        code = vars(hookspecs)[name].__code__
        heading = f"### `{name}({', '.join(code.co_varnames[: code.co_argcount])})`\n"
        section = PAGE.partition(heading)[2].partition("\n### ")[0]
        assert f"\ndef {name}(" in section, heading


# --- the examples of conftest files


def _conftest(name: str) -> str:
    blocks = re.findall(r"<!-- checked: conftest -->\n```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (text,) = [one for one in blocks if f"def {name}(" in one]
    assert text.startswith("# conftest.py\n")
    return str(text)


def test_no_example_of_a_conftest_file_is_left_untried() -> None:
    tried = re.findall(r'_conftest\("(\w+)"\)', Path(__file__).read_text(encoding="utf-8"))
    assert len(tried) == len(set(tried)) == PAGE.count("<!-- checked: conftest -->")


def test_the_example_of_the_settings_hook_gives_defaults(checkup: Checkup) -> None:
    checkup.pytester.makeconftest(_conftest("pytest_kvlatency_settings"))
    result = checkup.run(*BLUE, "--kv-sample-duration", "500ms")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines_random(
        [
            "kvlatency: --kv-sample-duration = 500ms (command line)",
            "kvlatency: max_latency = 250ms (hook *)",
        ]
    )


def test_the_example_of_the_manifest_hook_changes_the_vmis(checkup: Checkup) -> None:
    checkup.pytester.makeconftest(_conftest("pytest_kvlatency_vmi_manifest"))
    checkup.quick(*BLUE, "--kv-max-latency", "1us", "--kv-artifacts", "kept").assert_outcomes(failed=1)
    manifests = [json.loads(one.read_text("utf-8")) for one in checkup.pytester.path.glob("kept/*/vmi.json")]
    assert manifests
    for one in manifests:
        assert one["metadata"]["labels"]["team"] == "network"
        assert one["spec"]["terminationGracePeriodSeconds"] == 5


def test_the_example_of_the_profiles_hook_brings_guests_up(checkup: Checkup) -> None:
    checkup.pytester.makeconftest(_conftest("pytest_kvlatency_guest_profiles"))
    checkup.pytester.makepyfile(
        "def test_it(kv_pair): assert kv_pair.source.run('id -un').output == 'fedora'"
    )
    checkup.quick(*BLUE, "--kv-guest", "our-fedora").assert_outcomes(passed=1)


def test_the_example_of_the_measurement_hook_judges(checkup: Checkup) -> None:
    text = _conftest("pytest_kvlatency_measurement")
    checkup.pytester.makeconftest(text)
    checkup.quick(*BLUE).assert_outcomes(passed=1)
    namespace: dict[str, object] = {}
    exec(text, namespace)
    hook = namespace["pytest_kvlatency_measurement"]

    class Measured:
        class result:  # noqa: N801 - an attribute of the measurement
            duplicates = 2

    assert callable(hook)
    assert hook(Measured, None) == "2 replies came more than once"


def test_the_example_of_a_fixture_of_the_same_name_adds_to_the_plugins(checkup: Checkup) -> None:
    checkup.pytester.makeconftest(_conftest("kv_latency").replace("< 50", "< 0"))
    checkup.pytester.makepyfile("def test_it(kv_latency): pass")
    result = checkup.quick(*BLUE)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*the round-trip times are not steady*"])
