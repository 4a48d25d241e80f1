"""What a person sees at the end of a run: the screen of a terminal, as wide as theirs, with colours and without."""

import re
import sys
from pathlib import Path

import forking
import pytest
from terminal import Terminal

HERE = Path(__file__).parent
ROWS = 40
LAB = """
guests: sim
nodes: [worker1, worker2, worker3, worker4, worker5, {name: worker6, unschedulable: true}]
networks:
  default/blue-network: {latency: 100us, jitter: 20us}
  default/red-network: {latency: 200us}
  default/green-network: {latency: 150us}
links:
  - {between: [worker1, worker3], network: default/blue-network, latency: 12ms}
  - {between: [worker2, worker4], network: default/red-network, loss: 20%}
  - {between: [worker3, worker5], network: default/green-network, partition: true}
seed: 7
boot: 100ms
time_scale: 20
"""
MESH = (
    *("--kv-nad=default/blue-network", "--kv-nad=default/red-network", "--kv-nad=default/green-network"),
    *(
        "--kv-nodes=mesh",
        "--kv-node-set=worker1,worker2,worker3,worker4,worker5,worker6",
        "--kv-max-latency=10ms",
    ),
)
PAIR = ("--kv-nad=default/blue-network", "--kv-nodes=worker1:worker2")


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory):
    directory = tmp_path_factory.mktemp("lab")
    spec = directory / "lab.yaml"
    spec.write_text(LAB, encoding="utf-8")
    process = forking.lab(spec, directory / "run")
    try:
        yield process.kubeconfig
    finally:
        process.stop()


@pytest.fixture
def shown(kubeconfig, tmp_path):
    def run(*arguments, columns, status):
        command = [
            sys.executable,
            "-m",
            "pytest_kvlatency",
            "--kv-kubeconfig",
            kubeconfig,
            "--kv-sample-duration=2s",
        ]
        written = ("--kv-json=result.json", "--junitxml=junit.xml")
        with Terminal(
            [*command, *arguments, *written], columns=columns, rows=ROWS, directory=tmp_path
        ) as terminal:
            assert terminal.ends() == status, terminal
        return terminal

    return run


def end_of(lines):
    """From the plugin's title on."""
    return lines[next(number for number, line in enumerate(lines) if re.search(r"=+ kvlatency =+", line)) :]


def summary_of(lines):
    """The plugin's own part of the end: pytest's lines below depend on its version."""
    lines = end_of(lines)
    return lines[: next(number for number, line in enumerate(lines) if number and re.search(r"={9,}", line))]


def is_as_before(name, lines):
    path = HERE / f"{name}.txt"
    text = "\n".join(lines) + "\n"
    known = path.read_text(encoding="utf-8") if path.exists() else ""
    assert text == known, f"if this is how it should look, it belongs into {path.name}:\n{text}"


@pytest.mark.parametrize("columns", [80, 200])
def test_a_run_with_four_faults_ends_with_their_causes_within_forty_lines(shown, columns):
    terminal = shown(*MESH, columns=columns, status=1)
    # All of it is on the screen when the run is over.
    lines = end_of(terminal.view)
    assert len(lines) <= ROWS
    assert [line for line in lines if re.match(r"\d\. ", line)] == [
        "1. worker6 is cordoned: 15 pairs on 3 networks",
        "2. latency exceeds the limit between worker1 and worker3 on default/blue-network",
        "3. packets are lost between worker2 and worker4 on default/red-network",
        "4. no replies between worker3 and worker5 on default/green-network",
    ]
    is_as_before(f"failing-{columns}", summary_of(lines))
    is_as_before(f"failing-{columns}-in-colour", summary_of(terminal.marked))


@pytest.mark.parametrize("columns", [80, 200])
def test_without_colours_the_same_is_said(shown, columns):
    terminal = shown(*MESH, "--color=no", columns=columns, status=1)
    is_as_before(f"failing-{columns}", summary_of(terminal.view))
    assert not re.search(rb"\x1b\[[\d;]*m", terminal.written)


@pytest.mark.parametrize("columns", [80, 200])
def test_a_healthy_pair_ends_with_its_numbers_in_one_row(shown, columns):
    terminal = shown(*PAIR, columns=columns, status=0)
    is_as_before(f"healthy-{columns}", summary_of(terminal.view))
    is_as_before(f"healthy-{columns}-in-colour", summary_of(terminal.marked))


def test_the_readme_shows_such_an_end():
    readme = (HERE.parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"```text\n{(HERE / 'failing-80.txt').read_text(encoding='utf-8')}```\n" in readme
