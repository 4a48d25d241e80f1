"""A checkup's ConfigMap in the namespace default, read and changed without kubectl."""

from __future__ import annotations

from pytest_kvlatency.kube import paths


def data_of(administrator, configmap):
    """What it holds."""
    return administrator.request("GET", _path(configmap))["data"]


def change(administrator, configmap, changes):
    """Change keys; None removes one."""
    administrator.request("PATCH", _path(configmap), {"data": changes})


def set_parameters(administrator, configmap, **parameters):
    """Change parameters."""
    change(administrator, configmap, {f"spec.param.{name}": value for name, value in parameters.items()})


def _path(configmap):
    return paths.namespaced(paths.CORE, "default", "configmaps", configmap)
