"""What a person sees at the end of a run: the screen of a terminal, as wide as theirs, with colours and without."""

import json
import re
import sys
from pathlib import Path

import forking
import pytest
from _pytest._io import TerminalWriter
from plain import plain
from terminal import Terminal

from pytest_kvlatency.report.terminal.summary import write_summary

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


def shown(kubeconfig, directory, *arguments, columns, status):
    command = [sys.executable, "-m", "pytest_kvlatency", "--kv-kubeconfig", kubeconfig]
    command += ["--kv-sample-duration=2s", "--kv-json=result.json", "--junitxml=junit.xml"]
    with Terminal(
        [*command, *arguments], columns=columns, rows=ROWS, directory=directory, environment=plain()
    ) as terminal:
        assert terminal.ends() == status, terminal
    return terminal


@pytest.fixture(scope="module")
def failing(kubeconfig, tmp_path_factory):
    """A run with four faults, in colour at 80 columns; and the directory of its reports."""
    directory = tmp_path_factory.mktemp("failing")
    return shown(kubeconfig, directory, *MESH, columns=80, status=1), directory


@pytest.fixture(scope="module")
def healthy(kubeconfig, tmp_path_factory):
    """A run of a good pair, in colour at 200 columns; and the directory of its reports."""
    directory = tmp_path_factory.mktemp("healthy")
    return shown(kubeconfig, directory, *PAIR, columns=200, status=0), directory


def shown_elsewhere(run, *, columns, has_colours):
    """The summary of the same run on another terminal."""
    terminal, directory = run
    document = json.loads((directory / "result.json").read_text(encoding="utf-8"))
    files = summary_of(terminal.view)[-2:]
    with (directory / "summary").open("w", encoding="utf-8") as stream:
        writer = TerminalWriter(stream)
        writer.hasmarkup, writer.fullwidth = has_colours, columns
        write_summary(writer, document, reserved=len(files))
        for line in files:
            writer.line(line)
    with Terminal(["cat", "summary"], columns=columns, rows=ROWS, directory=directory) as other:
        assert other.ends() == 0
    return other


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


def test_a_run_with_four_faults_ends_with_their_causes_within_forty_lines(failing):
    terminal, _ = failing
    # All of it is on the screen when the run is over.
    lines = end_of(terminal.view)
    assert len(lines) <= ROWS
    assert [line for line in lines if re.match(r"\d\. ", line)] == [
        "1. worker6 is cordoned: 15 pairs on 3 networks",
        "2. latency exceeds the limit between worker1 and worker3 on default/blue-network",
        "3. packets are lost between worker2 and worker4 on default/red-network",
        "4. no replies between worker3 and worker5 on default/green-network",
    ]
    is_as_before("failing-80", summary_of(lines))
    is_as_before("failing-80-in-colour", summary_of(terminal.marked))


def test_wide_terminals_show_the_same_run_in_wide_rows(failing):
    other = shown_elsewhere(failing, columns=200, has_colours=True)
    is_as_before("failing-200", other.view)
    is_as_before("failing-200-in-colour", other.marked)


@pytest.mark.parametrize("columns", [80, 200])
def test_without_colours_the_same_is_said(failing, columns):
    other = shown_elsewhere(failing, columns=columns, has_colours=False)
    is_as_before(f"failing-{columns}", other.view)
    assert b"\x1b" not in other.written


def test_a_healthy_pair_ends_with_its_numbers_in_one_row(healthy):
    terminal, _ = healthy
    is_as_before("healthy-200", summary_of(terminal.view))
    is_as_before("healthy-200-in-colour", summary_of(terminal.marked))
    other = shown_elsewhere(healthy, columns=80, has_colours=True)
    is_as_before("healthy-80", other.view)
    is_as_before("healthy-80-in-colour", other.marked)


def test_color_no_has_a_healthy_pair_shown_without_colours(kubeconfig, tmp_path):
    terminal = shown(kubeconfig, tmp_path, *PAIR, "--color=no", columns=80, status=0)
    is_as_before("healthy-80", summary_of(terminal.view))
    assert not re.search(rb"\x1b\[[\d;]*m", terminal.written)


def test_the_readme_shows_such_an_end():
    readme = (HERE.parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"```text\n{(HERE / 'failing-80.txt').read_text(encoding='utf-8')}```\n" in readme
