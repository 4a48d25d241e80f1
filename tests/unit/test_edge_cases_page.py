"""``docs/edge-cases.md`` says what the tests show: each edge case has a test, and each quoted text is expected by it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

DOCS = Path(__file__).parents[2] / "docs"
#: Every id that there is.
IDS = {
    f"E{number:02}"
    for first, last in ((1, 15), (20, 28), (30, 40), (50, 92))
    for number in range(first, last + 1)
}


@pytest.fixture
def edge_cases(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS))
    return __import__("edge_cases")


@pytest.fixture
def page_of(edge_cases: ModuleType, tmp_path: Path):
    """Read the edge cases of one test file."""

    def read(text: str):
        (tmp_path / "test_one.py").write_text(text, encoding="utf-8")
        return edge_cases.read(tmp_path)

    return read


def test_each_edge_case_has_a_test_that_is_marked_with_it(edge_cases: ModuleType) -> None:
    marked = {case.id for case in edge_cases.read()}
    assert sorted(IDS - marked) == []
    missing = {one: file for one, file in edge_cases.named().items() if one not in marked}
    assert missing == {}, "mark one test of each with @pytest.mark.edge_case, as docs/edge_cases.py says"


def test_each_text_that_the_page_quotes_is_expected_by_its_test(edge_cases: ModuleType) -> None:
    unsaid = {f"{case.id} {case.test}": case.unsaid for case in edge_cases.read() if case.unsaid}
    assert unsaid == {}


TEST = """
import re
import pytest

LATER: dict[str, str] = {"later": "a text that is looked up"}


@pytest.fixture
def ends():
    def check(output):
        assert "a text of the fixture" in output
    return check


@pytest.mark.edge_case("E31", happens="It happens.", says="%s")
@pytest.mark.parametrize("text", ["a text of a parameter"])
def test_E31_it(run, ends, text):
    '''A text of the docstring.'''
    output = run("a text that is given")
    assert f"VMI {text} is gone" in output
    assert re.search(r"took \\\\d+ ms \\\\(late\\\\)", output)
    assert LATER["later"]
"""


@pytest.mark.parametrize(
    ("says", "unsaid"),
    [
        ("VMI … is gone", ()),
        ("ms (late)", ()),
        ("a text of a parameter", ()),
        ("a text of the fixture", ()),
        ("a text that is looked up", ()),
        ("A text of the docstring.", ("A text of the docstring.",)),
        ("It happens.", ("It happens.",)),
        ("VMI … went … is gone", ("went",)),
    ],
)
def test_a_quoted_text_must_stand_where_the_test_expects_it(
    page_of, says: str, unsaid: tuple[str, ...]
) -> None:
    (case,) = page_of(TEST.replace("%s", says))
    assert (case.id, case.says, case.unsaid) == ("E31", says, unsaid)


@pytest.mark.parametrize(
    ("mark", "reason"),
    [
        ('"E1", happens="x", says="y"', "takes an id, such as E07"),
        ('"E01", happens="x", reads="y"', "takes an id, such as E07"),
        ('"E01", happens="x"', "needs happens, and does or says"),
        ('"E01", happens=TEXT, says="y"', "takes one id and literal texts"),
    ],
)
def test_a_wrong_mark_is_refused(page_of, mark: str, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"test_one.py::test_it: edge_case {reason}"):
        page_of(f"import pytest\n\n@pytest.mark.edge_case({mark})\ndef test_it(): pass\n")


def test_ids_are_found_in_names_and_in_the_ids_of_parameters(edge_cases: ModuleType, tmp_path: Path) -> None:
    text = 'def test_E01_E02_it(): pass\nid="E03-x"\n"E04"\ndef test_E05x(): pass\n'
    (tmp_path / "test_one.py").write_text(text, encoding="utf-8")
    assert edge_cases.named(tmp_path).keys() == {"E01", "E02", "E03"}
