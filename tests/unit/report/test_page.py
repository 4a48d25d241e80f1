"""The page's text, without a browser: what stands in it, that it is self-contained, and that guest text stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kvlatency.checkup.results import FILE_REPORTS
from pytest_kvlatency.model import Failure
from pytest_kvlatency.report.document import build
from pytest_kvlatency.report.page.render import render

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Make

HOSTILE = "</script><img src=x onerror=alert(1)>\u2028]]>&amp;<!-- slot --><!-- data -->\x1b[31m\u202e"
#: What documents of earlier releases lack.
ADDITIONS = (
    "startTimestamp", "round", "lostSequence", "guest", "failedNode", "advice", "comparison", "longestGap",
    "gapResolutionNanoSec", "repliesNanoSec", "migration",
)  # fmt: skip


class Read(HTMLParser):
    """The page's elements, and the texts of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is not None:
            self.raw.append((self.tags[-1][1].get("id") or self.tags[-1][0], data))
        self.text += data

    def block(self, name: str) -> Any:
        return json.loads(next(text for one, text in self.raw if one == name))


@pytest.fixture
def mesh(make: Make) -> dict[str, Any]:
    items = [make.item(make.measurement(target=f"worker{n}")) for n in (2, 3, 10)]
    return build(make.run(*items, make.broken(target="worker11")))


def test_the_page_runs_only_its_own_script_and_fetches_nothing(mesh: dict[str, Any]) -> None:
    page = Read(render(mesh))
    policy = next(
        one["content"] for tag, one in page.tags if tag == "meta" and "content" in one and "http-equiv" in one
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    for directive, name in (("script-src", "script"), ("style-src", "style")):
        (content,) = (text for one, text in page.raw if one == name)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert not [one for tag, one in page.tags if tag != "a" and ("src" in one or "style" in one)]
    assert [one["href"] for tag, one in page.tags if tag == "link"] == ["data:,"]


def test_E67_hostile_texts_become_neither_elements_nor_the_end_of_the_data(mesh: dict[str, Any]) -> None:
    plain = Read(render(mesh))
    for entry in mesh["measurements"]:
        entry |= {"transcript": HOSTILE, "failureReason": HOSTILE, "notes": [HOSTILE], "sourceVmi": HOSTILE}
        entry |= {"nodeid": entry["nodeid"] + HOSTILE, "transcriptFile": f"javascript:{HOSTILE}"}
    mesh["notes"] = [HOSTILE]
    text = render(mesh)
    page = Read(text)
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags} | {"ul", "li"}
    assert not {"\u2028", "\x1b", "\u202e"} & set(text)
    assert all("\\u202e" in one for one in page.block("transcripts"))
    assert {one["file"].partition("%")[0] for one in page.block("data")["entries"]} == {"javascript"}


def test_without_a_script_the_page_holds_verdict_causes_and_heat_map(mesh: dict[str, Any]) -> None:
    page = Read(render(mesh))
    for words in (
        "1 of 4 pairs failed: 1 could not be measured",
        "NAD default/blue-network does not exist",
        "LAB",
    ):
        assert words in page.text
    looks = [(one["class"], one["data-pair"]) for tag, one in page.tags if tag == "td" and "data-pair" in one]
    assert sorted(looks)[:2] == [("error", "3"), ("error mirror", "3")]
    assert len(looks) == 8, "both halves are filled"
    assert re.findall(r"<th scope=\"row\"[^>]*><span>(\w+)", render(mesh)) == [
        f"worker{number}" for number in (1, 2, 3, 10, 11)
    ]


def test_without_a_script_the_page_holds_each_migration_with_its_gaps_and_phases(make: Make) -> None:
    failure = Failure(
        kind="gap",
        stage="run",
        reason='actual longest gap "3s" is greater than desired "2s"',
        summary="the gap exceeds the limit",
    )
    slow = make.migrated(target="worker4", preparation_ms=3_000, max_gap_ns=2_000_000_000)
    slow = replace(slow, failures=(failure,))
    page = Read(render(build(make.run(make.item(make.migrated()), make.item(slow)))))
    assert "2 migrations on default/blue-network" in page.text
    assert "Gaps are right to 100 ms." in page.text
    # The failed one first, with what broke the limit in its cause too.
    assert page.text.index("worker4>worker3") < page.text.index("worker2>worker3")
    assert page.text.count("gap 3s > 2s") == 2
    pictures = [one["aria-label"] for tag, one in page.tags if one.get("class") == "timeline"]
    assert pictures == [
        "worker1 → worker4>worker3: preparation gap: 3000 ms, switch-over gap: 400 ms",
        "worker1 → worker2>worker3: preparation gap: 1300 ms, switch-over gap: 400 ms",
    ]
    assert [one["class"] for tag, one in page.tags if tag == "rect" and "band" in str(one["class"])] == [
        f"band p{number}" for number in (*range(7), *range(7))
    ]
    data = page.block("data")["entries"]
    assert data[1]["broken"] == ["gap"]
    assert data[1]["move"]["preparation"] == [3_000_000_000, 1_400_000_000, 29]
    assert len(data[0]["arrivals"]) == len(data[0]["samples"])


def test_a_gap_that_never_ended_leaves_room_for_the_other_migrations(make: Make) -> None:
    endless = make.migrated(target="worker4", switchover_ms=60_000)
    page = Read(render(build(make.run(make.item(make.migrated()), make.item(endless)))))
    assert "0 to 12.4 s since it was created" in page.text
    assert "60000" in page.text
    ends = [
        float(str(one["x"])) + float(str(one["width"]))
        for tag, one in page.tags
        if tag == "rect" and one["class"] == "gap"
    ]
    assert max(ends) == 300


def test_a_migration_of_which_little_is_known_has_a_row_too(make: Make) -> None:
    """It failed before anything was created, or while nothing could be read of it."""
    moved = make.migrated(failure="no node is left")
    assert moved.migration is not None
    nothing = replace(
        moved.migration,
        created_ns=None,
        ended_ns=None,
        phases=(),
        preparation_gap=None,
        rtt_before=None,
        rtt_after=None,
    )
    unknown = make.item(replace(moved, migration=nothing, result=None, gaps=None))
    never = replace(make.item(moved), measurement=None, nodeid="test_x.py::test_z", outcome="error")
    page = Read(render(build(make.run(unknown, never))))
    assert "2 migrations" in page.text
    assert page.text.count("worker1 → worker2>worker3") >= 2


def test_documents_without_later_keys_have_a_page_too(mesh: dict[str, Any]) -> None:
    for entry in mesh["measurements"]:
        for one in (entry, *entry["extra"]):
            for key in ADDITIONS:
                one.pop(key, None)
    for key in ("namespace", "settings", "causes", "baseline"):
        mesh.pop(key, None)
    page = Read(render(mesh))
    assert "1 cause" in page.text
    assert [one["pair"] for one in page.block("data")["entries"]] == [
        f"worker1 → worker{number}" for number in (2, 3, 10, 11)
    ]


def test_settings_of_the_document_are_listed_with_their_sources(mesh: dict[str, Any]) -> None:
    mesh["settings"] = {
        "nad": {"option": "--kv-nad", "value": ["a/b", "a/c"], "source": "command line"},
        "keep": {"option": "--kv-keep", "value": "never", "source": "default"},
    }
    mesh["namespace"] = "checks"
    text = Read(render(mesh)).text
    assert "Settings: 1 given, 1 by default" in text
    assert "--kv-nada/b, a/ccommand line" in text
    assert "Namespacechecks" in text


def test_samples_are_stored_once_as_small_integers(make: Make) -> None:
    samples = tuple(range(1_000_000, 1_050_000, 1_000))
    data = Read(render(build(make.run(make.item(make.measurement(samples)))))).block("data")
    assert data["unit"] == 1_000
    assert data["entries"][0]["samples"] == list(range(1_000, 1_050))


def test_a_network_of_more_nodes_than_a_picture_holds_leaves_it_to_the_table(mesh: dict[str, Any]) -> None:
    first = mesh["measurements"][0]
    mesh["measurements"] = [
        {**first, "nodeid": f"check[{n}]", "nodes": f"worker1:worker{n}", "targetNode": f"worker{n}"}
        for n in range(2, 103)
    ]
    page = Read(render(mesh))
    assert "102 nodes are too many for a picture: see the table of pairs." in page.text
    assert "heat" not in [one.get("class") for tag, one in page.tags if tag == "table"]


def test_a_page_of_a_run_that_measured_nothing_says_so(make: Make) -> None:
    page = Read(render(build(make.run(cluster=None))))
    assert "nothing was measured" in page.text


def test_artifacts_are_linked_from_the_folder_of_the_page(make: Make, tmp_path: Path) -> None:
    item = make.item(transcript_file=str(tmp_path / "art ifacts" / "console.log"))
    _, page_of = FILE_REPORTS["html"]
    page = Read(page_of(build(make.run(item)), tmp_path / "site" / "page.html"))
    assert page.block("data")["entries"][0]["file"] == "../art%20ifacts/console.log"


def test_a_baseline_adds_a_metric_to_the_heat_map(mesh: dict[str, Any]) -> None:
    change = {"p50": {"baselineNanoSec": 1_000_000, "deltaPercent": 31.4}, "p90": None, "p99": None}
    mesh["measurements"][0]["comparison"] = {
        **change,
        "significant": True,
        "regressed": True,
        "reason": "slower",
    }
    mesh["baseline"] = {
        "file": "last-week.json",
        "startTimestamp": "2024-04-24T12:00:00Z",
        "maxRegressionPercent": 10.0,
        "newPairs": ["worker1:worker3"],
        "vanishedPairs": [],
    }
    page = Read(render(mesh))
    (heat,) = page.block("data")["heats"]
    assert heat["metrics"]["delta"]["cells"][0] == ["+31▲", "d4"]
    assert "Baselinelast-week.json of 2024-04-24 12:00:00 UTC, at most 10% slower" in page.text
