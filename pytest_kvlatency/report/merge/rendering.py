"""A document as JUnit and HTML: pytest's own writers make both while the document is replayed to them."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_kvlatency.report import files
from pytest_kvlatency.report.document import TIMESTAMP, timestamp
from pytest_kvlatency.report.junit import suite
from pytest_kvlatency.report.merge.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

#: Nothing of the directory, of the user's configuration and of other plugins has a say, and nothing is printed.
_BARE: Final = ("-c", os.devnull, "--noconftest", *(f"-pno:{name}" for name in (
    "terminal", "cacheprovider", "capture", "faulthandler", "logging",
)))  # fmt: skip
_FOREIGN: Final = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD")
_HTML_PLUGINS: Final = ("-ppytest_metadata.plugin", "-ppytest_html.plugin")
#: How a run that collects nothing ends: by what was reported to have failed.
_WHOLE: Final = (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
# pytest-html says how long its own run took.
_TOOK: Final = re.compile(r'(<p class="run-count">\d+ tests? took )[^<]*(</p>)')


def write_junit(document: Mapping[str, Any], target: Path) -> None:
    """Write the JUnit file of a document. Raises ``ReportError``."""
    _span(document)
    files.write(suite.render(document), target, name="JUnit", option="--junitxml")


def write_html(document: Mapping[str, Any], target: Path, *, is_self_contained: bool) -> None:
    """Write the HTML report of a document; unless it is self-contained, with a folder ``assets`` beside it.

    Raises ``ReportError``.
    """
    start, end = _span(document)

    def finish(made: Path) -> None:
        text = _TOOK.sub(rf"\g<1>{end - start}.\g<2>", made.read_text(encoding="utf-8"))
        files.write(text, target, name="HTML", option="--html")
        assets = made.parent / "assets"
        try:
            if assets.exists():
                shutil.copytree(assets, target.parent / assets.name, dirs_exist_ok=True)
        except OSError as error:
            raise files.unwritten(target.parent / assets.name, error, name="HTML", option="--html") from error

    options = ["--self-contained-html"] if is_self_contained else []
    _replay(document, "HTML", target, [*_HTML_PLUGINS, *options, "--html"], finish)


def _replay(
    document: Mapping[str, Any],
    name: str,
    target: Path,
    options: Sequence[str],
    finish: Callable[[Path], None],
) -> None:
    """Let pytest make a report where nothing is in its way, and finish it there. Raises ``ReportError``."""
    try:
        with TemporaryDirectory(prefix="kvlatency-merge-") as directory:
            made = Path(directory, target.name)
            replay = Replay(document)
            with _without_plugins():
                status = pytest.main([*_BARE, "--rootdir", directory, *options, str(made)], plugins=[replay])
            if status == pytest.ExitCode.INTERRUPTED:
                # pytest has written half of the report, and takes the interrupt for its own.
                raise KeyboardInterrupt
            if status not in _WHOLE or not made.is_file():
                why = replay.problem or f"pytest ended with exit status {int(status)}"
                raise files.ReportError(f"cannot write the {name} report {target}: {why}")
            finish(made)
    except OSError as error:
        raise files.ReportError(f"cannot write the {name} report {target}: {error}") from error


@contextmanager
def _without_plugins() -> Iterator[None]:
    before = {name: os.environ.pop(name, None) for name in _FOREIGN}
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _span(document: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """From the first shard's start to the last one's end. Raises ``ReportError``."""
    try:
        first, last = (
            datetime.strptime(document[name], TIMESTAMP).replace(tzinfo=timezone.utc)
            for name in ("startTimestamp", "completionTimestamp")
        )
    except ValueError as error:
        example = timestamp(datetime.now(timezone.utc))
        raise files.ReportError(
            f"cannot read the time of the measurement: {error}: expected a time such as {example}"
        ) from error
    return first, last
