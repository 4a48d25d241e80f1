"""What a checkup loads by and by. Tests load it once: pytester forgets after each run what the run has loaded."""

from __future__ import annotations

import importlib

MODULES = (
    "checkup.checkup",
    "checkup.own_run",
    "checkup.pair",
    "config.configmapparams",
    "console.opening",
    "console.shell",
    "console.transport",
    "engine.assembly",
    "kube.client",
    "kube.configmap",
    "kube.clusterfacts",
    "kube.reviews",
    "report.html",
)


def load():
    for name in MODULES:
        importlib.import_module(f"pytest_kvlatency.{name}")
