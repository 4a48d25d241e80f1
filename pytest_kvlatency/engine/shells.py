"""The shell of a guest, on a console that is opened when something is to be typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.errors import PermissionDeniedError
from pytest_kvlatency.kube import paths

if TYPE_CHECKING:
    from pytest_kvlatency.console.shell import Shell
    from pytest_kvlatency.console.transport import ConsoleTransport
    from pytest_kvlatency.guest.profiles import GuestProfile
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.state import VmiHandle, VmiState
    from pytest_kvlatency.kube.vmi import Vmis

PROBE_SECONDS = 30.0


def shell_of(client: KubeClient, vmis: Vmis, handle: VmiHandle, profile: GuestProfile) -> Shell:
    """The shell of a VMI's guest. Nothing is opened yet."""
    # Loaded while the first guest boots: there is time enough then.
    from pytest_kvlatency.console.opening import open_console  # noqa: PLC0415
    from pytest_kvlatency.console.shell import Shell  # noqa: PLC0415

    def probe() -> VmiState | None:
        return vmis.get_state(handle, Deadline(PROBE_SECONDS, stop=client.stop))

    def connect(deadline: Deadline) -> ConsoleTransport:
        try:
            return open_console(
                lambda: client.console_endpoint(handle.namespace, handle.name),
                probe,
                client.reach,
                deadline,
            )
        except PermissionDeniedError as error:
            wanted = paths.target("GET", paths.console(handle.namespace, handle.name))
            denial = client.rules.denial(wanted, deadline)
            if denial is None:
                raise
            raise denial from error

    return Shell(connect, profile.login, name=str(handle), probe=probe)
