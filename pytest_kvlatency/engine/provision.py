"""Brings one guest up: NAD, VMI, console, login, watchdog, address. Every step under the run's deadline."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.engine.guests import ReadyGuest, Stopwatch
from pytest_kvlatency.kube import manifest as vmi_manifest
from pytest_kvlatency.kube.nad import read_nad
from pytest_kvlatency.kube.vmi import MacRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_kvlatency.addresses import AddressPlan
    from pytest_kvlatency.deadline import Deadline
    from pytest_kvlatency.engine.leftovers import Leftovers
    from pytest_kvlatency.guest.profiles import GuestProfile
    from pytest_kvlatency.kube.client import KubeClient
    from pytest_kvlatency.kube.nad import NadFacts
    from pytest_kvlatency.kube.owner import OwnerReference
    from pytest_kvlatency.kube.vmi import VmiHandle, Vmis
    from pytest_kvlatency.model import Check, NadRef
    from pytest_kvlatency.plan import VmiKey
    from pytest_kvlatency.settings import Settings

MAC_ATTEMPTS = 5
