"""The lab's command line: ``up`` runs one in the foreground, ``setup`` installs what QEMU guests need."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.lab import helptext
from pytest_kvlatency.lab.spec.file import LabSpecError, parse_spec
from pytest_kvlatency.shortage import shortage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kvlatency.lab.labserver import LabInfo
    from pytest_kvlatency.lab.spec.labspec import LabSpec

_NEEDS: Final = ("aiohttp", "cryptography", "yaml")
READY: Final = "kubeconfig: "


def main(argv: Sequence[str]) -> int:
    """Run the command line; return its exit status: 0, or 2 for what the user can fix."""
    options = _parser().parse_args(argv)
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        return _fail(f"the lab needs {', '.join(missing)}: pip install 'pytest-kvlatency[lab]'")
    if options.command == "setup":
        from pytest_kvlatency.lab.guests.qemu.setup import main as setup_main  # noqa: PLC0415

        return setup_main([])
    try:
        spec = parse_spec(options.spec)
    except LabSpecError as error:
        return _fail(str(error))
    return _up(spec, options.dir, die_with_parent=options.die_with_parent)


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog=helptext.COMMAND,
        description=helptext.ABOUT,
        epilog=helptext.EXAMPLES,
        formatter_class=form,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="up|setup")
    up = commands.add_parser(
        "up",
        help="run a lab in the foreground until Ctrl-C",
        description=helptext.UP,
        epilog=helptext.up_epilog(),
        formatter_class=form,
        allow_abbrev=False,
    )
    up.add_argument(
        "spec", nargs="?", default="auto", help="auto (default), sim, qemu, or a lab file (*.yaml)"
    )
    up.add_argument("--dir", help="directory for kubeconfig, audit.jsonl and the like (default: a new one)")
    up.add_argument("--die-with-parent", action="store_true", help=argparse.SUPPRESS)
    commands.add_parser(
        "setup", help="install what QEMU guests need", description=helptext.SETUP, formatter_class=form
    )
    return parser


def _fail(text: str) -> int:
    sys.stderr.write(f"error: {text}\n")
    return 2


def _up(spec: LabSpec, directory: str | None, *, die_with_parent: bool) -> int:
    from pytest_kvlatency.lab.labserver import LabSetupError  # noqa: PLC0415

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    parent = os.getppid()
    with contextlib.ExitStack() as stack:
        try:
            if directory is None:
                where = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kvlatency-lab-")))
            else:
                where = Path(directory).absolute()
                where.mkdir(parents=True, exist_ok=True)
            if die_with_parent:
                stack.callback(_remove_if_orphaned, where, parent)
            asyncio.run(_serve(spec, where, die_with_parent=die_with_parent))
        except LabSetupError as error:
            return _fail(str(error))
        except (OSError, RuntimeError) as error:
            lacking = shortage(error)
            if lacking is not None:
                return _fail(lacking.reason)
            if not isinstance(error, OSError):
                raise
            return _fail(f"--dir {directory}: {error}" if directory else str(error))
    return 0


def _remove_if_orphaned(directory: Path, parent: int) -> None:
    """Remove the directory, which holds credentials, when the parent whose it was is dead and cannot."""
    if os.getppid() != parent:
        shutil.rmtree(directory, ignore_errors=True)


async def _serve(spec: LabSpec, directory: Path, *, die_with_parent: bool) -> None:
    from pytest_kvlatency.lab.labserver import run  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Under nohup a lab is meant to outlive its terminal.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, stop.set)
    if die_with_parent:
        _die_with_parent(loop, stop)
    await run(spec, directory, _say_ready, stop)


def _say_ready(info: LabInfo) -> None:
    why = f" (not QEMU: {' '.join(info.reason_not_qemu.split())})" if info.reason_not_qemu else ""
    sys.stdout.write(f"guests: {info.description}{why}\n{READY}{info.kubeconfig}\n")
    sys.stdout.flush()


def _die_with_parent(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Stop when stdin ends, which it does however the parent dies.

    Linux' PR_SET_PDEATHSIG is no help: it strikes when the parent's *thread* ends that started the lab.
    """

    def wait_for_end() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait_for_end, daemon=True, name="parent").start()
