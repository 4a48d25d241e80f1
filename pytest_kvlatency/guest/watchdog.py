"""The watchdog inside a guest: it powers the guest off when its time is over, whatever became of the run (E60, E92).

One is started by cloud-init while the guest boots, so that no guest runs on whose run is killed before the login. Once
logged in, the run starts its own in its place, and a new one each time that it needs the guest for longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_kvlatency.console import framing

if TYPE_CHECKING:
    from pytest_kvlatency.console.shell import Shell
    from pytest_kvlatency.deadline import Deadline

_POWER_OFF: Final = "poweroff -f || halt -f -p"
_QUIET: Final = "</dev/null >/dev/null 2>&1 &"
_BOOT_ID: Final = "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"
#: Each that can be written holds the process id of the run's watchdog, and the boot that it is of.
_FILES: Final = "${TMPDIR:-/tmp}/.kv-watchdog /tmp/.kv-watchdog /run/.kv-watchdog"


def boot_command(seconds: float) -> str:
    """Return a command for cloud-init's ``bootcmd``, which runs early at each boot and needs no network.

    What it starts does nothing when its time is over and the run has started a watchdog in this boot, be it before
    (a login need not wait for cloud-init) or after. ``sleep`` must succeed: what ends it early is no reason to power
    off.
    """
    return (
        f"(trap '' HUP INT QUIT; sleep {_whole(seconds)} && {{ "
        f'for f in {_FILES}; do read p b <$f && [ "$b" = "{_BOOT_ID}" ] && exit; done; '
        f"{_POWER_OFF}; }}) {_QUIET}"
    )


def arm(shell: Shell, seconds: float, *, deadline: Deadline) -> bool:
    """Have the guest power itself off in ``seconds``, instead of when an earlier watchdog would.

    False: the guest has no place for the new one's process id, so the earlier one stays. Raises as ``Shell.run`` does.
    """
    script = f"""
i={_BOOT_ID}
for f in {_FILES}; do
 read p b <$f && [ "$b" = "$i" ] && kill $p
done 2>/dev/null
(trap '' HUP INT QUIT
 {{ sleep {_whole(seconds)} && {{ {_POWER_OFF}; }}; }} {_QUIET}
 p=$!
 s=1
 for f in {_FILES}; do {{ echo "$p $i" >$f; }} 2>/dev/null && s=0; done
 [ $s = 0 ] || kill $p
 exit $s)"""
    command = f'{shell.profile.become_root}sh -c "$(printf {framing.quote(script)})"'
    return shell.run(command, purpose="starting the watchdog", deadline=deadline).exit_status == 0


def _whole(seconds: float) -> int:
    return max(1, round(seconds))
