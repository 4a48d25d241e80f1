from __future__ import annotations

import os

import pytest

from pytest_kvlatency.lab.guests.qemu.setup import usable

REQUIRE = "KVLATENCY_REQUIRE_QEMU"


def pytest_runtest_setup(item):
    if item.get_closest_marker("qemu") is None:
        return
    trouble = usable()
    if trouble is None:
        return
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{REQUIRE}=1, but {trouble}", pytrace=False)
    pytest.skip(trouble)
