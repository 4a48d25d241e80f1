"""What the image is made of is pinned by hash, and fits what the project says that it needs."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(name):
    """Every entry of a lock: the requirement, its hashes, and who asked for it."""
    text = (ROOT / name).read_text(encoding="utf-8")
    for entry in re.split(r"\n(?=[A-Za-z0-9])", "\n" + text)[1:]:
        line = entry.partition(" \\")[0].strip()
        yield Requirement(line), re.findall(r"--hash=sha256:([0-9a-f]{64})", entry), entry


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock"])
def test_every_entry_is_one_version_with_hashes(name):
    found = list(pins(name))
    assert found
    for requirement, hashes, _ in found:
        (pin,) = requirement.specifier
        assert pin.operator == "=="
        assert hashes, requirement


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock"])
def test_no_lock_names_a_place_to_fetch_from(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"://|--index-url|--find-links", text)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("requirements.lock", PROJECT["project"]["dependencies"]),
        ("requirements-build.lock", PROJECT["build-system"]["requires"]),
    ],
)
def test_all_that_the_project_needs_is_locked_within_its_range(name, wanted):
    locked = {
        canonicalize_name(one.name): next(iter(one.specifier)).version
        for one, _, _ in pins(name)
        if one.marker is None
    }
    for text in wanted:
        requirement = Requirement(text)
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), requirement


def test_nothing_is_locked_that_nobody_asked_for():
    direct = {canonicalize_name(Requirement(text).name) for text in PROJECT["project"]["dependencies"]}
    for requirement, _, entry in pins("requirements.lock"):
        via = set(
            re.findall(r"#\s+(?:via )?([A-Za-z0-9._-]+)(?: \(pyproject\.toml\))?$", entry, re.MULTILINE)
        )
        assert via - {"via"}, requirement
        if via - {"via"} == {"pytest-kvlatency"}:
            assert canonicalize_name(requirement.name) in direct


@pytest.mark.parametrize("extra", PROJECT["project"]["optional-dependencies"]["lab"])
def test_the_lab_is_not_in_the_image(extra):
    """aiohttp is there all the same: the Kubernetes client needs it."""
    name = canonicalize_name(Requirement(extra).name)
    entries = {canonicalize_name(one.name): entry for one, _, entry in pins("requirements.lock")}
    if name in entries:
        assert re.search(r"# via\s+(#\s+)?(kubernetes|aiohttp)", entries[name])
