"""The two parts of a cluster that a Job needs and the lab does not have: the Job controller and a kubelet.

A Job that was made through the lab's API is run as its spec says: a Pod object with an owner, a uid and a token of its
ServiceAccount, a container with just its command, environment, volumes and security context, and in the end the
status of both, on which ``kubectl wait`` waits.
"""

from __future__ import annotations

import base64
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import podspec
import yaml
from containers import API_HOST, API_PORT, Mount, Node

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.client import KubeClient

NODE_NAME = "worker1"
GRACE_SECONDS = 30
_BATCH = "/apis/batch/v1"
_SLICE = 0.02


def now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Kubelet:
    """Runs the Jobs of a lab. ``images`` gives the image that each name in a Job stands for."""

    def __init__(self, kubeconfig, directory, images):
        self._client = KubeClient.connect(kubeconfig=kubeconfig)
        cluster = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8"))["clusters"][0]["cluster"]
        self._ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        host, _, port = cluster["server"].rpartition("://")[2].partition(":")
        self._directory = Path(directory)
        self._claims = {}
        self.images = dict(images)
        self.node = Node(directory, (host, int(port.partition("/")[0])))

    def request(self, method, path, body=None, **more):
        return self._client.request(method, path, body=body, deadline=Deadline(60), **more)

    def close(self):
        self.node.close()
        self._client.close()

    def image(self, name):
        """The image of that name. Raises ``PodError``."""
        if name not in self.images:
            raise podspec.PodError(f"ErrImagePull: there is no image {name!r} here")
        return self.images[name]

    def claim(self, name):
        """The directory that is behind a PersistentVolumeClaim; it stays when its pods are gone."""
        if name not in self._claims:
            self._claims[name] = self.node.empty_dir()
        return self._claims[name]

    # --- Jobs

    def run_job(self, namespace, name):
        """Begin what the Job object says; return the ``RunningJob``, which goes on by itself."""
        job = self.request("GET", paths.namespaced(_BATCH, namespace, "jobs", name))
        running = RunningJob(self, job)
        running.begin()
        return running

    def delete_job(self, namespace, name):
        """What the TTL controller does once ``ttlSecondsAfterFinished`` are over: the pods go with the Job."""
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        self.request("DELETE", paths.namespaced(_BATCH, namespace, "jobs", name), options)

    # --- pods

    def run_pod(self, pod):
        """Make the Pod object and start its container. Raises ``PodError`` where a kubelet would refuse it."""
        namespace = pod["metadata"]["namespace"]
        made = self.request("POST", paths.namespaced(paths.CORE, namespace, "pods"), pod)
        running = RunningPod(self, made)
        running.begin()
        return running

    def data_of(self, namespace, kind):
        """A function that gives the data of a ConfigMap or Secret by name."""

        def data(name, *, optional):
            path = paths.namespaced(paths.CORE, namespace, kind, name)
            found = self.request("GET", path, ok_missing=True)
            if not found and not optional:
                raise podspec.PodError(f"{kind.removesuffix('s')} {name!r} not found")
            return (podspec.decoded(found) if kind == "secrets" else found.get("data")) or {}

        return data

    def account_files(self, pod):
        """The three files of the pod's ServiceAccount, in a directory."""
        namespace = pod["metadata"]["namespace"]
        account = pod["spec"].get("serviceAccountName") or "default"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3607},
        }
        path = paths.namespaced(paths.CORE, namespace, "serviceaccounts", account, "token")
        token = self.request("POST", path, request)["status"]["token"]
        directory = self.node.empty_dir()
        for name, text in (("token", token), ("ca.crt", self._ca), ("namespace", namespace)):
            (directory / name).write_text(text, encoding="utf-8")
        directory.chmod(0o755)
        return directory


class RunningPod:
    """A Pod object and its container; ``token`` is what must appear in no log."""

    def __init__(self, kubelet, pod):
        self._kubelet = kubelet
        self.object = pod
        self.name, self.uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        self.namespace = pod["metadata"]["namespace"]
        self.grace_seconds = pod["spec"].get("terminationGracePeriodSeconds", GRACE_SECONDS)
        self.container = None
        self.token = ""

    def begin(self):
        pod, kubelet = self.object, self._kubelet
        try:
            container = podspec.container_of(pod)
            image = kubelet.image(container["image"])
            sources = podspec.Sources(
                configmap=kubelet.data_of(self.namespace, "configmaps"),
                secret=kubelet.data_of(self.namespace, "secrets"),
                claim=kubelet.claim,
                empty_dir=kubelet.node.empty_dir,
            )
            hostname = pod["spec"].get("hostname") or self.name[:63]
            environment = podspec.variables(container, pod, sources, self._given(image, hostname))
            arguments = podspec.arguments(container, image.config, environment)
            mounts = podspec.mounts(pod, container, sources)
            if pod["spec"].get("automountServiceAccountToken", True):
                files = kubelet.account_files(pod)
                self.token = (files / "token").read_text(encoding="utf-8")
                mounts.append(Mount(path=podspec.TOKEN_DIRECTORY, source=files, read_only=True))
            self.container = kubelet.node.start(
                image,
                arguments,
                environment=environment,
                mounts=mounts,
                security=podspec.security(pod, container, image),
                hostname=hostname,
                cwd=container.get("workingDir"),
            )
        except podspec.PodError as error:
            self._write({"phase": "Pending", "reason": "CreateContainerConfigError", "message": str(error)})
            raise
        self._started = now()
        state = {"running": {"startedAt": self._started}}
        self._write({"phase": "Running", "startTime": self._started, **self._statuses(state)})

    @staticmethod
    def _given(image, hostname):
        """What is there before the spec adds its own."""
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/",
            **image.environment,
            "HOSTNAME": hostname,
            "KUBERNETES_SERVICE_HOST": API_HOST,
            "KUBERNETES_SERVICE_PORT": str(API_PORT),
            "KUBERNETES_SERVICE_PORT_HTTPS": str(API_PORT),
            "KUBERNETES_PORT": f"tcp://{API_HOST}:{API_PORT}",
        }

    @property
    def ended(self):
        return self.container.status is not None

    def finish(self):
        """Write how the container ended; return its exit status."""
        status = self.container.wait()
        state = {
            "exitCode": status,
            "reason": "Error" if status else "Completed",
            "startedAt": self._started,
            "finishedAt": now(),
        }
        self._write({"phase": "Failed" if status else "Succeeded", **self._statuses({"terminated": state})})
        return status

    def stop(self):
        """End the container as for a deleted pod; return its exit status and the seconds that it took."""
        return self.container.stop(self.grace_seconds)

    def _statuses(self, state):
        container = self.object["spec"]["containers"][0]
        one = {"name": container["name"], "image": container["image"], "restartCount": 0, "state": state}
        return {"containerStatuses": [one]}

    def _write(self, status):
        path = paths.namespaced(paths.CORE, self.namespace, "pods", self.name, "status")
        # The pod may be gone, with its Job.
        self._kubelet.request("PATCH", path, {"status": status}, ok_missing=True)


class RunningJob:
    """A Job that is being run, pod by pod, to its condition Complete or Failed."""

    def __init__(self, kubelet, job):
        self._kubelet = kubelet
        self._spec = job["spec"]
        self._meta = job["metadata"]
        self.namespace, self.name = self._meta["namespace"], self._meta["name"]
        self._indexed = self._spec.get("completionMode") == "Indexed"
        self._completions = self._spec.get("completions", 1)
        self._began = time.monotonic()
        self._started = now()
        self._failed = 0
        self._succeeded = []
        self._error = None
        self._thread = threading.Thread(target=self._guarded, daemon=True)
        self.pods = []

    @property
    def pod(self):
        return self.pods[-1]

    @property
    def container(self):
        return self.pod.container

    def begin(self):
        """Start the first pods in the caller's thread, so that a refusal is the caller's; the rest goes by itself."""
        self._waiting = list(range(self._completions))
        self._active = {}
        self._fill()
        self._write({"active": len(self._active)})
        self._thread.start()

    def wait(self, seconds=180):
        """Wait for the end of the Job; return the Job object."""
        self._thread.join(seconds)
        if self._error is not None:
            raise self._error
        assert not self._thread.is_alive(), "\n".join(one.container.output for one in self.pods)
        return self._kubelet.request("GET", paths.namespaced(_BATCH, self.namespace, "jobs", self.name))

    # --- the controller

    def _guarded(self):
        try:
            self._follow()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where the Job's end is waited for
            self._error = error

    def _fill(self):
        while self._waiting and len(self._active) < self._spec.get("parallelism", 1):
            index = self._waiting.pop(0)
            pod = self._kubelet.run_pod(self._pod(index))
            self.pods.append(pod)
            self._active[index] = pod

    def _follow(self):
        deadline = self._spec.get("activeDeadlineSeconds")
        while self._active:
            for index, pod in [one for one in self._active.items() if one[1].ended]:
                del self._active[index]
                if pod.finish():
                    self._failed += 1
                    self._waiting.insert(0, index)
                else:
                    self._succeeded.append(index)
            if self._failed > self._spec.get("backoffLimit", 6):
                self._stop_all()
                self._fail("BackoffLimitExceeded", "Job has reached the specified backoff limit")
                return
            if deadline is not None and time.monotonic() - self._began > deadline:
                self._stop_all()
                self._fail("DeadlineExceeded", "Job was active longer than specified deadline")
                return
            self._fill()
            time.sleep(_SLICE)
        self._write(
            {
                "completionTime": now(),
                "conditions": [
                    self._condition(
                        "SuccessCriteriaMet",
                        "CompletionsReached",
                        "Reached expected number of succeeded pods",
                    ),
                    self._condition(
                        "Complete", "CompletionsReached", "Reached expected number of succeeded pods"
                    ),
                ],
            }
        )

    def _stop_all(self):
        stopping = [threading.Thread(target=one.stop) for one in self._active.values()]
        for one in stopping:
            one.start()
        for one in stopping:
            one.join()
        for one in self._active.values():
            one.finish()
            self._failed += 1
        self._active.clear()

    def _fail(self, reason, message):
        conditions = [self._condition(kind, reason, message) for kind in ("FailureTarget", "Failed")]
        self._write({"conditions": conditions})

    @staticmethod
    def _condition(kind, reason, message):
        return {
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": now(),
        }

    def _write(self, status):
        counts = {"active": len(self._active), "succeeded": len(self._succeeded), "failed": self._failed}
        if self._indexed:
            counts["completedIndexes"] = ",".join(map(str, sorted(self._succeeded)))
        path = paths.namespaced(_BATCH, self.namespace, "jobs", self.name, "status")
        body = {"status": {"startTime": self._started, **counts, **status}}
        self._kubelet.request("PATCH", path, body, ok_missing=True)

    def _pod(self, index):
        """The Pod object of one completion, from the Job's template."""
        template = self._spec["template"]
        meta = template.get("metadata") or {}
        own = {"controller-uid": self._meta["uid"], "job-name": self.name}
        labels = {
            **(meta.get("labels") or {}),
            **own,
            **{f"batch.kubernetes.io/{key}": own[key] for key in own},
        }
        annotations = dict(meta.get("annotations") or {})
        spec = {**template["spec"], "nodeName": NODE_NAME}
        prefix = f"{self.name}-"
        if self._indexed:
            prefix += f"{index}-"
            annotations["batch.kubernetes.io/job-completion-index"] = str(index)
            spec["hostname"] = f"{self.name}-{index}"
            reference = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
            variable = {"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"fieldPath": reference}}}
            spec["containers"] = [
                {**one, "env": [*(one.get("env") or []), variable]} for one in spec["containers"]
            ]
        owner = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": self.name,
            "uid": self._meta["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "generateName": prefix,
                "namespace": self.namespace,
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [owner],
            },
            "spec": spec,
        }
