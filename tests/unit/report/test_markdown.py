"""The summary of a CI job: what comes first, that text stays text, and that it is never too long."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kvlatency.model import Failure
from pytest_kvlatency.report.document import build
from pytest_kvlatency.report.markdown.jobsummary import MOST_BYTES, render
from pytest_kvlatency.report.markdown.text import escaped

if TYPE_CHECKING:
    from conftest import Make

HOSTILE = "a|b `c` <img src=x onerror=alert(1)> ![x](http://evil.example) **d** @user www.evil.example\n\n# e\x1b[31m"


def whole(make: Make, *items: Any, **changes: Any) -> dict[str, Any]:
    return {"namespace": None, "settings": {}, **build(make.run(*items, **changes))}


def tables(text: str) -> list[list[list[str]]]:
    """The tables with their cells; every row of one has as many."""
    found: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    for table in found:
        assert len({len(row) for row in table}) <= 1
    return [table for table in found if table]


def test_the_failures_come_before_the_rest(make: Make) -> None:
    slow = make.measurement(target="worker3", max_latency_ns=2_000_000)
    text = render(whole(make, make.item(), make.item(slow), make.broken(target="worker4")))
    first, broken, second = tables(text)
    assert text.startswith("## ❌ Network check failed\n\n**2 of 3 ")
    assert [row[1] for row in first[2:]] == ["worker1 → worker3"]
    assert [row[1:] for row in broken[2:]] == [["worker1 → worker4", "test_y", "ERROR config", "2"]]
    assert first[0][:4] == ["network", "nodes", "test", "verdict"]
    assert [row[3] for row in first[2:]] == ["FAILED max 3ms &gt; 2ms"]
    assert [row[1] for row in second[2:]] == ["worker1 → worker2"]
    assert text.index("<details><summary>1 others") > text.index("worker4")
    for value in ("2/2", "0%", "2.000", "3.000"):
        assert value in second[2]


def test_a_good_run_has_its_table_unfolded(make: Make) -> None:
    text = render(whole(make, make.item()))
    assert text.startswith("## ✅ Network check passed\n")
    assert "<details>" not in text
    assert len(tables(text)) == 1


def test_a_pair_that_could_not_be_measured_is_named_as_it_was_asked_for(make: Make) -> None:
    text = render(whole(make, make.broken(target="worker4")))
    assert "| worker1 → worker4 |" in text
    assert "?" not in text


def test_a_lab_is_called_a_lab(make: Make) -> None:
    assert "**Lab, not a cluster:** sim" in render(whole(make, make.item()))


def test_E67_hostile_text_is_text(make: Make) -> None:
    failure = Failure(
        kind="guest", stage="setup", reason=HOSTILE, hint=HOSTILE, transcript=f"</pre>{HOSTILE}"
    )
    document = whole(make, make.broken(failures=(failure,)), notes=(HOSTILE,))
    document["settings"] = {"nad": {"option": "--kv-nad", "value": [HOSTILE], "source": HOSTILE}}
    text = render(document)
    outside = re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL)
    assert set(re.findall(r"<[^>]*>", text)) <= {
        "<br>", "<details>", "</details>", "<summary>", "</summary>", "<pre>", "</pre>",
    }  # fmt: skip
    assert text.count("<pre>") == text.count("</pre>") == 1
    for part in ("`", "](", "http://", "@user", "www.evil", "\x1b", "\n# e", "**d**"):
        assert part not in outside
    assert len(tables(outside)) == 2


@pytest.mark.parametrize("word", ["test_body", "worker-1.example", "default/blue", "10.2%"])
def test_names_are_readable_as_they_are(word: str) -> None:
    assert escaped(word) == word


def test_it_says_what_it_leaves_out(make: Make) -> None:
    failure = Failure(kind="guest", stage="setup", reason="no login", transcript="said\n" * 20)
    items = [make.broken(target=f"worker{n}", failures=(failure,)) for n in range(2, 500)]
    document = whole(make, *items, *(make.item(make.measurement(target=f"w{n}")) for n in range(500)))
    document["settings"] = {"nad": {"option": "--kv-nad", "value": "x", "source": "default"}}
    most = 30_000
    text = render(document, most_bytes=most)
    assert most - 2_500 < len(text.encode()) <= most
    left_out = text.splitlines()[-1]
    assert left_out.startswith("Left out, because a summary has at most 1 MB: ")
    shown = len(tables(text)[0]) - 2
    assert f"{498 - shown} of 498 that could not be measured" in left_out
    assert "500 others" in left_out
    assert text.count("<details>") == text.count("</details>")
    assert len(left_out) < 1_000
    assert len(render(document).encode()) < MOST_BYTES


def test_what_a_test_measured_beyond_stands_below_its_pair(make: Make) -> None:
    text = render(whole(make, make.item(extra=(make.measurement((5_000_000,)),))))
    (table,) = tables(text)
    assert [row[table[0].index("verdict")] for row in table[2:]] == ["ok", "kv&#95;ping"] or "kv_ping" in text
    assert table[3][-1] == "5.000"


def test_migrations_have_a_table_of_their_own_with_each_gap(make: Make) -> None:
    text = render(whole(make, make.item(), make.item(make.migrated(max_gap_ns=2_000_000_000))))
    moves, others = tables(text)
    row = dict(zip(moves[0], moves[2], strict=True))
    assert (row["nodes"], row["verdict"]) == ("worker1 → worker2&gt;worker3", "ok")
    assert (row["preparation gap ms"], row["switch-over gap ms"], row["longest gap ms"]) == (
        "1300",
        "400",
        "1300",
    )
    assert (row["lost"], row["avg before ms"], row["avg after ms"]) == ("15", "1.000", "2.000")
    assert [one[1] for one in others[2:]] == ["worker1 → worker2"]


def test_a_migration_that_a_test_makes_is_in_the_table_of_migrations_alone(make: Make) -> None:
    moves, others = tables(render(whole(make, make.item(extra=(make.migrated(),)))))
    assert moves[2][:4] == [
        "default/blue-network",
        "worker1 → worker2&gt;worker3",
        "test_y",
        "kv_migration",
    ]
    assert len(others) == 3


def test_an_expected_checklist_is_a_table(make: Make) -> None:
    document = whole(make)
    document["preflight"] = [
        {"check": "KubeVirt", "subject": "", "outcome": "failed", "message": "none", "hint": "install it"}
    ]
    assert "| failed | KubeVirt | none | install it |" in render(document)
