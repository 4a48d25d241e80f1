"""Removes the status of the last run from the checkup's ConfigMap, so that the next run may use it."""

import os

from kubernetes import client, config

KEYS = ("startTimestamp", "completionTimestamp", "succeeded", "failureReason")


def main() -> None:
    """Patch the ConfigMap that the checkup of this pod reads. The next run replaces the results."""
    config.load_incluster_config()  # type: ignore[no-untyped-call]
    name, namespace = os.environ["CONFIGMAP_NAME"], os.environ["CONFIGMAP_NAMESPACE"]
    body = {"data": {f"status.{key}": None for key in KEYS}}
    client.CoreV1Api().patch_namespaced_config_map(name, namespace, body)
    print(f"removed the status of the last run from ConfigMap {namespace}/{name}")


main()
