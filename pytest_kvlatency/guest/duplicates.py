"""Whether another machine on the network has a guest's IPv4 address: asked while the guest boots, and over its console.

Silence takes half a second to prove. The kernel proves it of an IPv6 address while the guest boots, and so does a
command of cloud-init's of an IPv4 address. Where that proved nothing (there is no cloud-init, the interface was not
up, something answered) the console is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kvlatency.console.shell import CommandResult

_PROBE_SECONDS: Final = 0.5
#: Nobody answered: arping's own end, and ``timeout``'s of coreutils and of BusyBox.
_CUT_OFF: Final = (0, 124, 143)
_READ_BOOT: Final = "read i </proc/sys/kernel/random/boot_id"
#: Each that can be written says what is known of which address, and since which boot.
_FILES: Final = "${TMPDIR:-/tmp}/.kv-address /tmp/.kv-address /run/.kv-address"
#: So many tenths of a second may a probe that began while the guest booted still take.
_MOST_WAITS: Final = 8


def boot_command(mac: str, address: str) -> str:
    """Return a command for cloud-init's ``bootcmd``, which runs when the network is configured.

    In the background it notes whether ``address`` met silence on the interface with ``mac``; nothing is heard, and
    nothing proved, on one that has no carrier yet.
    """
    silence = "|".join(map(str, _CUT_OFF))
    return (
        f"(trap '' HUP INT QUIT; {_READ_BOOT}; "
        f'note() {{ for f in {_FILES}; do echo "{address} $i $1" >$f; done; }}; '
        f"set -- $(ip -o link | grep -i 'LOWER_UP.* {mac}'); n=${{2%:}}; note asking; "
        f"[ $n ] && timeout {_PROBE_SECONDS} {_probe('${n%@*}')} -c 2 -w 1 {address}; "
        f"case $? in {silence}) note silent;; *) note unknown;; esac) </dev/null >/dev/null 2>&1 &"
    )


def is_answered(
    run: Callable[[str], CommandResult], interface: str, address: str, *, become_root: str
) -> tuple[bool, str]:
    """Whether another machine answers ARP for ``address``, and a note when that is not known.

    ``run`` runs a command in the guest. What was found while it booted counts if that was silence.

    BusyBox's and iputils' ``arping -D`` end with 1 as soon as one answers. Nobody answers later than half a second;
    where ``timeout`` cannot cut it there (or anything is odd), arping's own two seconds decide. To a third program of
    that name (Habets') ``-D`` means something else, and 1 that nobody answers: ``-f``, which changes nothing for the
    other two, has it refuse.
    """
    probe = f"{become_root}{_probe(interface)}"
    quick = f"timeout {_PROBE_SECONDS} {probe} -c 2 -w 1 {address} >/dev/null 2>&1"
    if run(f"{_was_silent(address)} || {quick}").exit_status in _CUT_OFF:
        return False, ""
    slow = run(f"{probe} -c 2 -w 2 {address} 2>&1")
    if slow.exit_status in {0, 1} and "rping:" not in slow.output:
        return slow.exit_status == 1, ""
    return (
        False,
        f"could not check whether {address} is already in use: {slow.output.strip()[:100] or slow.exit_status}",
    )


def _probe(interface: str) -> str:
    return f"arping -D -f -q -I {interface}"


def _was_silent(address: str) -> str:
    """Return a command that succeeds where the address met silence in this boot; a probe under way is waited for."""
    return (
        f"({_READ_BOOT}; s=; for f in {_FILES}; do k=0; while [ $k -lt {_MOST_WAITS} ] && read s <$f; do "
        f'[ "$s" = "{address} $i asking" ] && sleep 0.1 || break; k=$((k+1)); done; '
        f'[ "$s" = "{address} $i silent" ] && exit; done; exit 1) 2>/dev/null'
    )
