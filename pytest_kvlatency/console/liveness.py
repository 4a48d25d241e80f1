"""Whether a VMI can have a console any more. Knows no websocket, so that it is loaded without one."""

from __future__ import annotations

from typing import Final, Protocol

from pytest_kvlatency.errors import ProvisionError

#: The cause of a VMI that is no longer there, in words that name none.
DELETED: Final = "another client deleted a VMI"


class ConsoleVmi(Protocol):
    """What the console must know of its VMI. ``phase`` may be empty."""

    @property
    def phase(self) -> str:
        """``status.phase``."""

    @property
    def uid(self) -> str:
        """``metadata.uid``."""

    @property
    def deleting(self) -> bool:
        """Whether it has a deletionTimestamp."""

    @property
    def node(self) -> str | None:
        """``status.nodeName``."""


def check_alive(state: ConsoleVmi | None, name: str, *, uid: str = "") -> None:
    """Raise ``ProvisionError`` when this VMI can have no console any more. ``uid``: the one it had before."""
    if state is None:
        raise ProvisionError(f"VMI {name} is gone: another client deleted it", summary=DELETED)
    if uid and state.uid and state.uid != uid:
        raise ProvisionError(f"VMI {name} is gone: another VMI has its name now", summary=DELETED)
    if state.deleting:
        raise ProvisionError(f"VMI {name} is being deleted by another client", summary=DELETED)
    if state.phase in {"Failed", "Succeeded"}:
        how = "failed" if state.phase == "Failed" else "was powered off"
        raise ProvisionError(f"VMI {name} {how} (phase {state.phase})", summary=f"a VMI {how}")
