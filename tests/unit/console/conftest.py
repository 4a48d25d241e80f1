import shutil

import pytest
from consolefakes import PtyGuest, State

from pytest_kvlatency.console.login import LoginProfile
from pytest_kvlatency.console.shell import Shell
from pytest_kvlatency.deadline import Deadline

# What ends as an interactive shell starts again, as under a getty that logs in by itself.
RESPAWN = "trap : INT; while :; do {}; done"
SHELLS = {"dash": "dash -i", "bash": "bash --norc --noprofile -i", "busybox": "busybox sh -i"}


@pytest.fixture
def make_guest(tmp_path):
    guests = []

    def make(command="dash -i", **options):
        if shutil.which(command.split()[0]) is None:
            pytest.skip(f"{command.split()[0]} is not installed")
        guests.append(PtyGuest(["sh", "-c", RESPAWN.format(command)], **options))
        return guests[-1]

    yield make
    for guest in guests:
        guest.stop()


@pytest.fixture
def make_shell():
    def make(
        connect, *, user="root", password=None, login_seconds=60.0, probe=State, become_root="true ", **more
    ):
        # `true` keeps what needs root from touching the machine that runs the tests.
        profile = LoginProfile(
            user=user, password=password, become_root=become_root, login_seconds=login_seconds
        )
        return Shell(connect, profile, name="default/guest", probe=probe, **more)

    return make


@pytest.fixture(params=SHELLS)
def shell(request, make_guest, make_shell):
    guest = make_guest(SHELLS[request.param])
    made = make_shell(guest.connect)
    made.login(Deadline(60))
    made.guest = guest
    return made
