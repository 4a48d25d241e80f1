"""The small archive that makes a guest itself: its cloud-init data, and how they read as shell commands.

YAML is read here, on the host; finding the interface by its MAC and configuring it happens in the guest.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import yaml

from pytest_kvlatency.lab.guests.base import datasource_wait_seconds
from pytest_kvlatency.lab.guests.qemu import cpio
from pytest_kvlatency.lab.guests.qemu.faultsettings import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kvlatency.lab.guests.base import GuestRequest
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


def _load(text: str, what: str) -> tuple[dict[str, Any], list[str]]:
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return {}, [_say(f"{what} is not valid YAML: {error}")]
    if loaded is None:
        return {}, []
    if not isinstance(loaded, dict):
        return {}, [_say(f"{what} is no mapping but {type(loaded).__name__}")]
    return loaded, []


def _say(text: str) -> str:
    return f"say {shlex.quote(' '.join(text.split()))}"


def _network(text: str) -> list[str]:
    """Translate network data of version 1 or 2; without any, cloud-init's fallback: DHCP on the first interface."""
    if not text.strip():
        return ["if [ -e /sys/class/net/eth0 ]; then", "ip link set eth0 up", "dhcp4 eth0", "fi"]
    data, lines = _load(text, "network data")
    data = data.get("network", data) if isinstance(data.get("network", data), dict) else {}
    version = data.get("version")
    if version == 2:
        for name, ethernet in (data.get("ethernets") or {}).items():
            lines += _version_2(str(name), ethernet or {})
    elif version == 1:
        for item in data.get("config") or []:
            lines += _version_1(item)
    elif not lines:
        lines.append(_say(f"network data has version {version!r}; known are 1 and 2"))
    return lines


def _version_2(name: str, data: dict[str, Any]) -> list[str]:
    mac = (data.get("match") or {}).get("macaddress") or data.get("macaddress")
    return _interface(
        name=name,
        mac=mac,
        set_name=data.get("set-name"),
        mtu=data.get("mtu"),
        addresses=[
            str(next(iter(item)) if isinstance(item, dict) else item) for item in data.get("addresses") or []
        ],
        dhcp4=data.get("dhcp4") is True,
        dhcp6=data.get("dhcp6") is True,
        routes=_routes(data),
    )


def _routes(data: dict[str, Any]) -> list[tuple[str, str]]:
    routes = [
        (str(route.get("to")), str(route.get("via")))
        for route in data.get("routes") or []
        if route.get("via")
    ]
    routes += [("default", str(data[key])) for key in ("gateway4", "gateway6") if data.get(key)]
    return routes


def _version_1(data: dict[str, Any]) -> list[str]:
    if data.get("type") != "physical":
        return [_say(f"network data of type {data.get('type')!r} is not known to the lab's guests")]
    name = str(data.get("name", "eth0"))
    addresses: list[str] = []
    routes: list[tuple[str, str]] = []
    kinds: set[str] = set()
    for subnet in data.get("subnets") or []:
        kind = str(subnet.get("type"))
        kinds.add(kind)
        if kind in {"static", "static6"} and subnet.get("address"):
            address = str(subnet["address"])
            if "/" not in address and subnet.get("netmask"):
                address += f"/{subnet['netmask']}"
            addresses.append(address)
            if subnet.get("gateway"):
                routes.append(("default", str(subnet["gateway"])))
    return _interface(
        name=name,
        mac=data.get("mac_address"),
        set_name=name if data.get("mac_address") else None,
        mtu=data.get("mtu"),
        addresses=addresses,
        dhcp4=bool(kinds & {"dhcp", "dhcp4"}),
        dhcp6="dhcp6" in kinds,
        routes=routes,
    )


def _interface(
    *,
    name: str,
    mac: object,
    set_name: object,
    mtu: object,
    addresses: list[str],
    dhcp4: bool,
    dhcp6: bool,
    routes: list[tuple[str, str]],
) -> list[str]:
    find = f"by_mac {shlex.quote(str(mac).lower())}" if mac else f"by_name {shlex.quote(name)}"
    lines = [f"if link=$({find}); then"]
    if set_name:
        lines.append(f'link=$(rename "$link" {shlex.quote(str(set_name))})')
    if mtu:
        lines.append(f'ip link set "$link" mtu {shlex.quote(str(mtu))}')
    lines.append('ip link set "$link" up')
    lines += [f'ip addr add {shlex.quote(address)} dev "$link"' for address in addresses]
    lines += [f'ip route add {shlex.quote(to)} via {shlex.quote(via)} dev "$link"' for to, via in routes]
    if dhcp4:
        lines.append('dhcp4 "$link"')
    if dhcp6:
        lines.append('say "dhcp6 is not known to the lab\'s guests: $link"')
    lines.append("else")
    lines.append(f"say {shlex.quote(f'no interface for {mac or name}')}")
    lines.append("fi")
    return lines


def _user(text: str) -> list[str]:
    if text.startswith("#!"):
        return [*_write(text, "/run/user-script", "0755"), "/run/user-script"]
    if not text.startswith("#cloud-config"):
        return [] if not text.strip() else [_say("user data is neither #cloud-config nor a script")]
    data, lines = _load(text, "user data")
    lines += [_command(command) for command in data.get("bootcmd") or []]
    if data.get("hostname"):
        lines.append(f"set_hostname {shlex.quote(str(data['hostname']))}")
    for item in data.get("write_files") or []:
        path = str(item.get("path"))
        lines.append(f'mkdir -p "$(dirname {shlex.quote(path)})"')
        lines += _write(str(item.get("content", "")), path, str(item.get("permissions", "0644")))
    lines += _passwords(data)
    lines += [_command(command) for command in data.get("runcmd") or []]
    return lines


def _passwords(data: dict[str, Any]) -> list[str]:
    """``password`` is the default user's (here: root), ``chpasswd`` holds ``users``, or ``list`` as text or list."""
    pairs: list[str] = []
    if data.get("password"):
        pairs.append(f"root:{data['password']}")
    chpasswd = data.get("chpasswd") or {}
    listed = chpasswd.get("list") or []
    pairs += [str(line).strip() for line in (listed.splitlines() if isinstance(listed, str) else listed)]
    pairs += [f"{user.get('name')}:{user.get('password')}" for user in chpasswd.get("users") or []]
    return [f"set_password {shlex.quote(pair)}" for pair in pairs if ":" in pair]


def _command(command: object) -> str:
    """A list is run as it is, a text by a shell, as cloud-init does."""
    if isinstance(command, list):
        return shlex.join(str(part) for part in command)
    return f"sh -c {shlex.quote(str(command))}"


def _write(text: str, path: str, mode: str) -> list[str]:
    quoted = shlex.quote(path)
    return [f"printf %s {shlex.quote(text)} >{quoted}", f"chmod {shlex.quote(mode)} {quoted}"]
