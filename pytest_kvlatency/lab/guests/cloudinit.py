"""Reads the cloud-init data of a guest: what its network data (versions 1 and 2) and its user data ask for. Pure.

Real and simulated guests carry it out, each in their own way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

#: A command of ``bootcmd`` or ``runcmd``: a text for a shell, or a program with its arguments.
Command = str | tuple[str, ...]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, kw_only=True)
class InterfaceConfig:
    """One interface of the network data: which (by MAC in lower case, else by name), and what it gets.

    ``addresses`` are in CIDR form, as written. ``routes`` are pairs of a destination and a gateway.
    """

    name: str
    mac: str | None
    set_name: str | None
    mtu: int | None
    addresses: tuple[str, ...]
    dhcp4: bool
    dhcp6: bool
    routes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class NetworkData:
    """What network data asks for. ``failure`` is why all of it is refused, ``ignored`` what of it does nothing here."""

    interfaces: tuple[InterfaceConfig, ...] = ()
    failure: str | None = None
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class WrittenFile:
    """An entry of ``write_files``."""

    path: str
    content: str
    permissions: str


@dataclass(frozen=True, kw_only=True)
class UserData:
    """What user data asks for. ``script`` is the whole of it where it is a script, and the rest is empty then.

    ``password`` is the default user's, ``passwords`` are others' as ``USER:PASSWORD``. ``ignored`` says what of it
    does nothing here.
    """

    script: str = ""
    boot_commands: tuple[Command, ...] = ()
    hostname: str = ""
    files: tuple[WrittenFile, ...] = ()
    password: str = ""
    passwords: tuple[str, ...] = ()
    run_commands: tuple[Command, ...] = ()
    ignored: tuple[str, ...] = ()


def read_network_data(text: str) -> NetworkData:
    """Read network data of version 1 or 2."""
    try:
        data = _load(text, "network data")
        if isinstance(data, dict) and isinstance(data.get("network"), dict):
            data = data["network"]
        if not isinstance(data, dict):
            return NetworkData(ignored=(f"network data is not a mapping: it is a {type(data).__name__}",))
        version = data.get("version")
        if version == 1:
            return _version_1(data)
        if version == 2:
            ethernets = (data.get("ethernets") or {}).items()
            return NetworkData(interfaces=tuple(_ethernet(str(key), entry or {}) for key, entry in ethernets))
    except (ValueError, TypeError, AttributeError) as error:
        return NetworkData(failure=" ".join(str(error).split()))
    return NetworkData(failure=f"network data has version {version!r}: expected 1 or 2")


def read_user_data(text: str) -> UserData:
    """Read user data: ``#cloud-config``, or a script."""
    if text.startswith("#!"):
        return UserData(script=text)
    if not text.startswith("#cloud-config"):
        return UserData(ignored=("user data is not #cloud-config or a script",) if text.strip() else ())
    try:
        data = _load(text, "user data")
    except ValueError as error:
        return UserData(ignored=(str(error),))
    if data is None:
        return UserData()
    if not isinstance(data, dict):
        return UserData(ignored=(f"user data is not a mapping: it is a {type(data).__name__}",))
    return UserData(
        boot_commands=_commands(data.get("bootcmd")),
        hostname=_text(data.get("hostname")),
        files=tuple(
            WrittenFile(
                path=str(item.get("path")),
                content=str(item.get("content", "")),
                permissions=str(item.get("permissions", "0644")),
            )
            for item in _mappings(data.get("write_files"))
        ),
        password=_text(data.get("password")),
        passwords=_passwords(data.get("chpasswd")),
        run_commands=_commands(data.get("runcmd")),
    )


def _load(text: str, what: str) -> Any:
    try:
        return yaml.load(text, Loader=_LOADER)  # noqa: S506 (a safe loader, in C where there is one)
    except yaml.YAMLError as error:
        raise ValueError(f"{what} is not valid YAML: {error}") from error


def _version_1(data: dict[str, Any]) -> NetworkData:
    entries = list(data.get("config") or ())
    others = [entry.get("type") for entry in entries if entry.get("type") != "physical"]
    return NetworkData(
        interfaces=tuple(_physical(entry) for entry in entries if entry.get("type") == "physical"),
        ignored=tuple(
            f"the guests of the lab do not support network data of type {kind!r}" for kind in others
        ),
    )


def _physical(entry: dict[str, Any]) -> InterfaceConfig:
    addresses: list[str] = []
    routes: list[tuple[str, str]] = []
    kinds: set[str] = set()
    for subnet in entry.get("subnets") or ():
        kind = str(subnet.get("type"))
        kinds.add(kind)
        if kind in {"static", "static6"} and subnet.get("address"):
            address = str(subnet["address"])
            if "/" not in address and subnet.get("netmask"):
                address += f"/{subnet['netmask']}"
            addresses.append(address)
            if subnet.get("gateway"):
                routes.append(("default", str(subnet["gateway"])))
    name, mac = str(entry.get("name", "eth0")), _mac(entry.get("mac_address"))
    return InterfaceConfig(
        name=name,
        mac=mac,
        set_name=name if mac else None,
        mtu=entry.get("mtu"),
        addresses=tuple(addresses),
        dhcp4=bool(kinds & {"dhcp", "dhcp4"}),
        dhcp6="dhcp6" in kinds,
        routes=tuple(routes),
    )


def _ethernet(key: str, entry: dict[str, Any]) -> InterfaceConfig:
    match = entry.get("match") or {}
    routes = [
        (str(route.get("to")), str(route.get("via")))
        for route in entry.get("routes") or ()
        if route.get("via")
    ]
    routes += [("default", str(entry[key])) for key in ("gateway4", "gateway6") if entry.get(key)]
    return InterfaceConfig(
        name=str(match.get("name", key)),
        mac=_mac(match.get("macaddress") or entry.get("macaddress")),
        set_name=entry.get("set-name"),
        mtu=entry.get("mtu"),
        # An address with options is a mapping of it to them.
        addresses=tuple(
            str(next(iter(item)) if isinstance(item, dict) else item) for item in entry.get("addresses") or ()
        ),
        dhcp4=_is_on(entry.get("dhcp4")),
        dhcp6=_is_on(entry.get("dhcp6")),
        routes=tuple(routes),
    )


def _mac(value: object) -> str | None:
    return str(value).lower() if value else None


def _is_on(value: object) -> bool:
    return value in (True, "true", "yes")


def _text(value: object) -> str:
    return str(value) if value else ""


def _mappings(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _commands(value: object) -> tuple[Command, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(tuple(map(str, one)) if isinstance(one, list) else str(one) for one in value)


def _passwords(chpasswd: object) -> tuple[str, ...]:
    """``chpasswd`` holds ``users``, or ``list`` as text or list."""
    if not isinstance(chpasswd, dict):
        return ()
    listed = chpasswd.get("list") or []
    pairs = [str(line).strip() for line in (listed.splitlines() if isinstance(listed, str) else listed)]
    pairs += [f"{user.get('name')}:{user.get('password')}" for user in _mappings(chpasswd.get("users"))]
    return tuple(pair for pair in pairs if ":" in pair)
