"""How far a run is, as a person sees it: at 80 and at 200 columns, with and without colours, and with workers."""

from __future__ import annotations

import re
import sys

import forking
import pytest
from plain import plain
from terminal import Terminal, steady

LAB = """
guests: sim
nodes: [worker1, worker2, worker3, worker4]
networks:
  default/blue-network: {latency: 100us}
links:
  - {between: [worker1, worker2], latency: 12ms}
faults:
  # Longer than anything takes here: a run that uses worker4 stays half-way until it is stopped.
  - {fault: slow-boot, after: 2h, node: worker4}
seed: 7
boot: 100ms
time_scale: 20
"""
#: What is written as one digit, however many there are.
TIMES = ((r"booting \d+ s", "booting 0 s"),)
#: The pairs that have an end.
UP = ("-k", "not worker4")
#: Two of the three pairs are reported, all three are measured, and the next one waits for worker4.
HALF_WAY = r"^3/6 .* ms worker1→worker2  waiting: worker4 booting \d+ s$"
#: The same where there is room for all of it.
WHOLE_HALF_WAY = HALF_WAY.replace("  waiting", "  round 1/3  waiting")
#: With workers: each brings up guests of its own.
SHARED = (
    r"^\d/6  1 failed  worst \d\d\.\d ms worker1→worker2  ~\d+ s left  "
    r"waiting: worker4 booting \d+ s(, \+\d)?$"
)
WHOLE = "worst 00.0 ms worker1→worker2  round 1/3  waiting: worker4 booting 0 s"
NARROW = "worst 00.0 ms worker1→worker2  waiting: worker4 booting 0 s"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    directory = tmp_path_factory.mktemp("lab")
    spec = directory / "lab.yaml"
    spec.write_text(LAB, encoding="utf-8")
    process = forking.lab(spec, directory / "run")
    yield process
    process.stop()


@pytest.fixture
def mesh(lab, tmp_path):
    """Start a run of a mesh on a terminal."""
    (tmp_path / "eager.py").write_text(
        "from pytest_kvlatency.checkup import progress\nprogress.LOG_SECONDS = progress.GROWTH = 0\n"
    )

    def start(*arguments, columns, **environment):
        fixed = ["-p", "no:cacheprovider", "-p", "eager", "--tb=no", "-rN", "--rootdir", "."]
        fixed += ["--kv-kubeconfig", lab.kubeconfig, "--kv-nad", "default/blue-network", "--kv-nodes", "mesh"]
        fixed += ["--kv-sample-duration", "500ms", "--kv-warmup", "0", "--kv-max-latency", "20ms"]
        return Terminal(
            [sys.executable, "-m", "pytest", *fixed, *arguments],
            columns=columns,
            directory=tmp_path,
            environment={**plain(arguments=arguments), "PYTHONPATH": ".", **environment},
        )

    return start


def below_the_header(lines):
    """What stands below the last line of the header and the empty one after it."""
    last = max(number for number, line in enumerate(lines) if "(command line)" in line)
    return steady(lines[last + 2 :], TIMES)


def test_on_a_terminal_the_line_stands_below_the_dots_and_fills_the_width(mesh):
    with mesh("--color=yes", columns=80) as terminal:
        terminal.sees(r"^kvlatency F\.$")
        shows_half_way(terminal, terminal.sees(HALF_WAY), NARROW)
        # How long the rest takes is said while pairs are measured, and not for long after.
        assert re.search(rb"\d/6 [^\r\n]*~\d+ s left", terminal.written)
        terminal.resize(200)
        shows_half_way(terminal, terminal.sees(WHOLE_HALF_WAY), WHOLE)


def shows_half_way(terminal, view, said):
    assert below_the_header(view) == ["kvlatency F.", f"3/6  1 failed  {said}"]
    assert below_the_header(terminal.marked) == [
        "kvlatency <red>F</><green>.</>",
        f"3/6  <red>1 failed</>  {said}",
    ]


def test_on_a_terminal_the_line_is_gone_in_the_end(mesh):
    with mesh("--color=yes", *UP, columns=80) as terminal:
        terminal.sees(r"^\d/3 ")
        assert terminal.ends() == 1
        assert not [line for line in terminal.all if re.match(r"\d/3 ", line)]
        assert [line for line in terminal.all if re.match(r"kvlatency F\.\. +\[100%\]$", line)]


def test_without_colours_there_are_lines_that_stay(mesh):
    with mesh(columns=80, NO_COLOR="1") as terminal:
        for columns, half_way, said in ((80, HALF_WAY, NARROW), (200, WHOLE_HALF_WAY, WHOLE)):
            terminal.resize(columns)
            terminal.sees(half_way)
            assert b"\x1b" not in terminal.written
            lines = below_the_header(terminal.all)
            assert lines[0] == "kvlatency"
            # The dots go on at the beginning of a line.
            ours = re.compile(r"kvlatency: |\d/6  ")
            assert "".join(line for line in lines[1:] if not ours.match(line)) == "F."
            assert lines[-1] == f"3/6  1 failed  {said}"
            assert max(map(len, terminal.all)) <= columns


def test_v_says_the_numbers_of_each_pair(mesh):
    with mesh("-v", "--color=yes", "-k", "worker1 and not worker4", columns=200) as terminal:
        assert terminal.ends() == 1
        lines = steady([line for line in terminal.marked if "::" in line and "%" in line])
    start = "kvlatency::check[default/blue-network-worker1:worker"
    assert [re.sub(r" {2,}", " … ", line) for line in lines] == [
        f"{start}2] <red>FAILED 00.0/00.0 ms … [ 50%]</>",
        f"{start}3] <green>PASSED 0.00/0.00 ms</><red> … [100%]</>",
    ]


def test_the_controller_of_xdist_shows_the_same_line_and_takes_it_away(mesh):
    with mesh("-n", "2", "--color=yes", columns=120) as terminal:
        # A pair counts as soon as it is measured, its test only when the worker has reported it.
        terminal.sees("^[F.]*F[F.]*$")
        view = terminal.sees(SHARED)
        assert re.match(SHARED, view[-1]), view
        assert set(view[-2]) <= set("F."), view
        terminal.presses("\x03")
        assert terminal.ends() == 2
        assert not [line for line in terminal.all if re.match(r"\d/6 ", line)]
        # Nor does the header run into what xdist was writing.
        assert not [line for line in terminal.all if re.search(r"\Skvlatency: --kv", line)]
        assert [line for line in terminal.all if re.match(r"[F.]*F[F.E]*$", line)]
