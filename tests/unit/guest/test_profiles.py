import re

import pytest

from pytest_kvlatency.errors import ConfigError
from pytest_kvlatency.guest.profiles import BUILT_IN, GuestProfile, profile_named


@pytest.mark.parametrize("name", ["alpine", "fedora"])
def test_built_in_images_are_pinned_by_digest(name):
    assert re.fullmatch(r"[^@]+@sha256:[0-9a-f]{64}", BUILT_IN[name].image)


def test_registered_profiles_are_found_and_win():
    mine = GuestProfile(
        name="alpine", image="registry.example/mine@sha256:" + "0" * 64, user="me", password="x"
    )
    assert profile_named("alpine", {"alpine": mine}) is mine
    assert profile_named("fedora", {"alpine": mine}).become_root == "sudo "
    assert (mine.login.user, mine.login.password) == ("me", "x")


def test_an_unknown_profile_names_those_that_exist():
    with pytest.raises(
        ConfigError, match="--kv-guest 'cirros' is not a guest profile: expected one of alpine, fedora"
    ):
        profile_named("cirros", {})
