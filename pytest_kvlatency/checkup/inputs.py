"""What the run was told: its options, and the ConfigMap of parameters once that has been read."""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import pytest

from pytest_kvlatency.checkup import inifile
from pytest_kvlatency.checkup.configmap_report import ConfigMapReport, configmap_ref
from pytest_kvlatency.checkup.own_check import named_by, own_ids
from pytest_kvlatency.config.layers import layers
from pytest_kvlatency.config.negatives import refuse_negative_values
from pytest_kvlatency.config.options import INI_NAMES, OPTIONS
from pytest_kvlatency.config.problems import SettingsError
from pytest_kvlatency.config.resolve import resolve
from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.errors import ConfigError, KvLatencyError, again
from pytest_kvlatency.model import Failure
from pytest_kvlatency.report.document import settings_facts
from pytest_kvlatency.shortage import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from pytest_kvlatency.checkup.results import Results
    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.config.sources import Layer
    from pytest_kvlatency.deadline import Stop
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.report.comparison.baseline import Baseline

READ_SECONDS = 60.0


class Inputs:
    """The layers of settings. ``given``: the settings without any marker, and without what only the ConfigMap knows.

    ``configmap`` is the ConfigMap that is this run's to write; None without one, and until it has been read.
    """

    def __init__(self, config: pytest.Config, *, results: Results, stop: Stop) -> None:
        """Read the options. Raises ``SettingsError``."""
        self._config = config
        self._results = results
        self._stop = stop
        self._layers = _with_ids(config, layers(config, *inifile.read(config, INI_NAMES)))
        self._refusal: pytest.UsageError | None = None
        #: What ``--kv-baseline`` names.
        self.baseline: Baseline | None = None
        self._take(
            resolve(
                self._layers, complete=False, judges={"lab": _wrong_lab, "baseline": self._wrong_baseline}
            )
        )
        self.is_unread = self.given.configmap is not None
        self.configmap: ConfigMapReport | None = None

    @property
    def asked_on_the_command_line(self) -> bool:
        """Whether ``--kv-nad`` or ``--kv-configmap`` stands on the command line, not only in an ini file."""
        return not _flags(_given(self._config)).isdisjoint(("--kv-nad", "--kv-configmap"))

    @property
    def asked(self) -> frozenset[str]:
        """The options that are asked for with this very run: by its command line or its ConfigMap.

        What an ini file says, ``addopts`` included, is a default for many runs.
        """
        usual = _flags(map(str, self._config.getini("addopts"))) - _flags(_given(self._config))
        return frozenset(
            option.name
            for option in OPTIONS
            if (kind := self.given.sources[option.name].kind) == "ConfigMap"
            or (kind == "command line" and option.flag not in usual)
        )

    def resolved(self, *over: Layer) -> Settings:
        """Return the settings, with a marker's layer over them. Raises ``SettingsError``."""
        if self._refusal is not None:
            raise again(self._refusal)
        return resolve([*over, *self._layers])

    def check(self) -> None:
        """Raise ``SettingsError`` for what contradicts itself without any marker."""
        resolve(self._layers, complete=not self.is_unread)

    def configmap_layers(self) -> list[Layer]:
        """What the ConfigMap said, once it has been read."""
        return [layer for layer in self._layers if layer.kind == "ConfigMap"]

    def add(self, layers: Sequence[Layer]) -> None:
        """Take what another process read from the ConfigMap. Raises ``SettingsError``."""
        self.is_unread = False
        self._layers = [*self._layers, *layers]
        self._take(resolve(self._layers))

    def _wrong_baseline(self, path: Path) -> list[str]:
        """Read the document that ``--kv-baseline`` names; say what is wrong with it."""
        from pytest_kvlatency.report.comparison.baseline import read

        try:
            self.baseline = read(path)
        except ConfigError as error:
            return [f"{str(path)!r} {error.reason}"]
        return []

    def _take(self, settings: Settings) -> None:
        self.given = settings
        self._results.settings = settings_facts(settings)
        self._results.namespace = settings.namespace

    def read_configmap(self, client: Callable[[], KubeClient]) -> None:
        """Read the parameters, once. Raises ``pytest.UsageError``; what is wrong is written to the ConfigMap too."""
        from pytest_kvlatency.config.configmapparams import configmap_layer
        from pytest_kvlatency.kube.reviews import needed

        self.is_unread = False
        deadline = Deadline(READ_SECONDS, stop=self._stop)
        try:
            ref = configmap_ref(str(self.given.configmap))
            self.configmap = ConfigMapReport(client(), ref, shard=self.given.shard)
            # Its parameters name the networks: those are not known yet.
            namespace = self.given.namespace or client().namespace
            client().rules.need(needed(namespace, (), self.configmap.refs))
            data = self.configmap.read(deadline)
            layer, warnings = configmap_layer(data, str(ref))
            self.add([layer])
        except KvLatencyError as error:
            self._refuse(error, deadline)
        for text in warnings:
            try:
                self._config.issue_config_time_warning(pytest.PytestWarning(text), stacklevel=2)
            except pytest.PytestWarning as warning:
                self._refuse(ConfigError(str(warning), hint="Warnings are errors here (-W error)."), deadline)

    def _refuse(self, error: KvLatencyError, deadline: Deadline) -> NoReturn:
        """End the run before anything was created, and say why wherever it can be said."""
        self._results.add_failure(error)
        self._results.make_document(())
        trouble = self._results.write_configmap(self.configmap, deadline)
        if trouble is not None:
            self._results.add_failure(trouble)
        self._results.write_files(self.given)
        self._refusal = pytest.UsageError(usage_text(error))
        raise self._refusal from None

    @contextmanager
    def noting_refusals(self) -> Iterator[None]:
        """Keep the usage error that is raised inside for the reports of the run."""
        try:
            with _refusing_shortages():
                yield
        except pytest.UsageError as error:
            if str(error) != str(self._refusal):
                reason = str(error).partition("\n")[0]
                self._results.failures.append(Failure(kind="config", stage="config", reason=reason))
            raise


@contextmanager
def _refusing_shortages() -> Iterator[None]:
    """Raise ``pytest.UsageError`` where the machine gives this process too little even to collect."""
    try:
        with told():
            yield
    except ConfigError as error:
        raise pytest.UsageError(usage_text(error)) from None


def refuse_early(config: pytest.Config) -> None:
    """Judge what pytest's parser would misread. Raises ``pytest.UsageError``."""
    try:
        refuse_negative_values(_given(config))
    except SettingsError as error:
        raise pytest.UsageError(usage_lines(error)) from None


def _wrong_lab(spec: str) -> list[str]:
    """Say what is wrong with the lab that ``--kv-lab`` names."""
    from pytest_kvlatency.lab.spec.file import LabSpecError, parse_spec

    try:
        parse_spec(spec)
    except LabSpecError as error:
        return str(error).splitlines()
    return []


def usage_lines(error: KvLatencyError) -> str:
    """As ``usage_text``, with a line for each wrong option."""
    return "\n".join([str(error), *error.hint.splitlines()])


def usage_text(error: KvLatencyError) -> str:
    """A wrong option or parameter as pytest's one error message."""
    return "\n".join([error.reason, *error.hint.splitlines()])


def _with_ids(config: pytest.Config, found: list[Layer]) -> list[Layer]:
    """Have ids of the own check say what they are about, where no network is named."""
    if any(not {"nad", "configmap"}.isdisjoint(layer.values) for layer in found):
        return found
    named = named_by(own_ids(config.args)[0])
    return [
        replace(layer, values={**named, **layer.values}) if layer.kind == "command line" else layer
        for layer in found
    ]


def _flags(arguments: Iterable[str]) -> set[str]:
    return {one.split("=", 1)[0] for one in arguments}


def _given(config: pytest.Config) -> list[str]:
    """What was typed, the environment's part of it first."""
    return [*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *map(str, config.invocation_params.args)]
