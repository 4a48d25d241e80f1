"""What the soak does to checkups: each case is drawn from the seed and its own name, and can be repeated alone."""

from __future__ import annotations

import math
import random
import signal
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ground import CUT, HEALTHY, LOSSY, SLOW, STUCK, name
from judging import DOUBLE, LEFT, WRONG, Findings, Truth, judge, judge_end, left
from middleman import Conduct, Loop, Meeting, Middleman
from runs import PHASES, Done, Place, alongside

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from pathlib import Path

    from ground import Ground, Network
    from runs import Run

PAIR = ("--kv-nodes", "worker1:worker2")
MESH = ("--kv-nodes", "mesh", "--kv-node-set", "worker1,worker2,worker3")
SAMPLE = ("--kv-sample-duration", "4s")
PINGS = 40
#: As long as it takes for a signal to meet a sample.
LONG_SAMPLE = ("--kv-sample-duration", "20s")
LONG_PINGS = 200
TERM, INT, HUP, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL
STOPS = ((TERM,), (INT,), (INT, INT), (HUP,), (TERM, TERM), (INT, TERM), (HUP, HUP))
ATTEMPTS = 3


@dataclass(kw_only=True)
class World:
    """What all cases share."""

    ground: Ground
    loop: Loop
    directory: Path
    seed: int
    plugins: Sequence[str] = ()
    findings: dict[str, Findings] = field(default_factory=dict)

    def middleman(self, conduct: Conduct) -> Middleman:
        return Middleman(self.loop, self.ground.kubeconfig, conduct)


class Scenario(ABC):
    """One kind of mishap. ``count`` is the number of its cases at full scale."""

    name: str
    title: str
    count: int

    def prepare(self, world: World) -> None:  # noqa: B027 - most need nothing
        """Learn what the cases need to know."""

    def cases(self, scale: float, rng: random.Random) -> list[int]:
        """The cases of a soak of this scale, at least one."""
        wanted = max(1, math.ceil(self.count * scale))
        return sorted(rng.sample(range(self.count), min(wanted, self.count)))

    def play(self, case: int, world: World) -> Findings:
        """Play one case."""
        word = f"{self.name}-{case}"
        findings = Findings()
        stage = Stage(word=word, world=world, rng=random.Random(f"{world.seed}/{word}"), findings=findings)
        world.ground.make_namespace(stage.namespace)
        self.act(case, stage)
        return findings

    @abstractmethod
    def act(self, case: int, stage: Stage) -> None:
        """Run checkups, and find what is wrong with them."""


@dataclass(kw_only=True)
class Stage:
    """Where one case is played: its namespace, its directory, its dice."""

    word: str
    world: World
    rng: random.Random
    findings: Findings
    repeats: int = 0

    @property
    def namespace(self) -> str:
        return self.word if not self.repeats else f"{self.word}-again-{self.repeats}"

    @property
    def ground(self) -> Ground:
        return self.world.ground

    @property
    def place(self) -> Place:
        return Place(self.world.directory / self.namespace, self.world.plugins)

    def again(self) -> None:
        """Take another namespace, for the case is played anew."""
        self.repeats += 1
        self.ground.make_namespace(self.namespace)

    def configmap(self, network: Network) -> tuple[str, ...]:
        """Make the namespace's ConfigMap; return the arguments that name it."""
        return ("--kv-configmap", self.ground.make_configmap(self.namespace, network))

    def cluster(self, kubeconfig: Path | None = None) -> tuple[object, ...]:
        """The arguments that say where."""
        return (
            "--kv-kubeconfig",
            kubeconfig or self.ground.kubeconfig,
            "--kv-namespace",
            self.namespace,
        )

    def judge(
        self, done: Done, network: Network, *, checks: int = 1, pings: int, may_miss: bool = False
    ) -> None:
        truth = Truth(network=network, checks=checks, pings=pings, may_miss=may_miss)
        judge(done, self.ground, self.namespace, truth, self.findings)


class Interrupts(Scenario):
    """A signal, or two, at a random moment of a run."""

    name = "interrupt"
    title = "interrupts at random moments"
    count = 210

    def act(self, case: int, stage: Stage) -> None:
        rng = stage.rng
        # Every phase meets every stop; what is left to chance is the moment.
        phase = PHASES[case % len(PHASES)]
        numbers = STOPS[case // len(PHASES) % len(STOPS)]
        network = STUCK if phase.name == "clean-up" else rng.choice((HEALTHY, HEALTHY, CUT))
        nodes, checks = (MESH, 3) if rng.random() < 0.25 else (PAIR, 1)
        own_test = rng.random() < 0.25
        share, pause, delay = rng.random(), rng.random() * 0.5, 0.3 + rng.random()
        for attempt in range(ATTEMPTS):
            if attempt:
                stage.again()
            run = self._start(stage, network, nodes, own_test=own_test)
            friend = self._befriend(stage, run, network, delay)
            hit = run.stop_in(phase, share / 2**attempt, numbers, pause)
            done = run.end()
            friend.join()
            stage.judge(done, network, checks=checks, pings=LONG_PINGS)
            if hit:
                break
        stage.findings.notes[phase.name if hit else "too late"] += 1

    def _start(self, stage: Stage, network: Network, nodes: Sequence[str], *, own_test: bool) -> Run:
        arguments = [*stage.cluster(), *stage.configmap(network), *nodes, *LONG_SAMPLE]
        return stage.place.start("run", arguments, own_test=own_test)

    def _befriend(self, stage: Stage, run: Run, network: Network, delay: float) -> threading.Thread:
        """Have somebody let VMIs go that are stuck in deletion, each after a while."""
        namespace = stage.namespace

        def let_go() -> None:
            if network is STUCK:
                stage.ground.let_go(namespace, delay, until=lambda: run.is_over)

        return alongside(let_go)


class Kills(Scenario):
    """SIGKILL at a random moment, and ``--kv-sweep`` afterwards: too early first, and then when it is due."""

    name = "kill"
    title = "SIGKILL, then --kv-sweep"
    count = 50

    def __init__(self) -> None:
        self._kept: list[dict[str, Any]] = []

    def prepare(self, world: World) -> None:
        """Have a checkup keep its VMIs."""
        stage = Stage(word="kept", world=world, rng=random.Random(0), findings=Findings())
        world.ground.make_namespace(stage.namespace)
        run = stage.place.start("run", [*stage.cluster(), *PAIR, *network_of(HEALTHY), "--kv-keep", "always"])
        done = run.end()
        self._kept = world.ground.vmis(stage.namespace)
        if not self._kept:
            raise RuntimeError(f"--kv-keep always kept nothing:\n{done.output}")
        world.ground.clear(stage.namespace)

    def act(self, case: int, stage: Stage) -> None:
        ground, namespace = stage.ground, stage.namespace
        kept = {name(vmi) for vmi in self._kept}
        for vmi in self._kept:
            ground.copy(vmi, namespace)
        # Most when there is something to leave behind.
        phase = PHASES[(2, 3, 2, 3, 4, 1)[case % 6]]
        network = STUCK if phase.name == "clean-up" else HEALTHY
        run = stage.place.start("run", [*stage.cluster(), *PAIR, *network_of(network), *LONG_SAMPLE])
        hit = run.stop_in(phase, stage.rng.random(), (KILL,), 0)
        run.end()
        ground.settle(namespace)
        young = set(ground.staying(namespace)) - kept
        stage.findings.notes["left by kills" if hit else "too late"] += len(young) if hit else 1
        self._sweep(stage, "too-early")
        stage.findings.notes["swept"] += len(young)
        if gone := young - set(ground.staying(namespace)):
            stage.findings.add(
                WRONG, f"--kv-sweep removed what may still be in use: {', '.join(sorted(gone))}"
            )
        ground.age(namespace, sorted(young - gone))
        self._sweep(stage, "due")
        still = set(ground.staying(namespace))
        if still - kept:
            words = f"--kv-sweep left {', '.join(sorted(still - kept))}"
            stage.findings.add(LEFT, words, len(still - kept))
        if kept - still:
            stage.findings.add(
                WRONG, f"--kv-sweep removed what --kv-keep kept: {', '.join(sorted(kept - still))}"
            )
        ground.clear(namespace)

    def _sweep(self, stage: Stage, word: str) -> None:
        done = stage.place.start(word, [*stage.cluster(), "--kv-sweep"]).end()
        judge_end(done, stage.findings)
        if done.status not in (0, 5):
            stage.findings.add(WRONG, f"--kv-sweep ended with status {done.status}: {done.output[-500:]}")


class ApiFailures(Scenario):
    """One request in ten fails."""

    name = "api"
    title = "10% of the API requests fail"
    count = 100

    def act(self, case: int, stage: Stage) -> None:
        network = (HEALTHY, HEALTHY, CUT, HEALTHY, SLOW, HEALTHY, LOSSY)[case % 7]
        conduct = Conduct(seed=f"{stage.world.seed}/{stage.word}", failure_rate=0.1)
        configmap = stage.configmap(network)
        with stage.world.middleman(conduct) as middleman:
            kubeconfig = middleman.write_kubeconfig(stage.place.directory / "kubeconfig")
            run = stage.place.start("run", [*stage.cluster(kubeconfig), *configmap, *PAIR, *SAMPLE])
            done = run.end()
        stage.findings.notes["requests failed"] += middleman.failed
        stage.judge(done, network, pings=PINGS, may_miss=True)


class Drops(Scenario):
    """Every console drops once, at a byte of its own: pairs of all nodes in a run, each four bytes further."""

    name = "drop"
    title = "consoles dropped at every 4th byte"
    step = 4
    sample = ("--kv-sample-duration", "1s")
    pings = 10

    def __init__(self) -> None:
        self.count = 100
        self.pairs = 0

    def prepare(self, world: World) -> None:
        """Count the bytes of a run that nothing disturbs."""
        self.pairs = world.ground.nodes // 2
        stage = Stage(word="traffic", world=world, rng=random.Random(0), findings=Findings())
        world.ground.make_namespace(stage.namespace)
        with world.middleman(Conduct()) as middleman:
            done = self._run(stage, middleman, HEALTHY)
        if done.status != 0 or len(middleman.traffic) != 2 * self.pairs:
            raise RuntimeError(f"the traffic of a run's consoles cannot be counted:\n{done.output}")
        self.count = math.ceil(max(middleman.traffic.values()) / (self.step * self.pairs))

    def act(self, case: int, stage: Stage) -> None:
        # The lossless network alone would hide a drop that turns a cut link into a good one.
        network = CUT if case % 8 == 7 else HEALTHY
        first = case * self.pairs * self.step
        cuts = {
            f"worker{2 * pair + end}": first + pair * self.step
            for pair in range(self.pairs)
            for end in (1, 2)
        }
        for one in (HEALTHY, CUT) if network is CUT else (HEALTHY,):
            if one is CUT:
                stage.again()
            with stage.world.middleman(Conduct(cuts=cuts)) as middleman:
                done = self._run(stage, middleman, one)
            stage.findings.notes["drops"] += len(middleman.cut)
            stage.judge(done, one, checks=self.pairs, pings=self.pings)

    def _run(self, stage: Stage, middleman: Middleman, network: Network) -> Done:
        pairs = [
            word
            for pair in range(self.pairs)
            for word in ("--kv-nodes", f"worker{2 * pair + 1}:worker{2 * pair + 2}")
        ]
        kubeconfig = middleman.write_kubeconfig(stage.place.directory / "kubeconfig")
        arguments = [*stage.cluster(kubeconfig), *stage.configmap(network), *pairs, *self.sample]
        return stage.place.start("run", arguments).end()


class Twins(Scenario):
    """Two runs start at once from one ConfigMap."""

    name = "twins"
    title = "two runs at once, one ConfigMap"
    count = 50

    def act(self, case: int, stage: Stage) -> None:
        configmap = stage.configmap(HEALTHY)
        # Left alone, or made to meet: when both read the ConfigMap, or when both write it.
        meeting = (None, Meeting(("GET",), "configmaps"), Meeting(("PUT", "PATCH"), "configmaps"))[case % 3]
        with (
            stage.world.middleman(Conduct(meeting=meeting)) as first,
            stage.world.middleman(Conduct(meeting=meeting)) as second,
        ):
            runs: list[Run] = []
            for word, middleman in (("one", first), ("other", second)):
                kubeconfig = middleman.write_kubeconfig(stage.place.directory / f"{word}.kubeconfig")
                runs.append(stage.place.start(word, [*stage.cluster(kubeconfig), *configmap, *PAIR, *SAMPLE]))
            both = [run.end() for run in runs]
        passed = [done for done in both if done.status == 0]
        created = stage.ground.created(stage.namespace)
        if len(passed) != 1 or created != 2:
            statuses = [done.status for done in both]
            stage.findings.add(DOUBLE, f"exit statuses {statuses}, {created} VMIs created")
        for done in both:
            if [done] == passed[:1]:
                stage.judge(done, HEALTHY, pings=PINGS)
            else:
                judge_end(done, stage.findings)
        left(stage.ground, stage.namespace, stage.findings)


def network_of(network: Network) -> tuple[str, str]:
    return ("--kv-nad", network.nad)


SCENARIOS: tuple[type[Scenario], ...] = (Interrupts, Kills, ApiFailures, Drops, Twins)
