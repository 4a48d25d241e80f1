"""A plugin for checkups under test: a server counts as gone for good, and a trouble as lasting, after seconds."""

from dataclasses import replace

from pytest_kvlatency.engine import lookout as watching
from pytest_kvlatency.kube import client, diagnosis, patience, podlook

patience.PATIENCE = 6.0
patience.GRACE = 2.0
patience.FEW_TRIES = 1.0
client.KubeClient.request.__kwdefaults__["patience"] = patience.PATIENCE
diagnosis.UNSYNCHRONIZED_LASTS = 2.0
podlook.LASTS = 2.0
watching.POD_STEPS = replace(watching.POD_STEPS, first=0.5)
