"""The soak: hundreds of checkups that are stopped, killed, cut off and lied to; nothing may be left or wrong.

``python tests/soak`` takes some 25 minutes on two processors. It needs no cluster: a lab with simulated guests is started.
Each case is drawn from the seed and its own name, so ``--seed N --only NAME`` plays a single one again.
The exit status is 0 when all counts are 0, 1 when they are not, and 2 when the soak itself cannot go on.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
# The lab of this checkout, and what its other tests use to start checkups and to look at a lab.
sys.path[:0] = [
    str(HERE.parents[1]),
    str(HERE),
    str(HERE.parent),
    str(HERE.parent / "lab"),
    str(HERE.parent / "lab" / "checkup"),
]

from ground import Ground  # noqa: E402
from judging import KINDS, Findings  # noqa: E402
from middleman import Loop  # noqa: E402
from scenarios import SCENARIOS, Scenario, World  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND = "python tests/soak"
JOBS = 6
NODES = 32
#: A mesh has three.
FEWEST_NODES = 3
PROGRESS_SECONDS = 30.0


class Soak:
    """Plays cases and counts what they find."""

    def __init__(self, world: World, jobs: int, options: str) -> None:
        self._world = world
        self._jobs = jobs
        self._options = options
        self._scenarios: list[tuple[Scenario, list[int]]] = []
        self._found: dict[str, Findings] = {}
        self._played: dict[str, int] = {}
        self._repeats: list[str] = []

    def plan(self, scale: float, only: Sequence[str]) -> None:
        """Choose the cases: a share of each scenario's, or those that are named (NAME or NAME-NUMBER)."""
        for kind in SCENARIOS:
            scenario = kind()
            numbers = [int(word.rpartition("-")[2]) for word in only if word.startswith(f"{scenario.name}-")]
            if only and not numbers and scenario.name not in only:
                continue
            scenario.prepare(self._world)
            rng = random.Random(f"{self._world.seed}/{scenario.name}")
            self._scenarios.append((scenario, numbers or scenario.cases(scale, rng)))

    def play(self) -> None:
        """Play all cases, several at a time, and say what each finds; the scenarios take turns, for some mostly wait."""
        for scenario, cases in self._scenarios:
            self._played[scenario.name] = len(cases)
            self._found[scenario.name] = Findings()
        turns = itertools.zip_longest(*([(one, case) for case in cases] for one, cases in self._scenarios))
        order = [turn for turns_of_all in turns for turn in turns_of_all if turn is not None]
        began = told = time.monotonic()
        with ThreadPoolExecutor(self._jobs) as pool:
            playing = {
                pool.submit(scenario.play, case, self._world): (scenario, case) for scenario, case in order
            }
            for count, done in enumerate(as_completed(playing), 1):
                scenario, case = playing[done]
                self._enter(f"{scenario.name}-{case}", done.result(), self._found[scenario.name])
                if time.monotonic() - told > PROGRESS_SECONDS:
                    told = time.monotonic()
                    print(f"{count} of {len(order)} cases after {told - began:.0f} s", flush=True)
        print(f"{len(order)} cases in {time.monotonic() - began:.0f} s", flush=True)
        for scenario, _ in self._scenarios:
            notes = sorted(self._found[scenario.name].notes.items())
            print(f"{scenario.title}: {', '.join(f'{count} {words}' for words, count in notes)}", flush=True)

    def _enter(self, word: str, one: Findings, found: Findings) -> None:
        found.counts += one.counts
        found.notes += one.notes
        if not one.words:
            for directory in self._world.directory.glob(f"{word}*"):
                if directory.name == word or directory.name.startswith(f"{word}-again-"):
                    shutil.rmtree(directory)
            return
        repeat = f"{COMMAND} --seed {self._world.seed} --only {word}{self._options}"
        self._repeats.append(repeat)
        print(f"\n{word}: {self._world.directory / word}", flush=True)
        for words in one.words:
            print(f"  {words}", flush=True)
        print(f"  to repeat: {repeat}\n", flush=True)

    def table(self) -> list[str]:
        """What was found: a row for each scenario, and one for all."""
        rows = [["", "runs", *KINDS]]
        for scenario, _ in self._scenarios:
            counts = self._found[scenario.name].counts
            row = [scenario.title, self._played[scenario.name], *(counts[kind] for kind in KINDS)]
            rows.append([str(cell) for cell in row])
        sums = [sum(int(row[column]) for row in rows[1:]) for column in range(1, len(rows[0]))]
        rows.append(["all", *map(str, sums)])
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return [
            "  ".join(
                cell.rjust(width) if column else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]

    @property
    def repeats(self) -> list[str]:
        return self._repeats


def main(arguments: Sequence[str]) -> int:
    """Play, print the table, judge."""
    given = _parse(arguments)
    # Whatever started the soak may ignore them; the checkups must not inherit that.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    seed = random.SystemRandom().randrange(2**31) if given.seed is None else given.seed
    directory = Path(given.dir or tempfile.mkdtemp(prefix="soak-")).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    options = "" if given.nodes == NODES else f" --nodes {given.nodes}"
    options += "".join(f" --plugin {name}" for name in given.plugin)
    print(f"seed {seed}: {COMMAND} --seed {seed} --scale {given.scale:g}{options}", flush=True)
    ground = Ground(directory / "lab", given.nodes)
    loop = Loop()
    try:
        world = World(ground=ground, loop=loop, directory=directory, seed=seed, plugins=given.plugin)
        soak = Soak(world, given.jobs, options)
        soak.plan(given.scale, given.only)
        soak.play()
    finally:
        loop.stop()
        ground.close()
    print("", *soak.table(), sep="\n")
    if not soak.repeats:
        if given.dir is None:
            shutil.rmtree(directory)
        return 0
    print("", "To repeat what failed:", *(f"  {one}" for one in soak.repeats), sep="\n")
    return 1


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--seed", type=int, metavar="N", help="draw the same cases again (default: a random one)"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, metavar="F", help="play this share of the cases (default: 1)"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help=f"play one scenario ({', '.join(kind.name for kind in SCENARIOS)}) or one case, such as "
        "interrupt-17; may be given several times",
    )
    parser.add_argument(
        "--jobs", type=int, default=JOBS, metavar="N", help=f"cases played at a time (default: {JOBS})"
    )
    parser.add_argument(
        "--nodes",
        type=int,
        default=NODES,
        metavar="N",
        help=f"nodes of the lab; a run with dropped consoles has half as many pairs (default: {NODES})",
    )
    parser.add_argument(
        "--dir", metavar="DIR", help="keep everything there (default: a directory that goes when all is well)"
    )
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="NAME",
        help="load this pytest plugin in each checkup: the soak's own tests break something with it",
    )
    given = parser.parse_args(arguments)
    known = {kind.name for kind in SCENARIOS}
    for word in given.only:
        scenario, dash, number = word.partition("-")
        if scenario not in known or (dash and not number.isdecimal()):
            parser.error(
                f"argument --only: there is no case {word!r}: expected one of {', '.join(sorted(known))}, or such as kill-3"
            )
    if not 0 < given.scale <= 1:
        parser.error(f"argument --scale: invalid value {given.scale:g}: expected a share from 0 to 1")
    if given.nodes < FEWEST_NODES:
        parser.error(
            f"argument --nodes: invalid value {given.nodes}: expected an integer from {FEWEST_NODES}"
        )
    return given


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
