# ruff: noqa: INP001 - a script beside the documents, no package
"""Makes the pictures of the HTML page in ``docs/images``: ``python docs/screenshots.py [DIRECTORY]``.

Runs six nodes on three networks in the lab, with a slow link, a lossy link, a cut pair and a cordoned node, then three
live migrations, and opens the pages of these runs in Chromium. ``python tests/browser/browser_setup.py`` installs what
that needs, besides Selenium and Pillow.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
LAB = """
guests: sim
nodes: [worker1, worker2, worker3, worker4, worker5, {name: worker6, unschedulable: true}]
networks:
  default/blue-network: {latency: 200us, jitter: 40us}
  default/red-network: {latency: 350us, jitter: 60us}
  default/storage: {latency: 90us, jitter: 15us}
links:
  - {between: [worker1, worker3], network: default/blue-network, latency: 12ms, jitter: 1ms}
  - {between: [worker2, worker4], network: default/red-network, loss: 8%}
  - {between: [worker3, worker5], network: default/storage, partition: true}
seed: 7
boot: 100ms
time_scale: 5
"""
ARGUMENTS = (
    "--kv-lab=lab.yaml", "--kv-nad", "default/blue-network", "--kv-nad", "default/red-network",
    "--kv-nad", "default/storage", "--kv-nodes", "mesh", "--kv-max-latency", "10ms",
    "--kv-node-set", "worker1,worker2,worker3,worker4,worker5,worker6",
    "--kv-html", "page.html", "--kv-artifacts", "artifacts",
)  # fmt: skip
LOSSY = ".heat td.loss a"
MIGRATIONS = """
guests: sim
nodes: [worker1, worker2, worker3]
networks:
  default/blue-network: {latency: 200us, jitter: 20us}
migration: {preparation_gap: 1200ms, downtime: 200ms}
seed: 11
"""
OF_MIGRATIONS = (
    "--kv-lab=lab.yaml", "--kv-nad", "default/blue-network", "--kv-nodes", "migrations", "--kv-max-gap", "1430ms",
    "--kv-html", "page.html",
)  # fmt: skip


def main() -> int:
    """Run, open, take the pictures. Returns the exit status."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]
    from browser import Browser  # noqa: PLC0415 - of the tests, which are not installed
    from PIL import Image  # noqa: PLC0415 - beside Selenium

    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "images"
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        page = _run(Path(name) / "mesh", LAB, ARGUMENTS)
        moved = _run(Path(name) / "migrations", MIGRATIONS, OF_MIGRATIONS)
        browser = Browser()
        try:
            for picture, content in (*_pictures(browser, page), *_pictures_of_migrations(browser, moved)):
                path = target / f"{picture}.png"
                # 256 colours are as good to look at, and half the size.
                Image.open(io.BytesIO(content)).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(
                    path, optimize=True
                )
                sys.stdout.write(f"wrote {path.name}, {path.stat().st_size // 1000} kB\n")
        finally:
            browser.close()
    return 0


def _run(directory: Path, lab: str, arguments: Sequence[str]) -> Path:
    directory.mkdir()
    (directory / "lab.yaml").write_text(lab, encoding="utf-8")
    command = [sys.executable, "-m", "pytest_kvlatency", "-q", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(  # noqa: S603 - our own arguments
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode != 1:
        raise SystemExit(f"the run should fail, and ended with status {done.returncode}:\n{done.stdout}")
    return directory / "page.html"


def _pictures(browser, page):  # type: ignore[no-untyped-def]
    """Each picture's name and content."""
    browser.open(page, width=1240, height=1000)
    end = browser.run("return document.getElementById('pairs').getBoundingClientRect().top")
    yield "page", browser.picture(whole=True, height=round(end) - 12)
    browser.open(page, width=1240, height=620)
    browser.run("document.getElementById('pairs').scrollIntoView()")
    yield "pairs", browser.picture()
    browser.open(page, width=820, height=930)
    browser.open_pair(LOSSY)
    yield "pair", browser.picture()
    browser.open(page, width=1240, height=860, scheme="dark")
    browser.open_pair(".heat td.over a")
    yield "dark", browser.picture()
    browser.open(page, width=390, height=844)
    yield "phone", browser.picture()


def _pictures_of_migrations(browser, page):  # type: ignore[no-untyped-def]
    browser.open(page, width=1240, height=560)
    browser.run("document.getElementById('moves').scrollIntoView()")
    top, end = browser.run(
        "const box = document.getElementById('moves').getBoundingClientRect(); return [box.top, box.bottom]"
    )
    browser.open(page, width=1240, height=round(end - top) + 28)
    browser.run("document.getElementById('moves').scrollIntoView()")
    yield "migrations", browser.picture()
    browser.open(page, width=820, height=850)
    browser.open_pair("#moves td[data-entry] a")
    yield "migration", browser.picture()


if __name__ == "__main__":
    sys.exit(main())
