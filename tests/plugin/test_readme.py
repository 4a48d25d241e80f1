"""README and docs, held to what they say: commands are run, Python is run, YAML is read, tables are complete."""

from __future__ import annotations

import ast
import configparser
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
import yaml

from pytest_kvlatency.__main__ import main
from pytest_kvlatency.checkup import own_run as only
from pytest_kvlatency.config.options import OPTIONS
from pytest_kvlatency.errors import FailureKind
from pytest_kvlatency.lab.process import LabProcess
from pytest_kvlatency.lab.spec.file import load
from pytest_kvlatency.report.document import build
from pytest_kvlatency.report.measurement import measurement_entry
from pytest_kvlatency.report.run import ItemResult, RunResult

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Checkup

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "conftest_example" / "README.md", *(ROOT / "docs").glob("*.md")])
_NOW = datetime(2024, 5, 1, tzinfo=timezone.utc)
LANGUAGES = {"sh", "python", "yaml", "text", "ini"}
_BLOCK = re.compile(
    r"(?:<!-- (?P<note>[^>]*) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """One block of code. ``note`` is the comment above it: how it is checked, or why it is not run."""

    page: str
    number: int
    language: str
    note: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page}-{self.number}-{self.language}"


def _blocks() -> list[Block]:
    found = []
    for page in PAGES:
        for number, match in enumerate(_BLOCK.finditer(page.read_text(encoding="utf-8"))):
            name = str(page.relative_to(ROOT))
            found.append(Block(name, number, match["language"], match["note"] or "", match["text"]))
    return found


BLOCKS = _blocks()


def _with(language: str, note: str = "") -> list[Any]:
    chosen = [one for one in BLOCKS if one.language == language and one.note == note]
    assert chosen, f"no {language} block with the note {note!r} is left"
    return [pytest.param(one, id=one.name) for one in chosen]


def _commands(text: str) -> list[list[str]]:
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def _readme(note: str) -> str:
    (block,) = [one for one in BLOCKS if one.page == "README.md" and one.note == note]
    return block.text


def _quick(block: Block) -> str:
    """Options that shorten the commands of a block as far as they leave it open how long they take."""
    is_whole = "conftest_example" not in block.text or block.page.startswith("conftest_example")
    return "--kv-sample-duration 1s" + ("" if is_whole else " -k 'any_two_nodes or baseline'")


def _needs_real_time(block: Block) -> bool:
    """Whether it has a migration or a stream, which cannot be measured in a lab with compressed time."""
    return re.search(r":\w+>\w|kv_stream", block.text) is not None


@pytest.fixture
def checkup(checkup: Checkup, request: pytest.FixtureRequest) -> Checkup:
    """For a block with a migration or a stream, against a lab in which they can be measured."""
    block = getattr(request.node, "callspec", None) and request.node.callspec.params.get("block")
    if block is None or not _needs_real_time(block):
        return checkup
    return type(checkup)(checkup.pytester, request.getfixturevalue("unhurried_lab").kubeconfig)


# --- that nothing escapes the checks below


def test_every_block_has_a_language_and_every_command_a_check() -> None:
    # "job" is checked beside the lab that runs Jobs.
    notes = {"main", "tests", "pytest", "report", "lab", "kubectl", "job"}
    for block in BLOCKS:
        assert block.language in LANGUAGES, block.name
        if block.language == "sh":
            kind, _, what = block.note.partition(": ")
            assert (kind == "checked" and what in notes) or (kind == "not run" and what), block.name


# --- the two commands


def test_the_first_command_sets_up_runs_and_leaves_three_reports() -> None:
    text = _readme("checked: main")
    subprocess.run(["sh", "-n", "-c", text], check=True)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extra = re.search(r"pip install '\.\[(\w+)\]'", text)
    assert extra is not None
    assert re.search(rf"^{extra[1]} = \[", project, re.MULTILINE)
    assert "-m pytest_kvlatency.lab setup" in text
    for report in ("--kv-json reports/", "--junitxml reports/", "--kv-html reports/"):
        assert report in text


def test_the_first_command_runs_the_check(checkup: Checkup, monkeypatch: pytest.MonkeyPatch) -> None:
    last = _readme("checked: main").split("&&")[-1].replace("\\\n", " ")
    python, *arguments = shlex.split(last)
    assert python == ".venv/bin/python"
    module, name, *given = (one for one in arguments if one != "--kv-lab")
    assert (module, name) == ("-m", "pytest_kvlatency")
    monkeypatch.setenv("KUBECONFIG", str(checkup.kubeconfig))
    assert checkup.pytester.runpytest_inprocess(*only.isolated(given)).ret == 0
    reports = checkup.pytester.path / "reports"
    assert {one.name for one in reports.iterdir()} == {"latency.html", "junit.xml", "latency.json"}
    for one in reports.iterdir():
        assert one.name in (ROOT / "README.md").read_text(encoding="utf-8").partition("```sh")[0]


def test_the_second_command_is_tox_and_tox_knows_every_python_of_the_classifiers() -> None:
    text = _readme("checked: tests")
    subprocess.run(["sh", "-n", "-c", text], check=True)
    assert text.rstrip().endswith(".venv/bin/tox")
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    pythons = re.findall(r"Python :: 3\.(\d+)\"", project)
    assert f"py{{{','.join(f'3{minor}' for minor in pythons)}}}" in tox["tox"]["env_list"]
    said = re.search(
        r"Every installed Python from 3\.(\d+) to 3\.(\d+)", (ROOT / "README.md").read_text(encoding="utf-8")
    )
    assert said is not None
    assert (said[1], said[2]) == (pythons[0], pythons[-1])
    for part in ("lint", "types", "qemu", "steady", "browser"):
        assert f"testenv:{part}" in tox


def test_both_commands_make_the_environment_in_the_same_way() -> None:
    first, second = (_readme(f"checked: {one}").splitlines()[0] for one in ("main", "tests"))
    assert first == second


# --- commands against the lab


@pytest.mark.parametrize("block", _with("sh", "checked: pytest"))
def test_pytest_commands_pass(block: Block, checkup: Checkup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that run the example suite run all of it on its own page, and two of its tests elsewhere."""
    monkeypatch.setenv("KUBECONFIG", str(checkup.kubeconfig))
    monkeypatch.setenv("PYTEST_ADDOPTS", _quick(block))
    for program, *arguments in _commands(block.text):
        if program == "python":
            module, name, *given = arguments
            assert (module, name) == ("-m", "pytest_kvlatency")
            arguments = only.isolated(given)  # noqa: PLW2901 - what that command gives to pytest
        else:
            assert program == "pytest"
        if "conftest_example" in arguments:
            shutil.copytree(ROOT / "conftest_example", checkup.pytester.path / "conftest_example")
        result = checkup.pytester.runpytest_inprocess(*arguments)
        assert result.ret == 0, arguments


def test_report_commands_make_what_they_name(checkup: Checkup) -> None:
    result = checkup.quick("--kv-nad", "default/blue-network", "--kv-json", "reports/latency.json")
    assert result.ret == 0
    for block in [one for one in BLOCKS if one.note == "checked: report"]:
        for python, *arguments in _commands(block.text):
            assert [python, *arguments[:3]] == ["python", "-m", "pytest_kvlatency", "report"]
            assert main(arguments[2:]) == 0
            for file in arguments[3:]:
                assert file.startswith("--") or (checkup.pytester.path / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("output", _with("text", "checked: output"))
def test_the_output_that_is_shown_is_that_of_the_command_above_it(
    output: Block, checkup: Checkup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(checkup.kubeconfig))
    monkeypatch.setenv("COLUMNS", "250")
    (command,) = [one for one in BLOCKS if (one.page, one.number) == (output.page, output.number - 1)]
    (words,) = _commands(command.text)
    result = checkup.pytester.runpytest_inprocess(*only.isolated(words[3:]))
    printed = result.stdout.str().replace(str(checkup.kubeconfig), "lab/kubeconfig")
    printed = re.sub(r"https://127\.0\.0\.1:\d+", "https://127.0.0.1:6443", printed)
    assert output.text in printed


@pytest.mark.parametrize("block", _with("sh", "checked: lab"))
def test_lab_commands_pass(block: Block, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", _quick(block))
    _write_lab_file(pytester.path)
    shutil.copytree(ROOT / "conftest_example", pytester.path / "conftest_example")
    for program, *arguments in _commands(block.text):
        assert program == "pytest"
        # The same guests, but ten times as fast.
        fast = ["--kv-lab=lab.yaml" if one == "--kv-lab=sim" else one for one in arguments]
        assert pytester.runpytest_inprocess(*fast).ret == 0, arguments


def _write_lab_file(directory: Path) -> None:
    texts = [one.text for one in BLOCKS if one.page == "README.md" and one.text.startswith("guests:")]
    assert len(texts) == 1
    (directory / "lab.yaml").write_text(texts[0], encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory with the README's lab running in ``lab``, as its ``lab up`` would have it."""
    _write_lab_file(tmp_path)
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    process = LabProcess.start(str(tmp_path / "lab.yaml"), tmp_path / "lab", 60)
    try:
        yield tmp_path
    finally:
        process.stop()


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_commands_work_in_the_order_in_which_they_are_read(place: Path) -> None:
    """All in one shell session, as a reader would type them."""
    environment = {
        **os.environ,
        "KUBECONFIG": "lab/kubeconfig",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    script = "\n".join(
        one.text for one in BLOCKS if one.page == "README.md" and one.note == "checked: kubectl"
    )
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=place,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "role.rbac.authorization.k8s.io/kubevirt-vm-latency-checker created",
        "role.rbac.authorization.k8s.io/kubevirt-vm-latency-diagnosis created",
        "\nyes\n",
        'status.succeeded: "true"',
        "worker3",
        "blue-network",
        "kept VMI",
        "Running",
    ):
        assert words in done.stdout


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("block", [one for one in _with("yaml") if "apiVersion:" in one.values[0].text])
def test_manifests_in_the_text_apply(block: Block, lab: LabProcess) -> None:
    command = ["kubectl", "--kubeconfig", str(lab.kubeconfig), "apply", "--dry-run=server", "-f", "-"]
    done = subprocess.run(command, input=block.text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_readmes_role_and_configmap_are_the_manifests() -> None:
    shown = [yaml.safe_load(one.text) for one in BLOCKS if one.language == "yaml" and one.page == "README.md"]
    shown = [one for one in shown if "kind" in one]
    files = {"Role": "permissions/role.yaml", "ConfigMap": "base/configmap.yaml"}
    assert [one["kind"] for one in shown] == list(files)
    for one in shown:
        text = (ROOT / "manifests" / files[one["kind"]]).read_text(encoding="utf-8")
        assert one == yaml.safe_load(text)


@pytest.mark.parametrize("block", [one for one in _with("yaml") if "networks:" in one.values[0].text])
def test_lab_files_in_the_text_are_valid(block: Block) -> None:
    assert load(block.text, block.name).networks


# --- Python and ini blocks


@pytest.mark.parametrize("is_unhurried", [False, True], ids=["", "unhurried"])
def test_python_blocks_are_tests_that_pass(
    is_unhurried: bool, checkup: Checkup, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a module of one run."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "--kv-sample-duration 1s")
    if is_unhurried:
        checkup.kubeconfig = request.getfixturevalue("unhurried_lab").kubeconfig
    expected = {}
    for (block,) in (one.values for one in _with("python")):
        if _needs_real_time(block) is is_unhurried:
            name = f"test_{re.sub(r'[^a-z0-9]', '_', block.name.lower())}.py"
            (checkup.pytester.path / name).write_text(block.text, encoding="utf-8")
            tree = ast.walk(ast.parse(block.text))
            expected[name] = sum(
                isinstance(one, ast.FunctionDef) and one.name.startswith("test_") for one in tree
            )
    result = checkup.run("-W", "error", "-rA")
    # What a page shows as an expected failure fails as expected.
    assert result.parseoutcomes().keys() <= {"passed", "xfailed"}
    for name, count in expected.items():
        ended = [line for line in result.outlines if line.startswith((f"PASSED {name}::", f"XFAIL {name}::"))]
        assert len(ended) >= count, name


@pytest.mark.parametrize("block", _with("ini"))
def test_ini_blocks_are_taken(block: Block, pytester: pytest.Pytester) -> None:
    (pytester.path / "pytest.ini").write_text(block.text, encoding="utf-8")
    pytester.makepyfile("def test_it(kv_check): pass")
    result = pytester.runpytest_inprocess("--collect-only")
    result.stdout.fnmatch_lines(
        [
            "kvlatency: kv_nad = default/blue-network, default/red-network (pytest.ini)",
            "kvlatency: kv_max_latency = 10ms (pytest.ini)",
            "*test_it[[]default/blue-network-auto[]]*",
        ]
    )


# --- the documents' own claims


def test_generated_parts_are_fresh() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.stale() == [], "run: python docs/generate.py"


def test_the_json_page_names_every_key_of_the_document() -> None:
    page = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", page))
    entry = measurement_entry(ItemResult(nodeid="x", outcome="notrun"))
    head = build(RunResult(version="0", start=_NOW, completion=_NOW))
    assert set(entry) - named == set()
    assert set(head) - named == set()


@pytest.mark.parametrize("kind", get_args(FailureKind))
def test_every_kind_of_failure_is_explained(kind: str) -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    assert f"\n## `{kind}`\n" in page
    assert f"`{kind}`" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere_and_options_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target
    flags = {option.flag for option in OPTIONS}
    assert set(re.findall(r"--kv-[a-z0-9-]*[a-z0-9]", text)) <= flags


def test_the_modules_that_how_it_works_names_exist() -> None:
    text = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    rooms = [one.name for one in (ROOT / "pytest_kvlatency").iterdir() if one.is_dir() and one.name[0] != "_"]
    named = set(re.findall(rf"`((?:{'|'.join(rooms)})/[a-z_/]*)`", text))
    assert len(named) > 40
    missing = [
        name
        for name in named
        if not (ROOT / "pytest_kvlatency" / name).is_dir()
        and not (ROOT / "pytest_kvlatency" / f"{name}.py").is_file()
    ]
    assert missing == []
