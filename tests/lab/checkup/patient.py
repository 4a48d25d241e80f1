"""A plugin for checkups under test: the end of a run lasts as long as it must, and a signal that was heard is a file."""

from dataclasses import replace
from itertools import count
from pathlib import Path

from pytest_kvlatency.checkup import streaming, teardown, waiting
from pytest_kvlatency.checkup.stopping import Stopping
from pytest_kvlatency.engine import departures, moving
from pytest_kvlatency.kube import patience

teardown.CLEANUP_SECONDS = 600.0
teardown.LAST_ASKING_SECONDS = 600.0
moving.LAST_SECONDS = streaming.LAST_SECONDS = waiting.STOPPED_SECONDS = 600.0
departures.HURRIED_LEAVING_SECONDS = departures.LEAVING_SECONDS = 600.0
patience.PAUSES = replace(patience.PAUSES, longest=0.5)
_on_signal = Stopping.on_signal
_numbers = count(1)


def _heard(self, name):
    _on_signal(self, name)
    Path(f"heard-{next(_numbers)}").touch()


Stopping.on_signal = _heard
