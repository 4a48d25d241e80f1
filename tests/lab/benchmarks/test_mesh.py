"""The benchmark of a mesh measures what it says, on few simulated guests whose time runs faster."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def mesh():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import mesh

        yield mesh
    finally:
        sys.path.remove(str(BENCHMARKS))
        sys.modules.pop("mesh", None)


@pytest.fixture(scope="module")
def made(mesh):
    return mesh.run(4, sample="1s", time_scale=20)


@pytest.fixture
def base(mesh, made):
    return mesh.Base(wall=3.0, memory_mb=made.memory_mb - 4.0, one_by_one=1.1)


def test_every_pair_is_measured_and_the_stages_fit_into_the_whole(made):
    assert (made.nodes, made.pairs, made.least) == (4, 6, 3.0)
    assert 0 < made.median_pair <= made.longest_pair <= made.measuring < made.wall
    assert 0 < made.bringing_up < made.wall
    assert made.cpu > 0


def test_an_odd_mesh_has_as_many_rounds_as_nodes(made):
    assert replace(made, nodes=5).least == 5.0


def test_each_budget_that_is_exceeded_is_named(mesh, made, base):
    good = replace(made, measuring=3.3)
    lines, exceeded = mesh.summary(good, base)
    assert exceeded == []
    assert any("1.10 x 3 s (at most 1.25 x)" in line for line in lines)
    assert any("2.0 x as long: 1.10 s for each pair" in line for line in lines)
    _, exceeded = mesh.summary(replace(good, measuring=4.5, memory_mb=good.memory_mb + 8), base)
    assert exceeded == [
        "4 nodes: 1.50 x the rounds' samples, at most 1.25 x",
        "4 nodes: 3.00 MB for each guest, at most 2",
    ]


@pytest.mark.parametrize(("nodes", "factor"), [(4, 1.25), (32, 1.25), (33, 1.35), (64, 1.35), (200, 1.35)])
def test_larger_meshes_may_take_more(made, nodes, factor):
    assert replace(made, nodes=nodes).budget == factor
