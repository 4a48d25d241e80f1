"""The way to the cluster: the lab, if one is asked for, and the client."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.errors import (
    HIDDEN,
    ConfigError,
    InterruptedRunError,
    KvLatencyError,
    TeardownError,
    again,
)
from pytest_kvlatency.escape import Redactor
from pytest_kvlatency.shortage import told
from pytest_kvlatency.threads import Threads, result_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.config.settings import Settings
    from pytest_kvlatency.deadline import Stop
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.lab.process import LabProcess

LAB_START_SECONDS = 60.0
__tracebackhide__ = HIDDEN


class ClusterAccess:
    """Opens, once and when first needed, what the run needs to reach its cluster.

    ``doing`` is the line that shows what it is waiting for, ``awaited`` says it within a sentence.
    ``lab_line`` says with which guests the lab runs; it is empty without a lab.
    """

    def __init__(self, *, stop: Stop) -> None:
        self._stop = stop
        self._client: KubeClient | None = None
        self._failed: KvLatencyError | None = None
        self._lab: LabProcess | None = None
        self._opening = threading.Lock()
        self._is_closed = False
        self._secrets: set[str] = set()
        self.lab_line = ""
        self.doing, self.awaited = "kvlatency: waiting for the cluster", "the cluster"

    def client(self, settings: Settings) -> KubeClient:
        """Connect: start the lab if one is asked for, and load the configuration.

        Raises ``KvLatencyError``, an equal one for everyone who asks again: a lab that does not start takes a minute.
        """
        known = self._client
        if known is not None:
            return known
        # In a thread of its own: an exception that strikes the one who waits (pytest-timeout's, say) loses no lab.
        return result_of(Threads(1, "kvlatency-connect").submit(self._open, settings))

    def _open(self, settings: Settings) -> KubeClient:
        with self._opening:
            if self._is_closed:
                raise InterruptedRunError("the run is over")
            if self._failed is not None:
                raise again(self._failed)
            if self._client is None:
                try:
                    with told():
                        self._client = self._connect(settings)
                except InterruptedRunError:
                    raise
                except KvLatencyError as error:
                    self._failed = again(error)
                    raise
            return self._client

    def _connect(self, settings: Settings) -> KubeClient:
        from pytest_kvlatency.kube.client import KubeClient

        kubeconfig = settings.kubeconfig if settings.lab is None else self._start_lab(settings.lab)
        return KubeClient.connect(kubeconfig=kubeconfig, context=settings.context, stop=self._stop)

    @property
    def lab_kubeconfig(self) -> Path | None:
        """How to reach the lab that runs; None without one."""
        return None if self._lab is None else self._lab.kubeconfig

    def redactor(self) -> Redactor:
        """What takes the cluster's credentials, as far as they were used, out of texts."""
        client = self._client
        if client is not None:
            self._secrets |= client.secrets()
        return Redactor(self._secrets)

    def close(self, *, keep_lab_records_in: Path | None = None) -> None:
        """Stop the lab, also one that is just starting, and start none any more.

        Its record of requests is kept in a directory if one is given.
        Raises ``TeardownError`` when the record could not be kept.
        """
        with self._opening:
            self._is_closed = True
            if self._client is not None:
                self._secrets |= self._client.secrets()
                self._client.close()
                self._client = None
            self._close_lab(keep_lab_records_in)

    def _close_lab(self, keep_records_in: Path | None) -> None:
        if self._lab is None:
            return
        self._lab.stop()
        directory = self._lab.directory
        self._lab = None
        try:
            if keep_records_in is not None:
                target = keep_records_in / "lab"
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(directory / "audit.jsonl", target / "audit.jsonl")
        except OSError as error:
            raise TeardownError(f"cannot keep the lab's audit.jsonl in {keep_records_in}: {error}") from error
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def _start_lab(self, spec: str) -> Path:
        from pytest_kvlatency.lab.process import LabProcess, LabStartError

        directory = Path(tempfile.mkdtemp(prefix="kvlatency-lab-"))
        self.doing, self.awaited = f"kvlatency: starting the lab ({spec})", "the lab to start"
        try:
            self._lab = LabProcess.start(spec, directory, LAB_START_SECONDS, should_stop=self._stop.is_set)
        except BaseException as error:
            shutil.rmtree(directory, ignore_errors=True)
            if not isinstance(error, LabStartError):
                raise
            if self._stop.is_set():
                raise InterruptedRunError(f"{self._stop.reason} while the lab started") from error
            raise ConfigError(str(error)) from error
        self.lab_line = _lab_line(self._lab.info)
        return self._lab.kubeconfig


def _lab_line(info: Mapping[str, Any]) -> str:
    """With which guests the lab runs; and, where real ones were only not to be had, why."""
    why = " ".join(str(info.get("reason_not_qemu") or "").split())
    return f"lab: {info['description']}" + (f", because {why}" if why else "")
