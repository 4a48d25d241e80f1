"""What a lab lacks to run Jobs: a Job controller, and a kubelet that runs each container as a process of this machine.

A process has what the pod's container would have: the environment of its spec (also from the downward API, and with
``$(NAME)`` filled in), its arguments, and the ServiceAccount's token, CA and namespace where a pod finds them. In
place of the image there is this interpreter with the plugin; a volume is a directory, and a path of the container that
begins with a volume's mount is one in there.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import forking
from plain import plain

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.apierrors import KubeApiError
from pytest_kvlatency.kube.client import KubeClient
from pytest_kvlatency.lab.kubevirt.timestamp import now

#: The image's entry point: arguments of a container follow it, a container's command takes its place.
ENTRYPOINT = ["python", "-m", "pytest_kvlatency", "--kv-configmap=env"]
ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT / "manifests"
JOBS = paths.namespaced("/apis/batch/v1", "default", "jobs")
INDEX = "batch.kubernetes.io/job-completion-index"


def can_run_containers():
    """Whether this machine lets a process have mounts of its own."""
    done = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    return (
        shutil.which("unshare") is not None
        and done.returncode == 0
        and Path("/var/run").resolve() == Path("/run")
    )


class JobController:
    """Runs every Job of a lab, from its creation to its end. ``logs`` has what each pod printed."""

    def __init__(self, lab, directory):
        self._lab = lab
        self._directory = Path(directory)
        self._admin = KubeClient.connect(kubeconfig=lab.kubeconfig)
        self._threads = []
        self._processes = {}
        self._seen = set()
        self._closing = threading.Event()
        self._responses = []
        self.logs = {}
        self.problems = []
        for path, take in (("/apis/batch/v1/jobs", self._take_job), ("/api/v1/pods", self._take_pod)):
            self._begin(self._follow, path, take)

    def close(self):
        """Stop everything."""
        self._closing.set()
        for response in self._responses:
            _hang_up(response)
        for process in list(self._processes.values()):
            process.kill()
        for thread in self._threads:
            thread.join(10)

    def volume(self, namespace, claim):
        """The directory of a PersistentVolumeClaim."""
        made = self._directory / "claims" / namespace / claim
        made.mkdir(parents=True, exist_ok=True)
        return made

    def _begin(self, work, *arguments):
        thread = threading.Thread(target=self._guarded, args=(work, *arguments), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guarded(self, work, *arguments):
        try:
            work(*arguments)
        except Exception as error:  # noqa: BLE001 - a thread's end is told, not lost
            if not self._closing.is_set():
                self.problems.append(repr(error))

    def _request(self, method, path, body=None, **more):
        return self._admin.request(method, path, body=body, deadline=Deadline(60), **more)

    def _follow(self, path, take):
        response = self._admin.stream(
            path, query={"watch": "true", "timeoutSeconds": "600"}, read_timeout=600
        )
        self._responses.append(response)
        buffer = b""
        for chunk in response.stream(65536):
            buffer += chunk
            *lines, buffer = buffer.split(b"\n")
            for line in filter(None, lines):
                take(json.loads(line))

    # --- the Job controller

    def _take_job(self, event):
        job = event["object"]
        uid = job["metadata"]["uid"]
        if event["type"] == "ADDED" and uid not in self._seen and not job.get("status", {}).get("conditions"):
            self._seen.add(uid)
            self._begin(self._run_job, job)

    def _run_job(self, job):
        spec, meta = job["spec"], job["metadata"]
        count = spec.get("completions", 1)
        slots = threading.Semaphore(spec.get("parallelism", 1))
        results = {}

        def run(index):
            with slots:
                results[index] = self._run_pod(
                    job, index if spec.get("completionMode") == "Indexed" else None
                )

        workers = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(count)]
        for one in workers:
            one.start()
        for one in workers:
            one.join()
        succeeded = sum(results.get(index) == 0 for index in range(count))
        is_complete = succeeded == count
        condition = {
            "type": "Complete" if is_complete else "Failed",
            "status": "True",
            "lastTransitionTime": now(),
        }
        if not is_complete:
            condition |= {
                "reason": "BackoffLimitExceeded",
                "message": "Job has reached the specified backoff limit",
            }
        status = {"succeeded": succeeded, "failed": count - succeeded, "conditions": [condition]}
        where = paths.namespaced("/apis/batch/v1", meta["namespace"], "jobs", meta["name"])
        with contextlib.suppress(KubeApiError):
            self._request("PATCH", f"{where}/status", {"status": status}, ok_missing=True)

    # --- the kubelet

    def _take_pod(self, event):
        pod = event["object"]
        process = self._processes.get(pod["metadata"]["uid"])
        if process is not None and (event["type"] == "DELETED" or pod["metadata"].get("deletionTimestamp")):
            process.send_signal(signal.SIGTERM)

    def _run_pod(self, job, index):
        meta = job["metadata"]
        template = copy.deepcopy(job["spec"]["template"])
        number = "" if index is None else f"{index}-"
        annotations = {} if index is None else {INDEX: str(index)}
        owner = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": meta["name"],
            "uid": meta["uid"],
            "controller": True,
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "generateName": f"{meta['name']}-{number}",
                "labels": {**template.get("metadata", {}).get("labels", {}), "job-name": meta["name"]},
                "annotations": annotations,
                "ownerReferences": [owner],
            },
            "spec": template["spec"],
        }
        (container,) = pod["spec"]["containers"]
        if index is not None:
            field = {"fieldPath": f"metadata.annotations['{INDEX}']"}
            container["env"].append({"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": field}})
        pod = self._request("POST", paths.namespaced(paths.CORE, meta["namespace"], "pods"), pod)
        return self._run_containers(pod)

    def _run_containers(self, pod):
        """Run init containers in turn, sidecars beside the rest, and stop these when the container has ended."""
        meta = pod["metadata"]
        (container,) = pod["spec"]["containers"]
        home = self._directory / "pods" / meta["uid"]
        home.mkdir(parents=True)
        volumes = {one["name"]: self._volume(pod, one, home) for one in pod["spec"].get("volumes", ())}
        sidecars, status = [], 0
        for one in pod["spec"].get("initContainers", ()):
            process = self._start(pod, one, home, volumes)
            if one.get("restartPolicy") == "Always":
                sidecars.append((one, process))
                continue
            ended = self._end_of(process, f"{meta['name']}/{one['name']}")
            status = status or ended
        if not status:
            process = self._start(pod, container, home, volumes)
            self._processes[meta["uid"]] = process
            status = self._end_of(process, meta["name"])
        for one, process in sidecars:
            _stop(process)
            self._end_of(process, f"{meta['name']}/{one['name']}")
        where = paths.namespaced(paths.CORE, meta["namespace"], "pods", meta["name"])
        phase = "Succeeded" if status == 0 else "Failed"
        with contextlib.suppress(KubeApiError):
            self._request("PATCH", f"{where}/status", {"status": {"phase": phase}}, ok_missing=True)
        return status

    def _end_of(self, process, name):
        with process.stdout as output:
            self.logs[name] = output.read()
        return process.wait()

    def _start(self, pod, container, home, volumes):
        meta = pod["metadata"]
        environment = {one["name"]: _value(one, pod) for one in container.get("env", ())}
        mounts = {one["mountPath"]: volumes[one["name"]] for one in container.get("volumeMounts", ())}
        words = [*container.get("command", ENTRYPOINT), *container.get("args", ())]
        words = [_mapped(_expanded(one, environment), mounts) for one in words]
        assert words[0] == "python"
        run = home / "run"
        run.mkdir(exist_ok=True)
        account = run / "secrets" / "kubernetes.io" / "serviceaccount"
        if pod["spec"].get("automountServiceAccountToken", True) and not account.exists():
            self._write_account(pod, account)
        server = urlsplit(self._lab.info["server"])
        own = {
            "HOME": str(home),
            "HOSTNAME": meta["name"],
            "KUBERNETES_SERVICE_HOST": server.hostname,
            "KUBERNETES_SERVICE_PORT": str(server.port),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            **plain(),
            "TMPDIR": str(mounts.get("/tmp", home)),
        }
        return forking.Forked(
            [sys.executable, *words[1:]], cwd=home, env={**own, **environment}, run_directory=run
        )

    def _volume(self, pod, volume, home):
        namespace = pod["metadata"]["namespace"]
        if "persistentVolumeClaim" in volume:
            claim = volume["persistentVolumeClaim"]["claimName"]
            self._request("GET", paths.namespaced(paths.CORE, namespace, "persistentvolumeclaims", claim))
            return self.volume(namespace, claim)
        made = home / "volumes" / volume["name"]
        made.mkdir(parents=True)
        if "configMap" in volume:
            where = paths.namespaced(paths.CORE, namespace, "configmaps", volume["configMap"]["name"])
            for name, text in self._request("GET", where)["data"].items():
                (made / name).write_text(text, encoding="utf-8")
        else:
            assert volume["emptyDir"] == {}
        return made

    def _write_account(self, pod, directory):
        namespace = pod["metadata"]["namespace"]
        account = paths.namespaced(
            paths.CORE, namespace, "serviceaccounts", pod["spec"]["serviceAccountName"]
        )
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = self._request("POST", f"{account}/token", body)["status"]["token"]
        directory.mkdir(parents=True)
        (directory / "token").write_text(token)
        (directory / "namespace").write_text(namespace)
        shutil.copy(self._lab.directory / "ca.crt", directory / "ca.crt")


def _value(variable, pod):
    if "value" in variable:
        return variable["value"]
    path = variable["valueFrom"]["fieldRef"]["fieldPath"]
    annotation = re.fullmatch(r"metadata\.annotations\['(.*)'\]", path)
    if annotation:
        return pod["metadata"]["annotations"][annotation[1]]
    return pod["metadata"][path.removeprefix("metadata.")]


def _stop(sidecar):
    """Ask until it ends, which without a startup probe it may ignore: the checkup may be over before it has begun."""
    while sidecar.poll() is None:
        sidecar.send_signal(signal.SIGTERM)
        time.sleep(0.05)


def _expanded(text, environment):
    return re.sub(r"\$\((\w+)\)", lambda name: environment.get(name[1], name[0]), text)


def _mapped(text, mounts):
    for path, directory in mounts.items():
        text = re.sub(rf"(^|=){re.escape(path)}(?=/|$)", rf"\g<1>{directory}", text)
    return text


def _hang_up(response):
    connection = getattr(response, "connection", None) or getattr(response, "_connection", None)
    sock = getattr(connection, "sock", None)
    if isinstance(sock, socket.socket):
        with contextlib.suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
