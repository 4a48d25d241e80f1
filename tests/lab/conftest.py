"""What all tests against labs share. It also makes the modules beside it importable from the folders below."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def role():
    """The rules of the Role that is shipped."""
    return yaml.safe_load((ROOT / "manifests" / "permissions" / "role.yaml").read_text())["rules"]
