"""What the plugin costs a pytest run that has nothing to do with it: processor time with it against without it.

Run it from the project's root, where the package is installed, on a machine that does nothing else::

    python benchmarks/idle.py
    python benchmarks/idle.py --pairs 15 --json figures.json

Each pair of runs is ``pytest -q`` and ``pytest -q -p no:kvlatency``, one after the other in turns, on one trivial test,
on 1,000 of them, and on one with ``-n 2`` where pytest-xdist is installed; what is compared is the processor time (user
and system) of the process and its workers, which other work on the machine changes less than the time on the clock. The
exit status is 1 when the median of the ratios is above 1.03 and the median of the differences is above 10 ms.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

RATIO = 1.03
SECONDS = 0.010
WITHOUT = ("-p", "no:kvlatency")
WORKERS = ("-n", "2")
#: What a list of loaded modules is printed by.
LOADED = (
    "def pytest_unconfigure():\n"
    "    import sys\n"
    "    print('LOADED', *sorted(one for one in sys.modules if one.split('.')[0] == 'pytest_kvlatency'))\n"
)


@dataclass(frozen=True, kw_only=True)
class Result:
    """Seconds of processor time, medians; ``ratio`` and ``difference`` are medians over the pairs."""

    tests: int
    arguments: tuple[str, ...]
    with_plugin: float
    without_plugin: float
    ratio: float
    difference: float

    @property
    def is_good(self) -> bool:
        """Whether it is within one of the two bounds."""
        return self.ratio <= RATIO or self.difference <= SECONDS


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=15, help="pairs of runs (default: 15)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "pytest.ini").write_text("[pytest]\n")
        (directory / "conftest.py").write_text(LOADED)
        print("modules of the plugin in such a run:", *loaded(directory))
        (directory / "conftest.py").unlink()
        cases: list[tuple[int, tuple[str, ...]]] = [(1, ()), (1000, ())]
        if importlib.util.find_spec("xdist") is not None:
            cases.append((1, WORKERS))
        for count, arguments in cases:
            tests = "\n".join(f"def test_{number}(): pass" for number in range(count))
            (directory / "test_trivial.py").write_text(f"{tests}\n")
            result = measure(directory, count, arguments, options.pairs)
            results.append(result)
            print(
                f"{' '.join([f'{count:>5} tests', *arguments])}: "
                f"{result.with_plugin:.3f} s with, {result.without_plugin:.3f} s without; "
                f"ratio {result.ratio:.3f}, difference {result.difference * 1000:.1f} ms "
                f"(medians of {options.pairs} pairs)"
            )
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(one) for one in results], indent=2) + "\n")
    return 0 if all(one.is_good for one in results) else 1


def loaded(directory: Path) -> list[str]:
    """The modules of this package that are loaded at the end of a run that has nothing to do with it."""
    (directory / "test_trivial.py").write_text("def test_it(): pass\n")
    done = subprocess.run(command(), cwd=directory, capture_output=True, text=True, check=True)
    return next(line for line in done.stdout.splitlines() if line.startswith("LOADED")).split()[1:]


def measure(directory: Path, count: int, arguments: tuple[str, ...], pairs: int) -> Result:
    """Run in turns; one run of each before counts for nothing, it fills the caches."""
    without_plugin = (*arguments, *WITHOUT)
    seconds(directory, arguments)
    seconds(directory, without_plugin)
    both = []
    for number in range(pairs):
        if number % 2:
            without = seconds(directory, without_plugin)
            both.append((seconds(directory, arguments), without))
        else:
            with_plugin = seconds(directory, arguments)
            both.append((with_plugin, seconds(directory, without_plugin)))
    return Result(
        tests=count,
        arguments=arguments,
        with_plugin=statistics.median(one for one, _ in both),
        without_plugin=statistics.median(one for _, one in both),
        ratio=statistics.median(one / other for one, other in both),
        difference=statistics.median(one - other for one, other in both),
    )


def seconds(directory: Path, more: Sequence[str]) -> float:
    """Processor time of one run, of the process itself and of the workers that it waits for."""
    process = subprocess.Popen(command(*more), cwd=directory, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"pytest ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def command(*more: str) -> list[str]:
    """Run pytest with the plugins that are installed, but for its cache of results."""
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *more]


if __name__ == "__main__":
    sys.exit(main())
