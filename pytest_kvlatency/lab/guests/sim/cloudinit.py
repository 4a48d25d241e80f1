"""What cloud-init makes of a guest's network data (versions 1 and 2) and user data."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from ipaddress import ip_interface
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kvlatency.lab.guests.sim.network import IPInterface

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(kw_only=True)
class InterfaceConfig:
    """One interface of the network data: which (by MAC, else by name), and what it gets."""

    mac: str | None
    name: str | None
    addresses: list[IPInterface] = field(default_factory=list)
    dhcp4: bool = False
    mtu: int | None = None
    set_name: str | None = None


def parse_network_data(text: str) -> tuple[list[InterfaceConfig], str | None]:
    """Return the interfaces' configurations, and what cloud-init complains of (None: nothing)."""
    try:
        data = yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader, in C where there is one
        if isinstance(data, dict) and isinstance(data.get("network"), dict):
            data = data["network"]
        if not isinstance(data, dict):
            return [], None
        version = data.get("version")
        if version == 1:
            return list(_version_1(data)), None
        if version == 2:
            return list(_version_2(data)), None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        return [], f"failed to apply network config: {str(error).splitlines()[0]}"
    return [], f"failed to apply network config: unknown version {version!r}"


def password(user_data: str) -> str | None:
    """The default user's password, if ``#cloud-config`` user data sets one."""
    value = _cloud_config(user_data).get("password")
    return None if value is None else str(value)


def boot_script(user_data: str) -> str:
    """The shell script that ``bootcmd`` makes, as cloud-init joins its commands; empty without any."""
    commands = _cloud_config(user_data).get("bootcmd")
    lines = [
        shlex.join(map(str, one)) if isinstance(one, list) else str(one)
        for one in (commands if isinstance(commands, list) else [])
    ]
    return "".join(f"{line}\n" for line in lines)


def _cloud_config(user_data: str) -> dict[str, Any]:
    if not user_data.startswith("#cloud-config"):
        return {}
    try:
        data = yaml.load(user_data, Loader=_LOADER)  # noqa: S506 - a safe loader
    except yaml.YAMLError:
        return {}
    return data if isinstance(data, dict) else {}


def _version_1(data: dict[str, Any]) -> Iterator[InterfaceConfig]:
    for entry in data.get("config") or ():
        if entry.get("type") != "physical":
            continue
        config = InterfaceConfig(
            mac=_lower(entry.get("mac_address")), name=entry.get("name"), mtu=entry.get("mtu")
        )
        for subnet in entry.get("subnets") or ():
            kind = str(subnet.get("type"))
            if kind in {"dhcp", "dhcp4"}:
                config.dhcp4 = True
            elif kind in {"static", "static6"}:
                address = str(subnet["address"])
                if "/" not in address and subnet.get("netmask"):
                    address += f"/{subnet['netmask']}"
                config.addresses.append(ip_interface(address))
        yield config


def _version_2(data: dict[str, Any]) -> Iterator[InterfaceConfig]:
    for key, entry in (data.get("ethernets") or {}).items():
        match = entry.get("match") or {}
        mac = _lower(match.get("macaddress"))
        yield InterfaceConfig(
            mac=mac,
            name=None if mac else str(match.get("name", key)),
            addresses=[ip_interface(str(address)) for address in entry.get("addresses") or ()],
            dhcp4=entry.get("dhcp4") in {True, "true", "yes"},
            mtu=entry.get("mtu"),
            set_name=entry.get("set-name"),
        )


def _lower(value: Any) -> str | None:
    return None if value is None else str(value).lower()
