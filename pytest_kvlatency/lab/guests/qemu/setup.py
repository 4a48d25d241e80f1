"""Installs what real guests need, on Debian and Ubuntu; elsewhere says what to install."""

from __future__ import annotations

import lzma
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.guests.qemu import assets

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND = "python -m pytest_kvlatency.lab setup"
PACKAGES = ("qemu-system-x86", "busybox-static")
# The package that depends on the newest kernel, by distribution; a cloud kernel is small and has what guests need.
KERNEL_PACKAGES = {
    "debian": ("linux-image-cloud-amd64", "linux-image-amd64"),
    "ubuntu": ("linux-image-virtual",),
}


class SetupError(Exception):
    """Something could not be installed; the text says what and what to do."""


def usable() -> str | None:
    """Say why real guests are not available here and how to get them; ``None`` when all is there."""
    unsupported = _unsupported()
    if unsupported:
        return unsupported
    lacks = assets.missing()
    if not lacks:
        return None
    return f"real guests need {', '.join(lacks)}. To install what is missing: {COMMAND}"


def main(argv: Sequence[str]) -> int:
    """Install what is missing. Idempotent. Returns the exit status: 0 when real guests are available afterwards."""
    if argv:
        print(f"setup takes no arguments, got {' '.join(argv)!r}. Usage: {COMMAND}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        _install()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)  # noqa: T201
        return 1
    found = assets.kernel()
    version = found.version if found else "none"
    print(f"setup: real guests are ready: {assets.qemu()}, {assets.busybox()}, kernel {version}")  # noqa: T201
    return 0


def _install() -> None:
    unsupported = _unsupported()
    if unsupported:
        raise SetupError(unsupported)
    if not assets.missing():
        return
    distribution = _distribution()
    if distribution is None or shutil.which("apt-get") is None:
        raise SetupError(
            "only the packages of Debian and Ubuntu can be installed automatically. Install QEMU 7.2 or later for "
            "x86-64 guests and a static BusyBox, and put a Linux kernel as vmlinuz with the virtio modules "
            f"({', '.join(f'{name}.ko' for name in assets.MODULES)}) into {assets.cache_directory()}/kernel-VERSION"
        )
    if assets.qemu() is None or assets.busybox() is None:
        _apt_install()
    if assets.kernel() is None:
        _fetch_kernel(distribution)
    lacks = assets.missing()
    if lacks:
        raise SetupError(f"still missing after the installation: {', '.join(lacks)}")


def _unsupported() -> str | None:
    if sys.platform != "linux":
        return (
            f"real guests run only on Linux, and this is {sys.platform}: use simulated guests (--kv-lab=sim)"
        )
    if platform.machine() not in {"x86_64", "AMD64"}:
        return f"real guests run only on x86-64, and this is {platform.machine()}: use simulated guests (--kv-lab=sim)"
    return None


def _distribution() -> str | None:
    """Tell ``debian`` or ``ubuntu`` from ``/etc/os-release`` (os-release(5)), derivatives included."""
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return None
    values = dict(re.findall(r'^(ID|ID_LIKE)="?([^"\n]*)"?$', text, re.MULTILINE))
    names = [values.get("ID", ""), *values.get("ID_LIKE", "").split()]
    return next((name for name in names if name in KERNEL_PACKAGES), None)


def _apt_install() -> None:
    prefix: list[str] = []
    if os.geteuid() != 0:
        if shutil.which("sudo") is None or _run(["sudo", "-n", "true"]).returncode != 0:
            raise SetupError(
                f"installing packages needs root. Run: sudo apt-get install {' '.join(PACKAGES)}, and then: {COMMAND}"
            )
        prefix = ["sudo", "-n"]
    environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
    if not _known(PACKAGES[0]):
        _checked([*prefix, "apt-get", "update"])
    command = [*prefix, *environment, "apt-get", "install", "-y", "-q", "--no-install-recommends", *PACKAGES]
    if _run(command).returncode != 0:
        # Lists that are older than the archive name files that are gone: renew them once.
        _checked([*prefix, "apt-get", "update"])
        _checked(command)


def _known(package: str) -> bool:
    """Tell whether apt has a version of ``package`` to offer."""
    out = _run(["apt-cache", "policy", package]).stdout
    return "Candidate:" in out and "Candidate: (none)" not in out


def _fetch_kernel(distribution: str) -> None:
    """Download the kernel's package and take from it what a guest needs; nothing is installed."""
    if not any(_known(name) for name in KERNEL_PACKAGES[distribution]):
        prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
        _checked([*prefix, "apt-get", "update"])
    image = _kernel_image(distribution)
    version = image.removeprefix("linux-image-").removeprefix("unsigned-")
    cache = assets.cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="download-") as name:
        folder = Path(name)
        packages = [image]
        if distribution == "ubuntu":
            packages.append(f"linux-modules-{version}")
        for package in packages:
            _checked(["apt-get", "download", package], folder)
        for deb in sorted(folder.glob("*.deb")):
            _checked(["dpkg-deb", "-x", str(deb), str(folder / "root")])
        _keep(folder / "root", version, folder / "kept")
        (folder / "kept").rename(cache / f"kernel-{version}")


def _kernel_image(distribution: str) -> str:
    for name in KERNEL_PACKAGES[distribution]:
        depends = _run(["apt-cache", "depends", "--important", name]).stdout
        found = re.search(r"Depends: (linux-image-[0-9][^\s]*)", depends)
        if found:
            return found[1]
    raise SetupError(
        f"apt has none of {', '.join(KERNEL_PACKAGES[distribution])}: run apt-get update and try again"
    )


def _keep(root: Path, version: str, kept: Path) -> None:
    """Copy the kernel image and the guest's modules, decompressed, from an unpacked package into ``kept``."""
    kept.mkdir()
    images = list(root.glob(f"boot/vmlinuz-{version}"))
    if not images:
        raise SetupError(f"the package of kernel {version} does not contain boot/vmlinuz-{version}")
    shutil.copyfile(images[0], kept / "vmlinuz")
    found: dict[str, Path] = {}
    for path in root.glob("**/lib/modules/**/*.ko*"):
        name = path.name.split(".ko")[0].replace("-", "_")
        if name in assets.MODULES:
            found[name] = path
    for name, path in found.items():
        (kept / f"{name}.ko").write_bytes(_decompressed(path))


def _decompressed(module: Path) -> bytes:
    data = module.read_bytes()
    if module.suffix == ".ko":
        return data
    if module.suffix == ".xz":
        return lzma.decompress(data)
    if module.suffix == ".zst":
        # Python has zstd from 3.14 on only; Ubuntu's own tools bring the program.
        result = subprocess.run(["zstd", "-dc", str(module)], check=False, capture_output=True)  # noqa: S603, S607
        if result.returncode == 0:
            return result.stdout
        raise SetupError(f"cannot decompress {module.name}: {result.stderr.decode(errors='replace').strip()}")
    raise SetupError(f"cannot decompress {module.name}: unknown kind {module.suffix}")


def _checked(command: list[str], directory: Path | None = None) -> None:
    result = _run(command, directory)
    if result.returncode != 0:
        tail = (result.stderr.strip() or result.stdout.strip()).splitlines()[-3:]
        raise SetupError(f"{' '.join(command)} failed with status {result.returncode}: {' '.join(tail)}")


def _run(command: list[str], directory: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        return subprocess.run(  # noqa: S603 - commands of this module
            command,
            check=False,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as error:
        raise SetupError(f"{command[0]} is not installed") from error
