"""The exceptions that users name in their own tests."""

from __future__ import annotations

import pytest_kvlatency
from pytest_kvlatency import errors


def test_every_cause_can_be_imported_from_the_package() -> None:
    causes = {
        name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)
    }
    assert causes <= set(pytest_kvlatency.__all__)
    assert all(getattr(pytest_kvlatency, name) is getattr(errors, name) for name in causes)
