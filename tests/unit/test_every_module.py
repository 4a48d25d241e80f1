"""Every module of the package imports, in an interpreter that has loaded nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.smoke

IMPORT_ALL = """
import importlib
import pkgutil

import pytest_kvlatency

for one in pkgutil.walk_packages(pytest_kvlatency.__path__, "pytest_kvlatency."):
    if not one.name.endswith(".__main__"):
        importlib.import_module(one.name)
        print(one.name)
"""


def test_every_module_imports() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"pytest_kvlatency.plugin", "pytest_kvlatency.lab.apiserver.app"} <= set(done.stdout.split())
