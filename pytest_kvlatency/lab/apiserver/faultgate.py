"""The faults of the API (``where="api"``): when one strikes, and which."""

from __future__ import annotations

import fnmatch
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from pytest_kvlatency.lab.apiserver import statuses as errors
from pytest_kvlatency.lab.spec.faults import FAULTS
from pytest_kvlatency.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_kvlatency.lab.apiserver.reqinfo import RequestInfo
    from pytest_kvlatency.lab.spec.labspec import FaultSpec

_VMIS = ("kubevirt.io", "virtualmachineinstances")
#: Parameters that are durations, with what they are where a fault does not give them.
_DURATIONS = {"delay": 0.0, "down": 1.0, "denies": 3.0}


class RestartPhase(Enum):
    """Where the API server stands in a restart."""

    UP = "as always"
    STOPS = "this request is answered no more"
    DOWN = "nothing is answered"
    STARTS = "all but administrators are denied everything"


def seconds(value: Any, what: str = "delay") -> float:
    """Read a duration: a number of seconds, or Go's form such as ``1.5s``."""
    if isinstance(value, (int, float)):
        return float(value)
    try:
        return parse_duration(str(value)) / 1e9
    except ValueError as error:
        said = f"{what} of a fault: {value!r} is not a duration: expected one such as 500ms or 2s"
        raise ValueError(said) from error


class FaultGate:
    """Counts how often each fault struck. ``elapsed`` gives the seconds since the server started."""

    def __init__(self, faults: Sequence[FaultSpec], elapsed: Callable[[], float]) -> None:
        self._faults = [
            _once(fault) if fault.fault == "api-restart" else fault
            for fault in faults
            if fault.fault in FAULTS and FAULTS[fault.fault].where == "api"
        ]
        self._struck = [0] * len(self._faults)
        self._elapsed = elapsed
        #: Until when a restart that has begun lasts: without answers, and whole.
        self._down_until = self._starts_until = 0.0
        for fault in self._faults:
            for name in _DURATIONS:
                _duration(fault, name)

    def hidden_groups(self) -> frozenset[str]:
        """Return the API groups that are not there now."""
        hidden: set[str] = set()
        for fault in self._faults:
            if self._elapsed() < fault.after_seconds:
                continue
            if fault.fault == "kubevirt-missing":
                hidden |= {"kubevirt.io", "subresources.kubevirt.io"}
            elif fault.fault == "nad-api-missing":
                hidden.add("k8s.cni.cncf.io")
        return frozenset(hidden)

    def _strike(
        self, names: tuple[str, ...], info: RequestInfo, created: Mapping[str, Any] | None = None
    ) -> FaultSpec | None:
        """Return the first fault that fits the request, and count it. ``created`` is the VMI that it creates."""
        vmi = "" if created is None else _name_of(created)
        full = info.resource + (f"/{info.subresource}" if info.subresource else "")
        for index, fault in enumerate(self._faults):
            parameters = fault.parameters
            fits = (
                fault.fault in names
                and self._elapsed() >= fault.after_seconds
                and (fault.times is None or self._struck[index] < fault.times)
                and parameters.get("verb") in {None, info.verb}
                and parameters.get("resource") in {None, full}
                and (fault.vmi is None or fnmatch.fnmatchcase(vmi or info.name, fault.vmi))
                and (created is None or _is_meant(fault, created, info.namespace))
            )
            if fits:
                self._struck[index] += 1
                return fault
        return None

    def slow(self, info: RequestInfo) -> float:
        """Return for how many seconds the answer has to wait."""
        fault = self._strike(("api-slow",), info)
        return _duration(fault, "delay") if fault else 0.0

    def reset(self, info: RequestInfo) -> bool:
        """Say whether the connection is to be reset."""
        return self._strike(("api-reset",), info) is not None

    def restart(self, info: RequestInfo) -> RestartPhase:
        """Say where the server stands in a restart, which this request may begin."""
        now = self._elapsed()
        if now < self._down_until:
            return RestartPhase.DOWN
        if now < self._starts_until:
            return RestartPhase.STARTS
        fault = self._strike(("api-restart",), info) if info.resource else None
        if fault is None:
            return RestartPhase.UP
        self._down_until = now + _duration(fault, "down")
        self._starts_until = self._down_until + _duration(fault, "denies")
        return RestartPhase.STOPS

    def check(self, info: RequestInfo) -> None:
        """Raise the error with which a fault answers this request, if one does."""
        fault = self._strike(("api-error",), info)
        if fault is not None:
            raise _error(fault)
        if info.verb in {"update", "patch"} and self._strike(("api-conflict",), info):
            raise errors.stale(info.resource, info.group, info.name)

    def admit(self, info: RequestInfo, body: Any, *, is_dry_run: bool) -> None:
        """Raise the refusal that admission has for a VMI about to be created, if a fault says so."""
        if (info.group, info.resource) != _VMIS or info.verb != "create" or not isinstance(body, dict):
            return
        name = _name_of(body)
        if is_dry_run and self._strike(("dry-run-unsupported",), info, body):
            raise errors.bad_request('admission webhook "audit.lab.kvlatency" does not support dry run')
        if self._strike(("quota",), info, body):
            raise errors.forbidden(
                info.resource,
                info.group,
                name,
                "exceeded quota: lab-quota, requested: count/virtualmachineinstances.kubevirt.io=1, "
                "used: count/virtualmachineinstances.kubevirt.io=0, "
                "limited: count/virtualmachineinstances.kubevirt.io=0",
            )
        policy = self._strike(("policy-refused",), info, body)
        if policy is not None:
            message = policy.parameters.get("message") or "virtual machines are not allowed here"
            raise errors.ApiError(
                403,
                f'admission webhook "policy.lab.kvlatency" denied the request: {message}',
                reason="Forbidden",
            )
        if self._strike(("mac-collision",), info, body):
            interfaces = ((body.get("spec") or {}).get("domain") or {}).get("devices", {}).get(
                "interfaces"
            ) or []
            mac = next((item["macAddress"] for item in interfaces if item.get("macAddress")), "")
            raise errors.ApiError(
                500,
                'admission webhook "mutatevirtualmachines.kubemacpool.io" denied the request: Failed to create '
                "virtual machine allocation error: Failed to allocate mac to the vm object: failed to allocate "
                f"requested mac address {mac}",
                reason="",
            )


def _once(fault: FaultSpec) -> FaultSpec:
    """The same fault, which strikes once where nothing says how often."""
    return replace(fault, times=1) if fault.times is None else fault


def _duration(fault: FaultSpec, name: str) -> float:
    """Return the seconds of one of a fault's parameters."""
    return seconds(fault.parameters.get(name, _DURATIONS[name]), name)


def _name_of(vmi: Mapping[str, Any]) -> str:
    meta = vmi.get("metadata") or {}
    return str(meta.get("name") or meta.get("generateName") or "")


def _is_meant(fault: FaultSpec, vmi: Mapping[str, Any], namespace: str) -> bool:
    """Say whether a VMI about to be created is on the fault's network, and may run on the fault's node alone."""
    spec = vmi.get("spec") or {}
    return (fault.node is None or _pinned_nodes(spec) == {fault.node}) and (
        fault.network is None or fault.network in _networks(spec, namespace)
    )


def _pinned_nodes(spec: Mapping[str, Any]) -> set[str]:
    """Return the nodes that a VMI's selector and required affinity name."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    expressions = [
        expression
        for term in required.get("nodeSelectorTerms") or []
        for key in ("matchExpressions", "matchFields")
        for expression in term.get(key) or []
        if expression.get("key") in ("kubernetes.io/hostname", "metadata.name")
        and expression.get("operator") == "In"
    ]
    named = {str(value) for expression in expressions for value in expression.get("values") or []}
    selected = (spec.get("nodeSelector") or {}).get("kubernetes.io/hostname")
    return named if selected is None else {*named, str(selected)}


def _networks(spec: Mapping[str, Any], namespace: str) -> set[str]:
    """Return the NADs of a VMI as ``NAMESPACE/NAME``."""
    names = [str((item.get("multus") or {}).get("networkName") or "") for item in spec.get("networks") or []]
    return {name if "/" in name else f"{namespace}/{name}" for name in names if name}


def _error(fault: FaultSpec) -> errors.ApiError:
    code = int(fault.parameters.get("code", 503))
    default = {
        429: "the server has received too many requests and has asked us to try again later",
        500: 'an error on the server ("lab fault") has prevented the request from succeeding',
        503: "the server is currently unable to handle the request",
    }
    message = str(fault.parameters.get("message") or default.get(code, f"lab fault: HTTP {code}"))
    wait = fault.parameters.get("retry_after")
    return errors.ApiError(code, message, retry_after=None if wait is None else int(wait))
