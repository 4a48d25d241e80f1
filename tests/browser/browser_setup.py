"""Makes this machine able to open pages in a real browser: ``python tests/browser/browser_setup.py``.

Installs Chromium, its driver and two families of fonts by the machine's own apt; and fetches axe-core, which judges
accessibility, out of a package of PyPI that carries it, by the machine's own pip. What it fetches lies in the cache
where the lab's guests are, and is fetched once.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from machine import SetupError, checked, install  # noqa: E402

from pytest_kvlatency.lab.guests.qemu.assets import cache_directory  # noqa: E402

COMMAND = "python tests/browser/browser_setup.py"
#: Each program's package in Debian.
PROGRAMS = {"chromium": "chromium", "chromedriver": "chromium-driver"}
#: What the page's style sheet asks for; pictures of it should not depend on the machine.
FONTS = ("fonts-roboto-unhinted", "fonts-liberation")
#: The newest package of PyPI with axe-core (MPL-2.0), of which only that file is used.
AXE_PACKAGE = "axe-playwright-python==0.1.8"
AXE_FILE = "axe_playwright_python/axe.min.js"


def axe():
    """Where axe-core's script lies once it was fetched."""
    return cache_directory() / "browser" / f"{AXE_PACKAGE.replace('==', '-')}.js"


def unusable():
    """Say what is missing and how to get it; None when all is there."""
    lacks = [name for name in PROGRAMS if shutil.which(name) is None]
    if not axe().is_file():
        lacks.append("axe-core")
    return (
        f"tests in a browser need {', '.join(lacks)}; get what is missing with: {COMMAND}" if lacks else None
    )


def unsupported():
    """Say why no setup could make it possible here; None where one could."""
    if sys.platform != "linux":
        return f"the browser is set up on Linux only, and this is {sys.platform}"
    if os.geteuid() != 0 and any(shutil.which(name) is None for name in PROGRAMS):
        return f"installing a browser needs root, and this is uid {os.geteuid()}"
    return None


def main():
    """Install and fetch what is missing. Idempotent. Returns the exit status."""
    cause = unsupported()
    if cause:
        print(f"setup: {cause}: the tests in a browser will be skipped")
        return 0
    try:
        _install()
        if not axe().is_file():
            _fetch_axe()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    print(f"setup: pages can be opened: {checked(['chromium', '--version']).strip()}")
    return 0


def _install():
    lacks = [package for name, package in PROGRAMS.items() if shutil.which(name) is None]
    install([*lacks, *FONTS] if lacks else [])


def _fetch_axe():
    target = axe()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="download-") as name:
        checked([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", name, AXE_PACKAGE])
        (wheel,) = Path(name).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            whole = Path(name) / "axe.js"
            whole.write_bytes(archive.read(AXE_FILE))
        whole.replace(target)


if __name__ == "__main__":
    sys.exit(main())
