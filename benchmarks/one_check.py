"""What one check costs: where its time goes, what it asks of the API server, how much memory it takes.

Run it from the project's root, on a machine that does nothing else::

    python benchmarks/one_check.py                        # simulated guests that are up in 3 s
    python benchmarks/one_check.py --guests both --runs 3
    python benchmarks/one_check.py --json figures.json

A lab is started first and reached by its kubeconfig, as a cluster is, so nothing of it counts. Each run is a process
of its own, ``python -m pytest_kvlatency``, with the plugins that a plain installation brings and no others, and with
this checkout's package compiled to bytecode, as an installation compiles it. It is made with an administrator's
credentials and with those of a ServiceAccount that has the documented Role and nothing else. The exit status is 1
when a budget is exceeded: the median of our own time, the highest of requests and memory.

``boot`` is from the first VMI's creation until the later guest showed its login prompt, ``login`` from there until both
are logged in, ``sample`` is the warm-up and the pings, ``delete`` from asking for the deletion until both VMIs are
gone. ``own`` is all the rest, and printed stage by stage (``stages``): each is from the end of the one before.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent))

from check_lab import BOOT, BenchmarkError, Lab, Run
from stages import OTHERS, OWN

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLE = "5s"
#: On an idle machine, by the guests.
OWN_SECONDS = {"sim": 0.9, "qemu": 1.3}
REQUESTS = 16
MEMORY_MB = 120.0
IDLE_LOAD = 0.3
# Measured on a real API server with guests that are up in 3 s: a process of the existing checkup, for 5 s of pings.
EXISTING_SECONDS = 20.3
EXISTING = (
    "5 s until its first poll finds the VMIs running, a fixed 5 s login probe, 5 s of ping, 5 s until its second "
    "poll finds them gone; 17 API requests, 36 MB"
)


def _summary(runs: Sequence[Run]) -> tuple[list[str], list[str]]:
    """What runs of one kind come to: lines to print, and the budgets that are exceeded."""

    def median(name: str) -> float:
        return float(statistics.median(run.stages[name] for run in runs))

    first = runs[0]
    own, own_at_most = statistics.median(run.own for run in runs), OWN_SECONDS[first.guests]
    most = max(runs, key=lambda run: run.request_count)
    memory = max(run.memory_mb for run in runs)
    lines = [
        f"{first.guests} guests, as {first.permissions} (median of {len(runs)})",
        f"  {'wall':8}{statistics.median(run.wall for run in runs):6.2f} s",
        *(f"  {name:8}{median(name):6.2f} s" for name in OTHERS),
        f"  {'own':8}{own:6.2f} s   (at most {own_at_most})",
        *(f"    {median(name):6.2f} s   {what}" for name, what in OWN.items()),
        f"  {most.request_count} requests   (at most {REQUESTS} without permission to watch)",
        *(f"    {count:3} {what}" for what, count in most.requests.items()),
        f"  {memory:.0f} MB at its peak   (at most {MEMORY_MB:.0f})",
    ]
    exceeded = [
        f"{first.guests} guests, as {first.permissions}: {words}"
        for is_exceeded, words in (
            (own > own_at_most, f"{own:.2f} s of our own, at most {own_at_most}"),
            (most.request_count > REQUESTS, f"{most.request_count} requests, at most {REQUESTS}"),
            (memory > MEMORY_MB, f"{memory:.0f} MB, at most {MEMORY_MB:.0f}"),
        )
        if is_exceeded
    ]
    return lines, exceeded


def _comparison(runs: Sequence[Run]) -> list[str]:
    """Our time beside the existing checkup's, for simulated guests that are up as fast as its were."""
    walls = [run.wall for run in runs if run.guests == "sim" and run.permissions == "the Role alone"]
    if not walls:
        return []
    wall = statistics.median(walls)
    return [
        (
            f"The existing checkup needs {EXISTING_SECONDS} s for a sample of 5 s with guests that are up in 3 s. "
            "That was measured elsewhere,"
        ),
        f"not in this run: {EXISTING}.",
        (
            f"This run, also 5 s of pings and guests that are up in {BOOT[:-1]} s, under the Role alone: {wall:.1f} s, "
            f"{wall / EXISTING_SECONDS:.2f} of it."
        ),
    ]


def measure(guests: Sequence[str], runs: int, *, sample: str = SAMPLE, time_scale: float = 1.0) -> list[Run]:
    """Make the runs. Raises ``BenchmarkError``."""
    made = []
    for kind in guests:
        with tempfile.TemporaryDirectory(prefix="one-check-") as directory:
            lab = Lab(kind, Path(directory), time_scale=time_scale)
            try:
                for identity in (lab.administrator(), lab.account()):
                    made += [lab.check(identity, sample) for _ in range(runs)]
            finally:
                lab.stop()
    return made


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--guests", choices=("sim", "qemu", "both"), default="sim", help="default: %(default)s"
    )
    parser.add_argument(
        "--runs", type=int, default=1, metavar="N", help="runs of each kind (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures of each run to PATH")
    given = parser.parse_args()
    if given.runs < 1:
        parser.error(f"--runs {given.runs}: expected 1 or more")
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    if load > IDLE_LOAD * processors:
        print(
            f"This machine is not idle (load {load:.1f} on {processors} processors): its times are too long.\n"
        )
    try:
        runs = measure(("sim", "qemu") if given.guests == "both" else (given.guests,), given.runs)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    kinds = dict.fromkeys((run.guests, run.permissions) for run in runs)
    exceeded = []
    for kind in kinds:
        lines, more = _summary([run for run in runs if (run.guests, run.permissions) == kind])
        exceeded += more
        print("\n".join(lines), end="\n\n")
    print("\n".join(_comparison(runs)))
    for budget in exceeded:
        print(f"BUDGET EXCEEDED: {budget}")
    if given.json is not None:
        figures = {
            "budgets": {"own_seconds": OWN_SECONDS, "requests": REQUESTS, "memory_mb": MEMORY_MB},
            "existing_checkup_seconds": EXISTING_SECONDS,
            "load_before": load,
            "processors": processors,
            "exceeded": exceeded,
            "runs": [{**asdict(run), "own": run.own, "request_count": run.request_count} for run in runs],
        }
        given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 1 if exceeded else 0


if __name__ == "__main__":
    sys.exit(main())
