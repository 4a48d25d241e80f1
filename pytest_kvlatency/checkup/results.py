"""What came of a run outside of its items; one document of it all, and the reports that are made of that."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.errors import KvLatencyError, TeardownError
from pytest_kvlatency.kube.apierrors import ConfigMapTooLargeError
from pytest_kvlatency.model import Failure, failure_of
from pytest_kvlatency.report import configmapstatus, files
from pytest_kvlatency.report import document as document_report
from pytest_kvlatency.report import json as json_report
from pytest_kvlatency.report.measurement import measurement_entry
from pytest_kvlatency.report.run import RunResult, is_empty_shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from pytest_kvlatency.checkup.configmap_report import ConfigMapReport
    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.escape import Redactor
    from pytest_kvlatency.kube.clusterfacts import ClusterFacts
    from pytest_kvlatency.model import Finding
    from pytest_kvlatency.report.comparison.comparator import Comparator
    from pytest_kvlatency.report.run import ItemResult


def _page(document: Mapping[str, Any], path: Path) -> str:
    from pytest_kvlatency.report.page import render

    return render.render(document, folder=path.absolute().parent)


def _metrics(document: Mapping[str, Any], _: Path) -> str:
    from pytest_kvlatency.report import prometheus

    return prometheus.render(document)


#: Files that are made of nothing but the document, by the names of their options: what each is called, and what makes
#: its text. Few runs write most of them, and only those load what does it.
FILE_REPORTS: Final[Mapping[str, tuple[str, Callable[[Mapping[str, Any], Path], str]]]] = {
    "json": ("JSON", lambda document, _: json_report.dumps(document)),
    "html": ("HTML", _page),
    "prometheus": ("Prometheus", _metrics),
}


class Results:
    """Collects what went wrong outside of items, and writes the reports; one that fails hides no other."""

    def __init__(self, redactor: Callable[[], Redactor], images: Callable[[], Mapping[str, str]]) -> None:
        self._redactor = redactor
        self._images = cache(images)
        self.started_at = datetime.now(timezone.utc)
        self.cluster_facts: ClusterFacts | None = None
        #: The kubeconfig's, unless it is that of the run's own lab.
        self.context: str | None = None
        #: Where the VMIs are created, once it is known.
        self.namespace: str | None = None
        #: Each option's value and where it came from.
        self.settings: Mapping[str, Mapping[str, Any]] = {}
        self.plan: Mapping[str, Any] | None = None
        self.failures: list[Failure] = []
        #: Why the run ended before all of its checks were run, if it did.
        self.cut_short_by = ""
        #: What a preflight has found so far; None in a run that measures.
        self.preflight: list[Finding] | None = None
        #: The VMIs that a sweep removed; None where none was asked for.
        self.swept: tuple[str, ...] | None = None
        #: Whether a sweep was asked for, and no network.
        self.is_sweep_only = False
        #: What was asked for, and nothing of the run used.
        self.notes: tuple[str, ...] = ()
        #: Which nodes shapes leave out, and why, said before the run.
        self.left_out: tuple[str, ...] = ()
        #: Compares with the baseline, where one was named.
        self.comparator: Comparator | None = None
        #: What the last document says of the comparison.
        self.comparison_notes: tuple[str, ...] = ()
        #: The run's document, once it was made.
        self.document: dict[str, Any] | None = None
        self._written: dict[str, str | None] | None = None
        #: What the last document says went wrong outside of items.
        self.of_the_run: tuple[Failure, ...] = ()
        #: What of the selected checks was not measured, as the last document says it.
        self.shortfalls: tuple[str, ...] = ()
        #: What was written to the ConfigMap, in words; empty when nothing was.
        self.told = ""

    @property
    def is_empty_shard(self) -> bool:
        """Whether there are pairs, and all of them are other shards': no reason to fail."""
        return is_empty_shard(self.plan)

    def add_failure(self, error: KvLatencyError) -> None:
        """Enter something that went wrong outside of items; it fails the run."""
        self.failures.append(failure_of(error))

    def start_changes(self, existing_keys: Iterable[str]) -> dict[str, str | None]:
        """Give the ConfigMap's status keys of a run that starts."""
        return configmapstatus.start_changes(self.started_at, existing_keys)

    def make_document(self, items: Sequence[ItemResult]) -> dict[str, Any]:
        """Make the document anew from what is known now."""
        run = RunResult(
            version=_version(),
            start=self.started_at,
            completion=datetime.now(timezone.utc),
            namespace=self.namespace,
            settings=self.settings,
            images=self._images(),
            cluster=document_report.cluster_facts(self.cluster_facts, context=self.context),
            plan=self.plan,
            items=tuple(items),
            failures=tuple(self.failures),
            cut_short_by=self.cut_short_by,
            preflight=None if self.preflight is None else tuple(self.preflight),
            swept=self.swept,
            is_sweep_only=self.is_sweep_only,
            notes=(*self.left_out, *self.notes),
            comparator=self.comparator,
        )
        self.of_the_run = run.own_failures
        self.shortfalls = run.shortfalls
        self.document = self._redactor().mapping(document_report.build(run))
        self.comparison_notes = tuple(self.document["notes"][len(run.notes) :])
        return self.document

    def entry(self, result: ItemResult) -> dict[str, Any]:
        """The document's entry of one item, before the document is made."""
        return self._redactor().mapping(self.raw_entry(result))

    def raw_entry(self, result: ItemResult) -> dict[str, Any]:
        """As ``entry``, for no report: credentials are not taken out of it."""
        return measurement_entry(result, images=self._images(), comparator=self.comparator)

    def write_files(self, settings: Settings) -> bool:
        """Write every file that is made of the document; whether that went well. What goes wrong fails the run."""
        if self.document is None:
            return True
        written = [self._write_file(name, getattr(settings, name)) for name in FILE_REPORTS]
        return all(written)

    def _write_file(self, name: str, path: Path | None) -> bool:
        if path is None or self.document is None:
            return True
        (title, render), option = FILE_REPORTS[name], f"--kv-{name}"
        try:
            files.write(render(self.document, path), path, name=title, option=option)
        except KvLatencyError as error:
            self.add_failure(error)
        except Exception as error:  # noqa: BLE001 - a fault in one report must not cost the others
            self.add_failure(files.unmade(path, error, option=option))
        else:
            return True
        return False

    def write_configmap(self, configmap: ConfigMapReport | None, deadline: Deadline) -> TeardownError | None:
        """Write the document's part of the ConfigMap, unless it stands there; return why it could not be written."""
        if configmap is None or not configmap.is_writable or self.document is None:
            return None
        changes = configmapstatus.final_changes(self.document)
        if configmap.was_never_started:
            changes = {**self.start_changes(configmap.existing_keys), **changes}
        content = {key: value for key, value in changes.items() if key != configmapstatus.COMPLETION_KEY}
        if content == self._written:
            return None
        try:
            configmap.write(changes, deadline)
            self._written = content
            self.told = (
                f'status.succeeded "{changes["status.succeeded"]}" is written to ConfigMap {configmap.ref}'
            )
        except KvLatencyError as error:
            text = f"the result could not be written to ConfigMap {configmap.ref}: {error.reason}"
            trouble = TeardownError(text, hint=error.hint)
            if isinstance(error, ConfigMapTooLargeError):
                # At once, too, where the run was stopped: the one who stopped it may not wait for another try.
                smaller = configmapstatus.smaller_changes(changes, trouble.failure_reason)
                self._write_less(configmap, smaller, deadline)
            return trouble
        return None

    def _write_less(
        self, configmap: ConfigMapReport, smaller: Iterable[Mapping[str, str | None]], deadline: Deadline
    ) -> None:
        """Write the first that fits, if one does; that the result could not be written is said already."""
        for changes in smaller:
            try:
                configmap.write(changes, deadline)
            except ConfigMapTooLargeError:
                continue
            except KvLatencyError:
                return
            reason = changes[configmapstatus.REASON_KEY]
            self.told = (
                f'status.succeeded "false" is written to ConfigMap {configmap.ref}, and what else fits'
            )
            if reason == configmapstatus.NO_ROOM:
                self.told += f": {reason}"
            return


@cache
def _installed() -> str:
    return version("pytest-kvlatency")


def _version() -> str:
    """The tool's own. Where no file can be opened (too many are), the document is no less worth."""
    try:
        return _installed()
    except (OSError, PackageNotFoundError):
        return "unknown"
