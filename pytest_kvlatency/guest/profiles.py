"""Guest profiles: how an image is booted and logged into."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from pytest_kvlatency.console.login import LoginProfile
from pytest_kvlatency.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class GuestProfile:
    """One kind of guest, by the ``name`` that ``--kv-guest`` takes.

    ``image`` is a container disk, by digest, for ``architectures``. ``password`` None: the user has none.
    ``become_root`` stands before what needs root (``"sudo "``). ``user_data`` are keys of cloud-init's user data.
    ``login_seconds`` is how long booting and logging in may take.
    """

    name: str
    image: str
    architectures: tuple[str, ...] = ("amd64",)
    memory: str = "128Mi"
    user: str = "root"
    password: str | None = None
    become_root: str = ""
    user_data: Mapping[str, Any] = field(default_factory=dict)
    login_seconds: float = 240.0

    @property
    def login(self) -> LoginProfile:
        """What the console needs of it."""
        return LoginProfile(**{one.name: getattr(self, one.name) for one in fields(LoginProfile)})


ALPINE: Final = GuestProfile(
    name="alpine",
    image="quay.io/kubevirtci/alpine-with-test-tooling-container-disk"
    "@sha256:a40c4a7bb9644098740ad5f8aa64040b0a64bb84cc4e3b42d633bb752ab4b9ce",
)
# The image and its account are those that KubeVirt's own tests use; the password exists in kubevirtci's image only.
FEDORA: Final = GuestProfile(
    name="fedora",
    image="quay.io/kubevirtci/fedora-with-test-tooling"
    "@sha256:a53fd982787799c2d8cfaa37a2b6fbac4f416437768a25d2eb246dff46bb9d79",
    memory="1024Mi",
    user="fedora",
    password="fedora",  # noqa: S106 - public, as the image
    become_root="sudo ",
    login_seconds=300.0,
)
BUILT_IN: Final = {profile.name: profile for profile in (ALPINE, FEDORA)}


def login_words(profile: GuestProfile) -> str:
    """Say who logs in, for people. The password of a profile that a hook registered is its author's to tell."""
    if profile.password is None:
        return f"user {profile.user}, no password"
    if profile == BUILT_IN.get(profile.name):
        return f"user {profile.user}, password {profile.password}"
    return f"user {profile.user}, with the password of guest profile {profile.name!r}"


def profile_named(name: str, extra: Mapping[str, GuestProfile]) -> GuestProfile:
    """Find a profile; ``extra`` are those that hooks registered, and win. Raises ``ConfigError``."""
    known = {**BUILT_IN, **extra}
    if name not in known:
        raise ConfigError(
            f"--kv-guest {name!r} is not a guest profile: expected one of {', '.join(sorted(known))}",
            hint="the hook pytest_kvlatency_guest_profiles can register more",
        )
    return known[name]
