"""The run's ConfigMap: which one it is, read once, its status written at the start and at the end."""

from __future__ import annotations

import os
import secrets
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_kvlatency.config.kubenames import NAME_HELP, is_label, is_subdomain
from pytest_kvlatency.errors import ConfigError, InterruptedRunError
from pytest_kvlatency.kube.apierrors import ConfigMapMissingError, ConfigMapTakenError
from pytest_kvlatency.model import ConfigMapRef
from pytest_kvlatency.report.configmapstatus import COMPLETION_KEY, END_KEYS, START_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.config.parsers import Shard
    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.configmap import ConfigMapData

#: What has to go before a ConfigMap can be used again.
ONCE_KEYS = (START_KEY, *END_KEYS)


def configmap_ref(text: str, environ: Mapping[str, str] = os.environ) -> ConfigMapRef:
    """The ConfigMap that ``--kv-configmap`` names; ``env``: the one of the environment. Raises ``ConfigError``."""
    if text != "env":
        namespace, _, name = text.partition("/")
        return ConfigMapRef(namespace=namespace, name=name)
    hint = "Set CONFIGMAP_NAMESPACE and CONFIGMAP_NAME, which --kv-configmap=env reads, or use --kv-configmap NS/NAME"
    names = {
        variable: environ.get(variable, "").strip() for variable in ("CONFIGMAP_NAMESPACE", "CONFIGMAP_NAME")
    }
    wrong = []
    for variable, name in names.items():
        if not name:
            wrong.append(f"{variable} environment variable is missing")
        elif not (is_label if variable == "CONFIGMAP_NAMESPACE" else is_subdomain)(name):
            wrong.append(
                f"{variable} environment variable is wrong: {name!r} is not a valid name: expected {NAME_HELP}"
            )
    if wrong:
        raise ConfigError("; ".join(wrong), hint=hint)
    return ConfigMapRef(namespace=names["CONFIGMAP_NAMESPACE"], name=names["CONFIGMAP_NAME"])


class ConfigMapReport:
    """The run's ConfigMap: read once, its status written at the start and at the end.

    A shard reads its parameters from the one that all shards share, and reports to one of its own, ``NAME-I``.

    Of several runs that start together exactly one gets it: the API server accepts a write only to what was read.
    Where the answer to a write was lost, a run knows its own start by who owns that key (``metadata.managedFields``):
    each run writes under a name of its own. The time alone, in whole seconds, may be another run's as well.
    """

    def __init__(self, client: KubeClient, ref: ConfigMapRef, *, shard: Shard | None = None) -> None:
        from pytest_kvlatency.kube.configmap import ConfigMaps

        self._maps = ConfigMaps(client)
        self._parameters = ref
        self._shard = shard
        self.ref = ref if shard is None else replace(ref, name=f"{ref.name}-{shard.index}")
        self._last: ConfigMapData | None = None
        self._manager = f"pytest-kvlatency-{secrets.token_hex(16)}"
        self._started = ""
        #: Whether another run was found to have it.
        self.is_taken = False
        self._writing = threading.Lock()
        self._is_ending = False

    def read(self, deadline: Deadline) -> Mapping[str, str]:
        """Read its data. Raises ``ConfigMapTakenError`` when it was used before, and as ``ConfigMaps.read``."""
        self._last = self._read_own(deadline)
        if START_KEY in self._last.data:
            raise self._taken(self._last.data)
        if self._shard is None:
            return self._last.data
        return self._maps.read(self._parameters, deadline).data

    def _read_own(self, deadline: Deadline) -> ConfigMapData:
        try:
            return self._maps.read(self.ref, deadline)
        except ConfigMapMissingError as error:
            if self._shard is None:
                raise
            raise ConfigMapMissingError(
                f"ConfigMap {self.ref}, to which shard {self._shard} reports, does not exist",
                hint=f"Create one for each shard: {self._parameters}-0 to {self._parameters}-{self._shard.count - 1}.",
            ) from error

    @property
    def refs(self) -> tuple[ConfigMapRef, ...]:
        """What is read and what is written: two for a shard, else one."""
        return tuple(dict.fromkeys((self._parameters, self.ref)))

    @property
    def existing_keys(self) -> tuple[str, ...]:
        """The keys that it held when it was last read or written."""
        return () if self._last is None else tuple(self._last.data)

    @property
    def is_writable(self) -> bool:
        """Whether it was read, and is this run's to write."""
        return self._last is not None

    @property
    def was_never_started(self) -> bool:
        """Whether the start of this run has not been written."""
        return START_KEY not in self.existing_keys

    def start(self, changes: Mapping[str, str | None], deadline: Deadline) -> None:
        """Write the start, and with it have the ConfigMap. Raises ``ConfigMapTakenError``, ``KvLatencyError``."""
        with self._writing:
            if self._is_ending:
                raise InterruptedRunError("the run is over")
            self._write(changes, deadline)
            self._started = str(changes[START_KEY])

    def write(self, changes: Mapping[str, str | None], deadline: Deadline) -> None:
        """Write the end; also where there was no start. Raises ``ConfigMapTakenError``, ``KvLatencyError``.

        No start is written behind it: it waits for one that is under way, and refuses one that comes later.
        """
        self._is_ending = True
        is_alone = self._writing.acquire(timeout=min(deadline.remaining(), threading.TIMEOUT_MAX))
        try:
            self._write(changes, deadline)
        finally:
            if is_alone:
                self._writing.release()

    def _write(self, changes: Mapping[str, str | None], deadline: Deadline) -> None:
        last = self._last
        if last is None:
            return

        def judge(current: ConfigMapData) -> bool:
            if START_KEY not in current.data:
                return False
            owners = current.owners(START_KEY)
            is_written = all(current.data.get(key) == value for key, value in changes.items())
            if self._manager in owners or (not owners and current.data[START_KEY] == self._started):
                return is_written
            if is_written and COMPLETION_KEY in changes:
                # The same end to the letter: no matter whose.
                return True
            raise self._taken(current.data)

        self._last = self._maps.write_status(last, changes, deadline, judge=judge, manager=self._manager)

    def _taken(self, data: Mapping[str, str]) -> ConfigError:
        """The refusal of what another run has; from now on nothing is written to it."""
        self._last = None
        self.is_taken = True
        is_over = bool(data.get(COMPLETION_KEY))
        so_far = "" if is_over else f"is in use (since {data[START_KEY] or 'an unknown time'}), or "
        keys = ",".join(f'"{key}":null' for key in ONCE_KEYS)
        return ConfigMapTakenError(
            f"ConfigMap {self.ref} {so_far}already holds the result of a run. To run it again: "
            f"kubectl patch configmap {self.ref.name} -n {self.ref.namespace} --type=merge "
            f"-p '{{\"data\":{{{keys}}}}}'"
        )
