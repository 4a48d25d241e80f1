"""Builds the image as anybody would, and says what is in it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from image_setup import ROOT, SetupError, base, buildah, wheels

TAG = "localhost/pytest-kvlatency:tests"
PIP_CONF = "[global]\nno-index = true\nfind-links = /wheels\n"


@dataclass(frozen=True, kw_only=True)
class Image:
    """A built image: its id, the directory that holds its files, and its configuration."""

    id: str
    tree: Path
    config: dict

    @property
    def environment(self):
        return dict(one.split("=", 1) for one in self.config.get("Env") or [])

    @property
    def labels(self):
        return self.config.get("Labels") or {}


def build(*, version="0.0.test", revision="0123abcd"):
    """Build the Containerfile; return the image's id.

    Nothing of this machine's registries goes into it: pip finds the wheels in a directory that is mounted while it
    is built, and there is no network at all.
    """
    with tempfile.TemporaryDirectory() as name:
        conf, iid = Path(name) / "pip.conf", Path(name) / "iid"
        conf.write_text(PIP_CONF, encoding="utf-8")
        buildah(
            "build",
            *("--isolation", "chroot", "--layers=false", "--iidfile", iid, "--tag", TAG),
            *("--build-arg", f"BASE={base()['name']}"),
            *("--build-arg", f"VERSION={version}", "--build-arg", f"REVISION={revision}"),
            *("--volume", f"{wheels()}:/wheels:ro", "--volume", f"{conf}:/etc/pip.conf:ro"),
            ROOT,
            prefix=["unshare", "--net"],
        )
        return iid.read_text(encoding="utf-8").strip()


def build_once(directory):
    """Build the image unless another process has done so that shares the directory; return its id."""
    known = directory / "image-id"
    with (directory / "image-lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not known.exists():
            known.write_text(build(), encoding="utf-8")
    return known.read_text(encoding="utf-8")


@contextlib.contextmanager
def built(shared=None):
    """Build the image, and give it with its files in a directory; nothing of it stays.

    ``shared`` is a directory of several processes that need it: the first of them builds.
    """
    image_id = build() if shared is None else build_once(shared)
    container = buildah("from", image_id)
    try:
        tree = Path(buildah("mount", container))
        config = json.loads(buildah("inspect", "--type", "image", image_id))["OCIv1"]["config"]
        yield Image(id=image_id, tree=tree, config=config)
    finally:
        buildah("rm", container)
        # The tag moves on with each build; what it left behind is of no use to anybody. One that another session
        # still runs stays until that one's end.
        with contextlib.suppress(SetupError):
            buildah("rmi", "--prune")


def layer_sizes(name):
    """Bytes of each layer, the base's first, compressed as a registry hands them out."""
    with tempfile.TemporaryDirectory() as directory:
        buildah("push", "-q", name, f"oci:{directory}:it")
        blobs = Path(directory) / "blobs" / "sha256"
        index = json.loads((Path(directory) / "index.json").read_text(encoding="utf-8"))
        manifest = blobs / index["manifests"][0]["digest"].removeprefix("sha256:")
        return [one["size"] for one in json.loads(manifest.read_text(encoding="utf-8"))["layers"]]


def bytes_in(tree):
    """Bytes of the files below a directory; links count as what they are."""
    return sum(
        path.lstat().st_size for path in Path(tree).rglob("*") if not path.is_dir() or path.is_symlink()
    )
