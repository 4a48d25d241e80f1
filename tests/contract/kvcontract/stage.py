"""Plays a case in a cluster that is reached as an administrator: makes what it needs, runs, and looks."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kvcontract.cases import Case, Given, Meanwhile, Step, documents
from kvcontract.judging import differences
from kvcontract.running import Launch, Run, Runner
from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.kube import paths

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_kvlatency.kube.client import KubeClient

NAMESPACE: Final = "target-ns"
ACCOUNT: Final = "vm-latency-checkup-sa"
POD: Final = "kubevirt-vm-latency-checkup-x7k2p"
TODAYS: Final = "todays-checkup.yaml"
SECONDS: Final = 60.0
_RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
_BATCH: Final = "/apis/batch/v1"
_PLURALS: Final = {
    "ServiceAccount": "serviceaccounts",
    "ConfigMap": "configmaps",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "Job": "jobs",
    "Pod": "pods",
}
_CONFIGMAP_RULES: Final = {
    "todays": ["get", "update"],
    "with-patch": ["get", "update", "patch"],
    "without-update": ["get"],
    "without-get": ["update"],
}


@dataclass(frozen=True, kw_only=True)
class Look:
    """The cluster while a checkup runs. ``owners`` are the VMIs': ``Kind/name``, or ``nobody``."""

    status: Mapping[str, str]
    owners: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What came of one run."""

    exit_status: int
    log: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    left: Sequence[str]
    created: int
    created_before_start: bool
    is_written: bool
    meanwhile: Look | None
    status_seconds: float | None

    @property
    def status(self) -> dict[str, str] | None:
        """The ConfigMap's status keys, without their prefix."""
        return None if self.after is None else _status(self.after)


class Stage:
    """A lab, ready for cases. ``audit`` gives the lines of its record of requests."""

    def __init__(self, admin: KubeClient, audit: Callable[[], Sequence[str]]) -> None:
        self._admin = admin
        self._audit = audit
        self._roles: set[str] = set()
        for kind in documents(TODAYS):
            if kind["kind"] not in ("ConfigMap", "Job"):
                self._make(kind, NAMESPACE)
        # For ConfigMaps of another namespace than the pod's.
        self._permit(ACCOUNT, "other-ns", _rules(_CONFIGMAP_RULES["todays"])[-1:])
        pod = {"containers": [{"name": "checkup", "image": "checkup"}]}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD}, "spec": pod}
        self.pod_uid = str(self._make(body, NAMESPACE)["metadata"]["uid"])

    def play(self, case: Case, runner: Runner) -> None:
        """Run all steps of a case; raises ``AssertionError`` with every difference and the log."""
        namespace, name, launch = self._prepare(case)
        for number, step in enumerate(case.steps):
            seen = self._run(step, namespace, name, launch, runner)
            wrong = differences(step, seen)
            if wrong:
                which = f" (run {number + 1})" if len(case.steps) > 1 else ""
                told = "\n".join(f"- {one}" for one in wrong)
                raise AssertionError(f"{case.name}{which}: {case.tells}\n{told}\n\nits log:\n{seen.log}")

    # --- before

    def _prepare(self, case: Case) -> tuple[str, str, Launch]:
        if case.manifest is not None:
            return self._prepare_manifest(case, case.manifest)
        given = case.given
        assert given is not None
        if given.exists:
            self._make(_configmap(case.name, given), given.namespace)
        usual = {"CONFIGMAP_NAMESPACE": given.namespace, "CONFIGMAP_NAME": case.name}
        usual |= {"POD_UID": self.pod_uid, "HOSTNAME": POD}
        merged = {**usual, **case.environment}
        environment = {
            key: value.replace("{pod uid}", self.pod_uid)
            for key, value in merged.items()
            if value is not None
        }
        launch = Launch(
            environment=environment,
            arguments=case.arguments,
            token=self._token(NAMESPACE, self._account(case.role)),
            namespace=NAMESPACE,
        )
        return given.namespace, case.name, launch

    def _prepare_manifest(self, case: Case, manifest: str) -> tuple[str, str, Launch]:
        """Apply manifests, and take from their Job what a kubelet would; of the Job only the image is another one."""
        made: dict[str, dict[str, Any]] = {}
        namespace = case.name
        for one in documents(manifest):
            made[one["kind"]] = self._make(_filled(one, namespace), namespace)
        pod = made["Job"]["spec"]["template"]
        (container,) = pod["spec"]["containers"]
        body = {**_named("v1", "Pod", POD), "spec": pod["spec"]}
        uid = self._make(body, namespace)["metadata"]["uid"]
        environment = {"HOSTNAME": POD}
        for variable in container["env"]:
            source = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
            fields = {"metadata.uid": uid, "metadata.name": POD, "metadata.namespace": namespace}
            environment[variable["name"]] = fields[source] if source else variable["value"]
        launch = Launch(
            environment=environment,
            arguments=container.get("args", []),
            token=self._token(namespace, pod["spec"]["serviceAccountName"]),
            namespace=namespace,
        )
        return namespace, made["ConfigMap"]["metadata"]["name"], launch

    def _make(self, body: Mapping[str, Any], namespace: str) -> dict[str, Any]:
        """Create an object; one of the cluster that exists already is left as it is."""
        prefix = {"v1": paths.CORE, "batch/v1": _BATCH}.get(body["apiVersion"], _RBAC)
        plural = _PLURALS[body["kind"]]
        if body["kind"].startswith("Cluster"):
            return self._admin.request("POST", f"{prefix}/{plural}", body=body, deadline=_soon())
        return self._admin.request(
            "POST", paths.namespaced(prefix, namespace, plural), body=body, deadline=_soon()
        )

    def _account(self, role: str) -> str:
        """The ServiceAccount of today's documents; or one whose rights to ConfigMaps are others."""
        if role == "todays":
            return ACCOUNT
        if role not in self._roles:
            self._roles.add(role)
            self._make(_named("v1", "ServiceAccount", role), NAMESPACE)
            self._permit(role, NAMESPACE, _rules(_CONFIGMAP_RULES[role]))
        return role

    def _permit(self, account: str, namespace: str, rules: Sequence[Mapping[str, Any]]) -> None:
        group = "rbac.authorization.k8s.io"
        self._make({**_named(f"{group}/v1", "Role", account), "rules": rules}, namespace)
        reference = {"apiGroup": group, "kind": "Role", "name": account}
        subjects = [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}]
        binding = {"roleRef": reference, "subjects": subjects}
        self._make({**_named(f"{group}/v1", "RoleBinding", account), **binding}, namespace)

    def _token(self, namespace: str, account: str) -> str:
        path = paths.namespaced(paths.CORE, namespace, "serviceaccounts", account, "token")
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        return str(self._admin.request("POST", path, body=body, deadline=_soon())["status"]["token"])

    # --- the run

    def _run(self, step: Step, namespace: str, name: str, launch: Launch, runner: Runner) -> Observed:
        self._rework(step, namespace, name)
        before = self._read(namespace, name)
        heard = len(self._audit())
        run = runner(launch)
        look, seconds = None, None
        if step.meanwhile is not None:
            look = self._await(step.meanwhile, run, namespace, name, launch.namespace)
            seconds = None if look is None else self._act(step.meanwhile, run, namespace, name)
            if step.meanwhile.does == "add a foreign key":
                before = self._read(namespace, name)
        ended = run.wait()
        requests = [json.loads(line) for line in self._audit()[heard:]]
        writes = [
            index
            for index, one in enumerate(requests)
            if _is(one, "configmaps", "update", "patch", name=name)
        ]
        creations = [
            index for index, one in enumerate(requests) if _is(one, "virtualmachineinstances", "create")
        ]
        return Observed(
            exit_status=ended.exit_status,
            log=ended.log,
            before=before,
            after=self._read(namespace, name),
            left=[one["metadata"]["name"] for one in self._vmis(launch.namespace)],
            created=len(creations),
            created_before_start=bool(creations) and (not writes or creations[0] < writes[0]),
            is_written=bool(writes),
            meanwhile=look,
            status_seconds=seconds,
        )

    def _rework(self, step: Step, namespace: str, name: str) -> None:
        """What somebody does to the ConfigMap before a rerun: one JSON patch, which fails as a whole, or not at all."""
        operations: list[dict[str, str]] = [
            {"op": "remove", "path": f"/data/status.{key}"} for key in step.removes
        ]
        operations += [
            {"op": "replace", "path": f"/data/{key}", "value": value} for key, value in step.changes.items()
        ]
        if operations:
            self._admin.request(
                "PATCH",
                _path(namespace, name),
                # A list, which the client need not know of.
                body=operations,  # type: ignore[arg-type]
                content_type="application/json-patch+json",
                deadline=_soon(),
            )

    def _await(
        self, meanwhile: Meanwhile, run: Run, namespace: str, name: str, vmi_namespace: str
    ) -> Look | None:
        """Wait until it is time; None when the run ends before that."""
        until, known = time.monotonic() + SECONDS, -1
        while not run.has_ended() and time.monotonic() < until:
            heard = len(self._audit())
            if heard == known:
                # Nothing can have changed without a request.
                time.sleep(0.02)
                continue
            vmis = self._vmis(vmi_namespace)
            known = heard + 1
            running = [one for one in vmis if one.get("status", {}).get("phase") == "Running"]
            if vmis if meanwhile.when == "exist" else len(running) == 2:
                configmap = self._read(namespace, name)
                return Look(
                    status={} if configmap is None else _status(configmap),
                    owners=frozenset(map(_owner, vmis)),
                )
        return None

    def _act(self, meanwhile: Meanwhile, run: Run, namespace: str, name: str) -> float | None:
        if meanwhile.does == "delete the ConfigMap":
            self._admin.request("DELETE", _path(namespace, name), deadline=_soon())
        elif meanwhile.does == "add a foreign key":
            # Nobody who must leave it alone has heard of it.
            body = {"data": {"foreign": "added meanwhile"}}
            self._admin.request("PATCH", _path(namespace, name), body=body, deadline=_soon())
        elif meanwhile.does == "SIGTERM":
            run.terminate()
        elif meanwhile.does:
            raise ValueError(f"not known: {meanwhile.does!r}")
        if meanwhile.within_seconds is None:
            return None
        began = time.monotonic()
        while "completionTimestamp" not in _status(self._read(namespace, name) or {}):
            if time.monotonic() - began > SECONDS:
                return None
            time.sleep(0.02)
        return time.monotonic() - began

    def _read(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self._admin.request("GET", _path(namespace, name), deadline=_soon(), ok_missing=True) or None

    def _vmis(self, namespace: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self._admin.request(
            "GET", paths.vmi(namespace), deadline=_soon(), ok_missing=True
        ).get("items", [])
        return listed


def audit_of(path: Any) -> Callable[[], list[str]]:
    """Read a lab's record of requests."""
    return lambda: path.read_text(encoding="utf-8").splitlines()  # type: ignore[no-any-return]


def _rules(verbs: Sequence[str]) -> list[dict[str, Any]]:
    """The rules of today's Roles, with these verbs for ConfigMaps."""
    rules = [rule for one in documents(TODAYS) if one["kind"] == "Role" for rule in one["rules"]]
    return [{**rule, "verbs": verbs} if rule["resources"] == ["configmaps"] else rule for rule in rules]


def _soon() -> Deadline:
    return Deadline(60)


def _named(version: str, kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}}


def _path(namespace: str, name: str) -> str:
    return paths.namespaced(paths.CORE, namespace, "configmaps", name)


def _status(configmap: Mapping[str, Any]) -> dict[str, str]:
    data = configmap.get("data") or {}
    return {key.removeprefix("status."): data[key] for key in data if key.startswith("status.")}


def _configmap(name: str, given: Given) -> dict[str, Any]:
    data = None if given.data is None else dict(given.data)
    if given.full is not None:
        assert data is not None
        used = sum(len(value.encode()) for value in data.values())
        data["notes"] = "x" * (1024 * 1024 - used - given.full)
    body = _named("v1", "ConfigMap", name)
    body["metadata"] |= {"labels": dict(given.labels)} if given.labels else {}
    body |= {} if data is None else {"data": data}
    body |= {"binaryData": dict(given.binary)} if given.binary else {}
    return body | ({"immutable": True} if given.immutable else {})


def _filled(value: Any, namespace: str) -> Any:
    """A manifest with the namespace where its documentation has a placeholder for it."""
    if isinstance(value, str):
        return value.replace("<target-namespace>", namespace)
    if isinstance(value, list):
        return [_filled(one, namespace) for one in value]
    if isinstance(value, dict):
        return {key: _filled(one, namespace) for key, one in value.items()}
    return value


def _owner(vmi: Mapping[str, Any]) -> str:
    owners = vmi["metadata"].get("ownerReferences") or []
    return ", ".join(f"{one['kind']}/{one['name']}" for one in owners) or "nobody"


def _is(request: Mapping[str, Any], resource: str, *verbs: str, name: str | None = None) -> bool:
    return (
        request["resource"] == resource
        and not request["subresource"]
        and request["verb"] in verbs
        and request["code"] < 300
        and name in (None, request["name"])
    )
