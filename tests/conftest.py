"""What all tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import documentschema
import pytest
from hypothesis import HealthCheck, settings

from pytest_kvlatency.report import document

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ["pytester"]

# Behaviour is tested, not the time it takes: a busy machine is slow, and not wrong.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# Every document that is made in a process of tests; those of other processes are read from their files below.
document.build = documentschema.checked(document.build)


@pytest.fixture(autouse=True)
def documents_match_their_schema(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold every document that a test or its runs wrote to its directory to the schema."""
    path = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if path is not None:
        documentschema.check_files(path)
