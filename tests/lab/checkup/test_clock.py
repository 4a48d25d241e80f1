"""E63 as a whole checkup: the machine's clock jumps at each look at it."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

# Python runs it before anything else.
JUMPING = """
import datetime
import itertools
import time

real, looks = time.time, itertools.count()


def jumping():
    # Two days ahead, one day back, and so on.
    look = next(looks)
    return real() + 86400 * (look // 2 + 2 * (look % 2))


class Jumping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(jumping(), tz)

    @classmethod
    def utcnow(cls):
        return cls.now(datetime.timezone.utc).replace(tzinfo=None)


time.time = jumping
time.time_ns = lambda: int(jumping() * 1e9)
datetime.datetime = Jumping
"""


@pytest.mark.edge_case(
    "E63", happens="The clock of the machine jumps by a day.", does="Reports durations that do not change."
)
def test_E63_durations_do_not_change(cluster, run, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(JUMPING)
    name = cluster.make_configmap(data={"spec.param.sampleDurationSeconds": "20"})
    path = os.pathsep.join((str(tmp_path), str(Path(__file__).parent)))
    done = run(cluster, "--kv-configmap", f"checks/{name}", environment={"PYTHONPATH": path}, fork=False)
    assert done.status == 0, done.output
    (entry,) = done.document["measurements"]
    assert (entry["transmitted"], entry["received"]) == (200, 200)
    moments = [
        datetime.strptime(done.document[name], "%Y-%m-%dT%H:%M:%S%z")
        for name in ("startTimestamp", "completionTimestamp")
    ]
    assert abs((moments[1] - moments[0]).total_seconds()) > 80_000, "the clock did jump"
    durations = [value for value in entry["timings"].values() if value is not None]
    assert len(durations) == 5
    for seconds in (*durations, entry["measurementDurationSec"], entry["warmupSeconds"]):
        assert 0 <= seconds < 60
    # 20 s of pings, in guests whose time goes twenty times as fast.
    assert entry["measurementDurationSec"] >= 0.9
    assert int(cluster.status(name)["result.measurementDurationSec"]) == round(
        entry["measurementDurationSec"]
    )
    assert cluster.vmis() == []
