"""What is wrong with a run that is over, in the light of what is true of its network."""

from __future__ import annotations

import re
import signal
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ground import ENDS

if TYPE_CHECKING:
    from ground import Ground, Network
    from runs import Done

LEFT = "left VMIs"
INCOMPLETE = "incomplete ConfigMaps"
WRONG = "wrong verdicts"
DOUBLE = "double starts"
HUNG = "hung or crashed"
KINDS = (LEFT, INCOMPLETE, WRONG, DOUBLE, HUNG)
#: Kinds of failure that say something of the network.
OF_THE_NETWORK = ("connectivity", "loss", "latency")
NUMBERS = ("minLatencyNanoSec", "avgLatencyNanoSec", "maxLatencyNanoSec")


@dataclass(kw_only=True)
class Findings:
    """What was found in one case: how often each kind, and in words."""

    counts: Counter[str] = field(default_factory=Counter)
    words: list[str] = field(default_factory=list)
    #: What is worth to know and no fault: how many checks could not be made, for example.
    notes: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, words: str, count: int = 1) -> None:
        self.counts[kind] += count
        self.words.append(f"{kind}: {words}")


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is known of a run: its network, its checks, the pings of each, and what happened to it on the way.

    ``may_miss``: requests failed, so that a check may end without a measurement; never with a wrong one.
    """

    network: Network
    checks: int
    pings: int
    may_miss: bool = False


def judge(done: Done, ground: Ground, namespace: str, truth: Truth, findings: Findings) -> None:
    """Find all that is wrong with the run and with what it left in its namespace."""
    judge_end(done, findings)
    left(ground, namespace, findings)
    status = ground.status(namespace)
    judge_configmap(done, ground, namespace, status, findings)
    for entry in done.entries:
        for words in wrong_entry(entry, truth):
            findings.add(WRONG, f"{entry['nodeid']}: {words}")
    for words in wrong_whole(done, ground, namespace, status, truth):
        findings.add(WRONG, words)
    if truth.may_miss:
        findings.notes["checks not made"] += sum(entry["outcome"] == "error" for entry in done.entries)


def judge_end(done: Done, findings: Findings) -> None:
    """Count a run that hung, and a traceback, which is no answer to anything."""
    if done.status is None:
        findings.add(HUNG, "the run did not end")
    for words in crashes(done):
        findings.add(HUNG, words)


def crashes(done: Done) -> list[str]:
    """What the output says of exceptions that came out of the run.

    Where a SIGINT comes before pytest is in charge, or when it has ended, Python ends with a traceback of its own,
    whose last line has no words; those of the plugin have.
    """
    found = re.findall(r"^INTERNALERROR>.*", done.output, re.MULTILINE)[-1:]
    is_excused = any(one.number is signal.SIGINT for one in done.sent)
    for traceback in re.split(r"Traceback \(most recent call last\):\n", done.output)[1:]:
        end = next((line for line in traceback.splitlines() if line and not line[0].isspace()), "")
        if not (is_excused and end == "KeyboardInterrupt"):
            found.append(f"a traceback: {end}")
    return found


def left(ground: Ground, namespace: str, findings: Findings) -> None:
    """Count the VMIs that a run left, and remove them."""
    names = ground.left(namespace)
    if names:
        findings.add(LEFT, ", ".join(names), len(names))
    ground.clear(namespace)


def judge_configmap(
    done: Done, ground: Ground, namespace: str, status: dict[str, str], findings: Findings
) -> None:
    """A run that touched its ConfigMap, or created a VMI, writes all four keys; only an early stop leaves it alone."""
    missing = [key for key in ENDS if key not in status]
    if not missing:
        return
    if not status and done.sent and not ground.created(namespace):
        if done.status == 0:
            findings.add(INCOMPLETE, "exit status 0 and no status at all")
        return
    findings.add(INCOMPLETE, f"no {', '.join(missing)} among {sorted(status)}")


def wrong_entry(entry: dict[str, Any], truth: Truth) -> list[str]:
    """What is wrong with one measurement."""
    network, kind = truth.network, entry["failureKind"]
    wrong = []
    if network.failure is not None and (entry["succeeded"] or entry["outcome"] == "passed"):
        wrong.append(f"passed on the network {network.name!r}")
    if kind in OF_THE_NETWORK and kind != network.failure:
        wrong.append(f"{kind} on the network {network.name!r}: {entry['failureReason']}")
    if kind == "assertion":
        wrong.append(f"nothing was asserted: {entry['failureReason']}")
    if entry["received"] is not None:
        wrong += wrong_numbers(entry, truth)
    return wrong


def wrong_numbers(entry: dict[str, Any], truth: Truth) -> list[str]:
    """What is wrong with numbers that were measured."""
    network = truth.network
    sent, received = entry["transmitted"], entry["received"]
    samples = entry["samplesNanoSec"] or []
    wrong = []
    if sent != truth.pings:
        wrong.append(f"{sent} of {truth.pings} pings were sent")
    expected = {None: sent, "latency": sent, "connectivity": 0}.get(network.failure, received)
    if received != expected or (network.failure == "loss" and not 0 < received < sent):
        wrong.append(f"{received} of {sent} replies on the network {network.name!r}")
    if len(samples) != received:
        wrong.append(f"{len(samples)} samples of {received} replies")
    outside = [one for one in samples if not network.lowest_ns <= one <= network.highest_ns]
    if outside:
        wrong.append(f"samples that no reply of the network {network.name!r} takes: {outside}")
    if samples:
        counted = (min(samples), round(sum(samples) / len(samples)), max(samples))
        wrong += [
            f"{key} is {entry[key]} and not {number}"
            for key, number in zip(NUMBERS, counted, strict=True)
            if abs(entry[key] - number) > 1
        ]
    return wrong


def wrong_whole(
    done: Done, ground: Ground, namespace: str, status: dict[str, str], truth: Truth
) -> list[str]:
    """What is wrong with the run's verdict: exit status, document and ConfigMap say the same, and the truth."""
    wrong = []
    is_green = truth.network.failure is None
    passed = [entry for entry in done.entries if entry["outcome"] == "passed"]
    succeeded = status.get("succeeded") == "true"
    if succeeded and not is_green:
        wrong.append(f"the ConfigMap of the network {truth.network.name!r} says succeeded")
    if succeeded and len(passed) != truth.checks:
        wrong.append(f"the ConfigMap says succeeded after {len(passed)} of {truth.checks} checks")
    if succeeded and status.get("failureReason"):
        wrong.append(f"the ConfigMap says succeeded and {status['failureReason']!r}")
    if status.get("succeeded") == "false" and not status.get("failureReason"):
        wrong.append("the ConfigMap says failed, without a reason")
    if not succeeded and done.document is not None and done.document["succeeded"]:
        wrong.append("the document says succeeded, the ConfigMap does not")
    if done.status == 0 and not succeeded:
        wrong.append("the exit status is 0, the ConfigMap does not say succeeded")
    if succeeded and done.status != 0 and not is_too_late(done, ground, namespace):
        wrong.append(f"the ConfigMap says succeeded, and the exit status is {done.status}")
    if done.status == 0 and done.sent and not is_too_late(done, ground, namespace):
        wrong.append("the exit status is 0, although a signal came")
    if succeeded and done.document is not None and not done.document["succeeded"]:
        wrong.append("the ConfigMap says succeeded, the document does not")
    if not done.sent and not truth.may_miss:
        wrong += wrong_undisturbed(done, truth)
    return wrong


def is_too_late(done: Done, ground: Ground, namespace: str) -> bool:
    """Say whether the first signal came after the ConfigMap had its last word."""
    return bool(done.sent) and done.sent[0].at > ground.last_configmap_write(namespace)


def wrong_undisturbed(done: Done, truth: Truth) -> list[str]:
    """What is wrong with a run that nothing stopped: every check says what is true of the network."""
    expected = ("passed", None) if truth.network.failure is None else ("failed", truth.network.failure)
    verdicts = Counter((entry["outcome"], entry["failureKind"]) for entry in done.entries)
    wrong = []
    if verdicts != Counter({expected: truth.checks}):
        reasons = {str(entry["failureReason"]) for entry in done.entries}
        wrong.append(
            f"{dict(verdicts)} in place of {truth.checks} x {expected}: {'; '.join(sorted(reasons))}"
        )
    if done.status != (0 if truth.network.failure is None else 1):
        wrong.append(f"the exit status is {done.status}")
    return wrong
