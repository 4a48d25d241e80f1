"""Nodes in the order in which people look for them."""

from __future__ import annotations

import random

from pytest_kvlatency.plan.order import natural_key


def test_numbers_inside_names_count_as_numbers() -> None:
    wanted = [
        "node-2.example",
        "node-10.example",
        "rack1-worker2",
        "rack1-worker10",
        "rack2-worker1",
        "worker",
        "worker1",
    ]
    mixed = random.Random(1).sample(wanted, len(wanted))
    assert sorted(mixed, key=natural_key) == wanted


def test_names_that_differ_only_in_leading_zeros_keep_one_order() -> None:
    assert sorted(["worker02", "worker2", "worker1"], key=natural_key) == sorted(
        ["worker2", "worker02", "worker1"], key=natural_key
    )
