"""Makes this machine able to build the image and to run it: ``python tests/image/image_setup.py``.

Installs buildah, crun and debootstrap where they are missing, makes a base image out of this distribution's own
packages, and fetches what the locks name: all by the machine's own apt and pip, as they are configured.
What it makes lies in the cache where the lab's guests are, and is made once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from machine import SetupError, checked, install  # noqa: E402

from pytest_kvlatency.lab.guests.qemu.assets import cache_directory  # noqa: E402

COMMAND = "python tests/image/image_setup.py"
#: Program and package have one name.
PROGRAMS = ("buildah", "crun", "debootstrap")
#: What the Containerfile asks of a base.
BASE_PACKAGES = "python3,python3-venv,ca-certificates"
LOCKS = ("requirements.lock", "requirements-build.lock")
#: What an image of Debian leaves out as well.
SPARED = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")


def cache():
    return cache_directory() / "image"


def buildah(*arguments, prefix=(), **more):
    """Run buildah with a storage of our own; return what it prints."""
    where = cache()
    storage = ["--storage-driver", "vfs", "--root", str(where / "storage"), "--runroot", str(where / "run")]
    return checked([*prefix, "buildah", *storage, *map(str, arguments)], **more).strip()


def base():
    """Return the base's name and its Python's version, or None where it was not made yet."""
    with contextlib.suppress(OSError, ValueError):
        known = json.loads((cache() / "base.json").read_text(encoding="utf-8"))
        if known["packages"] == BASE_PACKAGES:
            return known
    return None


def wheels():
    """Where the wheels of the present locks lie, for the base's Python."""
    digest = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in LOCKS)).hexdigest()[:12]
    return cache() / f"wheels-{base()['python']}-{digest}"


def unusable():
    """Say why the image cannot be built and run here, and how to get what is missing; None when all is there."""
    cause = unsupported()
    if cause:
        return cause
    lacks = [name for name in PROGRAMS if shutil.which(name) is None]
    if base() is None:
        lacks.append("a base image")
    elif not wheels().is_dir():
        lacks.append("the wheels that the locks name")
    return f"the image needs {', '.join(lacks)}; get what is missing with: {COMMAND}" if lacks else None


def unsupported():
    """Say why no setup could make it possible here; None where one could."""
    if sys.platform != "linux":
        return f"the image is built and run on Linux only, and this is {sys.platform}"
    if os.geteuid() != 0:
        return f"building and running the image needs root, and this is uid {os.geteuid()}"
    return None


def main():
    """Install and make what is missing. Idempotent. Returns the exit status."""
    cause = unsupported()
    if cause:
        print(f"setup: {cause}: the tests of the image will be skipped")
        return 0
    try:
        _set_up()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    print(f"setup: the image can be built and run: base {base()['name']}, Python {base()['python']}")
    return 0


def _set_up():
    cache().mkdir(parents=True, exist_ok=True)
    install([name for name in PROGRAMS if shutil.which(name) is None])
    if base() is None:
        _make_base()
    if not wheels().is_dir():
        _fetch_wheels()


def _make_base():
    codename = _os_release().get("VERSION_CODENAME")
    if not codename:
        raise SetupError(
            "/etc/os-release has no VERSION_CODENAME: the base is made of this distribution's packages"
        )
    container = buildah("from", "scratch")
    try:
        tree = Path(buildah("mount", container))
        # In a mount namespace of its own: whatever debootstrap mounts is gone with it.
        command = ["unshare", "--mount", "debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}"]
        checked([*command, codename, str(tree), *_mirror(codename)], env=_proxies())
        for name in SPARED:
            shutil.rmtree(tree / name, ignore_errors=True)
        for kept in ("var/cache/apt/archives/partial", "var/lib/apt/lists/partial"):
            (tree / kept).mkdir(parents=True)
        python = (tree / "usr/bin/python3").readlink().name.removeprefix("python")
        name = f"localhost/pytest-kvlatency-base:{codename}"
        buildah("commit", "-q", container, name)
    finally:
        buildah("rm", container)
    known = {"name": name, "python": python, "packages": BASE_PACKAGES}
    (cache() / "base.json").write_text(json.dumps(known), encoding="utf-8")


def _os_release():
    text = Path("/etc/os-release").read_text(encoding="utf-8")
    return dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', text, re.MULTILINE))


def _mirror(codename):
    """Where apt gets this distribution from; debootstrap has its own idea where apt does not say."""
    said = checked(
        [
            "apt-get",
            "indextargets",
            "--format",
            "$(CODENAME) $(COMPONENT) $(REPO_URI)",
            "Created-By: Packages",
        ]
    )
    for line in said.splitlines():
        words = line.split()
        if words[:2] == [codename, "main"] and words[2].startswith(("http:", "https:", "file:")):
            return [words[2]]
    return []


def _proxies():
    said = checked(["apt-config", "shell", "HTTP", "Acquire::http::Proxy", "HTTPS", "Acquire::https::Proxy"])
    return {
        f"{name.lower()}_proxy": value for name, value in re.findall(r"^(HTTPS?)='(.+)'$", said, re.MULTILINE)
    }


def _fetch_wheels():
    """Download what the locks name, checked against their hashes, for the base's Python and not for this one."""
    with tempfile.TemporaryDirectory(dir=cache(), prefix="download-") as name:
        kept = Path(name) / "wheels"
        command = [sys.executable, "-m", "pip", "download", "-q", "--python-version", base()["python"]]
        command += ["--only-binary", ":all:", "--require-hashes", "--dest", str(kept)]
        checked([*command, *(word for lock in LOCKS for word in ("-r", str(ROOT / lock)))])
        for old in cache().glob("wheels-*"):
            shutil.rmtree(old)
        kept.rename(wheels())


if __name__ == "__main__":
    sys.exit(main())
