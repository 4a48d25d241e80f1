"""Calls of the plugin's own hooks while a run goes on. What their code raises names the hook that it came from."""

from __future__ import annotations

import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.config import parsers
from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.model import Failure

if TYPE_CHECKING:
    import pytest

    from pytest_kvlatency.guest.profiles import GuestProfile
    from pytest_kvlatency.model import Check, Measurement


def guest_profiles(config: pytest.Config) -> dict[str, GuestProfile]:
    """Ask for guest profiles, by their names. Raises ``ConfigError``."""
    from pytest_kvlatency.guest.profiles import GuestProfile

    hook = "pytest_kvlatency_guest_profiles"
    try:
        found = [
            one for some in config.hook.pytest_kvlatency_guest_profiles(config=config) for one in some or ()
        ]
    except Exception as error:
        raise _refused(hook, error) from error
    for one in found:
        if not isinstance(one, GuestProfile):
            raise ConfigError(f"the hook {hook} returned {one!r}: expected a list of GuestProfile")
        _check_image(hook, one.image)
    return {one.name: one for one in found}


def guest_images(config: pytest.Config) -> dict[str, str]:
    """The image of every guest profile by its name; of the built-in ones alone where a hook goes wrong."""
    from pytest_kvlatency.guest.profiles import BUILT_IN

    profiles = dict(BUILT_IN)
    with suppress(ConfigError):
        profiles |= guest_profiles(config)
    return {name: profile.image for name, profile in profiles.items()}


def guest_names(config: pytest.Config) -> set[str]:
    """Every name that ``--kv-guest`` takes. Raises ``ConfigError``."""
    from pytest_kvlatency.guest.profiles import BUILT_IN

    return {*BUILT_IN, *guest_profiles(config)}


def has_manifest_hooks(config: pytest.Config) -> bool:
    """Whether others may change the manifests of VMIs."""
    return bool(config.hook.pytest_kvlatency_vmi_manifest.get_hookimpls())


def change_manifest(config: pytest.Config, manifest: dict[str, Any], check: Check) -> None:
    """Let others change a VMI's manifest; called in the engine's threads. Raises ``ConfigError``."""
    hook = "pytest_kvlatency_vmi_manifest"
    try:
        config.hook.pytest_kvlatency_vmi_manifest(manifest=manifest, check=check)
    except Exception as error:
        raise _refused(hook, error) from error
    for volume in (manifest.get("spec") or {}).get("volumes") or []:
        disk = volume.get("containerDisk") or {}
        if "image" in disk:
            _check_image(hook, disk["image"])


def judgements(item: pytest.Item, measurement: Measurement) -> tuple[Failure, ...]:
    """Let others observe and judge a measurement: a failure for each reason that one of them gave."""
    said = item.ihook.pytest_kvlatency_measurement(measurement=measurement, item=item)
    return tuple(Failure(kind="assertion", stage="run", reason=str(reason)) for reason in said if reason)


def _check_image(hook: str, image: object) -> None:
    """Refuse what no node can parse, before anything is created. Raises ``ConfigError``."""
    try:
        parsers.image(str(image))
    except ValueError as error:
        raise ConfigError(f"the hook {hook} returned the image {image!r}, which {error}") from error


def _refused(hook: str, error: Exception) -> ConfigError:
    last = traceback.extract_tb(error.__traceback__)[-1]
    words = f"{type(error).__name__}: {error}".rstrip(": ")
    return ConfigError(
        f"the hook {hook} raised {words}", hint=f"raised in {last.filename}, line {last.lineno}"
    )
