"""The small archive that makes a guest itself: its cloud-init data, and how they read as shell commands.

YAML is read on the host; finding the interface by its MAC and configuring it happens in the guest.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from pytest_kvlatency.lab.guests.base import datasource_wait_seconds
from pytest_kvlatency.lab.guests.cloudinit import read_network_data, read_user_data
from pytest_kvlatency.lab.guests.qemu import cpio
from pytest_kvlatency.lab.guests.qemu.faultsettings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.lab.guests.base import GuestRequest
    from pytest_kvlatency.lab.guests.cloudinit import Command, InterfaceConfig
    from pytest_kvlatency.lab.spec.labspec import FaultSpec


def build(
    request: GuestRequest,
    faults: Mapping[str, FaultSpec],
    *,
    agent: bool,
    busybox: bytes | None = None,
) -> bytes:
    """Return the archive for ``request``. ``busybox`` replaces the shared archive's."""
    values = {"LAB_AGENT": "1" if agent else "", **settings(faults)}
    config = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    script = cloud_init(request)
    meta = f"instance-id: {request.uid}\nlocal-hostname: {request.hostname}\n"
    entries = [
        cpio.file("lab/config", config.encode()),
        cpio.file("lab/cloud-init.sh", script.encode()),
        cpio.file("lab/meta-data", meta.encode()),
        cpio.file("lab/user-data", request.user_data.encode()),
        cpio.file("lab/network-data", request.network_data.encode()),
    ]
    if "login-refused" in faults:
        # A hash that no password has: a locked account makes BusyBox complain about its salt.
        entries.append(cpio.file("etc/shadow", b"root:$6$lab$nobody.knows:19000:0:99999:7:::\n", 0o600))
    if "last-failed-login" in faults:
        banner = (
            b"Last failed login: Mon Jan  5 10:00:00 UTC 2026 on ttyS0\nThere was 1 failed login attempt.\n"
        )
        entries.append(cpio.file("etc/motd", banner))
    if busybox is not None:
        entries.append(cpio.file("bin/busybox", busybox, 0o755))
    return cpio.archive(entries)


def cloud_init(request: GuestRequest) -> str:
    """Return the shell commands that do what ``request``'s data ask for; what cannot be done is said on the console."""
    lines: list[str] = []
    if wait_seconds := datasource_wait_seconds(request):
        # What the Alpine image does without user data: it looks for other data sources before it goes on.
        lines.append("say 'no user data found; trying other data sources (url_helper.py, DataSourceEc2)'")
        lines.append(f"wait_for_datasource {wait_seconds:g}")
    if request.hostname:
        lines.append(f"set_hostname {shlex.quote(request.hostname)}")
    lines += _network(request.network_data)
    lines += _user(request.user_data)
    return "\n".join(lines) + "\n"


def _say(text: str) -> str:
    return f"say {shlex.quote(' '.join(text.split()))}"


def _network(text: str) -> list[str]:
    """Without network data do what cloud-init falls back to: DHCP on the first interface."""
    if not text.strip():
        return ["if [ -e /sys/class/net/eth0 ]; then", "ip link set eth0 up", "dhcp4 eth0", "fi"]
    data = read_network_data(text)
    lines = [_say(problem) for problem in (data.failure, *data.ignored) if problem]
    for interface in data.interfaces:
        lines += _interface(interface)
    return lines


def _interface(config: InterfaceConfig) -> list[str]:
    find = f"by_mac {shlex.quote(config.mac)}" if config.mac else f"by_name {shlex.quote(config.name)}"
    lines = [f"if link=$({find}); then"]
    if config.set_name:
        lines.append(f'link=$(rename "$link" {shlex.quote(str(config.set_name))})')
    if config.mtu:
        lines.append(f'ip link set "$link" mtu {shlex.quote(str(config.mtu))}')
    lines.append('ip link set "$link" up')
    lines += [f'ip addr add {shlex.quote(address)} dev "$link"' for address in config.addresses]
    lines += [
        f'ip route add {shlex.quote(to)} via {shlex.quote(via)} dev "$link"' for to, via in config.routes
    ]
    if config.dhcp4:
        lines.append('dhcp4 "$link"')
    if config.dhcp6:
        lines.append('say "the guests of the lab do not support dhcp6: $link"')
    lines.append("else")
    lines.append(f"say {shlex.quote(f'no interface for {config.mac or config.name}')}")
    lines.append("fi")
    return lines


def _user(text: str) -> list[str]:
    data = read_user_data(text)
    if data.script:
        return [*_write(data.script, "/run/user-script", "0755"), "/run/user-script"]
    lines = [_say(problem) for problem in data.ignored]
    lines += [_command(command) for command in data.boot_commands]
    if data.hostname:
        lines.append(f"set_hostname {shlex.quote(data.hostname)}")
    for file in data.files:
        lines.append(f'mkdir -p "$(dirname {shlex.quote(file.path)})"')
        lines += _write(file.content, file.path, file.permissions)
    # The default user of these guests is root.
    passwords = [f"root:{data.password}"] if data.password else []
    lines += [f"set_password {shlex.quote(pair)}" for pair in (*passwords, *data.passwords)]
    lines += [_command(command) for command in data.run_commands]
    return lines


def _command(command: Command) -> str:
    """A program is run as it is, a text by a shell, as cloud-init does."""
    return f"sh -c {shlex.quote(command)}" if isinstance(command, str) else shlex.join(command)


def _write(text: str, path: str, mode: str) -> list[str]:
    quoted = shlex.quote(path)
    return [f"printf %s {shlex.quote(text)} >{quoted}", f"chmod {shlex.quote(mode)} {quoted}"]
