"""Commands that outlive the console, such as a long measurement. They run in the guest's background.

Their output and status go to files under ``/tmp``, so a console that is lost meanwhile costs nothing. While they run
nothing polls: the waiting shell blocks on a pipe, and takes no processor time from what is measured.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kvlatency.console import framing
from pytest_kvlatency.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kvlatency.console.shell import CommandResult, Shell
    from pytest_kvlatency.deadline import Deadline

_NOT_WRITABLE: Final = 73
_LOST: Final = 74
_COLLECT_EXTRA_SECONDS: Final = 10.0
READINGS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Detached:
    """A command in the background; ``directory`` holds ``out`` and, once it ended, ``rc``."""

    command: str
    directory: str


def start(shell: Shell, command: str, *, purpose: str, deadline: Deadline) -> Detached | None:
    """Start ``command`` in the background. None: the guest has no writable ``/tmp``, so run it in the foreground.

    ``purpose`` is as for ``Shell.run``. Safe to repeat: a command that has been started is not started again.
    """
    detached = _new(command)
    status = shell.run(_start_script(detached), purpose=purpose, deadline=deadline).exit_status
    if status == 0:
        return detached
    if status == _NOT_WRITABLE:
        return None
    raise GuestError(
        f"the guest of VMI {shell.name} could not start {purpose} (exit status {status})",
        transcript=shell.transcript_end,
        stage="run",
    )


def _new(command: str) -> Detached:
    directory = f"/tmp/.kv-{secrets.token_hex(6)}"  # noqa: S108 - in the guest, which is ours
    return Detached(command=command, directory=directory)


def _start_script(detached: Detached) -> str:
    # mkdir is atomic: of two that were started around a lost console only one runs the command.
    return f"""
d={detached.directory}
if [ ! -f $d/cmd ]; then
  mkdir -p $d 2>/dev/null && printf {framing.quote(detached.command)} >$d/new && mv $d/new $d/cmd
fi 2>/dev/null
if [ ! -f $d/cmd ]; then
  (exit {_NOT_WRITABLE})
elif [ ! -d $d/started ]; then
  [ -p $d/pipe ] || mkfifo $d/pipe 2>/dev/null
  (trap '' HUP INT QUIT
   {{ mkdir $d/started || exit
     (. $d/cmd) >$d/out 2>&1 </dev/null; echo $? >$d/rc.new; mv $d/rc.new $d/rc; : >$d/pipe
   }} >/dev/null 2>&1 </dev/null &)
fi"""


def collect(
    shell: Shell, detached: Detached, *, purpose: str, timeout_seconds: float, deadline: Deadline
) -> CommandResult:
    """Wait until a detached command has ended; what it printed and its exit status. Safe to repeat."""
    seconds = timeout_seconds + _COLLECT_EXTRA_SECONDS
    return shell.run(_collect_script(detached), purpose=purpose, timeout_seconds=seconds, deadline=deadline)


def _collect_script(detached: Detached) -> str:
    # Reading is interrupted where a job of somebody else's ends: then once more, and not at once.
    return f"""
d={detached.directory}
if [ -f $d/cmd ]; then
  until [ -f $d/rc ]; do
    [ ! -p $d/pipe ] || read k <$d/pipe
    [ -f $d/rc ] || sleep 0.1 || sleep 1
  done 2>/dev/null
  cat $d/out
  (exit $(cat $d/rc))
else
  (exit {_LOST})
fi"""


def run_detached(
    shell: Shell,
    command: str,
    *,
    purpose: str,
    timeout_seconds: float,
    deadline: Deadline,
    is_whole: Callable[[str], bool] = lambda _: True,
) -> CommandResult:
    """Run ``command`` so that a lost console neither ends it nor loses what it printed.

    Others print on the console too, cloud-init's last words for one: output that ``is_whole`` refuses is read from
    its file again, a few times. Where the guest has no writable ``/tmp`` the command runs in the foreground, and again
    when the console is lost.
    """
    detached = _new(command)
    # In one go: a second line typed meanwhile would take the guest's time from what is measured.
    script = _start_script(detached) + _collect_script(detached)
    if shell.spent:
        # Not sooner: a guest that is deleted after one sample need not be asked once more.
        script = f"\nrm -rf {shell.spent}{script}"
    seconds = timeout_seconds + _COLLECT_EXTRA_SECONDS
    result = shell.run(script, purpose=purpose, timeout_seconds=seconds, deadline=deadline)
    if result.exit_status == _LOST and not result.output:
        return shell.run(command, purpose=purpose, timeout_seconds=timeout_seconds, deadline=deadline)
    for _ in range(READINGS - 1):
        if is_whole(result.output):
            break
        result = collect(
            shell, detached, purpose=purpose, timeout_seconds=_COLLECT_EXTRA_SECONDS, deadline=deadline
        )
    shell.spent = detached.directory
    return result
