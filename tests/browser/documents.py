"""Documents beyond what one run shows: large ones, and guests that write markup."""

from __future__ import annotations

import copy
import random

from pytest_kvlatency.report.causes import causes_of
from pytest_kvlatency.report.page.render import render

#: Markup, a script's end, bidirectional controls and line separators, as a guest, a node or a test may name things.
HOSTILE = "</script><img src=x onerror=\"window.hacked=1\"><svg onload='window.hacked=1'>\u202e\u2028{{x}}<!-- data -->"


def saved(document, path):
    path.write_text(render(document, folder=path.parent), encoding="utf-8")
    return path


def with_hostile_texts(document, known):
    """Every text that a guest, a cluster or a test chooses is markup."""
    changed = copy.deepcopy(document)
    for entry in changed["measurements"]:
        entry["nodeid"] = entry["nodeid"] + HOSTILE
        for key in ("failureReason", "transcript", "sourceVmi", "targetVmi", "advice", "binding"):
            if entry.get(key) is not None:
                entry[key] = HOSTILE
        entry["notes"] = [HOSTILE]
        entry["nad"] = f"default/{HOSTILE}"
        for side in ("sourceNode", "targetNode"):
            if entry[side] is not None:
                entry[side] += HOSTILE
    changed["causes"] = [
        {**one, "sentence": HOSTILE, "advice": HOSTILE, "kind": known} for one in causes_of(changed)
    ]
    changed["notes"] = [HOSTILE]
    changed["cluster"]["server"] = HOSTILE
    return changed


def large(document, entry, *, nodes=32, pings=50):
    """A mesh of so many nodes, made of one pair's entry; every tenth pair has lost something."""
    chance = random.Random(7)
    names = [f"worker{number}" for number in range(1, nodes + 1)]
    measurements = []
    for number, (source, target) in enumerate((a, b) for i, a in enumerate(names) for b in names[i + 1 :]):
        lost = sorted(chance.sample(range(pings), 3)) if number % 10 == 0 else []
        samples = [chance.randrange(300_000, 900_000, 1_000) for _ in range(pings - len(lost))]
        replies = [
            f"64 bytes from 198.19.40.163: seq={n} ttl=64 time={ns / 1e6} ms" for n, ns in enumerate(samples)
        ]
        one = {
            **copy.deepcopy(entry),
            "nodeid": f"kvlatency::check[default/blue-network-{source}:{target}]",
            "nodes": f"{source}:{target}",
            "sourceNode": source,
            "targetNode": target,
            "sourceVmi": f"latency-check-{number:05}",
            "targetVmi": f"latency-check-{number + 1:05}",
            "transmitted": pings,
            "received": pings - len(lost),
            "lossPercent": 100 * len(lost) / pings,
            "lostSequence": lost,
            "samplesNanoSec": samples,
            "minLatencyNanoSec": min(samples),
            "maxLatencyNanoSec": max(samples),
            "p50LatencyNanoSec": sorted(samples)[len(samples) // 2],
            "outcome": "failed" if lost else "passed",
            "succeeded": not lost,
            "failureKind": "loss" if lost else None,
            "failureReason": "run: packets were lost" if lost else None,
            "transcript": "\n".join([f"PING {source}", *replies]),
        }
        measurements.append(one)
    return {**document, "measurements": measurements, "causes": []}


def moved(entry, *, preparation=1.3, switchover=0.4, outcome="passed"):
    """The same pair, whose target migrates 1 s after ping began: 13 s of pings, with both gaps, in seconds."""
    second = 1_000_000_000
    gaps = [(1.4, preparation), (6.7, switchover)]
    arrivals = [n / 100 for n in range(1300) if not any(begin < n / 100 < begin + gap for begin, gap in gaps)]
    # What waited for the guest is answered late, all at once.
    samples = [900_000_000 if 0 <= at - 7.1 < 0.03 else 300_000 + round(at * 1e4) for at in arrivals]
    begins = {
        "Pending": 0.2, "Scheduling": 0.3, "Scheduled": 2.7, "PreparingTarget": 2.8, "TargetReady": 3.6,
        "Running": 3.9, "Succeeded": 6.2,
    }  # fmt: skip
    phases = [
        {
            "phase": name,
            "notBeforeNanoSec": round(max(0, at - 0.1) * second),
            "seenNanoSec": round(at * second),
            "timestamp": f"2026-11-30T08:00:0{int(at)}Z",
        }
        for name, at in begins.items()
    ]
    shown = [
        {"nanoSec": round(gap * second), "beginsNanoSec": round(begin * second), "lost": round(gap * 50)}
        for begin, gap in gaps
    ]
    times = {"count": 100, "minNanoSec": 300_000, "avgNanoSec": 310_000, "maxNanoSec": 400_000}
    return {
        **copy.deepcopy(entry),
        "nodeid": entry["nodeid"].replace("]", ">worker10]"),
        "nodes": f"{entry['nodes']}>worker10",
        "outcome": outcome,
        "transmitted": 1300,
        "received": len(samples),
        "lossPercent": 100 * (1300 - len(samples)) / 1300,
        "lostSequence": None,
        "samplesNanoSec": samples,
        "maxLatencyNanoSec": max(samples),
        "repliesNanoSec": [round(at * second) for at in arrivals],
        "longestGap": max(shown, key=lambda one: one["nanoSec"]),
        "gapResolutionNanoSec": 10_000_000,
        "limits": {**entry["limits"], "maxGapNanoSec": second},
        "migration": {
            "name": "kvlatency-move-x",
            "sourceNode": entry["targetNode"],
            "requestedNode": "worker10",
            "targetNode": "worker10",
            "succeeded": True,
            "failureReason": None,
            "mode": "PreCopy",
            "createdTimestamp": "2026-11-30T08:00:00.000Z",
            "createdNanoSec": second,
            "endedNanoSec": round(7.2 * second),
            "clockErrorNanoSec": 3_000_000,
            "phases": phases,
            "preparationGap": shown[0],
            "switchoverGap": shown[1],
            "rttBefore": times,
            "rttAfter": times,
            "lostInGaps": sum(one["lost"] for one in shown),
        },
    }
