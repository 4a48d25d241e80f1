"""Wrong options end the run before anything is contacted: status 4, what, which value, what is valid, from where."""

from __future__ import annotations

import pytest

NAD = ("--kv-nad", "default/blue-network")

CASES = {
    "duration-typo": (
        ["--kv-max-latency", "10xs"],
        ["ERROR: --kv-max-latency: '10xs' is not a duration. Did you mean 10ms[?] (from the command line)"],
    ),
    "duration-no-unit": (
        ["--kv-max-latency", "10"],
        ["ERROR: --kv-max-latency: '10' has no unit. Did you mean 10ms[?] (from the command line)"],
    ),
    "duration-negative": (["--kv-max-latency=-5ms"], ["*--kv-max-latency*-5ms*negative*command line*"]),
    "duration-negative-two-words": (
        ["--kv-max-latency", "-5ms"],
        ["ERROR: --kv-max-latency: '-5ms' is negative. Did you mean 5ms? (from the command line)"],
    ),
    "duration-empty": (["--kv-max-latency", ""], ["*--kv-max-latency*''*command line*"]),
    "nad-three-parts": (["--kv-nad", "a/b/c"], ["*--kv-nad*a/b/c*command line*"]),
    "nad-empty": (["--kv-nad", ""], ["*--kv-nad*''*command line*"]),
    "nodes-one": (["--kv-nodes", "w1"], ["*--kv-nodes*'w1'*command line*"]),
    "nodes-no-target": (["--kv-nodes", "w1:"], ["*--kv-nodes*'w1:'*command line*"]),
    "nodes-one-node-that-migrates": (
        ["--kv-nodes", "w1>w2"],
        [
            "ERROR: --kv-nodes: 'w1>w2' is not a node pair. Did you mean w1:w2[?] (or SRC:w1>w2, *(from the command line)"
        ],
    ),
    "nodes-no-destination": (
        ["--kv-nodes", "w1:w2>"],
        [
            "ERROR: --kv-nodes: 'w1:w2>' names no destination: expected SRC:DST>NEW, or SRC:DST>[?] for any node (from *"
        ],
    ),
    "nodes-migrates-to-where-it-is": (
        ["--kv-nodes", "w1:w2>w2"],
        [
            "ERROR: --kv-nodes: 'w1:w2>w2' migrates to the node where it starts: expected another node than w2, or *"
        ],
    ),
    "migrations-over-two-nodes": (
        ["--kv-nodes", "migrations", "--kv-node-set", "w1,w2"],
        [
            (
                "ERROR: --kv-nodes migrations needs at least three nodes, but the node set has 2: w1, w2 (from the "
                "command line)"
            )
        ],
    ),
    "a-drain-of-the-only-node": (
        ["--kv-nodes", "drain:w1", "--kv-node-set", "w1"],
        [
            "ERROR: --kv-nodes drain:w1 needs at least two nodes, but the node set has 1: w1 (from the command line)"
        ],
    ),
    "a-migration-to-nowhere": (
        ["--kv-nodes", "w1:w2>?", "--kv-node-set", "w2"],
        [
            "ERROR: --kv-nodes w1:w2>[?] has no node to migrate to: the node set has w2 (from the command line)"
        ],
    ),
    "gap-no-unit": (
        ["--kv-max-gap", "5"],
        ["ERROR: --kv-max-gap: '5' has no unit. Did you mean 5ms[?] (from the command line)"],
    ),
    "nodes-no-source": (["--kv-nodes", ":w2"], ["*--kv-nodes*':w2'*command line*"]),
    "timeout-too-short": (
        ["--kv-timeout", "3s", "--kv-sample-duration", "5s"],
        ["*--kv-timeout*3s*5s*--kv-sample-duration*"],
    ),
    "E51-image-upper-case": (
        ["--kv-image", "quay.io/Mine/guest:1"],
        [
            (
                "ERROR: --kv-image: 'quay.io/Mine/guest:1' is not an image reference: the repository 'Mine/guest' must be "
                "in lower case. Did you mean quay.io/mine/guest:1[?] (from the command line)"
            )
        ],
    ),
    "E51-image-space": (
        ["--kv-image", "Foo Bar"],
        [
            "*--kv-image: 'Foo Bar' is not an image reference: it contains ' '. Expected [[]REGISTRY/]NAME, then :TAG or @sha256:DIGEST *"
        ],
    ),
    "E51-image-empty-tag": (
        ["--kv-image", "quay.io/guest:"],
        ["*--kv-image: 'quay.io/guest:'*the tag is empty*"],
    ),
    "E51-image-digest": (
        ["--kv-image", "quay.io/guest@sha256:123"],
        ["*--kv-image: *a sha256 digest has 64 hexadecimal digits in lower case, not '123'*"],
    ),
    "E36-p99-too-few": (["--kv-max-p99", "5ms"], ["*--kv-max-p99*100 samples*--kv-sample-duration 10s*"]),
    "a-mesh-of-one": (
        ["--kv-nodes", "mesh", "--kv-node-set", "w1"],
        [
            "ERROR: --kv-nodes mesh needs at least two nodes, but the node set has 1: w1 (from the command line)",
            "Name nodes with --kv-node-set, or tolerate *",
        ],
    ),
    "lab-and-kubeconfig": (
        ["--kv-lab", "--kv-kubeconfig", "x"],
        [
            "ERROR: --kv-lab and --kv-kubeconfig cannot be combined: the lab is the cluster (from the command line)"
        ],
    ),
    "lab-swallows-a-path": (
        ["--kv-lab", "tests/test_x.py"],
        ["ERROR: --kv-lab: *tests/test_x.py*--kv-lab=sim tests/test_x.py *(from the command line)"],
    ),
}


@pytest.mark.edge_case(
    "E36",
    happens="The sample is too short for the percentile that a limit names.",
    does="Ends with exit status 4 before anything is contacted, and says how long to sample:",
    says="--kv-max-p99 … 100 samples … --kv-sample-duration 10s",
)
@pytest.mark.edge_case(
    "E51",
    happens="`--kv-image` is no image reference: upper-case letters, an empty tag, a digest of the wrong length.",
    does="Ends with exit status 4 before anything is contacted:",
    says="is not an image reference: …",
)
@pytest.mark.parametrize(("arguments", "lines"), CASES.values(), ids=CASES)
def test_wrong_options_are_usage_errors(
    pytester: pytest.Pytester, arguments: list[str], lines: list[str]
) -> None:
    result = pytester.runpytest_inprocess(*NAD, *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(lines)
    for output in (result.stderr, result.stdout):
        output.no_fnmatch_line("*Traceback*")
        output.no_fnmatch_line("*pytest_kvlatency*.py*")


def test_a_wrong_ini_value_names_the_ini_file(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nkv_max_latency = 10xs\n")
    result = pytester.runpytest_inprocess(*NAD)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*10xs*kv_max_latency in tox.ini*"])


def test_the_help_explains_durations_once(
    pytester: pytest.Pytester,
) -> None:
    shown = pytester.runpytest_inprocess("--help").stdout.str()
    assert "KubeVirt VM latency (DUR is a duration, such as 10ms, 1.5s or 5m):" in shown
    assert "--kv-max-latency=DUR" in shown
    assert "kv_max_latency (string)" in shown
    assert "--kv-baseline=FILE" in shown


def test_a_wrong_lab_file_names_every_problem_and_who_named_the_file(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nkv_lab = lab.yaml\n")
    pytester.makefile(".yaml", lab="guests: kvm\nnodes: 0\n")
    result = pytester.runpytest_inprocess(*NAD)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: --kv-lab: lab.yaml: guests: 'kvm'*expected one of auto, sim, qemu (from kv_lab in tox.ini)",
            "--kv-lab: lab.yaml: nodes: 0 is not an integer * (from kv_lab in tox.ini)",
        ]
    )


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            ["--kv-max-latency", "10xs", "--kv-nodes", "w1,w2"],
            [
                "ERROR: --kv-nodes: 'w1,w2' is not a node pair. Did you mean w1:w2[?] * (from the command line)",
                "--kv-max-latency: '10xs' is not a duration. Did you mean 10ms[?] (from the command line)",
            ],
        ),
        (
            ["--kv-max-latency", "-5ms", "--kv-nodes=w1,w2"],
            [
                "ERROR: --kv-max-latency: '-5ms' is negative. Did you mean 5ms[?] (from the command line)",
                "--kv-nodes: 'w1,w2' is not a node pair. Did you mean w1:w2[?] * (from the command line)",
            ],
        ),
        (
            ["--kv-lab=kvm", "--kv-packet-size", "x", "--kv-sweep", "--kv-preflight"],
            [
                "ERROR: --kv-packet-size: invalid packet size 'x': expected an integer from 16 to 65507 *",
                "--kv-lab: *kvm* (from the command line)",
                "--kv-sweep and --kv-preflight cannot be combined: *",
            ],
        ),
    ],
    ids=["two-values", "a-negative-one", "the-lab-and-a-contradiction"],
)
def test_all_wrong_options_are_reported_in_one_run(
    pytester: pytest.Pytester, arguments: list[str], lines: list[str]
) -> None:
    result = pytester.runpytest_inprocess(*NAD, *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(lines, consecutive=True)
