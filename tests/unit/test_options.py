from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_kvlatency.config.layers import hook_layer, layers
from pytest_kvlatency.config.options import OPTIONS, register
from pytest_kvlatency.config.problems import SettingsError
from pytest_kvlatency.config.resolve import resolve
from pytest_kvlatency.config.settings import Settings
from pytest_kvlatency.config.values import default_of, show


class Parser:
    """Takes what pytest's parser takes."""

    def __init__(self) -> None:
        self.options: dict[str, dict[str, Any]] = {}
        self.inis: dict[str, dict[str, Any]] = {}

    def getgroup(self, name: str, description: str) -> Parser:
        assert name == "kvlatency"
        assert description == "KubeVirt VM latency (DUR is a duration, such as 10ms, 1.5s or 5m)"
        return self

    def addoption(self, flag: str, **kwargs: Any) -> None:
        self.options[flag] = kwargs

    def addini(self, name: str, help: str, *, type: str, default: object) -> None:  # noqa: A002
        self.inis[name] = {"help": help, "type": type, "default": default}


@pytest.fixture
def parser() -> Parser:
    parser = Parser()
    register(parser)
    return parser


DOCUMENTED = {
    "--kv-nad", "--kv-nodes", "--kv-node-set", "--kv-max-latency", "--kv-max-avg", "--kv-max-p99", "--kv-max-loss", "--kv-max-gap",
    "--kv-sample-duration", "--kv-interval", "--kv-packet-size", "--kv-dont-fragment", "--kv-warmup", "--kv-timeout",
    "--kv-parallel", "--kv-namespace", "--kv-configmap", "--kv-kubeconfig", "--kv-context", "--kv-subnet",
    "--kv-binding", "--kv-guest", "--kv-image", "--kv-image-pull-secret", "--kv-toleration", "--kv-keep",
    "--kv-artifacts", "--kv-json", "--kv-html", "--kv-prometheus", "--kv-shard", "--kv-baseline", "--kv-max-regression", "--kv-sweep",
    "--kv-preflight", "--kv-lab",
}  # fmt: skip
WITHOUT_INI = {
    "dont_fragment",
    "kubeconfig",
    "artifacts",
    "json",
    "html",
    "prometheus",
    "baseline",
    "sweep",
    "preflight",
}


def test_every_documented_option_is_registered(parser: Parser) -> None:
    assert set(parser.options) == DOCUMENTED


def test_all_but_paths_and_switches_have_an_ini_twin(parser: Parser) -> None:
    assert set(parser.inis) == {option.dest for option in OPTIONS if option.name not in WITHOUT_INI}
    lists = {name for name, one in parser.inis.items() if one["type"] == "linelist"}
    assert lists == {"kv_nad", "kv_nodes", "kv_toleration"}


def test_no_default_is_given_to_pytest_so_that_precedence_is_decided_once(parser: Parser) -> None:
    assert {one["default"] for one in parser.options.values()} == {None}
    assert {one["default"] for one in parser.inis.values()} == {None}


def test_the_lab_takes_an_optional_value(parser: Parser) -> None:
    assert (parser.options["--kv-lab"]["nargs"], parser.options["--kv-lab"]["const"]) == ("?", "auto")


def test_the_help_lists_every_option(parser: Parser) -> None:
    assert all(one["help"] for one in parser.options.values())
    for one in parser.options.values():
        assert "%" not in one["help"].replace("%%", "")


def test_every_option_has_its_field_in_the_settings() -> None:
    fields = {field.name for field in dataclasses.fields(Settings)} - {"sources"}
    assert {option.attribute for option in OPTIONS} == fields


def test_every_default_is_what_one_would_type() -> None:
    for option in OPTIONS:
        many = option.default if isinstance(option.default, tuple) else (option.default,)
        value = default_of(option)
        shown = [show(option, one) for one in (value if option.repeatable else (value,))]
        assert shown == [one for one in many if one is not None] or (value is None and option.default is None)


def config(options: dict[str, object], inis: dict[str, object] | None = None, **more: Any) -> Any:
    given = {**options, "override_ini": more.get("override_ini")}
    return SimpleNamespace(
        getoption=given.get,
        getini=(inis or {}).get,
        inipath=more.get("inipath", Path("/x/tox.ini")),
        hook=SimpleNamespace(pytest_kvlatency_settings=lambda config: more.get("hooks", [])),
    )


def test_the_layers_are_what_command_line_ini_and_hook_say() -> None:
    settings = resolve(
        layers(
            config(
                {"kv_nad": ["a/b"], "kv_dont_fragment": True},
                {"kv_max_latency": "5ms", "kv_nad": ["c/d"], "kv_toleration": [], "kv_warmup": "2"},
                override_ini=["kv_warmup=2", "other=1"],
                hooks=[{"max_latency": "9ms", "max_avg": "9ms"}],
            )
        )
    )
    assert settings.changed() == [
        ("--kv-nad", "a/b", "command line"),
        ("kv_max_latency", "5ms", "tox.ini"),
        ("max_avg", "9ms", "hook pytest_kvlatency_settings"),
        ("--kv-dont-fragment", "true", "command line"),
        ("kv_warmup", "2", "-o on the command line"),
    ]


def test_an_empty_value_in_an_ini_file_is_wrong() -> None:
    with pytest.raises(
        SettingsError,
        match=r"^--kv-max-latency: '' is not a duration: expected .*kv_max_latency in tox\.ini",
    ):
        resolve(layers(config({}, {"kv_max_latency": ""})))


def test_a_hook_that_gives_no_dict_is_named() -> None:
    with pytest.raises(
        SettingsError, match=r"the hook pytest_kvlatency_settings returned 3: expected a dict"
    ):
        resolve([hook_layer(3)])


def test_these_modules_stay_light() -> None:
    code = (
        "import sys; import pytest_kvlatency.config.marker, pytest_kvlatency.plan.checks, pytest_kvlatency.plan.addresses;"
        "print(*sorted({'pytest', 'kubernetes', 'pexpect', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
