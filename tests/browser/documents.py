"""Documents beyond what one run shows: large ones, and guests that write markup."""

from __future__ import annotations

import copy
import random

from pytest_kvlatency.report.causes import causes_of
from pytest_kvlatency.report.page.render import write

#: Markup, a script's end, bidirectional controls and line separators, as a guest, a node or a test may name things.
HOSTILE = "</script><img src=x onerror=\"window.hacked=1\"><svg onload='window.hacked=1'>\u202e\u2028{{x}}<!-- data -->"


def saved(document, path):
    write(document, path)
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


def large(document, entry, *, nodes=32, pings=50, with_transcripts=True):
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
            "transcript": "\n".join([f"PING {source}", *replies]) if with_transcripts else None,
        }
        measurements.append(one)
    return {**document, "measurements": measurements, "causes": []}
