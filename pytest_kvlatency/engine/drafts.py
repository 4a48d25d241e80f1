"""What is asked for when a guest's VMI is created."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.engine import lifetime
from pytest_kvlatency.guest import duplicates, watchdog
from pytest_kvlatency.kube.manifest import (
    EXPIRES_FORMAT,
    MAX_INLINE_BYTES,
    VmiRequest,
    fresh_mac,
    fresh_name,
    network_data,
    user_data,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.engine.blueprint import Blueprint
    from pytest_kvlatency.engine.leases import Lease
    from pytest_kvlatency.guest.profiles import GuestProfile
    from pytest_kvlatency.kube.nad import NadFacts
    from pytest_kvlatency.model import Check
    from pytest_kvlatency.plan.checks import VmiKey

PAIR_LABEL = "pytest-kvlatency/pair"
NO_WATCHDOG = "its user data has no room for a watchdog, so the guest gets one only after the login"


@dataclass(frozen=True, kw_only=True)
class DraftParts:
    """What one guest is made of. ``lease`` is None where the network gives the address, ``architecture`` if unknown."""

    key: VmiKey
    profile: GuestProfile
    nad: NadFacts
    architecture: str | None
    lease: Lease | None


class Drafts:
    """Writes requests for VMIs. Thread-safe. ``now`` is the time by the API server's clock."""

    def __init__(self, blueprint: Blueprint, now: Callable[[], datetime]) -> None:
        self._blueprint = blueprint
        self._now = now
        self._lock = threading.Lock()
        self._generations: Counter[str] = Counter()

    def forget_pairs(self, keys: Iterable[VmiKey]) -> None:
        """Let the next guests of these ``auto`` pairs keep no distance from those of now, which are about to go."""
        with self._lock:
            self._generations.update({_pair_words(key) for key in keys if key.is_auto})

    def request(self, parts: DraftParts, deadline: Deadline) -> VmiRequest:
        """Ask for one VMI, with a name and a MAC of its own. ``deadline`` is the time of the run."""
        blueprint, key, mac = self._blueprint, parts.key, fresh_mac()
        side = "target" if key.slot in ("target", "twin") else "source"
        return VmiRequest(
            name=fresh_name(f"latency-check-{side}" if key.is_auto else "latency-check"),
            namespace=blueprint.namespace,
            nad=key.nad,
            binding=parts.nad.binding,
            mac=mac,
            image=key.guest.image or parts.profile.image,
            memory=parts.profile.memory,
            network_data=network_data(mac, None if parts.lease is None else str(parts.lease.address)),
            user_data=self._user_data(parts.profile, deadline, _address_check(mac, parts.lease))[0],
            run_id=blueprint.run_id,
            node=key.node,
            destinations=key.destinations if key.journey else None,
            architecture=parts.architecture,
            anti_affinity_label=(PAIR_LABEL, self._pair_label(key)) if key.is_auto else None,
            image_pull_secret=blueprint.image_pull_secret,
            tolerations=blueprint.tolerations,
            owner=blueprint.owner,
            expires_at=None if blueprint.keeps else self._expires_at(deadline),
        )

    def change(self, check: Check) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """What hooks of the user's do to a manifest."""

        def change(manifest: dict[str, Any]) -> dict[str, Any]:
            self._blueprint.change_manifest(manifest, check)
            return manifest

        return change

    def notes(self, profile: GuestProfile, deadline: Deadline) -> list[str]:
        """What the reports say of a guest that was made so."""
        return self._user_data(profile, deadline)[1]

    def _pair_label(self, key: VmiKey) -> str:
        """One value for both guests of one pair: two NADs' pairs need two nodes, not four."""
        words = _pair_words(key)
        with self._lock:
            generation = self._generations[words]
        digest = hashlib.sha256(f"{words}|{generation}".encode()).hexdigest()[:8]
        return f"{self._blueprint.run_id}-{digest}"

    def _user_data(
        self, profile: GuestProfile, deadline: Deadline, check: Sequence[str] = ()
    ) -> tuple[str, list[str]]:
        """The profile's user data, with a watchdog and a ``check`` where there is room; a note without a watchdog."""
        seconds = lifetime.boot_seconds(deadline, keeps=self._blueprint.keeps)
        for commands in ([watchdog.boot_command(seconds), *check], [watchdog.boot_command(seconds)]):
            whole = user_data(profile.user_data, boot_commands=commands)
            if len(whole.encode()) <= MAX_INLINE_BYTES:
                return whole, []
        return user_data(profile.user_data), [NO_WATCHDOG]

    def _expires_at(self, deadline: Deadline) -> str:
        """When a VMI that is created now expires, by the API server's clock."""
        expires = self._now() + timedelta(seconds=lifetime.expiry_seconds(deadline))
        return expires.strftime(EXPIRES_FORMAT)


def _address_check(mac: str, lease: Lease | None) -> list[str]:
    """Have the guest look for another machine with its address while it boots; IPv6 is the kernel's to check."""
    if lease is None or lease.address.version == 6:
        return []
    return [duplicates.boot_command(mac, str(lease.address.ip))]


def _pair_words(key: VmiKey) -> str:
    return f"{key.nad}|{key.guest}"
