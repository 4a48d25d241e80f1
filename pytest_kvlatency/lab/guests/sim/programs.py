"""The directory of programs that is a simulated guest's whole PATH: links to harmless tools, and our scripts.

The guest's shell is a process of this machine. It reaches the machine's own programs only by absolute path; what
would change the machine or shows its real network is a script that asks this process (see ``calls``).
"""

from __future__ import annotations

import functools
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.guests.base import HypervisorError
from pytest_kvlatency.lab.guests.sim.calls import INTERRUPT, RECORD

if TYPE_CHECKING:
    from pathlib import Path

#: Tools that only read, or print.
_HARMLESS = """
    [ awk base64 basename clear cmp comm cut date diff dirname echo egrep env expand expr false fgrep find fold grep
    head hexdump less ls md5sum mkdir mkfifo mktemp more nl nohup nproc od paste printenv printf pwd readlink reset
    rev sed seq setsid sha256sum sort stat stdbuf strings stty sync tail tee test time timeout touch tr true tsort
    tty uniq usleep wc which xargs xxd yes
"""
#: Tools that are harmless only where the shell is kept from writing outside its directory.
_CONFINED = "cp chmod dd ln mv rm rmdir truncate"
#: Programs that this process answers.
_ANSWERED = """
    arping cloud-init dhclient dmesg free hostname id ifconfig ip ifup ifdown ping ping6 sleep sysctl udhcpc uname
    uptime whoami
"""
#: Programs that end the guest, and do not wait for an answer.
_ENDING_PROGRAMS = ("halt", "poweroff", "reboot", "shutdown")

_ASK = """\
f=c.$$
{mkfifo} -m 600 "$KVLAB/$f" 2>/dev/null || {{ printf '%s: Input/output error\\n' "${{0##*/}}" >&2; exit 1; }}
exec 3<>"$KVLAB/$f"
trap 'i=1; printf "%s\\037" "$KVLAB" "$f" "{interrupt}" "{record}" 1<>{fifo}' INT
printf '%s\\037' "$KVLAB" "$f" "${{0##*/}}${{LAB_SUDO:+@root}}" "$@" '{record}' 1<>{fifo} || exit 1
IFS= read -r l <&3
exec 4</proc/self/fd/3 3>&-
while :; do
  i=
  if IFS= read -r l <&4; then
    case $l in
      o*) printf '%s\\n' "${{l#o}}" ;;
      e*) printf '%s\\n' "${{l#e}}" >&2 ;;
      x*) exit "${{l#x}}" ;;
      k*) trap - INT; kill -INT $$; exit 130 ;;
    esac
  elif [ -z "$i" ]; then
    exit 1
  fi
done
"""
_SCRIPTS = {
    # A short sleep is a real one; a long one must not outlive this process.
    "sleep": """\
case $#$1 in
  1[0-9]|1[0-9].*|1.*) exec {sleep} "$@" ;;
esac
""",
    # What a guest reads of its own machine must not be this machine's.
    "cat": """\
for a do
  case $a in
    /sys/class/net/*|/etc/hostname|/etc/os-release|/etc/alpine-release) a= ; break ;;
    /proc/uptime|/proc/cpuinfo|*/boot_id|*/available_clocksource) a= ; break ;;
  esac
done
[ $# -eq 0 ] || [ -z "$a" ] || exec {cat} "$@"
[ $# -gt 0 ] || exec {cat}
""",
}
_ENDING = """\
printf '%s\\037' "$KVLAB" - "${{0##*/}}" "$@" '{record}' 1<>{fifo}
"""
_RUN_AS_ROOT = """\
while :; do
  case $1 in
    -u|-g) shift 2 ;;
    -*) shift ;;
    *) break ;;
  esac
done
LAB_SUDO=1 exec "$@"
"""
_BUSYBOX = """\
[ $# -gt 0 ] || { printf '%s\\n' 'BusyBox v1.36.1 (2023-11-07 18:53:09 UTC) multi-call binary.'; exit 0; }
exec "$@"
"""
_RC = """\
case $LAB_PERSONA in
  fedora) PS1="{escape}[?2004h[fedora@$LAB_HOST ~]\\$ " ;;
  *) PS1="$LAB_HOST:~\\${{PWD#\\"\\$HOME\\"}}# {escape}[6n" ;;
esac
PS2='> '
unset ENV LAB_HOST LAB_PERSONA
ulimit -f 131072 2>/dev/null
ulimit -c 0 2>/dev/null
cd
kill() {{
  case $1 in
    # Ping takes an interrupt also where it was started with SIGINT ignored, which a script cannot.
    -INT|-2) for _a do
      [ "$_a" = "$1" ] || printf '%s\\037' "$KVLAB" "c.$_a" '{interrupt}' '{record}' 1<>{fifo}
    done ;;
  esac
  for _a do
    case $_a in
      [01]|-1|-- ) [ "$_a" = "$1" ] && [ "$_a" != 0 ] && [ $# -gt 1 ] || {{
        printf '%s\\n' "kill: ($_a) - Operation not permitted" >&2; return 1; }} ;;
    esac
  done
  command kill "$@"
}}
"""


@dataclass(frozen=True, kw_only=True)
class ShellProgram:
    """A POSIX shell: the program, and what makes it interactive without an editor of its own."""

    path: str
    arguments: tuple[str, ...]


def find_shell(wanted: str | None = None) -> ShellProgram:
    """Find a shell that takes programs from PATH (``wanted``: this one).

    A BusyBox whose shell prefers its own applets is refused: its ``poweroff`` is real.
    """
    tried = []
    for name in (wanted,) if wanted else ("dash", "bash", "sh", "ash", "busybox"):
        path = shutil.which(name)
        if path is None:
            continue
        command = [path, "sh"] if name == "busybox" else [path]
        probe = subprocess.run(  # noqa: S603 - a fixed command
            [*command, "-c", "basename /a/b"],
            env={"PATH": "/nonexistent"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
        )
        if probe.returncode == 0:
            tried.append(f"{path} (prefers its own applets to PATH)")
            continue
        flags = ("--posix", "--noediting", "-i") if name == "bash" else ("-i",)
        return ShellProgram(path=path, arguments=("sh", *flags))
    raise HypervisorError(
        "simulated guests need a POSIX shell (dash, bash, or an sh that is not a standalone BusyBox): "
        f"found {', '.join(tried) or 'none'}: install dash"
    )


def install(directory: Path, *, shell: ShellProgram, fifo: Path, confined: bool) -> Path:
    """Fill ``directory``/bin, write the shell's start-up file ``directory``/rc, and return the former."""
    programs = directory / "bin"
    programs.mkdir()
    for name in (*_HARMLESS.split(), *(_CONFINED.split() if confined else ())):
        path = _tool(name)
        if path is not None:
            _link(programs / name, path)
    _link(programs / "sh", shell.path)
    words = {
        "mkfifo": shlex.quote(str(programs / "mkfifo")),
        "fifo": shlex.quote(str(fifo)),
        "record": RECORD,
        "interrupt": INTERRUPT,
        "sleep": shlex.quote(_helper(programs, "sleep")),
        "cat": shlex.quote(_helper(programs, "cat")),
    }
    if not (programs / "mkfifo").exists():
        raise HypervisorError("simulated guests need the program mkfifo: install coreutils")
    for name in (*_ANSWERED.split(), "cat"):
        _script(programs / name, shell, (_SCRIPTS.get(name, "") + _ASK).format(**words))
    for name in _ENDING_PROGRAMS:
        _script(programs / name, shell, _ENDING.format(**words))
    _script(programs / "sudo", shell, _RUN_AS_ROOT)
    _script(programs / "busybox", shell, _BUSYBOX)
    (directory / "rc").write_text(_RC.format(escape="\x1b", **words))
    return programs


def _tool(name: str) -> str | None:
    return shutil.which(name) or (shutil.which("busybox") if name in _applets() else None)


@functools.cache
def _applets() -> frozenset[str]:
    busybox = shutil.which("busybox")
    if busybox is None:
        return frozenset()
    listing = subprocess.run(  # noqa: S603 - a fixed command
        [busybox, "--list"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )
    return frozenset(listing.stdout.decode(errors="replace").split())


def _helper(programs: Path, name: str) -> str:
    """A link by which our script ``name`` reaches the real tool (whose name BusyBox needs to see)."""
    path = _tool(name)
    if path is None:
        raise HypervisorError(f"simulated guests need the program {name}: install coreutils")
    helper = programs.parent / "tools" / name
    helper.parent.mkdir(exist_ok=True)
    _link(helper, path)
    return str(helper)


def _link(link: Path, target: str) -> None:
    if not link.exists():
        link.symlink_to(target)


def _script(path: Path, shell: ShellProgram, text: str) -> None:
    interpreter = f"{shell.path} sh" if shell.path.endswith("busybox") else shell.path
    path.write_text(f"#!{interpreter}\n{text}")
    path.chmod(0o755)
