"""A lab as its administrator sees it: its objects, its record of requests, and accounts for others."""

from __future__ import annotations

import itertools
import json

import yaml

from pytest_kvlatency.deadline import Deadline
from pytest_kvlatency.kube import paths
from pytest_kvlatency.kube.client import KubeClient


class Administrator:
    """Looks at one namespace of a lab; ``directory`` takes the kubeconfigs that it makes."""

    def __init__(self, lab, directory, namespace):
        self.lab = lab
        self.directory = directory
        self.namespace = namespace
        self.kubeconfig = lab.kubeconfig
        self.admin = KubeClient.connect(kubeconfig=lab.kubeconfig)
        self._count = itertools.count()

    def request(self, method, path, body=None, **more):
        return self.admin.request(method, path, body=body, deadline=Deadline(60), **more)

    def objects(self):
        """The VMIs."""
        return self.request("GET", paths.vmi(self.namespace)).get("items", [])

    def vmis(self):
        """Names of the VMIs that nobody has asked to go."""
        return [
            one["metadata"]["name"] for one in self.objects() if "deletionTimestamp" not in one["metadata"]
        ]

    def migrations(self):
        """The live migrations that there are."""
        return self.request("GET", paths.migration(self.namespace)).get("items", [])

    def have_begun(self, phase):
        """Whether a migration is in this phase, or has been: some last for a few looks only."""
        return any(
            one["phase"] == phase
            for migration in self.migrations()
            for one in (migration.get("status") or {}).get("phaseTransitionTimestamps", ())
        )

    def audit(self):
        """Every request so far."""
        lines = (self.lab.directory / "audit.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def unused(self, word):
        """A name that nobody has yet."""
        return f"{word}-{next(self._count)}"

    def account(self, rules):
        """Make a ServiceAccount with a Role of these rules; return a kubeconfig of its token."""
        return self.kubeconfig_of({"token": self.token_of(self.service_account(rules))})

    def service_account(self, rules):
        """Make a ServiceAccount with a Role of these rules; return its name."""
        name = self.unused("account")
        meta = {"metadata": {"name": name}}
        self.request("POST", self._accounts(), {"apiVersion": "v1", "kind": "ServiceAccount", **meta})
        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}"
        group = {"apiVersion": "rbac.authorization.k8s.io/v1", **meta}
        self.request("POST", f"{rbac}/roles", {**group, "kind": "Role", "rules": rules})
        binding = {
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.namespace}],
        }
        self.request("POST", f"{rbac}/rolebindings", {**group, **binding})
        return name

    def token_of(self, account):
        """Make a token of a ServiceAccount."""
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        return self.request("POST", f"{self._accounts()}/{account}/token", asked)["status"]["token"]

    def revoke(self, account):
        """Take a ServiceAccount away: its tokens are worth nothing from now on."""
        self.request("DELETE", f"{self._accounts()}/{account}")

    def kubeconfig_of(self, user, **cluster):
        """Write a kubeconfig for another user; ``cluster`` changes what it says of the server."""
        config = yaml.safe_load(self.kubeconfig.read_text())
        config["users"][0]["user"] = user
        config["clusters"][0]["cluster"].update(cluster)
        config["contexts"][0]["context"]["namespace"] = self.namespace
        path = self.directory / f"{self.unused('user')}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def _accounts(self):
        return paths.namespaced(paths.CORE, self.namespace, "serviceaccounts")
